//! Blobs on a real folder: naming, adopting, sweeping, and all of it at once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use kinora_domain::{BlobHash, Timestamp};
use kinora_store::{
    Store,
    blobs::{Blobs, SweepReport},
    sqlite::{SqliteOptions, SqliteStore},
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::task::JoinSet;

const GRACE_MS: u64 = 3_600_000;

struct Place {
    folder: TempDir,
    blobs: Blobs,
    store: SqliteStore,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&folder.path().join("blobs")).unwrap();
        let store = SqliteStore::open(&folder.path().join("kinora.db"), SqliteOptions::default()).unwrap();
        Place { folder, blobs, store }
    }

    async fn keep(&self, bytes: &[u8]) -> BlobHash {
        let mut staging = self.blobs.stage().unwrap();
        staging.append(bytes).await.unwrap();
        staging.commit().await.unwrap().0
    }

    fn read(&self, hash: BlobHash) -> Option<Vec<u8>> {
        let (mut file, length) = self.blobs.open_blob(hash).unwrap()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, length);
        Some(bytes)
    }

    async fn sweep(&self) -> SweepReport {
        self.blobs
            .sweep(&self.store as &dyn Store, GRACE_MS, now())
            .await
            .unwrap()
    }

    fn stagings(&self) -> usize {
        fs::read_dir(self.folder.path().join("blobs/staging"))
            .unwrap()
            .count()
    }
}

fn now() -> Timestamp {
    Timestamp(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64)
}

fn age(path: &Path) {
    let old = SystemTime::now() - Duration::from_millis(GRACE_MS + 1000);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(old)
        .unwrap();
}

fn hash(bytes: &[u8]) -> BlobHash {
    BlobHash(Sha256::digest(bytes).into())
}

#[tokio::test]
async fn bytes_are_found_by_their_hash() {
    let place = Place::new();
    let long: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    for bytes in [&b""[..], b"a", b"a", &long] {
        // In pieces of every kind of size, through both ways of writing.
        for piece in [1, 7, 4096, 262_144, 1_000_000, 4_000_000] {
            if bytes.len() / piece > 10_000 {
                continue;
            }
            let mut staging = place.blobs.stage().unwrap();
            for chunk in bytes.chunks(piece) {
                if piece % 2 == 0 {
                    staging.append(chunk).await.unwrap();
                } else {
                    staging.append_blocking(chunk).unwrap();
                }
            }
            assert_eq!(staging.bytes(), bytes.len() as u64);
            let committed = staging.commit().await.unwrap();
            assert_eq!(committed, (hash(bytes), bytes.len() as u64));
            assert_eq!(place.read(committed.0).as_deref(), Some(bytes));
        }
    }
    assert_eq!(place.read(hash(b"b")), None);
    assert!(place.blobs.exists(hash(b"a")).unwrap() && !place.blobs.exists(hash(b"b")).unwrap());
    assert_eq!(place.stagings(), 0);
}

#[tokio::test]
async fn what_is_not_committed_leaves_nothing() {
    let place = Place::new();
    let mut staging = place.blobs.stage().unwrap();
    staging.append(&vec![1; 1_000_000]).await.unwrap();
    assert_eq!(place.stagings(), 1);
    drop(staging);
    assert_eq!(place.stagings(), 0);
}

#[tokio::test]
async fn a_finished_file_is_adopted() {
    let place = Place::new();
    let file = place.folder.path().join("clip.mp4");
    // Another disk where there is one; the result must be the same.
    let elsewhere = ["/dev/shm", "/run"]
        .into_iter()
        .find_map(|folder| tempfile::tempdir_in(folder).ok());
    let far = elsewhere.as_ref().map(|folder| folder.path().join("clip.mp4"));
    for path in [Some(file), far].into_iter().flatten() {
        let bytes = vec![path.as_os_str().len() as u8; 700_000];
        fs::write(&path, &bytes).unwrap();
        assert_eq!(place.blobs.adopt(&path).unwrap(), (hash(&bytes), 700_000));
        assert_eq!(place.read(hash(&bytes)), Some(bytes));
        assert!(!path.exists() && place.stagings() == 0);
        assert!(place.blobs.adopt(&path).is_err(), "it has gone");
        assert_eq!(place.stagings(), 0);
    }
}

#[tokio::test]
async fn the_sweep_takes_what_is_old_and_needed_by_nobody() {
    let place = Place::new();
    let (old, young, again) = (
        place.keep(b"old").await,
        place.keep(b"young").await,
        place.keep(b"again").await,
    );
    let mut abandoned = place.blobs.stage().unwrap();
    abandoned.append_blocking(b"abandoned").unwrap();
    std::mem::forget(abandoned);
    let strange = place.folder.path().join("blobs/ab/notes.txt");
    fs::create_dir_all(strange.parent().unwrap()).unwrap();
    fs::write(&strange, "not ours").unwrap();
    assert_eq!(place.sweep().await, SweepReport::default(), "everything is young");

    for hash in [old, again] {
        age(&place.blobs.path(hash));
    }
    age(&strange);
    for entry in fs::read_dir(place.folder.path().join("blobs/staging")).unwrap() {
        age(&entry.unwrap().path());
    }
    assert_eq!(place.keep(b"again").await, again, "young again");
    let report = SweepReport {
        blobs: 1,
        blob_bytes: 3,
        stagings: 1,
    };
    assert_eq!(place.sweep().await, report);
    assert_eq!(place.sweep().await, SweepReport::default());
    let left = [old, young, again].map(|hash| place.read(hash).is_some());
    assert_eq!(left, [false, true, true]);
    assert!(strange.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_commit_is_never_swept_away() {
    let place = Arc::new(Place::new());
    let mut tasks = JoinSet::new();
    for n in 0..4_u8 {
        // Old, committed again, read: nobody makes it old between the last two, so it must be there.
        let place = Arc::clone(&place);
        tasks.spawn(async move {
            let bytes = [n; 100];
            for _ in 0..100 {
                let hash = place.keep(&bytes).await;
                assert_eq!(
                    place.read(hash).as_deref(),
                    Some(&bytes[..]),
                    "committed a moment ago"
                );
                age(&place.blobs.path(hash));
            }
        });
    }
    let mut swept = 0;
    while !tasks.is_empty() {
        swept += place.sweep().await.blobs;
        while let Some(task) = tasks.try_join_next() {
            task.unwrap();
        }
    }
    assert!(swept > 0, "the sweep found nothing to do");
}

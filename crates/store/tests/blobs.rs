//! Blobs in a real folder and in a real bucket: naming, adopting, sweeping, and all of it at once. Every test of what blobs
//! are runs on both; what only a bucket has is in `bucket.rs`.

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
    blobs::{Blobs, BlobsOptions, SweepReport},
    sqlite::{SqliteOptions, SqliteStore},
};
use kinora_testbucket::TestBucket;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::task::JoinSet;

mod support;

use support::bucket_options;

const GRACE_MS: u64 = 3_600_000;

struct Place {
    folder: TempDir,
    blobs: Blobs,
    store: SqliteStore,
    bucket: Option<TestBucket>,
}

impl Place {
    fn new() -> Place {
        Place::with(None)
    }

    fn in_a_bucket() -> Place {
        Place::with(Some(TestBucket::start()))
    }

    fn with(bucket: Option<TestBucket>) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let options = BlobsOptions {
            crash: None,
            bucket: bucket.as_ref().map(bucket_options),
            cache_bytes: 1 << 30,
        };
        let blobs = Blobs::open_with(&folder.path().join("blobs"), options).unwrap();
        let store = SqliteStore::open(&folder.path().join("kinora.db"), SqliteOptions::default()).unwrap();
        Place {
            folder,
            blobs,
            store,
            bucket,
        }
    }

    /// Makes a blob old, wherever it is.
    fn age(&self, hash: BlobHash) {
        age(&self.blobs.path(hash));
        if let Some(bucket) = &self.bucket {
            let name = hash.to_string();
            age(&bucket
                .folder()
                .join("media/blobs")
                .join(&name[..2])
                .join(&name[2..]));
        }
    }

    async fn keep(&self, bytes: &[u8]) -> BlobHash {
        let mut staging = self.blobs.stage().unwrap();
        staging.append(bytes).await.unwrap();
        staging.commit().await.unwrap().0
    }

    async fn read(&self, hash: BlobHash) -> Option<Vec<u8>> {
        let (mut file, length) = self.blobs.open_blob(hash).await.unwrap()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, length);
        Some(bytes)
    }

    async fn adopt(&self, path: &Path) -> kinora_store::Result<(BlobHash, u64)> {
        let (blobs, path) = (self.blobs.clone(), path.to_owned());
        tokio::task::spawn_blocking(move || blobs.adopt(&path))
            .await
            .unwrap()
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

/// Runs each of these tests in a folder and in a bucket.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod in_a_folder {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::Place::new()).await;
            })+
        }
        mod in_a_bucket {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::Place::in_a_bucket()).await;
            })+
        }
    };
}

on_both!(
    bytes_are_found_by_their_hash,
    what_is_not_committed_leaves_nothing,
    a_finished_file_is_adopted,
    the_sweep_takes_what_is_old_and_needed_by_nobody,
    a_fresh_commit_is_never_swept_away,
);

async fn bytes_are_found_by_their_hash(place: Place) {
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
            assert_eq!(place.read(committed.0).await.as_deref(), Some(bytes));
        }
    }
    assert_eq!(place.read(hash(b"b")).await, None);
    assert!(place.blobs.exists(hash(b"a")).await.unwrap() && !place.blobs.exists(hash(b"b")).await.unwrap());
    assert_eq!(place.stagings(), 0);
}

async fn what_is_not_committed_leaves_nothing(place: Place) {
    let mut staging = place.blobs.stage().unwrap();
    staging.append(&vec![1; 1_000_000]).await.unwrap();
    assert_eq!(place.stagings(), 1);
    drop(staging);
    assert_eq!(place.stagings(), 0);
}

async fn a_finished_file_is_adopted(place: Place) {
    let file = place.folder.path().join("clip.mp4");
    // Another disk where there is one; the result must be the same.
    let elsewhere = ["/dev/shm", "/run"]
        .into_iter()
        .find_map(|folder| tempfile::tempdir_in(folder).ok());
    let far = elsewhere.as_ref().map(|folder| folder.path().join("clip.mp4"));
    for path in [Some(file), far].into_iter().flatten() {
        let bytes = vec![path.as_os_str().len() as u8; 700_000];
        fs::write(&path, &bytes).unwrap();
        assert_eq!(place.adopt(&path).await.unwrap(), (hash(&bytes), 700_000));
        assert_eq!(place.read(hash(&bytes)).await, Some(bytes));
        assert!(!path.exists() && place.stagings() == 0);
        assert!(place.adopt(&path).await.is_err(), "it has gone");
        assert_eq!(place.stagings(), 0);
    }
}

async fn the_sweep_takes_what_is_old_and_needed_by_nobody(place: Place) {
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
        place.age(hash);
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
    for (hash, left) in [(old, false), (young, true), (again, true)] {
        assert_eq!(place.read(hash).await.is_some(), left);
    }
    assert!(strange.exists());
}

async fn a_fresh_commit_is_never_swept_away(place: Place) {
    let place = Arc::new(place);
    let mut tasks = JoinSet::new();
    for n in 0..4_u8 {
        // Old, committed again, read: nobody makes it old between the last two, so it must be there.
        let place = Arc::clone(&place);
        tasks.spawn(async move {
            let bytes = [n; 100];
            for _ in 0..100 {
                let hash = place.keep(&bytes).await;
                assert!(
                    place.blobs.exists(hash).await.unwrap(),
                    "committed a moment ago, and gone"
                );
                assert_eq!(
                    place.read(hash).await.as_deref(),
                    Some(&bytes[..]),
                    "committed a moment ago"
                );
                place.age(hash);
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

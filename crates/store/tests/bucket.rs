//! What only a bucket has: failures on the way, other machines, a cache, sweeps without a lock.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    fs::{self, File},
    io::Read,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt, TryStreamExt};
use kinora_domain::{BlobHash, Timestamp};
use kinora_store::{
    Store, StoreError,
    blobs::{Blobs, BlobsOptions, BucketOptions, Found, Provider, Redirects},
    sqlite::{SqliteOptions, SqliteStore},
};
use kinora_testbucket::{BUCKET, DOMAIN, Fault, Rule, TestBucket};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

mod support;

use support::bucket_options;

const GRACE_MS: u64 = 3_600_000;
const MIB: usize = 1 << 20;

/// One machine: a folder that is a cache.
struct Machine {
    folder: TempDir,
    blobs: Blobs,
}

impl Machine {
    fn new(bucket: &TestBucket) -> Machine {
        Machine::with(bucket_options(bucket), 1 << 30)
    }

    fn with(options: BucketOptions, cache_bytes: u64) -> Machine {
        let folder = tempfile::tempdir().unwrap();
        let options = BlobsOptions {
            crash: None,
            bucket: Some(options),
            cache_bytes,
        };
        let blobs = Blobs::open_with(&folder.path().join("cache"), options).unwrap();
        Machine { folder, blobs }
    }

    async fn keep(&self, bytes: &[u8]) -> kinora_store::Result<BlobHash> {
        let mut staging = self.blobs.stage()?;
        staging.append(bytes).await?;
        Ok(staging.commit().await?.0)
    }

    async fn read(&self, hash: BlobHash) -> kinora_store::Result<Option<Vec<u8>>> {
        let Some((mut file, length)) = self.blobs.open_blob(hash).await? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, length);
        Ok(Some(bytes))
    }

    /// Bytes in the cache, and files on their way.
    fn cached(&self) -> (u64, usize) {
        let root = self.folder.path().join("cache");
        let (mut bytes, mut staged) = (0, 0);
        for folder in fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()) {
            if !folder.is_dir() {
                continue;
            }
            for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                if folder.ends_with("staging") {
                    staged += 1;
                } else {
                    bytes += entry.metadata().unwrap().len();
                }
            }
        }
        (bytes, staged)
    }

    fn is_cached(&self, hash: BlobHash) -> bool {
        self.blobs.path(hash).exists()
    }
}

fn hash(bytes: &[u8]) -> BlobHash {
    BlobHash(Sha256::digest(bytes).into())
}

fn object(bucket: &TestBucket, hash: BlobHash) -> std::path::PathBuf {
    let name = hash.to_string();
    bucket
        .folder()
        .join("media/blobs")
        .join(&name[..2])
        .join(&name[2..])
}

fn make_old(path: &std::path::Path) {
    let old = SystemTime::now() - Duration::from_millis(GRACE_MS + 60_000);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(old)
        .unwrap();
}

fn now() -> Timestamp {
    Timestamp(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64)
}

fn noise(bytes: usize, seed: u8) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    (0..bytes)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect()
}

fn store() -> (TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("kinora.db"), SqliteOptions::default()).unwrap();
    (folder, store)
}

/// Whatever happens on the way to the bucket and back: the blob is there whole, or it is an error and has no name.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_survive_what_passes_and_tell_what_does_not() {
    const PUT: &str = "PUT /kinora/media/blobs/";
    const PART: &str = "PUT /kinora/media/blobs/";
    const POST: &str = "POST /kinora/media/blobs/";
    const HEAD: &str = "HEAD /kinora/media/blobs/";
    let (small, large) = (noise(100_000, 1), noise(11 * MIB, 2));
    let for_ever = |begins: &str, fault| Rule::times(u32::MAX, begins, fault);
    let cases = [
        (&small, Rule::once(PUT, Fault::Status(500)), true),
        (&small, Rule::times(2, PUT, Fault::Status(503)), true),
        (&small, Rule::once(PUT, Fault::CutRequest(30_000)), true),
        (&small, Rule::once(PUT, Fault::LostAnswer), true),
        (
            &small,
            Rule::once(PUT, Fault::Slow(Duration::from_millis(700))),
            true,
        ),
        (&small, Rule::once(HEAD, Fault::Status(500)), true),
        (&small, Rule::once("GET /kinora", Fault::Status(500)), true),
        (&small, for_ever(PUT, Fault::Status(500)), false),
        (&small, for_ever(PUT, Fault::Status(403)), false),
        (&small, for_ever(PUT, Fault::CutRequest(10)), false),
        (&small, for_ever(HEAD, Fault::Status(500)), false),
        (&large, Rule::once(POST, Fault::Status(500)).with("uploads"), true),
        (
            &large,
            Rule::once(PART, Fault::CutRequest(2 * MIB)).with("partNumber=2"),
            true,
        ),
        (
            &large,
            Rule::once(PART, Fault::LostAnswer).with("partNumber=1&"),
            true,
        ),
        (
            &large,
            Rule::once("PUT /kinora/media/uploads/", Fault::Status(500)),
            true,
        ),
        // Done, and nobody heard of it: what is there decides.
        (
            &large,
            Rule::once(POST, Fault::LostAnswer).with("uploadId="),
            true,
        ),
        (
            &large,
            for_ever(PART, Fault::Status(500)).with("partNumber=3"),
            false,
        ),
        (
            &large,
            for_ever(POST, Fault::Status(500)).with("uploadId="),
            false,
        ),
    ];
    let at_once = futures_util::stream::iter(cases.into_iter().map(|(bytes, rule, kept)| async move {
        let bucket = TestBucket::start();
        let what = format!("{rule:?}");
        bucket.fail(rule);
        let machine = Machine::new(&bucket);
        let ended = machine.keep(bytes).await;
        assert_eq!(ended.is_ok(), kept, "{what}: {ended:?}");
        assert_eq!(machine.cached().1, 0, "{what}: a staged file is left");
        assert_eq!(machine.is_cached(hash(bytes)), kept, "{what}: named");
        let failed_enough = bucket.has_failed_enough();
        bucket.heal();
        if kept {
            assert!(failed_enough, "{what}: the fault never happened");
            let elsewhere = Machine::new(&bucket);
            let read = elsewhere.read(ended.unwrap()).await.unwrap();
            assert!(read.as_ref() == Some(bytes), "{what}: wrong bytes");
        } else {
            // Once it works again, it works.
            machine.keep(bytes).await.unwrap();
        }
        assert_eq!(bucket.parts(), 0, "{what}: parts are left");
        assert_eq!(
            bucket.objects("media").len(),
            1,
            "{what}: {:?}",
            bucket.objects("media")
        );
    }));
    at_once.buffer_unordered(6).collect::<Vec<()>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_are_what_was_kept_or_an_error() {
    let bytes = noise(9 * MIB, 3);
    let get = "GET /kinora/media/blobs/";
    let for_ever = |fault| Rule::times(u32::MAX, get, fault);
    for (rule, whole) in [
        (Rule::once(get, Fault::Status(500)), true),
        (Rule::once(get, Fault::CutAnswer(MIB)), true),
        (Rule::times(2, get, Fault::CutAnswer(3 * MIB)), true),
        (Rule::once(get, Fault::Slow(Duration::from_millis(500))), true),
        (Rule::once(get, Fault::WrongBytes), false),
        (for_ever(Fault::CutAnswer(10)), false),
        (for_ever(Fault::Status(404)), false),
        (Rule::times(u32::MAX, "HEAD ", Fault::Status(500)), false),
    ] {
        let bucket = TestBucket::start();
        let name = Machine::new(&bucket).keep(&bytes).await.unwrap();
        let machine = Machine::new(&bucket);
        let what = format!("{rule:?}");
        bucket.fail(rule);
        let read = machine.read(name).await;
        assert_eq!(read.is_ok(), whole, "{what}");
        assert_eq!(machine.is_cached(name), whole, "{what}: cached");
        assert_eq!(machine.cached().1, 0, "{what}: a staged file is left");
        bucket.heal();
        assert!(
            machine.read(name).await.unwrap().as_ref() == Some(&bytes),
            "{what}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_in_the_bucket_is_named_and_not_cached() {
    let bucket = TestBucket::start();
    let bytes = noise(3 * MIB, 4);
    let name = Machine::new(&bucket).keep(&bytes).await.unwrap();
    let path = object(&bucket, name);
    let mut wrong = bytes.clone();
    wrong[17] ^= 1;
    for spoilt in [&wrong[..], &bytes[..MIB], b""] {
        fs::write(&path, spoilt).unwrap();
        let machine = Machine::new(&bucket);
        let error = machine.read(name).await.unwrap_err();
        assert!(
            matches!(error, StoreError::CorruptBlob { hash, bytes } if hash == name && bytes == spoilt.len() as u64),
            "{error:?}"
        );
        assert!(error.to_string().contains(&name.to_string()));
        assert!(!machine.is_cached(name));
        let Some(Found::Remote(remote)) = machine.blobs.find(name).unwrap() else {
            panic!("not remote")
        };
        let length = remote.length().await.unwrap().unwrap();
        let streamed: Result<Vec<_>, _> = remote.stream(0..length, length).try_collect().await;
        assert_eq!(streamed.is_err(), length > 0, "wrong bytes are passed on whole");
    }
    // Who commits what was cut puts it right.
    fs::write(&path, &bytes[..MIB]).unwrap();
    let machine = Machine::new(&bucket);
    machine.keep(&bytes).await.unwrap();
    assert!(Machine::new(&bucket).read(name).await.unwrap() == Some(bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_see_each_others_blobs() {
    let bucket = TestBucket::start();
    let (one, other) = (Machine::new(&bucket), Machine::new(&bucket));
    let name = one.keep(b"from one").await.unwrap();
    assert!(other.blobs.exists(name).await.unwrap() && !other.is_cached(name));
    assert_eq!(other.read(name).await.unwrap().as_deref(), Some(&b"from one"[..]));
    assert!(other.is_cached(name));
    // From now on the bucket is asked nothing.
    bucket.requests();
    assert_eq!(other.read(name).await.unwrap().as_deref(), Some(&b"from one"[..]));
    assert_eq!(bucket.requests(), [""; 0]);
    assert_eq!(other.read(hash(b"nobody's")).await.unwrap(), None);

    // What is there, and young, is not sent again.
    bucket.requests();
    assert_eq!(other.keep(b"from one").await.unwrap(), name);
    let requests = bucket.requests();
    assert!(
        requests.iter().all(|request| !request.starts_with("PUT")),
        "{requests:?}"
    );
    // What is old is, for it is to be young.
    make_old(&object(&bucket, name));
    other.keep(b"from one").await.unwrap();
    let requests = bucket.requests();
    assert_eq!(
        requests
            .iter()
            .filter(|request| request.starts_with("PUT"))
            .count(),
        1
    );
    let modified = fs::metadata(object(&bucket, name)).unwrap().modified().unwrap();
    assert!(modified.elapsed().unwrap() < Duration::from_secs(60));

    // At a path of one's own, which is the cached file.
    let at = other.folder.path().join("input");
    let path = other.blobs.locate(name, &at).await.unwrap();
    assert_eq!(path.as_deref(), Some(&*at));
    assert_eq!(fs::read(&at).unwrap(), b"from one");
    let third = Machine::new(&bucket);
    let borrowed = third.blobs.borrow(name).await.unwrap().unwrap();
    assert_eq!(fs::read(borrowed.path()).unwrap(), b"from one");
    drop(borrowed);
    assert_eq!(third.cached(), (8, 0));
    assert!(third.blobs.borrow(hash(b"nobody's")).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_stays_within_its_size_and_takes_nothing_from_readers() {
    let bucket = TestBucket::start();
    let clip = |n: u8| noise(100_000, n);
    let machine = Machine::with(bucket_options(&bucket), 1_000_000);
    let mut names = Vec::new();
    for n in 0..9 {
        names.push(machine.keep(&clip(n)).await.unwrap());
    }
    for (age_s, name) in names.iter().enumerate() {
        let used = SystemTime::now() - Duration::from_secs(1000 - age_s as u64);
        let file = File::open(machine.blobs.path(*name)).unwrap();
        file.set_modified(used).unwrap();
    }
    // The oldest two are in use, one as a file and one by its path; and the third was used just now.
    let (mut open, _) = machine.blobs.open_blob(names[0]).await.unwrap().unwrap();
    let borrowed = machine.blobs.borrow(names[1]).await.unwrap().unwrap();
    machine.read(names[2]).await.unwrap();
    let old = SystemTime::now() - Duration::from_secs(5000);
    for name in &names[..2] {
        File::open(machine.blobs.path(*name))
            .unwrap()
            .set_modified(old)
            .unwrap();
    }
    for n in 9..30 {
        names.push(machine.keep(&clip(n)).await.unwrap());
        assert!(machine.cached().0 <= 1_000_000, "{:?}", machine.cached());
        if n == 10 {
            assert!(
                !machine.is_cached(names[0]) && !machine.is_cached(names[1]) && !machine.is_cached(names[3])
            );
            assert!(machine.is_cached(names[2]), "used a moment ago");
        }
    }
    let mut read = Vec::new();
    open.read_to_end(&mut read).unwrap();
    assert!(read == clip(0) && fs::read(borrowed.path()).unwrap() == clip(1));
    for (n, name) in names.iter().enumerate() {
        assert!(machine.read(*name).await.unwrap() == Some(clip(n as u8)), "{n}");
    }
    // A cache that was larger is made smaller at its opening.
    let smaller = BlobsOptions {
        crash: None,
        bucket: Some(bucket_options(&bucket)),
        cache_bytes: 300_000,
    };
    Blobs::open_with(&machine.folder.path().join("cache"), smaller).unwrap();
    assert!(machine.cached().0 <= 300_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_uploads_and_marks_are_swept() {
    let bucket = TestBucket::start();
    let (_folder, store) = store();
    let machine = Machine::new(&bucket);
    // Parts are sent, and then neither the rest nor the end of it goes through.
    for begins in ["PUT /kinora/media/blobs/", "DELETE /kinora/"] {
        let rule = Rule::times(u32::MAX, begins, Fault::Status(500));
        let skip = u32::from(begins.starts_with("PUT"));
        bucket.fail(rule.after(skip));
    }
    machine.keep(&noise(12 * MIB, 5)).await.unwrap_err();
    bucket.heal();
    assert_eq!(bucket.parts(), 1);
    let notes = bucket.objects("media/uploads");
    assert_eq!(notes.len(), 1);
    let sweep = async || {
        machine
            .blobs
            .sweep(&store as &dyn Store, GRACE_MS, now())
            .await
            .unwrap()
    };
    assert_eq!(sweep().await, Default::default(), "it may be going on");
    assert_eq!(bucket.parts(), 1);
    make_old(&bucket.folder().join(&notes[0]));
    assert_eq!(sweep().await.stagings, 1);
    assert_eq!((bucket.parts(), bucket.objects("media").len()), (0, 0));

    // A mark of a sweep that has died is waited for, but not for ever, and goes in the end.
    let name = machine.keep(b"marked").await.unwrap();
    let mark = bucket.folder().join(format!("media/sweeping/{name}/dead"));
    fs::create_dir_all(mark.parent().unwrap()).unwrap();
    fs::write(&mark, "").unwrap();
    let began = std::time::Instant::now();
    machine.keep(b"marked").await.unwrap();
    assert!(
        began.elapsed() > Duration::from_millis(1500),
        "{:?}",
        began.elapsed()
    );
    make_old(&mark);
    assert_eq!(sweep().await, Default::default());
    assert_eq!(bucket.objects("media/sweeping"), [""; 0]);
    assert_eq!(machine.read(name).await.unwrap().as_deref(), Some(&b"marked"[..]));
}

/// The one dangerous moment, held still: the sweep has marked and looked at an old blob, and its removal is on the way.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_outlasts_a_removal_that_is_on_its_way() {
    let bucket = TestBucket::start();
    let (_folder, store) = store();
    let (sweeper, committer) = (Machine::new(&bucket), Machine::new(&bucket));
    let name = sweeper.keep(b"again").await.unwrap();
    make_old(&object(&bucket, name));
    make_old(&sweeper.blobs.path(name));
    bucket.fail(Rule::once(
        "DELETE /kinora/media/blobs/",
        Fault::Slow(Duration::from_millis(600)),
    ));
    let sweep = tokio::spawn({
        let blobs = sweeper.blobs.clone();
        async move { blobs.sweep(&store as &dyn Store, GRACE_MS, now()).await }
    });
    while bucket.objects("media/sweeping").is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(committer.keep(b"again").await.unwrap(), name);
    assert!(object(&bucket, name).exists(), "named, and gone");
    assert_eq!(sweep.await.unwrap().unwrap().blobs, 1);
    assert!(bucket.has_failed_enough() && object(&bucket, name).exists());
}

/// Two sweeps and four committers on six machines: what is committed is there.
#[tokio::test(flavor = "multi_thread")]
async fn sweeps_on_other_machines_take_no_fresh_commit() {
    let bucket = Arc::new(TestBucket::start());
    let (_folder, store) = store();
    let store: Arc<dyn Store> = Arc::new(store);
    // The machines keep the same bytes, and nobody ages a blob in the middle of somebody's commit: time does not do that either.
    let ageing = Arc::new(tokio::sync::RwLock::new(()));
    let mut committers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (bucket, machine) = (Arc::clone(&bucket), Machine::new(&bucket));
        let ageing = Arc::clone(&ageing);
        committers.spawn(async move {
            for n in 0..25 {
                let bytes = [n % 3; 100];
                let name = {
                    let _young = ageing.read().await;
                    let name = machine.keep(&bytes).await.unwrap();
                    let is_there = machine.blobs.exists(name).await.unwrap();
                    assert!(is_there, "committed a moment ago");
                    name
                };
                if n % 2 == 0 {
                    let _old = ageing.write().await;
                    let _ = File::options()
                        .write(true)
                        .open(object(&bucket, name))
                        .and_then(|file| {
                            file.set_modified(SystemTime::now() - Duration::from_millis(2 * GRACE_MS))
                        });
                }
            }
        });
    }
    let mut swept = 0;
    let sweepers = [Machine::new(&bucket), Machine::new(&bucket)];
    while !committers.is_empty() {
        let sweeps = sweepers
            .iter()
            .map(|machine| machine.blobs.sweep(&*store, GRACE_MS, now()));
        for report in futures_util::future::join_all(sweeps).await {
            swept += report.unwrap().blobs;
        }
        while let Some(ended) = committers.try_join_next() {
            ended.unwrap();
        }
    }
    assert!(swept > 0, "the sweeps found nothing to do");
    assert_eq!(bucket.objects("media/sweeping"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_can_be_sent_to_the_bucket() {
    let bucket = TestBucket::start();
    let client = |host: &str| {
        reqwest::Client::builder()
            .no_proxy()
            .resolve(host, bucket.address())
            .build()
            .unwrap()
    };
    let with = |path_style, endpoint: Option<String>| {
        let mut options = bucket_options(&bucket);
        options.redirects = Some(Redirects {
            endpoint,
            life: Duration::from_secs(60),
        });
        options.path_style = path_style;
        options
    };
    let mp4 = [b"\0\0\0\x20ftypisom", &noise(50_000, 6)[..]].concat();
    let name = Machine::new(&bucket).keep(&mp4).await.unwrap();
    let public = format!("http://{DOMAIN}:{}", bucket.address().port());
    let host = format!("{BUCKET}.{DOMAIN}");
    for (options, begins) in [
        (with(true, None), format!("{}/{BUCKET}/", bucket.endpoint())),
        (with(true, Some(public.clone())), format!("{public}/{BUCKET}/")),
        // The name of the bucket in the host's, which is how the signature has it, too.
        (with(false, Some(public)), format!("http://{host}:")),
    ] {
        let machine = Machine::with(options, 1 << 30);
        let Some(Found::Remote(remote)) = machine.blobs.find(name).unwrap() else {
            panic!("not remote")
        };
        let url = remote.signed_url(Duration::from_secs(30)).await.unwrap().unwrap();
        assert!(
            url.starts_with(&begins) && url.contains("X-Amz-Expires=30"),
            "{url}"
        );
        let resolved = if url.contains(&host) {
            host.as_str()
        } else {
            DOMAIN
        };
        let answer = client(resolved)
            .get(&url)
            .header("range", "bytes=4-11")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 206);
        assert_eq!(answer.headers()["content-type"], "video/mp4");
        assert_eq!(&answer.bytes().await.unwrap()[..], &mp4[4..12]);
        let forged = client(resolved).get(url.replace("X-Amz-Expires=30", "X-Amz-Expires=90"));
        assert_eq!(forged.send().await.unwrap().status(), 403);
        let put = client(resolved).put(&url).body("other bytes");
        assert_eq!(put.send().await.unwrap().status(), 403);
    }
    let without = Machine::new(&bucket);
    let Some(Found::Remote(remote)) = without.blobs.find(name).unwrap() else {
        panic!("not remote")
    };
    assert_eq!(remote.signed_url(Duration::from_secs(30)).await.unwrap(), None);
    let part: Vec<_> = remote
        .stream(100..40_000, mp4.len() as u64)
        .try_collect()
        .await
        .unwrap();
    assert!(part.concat() == mp4[100..40_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_says_what_is_wrong_with_it() {
    let bucket = TestBucket::start();
    let chain = |error: &StoreError| {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            text += &format!(": {error}");
            source = error.source();
        }
        text
    };
    let good = Machine::new(&bucket);
    good.blobs.reach_bucket().await.unwrap();
    good.blobs.probe_bucket().await.unwrap();
    assert_eq!(bucket.objects(""), [""; 0], "the probe is left");

    let mut options = bucket_options(&bucket);
    options.name = "nowhere".to_owned();
    let error = Machine::with(options, 1).blobs.reach_bucket().await.unwrap_err();
    assert!(chain(&error).contains("NoSuchBucket"), "{}", chain(&error));

    let mut options = bucket_options(&bucket);
    options.settings.set("secret_access_key", "s3cret-and-wrong");
    assert!(!format!("{options:?}").contains("s3cret"));
    let error = Machine::with(options, 1).blobs.probe_bucket().await.unwrap_err();
    let told = chain(&error);
    assert!(
        told.contains("SignatureDoesNotMatch") && !told.contains("s3cret"),
        "{told}"
    );

    let mut options = bucket_options(&bucket);
    options.endpoint = Some("http://127.0.0.1:1".to_owned());
    let error = Machine::with(options, 1).keep(b"x").await.unwrap_err();
    assert!(matches!(error, StoreError::Bucket { .. }), "{error:?}");

    let mut options = bucket_options(&bucket);
    options.provider = Provider::Azure;
    let folder = tempfile::tempdir().unwrap();
    let options = BlobsOptions {
        bucket: Some(options),
        ..BlobsOptions::default()
    };
    let error = Blobs::open_with(folder.path(), options).err().unwrap();
    assert!(
        chain(&error).starts_with("the bucket az://kinora/media cannot be set up: "),
        "{}",
        chain(&error)
    );
}

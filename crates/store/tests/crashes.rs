//! Dies at every place that has a name, once and twice in a row, and shows that a restart repairs everything.
//!
//! A story touches every transaction and every step of a blob. Wherever the process dies in it, the next one opens
//! the same files and the same database, recovers, and tells the story again from its beginning, as clients and workers
//! would. In the end the books must be what they are without any crash, and no file may be left over.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use kinora_domain::{
    AccountId, Announcement, Artifact, BlobHash, Bucket, Credits, EndpointId, Failure, FailureCode, Feature,
    FrameSize, Generation, GenerationId, GenerationSpec, GrantId, Hardware, KeyId, Model, OfferId, Origin,
    Phase, Progress, Resolution, Seed, Source, Stage, StoredInput, Success, Timestamp, WorkerId, WorkerState,
    Workflow, ledger::EntryType,
};
use kinora_store::{
    Account, Claim, Claimed, CountedRequest, CrashHook, CrashPoint, DeliveryStatus, Endpoint, EndpointChange,
    Idempotency, Key, NewGrant, Note, OldWorkers, Outcome, Scope, Secrets, Store, StoreError, Submission,
    Submitted, TransactionName, Try, TryOutcome, Verdict,
    blobs::{Blobs, BlobsOptions},
    postgres::{PostgresOptions, PostgresStore, PostgresUrl},
    sqlite::{SqliteOptions, SqliteStore},
};
use kinora_testbucket::TestBucket;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::{sync::Semaphore, task::JoinSet};

mod schemas;
mod support;

use schemas::Schemas;
use support::bucket_options;

const START: Timestamp = Timestamp(1_795_348_800_000);
const LEASE_MS: u64 = 60_000;
const GRACE_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * 3_600_000;

/// So many of the times that the story comes by a place are tried.
const PASSES_MAX: u32 = 5;

/// Where the rows of a story are.
#[derive(Debug, Clone, Copy)]
enum Rows {
    InAFile,
    OnAServer,
}

/// Where the bytes are.
#[derive(Debug, Clone, Copy)]
enum Bytes {
    InAFolder,
    InABucket,
}

/// What a crash leaves.
struct Left {
    folder: TempDir,
    server: Option<PostgresUrl>,
    bucket: Option<TestBucket>,
}

/// A process: everything that a crash takes away.
struct Process {
    store: Arc<dyn Store>,
    blobs: Blobs,
}

impl Left {
    fn nothing(rows: Rows, bytes: Bytes) -> Left {
        Left {
            folder: tempfile::tempdir().unwrap(),
            server: match rows {
                Rows::InAFile => None,
                Rows::OnAServer => Some(Schemas::default().fresh()),
            },
            bucket: match bytes {
                Bytes::InAFolder => None,
                Bytes::InABucket => Some(TestBucket::start()),
            },
        }
    }

    fn blobs(&self) -> PathBuf {
        self.folder.path().join("blobs")
    }

    fn start(&self, crash: Option<CrashHook>) -> Process {
        let blobs = BlobsOptions {
            crash: crash.clone(),
            bucket: self.bucket.as_ref().map(bucket_options),
            cache_bytes: 1 << 30,
        };
        Process {
            store: match &self.server {
                Some(url) => {
                    let options = PostgresOptions {
                        connections: 2,
                        crash,
                        ..PostgresOptions::default()
                    };
                    Arc::new(PostgresStore::open(url, options).unwrap())
                }
                None => {
                    let options = SqliteOptions {
                        crash,
                        ..SqliteOptions::default()
                    };
                    Arc::new(SqliteStore::open(&self.folder.path().join("kinora.db"), options).unwrap())
                }
            },
            blobs: Blobs::open_with(&self.blobs(), blobs).unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_crash_point_once_and_twice() {
    every_place(CrashPoint::all(), PASSES_MAX, Rows::InAFile, Bytes::InAFolder).await;
}

/// The same story with the rows on a server: at every transaction, before its commit and after it.
#[tokio::test(flavor = "multi_thread")]
async fn every_crash_point_of_postgresql() {
    let commits = TransactionName::ALL
        .into_iter()
        .flat_map(|name| [CrashPoint::BeforeCommit(name), CrashPoint::AfterCommit(name)]);
    every_place(commits.collect(), 1, Rows::OnAServer, Bytes::InAFolder).await;
}

/// The same story with the bytes in a bucket: at every step of a blob, and at those that only a bucket has.
#[tokio::test(flavor = "multi_thread")]
async fn every_crash_point_of_a_bucket() {
    let blobs = [CrashPoint::BlobStaged, CrashPoint::BlobNamed];
    let around = [CrashPoint::AfterCommit(TransactionName::Finish)];
    let points = [&CrashPoint::BUCKET[..], &blobs, &around].concat();
    every_place(points, 3, Rows::InAFile, Bytes::InABucket).await;
}

async fn every_place(points: Vec<CrashPoint>, passes: u32, rows: Rows, bytes: Bytes) {
    // Stories mostly wait for the disk, and so are told side by side.
    let at_once = Arc::new(Semaphore::new(16));
    let mut stories = JoinSet::new();
    for point in &points {
        for pass in 0..passes {
            // Dies at the `pass`th time that the story comes by, and for the second run at the next, too.
            for crashes in [1, 2] {
                let (at_once, point) = (Arc::clone(&at_once), *point);
                stories.spawn(async move {
                    let _permit = at_once.acquire().await.unwrap();
                    let left = Left::nothing(rows, bytes);
                    (point, survives(point, pass, crashes, &left).await)
                });
            }
        }
    }
    let survived = stories.join_all().await;
    for point in points {
        assert!(
            survived.contains(&(point, true)),
            "the story never comes by {point:?}"
        );
    }
}

/// Tells the story to its end through so many crashes. False if it came by that place too seldom to crash at all.
async fn survives(point: CrashPoint, pass: u32, crashes: u32, left: &Left) -> bool {
    let passed = Arc::new(AtomicU32::new(0));
    let hook: CrashHook = {
        let passed = Arc::clone(&passed);
        Arc::new(move |here| {
            here == point && (pass..pass + crashes).contains(&passed.fetch_add(1, Ordering::SeqCst))
        })
    };
    let what = format!("{point:?}, pass {pass}, {crashes} in a row");
    let mut deaths = 0;
    for life in 0.. {
        assert!(life <= crashes, "{what}: more deaths than crashes");
        // Each life begins long after the last, so that no lease of the dead is still good.
        let now = START.plus_ms(u64::from(life) * 10 * LEASE_MS);
        if left.bucket.is_some() {
            // And on another machine, which has nothing of the bytes that the dead one had.
            let _ = fs::remove_dir_all(left.blobs());
        }
        let process = left.start(Some(Arc::clone(&hook)));
        assert_sound(&*process.store, &what).await;
        match tell(&process, left.bucket.is_some(), now).await {
            Ok(()) => break,
            Err(StoreError::Closed) => deaths += 1,
            Err(error) => panic!("{what}: {error:?}"),
        }
    }
    if deaths == 0 {
        return false;
    }
    let process = left.start(None);
    tell_end(&process, &what).await;
    assert_end(&process, left, &what).await;
    true
}

/// The story. Every step of it may have been done already, by a process that died.
async fn tell(process: &Process, in_a_bucket: bool, now: Timestamp) -> Result<(), StoreError> {
    let Process { store, blobs } = process;
    let store = &**store;
    store.recover(9, now).await?;
    let account = people(store, now).await?;
    store.secret("media", [5; 32]).await?;
    endpoints(store, account, now).await?;

    let input = stage(blobs, b"an input").await?;
    let kept = submit(store, account, "kept", input, now).await?;
    let removed = submit(store, account, "removed", input, now).await?;
    let canceled = submit(store, account, "canceled", input, now).await?;
    let failed = submit(store, account, "failed", input, now).await?;
    store.cancel(account, canceled, now).await?;
    while let Some(Claimed {
        generation,
        lease,
        attempts,
        notes,
        first_offer: _,
    }) = store.claim(claim(now), now).await?
    {
        let progress = Progress {
            stage: Stage::Denoising,
            fraction: 0.5,
        };
        store.heartbeat(lease, Some(progress), LEASE_MS, now).await?;
        let word = Note {
            clip: 0,
            text: format!("task of {}", generation.id),
        };
        // What a process noted is there for the one after it, and only what it noted.
        assert!(notes.is_empty() || notes == [word.clone()], "{notes:?}");
        store.note(lease, word, now).await?;
        store.keep_preview(lease, b"a picture".to_vec()).await?;
        let outcome = if generation.id == failed {
            let failure = Failure {
                code: FailureCode::EngineFailed,
                message: "It broke.".to_owned(),
            };
            let retry_at = (attempts == 1).then(|| now.plus_ms(5));
            Outcome::Failed { failure, retry_at }
        } else {
            let success = make(blobs, &generation).await?;
            Outcome::Succeeded {
                success,
                charged: Credits(40),
            }
        };
        store.finish(lease, outcome, now).await?;
        store.recover(9, now.plus_ms(5)).await?;
    }
    deliver(store, now).await?;
    store.forget_deliveries(START.minus_ms(1)).await?;
    fleet(store, now).await?;
    store.remove_media(account, removed, now).await?;
    store.expire_grants(now.plus_ms(DAY_MS)).await?;
    assert!(store.generation(kept).await?.is_some());
    assert_eq!(store.preview(kept).await?, None);
    // An orphan: made, and then the worker lost its lease.
    stage(blobs, b"an orphan").await?;
    if in_a_bucket {
        // One that goes in parts.
        stage(blobs, &vec![7; 6 << 20]).await?;
    }
    let later = young_no_more();
    blobs.sweep(store, GRACE_MS, later).await?;
    Ok(())
}

/// A worker that comes and goes, and a request that is counted.
async fn fleet(store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
    let worker = Announcement {
        id: WorkerId::new(START, 1),
        name: "one".to_owned(),
        version: "1".to_owned(),
        offers: Vec::new(),
        slots: 1,
        hardware: Hardware::default(),
        started_at: now,
    };
    store.announce(worker.clone(), WorkerState::Working, now).await?;
    store.take_leave(worker.id).await?;
    let request = CountedRequest {
        key: KeyId::new(START, 2),
        kind: "create",
        per_minute: 100,
    };
    store.count_request(request, now).await?;
    let old = OldWorkers {
        workers: START,
        offers: START,
        attempts: START,
        requests: START,
    };
    store.forget_workers(old).await?;
    Ok(())
}

async fn people(store: &dyn Store, now: Timestamp) -> Result<AccountId, StoreError> {
    let account = match store.account_by_name("alice").await? {
        Some(account) => account.id,
        None => {
            let id = AccountId::new(now, 1);
            let name = "alice".to_owned();
            let account = Account {
                id,
                name,
                running_max: None,
                created_at: now,
            };
            store.create_account(account).await?;
            id
        }
    };
    for (n, name) in [(1, "old"), (2, "new")] {
        if store.key_by_hash([n; 32]).await?.is_none() {
            let key = Key {
                id: KeyId::new(START, u128::from(n)),
                account,
                name: name.to_owned(),
                hash: [n; 32],
                scope: Scope::Full,
                created_at: now,
                revoked_at: None,
            };
            store.create_key(key).await?;
        }
    }
    store.revoke_key(KeyId::new(START, 1), now).await?;
    let ends = START.plus_ms(DAY_MS);
    for (n, bucket, expires_at) in [
        (1, Bucket::Subscription, Some(ends)),
        (2, Bucket::Permanent, None),
    ] {
        let grant = NewGrant {
            account,
            id: GrantId::new(START, n),
            entry_type: EntryType::Grant,
            bucket,
            credits: Credits(125),
            expires_at,
            note: None,
        };
        store.grant(grant, now).await?;
    }
    Ok(account)
}

/// One endpoint that is told everything, and one that is removed.
async fn endpoints(store: &dyn Store, account: AccountId, now: Timestamp) -> Result<(), StoreError> {
    let endpoint = |n, url: &str| Endpoint {
        id: EndpointId::new(START, n),
        account,
        url: url.to_owned(),
        events: Vec::new(),
        description: String::new(),
        enabled: true,
        gone: false,
        secrets: Secrets {
            current: [1; 32],
            previous: None,
        },
        created_at: now,
    };
    let known = store.endpoints(account).await?;
    if known.is_empty() {
        store.create_endpoint(endpoint(1, "https://a.example"), 9).await?;
    }
    let told = EndpointId::new(START, 1);
    let change = EndpointChange {
        url: Some("https://b.example".to_owned()),
        ..EndpointChange::default()
    };
    store.change_endpoint(account, told, change).await?;
    if store
        .deliveries(account, told, 1, None)
        .await?
        .is_some_and(|log| log.items.is_empty())
    {
        store.test_endpoint(account, told, now).await?;
    }
    let removed = endpoint(2 + u128::from(rand::random::<u64>()), "https://c.example");
    store.create_endpoint(removed, 9).await?;
    for endpoint in store.endpoints(account).await? {
        if endpoint.id != told {
            store.remove_endpoint(account, endpoint.id, now).await?;
        }
    }
    Ok(())
}

/// Takes everything that is due to every endpoint, until nothing is.
async fn deliver(store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
    loop {
        let due = store.claim_deliveries(2, LEASE_MS, now).await?;
        if due.is_empty() {
            return Ok(());
        }
        for delivery in due {
            let outcome = TryOutcome {
                tried: Try {
                    at: now,
                    latency_ms: 1,
                    status: Some(204),
                    answer: String::new(),
                    error: None,
                    next_try_at: None,
                },
                verdict: Verdict::Delivered,
                hold_until: None,
            };
            store
                .record_try(delivery.id, delivery.token, outcome, now)
                .await?;
        }
    }
}

async fn stage(blobs: &Blobs, bytes: &[u8]) -> Result<BlobHash, StoreError> {
    let mut staging = blobs.stage()?;
    staging.append(bytes).await?;
    Ok(staging.commit().await?.0)
}

async fn submit(
    store: &dyn Store,
    account: AccountId,
    key: &str,
    input: BlobHash,
    now: Timestamp,
) -> Result<GenerationId, StoreError> {
    let image = Source::Stored(StoredInput {
        blob: input,
        origin: Origin::Upload {
            file_name: "cat.png".to_owned(),
        },
        duration_ms: None,
    });
    let submission = Submission {
        // A client that tries again gets a new id, unless its key is known.
        id: GenerationId::new(now, rand::random()),
        account,
        model: Model::WanVideo,
        offer: OfferId("wan".to_owned()),
        spec: GenerationSpec {
            feature: Feature::TextImage,
            workflow: Workflow::Image { image, audio: None },
            prompt: Some(key.to_owned()),
            negative_prompt: None,
            aspect_ratio: None,
            resolution: Resolution::P720,
            duration_s: 5,
            prompt_expansion: false,
            seed: Seed::from_entropy(1),
            n: 1,
        },
        price: Credits(50),
        priority: 0,
        deadline: now.plus_ms(DAY_MS),
        queued_max: 10,
        idempotency: Some(Idempotency {
            scope: "POST /x".to_owned(),
            key: key.to_owned(),
            payload: [0; 32],
        }),
        webhook_url: None,
    };
    match store.submit(submission, now).await? {
        Submitted::Created(generation) | Submitted::Replayed(generation) => Ok(generation.id),
        other => panic!("{key}: {other:?}"),
    }
}

fn claim(now: Timestamp) -> Claim {
    Claim {
        worker: WorkerId::new(now, 1),
        offers: vec![OfferId("wan".to_owned())],
        lease_ms: LEASE_MS,
        running_max: 10,
    }
}

/// The same prompt makes the same clip.
async fn make(blobs: &Blobs, generation: &Generation) -> Result<Success, StoreError> {
    let prompt = generation.spec.prompt.as_deref().unwrap_or_default();
    let artifact = Artifact {
        video: stage(blobs, format!("the clip of {prompt}").as_bytes()).await?,
        poster: stage(blobs, format!("the poster of {prompt}").as_bytes()).await?,
        video_bytes: 1,
        size: FrameSize {
            width: 1280,
            height: 720,
        },
        num_frames: 150,
        seed: Seed::from_entropy(1),
    };
    Ok(Success {
        artifacts: vec![artifact],
        actual_prompt: None,
        warnings: Vec::new(),
    })
}

/// Blobs are as old as the machine's clock says: an hour and a grace from now, all of them are old.
fn young_no_more() -> Timestamp {
    let elapsed = std::time::UNIX_EPOCH.elapsed().unwrap();
    Timestamp(elapsed.as_millis() as i64).plus_ms(2 * GRACE_MS)
}

/// What a server does sooner or later by itself.
async fn tell_end(process: &Process, what: &str) {
    let Process { store, blobs } = process;
    let store = &**store;
    let now = START.plus_ms(2 * DAY_MS);
    store.recover(9, now).await.unwrap();
    store.expire_grants(now).await.unwrap();
    deliver(store, now).await.unwrap();
    blobs.sweep(store, GRACE_MS, young_no_more()).await.unwrap();
    let nothing = blobs.sweep(store, GRACE_MS, young_no_more()).await.unwrap();
    assert_eq!(nothing, Default::default(), "{what}: swept twice");
    assert_sound(store, what).await;
}

/// How the story ends, whatever happened on the way.
async fn assert_end(process: &Process, left: &Left, what: &str) {
    let Process { store, blobs } = process;
    let store = &**store;
    let account = store.account_by_name("alice").await.unwrap().unwrap().id;
    let page = kinora_store::GenerationPage {
        limit: 100,
        ..Default::default()
    };
    let generations = store.generations(account, page).await.unwrap().items;
    let phases: BTreeMap<_, _> = generations
        .iter()
        .map(|generation| {
            (
                generation.spec.prompt.clone().unwrap_or_default(),
                generation.phase(),
            )
        })
        .collect();
    let expected = [
        ("canceled", Phase::Canceled),
        ("failed", Phase::Failed),
        ("kept", Phase::Succeeded),
        ("removed", Phase::Succeeded),
    ];
    let expected = expected.map(|(prompt, phase)| (prompt.to_owned(), phase));
    assert_eq!(phases, BTreeMap::from(expected), "{what}");
    assert_eq!(generations.len(), 4, "{what}: one generation for each key");

    // 250 given, 80 spent; the subscription paid first, and the rest of it has ended.
    let balance = store.balance(account, START.plus_ms(2 * DAY_MS)).await.unwrap();
    let available = (balance.available.subscription, balance.available.permanent);
    assert_eq!((available, balance.held.total()), ((0, 125), 0), "{what}");
    let entries = store.entries(account, 1000, None).await.unwrap().items;
    let count = |kind| entries.iter().filter(|entry| entry.entry_type == kind).count();
    let counts = [
        EntryType::Grant,
        EntryType::Hold,
        EntryType::Capture,
        EntryType::Release,
    ]
    .map(count);
    assert_eq!(counts, [2, 4, 2, 2], "{what}");
    let spent: i64 = generations
        .iter()
        .map(|generation| generation.usage.total())
        .sum();
    assert_eq!(spent, 80, "{what}");

    let keys = store.keys(None).await.unwrap();
    let revoked: Vec<bool> = keys.iter().map(|key| key.revoked_at.is_some()).collect();
    assert_eq!(revoked, [true, false], "{what}");
    assert_eq!(store.secret("media", [6; 32]).await.unwrap(), [5; 32], "{what}");

    assert_told(store, account, &generations, what).await;

    let mut needed = BTreeSet::new();
    for bytes in ["an input", "the clip of kept", "the poster of kept"] {
        let hash = BlobHash(Sha256::digest(bytes).into());
        assert!(blobs.exists(hash).await.unwrap(), "{what}: {bytes} is lost");
        let (mut file, _) = blobs.open_blob(hash).await.unwrap().unwrap();
        let mut read = String::new();
        file.read_to_string(&mut read).unwrap();
        assert_eq!(read, bytes, "{what}");
        needed.insert(blobs.path(hash));
    }
    let kept: BTreeSet<_> = files(&left.blobs())
        .into_iter()
        .filter(|path| !path.ends_with("lock"))
        .collect();
    assert_eq!(kept, needed, "{what}: files");
    if let Some(bucket) = &left.bucket {
        let objects = bucket.objects("media");
        assert_eq!(objects.len(), needed.len(), "{what}: {objects:?}");
        assert!(
            objects.iter().all(|name| name.starts_with("media/blobs/")),
            "{what}: {objects:?}"
        );
        assert_eq!(bucket.parts(), 0, "{what}: parts of uploads");
    }
}

/// The endpoint was told of every change of phase once, and of each generation in order.
async fn assert_told(store: &dyn Store, account: AccountId, generations: &[Generation], what: &str) {
    let endpoints = store.endpoints(account).await.unwrap();
    assert_eq!(endpoints.len(), 1, "{what}: endpoints");
    assert_eq!(endpoints[0].url, "https://b.example", "{what}");
    let log = store.deliveries(account, endpoints[0].id, 100, None).await;
    let log = log.unwrap().unwrap().items;
    assert!(
        log.iter()
            .all(|delivery| delivery.status == DeliveryStatus::Delivered),
        "{what}: {log:#?}"
    );
    for generation in generations {
        let told: Vec<Phase> = log
            .iter()
            .rev()
            .filter_map(|delivery| delivery.event)
            .filter_map(|(id, phase)| (id == generation.id).then_some(phase))
            .collect();
        let last = generation.phase();
        let expected = match last {
            Phase::Canceled => vec![Phase::Queued, last],
            _ => vec![Phase::Queued, Phase::Running, last],
        };
        assert_eq!(told, expected, "{what}: what was told");
    }
    let tests = log.iter().filter(|delivery| delivery.event.is_none()).count();
    assert_eq!((tests, log.len()), (1, 12), "{what}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

async fn assert_sound(store: &dyn Store, what: &str) {
    let findings = store.audit().await.unwrap();
    assert!(findings.is_empty(), "{what}: {findings:#?}");
}

#[test]
fn every_transaction_has_two_places() {
    let all = CrashPoint::all();
    for name in TransactionName::ALL {
        assert!(
            all.contains(&CrashPoint::BeforeCommit(name)) && all.contains(&CrashPoint::AfterCommit(name))
        );
    }
}

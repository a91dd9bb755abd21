//! A small world for one test: a store with a rich account, blobs, and workers to start.

pub(crate) mod clips;
pub(crate) mod fixtures;
pub(crate) mod flaky;
pub(crate) mod http;
pub(crate) mod upstreams;

use std::{
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use kinora_domain::{
    AccountId, Artifact, Bucket, Catalog, Credits, Draft, Generation, GenerationId, GenerationSpec, GrantId,
    Model, OfferId, Origin, PriceTable, Seed, Source, SpecRules, Split, Status, StoredInput, Timestamp,
    WorkerId, ledger::EntryType, price::ClipLengths,
};
use kinora_engine::{Engine, Fault, TestPattern, TestPatternOptions};
use kinora_media::{
    Toolbox, ToolboxOptions,
    compose::Preset,
    fetch::{AllowedHosts, FetchPolicy, Fetcher},
    sandbox::Launcher,
};
use kinora_store::{
    Account, NewGrant, Store, Submission, Submitted,
    blobs::Blobs,
    sqlite::{SqliteOptions, SqliteStore},
};
use kinora_worker::{
    EngineFactory, Housekeeping, HousekeepingOptions, Identity, PublishBlob, Worker, WorkerOptions,
    WorkerParts, system_clock,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The credits an account starts with.
pub(crate) const WEALTH: u64 = 1_000_000;

pub(crate) static TOOLBOX: LazyLock<Toolbox> = LazyLock::new(|| {
    let launcher = Launcher::new(env!("CARGO_BIN_EXE_kinora-worker-child"));
    Toolbox::find(ToolboxOptions::new(launcher)).expect("these tests need ffmpeg and a kernel with Landlock")
});

pub(crate) const PRICES: PriceTable = PriceTable {
    credits_per_second_720p: 10,
    credits_per_second_1080p: 15,
    billed_input_ms_max: None,
};

pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) blobs: Arc<Blobs>,
    pub(crate) account: AccountId,
    seen_by_worker: Arc<dyn Store>,
    keeper: JoinHandle<()>,
    leaving: CancellationToken,
}

pub(crate) fn now() -> Timestamp {
    system_clock()()
}

impl World {
    pub(crate) async fn new() -> World {
        World::with(None).await
    }

    /// A world whose worker meets a store that stumbles.
    pub(crate) async fn with(stumbles: Option<Arc<flaky::Stumbles>>) -> World {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("kinora.db"), SqliteOptions::default()).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let blobs = Arc::new(Blobs::open(&folder.path().join("blobs")).unwrap());
        let account = AccountId::new(now(), rand::random());
        let row = Account {
            id: account,
            name: "tests".to_owned(),
            running_max: None,
            created_at: now(),
        };
        store.create_account(row).await.unwrap();
        let grant = NewGrant {
            account,
            id: GrantId::new(now(), rand::random()),
            entry_type: EntryType::Purchase,
            bucket: Bucket::Permanent,
            credits: Credits(WEALTH),
            expires_at: None,
            note: None,
        };
        store.grant(grant, now()).await.unwrap();
        let seen_by_worker = match stumbles {
            Some(stumbles) => Arc::new(flaky::Flaky {
                store: Arc::clone(&store),
                stumbles,
            }),
            None => Arc::clone(&store),
        };
        let leaving = CancellationToken::new();
        let keeping = Housekeeping {
            store: Arc::clone(&store),
            blobs: Arc::clone(&blobs),
            options: HousekeepingOptions {
                recover_every: Duration::from_millis(50),
                ..HousekeepingOptions::default()
            },
            clock: system_clock(),
        };
        let token = leaving.clone();
        let keeper = tokio::spawn(async move { keeping.run(token).await });
        World {
            folder,
            store,
            blobs,
            account,
            seen_by_worker,
            keeper,
            leaving,
        }
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.folder.path().join("scratch")
    }

    /// The folder in it of the one worker that is at work.
    pub(crate) fn scratch_of_the_worker(&self) -> PathBuf {
        let mut folders = std::fs::read_dir(self.scratch()).unwrap();
        folders.next().unwrap().unwrap().path()
    }

    /// An upload: the fixture becomes a blob, as the server would keep it.
    pub(crate) fn upload(&self, fixture: &fixtures::Fixture) -> Source {
        let copy = self
            .folder
            .path()
            .join(format!("upload-{}", rand::random::<u64>()));
        std::fs::copy(&fixture.path, &copy).unwrap();
        let (blob, _) = self.blobs.adopt(&copy).unwrap();
        Source::Stored(StoredInput {
            blob,
            origin: Origin::Upload {
                file_name: "upload".to_owned(),
            },
            duration_ms: fixture.duration_ms,
        })
    }

    pub(crate) async fn submit(&self, draft: Draft) -> GenerationId {
        self.submit_for(draft, TestPattern::OFFER).await
    }

    pub(crate) async fn submit_for(&self, draft: Draft, offer: &str) -> GenerationId {
        let spec = spec(draft);
        let price = PRICES.price(&spec, &ClipLengths::of(&spec)).credits;
        let submission = Submission {
            id: GenerationId::new(now(), rand::random()),
            account: self.account,
            model: Model::WanVideo,
            offer: OfferId(offer.to_owned()),
            spec,
            price,
            priority: 0,
            deadline: now().plus_ms(24 * 3600 * 1000),
            queued_max: 100,
            idempotency: None,
            webhook_url: None,
        };
        match self.store.submit(submission, now()).await.unwrap() {
            Submitted::Created(generation) => generation.id,
            other => panic!("not accepted: {other:?}"),
        }
    }

    pub(crate) async fn generation(&self, id: GenerationId) -> Generation {
        self.store
            .generation(id)
            .await
            .unwrap()
            .expect("it was submitted")
    }

    /// Waits until the generation is as wanted.
    pub(crate) async fn wait_for(
        &self,
        id: GenerationId,
        wanted: impl Fn(&Generation) -> bool,
    ) -> Generation {
        let mut watch = self.store.watch(id);
        let patience = Instant::now() + Duration::from_secs(120);
        loop {
            let generation = self.generation(id).await;
            if wanted(&generation) {
                return generation;
            }
            assert!(Instant::now() < patience, "waited in vain: {generation:#?}");
            // The pause is for changes that nobody announces.
            let _ = tokio::time::timeout(Duration::from_millis(200), watch.changed()).await;
        }
    }

    /// Waits for the end, which must be a good one.
    pub(crate) async fn succeeded(&self, id: GenerationId) -> Generation {
        let generation = self
            .wait_for(id, |generation| generation.status.is_terminal())
            .await;
        assert!(
            matches!(generation.status, Status::Succeeded(_)),
            "{:#?}",
            generation.status
        );
        generation
    }

    /// Waits for the end, which must be a failure, and tells its code and message.
    pub(crate) async fn failed(&self, id: GenerationId) -> (&'static str, String) {
        let generation = self
            .wait_for(id, |generation| generation.status.is_terminal())
            .await;
        match generation.status {
            Status::Failed(failure) => (failure.code.as_str(), failure.message),
            status => panic!("not failed: {status:?}"),
        }
    }

    pub(crate) fn video(&self, artifact: &Artifact) -> PathBuf {
        self.blobs.path(artifact.video)
    }

    pub(crate) async fn spent(&self) -> u64 {
        let balance = self.store.balance(self.account, now()).await.unwrap();
        assert_eq!(balance.held, Split::ZERO);
        WEALTH - u64::try_from(balance.available.total()).unwrap()
    }

    /// The books are sound, and no attempt has left a file behind.
    pub(crate) async fn end(self) {
        let scratch = self.scratch();
        self.leaving.cancel();
        self.keeper.await.unwrap();
        assert_eq!(self.store.audit().await.unwrap(), []);
        let left: Vec<_> = std::fs::read_dir(&scratch)
            .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        assert_eq!(left, Vec::<PathBuf>::new());
    }

    /// Starts a worker with well-behaved engines.
    pub(crate) fn work(&self) -> Work {
        self.work_with(test_pattern(TestPatternOptions::default()), |_| {})
    }

    /// Starts a worker whose test pattern fails as told.
    pub(crate) fn work_badly(&self, fault: Fault) -> Work {
        let options = TestPatternOptions {
            fault: Some(fault),
            ..TestPatternOptions::default()
        };
        self.work_with(test_pattern(options), |options| options.retry_ms = 20)
    }

    /// Starts a worker that takes so long for each frame.
    pub(crate) fn work_slowly(&self, frame_delay: Duration, change: impl FnOnce(&mut WorkerOptions)) -> Work {
        let options = TestPatternOptions {
            frame_delay,
            ..TestPatternOptions::default()
        };
        self.work_with(test_pattern(options), change)
    }

    pub(crate) fn work_with(&self, engine: EngineFactory, change: impl FnOnce(&mut WorkerOptions)) -> Work {
        self.work_with_all(vec![engine], change)
    }

    /// Starts a worker with several engines, which are asked in this order.
    pub(crate) fn work_with_all(
        &self,
        engines: Vec<EngineFactory>,
        change: impl FnOnce(&mut WorkerOptions),
    ) -> Work {
        self.start(engines, None, change)
    }

    /// Starts a worker that gives inputs a public URL, at which nobody is.
    pub(crate) fn work_in_public(
        &self,
        engine: EngineFactory,
        change: impl FnOnce(&mut WorkerOptions),
    ) -> Work {
        let publish: PublishBlob =
            Arc::new(|id, blob, extension| format!("https://kinora.example/files/{id}/{blob}.{extension}"));
        self.start(vec![engine], Some(publish), change)
    }

    fn start(
        &self,
        engines: Vec<EngineFactory>,
        publish: Option<PublishBlob>,
        change: impl FnOnce(&mut WorkerOptions),
    ) -> Work {
        let mut options = WorkerOptions::new(self.scratch());
        options.preset = Preset::Superfast;
        change(&mut options);
        let worker = Worker::new(WorkerParts {
            identity: Identity {
                id: WorkerId::new(now(), rand::random()),
                name: "worker".to_owned(),
                version: "test".to_owned(),
            },
            store: Arc::clone(&self.seen_by_worker),
            blobs: Arc::clone(&self.blobs),
            toolbox: TOOLBOX.clone(),
            fetcher: fetcher(),
            catalog: Catalog::new(engines.iter().map(|engine| engine.offer.clone()).collect()).into(),
            engines,
            publish,
            prices: PRICES,
            options,
            clock: system_clock(),
        });
        let worker = worker.unwrap();
        let (shutdown, hurry) = (CancellationToken::new(), CancellationToken::new());
        let orders = (shutdown.clone(), hurry.clone());
        let running = tokio::spawn(async move { worker.run(orders.0, orders.1).await });
        Work {
            shutdown,
            hurry,
            running,
        }
    }
}

/// A worker at work.
pub(crate) struct Work {
    shutdown: CancellationToken,
    hurry: CancellationToken,
    running: JoinHandle<()>,
}

impl Work {
    /// Asks it to finish what it has and to claim nothing more.
    pub(crate) fn take_no_more(&self) {
        self.shutdown.cancel();
    }

    /// Asks it to shut down, and waits until it has.
    pub(crate) async fn end(self) {
        self.shutdown.cancel();
        self.running.await.unwrap();
    }

    /// Asks it to shut down, and to be quick about it.
    pub(crate) async fn end_in_a_hurry(self) {
        self.shutdown.cancel();
        self.hurry.cancel();
        self.running.await.unwrap();
    }

    /// Ends it at once, as a power cut would.
    pub(crate) async fn kill(self) {
        self.running.abort();
        assert!(self.running.await.unwrap_err().is_cancelled());
    }
}

pub(crate) fn fetcher() -> Fetcher {
    let policy = FetchPolicy {
        allow_hosts: AllowedHosts::parse(["127.0.0.1"]).unwrap(),
        ..FetchPolicy::default()
    };
    Fetcher::new(policy).unwrap()
}

pub(crate) fn test_pattern(options: TestPatternOptions) -> EngineFactory {
    let offer = TestPattern::new(options.clone()).offer().clone();
    EngineFactory::new(offer, move || Ok(Box::new(TestPattern::new(options.clone()))))
}

/// The spec of a draft; 720p unless it says otherwise, to spare the encoder.
pub(crate) fn spec(mut draft: Draft) -> GenerationSpec {
    draft.resolution.get_or_insert_with(|| "720p".to_owned());
    let rules = SpecRules {
        offer: &|_| None,
        url_problem: &|_| None,
        drawn_seed: Seed::from_entropy(7),
    };
    GenerationSpec::parse(draft, &rules).unwrap()
}

/// A text request for two seconds.
pub(crate) fn text() -> Draft {
    Draft {
        prompt: Some("A paper boat crosses a rain puddle".to_owned()),
        duration: Some(2),
        ..Draft::default()
    }
}

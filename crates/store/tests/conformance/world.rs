//! A store with a clock to set, ids to draw, and the requests that most scenarios begin with.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use kinora_domain::{
    AccountId, Artifact, BlobHash, Bucket, Credits, Failure, FailureCode, Feature, FrameSize, Generation,
    GenerationId, GenerationSpec, GrantId, Model, OfferId, Origin, Progress, Resolution, Seed, Source, Split,
    Stage, StoredInput, Success, Timestamp, WorkerId, Workflow, ledger::EntryType,
};
use kinora_store::{
    Account, Claim, Claimed, Finished, Heartbeat, Idempotency, LeaseKey, NewGrant, Outcome, Recovered, Store,
    Submission, Submitted,
};

/// Noon of some day.
pub(crate) const START: Timestamp = Timestamp(1_795_348_800_000);

/// How long leases are.
pub(crate) const LEASE_MS: u64 = 60_000;

/// How long a generation may take.
pub(crate) const DEADLINE_MS: u64 = 3_600_000;

/// How many attempts there are.
pub(crate) const ATTEMPTS_MAX: u32 = 3;

/// A store, and the time in it.
pub(crate) struct World {
    pub store: Arc<dyn Store>,
    now: AtomicI64,
    drawn: AtomicU64,
}

impl World {
    pub(crate) fn new(store: Arc<dyn Store>) -> World {
        World::at(store, START)
    }

    pub(crate) fn at(store: Arc<dyn Store>, now: Timestamp) -> World {
        World {
            store,
            now: AtomicI64::new(now.0),
            drawn: AtomicU64::new(0),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::Relaxed))
    }

    pub(crate) fn wait_ms(&self, ms: u64) {
        self.now.store(self.now().plus_ms(ms).0, Ordering::Relaxed);
    }

    /// Ids of one world increase in the order in which they are drawn, even at one time.
    pub(crate) fn draw(&self) -> u128 {
        u128::from(self.drawn.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) async fn account(&self, name: &str) -> AccountId {
        self.account_with_cap(name, None).await
    }

    pub(crate) async fn account_with_cap(&self, name: &str, running_max: Option<u32>) -> AccountId {
        let id = AccountId::new(self.now(), self.draw());
        let name = name.to_owned();
        let created_at = self.now();
        let account = Account {
            id,
            name,
            running_max,
            created_at,
        };
        self.store.create_account(account).await.unwrap();
        id
    }

    /// An account with a million credits that never end.
    pub(crate) async fn rich_account(&self, name: &str) -> AccountId {
        let account = self.account(name).await;
        self.grant(account, Bucket::Permanent, 1_000_000, None).await;
        account
    }

    pub(crate) fn new_grant(
        &self,
        account: AccountId,
        bucket: Bucket,
        credits: u64,
        expires_at: Option<Timestamp>,
    ) -> NewGrant {
        NewGrant {
            account,
            id: GrantId::new(self.now(), self.draw()),
            entry_type: EntryType::Grant,
            bucket,
            credits: Credits(credits),
            expires_at,
            note: Some("a present".to_owned()),
        }
    }

    pub(crate) async fn grant(
        &self,
        account: AccountId,
        bucket: Bucket,
        credits: u64,
        expires_at: Option<Timestamp>,
    ) {
        let grant = self.new_grant(account, bucket, credits, expires_at);
        self.store.grant(grant, self.now()).await.unwrap();
    }

    /// What most clients send: 50 credits, offer `wan`.
    pub(crate) fn submission(&self, account: AccountId) -> Submission {
        Submission {
            id: GenerationId::new(self.now(), self.draw()),
            account,
            model: Model::WanVideo,
            offer: OfferId("wan".to_owned()),
            spec: spec(Workflow::Text { audio: None }),
            price: Credits(50),
            priority: 0,
            deadline: self.now().plus_ms(DEADLINE_MS),
            queued_max: 10_000,
            idempotency: None,
            webhook_url: Some("https://example.com/hook".to_owned()),
        }
    }

    pub(crate) async fn try_submit(&self, submission: Submission) -> Submitted {
        self.store.submit(submission, self.now()).await.unwrap()
    }

    pub(crate) async fn submit(&self, submission: Submission) -> Generation {
        match self.try_submit(submission).await {
            Submitted::Created(generation) => generation,
            other => panic!("not created but {other:?}"),
        }
    }

    pub(crate) async fn submit_one(&self, account: AccountId) -> Generation {
        self.submit(self.submission(account)).await
    }

    pub(crate) async fn try_claim(&self, offers: &[&str], running_max: u32) -> Option<Claimed> {
        let claim = Claim {
            worker: WorkerId::new(self.now(), self.draw()),
            offers: offers.iter().map(|offer| OfferId((*offer).to_owned())).collect(),
            lease_ms: LEASE_MS,
            running_max,
        };
        self.store.claim(claim, self.now()).await.unwrap()
    }

    pub(crate) async fn claim(&self) -> Claimed {
        self.try_claim(&["wan"], 1000).await.expect("something waits")
    }

    /// Submits and claims one; it must be the only one that waits.
    pub(crate) async fn running(&self, account: AccountId) -> Claimed {
        let submitted = self.submit_one(account).await;
        let claimed = self.claim().await;
        assert_eq!(claimed.generation.id, submitted.id);
        claimed
    }

    pub(crate) async fn finish(&self, lease: LeaseKey, outcome: Outcome) -> Generation {
        match self.store.finish(lease, outcome, self.now()).await.unwrap() {
            Finished::Settled(generation) => generation,
            Finished::LeaseLost => panic!("the lease was lost"),
        }
    }

    pub(crate) async fn heartbeat(&self, lease: LeaseKey, stage: Stage, fraction: f32) -> Heartbeat {
        let progress = Some(Progress { stage, fraction });
        self.store
            .heartbeat(lease, progress, LEASE_MS, self.now())
            .await
            .unwrap()
    }

    pub(crate) async fn recover(&self) -> Recovered {
        self.store.recover(ATTEMPTS_MAX, self.now()).await.unwrap()
    }

    pub(crate) async fn generation(&self, id: GenerationId) -> Generation {
        self.store
            .generation(id)
            .await
            .unwrap()
            .expect("it was submitted")
    }

    /// Subscription and permanent, available and held.
    pub(crate) async fn balance(&self, account: AccountId) -> [i64; 4] {
        let balance = self.store.balance(account, self.now()).await.unwrap();
        let Split {
            subscription,
            permanent,
        } = balance.available;
        [
            subscription,
            permanent,
            balance.held.subscription,
            balance.held.permanent,
        ]
    }

    /// The account's entries, oldest first: type, subscription, permanent.
    pub(crate) async fn entries(&self, account: AccountId) -> Vec<(&'static str, i64, i64)> {
        let page = self.store.entries(account, 100_000, None).await.unwrap();
        assert!(!page.has_more);
        let entries = page.items.iter().rev();
        entries
            .map(|entry| {
                (
                    entry.entry_type.as_str(),
                    entry.amount.subscription,
                    entry.amount.permanent,
                )
            })
            .collect()
    }

    pub(crate) async fn assert_sound(&self, after: &str) {
        let findings = self.store.audit().await.unwrap();
        assert!(findings.is_empty(), "after {after}: {findings:#?}");
    }
}

pub(crate) fn spec(workflow: Workflow) -> GenerationSpec {
    GenerationSpec {
        feature: Feature::TextImage,
        workflow,
        prompt: Some("Fog over a harbour".to_owned()),
        negative_prompt: None,
        aspect_ratio: None,
        resolution: Resolution::P720,
        duration_s: 5,
        prompt_expansion: true,
        seed: Seed::from_entropy(7),
        n: 1,
    }
}

pub(crate) fn blob(byte: u8) -> BlobHash {
    BlobHash([byte; 32])
}

pub(crate) fn upload(byte: u8) -> Source {
    Source::Stored(StoredInput {
        blob: blob(byte),
        origin: Origin::Upload {
            file_name: "cat.png".to_owned(),
        },
        duration_ms: None,
    })
}

/// A clip with `blob(byte)` as its video and `blob(byte + 1)` as its poster, charged as given.
pub(crate) fn succeeded(byte: u8, charged: u64) -> Outcome {
    let artifact = Artifact {
        video: blob(byte),
        poster: blob(byte + 1),
        video_bytes: 1_234_567,
        size: FrameSize {
            width: 1280,
            height: 720,
        },
        num_frames: 150,
        seed: Seed::from_entropy(7),
    };
    Outcome::Succeeded {
        success: Success {
            artifacts: vec![artifact],
            actual_prompt: Some("Fog over a harbour, gulls".to_owned()),
            warnings: Vec::new(),
        },
        charged: Credits(charged),
    }
}

pub(crate) fn failed(retry_at: Option<Timestamp>) -> Outcome {
    Outcome::Failed {
        failure: Failure {
            code: FailureCode::EngineFailed,
            message: "The engine failed.".to_owned(),
        },
        retry_at,
    }
}

pub(crate) fn idempotency(scope: &str, key: &str, payload: u8) -> Option<Idempotency> {
    Some(Idempotency {
        scope: scope.to_owned(),
        key: key.to_owned(),
        payload: [payload; 32],
    })
}

//! Keeps everything that must survive: generations, the ledger, keys, and blobs.
//!
//! [`Store`] is the whole of it. Each method that changes something is one transaction, and these are all the
//! transactions there are:
//!
//! | method | in one transaction |
//! |---|---|
//! | [`Store::submit`] | idempotency look-up, cap on queued, hold, queued row, event |
//! | [`Store::claim`] | the next generation in fair order becomes running under a lease, event |
//! | [`Store::heartbeat`] | the lease is renewed, progress is kept, a wish to cancel is seen |
//! | [`Store::note`] | what an attempt leaves behind for the next one, guarded by the lease |
//! | [`Store::keep_preview`] | a picture of the clip as it stands, guarded by the lease |
//! | [`Store::finish`] | the worker's outcome: status, capture or release, event, guarded by the lease |
//! | [`Store::cancel`] | queued: canceled and released; running: the wish is kept |
//! | [`Store::remove_media`] | blobs are let go, the ledger and the metadata stay |
//! | [`Store::recover`] | expired leases, passed deadlines and due retries, one generation each |
//! | [`Store::grant`], [`Store::expire_grants`] | entries of the ledger |
//! | [`Store::create_account`], [`Store::create_key`], [`Store::revoke_key`] | who may ask |
//! | [`Webhooks::create_endpoint`], [`Webhooks::change_endpoint`], [`Webhooks::remove_endpoint`] | where webhooks go |
//! | [`Webhooks::test_endpoint`], [`Webhooks::replay_delivery`] | a delivery is queued by hand |
//! | [`Webhooks::claim_deliveries`] | what is due is taken under leases |
//! | [`Webhooks::record_try`] | what came of a try, guarded by the lease; the next try, or the end |
//! | [`Webhooks::forget_deliveries`] | the log's old end |
//! | [`Workers::announce`], [`Workers::take_leave`], [`Workers::tell_workers`] | who works, and who is not to |
//! | [`Workers::forget_workers`] | the silent, and the old |
//! | [`Workers::count_request`] | one request of a key, on all nodes together |
//!
//! Every transaction that changes the phase of a generation also queues the deliveries that tell of it.
//!
//! All that is written once, in `transactions`, over a connection of [`sqlite`], the embedded back end, or of
//! [`postgres`], the one for many nodes; the suite in `tests/conformance` states what any back end must do.
//! An installation moves from one to the other by [`moving`].
//! Bytes are kept by [`blobs`]. No SQL is written anywhere else in the project, and nothing here knows HTTP.

use std::sync::Arc;

use async_trait::async_trait;
use kinora_domain::{
    AccountId, BlobHash, Bucket, Credits, EntryId, Failure, Generation, GenerationId, GenerationSpec,
    GrantId, KeyId, Model, OfferId, Phase, Progress, Split, Stage, Success, Timestamp, WorkerId,
    ledger::{EntryType, Insufficient},
};
use tokio::sync::{Notify, watch};

pub mod blobs;
pub mod moving;
pub mod postgres;
pub mod sqlite;

mod bells;
mod crash;
mod database;
mod error;
mod rows;
mod sql;
mod transactions;
mod webhooks;
mod workers;

pub use crash::{CrashHook, CrashPoint, TransactionName};
pub use database::{Database, DatabaseNameError};
pub use error::{DatabaseError, Relocation, StoreError};
pub use webhooks::{
    Delivery, DeliveryStatus, DueDelivery, Endpoint, EndpointChange, Secrets, Try, TryOutcome, Verdict,
    Webhooks,
};
pub use workers::{Counted, CountedRequest, OldWorkers, Workers};

/// A result of the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Everything that is kept, and every change to it. What is kept of webhooks and of workers has traits of its own,
/// [`Webhooks`] and [`Workers`].
#[async_trait]
pub trait Store: Webhooks + Workers + Send + Sync + 'static {
    // ---- who may ask --------------------------------------------------------------------------------

    /// Keeps a new account. [`StoreError::NameTaken`] if the name is in use.
    async fn create_account(&self, account: Account) -> Result<()>;
    /// The account of that name.
    async fn account_by_name(&self, name: &str) -> Result<Option<Account>>;
    /// One account.
    async fn account(&self, id: AccountId) -> Result<Option<Account>>;
    /// All accounts, oldest first.
    async fn accounts(&self) -> Result<Vec<Account>>;
    /// Keeps a new key.
    async fn create_key(&self, key: Key) -> Result<()>;
    /// The key with this hash of its secret, revoked ones included.
    async fn key_by_hash(&self, hash: [u8; 32]) -> Result<Option<Key>>;
    /// All keys, oldest first; of one account where one is given.
    async fn keys(&self, account: Option<AccountId>) -> Result<Vec<Key>>;
    /// Revokes a key; false if there is none or it is revoked already.
    async fn revoke_key(&self, id: KeyId, now: Timestamp) -> Result<bool>;
    /// The secret of that name, made from `fresh` and kept when there is none: the same on every node.
    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32]>;

    // ---- the life of a generation --------------------------------------------------------------------

    /// Accepts a generation: finds its idempotency key, holds its price, queues it. All or nothing.
    async fn submit(&self, submission: Submission, now: Timestamp) -> Result<Submitted>;
    /// The next generation for a worker, running under its lease; `None` when nothing waits for it.
    ///
    /// Fair between accounts: within a priority, accounts take turns, whatever the length of their queues.
    /// Within an account and priority, first come, first served. An account at its running cap is passed over.
    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Option<Claimed>>;
    /// Renews a lease to `now + lease_ms` and keeps the progress, which never decreases.
    async fn heartbeat(
        &self,
        lease: LeaseKey,
        progress: Option<Progress>,
        lease_ms: u64,
        now: Timestamp,
    ) -> Result<Heartbeat>;
    /// Keeps what an attempt leaves behind, in place of its last word about the same clip: the next attempt with the same
    /// offer finds it in [`Claimed::notes`], whatever becomes of this one. A lost lease writes nothing.
    async fn note(&self, lease: LeaseKey, note: Note, now: Timestamp) -> Result<Noted>;
    /// Keeps what the clip of a running generation looks like so far, a JPEG, in place of the picture before; it goes with the
    /// end of the generation. A lost lease writes nothing. [`StoreError::TooLarge`] beyond [`PREVIEW_BYTES_MAX`].
    async fn keep_preview(&self, lease: LeaseKey, jpeg: Vec<u8>) -> Result<Noted>;
    /// Settles what a worker has to say at the end of its attempt. A lost lease writes nothing.
    async fn finish(&self, lease: LeaseKey, outcome: Outcome, now: Timestamp) -> Result<Finished>;
    /// Asks for an end. `None` if the account has no such generation.
    async fn cancel(&self, account: AccountId, id: GenerationId, now: Timestamp) -> Result<Option<Canceled>>;
    /// Lets go of a terminal generation's media. `None` if the account has no such generation.
    async fn remove_media(
        &self,
        account: AccountId,
        id: GenerationId,
        now: Timestamp,
    ) -> Result<Option<MediaRemoved>>;
    /// Repairs what time has broken: expired leases go back to the queue or fail, passed deadlines fail, due
    /// retries become claimable. Also forgets idempotency keys past their life.
    async fn recover(&self, attempts_max: u32, now: Timestamp) -> Result<Recovered>;

    /// One generation, of whatever account.
    async fn generation(&self, id: GenerationId) -> Result<Option<Generation>>;
    /// What its clip looks like so far, where its worker has shown that; nothing once it has ended.
    async fn preview(&self, id: GenerationId) -> Result<Option<Preview>>;
    /// One page of an account's generations.
    async fn generations(&self, account: AccountId, page: GenerationPage) -> Result<Page<Generation>>;
    /// Changes of status after `after_seq`, oldest first.
    async fn status_events(&self, id: GenerationId, after_seq: u64) -> Result<Vec<StatusEvent>>;
    /// Terminal generations finished before `before` whose media are still there, for retention; at most `limit`.
    async fn with_media_finished_before(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<(AccountId, GenerationId)>>;

    // ---- the ledger ----------------------------------------------------------------------------------

    /// Gives credits to an account.
    async fn grant(&self, grant: NewGrant, now: Timestamp) -> Result<EntryId>;
    /// Writes off what is left of grants that have ended; tells how many.
    async fn expire_grants(&self, now: Timestamp) -> Result<u64>;
    /// What an account can spend and what it has set aside.
    async fn balance(&self, account: AccountId, now: Timestamp) -> Result<Balance>;
    /// One page of an account's entries, newest first. The cursor is an entry's position.
    async fn entries(&self, account: AccountId, limit: usize, before: Option<i64>) -> Result<Page<Entry>>;
    /// Everything in the books that contradicts the invariants; empty when they are sound.
    async fn audit(&self) -> Result<Vec<Finding>>;

    // ---- watching ------------------------------------------------------------------------------------

    /// Changes whenever something a client can see of the generation has changed, by whatever process.
    /// The value is of no meaning; read the generation again.
    fn watch(&self, id: GenerationId) -> watch::Receiver<u64>;
    /// Rings when something may have become claimable.
    fn queue_bell(&self) -> Arc<Notify>;
    /// How much waits and runs, in all.
    async fn queue_depth(&self) -> Result<QueueDepth>;
    /// Whether any live generation or kept media refers to these bytes.
    async fn is_referenced(&self, blob: BlobHash) -> Result<bool>;
    /// A cheap question to the database, for readiness.
    async fn ping(&self) -> Result<()>;
}

/// Whose generations, keys and credits; the wire calls it a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its name, unique.
    pub name: String,
    /// How many of its generations may run at once; `None` takes the configured cap.
    pub running_max: Option<u32>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An API key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// Whose it is.
    pub account: AccountId,
    /// What people call it.
    pub name: String,
    /// SHA-256 of the secret, which is random enough to need no salt.
    pub hash: [u8; 32],
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything an account can do.
    Full,
    /// Look, but neither create, cancel nor delete.
    Read,
}

impl Scope {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Full => "full",
            Scope::Read => "read",
        }
    }
}

/// A generation to be accepted.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Its id.
    pub id: GenerationId,
    /// Who asks.
    pub account: AccountId,
    /// The model it was posted to.
    pub model: Model,
    /// The offer that will run it.
    pub offer: OfferId,
    /// What is to be made. Stored inputs in it become references to their blobs.
    pub spec: GenerationSpec,
    /// What to hold.
    pub price: Credits,
    /// Higher runs earlier.
    pub priority: i32,
    /// When it fails unless it has finished.
    pub deadline: Timestamp,
    /// How many of the account's generations may be queued at once.
    pub queued_max: u32,
    /// The client's idempotency key, if it sent one.
    pub idempotency: Option<Idempotency>,
    /// Where the client wants to be told, besides its configured endpoints.
    pub webhook_url: Option<String>,
}

/// A client's promise that requests under one key are one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Method and path.
    pub scope: String,
    /// The key, without quotes.
    pub key: String,
    /// Hash of the canonical payload.
    pub payload: [u8; 32],
}

/// How long an idempotency key is remembered.
pub const IDEMPOTENCY_LIFE_MS: u64 = 24 * 3600 * 1000;

/// What became of a submission.
#[derive(Debug, Clone)]
pub enum Submitted {
    /// It is queued.
    Created(Generation),
    /// The key and the payload are known: this is the generation of the first request, as it is now.
    Replayed(Generation),
    /// The key is known for another payload.
    KeyReused,
    /// The balance does not cover the price.
    Insufficient(Insufficient),
    /// The account has this many queued, which is the most.
    QueueFull(u32),
}

/// A worker's wish for work.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Who asks.
    pub worker: WorkerId,
    /// What it can run.
    pub offers: Vec<OfferId>,
    /// How long the lease is without a heartbeat.
    pub lease_ms: u64,
    /// How many of one account's generations may run at once, where the account has no cap of its own.
    pub running_max: u32,
}

/// A generation with the right to run it.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The generation, running.
    pub generation: Generation,
    /// What every later word about it must carry.
    pub lease: LeaseKey,
    /// Attempts made so far, this one included.
    pub attempts: u32,
    /// What earlier attempts with this offer have left behind, in the order of the clips.
    pub notes: Vec<Note>,
    /// The offer that it waited for first: another one than its own where it was passed on.
    pub first_offer: OfferId,
}

/// What an attempt leaves behind about one clip, in its engine's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Which clip of a generation that makes several, from 0.
    pub clip: u8,
    /// The words.
    pub text: String,
}

/// What the clip of a generation looks like so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Which of its pictures this is: a later one has a higher number.
    pub number: u64,
    /// The picture.
    pub jpeg: Vec<u8>,
}

/// The largest picture that is kept, in bytes.
pub const PREVIEW_BYTES_MAX: usize = 48 * 1024;

/// What became of a note, or of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// It is kept.
    Kept,
    /// The lease was lost; nothing was written.
    LeaseLost,
}

/// A generation and the fencing token of one lease on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseKey {
    /// The generation.
    pub generation: GenerationId,
    /// The token.
    pub token: u64,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heartbeat {
    /// Go on.
    Renewed,
    /// Stop: the client asked for an end. The lease is renewed.
    CancelRequested,
    /// Stop and write nothing: the lease is lost.
    LeaseLost,
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// With a result. `charged` is the exact price; never more than the hold is captured.
    Succeeded {
        /// The result.
        success: Success,
        /// The exact price.
        charged: Credits,
    },
    /// Without one; `retry_at` is when another try may help.
    Failed {
        /// Why.
        failure: Failure,
        /// When to try again.
        retry_at: Option<Timestamp>,
    },
    /// Without one; another offer is to try next.
    PassedOn {
        /// Why.
        failure: Failure,
        /// When it may try.
        retry_at: Timestamp,
        /// Which.
        offer: OfferId,
    },
    /// Stopped because the client asked for it.
    Stopped,
    /// Given back untried, by a worker that shuts down.
    GivenBack,
}

/// What became of an outcome.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "nearly every finish settles")]
pub enum Finished {
    /// It is settled; this is the generation now.
    Settled(Generation),
    /// The lease was lost; nothing was written.
    LeaseLost,
}

/// What became of a wish to cancel.
#[derive(Debug, Clone)]
pub enum Canceled {
    /// It was queued, or canceled before: canceled now.
    Done(Generation),
    /// It runs; its worker will stop.
    Requested(Generation),
    /// It had succeeded or failed before.
    AlreadyFinished(Generation),
}

/// What became of a wish to remove media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaRemoved {
    /// They are gone, now or before.
    Done,
    /// It is still queued or running.
    NotFinished,
}

/// What [`Store::recover`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Leases that had expired and went back to the queue.
    pub requeued: Vec<GenerationId>,
    /// Generations failed for their deadline or for their attempts, or canceled.
    pub ended: Vec<GenerationId>,
}

/// Which generations to list.
#[derive(Debug, Clone, Default)]
pub struct GenerationPage {
    /// Only those in one of these phases; empty is all.
    pub phases: Vec<Phase>,
    /// At most so many.
    pub limit: usize,
    /// In which order.
    pub order: Order,
    /// Only those behind this one, in that order.
    pub behind: Option<GenerationId>,
    /// Whether those without their media are among them.
    pub removed: Removed,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By age, the youngest first.
    #[default]
    NewestFirst,
    /// By age, the oldest first.
    OldestFirst,
}

/// What a list does with generations whose media were removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Removed {
    /// They are listed as any other.
    #[default]
    Listed,
    /// They are left out.
    LeftOut,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether there are more behind them.
    pub has_more: bool,
}

/// A change of status, kept for clients that subscribe again.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusEvent {
    /// Its number, increasing within the generation.
    pub seq: u64,
    /// The phase it led to.
    pub phase: Phase,
    /// What was being done.
    pub stage: Stage,
    /// How much was behind.
    pub fraction: f32,
    /// When.
    pub at: Timestamp,
}

/// Credits to be given.
#[derive(Debug, Clone)]
pub struct NewGrant {
    /// To whom.
    pub account: AccountId,
    /// The grant's id.
    pub id: GrantId,
    /// [`EntryType::Grant`], [`EntryType::Purchase`] or [`EntryType::Adjust`].
    pub entry_type: EntryType,
    /// Into which bucket.
    pub bucket: Bucket,
    /// How many.
    pub credits: Credits,
    /// When what is left of it is lost.
    pub expires_at: Option<Timestamp>,
    /// What the operator wrote about it.
    pub note: Option<String>,
}

/// What an account has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// What can be spent.
    pub available: Split,
    /// What live generations have set aside.
    pub held: Split,
}

/// One entry of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: EntryId,
    /// Its position, increasing with time; the cursor of lists.
    pub position: i64,
    /// What it records.
    pub entry_type: EntryType,
    /// The generation it belongs to.
    pub generation: Option<GenerationId>,
    /// What it moves.
    pub amount: Split,
    /// What the operator wrote about it.
    pub note: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

/// A contradiction that the audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The invariant: `one hold a generation` …
    pub invariant: String,
    /// What it is about: an id.
    pub subject: String,
    /// What is wrong with it.
    pub detail: String,
}

/// How much waits and runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Waiting.
    pub queued: u64,
    /// Running.
    pub running: u64,
    /// When the one that waits longest was submitted.
    pub oldest_queued_at: Option<Timestamp>,
}

//! What is kept of workers: who there is, what was offered, what attempts took; and what follows from it for the queue.

use async_trait::async_trait;
use kinora_domain::{
    Announcement, KeyId, OfferFigures, SeenOffer, SeenWorker, Timestamp, WorkerId, WorkerState,
};
use tokio::sync::watch;

use crate::Result;

/// Who works, how it goes, and who asks how often: what nodes have to know of each other.
#[async_trait]
pub trait Workers {
    /// Keeps that a worker is there, with what it tells of itself; what it is to do. One that says that it drains does so
    /// from then on; one that says that it works goes on as it was told.
    async fn announce(&self, worker: Announcement, state: WorkerState, now: Timestamp)
    -> Result<WorkerState>;
    /// A worker has ended in good order.
    async fn take_leave(&self, worker: WorkerId) -> Result<()>;
    /// Tells workers, by id or name, what to do; tells how many there are.
    async fn tell_workers(&self, name: &str, state: WorkerState) -> Result<u64>;
    /// What one worker is told to do; `None` where it is not known.
    async fn worker_state(&self, worker: WorkerId) -> Result<Option<WorkerState>>;
    /// All workers that have announced themselves and not taken leave, by name.
    async fn workers(&self) -> Result<Vec<SeenWorker>>;
    /// All offers that are remembered.
    async fn offers(&self) -> Result<Vec<SeenOffer>>;
    /// Forgets what is older; tells how many rows that were.
    async fn forget_workers(&self, old: OldWorkers) -> Result<u64>;
    /// What waits, runs, and has ended since `since`, for each offer that anything is known of, in the order of their names.
    async fn figures(&self, since: Timestamp) -> Result<Vec<OfferFigures>>;
    /// Changes whenever a worker comes, goes, or is told something, by whatever process.
    fn watch_workers(&self) -> watch::Receiver<u64>;

    /// Counts a request of a key, on all nodes together.
    async fn count_request(&self, request: CountedRequest, now: Timestamp) -> Result<Counted>;
}

/// Before which moments things are forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldWorkers {
    /// Workers that have not been heard of since.
    pub workers: Timestamp,
    /// Offers that no worker has announced since.
    pub offers: Timestamp,
    /// Attempts that have ended before.
    pub attempts: Timestamp,
    /// Buckets of requests that have been full since.
    pub requests: Timestamp,
}

/// A request to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountedRequest {
    /// Whose it is.
    pub key: KeyId,
    /// What it is counted as; each kind has a bucket of its own.
    pub kind: &'static str,
    /// How many of them a minute there may be, spread over it or at once.
    pub per_minute: u32,
}

/// What the count of a request says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// It may go on; so many more may follow at once.
    Within {
        /// How many.
        remaining: u32,
    },
    /// It is one too many, and was not counted.
    TooMany {
        /// When the next one may come.
        wait_ms: u64,
    },
}

//! What is kept of webhooks: endpoints, the deliveries that are due to them, and what came of each try.

use std::sync::Arc;

use async_trait::async_trait;
use kinora_domain::{AccountId, DeliveryId, EndpointId, Generation, GenerationId, Phase, Timestamp};
use tokio::sync::Notify;

use crate::{Page, Result};

/// Where clients are told what becomes of their generations, and what they are still to be told. Deliveries are
/// queued by the transactions of [`Store`](crate::Store) that change a phase.
#[async_trait]
pub trait Webhooks {
    /// Keeps a new endpoint; false if its account has `endpoints_max` already.
    async fn create_endpoint(&self, endpoint: Endpoint, endpoints_max: u32) -> Result<bool>;
    /// One endpoint of an account.
    async fn endpoint(&self, account: AccountId, id: EndpointId) -> Result<Option<Endpoint>>;
    /// The endpoints of an account, oldest first.
    async fn endpoints(&self, account: AccountId) -> Result<Vec<Endpoint>>;
    /// Changes an endpoint; the endpoint as it is then. What waits for one that is enabled again goes on.
    async fn change_endpoint(
        &self,
        account: AccountId,
        id: EndpointId,
        change: EndpointChange,
    ) -> Result<Option<Endpoint>>;
    /// Removes an endpoint and drops what waits for it; false if the account has no such endpoint.
    async fn remove_endpoint(&self, account: AccountId, id: EndpointId, now: Timestamp) -> Result<bool>;
    /// Queues a test event for an endpoint. `None` if the account has no such endpoint.
    async fn test_endpoint(
        &self,
        account: AccountId,
        id: EndpointId,
        now: Timestamp,
    ) -> Result<Option<DeliveryId>>;
    /// One page of an endpoint's deliveries, newest first. `None` if the account has no such endpoint.
    async fn deliveries(
        &self,
        account: AccountId,
        id: EndpointId,
        limit: usize,
        before: Option<i64>,
    ) -> Result<Option<Page<Delivery>>>;
    /// Begins a delivery anew, whatever has become of it; false if the endpoint has no such delivery.
    async fn replay_delivery(
        &self,
        account: AccountId,
        endpoint: EndpointId,
        id: DeliveryId,
        now: Timestamp,
    ) -> Result<bool>;
    /// Takes up to `limit` deliveries that are due, each under a lease; few at once of one endpoint. The events of a
    /// generation are first tried in their order.
    async fn claim_deliveries(&self, limit: u32, lease_ms: u64, now: Timestamp) -> Result<Vec<DueDelivery>>;
    /// Keeps what came of a try; false, and nothing is written, if the lease is lost.
    async fn record_try(
        &self,
        id: DeliveryId,
        token: u64,
        outcome: TryOutcome,
        now: Timestamp,
    ) -> Result<bool>;
    /// Forgets deliveries that ended before `before`, and endpoints of which nothing is left; tells how many.
    async fn forget_deliveries(&self, before: Timestamp) -> Result<u64>;
    /// When the next delivery is due.
    async fn next_delivery_at(&self) -> Result<Option<Timestamp>>;
    /// Rings when a delivery may have become due.
    fn delivery_bell(&self) -> Arc<Notify>;
}

/// Where an account is told what becomes of its generations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Whose it is.
    pub account: AccountId,
    /// Where it is.
    pub url: String,
    /// What it is told of; empty is all.
    pub events: Vec<Phase>,
    /// What people wrote about it.
    pub description: String,
    /// Whether it is told anything. What was still to be told when it was disabled waits.
    pub enabled: bool,
    /// Whether it answered 410, which disabled it.
    pub gone: bool,
    /// What signs its deliveries.
    pub secrets: Secrets,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The secret of an endpoint, and the one before while both are good.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secrets {
    /// The one that signs.
    pub current: [u8; 32],
    /// The one that signs beside it, and until when.
    pub previous: Option<([u8; 32], Timestamp)>,
}

/// A log never shows them.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// What of an endpoint is to be different; `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointChange {
    /// Where it is.
    pub url: Option<String>,
    /// What it is told of.
    pub events: Option<Vec<Phase>>,
    /// What people wrote about it.
    pub description: Option<String>,
    /// Whether it is told anything.
    pub enabled: Option<bool>,
    /// A new secret; the present one signs beside it until then.
    pub secret: Option<([u8; 32], Timestamp)>,
}

/// One event on its way to one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Its id, the same over all tries.
    pub id: DeliveryId,
    /// Its position, increasing with time; the cursor of lists.
    pub position: i64,
    /// What it tells: a generation, and what it had become. `None` is a test.
    pub event: Option<(GenerationId, Phase)>,
    /// When that happened.
    pub created_at: Timestamp,
    /// What has become of it.
    pub status: DeliveryStatus,
    /// When it is tried next.
    pub next_try_at: Option<Timestamp>,
    /// What came of the tries so far.
    pub tries: Vec<Try>,
}

/// What has become of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// It waits for its first or next try.
    Pending,
    /// The endpoint took it.
    Delivered,
    /// The last of its tries failed.
    GivenUp,
    /// Its endpoint has answered 410 or was removed.
    Dropped,
}

/// What came of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub latency_ms: u64,
    /// The HTTP status; `None` without an answer.
    pub status: Option<u16>,
    /// The first bytes of the answer.
    pub answer: String,
    /// Why it failed.
    pub error: Option<String>,
    /// When the next one is made, if any.
    pub next_try_at: Option<Timestamp>,
}

/// A delivery that is to be tried now.
#[derive(Debug, Clone)]
pub struct DueDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// The right to say what came of it.
    pub token: u64,
    /// Whose it is.
    pub account: AccountId,
    /// To which endpoint.
    pub endpoint: EndpointId,
    /// Where that is.
    pub url: String,
    /// What signs it; `None` is the account's signing secret.
    pub secrets: Option<Secrets>,
    /// What it tells: a generation as it is now, and what it had become. `None` is a test.
    pub event: Option<(Generation, Phase)>,
    /// When that happened.
    pub created_at: Timestamp,
    /// How many tries have failed since it was last begun.
    pub failed: u32,
}

/// What came of a try, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TryOutcome {
    /// What came of it; its `next_try_at` follows from the verdict.
    pub tried: Try,
    /// What becomes of the delivery.
    pub verdict: Verdict,
    /// Until when the endpoint is left alone, because it asked for less.
    pub hold_until: Option<Timestamp>,
}

/// What becomes of a delivery after a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The endpoint took it.
    Delivered,
    /// It is tried again then.
    Again(Timestamp),
    /// It is not tried again.
    GivenUp,
    /// The endpoint answered 410: it is disabled, and everything that waits for it is dropped.
    Gone,
}

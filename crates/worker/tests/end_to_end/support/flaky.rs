//! A store that fails as often as it is told to, and else is the real one.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use kinora_domain::{
    AccountId, Announcement, BlobHash, DeliveryId, EndpointId, EntryId, Generation, GenerationId, KeyId,
    OfferFigures, Progress, SeenOffer, SeenWorker, Timestamp, WorkerId, WorkerState,
};
use kinora_store::{
    Account, Balance, Canceled, Claim, Claimed, Counted, CountedRequest, Delivery, DueDelivery, Endpoint,
    EndpointChange, Entry, Finding, Finished, GenerationPage, Heartbeat, Key, LeaseKey, MediaRemoved,
    NewGrant, Note, Noted, OldWorkers, Outcome, Page, Preview, QueueDepth, Recovered, Result, StatusEvent,
    Store, StoreError, Submission, Submitted, TryOutcome, Webhooks, Workers,
};
use tokio::sync::{Notify, watch};

/// How often what is still to fail.
#[derive(Default)]
pub(crate) struct Stumbles {
    pub(crate) claims: AtomicU32,
    pub(crate) heartbeats: AtomicU32,
    pub(crate) notes: AtomicU32,
    pub(crate) finishes: AtomicU32,
}

pub(crate) struct Flaky {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) stumbles: Arc<Stumbles>,
}

fn stumble(left: &AtomicU32) -> Result<()> {
    let spent = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    if spent.is_ok() {
        Err(StoreError::Closed)
    } else {
        Ok(())
    }
}

#[async_trait]
impl Store for Flaky {
    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Option<Claimed>> {
        stumble(&self.stumbles.claims)?;
        self.store.claim(claim, now).await
    }
    async fn heartbeat(
        &self,
        lease: LeaseKey,
        progress: Option<Progress>,
        lease_ms: u64,
        now: Timestamp,
    ) -> Result<Heartbeat> {
        stumble(&self.stumbles.heartbeats)?;
        self.store.heartbeat(lease, progress, lease_ms, now).await
    }
    async fn note(&self, lease: LeaseKey, note: Note, now: Timestamp) -> Result<Noted> {
        stumble(&self.stumbles.notes)?;
        self.store.note(lease, note, now).await
    }
    async fn keep_preview(&self, lease: LeaseKey, jpeg: Vec<u8>) -> Result<Noted> {
        self.store.keep_preview(lease, jpeg).await
    }
    async fn preview(&self, id: GenerationId) -> Result<Option<Preview>> {
        self.store.preview(id).await
    }
    async fn finish(&self, lease: LeaseKey, outcome: Outcome, now: Timestamp) -> Result<Finished> {
        stumble(&self.stumbles.finishes)?;
        self.store.finish(lease, outcome, now).await
    }

    async fn create_account(&self, account: Account) -> Result<()> {
        self.store.create_account(account).await
    }
    async fn account_by_name(&self, name: &str) -> Result<Option<Account>> {
        self.store.account_by_name(name).await
    }
    async fn account(&self, id: AccountId) -> Result<Option<Account>> {
        self.store.account(id).await
    }
    async fn accounts(&self) -> Result<Vec<Account>> {
        self.store.accounts().await
    }
    async fn create_key(&self, key: Key) -> Result<()> {
        self.store.create_key(key).await
    }
    async fn key_by_hash(&self, hash: [u8; 32]) -> Result<Option<Key>> {
        self.store.key_by_hash(hash).await
    }
    async fn keys(&self, account: Option<AccountId>) -> Result<Vec<Key>> {
        self.store.keys(account).await
    }
    async fn revoke_key(&self, id: KeyId, now: Timestamp) -> Result<bool> {
        self.store.revoke_key(id, now).await
    }
    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32]> {
        self.store.secret(name, fresh).await
    }
    async fn submit(&self, submission: Submission, now: Timestamp) -> Result<Submitted> {
        self.store.submit(submission, now).await
    }
    async fn cancel(&self, account: AccountId, id: GenerationId, now: Timestamp) -> Result<Option<Canceled>> {
        self.store.cancel(account, id, now).await
    }
    async fn remove_media(
        &self,
        account: AccountId,
        id: GenerationId,
        now: Timestamp,
    ) -> Result<Option<MediaRemoved>> {
        self.store.remove_media(account, id, now).await
    }
    async fn recover(&self, attempts_max: u32, now: Timestamp) -> Result<Recovered> {
        self.store.recover(attempts_max, now).await
    }
    async fn generation(&self, id: GenerationId) -> Result<Option<Generation>> {
        self.store.generation(id).await
    }
    async fn generations(&self, account: AccountId, page: GenerationPage) -> Result<Page<Generation>> {
        self.store.generations(account, page).await
    }
    async fn status_events(&self, id: GenerationId, after_seq: u64) -> Result<Vec<StatusEvent>> {
        self.store.status_events(id, after_seq).await
    }
    async fn with_media_finished_before(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<(AccountId, GenerationId)>> {
        self.store.with_media_finished_before(before, limit).await
    }
    async fn grant(&self, grant: NewGrant, now: Timestamp) -> Result<EntryId> {
        self.store.grant(grant, now).await
    }
    async fn expire_grants(&self, now: Timestamp) -> Result<u64> {
        self.store.expire_grants(now).await
    }
    async fn balance(&self, account: AccountId, now: Timestamp) -> Result<Balance> {
        self.store.balance(account, now).await
    }
    async fn entries(&self, account: AccountId, limit: usize, before: Option<i64>) -> Result<Page<Entry>> {
        self.store.entries(account, limit, before).await
    }
    async fn audit(&self) -> Result<Vec<Finding>> {
        self.store.audit().await
    }
    fn watch(&self, id: GenerationId) -> watch::Receiver<u64> {
        self.store.watch(id)
    }
    fn queue_bell(&self) -> Arc<Notify> {
        self.store.queue_bell()
    }
    async fn queue_depth(&self) -> Result<QueueDepth> {
        self.store.queue_depth().await
    }
    async fn is_referenced(&self, blob: BlobHash) -> Result<bool> {
        self.store.is_referenced(blob).await
    }
    async fn ping(&self) -> Result<()> {
        self.store.ping().await
    }
}

#[async_trait]
impl Workers for Flaky {
    async fn announce(
        &self,
        worker: Announcement,
        state: WorkerState,
        now: Timestamp,
    ) -> Result<WorkerState> {
        self.store.announce(worker, state, now).await
    }
    async fn take_leave(&self, worker: WorkerId) -> Result<()> {
        self.store.take_leave(worker).await
    }
    async fn tell_workers(&self, name: &str, state: WorkerState) -> Result<u64> {
        self.store.tell_workers(name, state).await
    }
    async fn worker_state(&self, worker: WorkerId) -> Result<Option<WorkerState>> {
        self.store.worker_state(worker).await
    }
    async fn workers(&self) -> Result<Vec<SeenWorker>> {
        self.store.workers().await
    }
    async fn offers(&self) -> Result<Vec<SeenOffer>> {
        self.store.offers().await
    }
    async fn forget_workers(&self, old: OldWorkers) -> Result<u64> {
        self.store.forget_workers(old).await
    }
    async fn figures(&self, since: Timestamp) -> Result<Vec<OfferFigures>> {
        self.store.figures(since).await
    }
    fn watch_workers(&self) -> watch::Receiver<u64> {
        self.store.watch_workers()
    }
    async fn count_request(&self, request: CountedRequest, now: Timestamp) -> Result<Counted> {
        self.store.count_request(request, now).await
    }
}

#[async_trait]
impl Webhooks for Flaky {
    async fn create_endpoint(&self, endpoint: Endpoint, endpoints_max: u32) -> Result<bool> {
        self.store.create_endpoint(endpoint, endpoints_max).await
    }
    async fn endpoint(&self, account: AccountId, id: EndpointId) -> Result<Option<Endpoint>> {
        self.store.endpoint(account, id).await
    }
    async fn endpoints(&self, account: AccountId) -> Result<Vec<Endpoint>> {
        self.store.endpoints(account).await
    }
    async fn change_endpoint(
        &self,
        account: AccountId,
        id: EndpointId,
        change: EndpointChange,
    ) -> Result<Option<Endpoint>> {
        self.store.change_endpoint(account, id, change).await
    }
    async fn remove_endpoint(&self, account: AccountId, id: EndpointId, now: Timestamp) -> Result<bool> {
        self.store.remove_endpoint(account, id, now).await
    }
    async fn test_endpoint(
        &self,
        account: AccountId,
        id: EndpointId,
        now: Timestamp,
    ) -> Result<Option<DeliveryId>> {
        self.store.test_endpoint(account, id, now).await
    }
    async fn deliveries(
        &self,
        account: AccountId,
        id: EndpointId,
        limit: usize,
        before: Option<i64>,
    ) -> Result<Option<Page<Delivery>>> {
        self.store.deliveries(account, id, limit, before).await
    }
    async fn replay_delivery(
        &self,
        account: AccountId,
        endpoint: EndpointId,
        id: DeliveryId,
        now: Timestamp,
    ) -> Result<bool> {
        self.store.replay_delivery(account, endpoint, id, now).await
    }
    async fn claim_deliveries(&self, limit: u32, lease_ms: u64, now: Timestamp) -> Result<Vec<DueDelivery>> {
        self.store.claim_deliveries(limit, lease_ms, now).await
    }
    async fn record_try(
        &self,
        id: DeliveryId,
        token: u64,
        outcome: TryOutcome,
        now: Timestamp,
    ) -> Result<bool> {
        self.store.record_try(id, token, outcome, now).await
    }
    async fn forget_deliveries(&self, before: Timestamp) -> Result<u64> {
        self.store.forget_deliveries(before).await
    }
    async fn next_delivery_at(&self) -> Result<Option<Timestamp>> {
        self.store.next_delivery_at().await
    }
    fn delivery_bell(&self) -> Arc<Notify> {
        self.store.delivery_bell()
    }
}

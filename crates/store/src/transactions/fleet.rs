//! Which transaction or question each method of [`Workers`] is; what those do stands in [`workers`], [`attempts`] and
//! [`rates`].

use async_trait::async_trait;
use kinora_domain::{Announcement, OfferFigures, SeenOffer, SeenWorker, Timestamp, WorkerId, WorkerState};
use tokio::sync::watch;

use super::{Backend, attempts, rates, workers};
use crate::{Counted, CountedRequest, OldWorkers, Result, TransactionName, Workers, bells::Rings, sql::Sql};

#[async_trait]
impl<B: Backend> Workers for B {
    async fn announce(
        &self,
        worker: Announcement,
        state: WorkerState,
        now: Timestamp,
    ) -> Result<WorkerState> {
        let work = move |sql: &dyn Sql, rings: &mut Rings| workers::announce(sql, &worker, state, now, rings);
        self.write(TransactionName::Announce, work).await
    }

    async fn take_leave(&self, worker: WorkerId) -> Result<()> {
        let work = move |sql: &dyn Sql, rings: &mut Rings| workers::take_leave(sql, worker, rings);
        self.write(TransactionName::Announce, work).await
    }

    async fn tell_workers(&self, name: &str, state: WorkerState) -> Result<u64> {
        let name = name.to_owned();
        let work = move |sql: &dyn Sql, rings: &mut Rings| workers::tell(sql, &name, state, rings);
        self.write(TransactionName::Announce, work).await
    }

    async fn worker_state(&self, worker: WorkerId) -> Result<Option<WorkerState>> {
        self.look(move |sql| workers::state(sql, worker)).await
    }

    async fn workers(&self) -> Result<Vec<SeenWorker>> {
        self.search(workers::all).await
    }

    async fn offers(&self) -> Result<Vec<SeenOffer>> {
        self.look(workers::offers).await
    }

    async fn forget_workers(&self, old: OldWorkers) -> Result<u64> {
        let mut forgotten = 0;
        loop {
            let forget = move |sql: &dyn Sql, rings: &mut Rings| workers::forget(sql, old, rings);
            let now = self.write(TransactionName::ForgetWorkers, forget).await?;
            forgotten += now;
            if now < workers::FORGET_MAX {
                return Ok(forgotten);
            }
        }
    }

    async fn figures(&self, since: Timestamp) -> Result<Vec<OfferFigures>> {
        self.search(move |sql| attempts::figures(sql, since)).await
    }

    fn watch_workers(&self) -> watch::Receiver<u64> {
        self.bells().workers()
    }

    async fn count_request(&self, request: CountedRequest, now: Timestamp) -> Result<Counted> {
        let work = move |sql: &dyn Sql, _: &mut Rings| rates::count(sql, request, now);
        self.write(TransactionName::CountRequest, work).await
    }
}

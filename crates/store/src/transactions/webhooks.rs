//! Which transaction or question each method of [`Webhooks`] is; what those do stands in [`endpoints`] and [`outbox`].

use std::sync::Arc;

use async_trait::async_trait;
use kinora_domain::{AccountId, DeliveryId, EndpointId, Timestamp};
use tokio::sync::Notify;

use super::{Backend, endpoints, outbox};
use crate::{
    Delivery, DueDelivery, Endpoint, EndpointChange, Page, Result, TransactionName, TryOutcome, Webhooks,
    bells::Rings, sql::Sql,
};

#[async_trait]
impl<B: Backend> Webhooks for B {
    async fn create_endpoint(&self, endpoint: Endpoint, endpoints_max: u32) -> Result<bool> {
        let work = move |sql: &dyn Sql, _: &mut Rings| endpoints::create(sql, &endpoint, endpoints_max);
        self.write(TransactionName::CreateEndpoint, work).await
    }

    async fn endpoint(&self, account: AccountId, id: EndpointId) -> Result<Option<Endpoint>> {
        self.look(move |sql| endpoints::load(sql, account, id)).await
    }

    async fn endpoints(&self, account: AccountId) -> Result<Vec<Endpoint>> {
        self.look(move |sql| endpoints::all(sql, account)).await
    }

    async fn change_endpoint(
        &self,
        account: AccountId,
        id: EndpointId,
        change: EndpointChange,
    ) -> Result<Option<Endpoint>> {
        let work =
            move |sql: &dyn Sql, rings: &mut Rings| endpoints::change(sql, account, id, &change, rings);
        self.write(TransactionName::ChangeEndpoint, work).await
    }

    async fn remove_endpoint(&self, account: AccountId, id: EndpointId, now: Timestamp) -> Result<bool> {
        let work = move |sql: &dyn Sql, _: &mut Rings| endpoints::remove(sql, account, id, now);
        self.write(TransactionName::ChangeEndpoint, work).await
    }

    async fn test_endpoint(
        &self,
        account: AccountId,
        id: EndpointId,
        now: Timestamp,
    ) -> Result<Option<DeliveryId>> {
        let work = move |sql: &dyn Sql, rings: &mut Rings| outbox::test(sql, account, id, now, rings);
        self.write(TransactionName::QueueDelivery, work).await
    }

    async fn deliveries(
        &self,
        account: AccountId,
        id: EndpointId,
        limit: usize,
        before: Option<i64>,
    ) -> Result<Option<Page<Delivery>>> {
        self.search(move |sql| match endpoints::load(sql, account, id)? {
            Some(_) => outbox::list(sql, id, limit, before).map(Some),
            None => Ok(None),
        })
        .await
    }

    async fn replay_delivery(
        &self,
        account: AccountId,
        endpoint: EndpointId,
        id: DeliveryId,
        now: Timestamp,
    ) -> Result<bool> {
        let work = move |sql: &dyn Sql, rings: &mut Rings| match endpoints::load(sql, account, endpoint)? {
            Some(_) => outbox::replay(sql, endpoint, id, now, rings),
            None => Ok(false),
        };
        self.write(TransactionName::QueueDelivery, work).await
    }

    async fn claim_deliveries(&self, limit: u32, lease_ms: u64, now: Timestamp) -> Result<Vec<DueDelivery>> {
        let work = move |sql: &dyn Sql, rings: &mut Rings| outbox::claim(sql, limit, lease_ms, now, rings);
        self.write(TransactionName::ClaimDeliveries, work).await
    }

    async fn record_try(
        &self,
        id: DeliveryId,
        token: u64,
        outcome: TryOutcome,
        now: Timestamp,
    ) -> Result<bool> {
        let work =
            move |sql: &dyn Sql, rings: &mut Rings| outbox::record(sql, id, token, &outcome, now, rings);
        self.write(TransactionName::RecordTry, work).await
    }

    async fn forget_deliveries(&self, before: Timestamp) -> Result<u64> {
        let mut forgotten = 0;
        loop {
            let work = move |sql: &dyn Sql, _: &mut Rings| outbox::forget(sql, before);
            match self.write(TransactionName::ForgetDeliveries, work).await? {
                0 => return Ok(forgotten),
                more => forgotten += more,
            }
        }
    }

    async fn next_delivery_at(&self) -> Result<Option<Timestamp>> {
        self.look(outbox::next_due).await
    }

    fn delivery_bell(&self) -> Arc<Notify> {
        self.bells().deliveries()
    }
}

//! Which transaction or question each method of [`Webhooks`] is; what those do stands in [`endpoints`] and [`outbox`].

use std::sync::Arc;

use async_trait::async_trait;
use kinora_domain::{AccountId, DeliveryId, EndpointId, Timestamp};
use rusqlite::Connection;
use tokio::sync::Notify;

use super::{SqliteStore, bells::Rings, endpoints, outbox};
use crate::{
    Delivery, DueDelivery, Endpoint, EndpointChange, Page, Result, TransactionName, TryOutcome, Webhooks,
};

#[async_trait]
impl Webhooks for SqliteStore {
    async fn create_endpoint(&self, endpoint: Endpoint, endpoints_max: u32) -> Result<bool> {
        let work = move |connection: &Connection, _: &mut Rings| {
            endpoints::create(connection, &endpoint, endpoints_max)
        };
        self.write(TransactionName::CreateEndpoint, work).await
    }

    async fn endpoint(&self, account: AccountId, id: EndpointId) -> Result<Option<Endpoint>> {
        self.look(|connection| endpoints::load(connection, account, id))
    }

    async fn endpoints(&self, account: AccountId) -> Result<Vec<Endpoint>> {
        self.look(|connection| endpoints::all(connection, account))
    }

    async fn change_endpoint(
        &self,
        account: AccountId,
        id: EndpointId,
        change: EndpointChange,
    ) -> Result<Option<Endpoint>> {
        let work = move |connection: &Connection, rings: &mut Rings| {
            endpoints::change(connection, account, id, change, rings)
        };
        self.write(TransactionName::ChangeEndpoint, work).await
    }

    async fn remove_endpoint(&self, account: AccountId, id: EndpointId, now: Timestamp) -> Result<bool> {
        let work =
            move |connection: &Connection, _: &mut Rings| endpoints::remove(connection, account, id, now);
        self.write(TransactionName::ChangeEndpoint, work).await
    }

    async fn test_endpoint(
        &self,
        account: AccountId,
        id: EndpointId,
        now: Timestamp,
    ) -> Result<Option<DeliveryId>> {
        let work = move |connection: &Connection, rings: &mut Rings| {
            outbox::test(connection, account, id, now, rings)
        };
        self.write(TransactionName::QueueDelivery, work).await
    }

    async fn deliveries(
        &self,
        account: AccountId,
        id: EndpointId,
        limit: usize,
        before: Option<i64>,
    ) -> Result<Option<Page<Delivery>>> {
        self.search(
            move |connection| match endpoints::load(connection, account, id)? {
                Some(_) => outbox::list(connection, id, limit, before).map(Some),
                None => Ok(None),
            },
        )
        .await
    }

    async fn replay_delivery(
        &self,
        account: AccountId,
        endpoint: EndpointId,
        id: DeliveryId,
        now: Timestamp,
    ) -> Result<bool> {
        let work = move |connection: &Connection, rings: &mut Rings| match endpoints::load(
            connection, account, endpoint,
        )? {
            Some(_) => outbox::replay(connection, endpoint, id, now, rings),
            None => Ok(false),
        };
        self.write(TransactionName::QueueDelivery, work).await
    }

    async fn claim_deliveries(&self, limit: u32, lease_ms: u64, now: Timestamp) -> Result<Vec<DueDelivery>> {
        let work = move |connection: &Connection, rings: &mut Rings| {
            outbox::claim(connection, limit, lease_ms, now, rings)
        };
        self.write(TransactionName::ClaimDeliveries, work).await
    }

    async fn record_try(
        &self,
        id: DeliveryId,
        token: u64,
        outcome: TryOutcome,
        now: Timestamp,
    ) -> Result<bool> {
        let work = move |connection: &Connection, rings: &mut Rings| {
            outbox::record(connection, id, token, &outcome, now, rings)
        };
        self.write(TransactionName::RecordTry, work).await
    }

    async fn forget_deliveries(&self, before: Timestamp) -> Result<u64> {
        let mut forgotten = 0;
        loop {
            let work = move |connection: &Connection, _: &mut Rings| outbox::forget(connection, before);
            match self.write(TransactionName::ForgetDeliveries, work).await? {
                0 => return Ok(forgotten),
                more => forgotten += more as u64,
            }
        }
    }

    async fn next_delivery_at(&self) -> Result<Option<Timestamp>> {
        self.look(outbox::next_due)
    }

    fn delivery_bell(&self) -> Arc<Notify> {
        self.bells.deliveries()
    }
}

//! Which transaction or question each method of [`Store`] is; what those do stands in the modules beside this one.

use std::sync::Arc;

use async_trait::async_trait;
use kinora_domain::{AccountId, BlobHash, EntryId, Generation, GenerationId, KeyId, Progress, Timestamp};
use tokio::sync::{Notify, watch};

use super::{
    Backend, accounts, audit, claim, generations, ledger, lists, notes, previews, recover, settle, submit,
};
use crate::{
    Account, Balance, Canceled, Claim, Claimed, Entry, Finding, Finished, GenerationPage, Heartbeat, Key,
    LeaseKey, MediaRemoved, NewGrant, Note, Noted, Outcome, Page, Preview, QueueDepth, Recovered, Result,
    StatusEvent, Store, Submission, Submitted, TransactionName, bells::Rings, sql::Sql,
};

#[async_trait]
impl<B: Backend> Store for B {
    async fn create_account(&self, account: Account) -> Result<()> {
        let work = move |sql: &dyn Sql, _: &mut Rings| accounts::create(sql, &account);
        self.write(TransactionName::CreateAccount, work).await
    }

    async fn account_by_name(&self, name: &str) -> Result<Option<Account>> {
        let name = name.to_owned();
        self.look(move |sql| accounts::by_name(sql, &name)).await
    }

    async fn account(&self, id: AccountId) -> Result<Option<Account>> {
        self.look(move |sql| accounts::by_id(sql, id)).await
    }

    async fn accounts(&self) -> Result<Vec<Account>> {
        self.search(accounts::all).await
    }

    async fn create_key(&self, key: Key) -> Result<()> {
        let work = move |sql: &dyn Sql, _: &mut Rings| accounts::create_key(sql, &key);
        self.write(TransactionName::CreateKey, work).await
    }

    async fn key_by_hash(&self, hash: [u8; 32]) -> Result<Option<Key>> {
        self.look(move |sql| accounts::key_by_hash(sql, hash)).await
    }

    async fn keys(&self, account: Option<AccountId>) -> Result<Vec<Key>> {
        self.search(move |sql| accounts::keys(sql, account)).await
    }

    async fn revoke_key(&self, id: KeyId, now: Timestamp) -> Result<bool> {
        let work = move |sql: &dyn Sql, _: &mut Rings| accounts::revoke_key(sql, id, now);
        self.write(TransactionName::RevokeKey, work).await
    }

    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32]> {
        let name = name.to_owned();
        let sought = name.clone();
        if let Some(secret) = self.look(move |sql| accounts::secret(sql, &sought)).await? {
            return Ok(secret);
        }
        let work = move |sql: &dyn Sql, _: &mut Rings| accounts::keep_secret(sql, &name, fresh);
        self.write(TransactionName::KeepSecret, work).await
    }

    async fn submit(&self, submission: Submission, now: Timestamp) -> Result<Submitted> {
        let work = move |sql: &dyn Sql, rings: &mut Rings| submit::submit(sql, &submission, now, rings);
        self.write(TransactionName::Submit, work).await
    }

    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Option<Claimed>> {
        let work = move |sql: &dyn Sql, rings: &mut Rings| claim::claim(sql, &claim, now, rings);
        self.write(TransactionName::Claim, work).await
    }

    async fn heartbeat(
        &self,
        lease: LeaseKey,
        progress: Option<Progress>,
        lease_ms: u64,
        now: Timestamp,
    ) -> Result<Heartbeat> {
        let until = now.plus_ms(lease_ms);
        let work =
            move |sql: &dyn Sql, rings: &mut Rings| settle::heartbeat(sql, lease, progress, until, rings);
        self.write(TransactionName::Heartbeat, work).await
    }

    async fn note(&self, lease: LeaseKey, note: Note, now: Timestamp) -> Result<Noted> {
        let work = move |sql: &dyn Sql, _: &mut Rings| notes::write(sql, lease, &note, now);
        self.write(TransactionName::Note, work).await
    }

    async fn keep_preview(&self, lease: LeaseKey, jpeg: Vec<u8>) -> Result<Noted> {
        let work = move |sql: &dyn Sql, _: &mut Rings| previews::keep(sql, lease, &jpeg);
        self.write(TransactionName::KeepPreview, work).await
    }

    async fn finish(&self, lease: LeaseKey, outcome: Outcome, now: Timestamp) -> Result<Finished> {
        let work = move |sql: &dyn Sql, rings: &mut Rings| settle::finish(sql, lease, &outcome, now, rings);
        self.write(TransactionName::Finish, work).await
    }

    async fn cancel(&self, account: AccountId, id: GenerationId, now: Timestamp) -> Result<Option<Canceled>> {
        let work = move |sql: &dyn Sql, rings: &mut Rings| settle::cancel(sql, account, id, now, rings);
        self.write(TransactionName::Cancel, work).await
    }

    async fn remove_media(
        &self,
        account: AccountId,
        id: GenerationId,
        _now: Timestamp,
    ) -> Result<Option<MediaRemoved>> {
        let work = move |sql: &dyn Sql, rings: &mut Rings| settle::remove_media(sql, account, id, rings);
        self.write(TransactionName::RemoveMedia, work).await
    }

    async fn recover(&self, attempts_max: u32, now: Timestamp) -> Result<Recovered> {
        recover::recover(self, attempts_max, now).await
    }

    async fn generation(&self, id: GenerationId) -> Result<Option<Generation>> {
        self.look(move |sql| generations::load(sql, id).map(|kept| kept.map(|kept| kept.generation)))
            .await
    }

    async fn preview(&self, id: GenerationId) -> Result<Option<Preview>> {
        self.look(move |sql| previews::latest(sql, id)).await
    }

    async fn generations(&self, account: AccountId, page: GenerationPage) -> Result<Page<Generation>> {
        self.search(move |sql| lists::generations(sql, account, &page))
            .await
    }

    async fn status_events(&self, id: GenerationId, after_seq: u64) -> Result<Vec<StatusEvent>> {
        self.look(move |sql| lists::status_events(sql, id, after_seq))
            .await
    }

    async fn with_media_finished_before(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<(AccountId, GenerationId)>> {
        self.search(move |sql| lists::with_media_finished_before(sql, before, limit))
            .await
    }

    async fn grant(&self, grant: NewGrant, now: Timestamp) -> Result<EntryId> {
        let work = move |sql: &dyn Sql, _: &mut Rings| ledger::grant(sql, &grant, now);
        self.write(TransactionName::Grant, work).await
    }

    async fn expire_grants(&self, now: Timestamp) -> Result<u64> {
        // One account to a transaction, as each is changed under its own lock.
        let mut expired = 0;
        for account in self
            .search(move |sql| ledger::accounts_with_ended_grants(sql, now))
            .await?
        {
            let work = move |sql: &dyn Sql, _: &mut Rings| {
                accounts::lock(sql, account)?;
                ledger::expire_due(sql, account, now)
            };
            expired += self.write(TransactionName::ExpireGrants, work).await?;
        }
        Ok(expired)
    }

    async fn balance(&self, account: AccountId, now: Timestamp) -> Result<Balance> {
        self.look(move |sql| ledger::balance(sql, account, now)).await
    }

    async fn entries(&self, account: AccountId, limit: usize, before: Option<i64>) -> Result<Page<Entry>> {
        self.search(move |sql| lists::entries(sql, account, limit, before))
            .await
    }

    async fn audit(&self) -> Result<Vec<Finding>> {
        self.search(audit::audit).await
    }

    fn watch(&self, id: GenerationId) -> watch::Receiver<u64> {
        self.bells().watch(id)
    }

    fn queue_bell(&self) -> Arc<Notify> {
        self.bells().queue()
    }

    async fn queue_depth(&self) -> Result<QueueDepth> {
        self.search(lists::queue_depth).await
    }

    async fn is_referenced(&self, blob: BlobHash) -> Result<bool> {
        self.look(move |sql| lists::is_referenced(sql, blob)).await
    }

    async fn ping(&self) -> Result<()> {
        self.check()?;
        self.look(lists::ping).await
    }
}

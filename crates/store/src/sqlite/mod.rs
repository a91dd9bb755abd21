//! The embedded back end: one SQLite file, one thread that writes, and a few connections that read.
//!
//! [`SqliteStore`] only says which transaction or question each method of [`Store`] is; what those do stands in the
//! modules below, as plain functions over a connection. Every write goes through [`writer`], which commits many
//! of them with one fsync; readers see what was committed before their call, and never wait for the writer.

mod accounts;
mod audit;
mod bells;
mod claim;
mod endpoints;
mod generations;
mod ledger;
mod lists;
mod migrate;
mod notes;
mod outbox;
mod readers;
mod recover;
mod settle;
mod submit;
mod webhooks;
mod writer;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use kinora_domain::{AccountId, BlobHash, EntryId, Generation, GenerationId, KeyId, Progress, Timestamp};
use rusqlite::Connection;
use tokio::sync::{Notify, watch};

use crate::{
    Account, Balance, Canceled, Claim, Claimed, CrashHook, Entry, Finding, Finished, GenerationPage,
    Heartbeat, Key, LeaseKey, MediaRemoved, NewGrant, Note, Noted, Outcome, Page, QueueDepth, Recovered,
    Result, StatusEvent, Store, StoreError, Submission, Submitted, TransactionName,
};
use bells::{Bells, Rings};
use readers::Readers;
use writer::Writer;

/// How a store is opened.
#[derive(Clone)]
pub struct SqliteOptions {
    /// How many idle connections are kept for reading.
    pub readers: usize,
    /// How long another process may keep the database locked before a write fails.
    pub busy_timeout_ms: u32,
    /// Where to die, for tests.
    pub crash: Option<CrashHook>,
}

impl Default for SqliteOptions {
    fn default() -> SqliteOptions {
        SqliteOptions {
            readers: 8,
            busy_timeout_ms: 10_000,
            crash: None,
        }
    }
}

/// A store in one SQLite file. Dropping it finishes what was begun and closes the file.
pub struct SqliteStore {
    // Dropped first, so that the last word is the writer's: it folds the log into the file as it closes.
    readers: Arc<Readers>,
    bells: Arc<Bells>,
    writer: Writer,
}

impl SqliteStore {
    /// Opens the database in the file `path`, which is created with its folder where it is missing, and brings its
    /// tables up to date.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<SqliteStore> {
        let SqliteOptions {
            readers,
            busy_timeout_ms,
            crash,
        } = options;
        let connection = migrate::open(path, busy_timeout_ms)?;
        let readers = Arc::new(Readers::open(path, readers, busy_timeout_ms)?);
        let bells = Arc::new(Bells::default());
        let writer = Writer::start(connection, Arc::clone(&bells), crash)?;
        Ok(SqliteStore {
            readers,
            bells,
            writer,
        })
    }

    async fn write<T, F>(&self, name: TransactionName, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &mut Rings) -> Result<T> + Send + 'static,
    {
        self.writer.write(name, work).await
    }

    /// Answers a question that takes microseconds, where it was asked.
    fn look<T>(&self, question: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.readers.read(question)
    }

    /// Answers a question that may take longer, away from the threads that serve requests.
    async fn search<T, F>(&self, question: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        match tokio::task::spawn_blocking(move || readers.read(question)).await {
            Ok(answer) => answer,
            Err(error) if error.is_panic() => Err(StoreError::Panicked("while reading".to_owned())),
            Err(_) => Err(StoreError::Closed),
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn create_account(&self, account: Account) -> Result<()> {
        let work = move |connection: &Connection, _: &mut Rings| accounts::create(connection, &account);
        self.write(TransactionName::CreateAccount, work).await
    }

    async fn account_by_name(&self, name: &str) -> Result<Option<Account>> {
        self.look(|connection| accounts::by_name(connection, name))
    }

    async fn account(&self, id: AccountId) -> Result<Option<Account>> {
        self.look(|connection| accounts::by_id(connection, id))
    }

    async fn accounts(&self) -> Result<Vec<Account>> {
        self.search(accounts::all).await
    }

    async fn create_key(&self, key: Key) -> Result<()> {
        let work = move |connection: &Connection, _: &mut Rings| accounts::create_key(connection, &key);
        self.write(TransactionName::CreateKey, work).await
    }

    async fn key_by_hash(&self, hash: [u8; 32]) -> Result<Option<Key>> {
        self.look(|connection| accounts::key_by_hash(connection, hash))
    }

    async fn keys(&self, account: Option<AccountId>) -> Result<Vec<Key>> {
        self.search(move |connection| accounts::keys(connection, account))
            .await
    }

    async fn revoke_key(&self, id: KeyId, now: Timestamp) -> Result<bool> {
        let work = move |connection: &Connection, _: &mut Rings| accounts::revoke_key(connection, id, now);
        self.write(TransactionName::RevokeKey, work).await
    }

    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32]> {
        if let Some(secret) = self.look(|connection| accounts::secret(connection, name))? {
            return Ok(secret);
        }
        let name = name.to_owned();
        let work =
            move |connection: &Connection, _: &mut Rings| accounts::keep_secret(connection, &name, fresh);
        self.write(TransactionName::KeepSecret, work).await
    }

    async fn submit(&self, submission: Submission, now: Timestamp) -> Result<Submitted> {
        let work = move |connection: &Connection, rings: &mut Rings| {
            submit::submit(connection, submission, now, rings)
        };
        self.write(TransactionName::Submit, work).await
    }

    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Option<Claimed>> {
        let work =
            move |connection: &Connection, rings: &mut Rings| claim::claim(connection, &claim, now, rings);
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
        let work = move |connection: &Connection, rings: &mut Rings| {
            settle::heartbeat(connection, lease, progress, until, rings)
        };
        self.write(TransactionName::Heartbeat, work).await
    }

    async fn note(&self, lease: LeaseKey, note: Note, now: Timestamp) -> Result<Noted> {
        let work = move |connection: &Connection, _: &mut Rings| notes::write(connection, lease, &note, now);
        self.write(TransactionName::Note, work).await
    }

    async fn finish(&self, lease: LeaseKey, outcome: Outcome, now: Timestamp) -> Result<Finished> {
        let work = move |connection: &Connection, rings: &mut Rings| {
            settle::finish(connection, lease, outcome, now, rings)
        };
        self.write(TransactionName::Finish, work).await
    }

    async fn cancel(&self, account: AccountId, id: GenerationId, now: Timestamp) -> Result<Option<Canceled>> {
        let work = move |connection: &Connection, rings: &mut Rings| {
            settle::cancel(connection, account, id, now, rings)
        };
        self.write(TransactionName::Cancel, work).await
    }

    async fn remove_media(
        &self,
        account: AccountId,
        id: GenerationId,
        _now: Timestamp,
    ) -> Result<Option<MediaRemoved>> {
        let work = move |connection: &Connection, rings: &mut Rings| {
            settle::remove_media(connection, account, id, rings)
        };
        self.write(TransactionName::RemoveMedia, work).await
    }

    async fn recover(&self, attempts_max: u32, now: Timestamp) -> Result<Recovered> {
        recover::recover(self, attempts_max, now).await
    }

    async fn generation(&self, id: GenerationId) -> Result<Option<Generation>> {
        self.look(|connection| generations::load(connection, id).map(|kept| kept.map(|kept| kept.generation)))
    }

    async fn generations(&self, account: AccountId, page: GenerationPage) -> Result<Page<Generation>> {
        self.search(move |connection| lists::generations(connection, account, &page))
            .await
    }

    async fn status_events(&self, id: GenerationId, after_seq: u64) -> Result<Vec<StatusEvent>> {
        self.look(|connection| lists::status_events(connection, id, after_seq))
    }

    async fn with_media_finished_before(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<(AccountId, GenerationId)>> {
        self.search(move |connection| lists::with_media_finished_before(connection, before, limit))
            .await
    }

    async fn grant(&self, grant: NewGrant, now: Timestamp) -> Result<EntryId> {
        let work = move |connection: &Connection, _: &mut Rings| ledger::grant(connection, &grant, now);
        self.write(TransactionName::Grant, work).await
    }

    async fn expire_grants(&self, now: Timestamp) -> Result<u64> {
        let work = move |connection: &Connection, _: &mut Rings| ledger::expire_due(connection, None, now);
        self.write(TransactionName::ExpireGrants, work).await
    }

    async fn balance(&self, account: AccountId, now: Timestamp) -> Result<Balance> {
        self.look(|connection| ledger::balance(connection, account, now))
    }

    async fn entries(&self, account: AccountId, limit: usize, before: Option<i64>) -> Result<Page<Entry>> {
        self.search(move |connection| lists::entries(connection, account, limit, before))
            .await
    }

    async fn audit(&self) -> Result<Vec<Finding>> {
        self.search(audit::audit).await
    }

    fn watch(&self, id: GenerationId) -> watch::Receiver<u64> {
        self.bells.watch(id)
    }

    fn queue_bell(&self) -> Arc<Notify> {
        self.bells.queue()
    }

    async fn queue_depth(&self) -> Result<QueueDepth> {
        self.search(lists::queue_depth).await
    }

    async fn is_referenced(&self, blob: BlobHash) -> Result<bool> {
        self.look(|connection| lists::is_referenced(connection, blob))
    }

    async fn ping(&self) -> Result<()> {
        if !self.writer.is_alive() {
            return Err(StoreError::Closed);
        }
        self.look(lists::ping)
    }
}

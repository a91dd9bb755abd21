//! The back end for many nodes: a PostgreSQL, a few threads that ask it, and one that listens.
//!
//! What is asked and written stands in `transactions`. Transactions of all threads and nodes run side by side, at READ
//! COMMITTED, and lock the rows they are about; see there.

mod connection;
mod listener;
mod migrate;
mod pool;
mod session;
mod url;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{
    CrashHook, Result, StoreError, TransactionName,
    bells::{Bells, Rings},
    moving::assert_at_rest,
    sql::Sql,
    transactions::Backend,
};
pub(crate) use listener::LOOK_AROUND;
use listener::{Ears, Listener};
pub(crate) use migrate::VERSION;
use pool::Pool;
pub(crate) use session::Session;
use session::Shared;
pub use url::{PostgresUrl, PostgresUrlError};

/// How a store is opened.
#[derive(Clone)]
pub struct PostgresOptions {
    /// How many transactions and questions are under way at once, each on a connection. Two more listen and tell.
    pub connections: usize,
    /// How long a database that cannot be reached is waited for before a call fails.
    pub patience_ms: u64,
    /// Where to die, for tests.
    pub crash: Option<CrashHook>,
}

impl Default for PostgresOptions {
    fn default() -> PostgresOptions {
        PostgresOptions {
            connections: 8,
            patience_ms: 10_000,
            crash: None,
        }
    }
}

/// A store in a PostgreSQL database, in the first schema of its search path. Dropping it finishes what was begun.
pub struct PostgresStore {
    // In the order in which they are dropped: the listener ends when nobody is left who could tell it anything.
    pool: Pool,
    shared: Arc<Shared>,
    bells: Arc<Bells>,
    _listener: Listener,
}

impl PostgresStore {
    /// Opens the database at `url` and brings its tables up to date. Blocks until that is done.
    pub fn open(url: &PostgresUrl, options: PostgresOptions) -> Result<PostgresStore> {
        let PostgresOptions {
            connections,
            patience_ms,
            crash,
        } = options;
        let (shared, heard) = shared(url, patience_ms, crash);
        let channel = format!("kinora.{}", schema(&shared)?);
        let bells = Arc::clone(&shared.bells);
        let listener = Listener::start(Ears {
            options: shared.options.clone(),
            channel,
            bells: Arc::clone(&bells),
            departure: Arc::clone(&shared.departure),
            database: url.clone(),
            told: heard,
        })?;
        Ok(PostgresStore {
            pool: Pool::start(&shared, connections)?,
            shared,
            bells,
            _listener: listener,
        })
    }
}

/// What sessions share, and what they tell other processes.
fn shared(
    url: &PostgresUrl,
    patience_ms: u64,
    crash: Option<CrashHook>,
) -> (Arc<Shared>, UnboundedReceiver<Rings>) {
    let options = url
        .options()
        .clone()
        .application_name("kinora")
        .statement_cache_capacity(256)
        // Nobody waits for a lock as long as for a statement, and no session keeps locks when its process is stopped.
        .options([
            ("lock_timeout", "30s"),
            ("idle_in_transaction_session_timeout", "60s"),
        ]);
    let (told, heard) = unbounded_channel();
    let shared = Shared {
        url: url.clone(),
        options: sqlx::ConnectOptions::disable_statement_logging(options),
        patience: Duration::from_millis(patience_ms),
        absent_since: Mutex::default(),
        bells: Arc::default(),
        departure: Arc::default(),
        told,
        crash,
        is_dead: AtomicBool::new(false),
    };
    (Arc::new(shared), heard)
}

/// A session without a store around it, on tables that are up to date; and the schema they are in. Blocks.
pub(crate) fn session(url: &PostgresUrl) -> Result<(Session, String)> {
    let mut session = lone_session(url)?;
    let schema = session.manage(|connection| migrate::migrate(connection, url))?;
    Ok((session, schema))
}

/// The version of the tables at `url`; `None` where there are none. Blocks.
pub(crate) fn version(url: &PostgresUrl) -> Result<Option<i64>> {
    lone_session(url)?.manage(|connection| migrate::version(connection))
}

fn lone_session(url: &PostgresUrl) -> Result<Session> {
    let (shared, _) = shared(url, PostgresOptions::default().patience_ms, None);
    Session::new(shared)
}

/// Brings the tables up to date; the schema they are in. On a thread of its own: the caller's may drive a runtime.
fn schema(shared: &Arc<Shared>) -> Result<String> {
    let shared = Arc::clone(shared);
    let migrated = thread::spawn(move || {
        let mut session = Session::new(Arc::clone(&shared))?;
        session.manage(|connection| {
            let schema = migrate::migrate(connection, &shared.url)?;
            assert_at_rest(connection, &shared.url)?;
            Ok(schema)
        })
    });
    migrated
        .join()
        .unwrap_or_else(|panic| Err(StoreError::Panicked(crate::error::panic_message(panic.as_ref()))))
}

impl Backend for PostgresStore {
    fn write<T, F>(&self, name: TransactionName, work: F) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        F: Fn(&dyn Sql, &mut Rings) -> Result<T> + Send + 'static,
    {
        self.pool.ask(move |session| session.write(name, work))
    }

    fn look<T, F>(&self, question: F) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        F: Fn(&dyn Sql) -> Result<T> + Send + 'static,
    {
        self.pool.ask(move |session| session.look(question))
    }

    fn search<T, F>(&self, question: F) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        F: Fn(&dyn Sql) -> Result<T> + Send + 'static,
    {
        self.pool.ask(move |session| session.search(question))
    }

    fn bells(&self) -> &Bells {
        &self.bells
    }

    fn check(&self) -> Result<()> {
        self.shared.departure.check()?;
        match self.shared.is_dead.load(Ordering::SeqCst) {
            true => Err(StoreError::Closed),
            false => Ok(()),
        }
    }
}

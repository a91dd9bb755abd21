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
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::sync::mpsc::unbounded_channel;

use crate::{
    CrashHook, Result, StoreError, TransactionName,
    bells::{Bells, Rings},
    sql::Sql,
    transactions::Backend,
};
use listener::{Ears, Listener};
use pool::Pool;
use session::{Session, Shared};
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
        let session_options = url
            .options()
            .clone()
            .application_name("kinora")
            .statement_cache_capacity(256)
            // Nobody waits for a lock as long as for a statement, and no session keeps locks when its process is stopped.
            .options([
                ("lock_timeout", "30s"),
                ("idle_in_transaction_session_timeout", "60s"),
            ]);
        let session_options = sqlx::ConnectOptions::disable_statement_logging(session_options);
        let bells = Arc::new(Bells::default());
        let (told, heard) = unbounded_channel();
        let shared = Arc::new(Shared {
            url: url.clone(),
            options: session_options.clone(),
            patience: Duration::from_millis(patience_ms),
            bells: Arc::clone(&bells),
            told,
            crash,
            is_dead: AtomicBool::new(false),
        });
        let channel = format!("kinora.{}", schema(&shared)?);
        let listener = Listener::start(Ears {
            options: session_options,
            channel,
            bells: Arc::clone(&bells),
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

/// Brings the tables up to date; the schema they are in. On a thread of its own: the caller's may drive a runtime.
fn schema(shared: &Arc<Shared>) -> Result<String> {
    let shared = Arc::clone(shared);
    let migrated = thread::spawn(move || {
        let mut session = Session::new(Arc::clone(&shared))?;
        session.manage(|connection| migrate::migrate(connection, &shared.url))
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
        match self.shared.is_dead.load(Ordering::SeqCst) {
            true => Err(StoreError::Closed),
            false => Ok(()),
        }
    }
}

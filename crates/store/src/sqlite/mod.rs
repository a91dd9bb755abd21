//! The embedded back end: one SQLite file, one thread that writes, and a few connections that read.
//!
//! What is asked and written stands in `transactions`. Every write goes through [`writer`], which commits many
//! of them with one fsync; readers see what was committed before their call, and never wait for the writer.

mod connection;
mod migrate;
mod readers;
mod writer;

use std::{path::Path, sync::Arc, time::Duration};

use crate::{
    CrashHook, Result, StoreError, TransactionName,
    bells::{Bells, Rings},
    moving::{Departure, assert_at_rest},
    sql::Sql,
    transactions::Backend,
};
pub(crate) use migrate::{VERSION, open as connect, version_of as version};
use readers::Readers;
use writer::{Writer, WriterThread};

/// How long another process's commit may go unnoticed.
pub(crate) const OTHERS_POLL: Duration = Duration::from_millis(200);

/// How long another process may keep the database locked before a write fails.
pub(crate) const BUSY_TIMEOUT_MS: u32 = 10_000;

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
            busy_timeout_ms: BUSY_TIMEOUT_MS,
            crash: None,
        }
    }
}

/// A store in one SQLite file. Dropping it finishes what was begun and closes the file.
pub struct SqliteStore {
    // Dropped first, so that the last word is the writer's: it folds the log into the file as it closes.
    readers: Arc<Readers>,
    bells: Arc<Bells>,
    departure: Arc<Departure>,
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
        let connection = connect(path, busy_timeout_ms)?;
        assert_at_rest(&connection, &path.display())?;
        let readers = Arc::new(Readers::open(path, readers, busy_timeout_ms)?);
        let bells = Arc::new(Bells::default());
        let departure = Arc::new(Departure::default());
        let writer = Writer::start(WriterThread {
            connection,
            database: path.to_owned(),
            bells: Arc::clone(&bells),
            departure: Arc::clone(&departure),
            crash,
        })?;
        Ok(SqliteStore {
            readers,
            bells,
            departure,
            writer,
        })
    }
}

impl Backend for SqliteStore {
    fn write<T, F>(&self, name: TransactionName, work: F) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        F: Fn(&dyn Sql, &mut Rings) -> Result<T> + Send + 'static,
    {
        self.writer.write(name, work)
    }

    /// Answered where it was asked: that takes microseconds, and another thread would take longer to wake.
    async fn look<T, F>(&self, question: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&dyn Sql) -> Result<T> + Send + 'static,
    {
        self.departure.check()?;
        self.readers.read(|connection| question(connection))
    }

    /// Answered away from the threads that serve requests.
    async fn search<T, F>(&self, question: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&dyn Sql) -> Result<T> + Send + 'static,
    {
        self.departure.check()?;
        let readers = Arc::clone(&self.readers);
        let answer = tokio::task::spawn_blocking(move || {
            readers.read(|connection| {
                let one_moment = connection
                    .unchecked_transaction()
                    .map_err(StoreError::database("begin to read"))?;
                question(&*one_moment)
            })
        });
        match answer.await {
            Ok(answer) => answer,
            Err(error) if error.is_panic() => Err(StoreError::Panicked("while reading".to_owned())),
            Err(_) => Err(StoreError::Closed),
        }
    }

    fn bells(&self) -> &Bells {
        &self.bells
    }

    fn check(&self) -> Result<()> {
        self.departure.check()?;
        match self.writer.is_alive() {
            true => Ok(()),
            false => Err(StoreError::Closed),
        }
    }
}

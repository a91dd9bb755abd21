//! The embedded back end: one SQLite file, one thread that writes, and a few connections that read.
//!
//! What is asked and written stands in `transactions`. Every write goes through [`writer`], which commits many
//! of them with one fsync; readers see what was committed before their call, and never wait for the writer.

mod connection;
mod migrate;
mod readers;
mod writer;

use std::{path::Path, sync::Arc};

use crate::{
    CrashHook, Result, StoreError, TransactionName,
    bells::{Bells, Rings},
    sql::Sql,
    transactions::Backend,
};
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
        self.readers.read(|connection| question(connection))
    }

    /// Answered away from the threads that serve requests.
    async fn search<T, F>(&self, question: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&dyn Sql) -> Result<T> + Send + 'static,
    {
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
        match self.writer.is_alive() {
            true => Ok(()),
            false => Err(StoreError::Closed),
        }
    }
}

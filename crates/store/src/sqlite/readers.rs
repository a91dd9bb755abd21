//! Connections that only read. Each call takes one off a stack, or opens one where the stack is empty.
//!
//! SQLite's readers block nobody and are blocked by nobody in WAL mode; the stack is there because opening a
//! connection and preparing its statements takes longer than a read.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use crate::{Result, StoreError};

/// The stack of idle connections.
pub(super) struct Readers {
    path: PathBuf,
    busy_timeout_ms: u32,
    idle_max: usize,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// A stack for the database in `path`, of at most `idle_max` connections; one is opened at once.
    pub(super) fn open(path: &Path, idle_max: usize, busy_timeout_ms: u32) -> Result<Readers> {
        let readers = Readers {
            path: path.to_owned(),
            busy_timeout_ms,
            idle_max: idle_max.max(1),
            idle: Mutex::default(),
        };
        let first = readers.connect()?;
        readers.put_back(first);
        Ok(readers)
    }

    /// Asks a question on a connection of its own.
    pub(super) fn read<T>(&self, question: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let answer = question(&connection);
        self.put_back(connection);
        answer
    }

    fn put_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.idle_max {
            idle.push(connection);
        }
    }

    fn connect(&self) -> Result<Connection> {
        self.try_connect().map_err(|source| StoreError::Open {
            database: self.path.display().to_string(),
            source: source.into(),
        })
    }

    fn try_connect(&self) -> rusqlite::Result<Connection> {
        // Guarded by the stack: no two threads ever use one connection at a time.
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(Duration::from_millis(self.busy_timeout_ms.into()))?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }
}

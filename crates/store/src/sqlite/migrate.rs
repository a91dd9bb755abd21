//! Opens the database to write and brings its tables up to this program's version.
//!
//! The version is SQLite's `user_version`: how many of the migrations have been applied. Each is applied in a
//! transaction of its own that looks at the version first, so that two processes may start at once.

use std::{fs, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::{Result, StoreError};

/// Every migration, in order. One that has been released is never changed.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_generations_and_ledger.sql"),
    include_str!("../../migrations/sqlite/0002_webhooks.sql"),
    include_str!("../../migrations/sqlite/0003_attempt_notes.sql"),
    include_str!("../../migrations/sqlite/0004_workers.sql"),
    include_str!("../../migrations/sqlite/0005_previews.sql"),
];

/// The version that this program brings a database to.
pub(crate) const VERSION: i64 = MIGRATIONS.len() as i64;

/// The version of the database in a file; `None` where there is none yet.
pub(crate) fn version_of(path: &Path) -> Result<Option<i64>> {
    if !path.exists() {
        return Ok(None);
    }
    let look = || -> rusqlite::Result<i64> {
        version(&Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_ONLY,
        )?)
    };
    let found = look().map_err(|source| StoreError::Open {
        database: path.display().to_string(),
        source: source.into(),
    })?;
    Ok((found > 0).then_some(found))
}

/// A connection that may write, to a database that is up to date.
pub(crate) fn open(path: &Path, busy_timeout_ms: u32) -> Result<Connection> {
    let failed = |source| StoreError::Open {
        database: path.display().to_string(),
        source,
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|source| failed(source.into()))?;
    }
    let mut connection = connect(path, busy_timeout_ms).map_err(|source| failed(source.into()))?;
    let found = version(&connection).map_err(|source| failed(source.into()))?;
    if found > VERSION {
        return Err(StoreError::TooNew {
            database: path.display().to_string(),
            found,
            known: VERSION,
        });
    }
    for (index, migration) in MIGRATIONS.iter().enumerate() {
        apply(&mut connection, index as i64, migration).map_err(|source| failed(source.into()))?;
    }
    Ok(connection)
}

fn connect(path: &Path, busy_timeout_ms: u32) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_millis(busy_timeout_ms.into()))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A commit that was answered survives the loss of power, not only of the process.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    // Savepoints keep copies of pages, which are never worth a file.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // 16 MiB each: the hot pages of some 100,000 generations, and a log that is folded in every few thousand writes.
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.pragma_update(None, "wal_autocheckpoint", 4096)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn apply(connection: &mut Connection, index: i64, migration: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if version(&transaction)? == index {
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", index + 1)?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_a_later_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/kinora.db");
        let connection = open(&path, 1000).unwrap();
        assert_eq!(version(&connection).unwrap(), VERSION);
        drop(open(&path, 1000).unwrap());
        connection.pragma_update(None, "user_version", 999).unwrap();
        assert!(matches!(
            open(&path, 1000),
            Err(StoreError::TooNew { found: 999, .. })
        ));
    }

    #[test]
    fn what_is_no_database_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kinora.db");
        fs::write(&path, "This is a letter, and no database at all.".repeat(50)).unwrap();
        assert!(matches!(open(&path, 1000), Err(StoreError::Open { .. })));
    }
}

//! Brings a database's tables up to this program's version, once however many processes start at the same time.
//!
//! The version is the one row of `schema_version`: how many of the migrations have been applied. They are applied in
//! one transaction, under a lock that another process waits for. A database that is up to date is only read, so that
//! the role of a server needs no right to make tables.

use super::{connection::Connection, url::PostgresUrl};
use crate::{Result, StoreError, sql::Sql};

/// Every migration, in order. One that has been released is never changed.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/postgres/0001_everything.sql"),
    include_str!("../../migrations/postgres/0002_workers.sql"),
    include_str!("../../migrations/postgres/0003_previews.sql"),
    include_str!("../../migrations/postgres/0004_in_place.sql"),
];

/// The oldest PostgreSQL whose SQL this is; its number as the server tells it.
const SERVER_MIN: i64 = 130_000;

/// The version that this program brings a database to.
pub(crate) const VERSION: i64 = MIGRATIONS.len() as i64;

/// Brings the tables up to date; the name of the schema they are in.
pub(super) fn migrate(connection: &Connection<'_>, url: &PostgresUrl) -> Result<String> {
    let sql: &dyn Sql = connection;
    let failed = || StoreError::database("bring its tables up to date");
    let number = sql
        .one(
            "SELECT current_setting('server_version_num')::bigint",
            &[],
            |row| row.get::<i64>(0),
        )
        .map_err(failed())?;
    if number < SERVER_MIN {
        return Err(StoreError::Open {
            database: url.to_string(),
            source: format!(
                "PostgreSQL 13 or later is needed, and this is {}",
                number / 10_000
            )
            .into(),
        });
    }
    let schema = sql
        .one("SELECT current_schema()::text", &[], |row| {
            row.get::<Option<String>>(0)
        })
        .map_err(failed())?;
    let schema = schema.ok_or_else(|| StoreError::Open {
        database: url.to_string(),
        source: "none of the schemas in its search_path is there".into(),
    })?;
    let known = VERSION;
    let found = version(sql)?;
    if found < Some(known) {
        connection.run("BEGIN").map_err(failed())?;
        connection
            .run("SELECT pg_advisory_xact_lock(hashtextextended('kinora.' || current_schema(), 0))")
            .map_err(failed())?;
        // Another process may have been faster.
        let found = version(sql)?.unwrap_or(0);
        for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or_default()) {
            connection.run(migration).map_err(failed())?;
        }
        if found < known {
            connection
                .run("DELETE FROM schema_version")
                .and_then(|()| {
                    sql.execute(
                        "INSERT INTO schema_version (version) VALUES (?1)",
                        &crate::sql::params![known],
                    )
                })
                .map_err(failed())?;
        }
        connection.run("COMMIT").map_err(failed())?;
    }
    match version(sql)? {
        Some(found) if found > known => Err(StoreError::TooNew {
            database: url.to_string(),
            found,
            known,
        }),
        Some(_) | None => Ok(schema),
    }
}

/// The version of the tables; `None` before the first.
pub(super) fn version(sql: &dyn Sql) -> Result<Option<i64>> {
    let failed = || StoreError::database("read the version of its tables");
    let is_there = sql
        .exists(
            // Asked of the table of tables: whoever has waited for a lock may still remember that there was none, and a
            // name is looked up in that memory.
            "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'schema_version'",
            &[],
        )
        .map_err(failed())?;
    match is_there {
        true => sql
            .first("SELECT version FROM schema_version", &[], |row| row.get(0))
            .map_err(failed()),
        false => Ok(None),
    }
}

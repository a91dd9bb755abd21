//! Which tables are moved, in which order, and what is in them.
//!
//! What a table's columns are is asked of both databases, so that a column which a migration adds is moved without a word
//! here. A table that is added must be named here; a test compares.

use std::fmt::Write;

use crate::{
    Result, StoreError,
    sql::{self, Dialect, Row, Sql, Value, params},
};

/// One table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// By what its rows are told from each other, and sorted alike in both databases.
    pub(super) key: &'static [&'static str],
    /// What is in it is never changed or removed.
    pub(super) is_ledger: bool,
}

const fn table(name: &'static str, key: &'static [&'static str]) -> Table {
    Table {
        name,
        key,
        is_ledger: false,
    }
}

const fn ledger(name: &'static str, key: &'static [&'static str]) -> Table {
    Table {
        name,
        key,
        is_ledger: true,
    }
}

/// All that are moved. Each comes after those that its rows refer to.
pub(super) const TABLES: &[Table] = &[
    table("accounts", &["position"]),
    table("keys", &["position"]),
    table("secrets", &["name"]),
    table("grants", &["id"]),
    table("generations", &["position"]),
    table("lanes", &["account", "priority", "offer"]),
    table("status_events", &["generation", "seq"]),
    ledger("ledger_entries", &["position"]),
    ledger("ledger_lines", &["entry", "ordinal"]),
    table("idempotency", &["account", "scope", "key"]),
    table("blob_refs", &["generation", "role"]),
    table("webhook_endpoints", &["position"]),
    table("webhook_deliveries", &["position"]),
    table("webhook_tries", &["delivery", "number"]),
    table("attempt_notes", &["generation", "offer", "clip"]),
    table("attempts", &["generation", "token"]),
    table("offers", &["id"]),
];

/// Tables that are each database's own. The counter in `counters` goes with the [numbers](take_numbers); workers announce
/// themselves anew, requests are counted anew, and what runs shows its next picture.
#[cfg(test)]
const OWN: &[&str] = &[
    "counters",
    "schema_version",
    "relocation",
    "sqlite_sequence",
    "workers",
    "rates",
    "previews",
];

/// A column and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Real,
    Text,
    Bytes,
}

/// The columns of a table that are written, the key first and then by their names. Empty where there is no such table.
pub(super) fn columns(sql: &dyn Sql, table: &Table) -> Result<Vec<Column>> {
    let select = match sql.dialect() {
        // Those that are made of others are hidden.
        Dialect::Sqlite => "SELECT name, type FROM pragma_table_xinfo(?1) WHERE hidden = 0",
        Dialect::Postgres => {
            "SELECT column_name::text, data_type::text FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name = ?1 AND is_generated = 'NEVER'"
        }
    };
    let read = |row: &Row<'_>| {
        let kind = match row.text(1)? {
            "INTEGER" | "bigint" => Kind::Int,
            "REAL" | "double precision" => Kind::Real,
            "TEXT" | "text" => Kind::Text,
            "BLOB" | "bytea" => Kind::Bytes,
            other => return Err(sql::unreadable(1, format!("{other} is no type of ours"))),
        };
        Ok(Column {
            name: row.get(0)?,
            kind,
        })
    };
    let mut columns = sql
        .all(select, &params![table.name], read)
        .map_err(StoreError::database("read what its tables are"))?;
    let place = |column: &Column| {
        let place = table.key.iter().position(|key| *key == column.name);
        (place.unwrap_or(usize::MAX), column.name.clone())
    };
    columns.sort_by_key(place);
    Ok(columns)
}

/// How many rows are in it.
pub(super) fn count(sql: &dyn Sql, table: &Table) -> Result<u64> {
    let select = format!("SELECT count(*) FROM {}", table.name);
    sql.one(&select, &[], |row| row.get(0))
        .map_err(StoreError::database("count rows"))
}

/// One row, in the order of the columns.
pub(super) type Values = Vec<Value<'static>>;

/// Rows of a table behind a key, in the order of the keys.
pub(super) fn page(
    sql: &dyn Sql,
    table: &Table,
    columns: &[Column],
    behind: Option<&[Value<'static>]>,
    limit: i64,
) -> Result<Vec<Values>> {
    let key = table.key.join(", ");
    let names = names_of(columns);
    let name = table.name;
    let (select, mut values) = match behind {
        None => (
            format!("SELECT {names} FROM {name} ORDER BY {key} LIMIT ?1"),
            Vec::new(),
        ),
        Some(behind) => {
            let marks = marks(1, behind.len());
            let last = behind.len() + 1;
            (
                format!("SELECT {names} FROM {name} WHERE ({key}) > ({marks}) ORDER BY {key} LIMIT ?{last}"),
                behind.to_vec(),
            )
        }
    };
    values.extend(params![limit]);
    sql.all(&select, &values, |row| read_row(row, columns))
        .map_err(StoreError::database("read rows"))
}

fn read_row(row: &Row<'_>, columns: &[Column]) -> sql::Result<Values> {
    let value = |(place, column): (usize, &Column)| {
        Ok(match column.kind {
            Kind::Int => Value::Int(row.0.int(place)?),
            Kind::Real => Value::Real(row.0.real(place)?),
            Kind::Text => Value::Text(row.0.text(place)?.map(|text| text.to_owned().into())),
            Kind::Bytes => Value::Bytes(row.0.bytes(place)?.map(|bytes| bytes.to_owned().into())),
        })
    };
    columns.iter().enumerate().map(value).collect()
}

/// Writes rows, in place of those that have their keys.
pub(super) fn put(sql: &dyn Sql, table: &Table, columns: &[Column], rows: &[Values]) -> Result<()> {
    for some in rows.chunks((PARAMETERS_MAX / columns.len().max(1)).max(1)) {
        let mut insert = format!("INSERT INTO {} ({}) VALUES ", table.name, names_of(columns));
        for n in 0..some.len() {
            let comma = if n == 0 { "" } else { ", " };
            let marks = marks(n * columns.len() + 1, columns.len());
            write!(insert, "{comma}({marks})").expect("writing to a string succeeds");
        }
        if !table.is_ledger {
            let key = table.key.join(", ");
            let set: Vec<String> = columns[table.key.len()..]
                .iter()
                .map(|Column { name, kind: _ }| format!("{name} = excluded.{name}"))
                .collect();
            write!(insert, " ON CONFLICT ({key}) DO UPDATE SET {}", set.join(", "))
                .expect("writing to a string succeeds");
        }
        let values: Values = some.iter().flatten().cloned().collect();
        sql.execute(&insert, &values)
            .map_err(StoreError::database("write rows"))?;
    }
    Ok(())
}

/// Removes a row.
pub(super) fn remove(sql: &dyn Sql, table: &Table, key: &[Value<'static>]) -> Result<()> {
    let delete = format!(
        "DELETE FROM {} WHERE ({}) = ({})",
        table.name,
        table.key.join(", "),
        marks(1, key.len())
    );
    sql.execute(&delete, key)
        .map(|_| ())
        .map_err(StoreError::database("remove rows"))
}

/// What one statement may have, in both databases.
const PARAMETERS_MAX: usize = 8000;

fn names_of(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    names.join(", ")
}

fn marks(first: usize, count: usize) -> String {
    let marks: Vec<String> = (first..first + count).map(|n| format!("?{n}")).collect();
    marks.join(", ")
}

/// Numbers that were given out: the last turn, and the last position of each table that has them, also where its row is
/// gone by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbers {
    turn: i64,
    positions: Vec<(&'static str, i64)>,
}

/// What has been given out.
pub(super) fn numbers(sql: &dyn Sql) -> Result<Numbers> {
    let given = || -> sql::Result<Numbers> {
        let turn = sql.one("SELECT value FROM counters WHERE name = 'turn'", &[], |row| {
            row.get(0)
        })?;
        let last = match sql.dialect() {
            Dialect::Sqlite => "SELECT seq FROM sqlite_sequence WHERE name = ?1",
            Dialect::Postgres => {
                "SELECT coalesce(last_value, 0) FROM pg_sequences
                 WHERE schemaname = current_schema() AND sequencename = ?1 || '_position_seq'"
            }
        };
        let mut positions = Vec::new();
        for table in positioned() {
            let given: Option<i64> = sql.first(last, &params![table], |row| row.get(0))?;
            let select = format!("SELECT coalesce(max(position), 0) FROM {table}");
            let kept: i64 = sql.one(&select, &[], |row| row.get(0))?;
            positions.push((table, given.unwrap_or(0).max(kept)));
        }
        Ok(Numbers { turn, positions })
    };
    given().map_err(StoreError::database("read what numbers were given out"))
}

/// Goes on where another database has stopped giving out numbers.
pub(super) fn take_numbers(sql: &dyn Sql, numbers: &Numbers) -> Result<()> {
    let Numbers { turn, positions } = numbers;
    let take = || -> sql::Result<()> {
        match sql.dialect() {
            Dialect::Sqlite => {
                sql.execute(
                    "UPDATE counters SET value = ?1 WHERE name = 'turn'",
                    &params![turn],
                )?;
                for (table, position) in positions {
                    // Only those that never give out a number twice are in there.
                    sql.execute(
                        "UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1",
                        &params![*table, position],
                    )?;
                    sql.execute(
                        "INSERT INTO sqlite_sequence (name, seq) SELECT ?1, ?2 WHERE ?2 > 0
                         AND EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1 AND sql LIKE '%AUTOINCREMENT%')
                         AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?1)",
                        &params![*table, position],
                    )?;
                }
            }
            Dialect::Postgres => {
                sql.execute("SELECT setval('turns', ?1)", &params![turn])?;
                for (table, position) in positions.iter().filter(|(_, position)| *position > 0) {
                    sql.execute(
                        "SELECT setval(pg_get_serial_sequence(?1, 'position'), ?2)",
                        &params![*table, position],
                    )?;
                }
            }
        }
        Ok(())
    };
    take().map_err(StoreError::database("go on with the numbers"))
}

fn positioned() -> impl Iterator<Item = &'static str> {
    TABLES
        .iter()
        .filter(|table| table.key == ["position"])
        .map(|table| table.name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sqlite;

    #[test]
    fn every_table_is_moved_or_each_databases_own() {
        let folder = tempfile::tempdir().unwrap();
        let connection = sqlite::connect(&folder.path().join("kinora.db"), 1000).unwrap();
        let sql: &dyn Sql = &connection;
        let names = sql.all(
            "SELECT name FROM sqlite_schema WHERE type = 'table'",
            &[],
            |row| row.get::<String>(0),
        );
        let there: BTreeSet<String> = names.unwrap().into_iter().collect();
        let moved = TABLES.iter().map(|table| table.name);
        let named: BTreeSet<&str> = moved.chain(OWN.iter().copied()).collect();
        let unnamed: Vec<_> = there
            .iter()
            .filter(|name| !named.contains(name.as_str()))
            .collect();
        assert!(unnamed.is_empty(), "{unnamed:?}: in TABLES, or in OWN?");
        for table in TABLES {
            assert!(there.contains(table.name), "{}", table.name);
            let columns = columns(sql, table).unwrap();
            let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            assert!(names.starts_with(table.key), "{}: {names:?}", table.name);
        }
    }
}

//! What is counted and summed in both databases, for people to compare.

use kinora_domain::BlobHash;

use super::tables::{TABLES, count};
use crate::{
    Result, StoreError,
    sql::{Row, Sql, Value},
};

/// Rows and credits of an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Books {
    /// Each table's rows.
    pub tables: Vec<TableRows>,
    /// What the ledger comes to, by account and bucket.
    pub accounts: Vec<AccountBooks>,
}

/// How many rows a table has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRows {
    /// Which.
    pub table: &'static str,
    /// How many.
    pub rows: u64,
}

/// What the ledger says of one bucket of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountBooks {
    /// The account's name.
    pub account: String,
    /// The bucket.
    pub bucket: String,
    /// How many lines there are.
    pub lines: u64,
    /// What was ever given.
    pub given: i64,
    /// The sum of all lines: what can be spent.
    pub balance: i64,
}

pub(super) fn books(sql: &dyn Sql) -> Result<Books> {
    let tables = TABLES
        .iter()
        .map(|table| {
            Ok(TableRows {
                table: table.name,
                rows: count(sql, table)?,
            })
        })
        .collect::<Result<_>>()?;
    let read = |row: &Row<'_>| {
        Ok(AccountBooks {
            account: row.get(0)?,
            bucket: row.get(1)?,
            lines: row.get(2)?,
            given: row.get(3)?,
            balance: row.get(4)?,
        })
    };
    let accounts = sql
        .all(
            "SELECT a.name, g.bucket, CAST(count(*) AS BIGINT),
                    CAST(coalesce(sum(l.amount) FILTER (WHERE e.type IN ('grant', 'purchase', 'adjust')), 0) AS BIGINT),
                    CAST(sum(l.amount) AS BIGINT)
             FROM ledger_lines l JOIN ledger_entries e ON e.position = l.entry JOIN grants g ON g.id = l.grant_id
                  JOIN accounts a ON a.id = e.account
             GROUP BY a.position, a.name, g.bucket ORDER BY a.position, g.bucket DESC",
            &[],
            read,
        )
        .map_err(StoreError::database("sum up the ledger"))?;
    Ok(Books { tables, accounts })
}

/// Blobs that rows refer to, each once, in the order of their hashes.
pub(super) fn blobs(sql: &dyn Sql, behind: Option<BlobHash>, limit: usize) -> Result<Vec<BlobHash>> {
    // No bytes at all come before every hash.
    let behind = behind.map_or_else(Vec::new, |hash| hash.0.to_vec());
    let values = [
        Value::Bytes(Some(behind.into())),
        Value::Int(i64::try_from(limit).ok()),
    ];
    sql.all(
        "SELECT DISTINCT hash FROM blob_refs WHERE hash > ?1 ORDER BY hash LIMIT ?2",
        &values,
        |row| Ok(BlobHash(row.get(0)?)),
    )
    .map_err(StoreError::database("list what bytes are referred to"))
}

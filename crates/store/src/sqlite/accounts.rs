//! Accounts, their keys, and the secrets that nodes share.

use kinora_domain::{AccountId, KeyId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::generations::id_in;
use crate::{Account, Key, Result, Scope, StoreError};

/// Keeps a new account.
pub(super) fn create(connection: &Connection, account: &Account) -> Result<()> {
    let Account {
        id,
        name,
        running_max,
        created_at,
    } = account;
    if by_name(connection, name)?.is_some() {
        return Err(StoreError::NameTaken(name.clone()));
    }
    connection
        .prepare_cached("INSERT INTO accounts (id, name, running_max, created_at) VALUES (?1, ?2, ?3, ?4)")
        .and_then(|mut insert| insert.execute(params![id.to_string(), name, running_max, created_at.0]))
        .map_err(StoreError::database("keep an account"))?;
    Ok(())
}

/// The account of that name.
pub(super) fn by_name(connection: &Connection, name: &str) -> Result<Option<Account>> {
    connection
        .prepare_cached("SELECT id, name, running_max, created_at FROM accounts WHERE name = ?1")
        .and_then(|mut select| select.query_row([name], account).optional())
        .map_err(StoreError::database("look for an account by its name"))
}

/// One account.
pub(super) fn by_id(connection: &Connection, id: AccountId) -> Result<Option<Account>> {
    connection
        .prepare_cached("SELECT id, name, running_max, created_at FROM accounts WHERE id = ?1")
        .and_then(|mut select| select.query_row([id.to_string()], account).optional())
        .map_err(StoreError::database("look for an account"))
}

/// All accounts, oldest first.
pub(super) fn all(connection: &Connection) -> Result<Vec<Account>> {
    connection
        .prepare_cached("SELECT id, name, running_max, created_at FROM accounts ORDER BY position")
        .and_then(|mut select| select.query_map([], account)?.collect())
        .map_err(StoreError::database("list accounts"))
}

/// Keeps a new key.
pub(super) fn create_key(connection: &Connection, key: &Key) -> Result<()> {
    let Key {
        id,
        account,
        name,
        hash,
        scope,
        created_at,
        revoked_at,
    } = key;
    if by_id(connection, *account)?.is_none() {
        return Err(StoreError::UnknownAccount(*account));
    }
    let row = params![
        id.to_string(),
        account.to_string(),
        name,
        hash,
        scope.as_str(),
        created_at.0,
        revoked_at.map(|at| at.0),
    ];
    connection
        .prepare_cached(
            "INSERT INTO keys (id, account, name, hash, scope, created_at, revoked_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut insert| insert.execute(row))
        .map_err(StoreError::database("keep a key"))?;
    Ok(())
}

/// The key with this hash of its secret.
pub(super) fn key_by_hash(connection: &Connection, hash: [u8; 32]) -> Result<Option<Key>> {
    connection
        .prepare_cached(
            "SELECT id, account, name, hash, scope, created_at, revoked_at FROM keys WHERE hash = ?1",
        )
        .and_then(|mut select| select.query_row([hash], key).optional())
        .map_err(StoreError::database("look for a key"))
}

/// All keys, or all of one account, oldest first.
pub(super) fn keys(connection: &Connection, account: Option<AccountId>) -> Result<Vec<Key>> {
    connection
        .prepare_cached(
            "SELECT id, account, name, hash, scope, created_at, revoked_at FROM keys
             WHERE ?1 IS NULL OR account = ?1 ORDER BY position",
        )
        .and_then(|mut select| {
            select
                .query_map([account.map(|id| id.to_string())], key)?
                .collect()
        })
        .map_err(StoreError::database("list keys"))
}

/// Revokes a key; false if there is none or it is revoked already.
pub(super) fn revoke_key(connection: &Connection, id: KeyId, now: Timestamp) -> Result<bool> {
    connection
        .prepare_cached("UPDATE keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL")
        .and_then(|mut update| update.execute(params![id.to_string(), now.0]))
        .map(|changed| changed > 0)
        .map_err(StoreError::database("revoke a key"))
}

/// The secret of that name.
pub(super) fn secret(connection: &Connection, name: &str) -> Result<Option<[u8; 32]>> {
    connection
        .prepare_cached("SELECT secret FROM secrets WHERE name = ?1")
        .and_then(|mut select| select.query_row([name], |row| row.get(0)).optional())
        .map_err(StoreError::database("look for a secret"))
}

/// Keeps `fresh` unless there is a secret of that name, and returns what is kept.
pub(super) fn keep_secret(connection: &Connection, name: &str, fresh: [u8; 32]) -> Result<[u8; 32]> {
    if let Some(secret) = secret(connection, name)? {
        return Ok(secret);
    }
    connection
        .prepare_cached("INSERT INTO secrets (name, secret) VALUES (?1, ?2)")
        .and_then(|mut insert| insert.execute(params![name, fresh]))
        .map_err(StoreError::database("keep a secret"))?;
    Ok(fresh)
}

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        id: id_in(row, 0)?,
        name: row.get(1)?,
        running_max: row.get(2)?,
        created_at: Timestamp(row.get(3)?),
    })
}

fn key(row: &Row<'_>) -> rusqlite::Result<Key> {
    Ok(Key {
        id: id_in(row, 0)?,
        account: id_in(row, 1)?,
        name: row.get(2)?,
        hash: row.get(3)?,
        scope: match row.get_ref(4)?.as_str()? {
            "full" => Scope::Full,
            // The table's check allows no third word; if it ever did, the lesser right is the safe reading.
            _ => Scope::Read,
        },
        created_at: Timestamp(row.get(5)?),
        revoked_at: row.get::<_, Option<i64>>(6)?.map(Timestamp),
    })
}

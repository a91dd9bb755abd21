//! Accounts, their keys, and the secrets that nodes share.

use kinora_domain::{AccountId, KeyId, Timestamp};

use crate::{
    Account, Key, Result, Scope, StoreError,
    sql::{self, Row, Sql, params},
};

/// Keeps a new account.
pub(crate) fn create(sql: &dyn Sql, account: &Account) -> Result<()> {
    let Account {
        id,
        name,
        running_max,
        created_at,
    } = account;
    let row = params![id.to_string(), name, running_max, created_at.0];
    let kept = sql
        .execute(
            "INSERT INTO accounts (id, name, running_max, created_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (name) DO NOTHING",
            &row,
        )
        .map_err(StoreError::database("keep an account"))?;
    match kept {
        0 => Err(StoreError::NameTaken(name.clone())),
        _ => Ok(()),
    }
}

/// The account of that name.
pub(crate) fn by_name(sql: &dyn Sql, name: &str) -> Result<Option<Account>> {
    sql.first(
        "SELECT id, name, running_max, created_at FROM accounts WHERE name = ?1",
        &params![name],
        account,
    )
    .map_err(StoreError::database("look for an account by its name"))
}

/// One account.
pub(crate) fn by_id(sql: &dyn Sql, id: AccountId) -> Result<Option<Account>> {
    sql.first(
        "SELECT id, name, running_max, created_at FROM accounts WHERE id = ?1",
        &params![id.to_string()],
        account,
    )
    .map_err(StoreError::database("look for an account"))
}

/// Keeps everybody else from changing the account, its credits and its generations until the transaction ends. Whoever
/// changes any of them begins with this.
pub(crate) fn lock(sql: &dyn Sql, id: AccountId) -> Result<()> {
    sql.lock(
        "SELECT 1 FROM accounts WHERE id = ?1 FOR NO KEY UPDATE",
        &params![id.to_string()],
    )
    .map_err(StoreError::database("lock an account"))
}

/// All accounts, oldest first.
pub(crate) fn all(sql: &dyn Sql) -> Result<Vec<Account>> {
    sql.all(
        "SELECT id, name, running_max, created_at FROM accounts ORDER BY position",
        &[],
        account,
    )
    .map_err(StoreError::database("list accounts"))
}

/// Keeps a new key.
pub(crate) fn create_key(sql: &dyn Sql, key: &Key) -> Result<()> {
    let Key {
        id,
        account,
        name,
        hash,
        scope,
        created_at,
        revoked_at,
    } = key;
    if by_id(sql, *account)?.is_none() {
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
    sql.execute(
        "INSERT INTO keys (id, account, name, hash, scope, created_at, revoked_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        &row,
    )
    .map_err(StoreError::database("keep a key"))?;
    Ok(())
}

/// The key with this hash of its secret.
pub(crate) fn key_by_hash(sql: &dyn Sql, hash: [u8; 32]) -> Result<Option<Key>> {
    sql.first(
        "SELECT id, account, name, hash, scope, created_at, revoked_at FROM keys WHERE hash = ?1",
        &params![&hash],
        key,
    )
    .map_err(StoreError::database("look for a key"))
}

/// All keys, or all of one account, oldest first.
pub(crate) fn keys(sql: &dyn Sql, account: Option<AccountId>) -> Result<Vec<Key>> {
    sql.all(
        "SELECT id, account, name, hash, scope, created_at, revoked_at FROM keys
             WHERE ?1 IS NULL OR account = ?1 ORDER BY position",
        &params![account.map(|id| id.to_string())],
        key,
    )
    .map_err(StoreError::database("list keys"))
}

/// Revokes a key; false if there is none or it is revoked already.
pub(crate) fn revoke_key(sql: &dyn Sql, id: KeyId, now: Timestamp) -> Result<bool> {
    sql.execute(
        "UPDATE keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL",
        &params![id.to_string(), now.0],
    )
    .map(|changed| changed > 0)
    .map_err(StoreError::database("revoke a key"))
}

/// The secret of that name.
pub(crate) fn secret(sql: &dyn Sql, name: &str) -> Result<Option<[u8; 32]>> {
    sql.first(
        "SELECT secret FROM secrets WHERE name = ?1",
        &params![name],
        |row| row.get(0),
    )
    .map_err(StoreError::database("look for a secret"))
}

/// Keeps `fresh` unless there is a secret of that name, and returns what is kept.
pub(crate) fn keep_secret(sql: &dyn Sql, name: &str, fresh: [u8; 32]) -> Result<[u8; 32]> {
    sql.execute(
        "INSERT INTO secrets (name, secret) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING",
        &params![name, &fresh],
    )
    .map_err(StoreError::database("keep a secret"))?;
    Ok(secret(sql, name)?.unwrap_or(fresh))
}

fn account(row: &Row<'_>) -> sql::Result<Account> {
    Ok(Account {
        id: row.parsed(0)?,
        name: row.get(1)?,
        running_max: row.get(2)?,
        created_at: Timestamp(row.get(3)?),
    })
}

fn key(row: &Row<'_>) -> sql::Result<Key> {
    Ok(Key {
        id: row.parsed(0)?,
        account: row.parsed(1)?,
        name: row.get(2)?,
        hash: row.get(3)?,
        scope: match row.text(4)? {
            "full" => Scope::Full,
            // The table's check allows no third word; if it ever did, the lesser right is the safe reading.
            _ => Scope::Read,
        },
        created_at: Timestamp(row.get(5)?),
        revoked_at: row.get::<Option<i64>>(6)?.map(Timestamp),
    })
}

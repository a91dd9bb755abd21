//! Webhook endpoints: what an account has set up.

use kinora_domain::{AccountId, EndpointId, Phase, Timestamp};

use super::{accounts, outbox};
use crate::{
    Endpoint, EndpointChange, Result, Secrets, StoreError,
    bells::Rings,
    sql::{self, Row, Sql, params},
};

/// The columns that [`endpoint`] reads, in its order.
macro_rules! columns {
    () => {
        "id, account, url, events, description, enabled, gone, secret, previous_secret, previous_until, created_at"
    };
}

/// Keeps a new endpoint, unless its account has `endpoints_max` already.
pub(crate) fn create(sql: &dyn Sql, endpoint: &Endpoint, endpoints_max: u32) -> Result<bool> {
    let Endpoint {
        id,
        account,
        url,
        events,
        description,
        enabled,
        gone: _,
        secrets: Secrets { current, previous: _ },
        created_at,
    } = endpoint;
    accounts::lock(sql, *account)?;
    let count: u32 = sql
        .one(
            "SELECT count(*) FROM webhook_endpoints WHERE account = ?1 AND by_request = 0 AND removed = 0",
            &params![account.to_string()],
            |row| row.get(0),
        )
        .map_err(StoreError::database("count endpoints"))?;
    if count >= endpoints_max {
        return Ok(false);
    }
    let row = params![
        id.to_string(),
        account.to_string(),
        url,
        words(events),
        description,
        enabled,
        current,
        created_at.0,
    ];
    sql.execute("INSERT INTO webhook_endpoints (id, account, url, by_request, events, description, enabled, secret, created_at)
             VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, ?8)", &row)
        .map_err(StoreError::database("keep an endpoint"))?;
    Ok(true)
}

/// One endpoint of an account.
pub(crate) fn load(sql: &dyn Sql, account: AccountId, id: EndpointId) -> Result<Option<Endpoint>> {
    sql.first(
        concat!(
            "SELECT ",
            columns!(),
            " FROM webhook_endpoints WHERE id = ?2 AND account = ?1 AND by_request = 0 AND removed = 0"
        ),
        &params![account.to_string(), id.to_string()],
        endpoint,
    )
    .map_err(StoreError::database("read an endpoint"))
}

/// All endpoints of an account, oldest first.
pub(crate) fn all(sql: &dyn Sql, account: AccountId) -> Result<Vec<Endpoint>> {
    sql.all(
        concat!(
            "SELECT ",
            columns!(),
            " FROM webhook_endpoints WHERE account = ?1 AND by_request = 0 AND removed = 0 ORDER BY position"
        ),
        &params![account.to_string()],
        endpoint,
    )
    .map_err(StoreError::database("list endpoints"))
}

/// Changes an endpoint. One that is enabled again is no longer taken for gone, and what waited for it goes on.
pub(crate) fn change(
    sql: &dyn Sql,
    account: AccountId,
    id: EndpointId,
    change: &EndpointChange,
    rings: &mut Rings,
) -> Result<Option<Endpoint>> {
    lock(sql, id)?;
    let Some(before) = load(sql, account, id)? else {
        return Ok(None);
    };
    let EndpointChange {
        url,
        events,
        description,
        enabled,
        secret,
    } = change;
    let secrets = match secret {
        Some((fresh, until)) => Secrets {
            current: *fresh,
            previous: Some((before.secrets.current, *until)),
        },
        None => before.secrets,
    };
    let next = Endpoint {
        url: url.clone().unwrap_or(before.url),
        events: events.clone().unwrap_or(before.events),
        description: description.clone().unwrap_or(before.description),
        enabled: enabled.unwrap_or(before.enabled),
        gone: before.gone && *enabled != Some(true),
        secrets,
        ..before
    };
    let row = params![
        id.to_string(),
        &next.url,
        words(&next.events),
        &next.description,
        next.enabled,
        next.gone,
        &next.secrets.current,
        next.secrets.previous.map(|(secret, _)| secret),
        next.secrets.previous.map(|(_, until)| until.0),
        *enabled == Some(true) && !before.enabled,
    ];
    sql.execute("UPDATE webhook_endpoints SET url = ?2, events = ?3, description = ?4, enabled = ?5, gone = ?6, secret = ?7,
                 previous_secret = ?8, previous_until = ?9, held_until = CASE WHEN ?10 = 1 THEN 0 ELSE held_until END
             WHERE id = ?1", &row)
        .map_err(StoreError::database("change an endpoint"))?;
    outbox::settle_due(sql, position(sql, id)?, rings)?;
    Ok(Some(next))
}

/// Removes an endpoint and drops what waits for it; false if the account has none of that id.
pub(crate) fn remove(sql: &dyn Sql, account: AccountId, id: EndpointId, now: Timestamp) -> Result<bool> {
    lock(sql, id)?;
    if load(sql, account, id)?.is_none() {
        return Ok(false);
    }
    outbox::drop_waiting(sql, position(sql, id)?, now)?;
    sql.execute(
        "UPDATE webhook_endpoints SET removed = 1, enabled = 0, gone = 0, due_at = NULL WHERE id = ?1",
        &params![id.to_string()],
    )
    .map_err(StoreError::database("remove an endpoint"))?;
    Ok(true)
}

/// Keeps everybody else from changing the endpoint and its deliveries until the transaction ends. Whoever changes any of
/// them begins with this, after the lock on the account where it takes that too.
pub(crate) fn lock(sql: &dyn Sql, id: EndpointId) -> Result<()> {
    sql.lock(
        "SELECT 1 FROM webhook_endpoints WHERE id = ?1 FOR NO KEY UPDATE",
        &params![id.to_string()],
    )
    .map_err(StoreError::database("lock an endpoint"))
}

/// Its place in the table.
pub(crate) fn position(sql: &dyn Sql, id: EndpointId) -> Result<i64> {
    sql.one(
        "SELECT position FROM webhook_endpoints WHERE id = ?1",
        &params![id.to_string()],
        |row| row.get(0),
    )
    .map_err(StoreError::database("look for an endpoint"))
}

/// Phases as a text in which each stands between spaces.
fn words(events: &[Phase]) -> String {
    let words: String = events
        .iter()
        .map(|phase| format!("{} ", phase.as_str()))
        .collect();
    match words.is_empty() {
        true => words,
        false => format!(" {words}"),
    }
}

fn endpoint(row: &Row<'_>) -> sql::Result<Endpoint> {
    let events = row.text(3)?;
    Ok(Endpoint {
        id: row.parsed(0)?,
        account: row.parsed(1)?,
        url: row.get(2)?,
        events: Phase::ALL
            .into_iter()
            .filter(|phase| events.split(' ').any(|word| word == phase.as_str()))
            .collect(),
        description: row.get(4)?,
        enabled: row.get(5)?,
        gone: row.get(6)?,
        secrets: secrets(row, 7)?,
        created_at: Timestamp(row.get(10)?),
    })
}

/// The two secrets of an endpoint, in three columns from `column`.
pub(crate) fn secrets(row: &Row<'_>, column: usize) -> sql::Result<Secrets> {
    let previous: Option<[u8; 32]> = row.get(column + 1)?;
    let until: Option<i64> = row.get(column + 2)?;
    Ok(Secrets {
        current: row.get(column)?,
        previous: previous.zip(until.map(Timestamp)),
    })
}

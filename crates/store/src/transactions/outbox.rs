//! The outbox: what endpoints are still to be told, and who tells it.
//!
//! An event is queued in the transaction that made it ([`announce`]), for every endpoint that wants it. Whoever
//! sends takes what is due under a lease ([`claim`]) and says what came of it ([`record`]); a sender that dies
//! leaves its lease to run out, and the delivery is made again. The events of one generation are tried in order: one
//! waits until the one before it has been tried once. After that each follows its own schedule.
//!
//! An endpoint's `due_at` is what the claim looks for, so that what waits for a slow endpoint costs the others
//! nothing. [`settle_due`] keeps it; every change to a delivery ends with it.

use kinora_domain::{AccountId, DeliveryId, EndpointId, GenerationId, Phase, Timestamp};

use super::{
    endpoints::{lock, position, secrets},
    generations::{self, Kept},
    lists::{cut, one_more},
};
use crate::{
    Delivery, DeliveryStatus, DueDelivery, Page, Result, StoreError, Try, TryOutcome, Verdict,
    bells::Rings,
    sql::{self, Row, Sql, params},
};

/// How many deliveries to one endpoint are tried at once: one that does not answer must not hold all senders.
const AT_ONCE_MAX: i64 = 4;

/// How many rows are forgotten in one transaction.
const FORGET_MAX: i64 = 512;

/// Queues what a generation has become for every endpoint that wants to know, and for its request's `webhook_url`.
pub(crate) fn announce(sql: &dyn Sql, kept: &Kept, now: Timestamp, rings: &mut Rings) -> Result<()> {
    let generation = &kept.generation;
    let phase = generation.phase();
    for endpoint in listeners(sql, kept, phase, now)? {
        let first_is_untried = has_untried(sql, endpoint, generation.id)?;
        let delivery = New {
            endpoint,
            event: Some((generation.id, phase)),
            status: if first_is_untried { "waiting" } else { "pending" },
        };
        keep(sql, &delivery, now)?;
        settle_due(sql, endpoint, rings)?;
    }
    Ok(())
}

/// Positions of the endpoints that are told of this.
fn listeners(sql: &dyn Sql, kept: &Kept, phase: Phase, now: Timestamp) -> Result<Vec<i64>> {
    let account = kept.generation.account;
    let look = || -> sql::Result<Vec<i64>> {
        let mut found: Vec<i64> = sql.all(
            "SELECT position FROM webhook_endpoints
                 WHERE account = ?1 AND by_request = 0 AND removed = 0 AND enabled = 1
                       AND (events = '' OR events LIKE ?2)
                 ORDER BY position /*pg FOR NO KEY UPDATE */",
            &params![account.to_string(), format!("% {} %", phase.as_str())],
            |row| row.get(0),
        )?;
        if let Some(url) = &kept.webhook_url {
            found.push(of_request(sql, account, url, now)?);
        }
        Ok(found)
    };
    look().map_err(StoreError::database("look for endpoints"))
}

/// The endpoint of a request's `webhook_url`, made where it is missing. Two of the same URL cannot be made: whoever
/// announces has the account's lock.
fn of_request(sql: &dyn Sql, account: AccountId, url: &str, now: Timestamp) -> sql::Result<i64> {
    let known: Option<i64> = sql.first(
        // PostgreSQL's indexes take no value as long as a URL may be, and so have its hash.
        "SELECT position FROM webhook_endpoints
         WHERE account = ?1 AND url = ?2 AND by_request = 1 /*pg AND md5(url) = md5(?2) FOR NO KEY UPDATE */",
        &params![account.to_string(), url],
        |row| row.get(0),
    )?;
    if let Some(known) = known {
        return Ok(known);
    }
    let id = EndpointId::new(now, rand::random());
    sql.one(
        "INSERT INTO webhook_endpoints (id, account, url, by_request, events, description, enabled, created_at)
         VALUES (?1, ?2, ?3, 1, '', '', 1, ?4) RETURNING position",
        &params![id.to_string(), account.to_string(), url, now.0],
        |row| row.get(0),
    )
}

/// Whether an earlier event of the generation has still to be tried there for the first time.
fn has_untried(sql: &dyn Sql, endpoint: i64, generation: GenerationId) -> Result<bool> {
    sql.exists(
        "SELECT 1 FROM webhook_deliveries
             WHERE endpoint = ?1 AND generation = ?2 AND status IN ('waiting', 'pending') AND tries = 0",
        &params![endpoint, generation.to_string()],
    )
    .map_err(StoreError::database("look for earlier events"))
}

/// What a delivery tells; `None` is a test.
type Told = Option<(GenerationId, Phase)>;

struct New {
    endpoint: i64,
    event: Told,
    status: &'static str,
}

fn keep(sql: &dyn Sql, delivery: &New, now: Timestamp) -> Result<DeliveryId> {
    let New {
        endpoint,
        event,
        status,
    } = delivery;
    let id = DeliveryId::new(now, rand::random());
    let row = params![
        id.to_string(),
        endpoint,
        event.map(|(generation, _)| generation.to_string()),
        event.map(|(_, phase)| phase.as_str()),
        now.0,
        *status,
    ];
    sql.execute(
        "INSERT INTO webhook_deliveries (id, endpoint, generation, phase, created_at, status, wake_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5)",
        &row,
    )
    .map_err(StoreError::database("queue a delivery"))?;
    Ok(id)
}

/// Queues a test event. `None` if the account has no such endpoint.
pub(crate) fn test(
    sql: &dyn Sql,
    account: AccountId,
    id: EndpointId,
    now: Timestamp,
    rings: &mut Rings,
) -> Result<Option<DeliveryId>> {
    lock(sql, id)?;
    if super::endpoints::load(sql, account, id)?.is_none() {
        return Ok(None);
    }
    let endpoint = position(sql, id)?;
    let delivery = New {
        endpoint,
        event: None,
        status: "pending",
    };
    let kept = keep(sql, &delivery, now)?;
    settle_due(sql, endpoint, rings)?;
    Ok(Some(kept))
}

/// Begins a delivery anew, at once; whatever has become of it. False if the endpoint has none of that id.
pub(crate) fn replay(
    sql: &dyn Sql,
    endpoint: EndpointId,
    id: DeliveryId,
    now: Timestamp,
    rings: &mut Rings,
) -> Result<bool> {
    lock(sql, endpoint)?;
    let endpoint = position(sql, endpoint)?;
    let begun = sql
        .execute(
            "UPDATE webhook_deliveries
             SET status = 'pending', failed = 0, leased = 0, token = token + 1, wake_at = ?3, ended_at = NULL
             WHERE id = ?1 AND endpoint = ?2",
            &params![id.to_string(), endpoint, now.0],
        )
        .map_err(StoreError::database("replay a delivery"))?;
    settle_due(sql, endpoint, rings)?;
    Ok(begun > 0)
}

/// Takes up to `limit` deliveries that are due, those first whose endpoint has waited longest.
pub(crate) fn claim(
    sql: &dyn Sql,
    limit: u32,
    lease_ms: u64,
    now: Timestamp,
    rings: &mut Rings,
) -> Result<Vec<DueDelivery>> {
    let endpoints: Vec<i64> = sql
        .all(
            "SELECT position FROM webhook_endpoints WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2
         /*pg FOR NO KEY UPDATE SKIP LOCKED */",
            &params![now.0, limit],
            |row| row.get(0),
        )
        .map_err(StoreError::database("look for endpoints that are due"))?;
    let mut claimed = Vec::new();
    for endpoint in endpoints {
        let room = i64::from(limit) - claimed.len() as i64;
        claimed.extend(claim_of(sql, endpoint, room, lease_ms, now)?);
        settle_due(sql, endpoint, rings)?;
        if claimed.len() as i64 >= i64::from(limit) {
            break;
        }
    }
    Ok(claimed)
}

fn claim_of(
    sql: &dyn Sql,
    endpoint: i64,
    room: i64,
    lease_ms: u64,
    now: Timestamp,
) -> Result<Vec<DueDelivery>> {
    let take = || -> sql::Result<Vec<(DueDelivery, Told)>> {
        let busy: i64 = sql.one(
            "SELECT count(*) FROM webhook_deliveries
                 WHERE endpoint = ?1 AND status = 'pending' AND leased = 1 AND wake_at > ?2",
            &params![endpoint, now.0],
            |row| row.get(0),
        )?;
        let room = room.min(AT_ONCE_MAX - busy).max(0);
        let due: Vec<i64> = sql.all(
// Twice, so that each reads the head of the index and not all that waits.
                "SELECT position FROM (
                     SELECT * FROM (SELECT position, wake_at FROM webhook_deliveries
                                    WHERE endpoint = ?1 AND status = 'pending' AND leased = 1 AND wake_at <= ?2
                                    ORDER BY wake_at, position LIMIT ?3) AS lost
                     UNION ALL
                     SELECT * FROM (SELECT position, wake_at FROM webhook_deliveries
                                    WHERE endpoint = ?1 AND status = 'pending' AND leased = 0 AND wake_at <= ?2
                                    ORDER BY wake_at, position LIMIT ?3) AS fresh) AS due
                 ORDER BY wake_at, position LIMIT ?3", &params![endpoint, now.0, room], |row| row.get(0))?;
        const LEASE: &str =
            "UPDATE webhook_deliveries SET leased = 1, token = token + 1, wake_at = ?2 WHERE position = ?1";
        const READ: &str =
            "SELECT d.id, d.token, e.account, e.id, e.url, d.generation, d.phase, d.created_at, d.failed, e.by_request,
                    e.secret, e.previous_secret, e.previous_until
             FROM webhook_deliveries d JOIN webhook_endpoints e ON e.position = d.endpoint WHERE d.position = ?1";
        due.into_iter()
            .map(|position| {
                sql.execute(LEASE, &params![position, now.plus_ms(lease_ms).0])?;
                sql.one(READ, &params![position], due_delivery)
            })
            .collect()
    };
    let taken = take().map_err(StoreError::database("claim deliveries"))?;
    taken
        .into_iter()
        .map(|(delivery, event)| {
            let event = match event {
                Some((id, phase)) => generations::load(sql, id)?.map(|kept| (kept.generation, phase)),
                None => None,
            };
            Ok(DueDelivery { event, ..delivery })
        })
        .collect()
}

fn due_delivery(row: &Row<'_>) -> sql::Result<(DueDelivery, Told)> {
    let by_request: bool = row.get(9)?;
    let delivery = DueDelivery {
        id: row.parsed(0)?,
        token: row.get(1)?,
        account: row.parsed(2)?,
        endpoint: row.parsed(3)?,
        url: row.get(4)?,
        secrets: match by_request {
            true => None,
            false => Some(secrets(row, 10)?),
        },
        event: None,
        created_at: Timestamp(row.get(7)?),
        failed: row.get(8)?,
    };
    Ok((delivery, event(row, 5)?))
}

/// What a delivery tells, in two columns from `column`.
fn event(row: &Row<'_>, column: usize) -> sql::Result<Told> {
    match row.is_null(column)? {
        true => Ok(None),
        false => Ok(Some((row.parsed(column)?, row.phase(column + 1)?))),
    }
}

/// Keeps what came of a try. False, and nothing is written, if the lease has gone to somebody else.
pub(crate) fn record(
    sql: &dyn Sql,
    id: DeliveryId,
    token: u64,
    outcome: &TryOutcome,
    now: Timestamp,
    rings: &mut Rings,
) -> Result<bool> {
    let TryOutcome {
        tried,
        verdict,
        hold_until,
    } = outcome;
    sql.lock(
        "SELECT 1 FROM webhook_endpoints
         WHERE position = (SELECT endpoint FROM webhook_deliveries WHERE id = ?1) FOR NO KEY UPDATE",
        &params![id.to_string()],
    )
    .map_err(StoreError::database("lock an endpoint"))?;
    let found: Option<(i64, i64, i64)> = sql
        .first(
            "SELECT position, endpoint, tries FROM webhook_deliveries
             WHERE id = ?1 AND token = ?2 AND leased = 1 AND status = 'pending'",
            &params![id.to_string(), signed_token(token)],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .map_err(StoreError::database("look for a delivery"))?;
    let Some((delivery, endpoint, tries)) = found else {
        return Ok(false);
    };
    let (status, next_try_at) = match verdict {
        Verdict::Delivered => ("delivered", None),
        Verdict::Again(at) => ("pending", Some(*at)),
        Verdict::GivenUp => ("given_up", None),
        Verdict::Gone => ("dropped", None),
    };
    let write = || -> sql::Result<()> {
        keep_try(sql, delivery, tries + 1, tried, next_try_at)?;
        sql.execute("UPDATE webhook_deliveries
                 SET status = ?2, tries = tries + 1, failed = failed + ?3, leased = 0, wake_at = coalesce(?4, wake_at),
                     ended_at = ?5
                 WHERE position = ?1", &params![
                delivery,
                status,
                *verdict != Verdict::Delivered,
                next_try_at.map(|at| at.0),
                next_try_at.is_none().then_some(now.0),
            ])?;
        if let Some(until) = hold_until {
            sql.execute(
                "UPDATE webhook_endpoints SET held_until = ?2 WHERE position = ?1 AND held_until < ?2",
                &params![endpoint, until.0],
            )?;
        }
        // The event behind this one no longer has to wait for it.
        sql.execute(
            "UPDATE webhook_deliveries SET status = 'pending', wake_at = ?2 WHERE position =
                     (SELECT min(w.position) FROM webhook_deliveries w, webhook_deliveries d
                      WHERE d.position = ?1 AND w.endpoint = d.endpoint AND w.generation = d.generation
                            AND w.status = 'waiting')",
            &params![delivery, now.0],
        )?;
        Ok(())
    };
    write().map_err(StoreError::database("keep what came of a delivery"))?;
    if *verdict == Verdict::Gone {
        disable(sql, endpoint, now)?;
    }
    settle_due(sql, endpoint, rings)?;
    Ok(true)
}

fn keep_try(
    sql: &dyn Sql,
    delivery: i64,
    number: i64,
    tried: &Try,
    next_try_at: Option<Timestamp>,
) -> sql::Result<()> {
    let Try {
        at,
        latency_ms,
        status,
        answer,
        error,
        next_try_at: _,
    } = tried;
    let row = params![
        delivery,
        number,
        at.0,
        i64::try_from(*latency_ms).unwrap_or(i64::MAX),
        status,
        answer,
        error,
        next_try_at.map(|at| at.0),
    ];
    sql.execute(
        "INSERT INTO webhook_tries (delivery, number, at, latency_ms, status, answer, error, next_try_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        &row,
    )?;
    Ok(())
}

/// After a 410. The URL of a request is only told nothing more of what waits: the next request may name it again.
fn disable(sql: &dyn Sql, endpoint: i64, now: Timestamp) -> Result<()> {
    drop_waiting(sql, endpoint, now)?;
    sql.execute(
        "UPDATE webhook_endpoints SET enabled = 0, gone = 1
             WHERE position = ?1 AND by_request = 0 AND removed = 0",
        &params![endpoint],
    )
    .map_err(StoreError::database("disable an endpoint"))?;
    Ok(())
}

/// Ends everything that waits for an endpoint.
pub(crate) fn drop_waiting(sql: &dyn Sql, endpoint: i64, now: Timestamp) -> Result<()> {
    sql.execute(
        "UPDATE webhook_deliveries SET status = 'dropped', leased = 0, ended_at = ?2
             WHERE endpoint = ?1 AND status IN ('waiting', 'pending')",
        &params![endpoint, now.0],
    )
    .map_err(StoreError::database("drop deliveries"))?;
    Ok(())
}

/// Sets when the next delivery to an endpoint may be tried: the earliest that is pending, or while as many run as may,
/// the end of the first of their leases.
pub(crate) fn settle_due(sql: &dyn Sql, endpoint: i64, rings: &mut Rings) -> Result<()> {
    let due: Option<i64> = sql.one("UPDATE webhook_endpoints SET due_at = CASE WHEN enabled = 1 THEN
                 (SELECT CASE WHEN wake_at < held_until THEN held_until ELSE wake_at END
                  FROM (SELECT min(wake_at) AS wake_at FROM (
                     SELECT min(wake_at) AS wake_at FROM webhook_deliveries
                     WHERE endpoint = ?1 AND status = 'pending' AND leased = 1
                     UNION ALL
                     SELECT min(wake_at) FROM webhook_deliveries
                     WHERE endpoint = ?1 AND status = 'pending' AND leased = 0
                           AND (SELECT count(*) FROM webhook_deliveries
                                WHERE endpoint = ?1 AND status = 'pending' AND leased = 1) < ?2) AS heads) AS head) END
             WHERE position = ?1 RETURNING due_at", &params![endpoint, AT_ONCE_MAX], |row| row.get(0))
        .map_err(StoreError::database("find when an endpoint is due"))?;
    rings.deliveries |= due.is_some();
    Ok(())
}

/// When the first of all deliveries is due.
pub(crate) fn next_due(sql: &dyn Sql) -> Result<Option<Timestamp>> {
    sql.one(
        "SELECT min(due_at) FROM webhook_endpoints WHERE due_at IS NOT NULL",
        &[],
        |row| row.get::<Option<i64>>(0),
    )
    .map(|due| due.map(Timestamp))
    .map_err(StoreError::database("look for what is due"))
}

/// One page of what an endpoint was and is to be told, newest first.
pub(crate) fn list(
    sql: &dyn Sql,
    endpoint: EndpointId,
    limit: usize,
    before: Option<i64>,
) -> Result<Page<Delivery>> {
    let endpoint = position(sql, endpoint)?;
    let read = || -> sql::Result<Vec<Delivery>> {
        let mut deliveries: Vec<Delivery> = sql.all(
            "SELECT id, position, generation, phase, created_at, status, wake_at FROM webhook_deliveries
                 WHERE endpoint = ?1 AND position < ?2 ORDER BY position DESC LIMIT ?3",
            &params![endpoint, before.unwrap_or(i64::MAX), one_more(limit)],
            delivery,
        )?;
        const TRIES: &str = "SELECT at, latency_ms, status, answer, error, next_try_at FROM webhook_tries
             WHERE delivery = ?1 ORDER BY number";
        for delivery in &mut deliveries {
            delivery.tries = sql.all(TRIES, &params![delivery.position], one_try)?;
        }
        Ok(deliveries)
    };
    let items = read().map_err(StoreError::database("list deliveries"))?;
    Ok(cut(items, limit))
}

fn delivery(row: &Row<'_>) -> sql::Result<Delivery> {
    const STATUSES: [(&str, DeliveryStatus); 5] = [
        ("waiting", DeliveryStatus::Pending),
        ("pending", DeliveryStatus::Pending),
        ("delivered", DeliveryStatus::Delivered),
        ("given_up", DeliveryStatus::GivenUp),
        ("dropped", DeliveryStatus::Dropped),
    ];
    let (_, status) = row.one_of(&STATUSES, |(word, _)| word, 5)?;
    Ok(Delivery {
        id: row.parsed(0)?,
        position: row.get(1)?,
        event: event(row, 2)?,
        created_at: Timestamp(row.get(4)?),
        status,
        next_try_at: match status {
            DeliveryStatus::Pending => Some(Timestamp(row.get(6)?)),
            DeliveryStatus::Delivered | DeliveryStatus::GivenUp | DeliveryStatus::Dropped => None,
        },
        tries: Vec::new(),
    })
}

fn one_try(row: &Row<'_>) -> sql::Result<Try> {
    Ok(Try {
        at: Timestamp(row.get(0)?),
        latency_ms: row.get(1)?,
        status: row.get(2)?,
        answer: row.get(3)?,
        error: row.get(4)?,
        next_try_at: row.get::<Option<i64>>(5)?.map(Timestamp),
    })
}

/// Forgets deliveries that ended before `before`, and endpoints that nobody sees and nothing waits for; at most so
/// many at a time. Tells how many rows went.
pub(crate) fn forget(sql: &dyn Sql, before: Timestamp) -> Result<u64> {
    let go = || -> sql::Result<u64> {
        let deliveries = sql.execute("DELETE FROM webhook_deliveries WHERE ended_at <= ?1 AND position IN
                     (SELECT position FROM webhook_deliveries WHERE ended_at <= ?1 ORDER BY ended_at LIMIT ?2)", &params![before.0, FORGET_MAX])?;
        // Looked at again once they are locked: an event may have been queued in between.
        let idle: Vec<i64> = sql.all(
            "SELECT e.position FROM webhook_endpoints e
             WHERE (e.by_request = 1 OR e.removed = 1) AND e.created_at <= ?1
                   AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.endpoint = e.position)
             ORDER BY e.created_at LIMIT ?2 /*pg FOR UPDATE OF e SKIP LOCKED */",
            &params![before.0, FORGET_MAX],
            |row| row.get(0),
        )?;
        let mut endpoints = 0;
        for endpoint in idle {
            endpoints += sql.execute(
                "DELETE FROM webhook_endpoints WHERE position = ?1
                     AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.endpoint = ?1)",
                &params![endpoint],
            )?;
        }
        Ok(deliveries + endpoints)
    };
    go().map_err(StoreError::database("forget deliveries"))
}

/// A token that was never given out is nobody's.
fn signed_token(token: u64) -> i64 {
    i64::try_from(token).unwrap_or(-1)
}

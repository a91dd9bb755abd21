//! The outbox: what endpoints are still to be told, and who tells it.
//!
//! An event is queued in the transaction that made it ([`announce`]), for every endpoint that wants it. Whoever
//! sends takes what is due under a lease ([`claim`]) and says what came of it ([`record`]); a sender that dies
//! leaves its lease to run out, and the delivery is made again. The events of one generation are tried in order: one
//! waits until the one before it has been tried once. After that each follows its own schedule.
//!
//! An endpoint's `due_at` is what the claim looks for, so that what waits for a slow endpoint costs the others
//! nothing. [`settle_due`] keeps it; every change to a delivery ends with it.

use kinora_domain::{AccountId, DeliveryId, EndpointId, Generation, GenerationId, Phase, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    bells::Rings,
    endpoints::{position, secrets},
    generations::{self, id_in, one_of, phase_in},
    lists::{cut, one_more},
};
use crate::{Delivery, DeliveryStatus, DueDelivery, Page, Result, StoreError, Try, TryOutcome, Verdict};

/// How many deliveries to one endpoint are tried at once: one that does not answer must not hold all senders.
const AT_ONCE_MAX: i64 = 4;

/// How many rows are forgotten in one transaction.
const FORGET_MAX: i64 = 512;

/// Queues what a generation has become for every endpoint that wants to know, and for its request's `webhook_url`.
pub(super) fn announce(
    connection: &Connection,
    generation: &Generation,
    now: Timestamp,
    rings: &mut Rings,
) -> Result<()> {
    let phase = generation.phase();
    for endpoint in listeners(connection, generation, phase, now)? {
        let first_is_untried = has_untried(connection, endpoint, generation.id)?;
        let delivery = New {
            endpoint,
            event: Some((generation.id, phase)),
            status: if first_is_untried { "waiting" } else { "pending" },
        };
        keep(connection, &delivery, now)?;
        settle_due(connection, endpoint, rings)?;
    }
    Ok(())
}

/// Positions of the endpoints that are told of this.
fn listeners(
    connection: &Connection,
    generation: &Generation,
    phase: Phase,
    now: Timestamp,
) -> Result<Vec<i64>> {
    let look = || -> rusqlite::Result<Vec<i64>> {
        let mut found: Vec<i64> = connection
            .prepare_cached(
                "SELECT position FROM webhook_endpoints
                 WHERE account = ?1 AND by_request = 0 AND removed = 0 AND enabled = 1
                       AND (events = '' OR instr(events, ?2) > 0)",
            )?
            .query_map(
                params![generation.account.to_string(), format!(" {} ", phase.as_str())],
                |row| row.get(0),
            )?
            .collect::<rusqlite::Result<_>>()?;
        let url: Option<String> = connection
            .prepare_cached("SELECT webhook_url FROM generations WHERE id = ?1")?
            .query_row([generation.id.to_string()], |row| row.get(0))?;
        if let Some(url) = url {
            found.push(of_request(connection, generation.account, &url, now)?);
        }
        Ok(found)
    };
    look().map_err(StoreError::database("look for endpoints"))
}

/// The endpoint of a request's `webhook_url`, made where it is missing.
fn of_request(
    connection: &Connection,
    account: AccountId,
    url: &str,
    now: Timestamp,
) -> rusqlite::Result<i64> {
    let id = EndpointId::new(now, rand::random());
    connection
        .prepare_cached(
            "INSERT INTO webhook_endpoints (id, account, url, by_request, events, description, enabled, created_at)
             VALUES (?1, ?2, ?3, 1, '', '', 1, ?4)
             ON CONFLICT (account, url) WHERE by_request = 1 DO UPDATE SET url = excluded.url
             RETURNING position",
        )?
        .query_row(params![id.to_string(), account.to_string(), url, now.0], |row| {
            row.get(0)
        })
}

/// Whether an earlier event of the generation has still to be tried there for the first time.
fn has_untried(connection: &Connection, endpoint: i64, generation: GenerationId) -> Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM webhook_deliveries
             WHERE endpoint = ?1 AND generation = ?2 AND status IN ('waiting', 'pending') AND tries = 0",
        )
        .and_then(|mut select| select.exists(params![endpoint, generation.to_string()]))
        .map_err(StoreError::database("look for earlier events"))
}

/// What a delivery tells; `None` is a test.
type Told = Option<(GenerationId, Phase)>;

struct New {
    endpoint: i64,
    event: Told,
    status: &'static str,
}

fn keep(connection: &Connection, delivery: &New, now: Timestamp) -> Result<DeliveryId> {
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
        status,
    ];
    connection
        .prepare_cached(
            "INSERT INTO webhook_deliveries (id, endpoint, generation, phase, created_at, status, wake_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5)",
        )
        .and_then(|mut insert| insert.execute(row))
        .map_err(StoreError::database("queue a delivery"))?;
    Ok(id)
}

/// Queues a test event. `None` if the account has no such endpoint.
pub(super) fn test(
    connection: &Connection,
    account: AccountId,
    id: EndpointId,
    now: Timestamp,
    rings: &mut Rings,
) -> Result<Option<DeliveryId>> {
    if super::endpoints::load(connection, account, id)?.is_none() {
        return Ok(None);
    }
    let endpoint = position(connection, id)?;
    let delivery = New {
        endpoint,
        event: None,
        status: "pending",
    };
    let kept = keep(connection, &delivery, now)?;
    settle_due(connection, endpoint, rings)?;
    Ok(Some(kept))
}

/// Begins a delivery anew, at once; whatever has become of it. False if the endpoint has none of that id.
pub(super) fn replay(
    connection: &Connection,
    endpoint: EndpointId,
    id: DeliveryId,
    now: Timestamp,
    rings: &mut Rings,
) -> Result<bool> {
    let endpoint = position(connection, endpoint)?;
    let begun = connection
        .prepare_cached(
            "UPDATE webhook_deliveries
             SET status = 'pending', failed = 0, leased = 0, token = token + 1, wake_at = ?3, ended_at = NULL
             WHERE id = ?1 AND endpoint = ?2",
        )
        .and_then(|mut update| update.execute(params![id.to_string(), endpoint, now.0]))
        .map_err(StoreError::database("replay a delivery"))?;
    settle_due(connection, endpoint, rings)?;
    Ok(begun > 0)
}

/// Takes up to `limit` deliveries that are due, those first whose endpoint has waited longest.
pub(super) fn claim(
    connection: &Connection,
    limit: u32,
    lease_ms: u64,
    now: Timestamp,
    rings: &mut Rings,
) -> Result<Vec<DueDelivery>> {
    let endpoints: Vec<i64> = connection
        .prepare_cached("SELECT position FROM webhook_endpoints WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2")
        .and_then(|mut select| {
            select
                .query_map(params![now.0, limit], |row| row.get(0))?
                .collect()
        })
        .map_err(StoreError::database("look for endpoints that are due"))?;
    let mut claimed = Vec::new();
    for endpoint in endpoints {
        let room = i64::from(limit) - claimed.len() as i64;
        claimed.extend(claim_of(connection, endpoint, room, lease_ms, now)?);
        settle_due(connection, endpoint, rings)?;
        if claimed.len() as i64 >= i64::from(limit) {
            break;
        }
    }
    Ok(claimed)
}

fn claim_of(
    connection: &Connection,
    endpoint: i64,
    room: i64,
    lease_ms: u64,
    now: Timestamp,
) -> Result<Vec<DueDelivery>> {
    let take = || -> rusqlite::Result<Vec<(DueDelivery, Told)>> {
        let busy: i64 = connection
            .prepare_cached(
                "SELECT count(*) FROM webhook_deliveries
                 WHERE endpoint = ?1 AND status = 'pending' AND leased = 1 AND wake_at > ?2",
            )?
            .query_row(params![endpoint, now.0], |row| row.get(0))?;
        let room = room.min(AT_ONCE_MAX - busy).max(0);
        let due: Vec<i64> = connection
            .prepare_cached(
                // Twice, so that each reads the head of the index and not all that waits.
                "SELECT position FROM (
                     SELECT * FROM (SELECT position, wake_at FROM webhook_deliveries
                                    WHERE endpoint = ?1 AND status = 'pending' AND leased = 1 AND wake_at <= ?2
                                    ORDER BY wake_at, position LIMIT ?3)
                     UNION ALL
                     SELECT * FROM (SELECT position, wake_at FROM webhook_deliveries
                                    WHERE endpoint = ?1 AND status = 'pending' AND leased = 0 AND wake_at <= ?2
                                    ORDER BY wake_at, position LIMIT ?3))
                 ORDER BY wake_at, position LIMIT ?3",
            )?
            .query_map(params![endpoint, now.0, room], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let mut lease = connection.prepare_cached(
            "UPDATE webhook_deliveries SET leased = 1, token = token + 1, wake_at = ?2 WHERE position = ?1",
        )?;
        let mut read = connection.prepare_cached(
            "SELECT d.id, d.token, e.account, e.id, e.url, d.generation, d.phase, d.created_at, d.failed, e.by_request,
                    e.secret, e.previous_secret, e.previous_until
             FROM webhook_deliveries d JOIN webhook_endpoints e ON e.position = d.endpoint WHERE d.position = ?1",
        )?;
        due.into_iter()
            .map(|position| {
                lease.execute(params![position, now.plus_ms(lease_ms).0])?;
                read.query_row([position], due_delivery)
            })
            .collect()
    };
    let taken = take().map_err(StoreError::database("claim deliveries"))?;
    taken
        .into_iter()
        .map(|(delivery, event)| {
            let event = match event {
                Some((id, phase)) => generations::load(connection, id)?.map(|kept| (kept.generation, phase)),
                None => None,
            };
            Ok(DueDelivery { event, ..delivery })
        })
        .collect()
}

fn due_delivery(row: &Row<'_>) -> rusqlite::Result<(DueDelivery, Told)> {
    let by_request: bool = row.get(9)?;
    let delivery = DueDelivery {
        id: id_in(row, 0)?,
        token: row.get(1)?,
        account: id_in(row, 2)?,
        endpoint: id_in(row, 3)?,
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
fn event(row: &Row<'_>, column: usize) -> rusqlite::Result<Told> {
    match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => Ok(Some((id_in(row, column)?, phase_in(row, column + 1)?))),
    }
}

/// Keeps what came of a try. False, and nothing is written, if the lease has gone to somebody else.
pub(super) fn record(
    connection: &Connection,
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
    let found: Option<(i64, i64, i64)> = connection
        .prepare_cached(
            "SELECT position, endpoint, tries FROM webhook_deliveries
             WHERE id = ?1 AND token = ?2 AND leased = 1 AND status = 'pending'",
        )
        .and_then(|mut select| {
            select
                .query_row(params![id.to_string(), signed_token(token)], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .optional()
        })
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
    let write = || -> rusqlite::Result<()> {
        keep_try(connection, delivery, tries + 1, tried, next_try_at)?;
        connection
            .prepare_cached(
                "UPDATE webhook_deliveries
                 SET status = ?2, tries = tries + 1, failed = failed + ?3, leased = 0, wake_at = coalesce(?4, wake_at),
                     ended_at = ?5
                 WHERE position = ?1",
            )?
            .execute(params![
                delivery,
                status,
                *verdict != Verdict::Delivered,
                next_try_at.map(|at| at.0),
                next_try_at.is_none().then_some(now.0),
            ])?;
        if let Some(until) = hold_until {
            connection
                .prepare_cached(
                    "UPDATE webhook_endpoints SET held_until = max(held_until, ?2) WHERE position = ?1",
                )?
                .execute(params![endpoint, until.0])?;
        }
        // The event behind this one no longer has to wait for it.
        connection
            .prepare_cached(
                "UPDATE webhook_deliveries SET status = 'pending', wake_at = ?2 WHERE position =
                     (SELECT min(w.position) FROM webhook_deliveries w, webhook_deliveries d
                      WHERE d.position = ?1 AND w.endpoint = d.endpoint AND w.generation = d.generation
                            AND w.status = 'waiting')",
            )?
            .execute(params![delivery, now.0])?;
        Ok(())
    };
    write().map_err(StoreError::database("keep what came of a delivery"))?;
    if *verdict == Verdict::Gone {
        disable(connection, endpoint, now)?;
    }
    settle_due(connection, endpoint, rings)?;
    Ok(true)
}

fn keep_try(
    connection: &Connection,
    delivery: i64,
    number: i64,
    tried: &Try,
    next_try_at: Option<Timestamp>,
) -> rusqlite::Result<()> {
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
    connection
        .prepare_cached(
            "INSERT INTO webhook_tries (delivery, number, at, latency_ms, status, answer, error, next_try_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(row)?;
    Ok(())
}

/// After a 410. The URL of a request is only told nothing more of what waits: the next request may name it again.
fn disable(connection: &Connection, endpoint: i64, now: Timestamp) -> Result<()> {
    drop_waiting(connection, endpoint, now)?;
    connection
        .prepare_cached(
            "UPDATE webhook_endpoints SET enabled = 0, gone = 1
             WHERE position = ?1 AND by_request = 0 AND removed = 0",
        )
        .and_then(|mut update| update.execute([endpoint]))
        .map_err(StoreError::database("disable an endpoint"))?;
    Ok(())
}

/// Ends everything that waits for an endpoint.
pub(super) fn drop_waiting(connection: &Connection, endpoint: i64, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE webhook_deliveries SET status = 'dropped', leased = 0, ended_at = ?2
             WHERE endpoint = ?1 AND status IN ('waiting', 'pending')",
        )
        .and_then(|mut update| update.execute(params![endpoint, now.0]))
        .map_err(StoreError::database("drop deliveries"))?;
    Ok(())
}

/// Sets when the next delivery to an endpoint may be tried: the earliest that is pending, or while as many run as may,
/// the end of the first of their leases.
pub(super) fn settle_due(connection: &Connection, endpoint: i64, rings: &mut Rings) -> Result<()> {
    let due: Option<i64> = connection
        .prepare_cached(
            "UPDATE webhook_endpoints SET due_at = CASE WHEN enabled = 1 THEN max(held_until,
                 (SELECT min(wake_at) FROM (
                     SELECT min(wake_at) AS wake_at FROM webhook_deliveries
                     WHERE endpoint = ?1 AND status = 'pending' AND leased = 1
                     UNION ALL
                     SELECT min(wake_at) FROM webhook_deliveries
                     WHERE endpoint = ?1 AND status = 'pending' AND leased = 0
                           AND (SELECT count(*) FROM webhook_deliveries
                                WHERE endpoint = ?1 AND status = 'pending' AND leased = 1) < ?2))) END
             WHERE position = ?1 RETURNING due_at",
        )
        .and_then(|mut update| update.query_row(params![endpoint, AT_ONCE_MAX], |row| row.get(0)))
        .map_err(StoreError::database("find when an endpoint is due"))?;
    rings.deliveries |= due.is_some();
    Ok(())
}

/// When the first of all deliveries is due.
pub(super) fn next_due(connection: &Connection) -> Result<Option<Timestamp>> {
    connection
        .prepare_cached("SELECT min(due_at) FROM webhook_endpoints WHERE due_at IS NOT NULL")
        .and_then(|mut select| select.query_row([], |row| row.get::<_, Option<i64>>(0)))
        .map(|due| due.map(Timestamp))
        .map_err(StoreError::database("look for what is due"))
}

/// One page of what an endpoint was and is to be told, newest first.
pub(super) fn list(
    connection: &Connection,
    endpoint: EndpointId,
    limit: usize,
    before: Option<i64>,
) -> Result<Page<Delivery>> {
    let endpoint = position(connection, endpoint)?;
    let read = || -> rusqlite::Result<Vec<Delivery>> {
        let mut deliveries: Vec<Delivery> = connection
            .prepare_cached(
                "SELECT id, position, generation, phase, created_at, status, wake_at FROM webhook_deliveries
                 WHERE endpoint = ?1 AND position < ?2 ORDER BY position DESC LIMIT ?3",
            )?
            .query_map(
                params![endpoint, before.unwrap_or(i64::MAX), one_more(limit)],
                delivery,
            )?
            .collect::<rusqlite::Result<_>>()?;
        let mut select = connection.prepare_cached(
            "SELECT at, latency_ms, status, answer, error, next_try_at FROM webhook_tries
             WHERE delivery = ?1 ORDER BY number",
        )?;
        for delivery in &mut deliveries {
            delivery.tries = select
                .query_map([delivery.position], one_try)?
                .collect::<rusqlite::Result<_>>()?;
        }
        Ok(deliveries)
    };
    let items = read().map_err(StoreError::database("list deliveries"))?;
    Ok(cut(items, limit))
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    const STATUSES: [(&str, DeliveryStatus); 5] = [
        ("waiting", DeliveryStatus::Pending),
        ("pending", DeliveryStatus::Pending),
        ("delivered", DeliveryStatus::Delivered),
        ("given_up", DeliveryStatus::GivenUp),
        ("dropped", DeliveryStatus::Dropped),
    ];
    let (_, status) = one_of(&STATUSES, |(word, _)| word, row, 5)?;
    Ok(Delivery {
        id: id_in(row, 0)?,
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

fn one_try(row: &Row<'_>) -> rusqlite::Result<Try> {
    Ok(Try {
        at: Timestamp(row.get(0)?),
        latency_ms: row.get(1)?,
        status: row.get(2)?,
        answer: row.get(3)?,
        error: row.get(4)?,
        next_try_at: row.get::<_, Option<i64>>(5)?.map(Timestamp),
    })
}

/// Forgets deliveries that ended before `before`, and endpoints that nobody sees and nothing waits for; at most so
/// many at a time. Tells how many rows went.
pub(super) fn forget(connection: &Connection, before: Timestamp) -> Result<usize> {
    let go = || -> rusqlite::Result<usize> {
        let deliveries = connection
            .prepare_cached(
                "DELETE FROM webhook_deliveries WHERE position IN
                     (SELECT position FROM webhook_deliveries WHERE ended_at <= ?1 ORDER BY ended_at LIMIT ?2)",
            )?
            .execute(params![before.0, FORGET_MAX])?;
        let endpoints = connection
            .prepare_cached(
                "DELETE FROM webhook_endpoints WHERE position IN
                     (SELECT e.position FROM webhook_endpoints e
                      WHERE (e.by_request = 1 OR e.removed = 1) AND e.created_at <= ?1
                            AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.endpoint = e.position)
                      ORDER BY e.created_at LIMIT ?2)",
            )?
            .execute(params![before.0, FORGET_MAX])?;
        Ok(deliveries + endpoints)
    };
    go().map_err(StoreError::database("forget deliveries"))
}

/// A token that was never given out is nobody's.
fn signed_token(token: u64) -> i64 {
    i64::try_from(token).unwrap_or(-1)
}

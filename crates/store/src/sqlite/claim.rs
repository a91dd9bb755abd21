//! Finds the next generation for a worker, fairly, at a cost that does not grow with the queue.
//!
//! Each account has a lane for each offer and priority. A claim takes the highest priority, in it the lane whose
//! last turn is the longest ago, and of that lane the oldest generation: three looks at indexes.

use kinora_domain::{AccountId, Credits, Event, Lease, OfferId, Status, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    bells::Rings,
    generations::{Kept, change, columns, id_in, kept},
    notes,
};
use crate::{Claim, Claimed, LeaseKey, Result, StoreError};

/// The next generation for a worker, running under its lease.
pub(super) fn claim(
    connection: &Connection,
    claim: &Claim,
    now: Timestamp,
    rings: &mut Rings,
) -> Result<Option<Claimed>> {
    let Claim {
        worker,
        offers,
        lease_ms,
        running_max,
    } = claim;
    let Some(turn) = next_turn(connection, offers, *running_max)? else {
        return Ok(None);
    };
    let Some(next) = oldest(connection, &turn, offers)? else {
        return Ok(None);
    };
    let now = not_before_due(&next, now);
    let lease = Lease {
        worker: *worker,
        token: next.lease_token + 1,
        expires_at: now.plus_ms(*lease_ms),
    };
    take_turn(connection, &turn)?;
    let claimed = change(connection, next, Event::Claim(lease), Credits(0), now, rings)?;
    let generation = claimed.map_err(StoreError::Transition)?.generation;
    let attempts = match generation.status {
        Status::Running { attempts, .. } => attempts,
        _ => 0,
    };
    Ok(Some(Claimed {
        notes: notes::left(connection, &generation)?,
        lease: LeaseKey {
            generation: generation.id,
            token: lease.token,
        },
        attempts,
        generation,
    }))
}

/// Whose turn it is, and at which priority.
struct Turn {
    account: AccountId,
    priority: i32,
}

/// The account with the lowest turn at the highest priority, of those below their running cap.
fn next_turn(connection: &Connection, offers: &[OfferId], running_max: u32) -> Result<Option<Turn>> {
    let mut select = connection
        .prepare_cached(
            // The cross join keeps the lanes outside, so that the first that fits ends the search.
            "SELECT l.priority, l.turn, l.account FROM lanes l CROSS JOIN accounts a
             WHERE l.offer = ?1 AND l.queued > 0 AND a.id = l.account
                   AND a.running < coalesce(a.running_max, ?2)
             ORDER BY l.priority DESC, l.turn LIMIT 1",
        )
        .map_err(StoreError::database("prepare a claim"))?;
    let mut best: Option<(i32, i64, AccountId)> = None;
    for offer in offers {
        let lane = select
            .query_row(params![offer.0, running_max], |row| {
                Ok((row.get::<_, i32>(0)?, row.get::<_, i64>(1)?, id_in(row, 2)?))
            })
            .optional()
            .map_err(StoreError::database("look for the next lane"))?;
        best = match (best, lane) {
            (Some(best), Some(lane)) if (best.0, lane.1) < (lane.0, best.1) => Some(lane),
            (best, lane) => best.or(lane),
        };
    }
    Ok(best.map(|(priority, _, account)| Turn { account, priority }))
}

/// The oldest claimable generation of the account whose turn it is.
fn oldest(connection: &Connection, turn: &Turn, offers: &[OfferId]) -> Result<Option<Kept>> {
    let mut select = connection
        .prepare_cached(concat!(
            "SELECT ",
            columns!(),
            ", position FROM generations
             WHERE account = ?1 AND priority = ?2 AND offer = ?3 AND claimable = 1 ORDER BY position LIMIT 1"
        ))
        .map_err(StoreError::database("prepare a claim"))?;
    let mut oldest: Option<(i64, Kept)> = None;
    for offer in offers {
        let head = select
            .query_row(params![turn.account.to_string(), turn.priority, offer.0], |row| {
                Ok((row.get("position")?, kept(row)?))
            })
            .optional()
            .map_err(StoreError::database("read the head of a lane"))?;
        oldest = match (oldest, head) {
            (Some(oldest), Some(head)) if head.0 < oldest.0 => Some(head),
            (oldest, head) => oldest.or(head),
        };
    }
    Ok(oldest.map(|(_, kept)| kept))
}

/// Puts the account behind all others of its priority, for every offer: it is accounts that take turns.
fn take_turn(connection: &Connection, turn: &Turn) -> Result<()> {
    let take = || -> rusqlite::Result<()> {
        let mut count = connection
            .prepare_cached("UPDATE counters SET value = value + 1 WHERE name = 'turn' RETURNING value")?;
        let value: i64 = count.query_row([], |row| row.get(0))?;
        connection
            .prepare_cached("UPDATE lanes SET turn = ?3 WHERE account = ?1 AND priority = ?2")?
            .execute(params![turn.account.to_string(), turn.priority, value])?;
        Ok(())
    };
    take().map_err(StoreError::database("take a turn"))
}

/// Clocks of two processes differ a little: what one has made claimable is due for the other, too.
fn not_before_due(kept: &Kept, now: Timestamp) -> Timestamp {
    match kept.generation.status {
        Status::Queued { not_before, .. } => now.max(not_before),
        _ => now,
    }
}

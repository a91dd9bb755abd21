//! Finds the next generation for a worker, fairly, at a cost that does not grow with the queue.
//!
//! Each account has a lane for each offer and priority. A claim takes the highest priority, in it the lane whose
//! last turn is the longest ago, and of that lane the oldest generation: three looks at indexes.
//!
//! Where many nodes claim at once, each passes over the accounts that another transaction has locked, and waits for one
//! only when there is nothing else to take.

use kinora_domain::{AccountId, Credits, Event, Lease, OfferId, Status, Timestamp};

use super::{
    accounts, attempts,
    generations::{Kept, change, columns, kept},
    notes,
};
use crate::{
    Claim, Claimed, LeaseKey, Result, StoreError,
    bells::Rings,
    sql::{self, Dialect, Row, Sql, params},
};

/// The next generation for a worker, running under its lease.
pub(crate) fn claim(
    sql: &dyn Sql,
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
    let Some((turn, next)) = next(sql, offers, *running_max)? else {
        return Ok(None);
    };
    let now = not_before_due(&next, now);
    let lease = Lease {
        worker: *worker,
        token: next.lease_token + 1,
        expires_at: now.plus_ms(*lease_ms),
    };
    take_turn(sql, &turn)?;
    let claimed = change(sql, next, Event::Claim(lease), Credits(0), now, rings)?;
    let generation = claimed.map_err(StoreError::Transition)?.generation;
    let attempts = match generation.status {
        Status::Running { attempts, .. } => attempts,
        _ => 0,
    };
    Ok(Some(Claimed {
        notes: notes::left(sql, &generation)?,
        first_offer: attempts::first_offer(sql, &generation)?,
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

/// Whose turn it is and that account's oldest generation, with the account locked.
fn next(sql: &dyn Sql, offers: &[OfferId], running_max: u32) -> Result<Option<(Turn, Kept)>> {
    let mut lanes = UNLOCKED;
    loop {
        let Some(turn) = next_turn(sql, lanes, offers, running_max)? else {
            match sql.dialect() {
                Dialect::Postgres if lanes == UNLOCKED => {
                    lanes = ANY;
                    continue;
                }
                Dialect::Postgres | Dialect::Sqlite => return Ok(None),
            }
        };
        if lanes == ANY {
            accounts::lock(sql, turn.account)?;
            // What was found may be out of date by now. Whoever held the lock may also have let go of others.
            lanes = UNLOCKED;
            continue;
        }
        // A lane is read as it was before the account was locked, and may have been emptied until then; the next look
        // sees it empty.
        if let Some(oldest) = oldest(sql, &turn, offers)? {
            return Ok(Some((turn, oldest)));
        }
    }
}

macro_rules! first_lane {
    ($locked:literal) => {
        concat!(
            // The cross join keeps the lanes outside, so that the first that fits ends the search.
            "SELECT l.priority, l.turn, l.account FROM lanes l CROSS JOIN accounts a
             WHERE l.offer = ?1 AND l.queued > 0 /*pg AND l.waits */ AND a.id = l.account
                   AND a.running < coalesce(a.running_max, ?2)
             ORDER BY l.priority DESC, l.turn, l.account LIMIT 1",
            $locked
        )
    };
}

/// The lanes of accounts that nobody has locked; the one that is found is locked.
const UNLOCKED: &str = first_lane!(" /*pg FOR NO KEY UPDATE OF a SKIP LOCKED */");

/// All lanes.
const ANY: &str = first_lane!("");

/// The account with the lowest turn at the highest priority, of those below their running cap.
fn next_turn(sql: &dyn Sql, lanes: &str, offers: &[OfferId], running_max: u32) -> Result<Option<Turn>> {
    let read = |row: &Row<'_>| {
        Ok((
            row.get::<i32>(0)?,
            row.get::<i64>(1)?,
            row.parsed::<AccountId>(2)?,
        ))
    };
    let mut best: Option<(i32, i64, AccountId)> = None;
    for offer in offers {
        let lane = sql
            .first(lanes, &params![&offer.0, running_max], read)
            .map_err(StoreError::database("look for the next lane"))?;
        best = match (best, lane) {
            (Some(best), Some(lane)) if (best.0, lane.1) < (lane.0, best.1) => Some(lane),
            (best, lane) => best.or(lane),
        };
    }
    Ok(best.map(|(priority, _, account)| Turn { account, priority }))
}

/// The oldest claimable generation of the account whose turn it is.
fn oldest(sql: &dyn Sql, turn: &Turn, offers: &[OfferId]) -> Result<Option<Kept>> {
    const HEAD: &str = concat!(
        "SELECT ",
        columns!(),
        ", position FROM generations
         WHERE account = ?1 AND priority = ?2 AND offer = ?3 AND claimable = 1 ORDER BY position LIMIT 1"
    );
    let read = |row: &Row<'_>| Ok((row.get::<i64>(POSITION)?, kept(row)?));
    let mut oldest: Option<(i64, Kept)> = None;
    for offer in offers {
        let head = sql
            .first(
                HEAD,
                &params![turn.account.to_string(), turn.priority, &offer.0],
                read,
            )
            .map_err(StoreError::database("read the head of a lane"))?;
        oldest = match (oldest, head) {
            (Some(oldest), Some(head)) if head.0 < oldest.0 => Some(head),
            (oldest, head) => oldest.or(head),
        };
    }
    Ok(oldest.map(|(_, kept)| kept))
}

/// Its place behind the columns of a generation.
const POSITION: usize = 31;

/// Puts the account behind all others of its priority, for every offer: it is accounts that take turns.
fn take_turn(sql: &dyn Sql, turn: &Turn) -> Result<()> {
    // A counter would make every claim of every node wait for the one before it; a sequence gives out numbers at once.
    let count = match sql.dialect() {
        Dialect::Sqlite => "UPDATE counters SET value = value + 1 WHERE name = 'turn' RETURNING value",
        Dialect::Postgres => "SELECT nextval('turns')",
    };
    let take = || -> sql::Result<()> {
        let value: i64 = sql.one(count, &[], |row| row.get(0))?;
        let row = params![turn.account.to_string(), turn.priority, value];
        sql.execute(
            "UPDATE lanes SET turn = ?3 WHERE account = ?1 AND priority = ?2",
            &row,
        )?;
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

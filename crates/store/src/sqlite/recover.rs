//! Repairs what time has broken, one generation to a transaction.
//!
//! What is due is looked for without a lock, and looked at again under it: the generation may have been finished
//! in between, and then nothing is left to repair.

use kinora_domain::{Credits, Event, GenerationId, Status, Timestamp};
use rusqlite::{Connection, params};

use super::{
    SqliteStore,
    bells::Rings,
    generations::{change, id_in, load, promote},
};
use crate::{IDEMPOTENCY_LIFE_MS, Recovered, Result, StoreError, TransactionName};

/// How many rows are looked at in one go: a bound on memory and on waiting, not on the work.
const LOOK_MAX: usize = 512;

/// Repairs everything that is due at `now`.
pub(super) async fn recover(store: &SqliteStore, attempts_max: u32, now: Timestamp) -> Result<Recovered> {
    let mut recovered = Recovered::default();
    loop {
        let due = store.search(move |connection| broken(connection, now)).await?;
        let repairs = each(store, &due, move |connection, id, rings| {
            repair(connection, id, attempts_max, now, rings)
        });
        for (id, repaired) in due.iter().zip(repairs.await?) {
            match repaired {
                Repaired::Requeued => recovered.requeued.push(*id),
                Repaired::Ended => recovered.ended.push(*id),
                Repaired::BySomeoneElse => {}
            }
        }
        if due.len() < LOOK_MAX {
            break;
        }
    }
    loop {
        let due = store.search(move |connection| delayed(connection, now)).await?;
        each(store, &due, move |connection, id, rings| {
            promote_due(connection, id, now, rings)
        })
        .await?;
        if due.len() < LOOK_MAX {
            break;
        }
    }
    let forgotten = now.minus_ms(IDEMPOTENCY_LIFE_MS);
    while store
        .write(TransactionName::Recover, move |connection, _| {
            forget(connection, forgotten)
        })
        .await?
        == LOOK_MAX
    {}
    Ok(recovered)
}

/// Asks for a transaction for each of `ids` at once, so that they are committed together; each stands for itself.
async fn each<T, F>(store: &SqliteStore, ids: &[GenerationId], work: F) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Fn(&Connection, GenerationId, &mut Rings) -> Result<T> + Clone + Send + 'static,
{
    let mut answers = Vec::with_capacity(ids.len());
    for &id in ids {
        let work = work.clone();
        let work = move |connection: &Connection, rings: &mut Rings| work(connection, id, rings);
        answers.push(store.writer.write(TransactionName::Recover, work));
    }
    let mut done = Vec::with_capacity(ids.len());
    for answer in answers {
        done.push(answer.await?);
    }
    Ok(done)
}

enum Repaired {
    Requeued,
    Ended,
    BySomeoneElse,
}

/// Live generations whose lease has run out or whose deadline has passed.
fn broken(connection: &Connection, now: Timestamp) -> Result<Vec<GenerationId>> {
    ids(
        connection,
        "SELECT id FROM generations WHERE status = 'running' AND lease_expires_at <= ?1
         UNION SELECT id FROM generations WHERE finished_at IS NULL AND deadline <= ?1 LIMIT ?2",
        now,
    )
}

/// Retries that are due but not yet claimable.
fn delayed(connection: &Connection, now: Timestamp) -> Result<Vec<GenerationId>> {
    ids(
        connection,
        "SELECT id FROM generations WHERE status = 'queued' AND claimable = 0 AND not_before <= ?1 LIMIT ?2",
        now,
    )
}

fn ids(connection: &Connection, select: &str, now: Timestamp) -> Result<Vec<GenerationId>> {
    connection
        .prepare_cached(select)
        .and_then(|mut select| {
            select
                .query_map(params![now.0, LOOK_MAX as i64], |row| id_in(row, 0))?
                .collect()
        })
        .map_err(StoreError::database("look for what is due"))
}

fn repair(
    connection: &Connection,
    id: GenerationId,
    attempts_max: u32,
    now: Timestamp,
    rings: &mut Rings,
) -> Result<Repaired> {
    let Some(kept) = load(connection, id)? else {
        return Ok(Repaired::BySomeoneElse);
    };
    let late = kept.generation.deadline <= now;
    let event = match kept.generation.status {
        // Who asked for an end gets it, even when it comes too late.
        Status::Running {
            lease,
            cancel_requested: true,
            ..
        } if lease.expires_at <= now => Event::LeaseExpired { attempts_max },
        Status::Queued { .. } | Status::Running { .. } if late => Event::DeadlinePassed,
        Status::Running { lease, .. } if lease.expires_at <= now => Event::LeaseExpired { attempts_max },
        Status::Queued { .. }
        | Status::Running { .. }
        | Status::Succeeded(_)
        | Status::Failed(_)
        | Status::Canceled => return Ok(Repaired::BySomeoneElse),
    };
    let repaired =
        change(connection, kept, event, Credits(0), now, rings)?.map_err(StoreError::Transition)?;
    Ok(match repaired.generation.status.is_terminal() {
        true => Repaired::Ended,
        false => Repaired::Requeued,
    })
}

fn promote_due(connection: &Connection, id: GenerationId, now: Timestamp, rings: &mut Rings) -> Result<()> {
    match load(connection, id)? {
        Some(kept) if !kept.claimable => match kept.generation.status {
            Status::Queued { not_before, .. } if not_before <= now => promote(connection, kept, rings),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Forgets idempotency keys kept before `before`; tells how many.
fn forget(connection: &Connection, before: Timestamp) -> Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM idempotency WHERE (account, scope, key) IN
                 (SELECT account, scope, key FROM idempotency WHERE created_at <= ?1 ORDER BY created_at LIMIT ?2)",
        )
        .and_then(|mut delete| delete.execute(params![before.0, LOOK_MAX as i64]))
        .map_err(StoreError::database("forget idempotency keys"))
}

//! Repairs what time has broken, one generation to a transaction.
//!
//! What is due is looked for without a lock, and looked at again under it: the generation may have been finished
//! in between, and then nothing is left to repair.

use kinora_domain::{Credits, Event, GenerationId, Status, Timestamp};

use super::{
    Backend,
    generations::{change, load_to_change, promote},
};
use crate::{
    IDEMPOTENCY_LIFE_MS, Recovered, Result, StoreError, TransactionName,
    bells::Rings,
    sql::{Sql, params},
};

/// How many rows are looked at in one go: a bound on memory and on waiting, not on the work.
const LOOK_MAX: usize = 512;

/// Repairs everything that is due at `now`.
pub(crate) async fn recover(store: &impl Backend, attempts_max: u32, now: Timestamp) -> Result<Recovered> {
    let mut recovered = Recovered::default();
    loop {
        let due = store.search(move |sql| broken(sql, now)).await?;
        let repairs = each(store, &due, move |sql, id, rings| {
            repair(sql, id, attempts_max, now, rings)
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
        let due = store.search(move |sql| delayed(sql, now)).await?;
        each(store, &due, move |sql, id, rings| {
            promote_due(sql, id, now, rings)
        })
        .await?;
        if due.len() < LOOK_MAX {
            break;
        }
    }
    let forgotten = now.minus_ms(IDEMPOTENCY_LIFE_MS);
    while store
        .write(TransactionName::Recover, move |sql, _| forget(sql, forgotten))
        .await?
        == LOOK_MAX as u64
    {}
    Ok(recovered)
}

/// Asks for a transaction for each of `ids` at once, so that they are committed together; each stands for itself.
async fn each<T, F>(store: &impl Backend, ids: &[GenerationId], work: F) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Fn(&dyn Sql, GenerationId, &mut Rings) -> Result<T> + Clone + Send + 'static,
{
    let mut answers = Vec::with_capacity(ids.len());
    for &id in ids {
        let work = work.clone();
        let work = move |sql: &dyn Sql, rings: &mut Rings| work(sql, id, rings);
        answers.push(store.write(TransactionName::Recover, work));
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
fn broken(sql: &dyn Sql, now: Timestamp) -> Result<Vec<GenerationId>> {
    ids(
        sql,
        "SELECT id FROM generations WHERE status = 'running' AND lease_expires_at <= ?1
         UNION SELECT id FROM generations WHERE finished_at IS NULL AND deadline <= ?1 LIMIT ?2",
        now,
    )
}

/// Retries that are due but not yet claimable.
fn delayed(sql: &dyn Sql, now: Timestamp) -> Result<Vec<GenerationId>> {
    ids(
        sql,
        "SELECT id FROM generations WHERE status = 'queued' AND claimable = 0 AND not_before <= ?1 LIMIT ?2",
        now,
    )
}

fn ids(sql: &dyn Sql, select: &str, now: Timestamp) -> Result<Vec<GenerationId>> {
    sql.all(select, &params![now.0, LOOK_MAX as i64], |row| row.parsed(0))
        .map_err(StoreError::database("look for what is due"))
}

fn repair(
    sql: &dyn Sql,
    id: GenerationId,
    attempts_max: u32,
    now: Timestamp,
    rings: &mut Rings,
) -> Result<Repaired> {
    let Some(kept) = load_to_change(sql, id)? else {
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
    let repaired = change(sql, kept, event, Credits(0), now, rings)?.map_err(StoreError::Transition)?;
    Ok(match repaired.generation.status.is_terminal() {
        true => Repaired::Ended,
        false => Repaired::Requeued,
    })
}

fn promote_due(sql: &dyn Sql, id: GenerationId, now: Timestamp, rings: &mut Rings) -> Result<()> {
    match load_to_change(sql, id)? {
        Some(kept) if !kept.claimable => match kept.generation.status {
            Status::Queued { not_before, .. } if not_before <= now => promote(sql, kept, rings),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Forgets idempotency keys kept before `before`; tells how many.
fn forget(sql: &dyn Sql, before: Timestamp) -> Result<u64> {
    sql.execute("DELETE FROM idempotency WHERE created_at <= ?1 AND (account, scope, key) IN
                 (SELECT account, scope, key FROM idempotency WHERE created_at <= ?1 ORDER BY created_at LIMIT ?2)", &params![before.0, LOOK_MAX as i64])
        .map_err(StoreError::database("forget idempotency keys"))
}

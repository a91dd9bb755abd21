//! What workers and clients say about a generation that exists: heartbeats, outcomes, cancels, removals.

use kinora_domain::{
    AccountId, Credits, Event, GenerationId, IllegalTransition, Progress, Stage, Status, Timestamp,
};

use super::generations::{Kept, change, load_locked, load_of, load_to_change, signed};
use crate::{
    Canceled, Finished, Heartbeat, LeaseKey, MediaRemoved, Outcome, Result, StoreError,
    bells::Rings,
    sql::{self, Sql, params},
};

/// Renews a lease until `until` and keeps the progress.
pub(crate) fn heartbeat(
    sql: &dyn Sql,
    lease: LeaseKey,
    progress: Option<Progress>,
    until: Timestamp,
    rings: &mut Rings,
) -> Result<Heartbeat> {
    let Some(kept) = load_locked(sql, lease.generation)? else {
        return Ok(Heartbeat::LeaseLost);
    };
    let Status::Running {
        lease: held,
        attempts: _,
        cancel_requested,
    } = kept.generation.status
    else {
        return Ok(Heartbeat::LeaseLost);
    };
    if held.token != lease.token {
        return Ok(Heartbeat::LeaseLost);
    }
    let before = kept.generation.progress;
    let shown = progress.map_or(before, |progress| shown(before, progress, cancel_requested));
    let changed = shown != before;
    let row = params![
        lease.generation.to_string(),
        until.0,
        shown.stage.as_str(),
        f64::from(shown.fraction),
        signed("an event number", kept.generation.event_seq + u64::from(changed))?,
    ];
    sql.execute("UPDATE generations SET lease_expires_at = ?2, stage = ?3, fraction = ?4, event_seq = ?5 WHERE id = ?1", &row)
        .map_err(StoreError::database("renew a lease"))?;
    if changed {
        rings.generations.push(lease.generation);
    }
    Ok(match cancel_requested {
        true => Heartbeat::CancelRequested,
        false => Heartbeat::Renewed,
    })
}

/// The progress that clients are shown after a worker has told `told`: it never goes back, not even when another
/// attempt starts from nothing, and a generation that is to stop keeps saying so.
fn shown(before: Progress, told: Progress, cancel_requested: bool) -> Progress {
    Progress {
        stage: if cancel_requested {
            Stage::Canceling
        } else {
            told.stage
        },
        // The first `max` drops what is not a number.
        fraction: before.fraction.max(told.fraction).min(1.0),
    }
}

/// Settles the end of an attempt.
pub(crate) fn finish(
    sql: &dyn Sql,
    lease: LeaseKey,
    outcome: &Outcome,
    now: Timestamp,
    rings: &mut Rings,
) -> Result<Finished> {
    let Some(mut kept) = load_to_change(sql, lease.generation)? else {
        return Ok(Finished::LeaseLost);
    };
    if let Outcome::PassedOn { offer, .. } = outcome {
        // A running generation stands in no lane, so that it may change its offer; the row is written with the status.
        kept.generation.offer = offer.clone();
    }
    let was_running = matches!(kept.generation.status, Status::Running { .. });
    let (event, charged) = event(lease.token, outcome.clone());
    match change(sql, kept, event, charged, now, rings)? {
        Ok(Kept { generation, .. }) => Ok(Finished::Settled(generation)),
        Err(IllegalTransition::AlreadyFinished(_) | IllegalTransition::LeaseLost) => Ok(Finished::LeaseLost),
        Err(IllegalTransition::NotAllowed(..)) if !was_running => Ok(Finished::LeaseLost),
        Err(illegal @ IllegalTransition::NotAllowed(..)) => Err(StoreError::Transition(illegal)),
    }
}

/// What an outcome is to the domain, and what it costs.
fn event(token: u64, outcome: Outcome) -> (Event, Credits) {
    match outcome {
        Outcome::Succeeded { success, charged } => (Event::Succeed { token, success }, charged),
        Outcome::Failed { failure, retry_at } => {
            let event = Event::Fail {
                token,
                failure,
                retry_at,
            };
            (event, Credits(0))
        }
        Outcome::PassedOn {
            failure,
            retry_at,
            offer: _,
        } => {
            let event = Event::Fail {
                token,
                failure,
                retry_at: Some(retry_at),
            };
            (event, Credits(0))
        }
        Outcome::Stopped => (Event::Stopped { token }, Credits(0)),
        Outcome::GivenBack => (Event::GiveBack { token }, Credits(0)),
    }
}

/// Asks for an end.
pub(crate) fn cancel(
    sql: &dyn Sql,
    account: AccountId,
    id: GenerationId,
    now: Timestamp,
    rings: &mut Rings,
) -> Result<Option<Canceled>> {
    let Some(kept) = load_of(sql, account, id)? else {
        return Ok(None);
    };
    match kept.generation.status {
        Status::Canceled => return Ok(Some(Canceled::Done(kept.generation))),
        Status::Succeeded(_) | Status::Failed(_) => {
            return Ok(Some(Canceled::AlreadyFinished(kept.generation)));
        }
        Status::Queued { .. } | Status::Running { .. } => {}
    }
    let canceled = change(sql, kept, Event::Cancel, Credits(0), now, rings)?;
    let generation = canceled.map_err(StoreError::Transition)?.generation;
    Ok(Some(match generation.status {
        Status::Canceled => Canceled::Done(generation),
        _ => Canceled::Requested(generation),
    }))
}

/// Lets go of a terminal generation's media.
pub(crate) fn remove_media(
    sql: &dyn Sql,
    account: AccountId,
    id: GenerationId,
    rings: &mut Rings,
) -> Result<Option<MediaRemoved>> {
    let Some(Kept { generation, .. }) = load_of(sql, account, id)? else {
        return Ok(None);
    };
    if !generation.status.is_terminal() {
        return Ok(Some(MediaRemoved::NotFinished));
    }
    if generation.media_removed {
        return Ok(Some(MediaRemoved::Done));
    }
    let remove = || -> sql::Result<()> {
        sql.execute(
            "DELETE FROM blob_refs WHERE generation = ?1",
            &params![id.to_string()],
        )?;
        sql.execute("UPDATE generations SET media_removed = 1, has_media = 0, event_seq = event_seq + 1 WHERE id = ?1", &params![id.to_string()])?;
        Ok(())
    };
    remove().map_err(StoreError::database("let go of media"))?;
    rings.generations.push(id);
    Ok(Some(MediaRemoved::Done))
}

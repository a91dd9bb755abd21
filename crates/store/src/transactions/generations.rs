//! Rows of generations, and the one way in which a status changes.
//!
//! [`change`] asks the domain what becomes of a status and carries it out: the row, the ledger, the caches on the
//! account, the lane, the event, the blobs, the webhooks, and what is to be rung. No other function writes a status.

use kinora_domain::{
    AccountId, Artifact, Credits, Effect, Event, Failure, FailureCode, Generation, GenerationId,
    IllegalTransition, Lease, OfferId, Progress, Split, Stage, Status, Success, Timestamp,
};

use super::{accounts, attempts, ledger, outbox, previews};
use crate::{
    LeaseKey, Result, StoreError,
    bells::Rings,
    rows,
    sql::{self, Row, Sql, params, unreadable},
};

/// A generation with what the store alone wants to know of it.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub generation: Generation,
    pub priority: i32,
    /// Counted in its lane.
    pub claimable: bool,
    /// Of the latest lease, live or not.
    pub lease_token: u64,
    pub has_media: bool,
    /// Where the client wants to be told of it.
    pub webhook_url: Option<String>,
}

/// The columns that [`kept`] reads, in its order.
macro_rules! columns {
    () => {
        "id, account, model, offer, spec, priority, status, claimable, attempts, not_before, lease_worker, \
         lease_token, lease_expires_at, cancel_requested, stage, fraction, held_subscription, held_permanent, \
         charged_subscription, charged_permanent, event_seq, created_at, started_at, finished_at, deadline, \
         has_media, media_removed, result, failure_code, failure_message, webhook_url"
    };
}
pub(super) use columns;

/// One generation.
pub(crate) fn load(sql: &dyn Sql, id: GenerationId) -> Result<Option<Kept>> {
    sql.first(
        concat!("SELECT ", columns!(), " FROM generations WHERE id = ?1"),
        &params![id.to_string()],
        kept,
    )
    .map_err(StoreError::database("read a generation"))
}

/// One generation that is to be changed, with its account: nobody else changes either until the transaction ends.
pub(crate) fn load_to_change(sql: &dyn Sql, id: GenerationId) -> Result<Option<Kept>> {
    sql.lock(
        "SELECT 1 FROM accounts WHERE id = (SELECT account FROM generations WHERE id = ?1) FOR NO KEY UPDATE",
        &params![id.to_string()],
    )
    .map_err(StoreError::database("lock an account"))?;
    load_locked(sql, id)
}

/// One generation of which what its worker says is to be changed, and nothing that its account counts.
pub(crate) fn load_locked(sql: &dyn Sql, id: GenerationId) -> Result<Option<Kept>> {
    let select = concat!(
        "SELECT ",
        columns!(),
        " FROM generations WHERE id = ?1 /*pg FOR NO KEY UPDATE */"
    );
    sql.first(select, &params![id.to_string()], kept)
        .map_err(StoreError::database("read a generation"))
}

/// One generation, if the lease on it is this one; nobody takes it away until the transaction ends.
pub(crate) fn load_leased(sql: &dyn Sql, lease: LeaseKey) -> Result<Option<Generation>> {
    let Some(Kept { generation, .. }) = load_locked(sql, lease.generation)? else {
        return Ok(None);
    };
    Ok(match &generation.status {
        Status::Running { lease: held, .. } if held.token == lease.token => Some(generation),
        Status::Queued { .. }
        | Status::Running { .. }
        | Status::Succeeded(_)
        | Status::Failed(_)
        | Status::Canceled => None,
    })
}

/// One generation that is to be changed, if it is that account's.
pub(crate) fn load_of(sql: &dyn Sql, account: AccountId, id: GenerationId) -> Result<Option<Kept>> {
    accounts::lock(sql, account)?;
    Ok(load_locked(sql, id)?.filter(|kept| kept.generation.account == account))
}

/// Lets `event` happen to a generation at `now`, with everything it brings about. `charged` is the price of a
/// success. A change that changes nothing is not written.
pub(crate) fn change(
    sql: &dyn Sql,
    kept: Kept,
    event: Event,
    charged: Credits,
    now: Timestamp,
    rings: &mut Rings,
) -> Result<Result<Kept, IllegalTransition>> {
    let (status, effects) = match kept.generation.status.apply(event, now) {
        Ok(change) => change,
        Err(illegal) => return Ok(Err(illegal)),
    };
    if status == kept.generation.status {
        return Ok(Ok(kept));
    }
    let mut next = after(&kept, status, now);
    for effect in effects {
        match effect {
            Effect::CaptureHold => {
                next.generation.usage = ledger::capture(sql, &kept.generation, charged, now)?
            }
            Effect::ReleaseHold => ledger::release(sql, &kept.generation, now)?,
            Effect::Announce => append_event(sql, &next.generation, now)?,
        }
    }
    if let Status::Succeeded(success) = &next.generation.status {
        refer_to_artifacts(sql, next.generation.id, success)?;
        next.has_media = next.has_media || !success.artifacts.is_empty();
    }
    if next.generation.status.is_terminal() {
        previews::remove(sql, next.generation.id)?;
    }
    update(sql, &next)?;
    count(sql, &kept, &next)?;
    count_attempts(sql, &kept, &next, now)?;
    if next.generation.phase() != kept.generation.phase() {
        outbox::announce(sql, &next, now, rings)?;
    }
    rings.generations.push(next.generation.id);
    let left_running = is_running(&kept) && !is_running(&next);
    rings.queue |= left_running || next.claimable;
    Ok(Ok(next))
}

/// Makes a delayed retry claimable.
pub(crate) fn promote(sql: &dyn Sql, kept: Kept, rings: &mut Rings) -> Result<()> {
    let next = Kept {
        claimable: true,
        ..kept.clone()
    };
    sql.execute(
        "UPDATE generations SET claimable = 1 WHERE id = ?1",
        &params![next.generation.id.to_string()],
    )
    .map_err(StoreError::database("promote a retry"))?;
    count(sql, &kept, &next)?;
    rings.queue = true;
    Ok(())
}

/// What a generation is once its status has become `status`.
fn after(kept: &Kept, status: Status, now: Timestamp) -> Kept {
    let Progress { fraction, .. } = kept.generation.progress;
    let (stage, fraction) = match &status {
        Status::Queued { .. } => (Stage::Retrying, fraction),
        Status::Running {
            cancel_requested: true,
            ..
        } => (Stage::Canceling, fraction),
        Status::Running { .. } => (Stage::Preparing, fraction),
        Status::Succeeded(_) => (Stage::Done, 1.0),
        Status::Failed(_) | Status::Canceled => (Stage::Done, fraction),
    };
    let (claimable, lease_token) = match &status {
        Status::Queued { not_before, .. } => (*not_before <= now, kept.lease_token),
        Status::Running { lease, .. } => (false, lease.token),
        Status::Succeeded(_) | Status::Failed(_) | Status::Canceled => (false, kept.lease_token),
    };
    let before = &kept.generation;
    let is_running = matches!(status, Status::Running { .. });
    Kept {
        generation: Generation {
            progress: Progress { stage, fraction },
            usage: if status.is_terminal() {
                Split::ZERO
            } else {
                before.held
            },
            event_seq: before.event_seq + 1,
            started_at: before.started_at.or(is_running.then_some(now)),
            finished_at: status.is_terminal().then_some(now),
            status,
            ..before.clone()
        },
        priority: kept.priority,
        claimable,
        lease_token,
        has_media: kept.has_media,
        webhook_url: kept.webhook_url.clone(),
    }
}

/// Writes everything that a change can change.
fn update(sql: &dyn Sql, kept: &Kept) -> Result<()> {
    let generation = &kept.generation;
    let status = StatusColumns::from(&generation.status);
    let charged = match generation.status {
        Status::Succeeded(_) => generation.usage,
        _ => Split::ZERO,
    };
    let row = params![
        generation.id.to_string(),
        generation.status.as_str(),
        kept.claimable,
        status.attempts,
        status.not_before,
        status.lease_worker,
        signed("a lease token", kept.lease_token)?,
        status.lease_expires_at,
        status.cancel_requested,
        generation.progress.stage.as_str(),
        f64::from(generation.progress.fraction),
        charged.subscription,
        charged.permanent,
        signed("an event number", generation.event_seq)?,
        generation.started_at.map(|at| at.0),
        generation.finished_at.map(|at| at.0),
        kept.has_media,
        status.result,
        status.failure_code,
        status.failure_message,
        &generation.offer.0,
    ];
    sql.execute("UPDATE generations SET status = ?2, claimable = ?3, attempts = coalesce(?4, attempts),
                 not_before = coalesce(?5, not_before), lease_worker = ?6, lease_token = ?7, lease_expires_at = ?8,
                 cancel_requested = ?9, stage = ?10, fraction = ?11, charged_subscription = ?12,
                 charged_permanent = ?13, event_seq = ?14, started_at = ?15, finished_at = ?16, has_media = ?17,
                 result = ?18, failure_code = ?19, failure_message = ?20, offer = ?21
             WHERE id = ?1", &row)
        .map_err(StoreError::database("write a generation"))?;
    Ok(())
}

/// Keeps the counters of the account and of the lane in step with a change.
fn count(sql: &dyn Sql, before: &Kept, next: &Kept) -> Result<()> {
    let delta = |is: fn(&Kept) -> bool| i64::from(is(next)) - i64::from(is(before));
    let (queued, running) = (delta(is_queued), delta(is_running));
    let freed = match next.generation.status.is_terminal() {
        true => before.generation.held,
        false => Split::ZERO,
    };
    add_to_account(sql, next.generation.account, queued, running, freed.negated())?;
    match (before.claimable, next.claimable) {
        (false, true) => enter_lane(sql, next),
        (true, false) => leave_lane(sql, next),
        (false, false) | (true, true) => Ok(()),
    }
}

/// Keeps the rows of attempts in step with a change.
fn count_attempts(sql: &dyn Sql, before: &Kept, next: &Kept, now: Timestamp) -> Result<()> {
    match (&before.generation.status, &next.generation.status) {
        (Status::Running { .. }, Status::Running { .. }) => Ok(()),
        (Status::Running { lease, .. }, _) => attempts::end(sql, &next.generation, lease.token, now),
        (_, Status::Running { lease, .. }) => attempts::begin(sql, &next.generation, lease, now),
        (_, _) => Ok(()),
    }
}

/// Adds to the counters of an account.
pub(crate) fn add_to_account(
    sql: &dyn Sql,
    account: AccountId,
    queued: i64,
    running: i64,
    held: Split,
) -> Result<()> {
    let row = params![
        account.to_string(),
        queued,
        running,
        held.subscription,
        held.permanent
    ];
    sql.execute(
        "UPDATE accounts SET queued = queued + ?2, running = running + ?3,
                 held_subscription = held_subscription + ?4, held_permanent = held_permanent + ?5
             WHERE id = ?1",
        &row,
    )
    .map_err(StoreError::database("count an account's generations"))?;
    Ok(())
}

/// Counts a generation in its lane. A lane that was empty comes after everyone who is waiting already, and before
/// everyone who is served from now on.
pub(crate) fn enter_lane(sql: &dyn Sql, kept: &Kept) -> Result<()> {
    let Generation { offer, account, .. } = &kept.generation;
    sql.execute(
        "INSERT INTO lanes (offer, priority, account, queued, turn)
             VALUES (?1, ?2, ?3, 1, (SELECT value FROM counters WHERE name = 'turn'))
             ON CONFLICT (account, priority, offer) DO UPDATE SET
                 turn = CASE WHEN lanes.queued = 0 THEN excluded.turn ELSE lanes.turn END,
                 queued = lanes.queued + 1",
        &params![&offer.0, kept.priority, account.to_string()],
    )
    .map_err(StoreError::database("enter a lane"))?;
    Ok(())
}

fn leave_lane(sql: &dyn Sql, kept: &Kept) -> Result<()> {
    let Generation { offer, account, .. } = &kept.generation;
    sql.execute(
        "UPDATE lanes SET queued = queued - 1 WHERE offer = ?1 AND priority = ?2 AND account = ?3",
        &params![&offer.0, kept.priority, account.to_string()],
    )
    .map_err(StoreError::database("leave a lane"))?;
    Ok(())
}

/// Keeps a change of status for clients that subscribe again.
pub(crate) fn append_event(sql: &dyn Sql, generation: &Generation, now: Timestamp) -> Result<()> {
    let row = params![
        generation.id.to_string(),
        signed("an event number", generation.event_seq)?,
        generation.phase().as_str(),
        generation.progress.stage.as_str(),
        f64::from(generation.progress.fraction),
        now.0,
    ];
    sql.execute("INSERT INTO status_events (generation, seq, phase, stage, fraction, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", &row)
        .map_err(StoreError::database("keep an event"))?;
    Ok(())
}

fn refer_to_artifacts(sql: &dyn Sql, id: GenerationId, success: &Success) -> Result<()> {
    for (index, Artifact { video, poster, .. }) in success.artifacts.iter().enumerate() {
        refer(sql, id, &format!("video[{index}]"), video.0)?;
        refer(sql, id, &format!("poster[{index}]"), poster.0)?;
    }
    Ok(())
}

/// Keeps a blob for a generation.
pub(crate) fn refer(sql: &dyn Sql, id: GenerationId, role: &str, hash: [u8; 32]) -> Result<()> {
    sql.execute(
        "INSERT INTO blob_refs (generation, role, hash) VALUES (?1, ?2, ?3)",
        &params![id.to_string(), role, &hash],
    )
    .map_err(StoreError::database("refer to a blob"))?;
    Ok(())
}

/// The columns that depend on the status. `None` in the first two leaves what is there.
#[derive(Default)]
struct StatusColumns {
    attempts: Option<u32>,
    not_before: Option<i64>,
    lease_worker: Option<String>,
    lease_expires_at: Option<i64>,
    cancel_requested: bool,
    result: Option<String>,
    failure_code: Option<&'static str>,
    failure_message: Option<String>,
}

impl From<&Status> for StatusColumns {
    fn from(status: &Status) -> StatusColumns {
        let none = StatusColumns::default();
        match status {
            Status::Queued { attempts, not_before } => StatusColumns {
                attempts: Some(*attempts),
                not_before: Some(not_before.0),
                ..none
            },
            Status::Running {
                lease:
                    Lease {
                        worker,
                        token: _,
                        expires_at,
                    },
                attempts,
                cancel_requested,
            } => StatusColumns {
                attempts: Some(*attempts),
                lease_worker: Some(worker.to_string()),
                lease_expires_at: Some(expires_at.0),
                cancel_requested: *cancel_requested,
                ..none
            },
            Status::Succeeded(success) => StatusColumns {
                result: Some(rows::success_to_json(success)),
                ..none
            },
            Status::Failed(Failure { code, message }) => StatusColumns {
                failure_code: Some(code.as_str()),
                failure_message: Some(message.clone()),
                ..none
            },
            Status::Canceled => none,
        }
    }
}

/// A generation out of the columns of [`columns`].
pub(crate) fn kept(row: &Row<'_>) -> sql::Result<Kept> {
    let status = status(row)?;
    let held = Split {
        subscription: row.get(16)?,
        permanent: row.get(17)?,
    };
    let usage = match status {
        Status::Queued { .. } | Status::Running { .. } => held,
        Status::Succeeded(_) => Split {
            subscription: row.get(18)?,
            permanent: row.get(19)?,
        },
        Status::Failed(_) | Status::Canceled => Split::ZERO,
    };
    let generation = Generation {
        id: row.parsed(0)?,
        account: row.parsed(1)?,
        model: row.parsed(2)?,
        offer: OfferId(row.get(3)?),
        spec: rows::spec_from_json(row.text(4)?).map_err(|problem| unreadable(4, problem))?,
        status,
        progress: Progress {
            stage: row.stage(14)?,
            fraction: row.get(15)?,
        },
        held,
        usage,
        event_seq: row.get(20)?,
        created_at: Timestamp(row.get(21)?),
        started_at: row.get::<Option<i64>>(22)?.map(Timestamp),
        finished_at: row.get::<Option<i64>>(23)?.map(Timestamp),
        deadline: Timestamp(row.get(24)?),
        media_removed: row.get(26)?,
    };
    Ok(Kept {
        generation,
        priority: row.get(5)?,
        claimable: row.get(7)?,
        lease_token: row.get(11)?,
        has_media: row.get(25)?,
        webhook_url: row.get(30)?,
    })
}

fn status(row: &Row<'_>) -> sql::Result<Status> {
    Ok(match row.text(6)? {
        "queued" => Status::Queued {
            attempts: row.get(8)?,
            not_before: Timestamp(row.get(9)?),
        },
        "running" => Status::Running {
            lease: Lease {
                worker: row.parsed(10)?,
                token: row.get(11)?,
                expires_at: Timestamp(row.get(12)?),
            },
            attempts: row.get(8)?,
            cancel_requested: row.get(13)?,
        },
        "succeeded" => Status::Succeeded(
            rows::success_from_json(row.text(27)?).map_err(|problem| unreadable(27, problem))?,
        ),
        "failed" => Status::Failed(Failure {
            code: row.one_of(&FailureCode::ALL, FailureCode::as_str, 28)?,
            message: row.get(29)?,
        }),
        "canceled" => Status::Canceled,
        other => return Err(unreadable(6, format!("{other:?} is no status"))),
    })
}

/// A number as a database keeps it.
pub(crate) fn signed(what: &'static str, value: u64) -> Result<i64> {
    i64::try_from(value).map_err(|_| StoreError::TooLarge { what, value })
}

fn is_queued(kept: &Kept) -> bool {
    matches!(kept.generation.status, Status::Queued { .. })
}

fn is_running(kept: &Kept) -> bool {
    matches!(kept.generation.status, Status::Running { .. })
}

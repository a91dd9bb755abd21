//! Accepts a generation: row, hold and event together, or nothing.

use kinora_domain::ledger::EntryType;
use kinora_domain::{Generation, GenerationId, Progress, Source, Stage, Status, Timestamp, ledger};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    bells::Rings,
    generations::{self, Kept, add_to_account, append_event, enter_lane, id_in, refer},
    ledger::{NewEntry, expire_due, grants, record},
    outbox,
};
use crate::{IDEMPOTENCY_LIFE_MS, Idempotency, Result, StoreError, Submission, Submitted, rows};

/// The whole of a submission, in this order:
///
/// 1. A known idempotency key answers for itself, whatever has become of the balance since.
/// 2. The cap on queued generations.
/// 3. The hold, out of grants that are still live.
/// 4. The row, and what counts and announces it.
pub(super) fn submit(
    connection: &Connection,
    submission: Submission,
    now: Timestamp,
    rings: &mut Rings,
) -> Result<Submitted> {
    if let Some(idempotency) = &submission.idempotency
        && let Some(known) = look_up(connection, &submission, idempotency, now)?
    {
        return Ok(known);
    }
    let account = submission.account;
    let queued = queued(connection, &submission)?;
    if queued >= submission.queued_max {
        return Ok(Submitted::QueueFull(queued));
    }
    expire_due(connection, Some(account), now)?;
    let lines = match ledger::hold(&grants(connection, account)?, submission.price, now) {
        Ok(lines) => lines,
        Err(insufficient) => return Ok(Submitted::Insufficient(insufficient)),
    };

    let kept = keep(connection, &submission, ledger::total(&lines).negated(), now)?;
    let id = kept.generation.id;
    let hold = NewEntry {
        account,
        entry_type: EntryType::Hold,
        generation: Some(id),
        lines: &lines,
        note: None,
    };
    record(connection, &hold, now)?;
    add_to_account(connection, account, 1, 0, kept.generation.held)?;
    enter_lane(connection, &kept)?;
    append_event(connection, &kept.generation, now)?;
    outbox::announce(connection, &kept.generation, now, rings)?;
    if let Some(idempotency) = &submission.idempotency {
        remember(connection, &submission, idempotency, now)?;
    }
    rings.generations.push(id);
    rings.queue = true;
    Ok(Submitted::Created(kept.generation))
}

/// What an idempotency key says about a submission, if it is known.
fn look_up(
    connection: &Connection,
    submission: &Submission,
    idempotency: &Idempotency,
    now: Timestamp,
) -> Result<Option<Submitted>> {
    let Idempotency { scope, key, payload } = idempotency;
    let forgotten = now.minus_ms(IDEMPOTENCY_LIFE_MS);
    let row = params![submission.account.to_string(), scope, key, forgotten.0];
    let known: Option<([u8; 32], GenerationId)> = connection
        .prepare_cached(
            "SELECT payload, generation FROM idempotency
             WHERE account = ?1 AND scope = ?2 AND key = ?3 AND created_at > ?4",
        )
        .and_then(|mut select| {
            select
                .query_row(row, |row| Ok((row.get(0)?, id_in(row, 1)?)))
                .optional()
        })
        .map_err(StoreError::database("look for an idempotency key"))?;
    let Some((first_payload, first)) = known else {
        return Ok(None);
    };
    if first_payload != *payload {
        return Ok(Some(Submitted::KeyReused));
    }
    Ok(generations::load(connection, first)?.map(|kept| Submitted::Replayed(kept.generation)))
}

/// Keeps an idempotency key; one that is past its life is replaced.
fn remember(
    connection: &Connection,
    submission: &Submission,
    idempotency: &Idempotency,
    now: Timestamp,
) -> Result<()> {
    let Idempotency { scope, key, payload } = idempotency;
    let row = params![
        submission.account.to_string(),
        scope,
        key,
        payload,
        submission.id.to_string(),
        now.0,
    ];
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO idempotency (account, scope, key, payload, generation, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .and_then(|mut insert| insert.execute(row))
        .map_err(StoreError::database("keep an idempotency key"))?;
    Ok(())
}

/// How many of the account's generations are queued.
fn queued(connection: &Connection, submission: &Submission) -> Result<u32> {
    connection
        .prepare_cached("SELECT queued FROM accounts WHERE id = ?1")
        .and_then(|mut select| {
            select
                .query_row([submission.account.to_string()], |row| row.get(0))
                .optional()
        })
        .map_err(StoreError::database("count what is queued"))?
        .ok_or(StoreError::UnknownAccount(submission.account))
}

/// Writes the row and its references to blobs.
fn keep(
    connection: &Connection,
    submission: &Submission,
    held: kinora_domain::Split,
    now: Timestamp,
) -> Result<Kept> {
    let Submission {
        id,
        account,
        model,
        offer,
        spec,
        price: _,
        priority,
        deadline,
        queued_max: _,
        idempotency: _,
        webhook_url,
    } = submission;
    let sources = spec.workflow.sources();
    let inputs = sources.iter().filter_map(|(member, source)| match source {
        Source::Url(_) => None,
        Source::Stored(stored) => Some((member, stored)),
    });
    let has_media = inputs.clone().next().is_some();
    let row = params![
        id.to_string(),
        account.to_string(),
        model.as_str(),
        offer.0,
        rows::spec_to_json(spec),
        priority,
        now.0,
        Stage::Queued.as_str(),
        held.subscription,
        held.permanent,
        deadline.0,
        webhook_url,
        has_media,
    ];
    connection
        .prepare_cached(
            "INSERT INTO generations (id, account, model, offer, spec, priority, status, claimable, attempts,
                 not_before, stage, fraction, held_subscription, held_permanent, event_seq, created_at, deadline,
                 webhook_url, has_media)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'queued', 1, 0, ?7, ?8, 0, ?9, ?10, 1, ?7, ?11, ?12, ?13)",
        )
        .and_then(|mut insert| insert.execute(row))
        .map_err(StoreError::database("queue a generation"))?;
    for (member, stored) in inputs {
        refer(connection, *id, &member.to_string(), stored.blob.0)?;
    }
    Ok(Kept {
        generation: Generation {
            id: *id,
            account: *account,
            model: *model,
            offer: offer.clone(),
            spec: spec.clone(),
            status: Status::new(now),
            progress: Progress {
                stage: Stage::Queued,
                fraction: 0.0,
            },
            held,
            usage: held,
            event_seq: 1,
            created_at: now,
            started_at: None,
            finished_at: None,
            deadline: *deadline,
            media_removed: false,
        },
        priority: *priority,
        claimable: true,
        lease_token: 0,
        has_media,
    })
}

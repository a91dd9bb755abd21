//! Accepts a generation: row, hold and event together, or nothing.

use kinora_domain::ledger::EntryType;
use kinora_domain::{Generation, GenerationId, Progress, Source, Stage, Status, Timestamp, ledger};

use super::{
    generations::{self, Kept, add_to_account, append_event, enter_lane, refer},
    ledger::{NewEntry, live_grants, record},
    outbox,
};
use crate::{
    IDEMPOTENCY_LIFE_MS, Idempotency, Result, StoreError, Submission, Submitted,
    bells::Rings,
    rows,
    sql::{Sql, params},
};

/// The whole of a submission, in this order:
///
/// 1. The account, for whose generations and credits everybody else waits from here on.
/// 2. A known idempotency key answers for itself, whatever has become of the balance since.
/// 3. The cap on queued generations.
/// 4. The hold, out of grants that are still live.
/// 5. The row, and what counts and announces it.
pub(crate) fn submit(
    sql: &dyn Sql,
    submission: &Submission,
    now: Timestamp,
    rings: &mut Rings,
) -> Result<Submitted> {
    let account = submission.account;
    let queued = queued(sql, submission)?;
    if let Some(idempotency) = &submission.idempotency
        && let Some(known) = look_up(sql, submission, idempotency, now)?
    {
        return Ok(known);
    }
    if queued >= submission.queued_max {
        return Ok(Submitted::QueueFull(queued));
    }
    let grants = live_grants(sql, account, now)?;
    let lines = match ledger::hold(&grants, submission.price, now) {
        Ok(lines) => lines,
        Err(insufficient) => return Ok(Submitted::Insufficient(insufficient)),
    };

    let kept = keep(sql, submission, ledger::total(&lines).negated(), now)?;
    let id = kept.generation.id;
    let hold = NewEntry {
        account,
        entry_type: EntryType::Hold,
        generation: Some(id),
        lines: &lines,
        note: None,
    };
    record(sql, &hold, now)?;
    add_to_account(sql, account, 1, 0, kept.generation.held)?;
    enter_lane(sql, &kept)?;
    append_event(sql, &kept.generation, now)?;
    outbox::announce(sql, &kept, now, rings)?;
    if let Some(idempotency) = &submission.idempotency {
        remember(sql, submission, idempotency, now)?;
    }
    rings.generations.push(id);
    rings.queue = true;
    Ok(Submitted::Created(kept.generation))
}

/// What an idempotency key says about a submission, if it is known.
fn look_up(
    sql: &dyn Sql,
    submission: &Submission,
    idempotency: &Idempotency,
    now: Timestamp,
) -> Result<Option<Submitted>> {
    let Idempotency { scope, key, payload } = idempotency;
    let forgotten = now.minus_ms(IDEMPOTENCY_LIFE_MS);
    let row = params![submission.account.to_string(), scope, key, forgotten.0];
    let known: Option<([u8; 32], GenerationId)> = sql
        .first(
            "SELECT payload, generation FROM idempotency
             WHERE account = ?1 AND scope = ?2 AND key = ?3 AND created_at > ?4",
            &row,
            |row| Ok((row.get(0)?, row.parsed(1)?)),
        )
        .map_err(StoreError::database("look for an idempotency key"))?;
    let Some((first_payload, first)) = known else {
        return Ok(None);
    };
    if first_payload != *payload {
        return Ok(Some(Submitted::KeyReused));
    }
    Ok(generations::load(sql, first)?.map(|kept| Submitted::Replayed(kept.generation)))
}

/// Keeps an idempotency key; one that is past its life is replaced.
fn remember(sql: &dyn Sql, submission: &Submission, idempotency: &Idempotency, now: Timestamp) -> Result<()> {
    let Idempotency { scope, key, payload } = idempotency;
    let row = params![
        submission.account.to_string(),
        scope,
        key,
        payload,
        submission.id.to_string(),
        now.0,
    ];
    sql.execute("INSERT INTO idempotency (account, scope, key, payload, generation, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (account, scope, key) DO UPDATE
             SET payload = excluded.payload, generation = excluded.generation, created_at = excluded.created_at", &row)
        .map_err(StoreError::database("keep an idempotency key"))?;
    Ok(())
}

/// How many of the account's generations are queued; and the lock on the account.
fn queued(sql: &dyn Sql, submission: &Submission) -> Result<u32> {
    sql.first(
        "SELECT queued FROM accounts WHERE id = ?1 /*pg FOR NO KEY UPDATE */",
        &params![submission.account.to_string()],
        |row| row.get(0),
    )
    .map_err(StoreError::database("count what is queued"))?
    .ok_or(StoreError::UnknownAccount(submission.account))
}

/// Writes the row and its references to blobs.
fn keep(sql: &dyn Sql, submission: &Submission, held: kinora_domain::Split, now: Timestamp) -> Result<Kept> {
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
        &offer.0,
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
    sql.execute("INSERT INTO generations (id, account, model, offer, spec, priority, status, claimable, attempts,
                 not_before, stage, fraction, held_subscription, held_permanent, event_seq, created_at, deadline,
                 webhook_url, has_media)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'queued', 1, 0, ?7, ?8, 0, ?9, ?10, 1, ?7, ?11, ?12, ?13)", &row)
        .map_err(StoreError::database("queue a generation"))?;
    for (member, stored) in inputs {
        refer(sql, *id, &member.to_string(), stored.blob.0)?;
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
        webhook_url: webhook_url.clone(),
    })
}

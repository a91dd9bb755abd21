//! Notes of attempts: written under a lease, read by whoever claims the generation next for the same offer.

use kinora_domain::{Generation, Status, Timestamp};

use super::generations::load_locked;
use crate::{
    LeaseKey, Note, Noted, Result, StoreError,
    sql::{Row, Sql, params},
};

/// Keeps a note in place of the last one about the same clip.
pub(crate) fn write(sql: &dyn Sql, lease: LeaseKey, note: &Note, now: Timestamp) -> Result<Noted> {
    let Some(kept) = load_locked(sql, lease.generation)? else {
        return Ok(Noted::LeaseLost);
    };
    match kept.generation.status {
        Status::Running { lease: held, .. } if held.token == lease.token => {}
        Status::Queued { .. }
        | Status::Running { .. }
        | Status::Succeeded(_)
        | Status::Failed(_)
        | Status::Canceled => return Ok(Noted::LeaseLost),
    }
    let Note { clip, text } = note;
    let Generation { id, offer, .. } = kept.generation;
    sql.execute("INSERT INTO attempt_notes (generation, offer, clip, note, written_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (generation, offer, clip) DO UPDATE SET note = excluded.note, written_at = excluded.written_at", &params![id.to_string(), offer.0, clip, text, now.0])
        .map_err(StoreError::database("keep a note"))?;
    Ok(Noted::Kept)
}

/// What earlier attempts with the offer that the generation waits for have left, in the order of the clips.
pub(crate) fn left(sql: &dyn Sql, generation: &Generation) -> Result<Vec<Note>> {
    let key = params![generation.id.to_string(), &generation.offer.0];
    let note = |row: &Row<'_>| {
        Ok(Note {
            clip: row.get(0)?,
            text: row.get(1)?,
        })
    };
    sql.all(
        "SELECT clip, note FROM attempt_notes WHERE generation = ?1 AND offer = ?2 ORDER BY clip",
        &key,
        note,
    )
    .map_err(StoreError::database("read notes"))
}

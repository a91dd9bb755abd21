//! Notes of attempts: written under a lease, read by whoever claims the generation next for the same offer.

use kinora_domain::{Generation, Timestamp};

use super::generations::load_leased;
use crate::{
    LeaseKey, Note, Noted, Result, StoreError,
    sql::{Row, Sql, params},
};

/// Keeps a note in place of the last one about the same clip.
pub(crate) fn write(sql: &dyn Sql, lease: LeaseKey, note: &Note, now: Timestamp) -> Result<Noted> {
    let Some(Generation { id, offer, .. }) = load_leased(sql, lease)? else {
        return Ok(Noted::LeaseLost);
    };
    let Note { clip, text } = note;
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

//! What the clip of a generation looks like so far: one picture, written under a lease, read by whoever follows it, removed
//! with the end. Nobody is told of it: who follows hears of progress, and looks then.

use kinora_domain::GenerationId;

use super::generations::load_leased;
use crate::{
    LeaseKey, Noted, PREVIEW_BYTES_MAX, Preview, Result, StoreError,
    sql::{Row, Sql, params},
};

/// Keeps a picture in place of the one before.
pub(crate) fn keep(sql: &dyn Sql, lease: LeaseKey, jpeg: &[u8]) -> Result<Noted> {
    if jpeg.len() > PREVIEW_BYTES_MAX {
        return Err(StoreError::TooLarge {
            what: "a preview",
            value: jpeg.len() as u64,
        });
    }
    let Some(generation) = load_leased(sql, lease)? else {
        return Ok(Noted::LeaseLost);
    };
    sql.execute(
        "INSERT INTO previews (generation, number, jpeg) VALUES (?1, 1, ?2)
             ON CONFLICT (generation) DO UPDATE SET number = previews.number + 1, jpeg = excluded.jpeg",
        &params![generation.id.to_string(), jpeg],
    )
    .map_err(StoreError::database("keep a preview"))?;
    Ok(Noted::Kept)
}

/// The latest.
pub(crate) fn latest(sql: &dyn Sql, id: GenerationId) -> Result<Option<Preview>> {
    let preview = |row: &Row<'_>| {
        Ok(Preview {
            number: row.get(0)?,
            jpeg: row.get(1)?,
        })
    };
    sql.first(
        "SELECT number, jpeg FROM previews WHERE generation = ?1",
        &params![id.to_string()],
        preview,
    )
    .map_err(StoreError::database("read a preview"))
}

/// Removes it.
pub(crate) fn remove(sql: &dyn Sql, id: GenerationId) -> Result<()> {
    sql.execute(
        "DELETE FROM previews WHERE generation = ?1",
        &params![id.to_string()],
    )
    .map_err(StoreError::database("remove a preview"))?;
    Ok(())
}

//! Requests a minute and key, counted by all nodes in one place.
//!
//! A bucket that holds a minute's requests is written as the one moment at which it will be full again: a request moves it
//! on by the time that one takes to come back, and is refused where it would come to lie more than a minute ahead.

use kinora_domain::Timestamp;

use crate::{
    Counted, CountedRequest, Result, StoreError,
    sql::{Sql, params},
};

/// What a full bucket holds, in microseconds.
const MINUTE_US: i64 = 60_000_000;

/// Takes a request out of its bucket, or tells how long to wait for one.
pub(crate) fn count(sql: &dyn Sql, request: CountedRequest, now: Timestamp) -> Result<Counted> {
    let CountedRequest {
        key,
        kind,
        per_minute,
    } = request;
    let each_us = MINUTE_US / i64::from(per_minute.max(1)).min(MINUTE_US);
    let now_us = now.0.saturating_mul(1000);
    let bucket = params![key.to_string(), kind, now_us, each_us, now_us + MINUTE_US];
    let full_at: Option<i64> = sql
        .first(
            "INSERT INTO rates (key, kind, full_at) VALUES (?1, ?2, ?3 + ?4)
             ON CONFLICT (key, kind) DO UPDATE
             SET full_at = CASE WHEN rates.full_at > ?3 THEN rates.full_at ELSE ?3 END + ?4
             WHERE CASE WHEN rates.full_at > ?3 THEN rates.full_at ELSE ?3 END + ?4 <= ?5
             RETURNING full_at",
            &bucket,
            |row| row.get(0),
        )
        .map_err(StoreError::database("count a request"))?;
    if let Some(full_at) = full_at {
        let remaining = (now_us + MINUTE_US - full_at) / each_us;
        return Ok(Counted::Within {
            remaining: u32::try_from(remaining.max(0)).unwrap_or(u32::MAX),
        });
    }
    let full_at: i64 = sql
        .one(
            "SELECT full_at FROM rates WHERE key = ?1 AND kind = ?2",
            &params![key.to_string(), kind],
            |row| row.get(0),
        )
        .map_err(StoreError::database("read a count of requests"))?;
    let wait_us = full_at + each_us - MINUTE_US - now_us;
    Ok(Counted::TooMany {
        wait_ms: u64::try_from(wait_us).unwrap_or(0).div_ceil(1000),
    })
}

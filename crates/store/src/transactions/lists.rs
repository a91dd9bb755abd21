//! Questions with more than one answer: pages, events, depths.

use kinora_domain::{
    AccountId, BlobHash, Generation, GenerationId, Phase, Split, Timestamp, ledger::EntryType,
};

use super::generations::{columns, kept, signed};
use crate::{
    Entry, GenerationPage, Order, Page, QueueDepth, Removed, Result, StatusEvent, StoreError,
    sql::{Row, Sql, params},
};

/// One page of an account's generations.
///
/// Each phase is read by its own stretch of the index and the stretches are merged, so that a page costs the same
/// however many generations of other phases lie between its own.
pub(crate) fn generations(
    sql: &dyn Sql,
    account: AccountId,
    page: &GenerationPage,
) -> Result<Page<Generation>> {
    let GenerationPage {
        phases,
        limit,
        order,
        behind,
        removed,
    } = page;
    let phases = match phases.is_empty() {
        true => &Phase::ALL,
        false => phases.as_slice(),
    };
    // Every id starts with "gen_", so that the two bounds lie around them all.
    let (select, bound) = match order {
        Order::NewestFirst => (NEWEST_FIRST, "gen`"),
        Order::OldestFirst => (OLDEST_FIRST, "gen_"),
    };
    let behind = behind.map_or_else(|| bound.to_owned(), |id| id.to_string());
    let removed_max = match removed {
        Removed::Listed => 1,
        Removed::LeftOut => 0,
    };
    let mut items: Vec<Generation> = Vec::new();
    for phase in Phase::ALL.into_iter().filter(|phase| phases.contains(phase)) {
        let of_phase: Vec<Generation> = sql
            .all(
                select,
                &params![
                    account.to_string(),
                    phase.as_str(),
                    &behind,
                    one_more(*limit),
                    removed_max,
                ],
                |row| kept(row).map(|kept| kept.generation),
            )
            .map_err(StoreError::database("list generations"))?;
        items.extend(of_phase);
    }
    items.sort_unstable_by_key(|generation| generation.id);
    if *order == Order::NewestFirst {
        items.reverse();
    }
    Ok(cut(items, *limit))
}

const NEWEST_FIRST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM generations WHERE account = ?1 AND phase = ?2 AND id < ?3 AND media_removed <= ?5
     ORDER BY id DESC LIMIT ?4"
);
const OLDEST_FIRST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM generations WHERE account = ?1 AND phase = ?2 AND id > ?3 AND media_removed <= ?5
     ORDER BY id LIMIT ?4"
);

/// Changes of status after `after_seq`, oldest first.
pub(crate) fn status_events(sql: &dyn Sql, id: GenerationId, after_seq: u64) -> Result<Vec<StatusEvent>> {
    // A number that no event can have comes after them all.
    let after_seq = i64::try_from(after_seq).unwrap_or(i64::MAX);
    let read = |row: &Row<'_>| {
        Ok(StatusEvent {
            seq: row.get(0)?,
            phase: row.phase(1)?,
            stage: row.stage(2)?,
            fraction: row.get(3)?,
            at: Timestamp(row.get(4)?),
        })
    };
    sql.all("SELECT seq, phase, stage, fraction, at FROM status_events WHERE generation = ?1 AND seq > ?2 ORDER BY seq", &params![id.to_string(), after_seq], read)
        .map_err(StoreError::database("read events"))
}

/// Terminal generations finished before `before` that still have media, the longest finished first.
pub(crate) fn with_media_finished_before(
    sql: &dyn Sql,
    before: Timestamp,
    limit: usize,
) -> Result<Vec<(AccountId, GenerationId)>> {
    sql.all("SELECT account, id FROM generations WHERE has_media = 1 AND finished_at IS NOT NULL AND finished_at < ?1
             ORDER BY finished_at LIMIT ?2", &params![before.0, capped(limit)], |row| {
                    Ok((row.parsed(0)?, row.parsed(1)?))
                })
        .map_err(StoreError::database("list old media"))
}

/// One page of an account's entries, newest first.
pub(crate) fn entries(
    sql: &dyn Sql,
    account: AccountId,
    limit: usize,
    before: Option<i64>,
) -> Result<Page<Entry>> {
    let read = |row: &Row<'_>| {
        Ok(Entry {
            id: row.parsed(0)?,
            position: row.get(1)?,
            entry_type: row.one_of(&EntryType::ALL, EntryType::as_str, 2)?,
            generation: match row.is_null(3)? {
                true => None,
                false => Some(row.parsed(3)?),
            },
            amount: Split {
                subscription: row.get(6)?,
                permanent: row.get(7)?,
            },
            note: row.get(4)?,
            created_at: Timestamp(row.get(5)?),
        })
    };
    let items = sql
        .all(
            "SELECT e.id, e.position, e.type, e.generation, e.note, e.created_at,
                    CAST(coalesce(sum(l.amount) FILTER (WHERE g.bucket = 'subscription'), 0) AS BIGINT),
                    CAST(coalesce(sum(l.amount) FILTER (WHERE g.bucket = 'permanent'), 0) AS BIGINT)
             FROM (SELECT * FROM ledger_entries WHERE account = ?1 AND position < ?2
                   ORDER BY position DESC LIMIT ?3) e
                  LEFT JOIN ledger_lines l ON l.entry = e.position LEFT JOIN grants g ON g.id = l.grant_id
             GROUP BY e.position, e.id, e.type, e.generation, e.note, e.created_at ORDER BY e.position DESC",
            &params![account.to_string(), before.unwrap_or(i64::MAX), one_more(limit)],
            read,
        )
        .map_err(StoreError::database("list entries"))?;
    Ok(cut(items, limit))
}

/// How much waits and runs, in all.
pub(crate) fn queue_depth(sql: &dyn Sql) -> Result<QueueDepth> {
    // The oldest is at the head of a lane or among the delayed retries; both are far fewer than the queued.
    sql.one("SELECT CAST(coalesce(sum(queued), 0) AS BIGINT), CAST(coalesce(sum(running), 0) AS BIGINT),
                    (SELECT min(created_at) FROM (
                        SELECT (SELECT g.created_at FROM generations g
                                WHERE g.account = l.account AND g.priority = l.priority AND g.offer = l.offer
                                      AND g.claimable = 1 ORDER BY g.position LIMIT 1) AS created_at
                        FROM lanes l WHERE l.queued > 0 /*pg AND l.waits */
                        UNION ALL
                        SELECT created_at FROM generations WHERE status = 'queued' AND claimable = 0) AS heads)
             FROM accounts", &[], |row| {
                Ok(QueueDepth {
                    queued: row.get(0)?,
                    running: row.get(1)?,
                    oldest_queued_at: row.get::<Option<i64>>(2)?.map(Timestamp),
                })
            })
        .map_err(StoreError::database("measure the queue"))
}

/// Whether anything refers to a blob.
pub(crate) fn is_referenced(sql: &dyn Sql, blob: BlobHash) -> Result<bool> {
    sql.exists(
        "SELECT 1 FROM blob_refs WHERE hash = ?1 LIMIT 1",
        &params![&blob.0],
    )
    .map_err(StoreError::database("look for references to a blob"))
}

/// Reads a row, and not just what a connection remembers of its tables' names.
pub(crate) fn ping(sql: &dyn Sql) -> Result<()> {
    sql.first("SELECT value FROM counters WHERE name = 'turn'", &[], |row| {
        row.get::<i64>(0)
    })
    .map_err(StoreError::database("answer"))?;
    Ok(())
}

/// The limit that shows whether there is more.
pub(crate) fn one_more(limit: usize) -> i64 {
    capped(limit).saturating_add(1)
}

fn capped(limit: usize) -> i64 {
    signed("a limit", limit as u64).unwrap_or(i64::MAX)
}

/// A page out of one item more than it may have.
pub(crate) fn cut<T>(mut items: Vec<T>, limit: usize) -> Page<T> {
    let has_more = items.len() > limit;
    items.truncate(limit);
    Page { items, has_more }
}

//! Attempts, as rows beside the generations: begun with a lease, ended with it, and what they add up to.

use std::collections::BTreeMap;

use kinora_domain::{Generation, Lease, OfferFigures, OfferId, Status, Timestamp};

use super::generations::signed;
use crate::{
    Result, StoreError,
    sql::{self, Row, Sql, params},
};

/// An attempt has begun.
pub(crate) fn begin(sql: &dyn Sql, generation: &Generation, lease: &Lease, now: Timestamp) -> Result<()> {
    let row = params![
        generation.id.to_string(),
        signed("a lease token", lease.token)?,
        &generation.offer.0,
        lease.worker.to_string(),
        now.0,
    ];
    sql.execute(
        "INSERT INTO attempts (generation, token, offer, worker, started_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        &row,
    )
    .map_err(StoreError::database("keep an attempt"))?;
    Ok(())
}

/// The attempt under this token has ended; `generation` is what became of it.
pub(crate) fn end(sql: &dyn Sql, generation: &Generation, token: u64, now: Timestamp) -> Result<()> {
    let outcome = match generation.status {
        Status::Succeeded(_) => "succeeded",
        Status::Failed(_) => "failed",
        Status::Canceled => "canceled",
        Status::Queued { .. } | Status::Running { .. } => "retried",
    };
    let row = params![
        generation.id.to_string(),
        signed("a lease token", token)?,
        now.0,
        outcome,
    ];
    // One that was begun by a version that kept no attempts is not there.
    sql.execute(
        "UPDATE attempts SET ended_at = ?3, outcome = ?4 WHERE generation = ?1 AND token = ?2",
        &row,
    )
    .map_err(StoreError::database("keep the end of an attempt"))?;
    Ok(())
}

/// The offer of a generation's first attempt that is remembered.
pub(crate) fn first_offer(sql: &dyn Sql, generation: &Generation) -> Result<OfferId> {
    let first = sql
        .first(
            "SELECT offer FROM attempts WHERE generation = ?1 ORDER BY token LIMIT 1",
            &params![generation.id.to_string()],
            |row| row.get(0),
        )
        .map_err(StoreError::database("look for the first attempt"))?;
    Ok(first.map_or_else(|| generation.offer.clone(), OfferId))
}

/// How many of the latest attempts the median is taken of.
const MEDIAN_OF: i64 = 51;

/// What waits, runs, and has ended since `since`, for each offer.
///
/// Each part is read by an index of what is queued, what runs, and what has ended lately; nothing looks through history.
pub(crate) fn figures(sql: &dyn Sql, since: Timestamp) -> Result<Vec<OfferFigures>> {
    let read = || -> sql::Result<Vec<OfferFigures>> {
        let mut offers = Offers::default();
        for id in sql.all("SELECT id FROM offers", &[], |row| row.get::<String>(0))? {
            offers.of(id);
        }
        // The oldest that waits is at the head of a lane, or among the delayed retries; both are far fewer than the queued.
        let queued = |row: &Row<'_>| Ok((row.get(0)?, row.get::<u64>(1)?, row.get::<Option<i64>>(2)?));
        let lanes = sql.all(
            "SELECT l.offer, CAST(sum(l.queued) AS BIGINT), min(
                    (SELECT g.created_at FROM generations g
                     WHERE g.account = l.account AND g.priority = l.priority AND g.offer = l.offer AND g.claimable = 1
                     ORDER BY g.position LIMIT 1))
             FROM lanes l WHERE l.queued > 0 /*pg AND l.waits */ GROUP BY l.offer",
            &[],
            queued,
        )?;
        let delayed = sql.all(
            "SELECT offer, count(*), min(created_at) FROM generations
             WHERE status = 'queued' AND claimable = 0 GROUP BY offer",
            &[],
            queued,
        )?;
        for (id, count, oldest) in lanes.into_iter().chain(delayed) {
            let figures = offers.of(id);
            figures.queued += count;
            let both = [figures.oldest_queued_at, oldest.map(Timestamp)];
            figures.oldest_queued_at = both.into_iter().flatten().min();
        }
        let running = sql.all(
            "SELECT offer, count(*) FROM generations WHERE status = 'running' GROUP BY offer",
            &[],
            |row| Ok((row.get(0)?, row.get::<u64>(1)?)),
        )?;
        for (id, count) in running {
            offers.of(id).running = count;
        }
        let ended = sql.all(
            "SELECT offer, outcome, count(*) FROM attempts WHERE ended_at > ?1 GROUP BY offer, outcome",
            &params![since.0],
            |row| Ok((row.get(0)?, row.get::<String>(1)?, row.get::<u64>(2)?)),
        )?;
        for (id, outcome, count) in ended {
            let figures = offers.of(id);
            match outcome.as_str() {
                "succeeded" => figures.succeeded = count,
                "failed" => figures.failed = count,
                "retried" => figures.retried = count,
                _ => {}
            }
        }
        for (id, figures) in &mut offers.0 {
            let mut work_ms = sql.all(
                "SELECT ended_at - started_at FROM attempts WHERE offer = ?1 AND outcome = 'succeeded'
                 ORDER BY ended_at DESC LIMIT ?2",
                &params![id, MEDIAN_OF],
                |row| row.get::<i64>(0),
            )?;
            work_ms.sort_unstable();
            let median = work_ms.get(work_ms.len() / 2).copied();
            // Two clocks may have written the two ends.
            figures.work_ms = median.map(|ms| u64::try_from(ms).unwrap_or(0));
        }
        Ok(offers.0.into_values().collect())
    };
    read().map_err(StoreError::database("measure the queue"))
}

/// Figures by the names of offers.
#[derive(Default)]
struct Offers(BTreeMap<String, OfferFigures>);

impl Offers {
    fn of(&mut self, id: String) -> &mut OfferFigures {
        let none = OfferFigures::none(OfferId(id.clone()));
        self.0.entry(id).or_insert(none)
    }
}

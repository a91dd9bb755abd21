//! Rows of workers, and of the offers that any of them has ever announced.

use std::collections::HashMap;

use kinora_domain::{Announcement, GenerationId, SeenOffer, SeenWorker, Timestamp, WorkerId, WorkerState};

use crate::{
    OldWorkers, Result, StoreError,
    bells::Rings,
    rows::worker as rows,
    sql::{self, Row, Sql, params, unreadable},
};

/// How old the memory of an offer may be before it is written again: every beat of every worker is more than it needs.
const OFFER_EVERY_MS: u64 = 60_000;

/// How many attempts, and how many buckets of requests, are forgotten in one transaction.
pub(crate) const FORGET_MAX: u64 = 512;

/// Keeps that a worker is there; what it is to do.
pub(crate) fn announce(
    sql: &dyn Sql,
    worker: &Announcement,
    state: WorkerState,
    now: Timestamp,
    rings: &mut Rings,
) -> Result<WorkerState> {
    let Announcement {
        id,
        name,
        version,
        offers,
        slots,
        hardware,
        started_at,
    } = worker;
    let before = self::state(sql, *id)?;
    let row = params![
        id.to_string(),
        name,
        version,
        rows::offers_to_json(offers),
        slots,
        rows::hardware_to_json(hardware),
        started_at.0,
        now.0,
        state.as_str(),
    ];
    let state = sql
        .one(
            "INSERT INTO workers (id, name, version, offers, slots, hardware, started_at, seen_at, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at,
                 state = CASE WHEN excluded.state = 'draining' THEN 'draining' ELSE workers.state END
             RETURNING state",
            &row,
            |row| row.one_of(&WorkerState::ALL, WorkerState::as_str, 0),
        )
        .map_err(StoreError::database("keep a worker"))?;
    rings.workers |= before != Some(state);

    // In one order everywhere: workers that announce the same offers wait for each other, and never in a circle.
    let mut offers: Vec<_> = offers.iter().collect();
    offers.sort_by(|a, b| a.offer.id.cmp(&b.offer.id));
    for announced in offers {
        let row = params![
            &announced.offer.id.0,
            rows::offer_to_json(announced),
            now.0,
            now.minus_ms(OFFER_EVERY_MS).0,
        ];
        sql.execute(
            "INSERT INTO offers (id, offer, seen_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET offer = excluded.offer, seen_at = excluded.seen_at
             WHERE offers.seen_at <= ?4",
            &row,
        )
        .map_err(StoreError::database("remember an offer"))?;
    }
    Ok(state)
}

/// A worker has ended.
pub(crate) fn take_leave(sql: &dyn Sql, id: WorkerId, rings: &mut Rings) -> Result<()> {
    let gone = sql
        .execute("DELETE FROM workers WHERE id = ?1", &params![id.to_string()])
        .map_err(StoreError::database("let a worker go"))?;
    rings.workers |= gone > 0;
    Ok(())
}

/// Tells workers, by id or name, what to do; tells how many there are.
pub(crate) fn tell(sql: &dyn Sql, name: &str, state: WorkerState, rings: &mut Rings) -> Result<u64> {
    let told = sql
        .execute(
            "UPDATE workers SET state = ?2 WHERE name = ?1 OR id = ?1",
            &params![name, state.as_str()],
        )
        .map_err(StoreError::database("tell workers what to do"))?;
    rings.workers |= told > 0;
    Ok(told)
}

/// What one worker is told to do.
pub(crate) fn state(sql: &dyn Sql, id: WorkerId) -> Result<Option<WorkerState>> {
    sql.first(
        "SELECT state FROM workers WHERE id = ?1",
        &params![id.to_string()],
        |row| row.one_of(&WorkerState::ALL, WorkerState::as_str, 0),
    )
    .map_err(StoreError::database("look for a worker"))
}

/// All workers, by name, with what they run.
pub(crate) fn all(sql: &dyn Sql) -> Result<Vec<SeenWorker>> {
    let mut running: HashMap<WorkerId, Vec<GenerationId>> = HashMap::new();
    let leases = sql
        .all(
            "SELECT lease_worker, id FROM generations WHERE status = 'running' ORDER BY id",
            &[],
            |row| Ok((row.parsed(0)?, row.parsed(1)?)),
        )
        .map_err(StoreError::database("list what runs"))?;
    for (worker, generation) in leases {
        running.entry(worker).or_default().push(generation);
    }
    let read = |row: &Row<'_>| -> sql::Result<SeenWorker> {
        Ok(SeenWorker {
            announcement: Announcement {
                id: row.parsed(0)?,
                name: row.get(1)?,
                version: row.get(2)?,
                offers: rows::offers_from_json(row.text(3)?).map_err(|problem| unreadable(3, problem))?,
                slots: row.get(4)?,
                hardware: rows::hardware_from_json(row.text(5)?).map_err(|problem| unreadable(5, problem))?,
                started_at: Timestamp(row.get(6)?),
            },
            seen_at: Timestamp(row.get(7)?),
            state: row.one_of(&WorkerState::ALL, WorkerState::as_str, 8)?,
            running: Vec::new(),
        })
    };
    let mut workers = sql
        .all(
            "SELECT id, name, version, offers, slots, hardware, started_at, seen_at, state FROM workers
             ORDER BY name, id",
            &[],
            read,
        )
        .map_err(StoreError::database("list workers"))?;
    for worker in &mut workers {
        worker.running = running.remove(&worker.announcement.id).unwrap_or_default();
    }
    Ok(workers)
}

/// All offers that are remembered, by name.
pub(crate) fn offers(sql: &dyn Sql) -> Result<Vec<SeenOffer>> {
    sql.all("SELECT offer, seen_at FROM offers ORDER BY id", &[], |row| {
        Ok(SeenOffer {
            announced: rows::offer_from_json(row.text(0)?).map_err(|problem| unreadable(0, problem))?,
            seen_at: Timestamp(row.get(1)?),
        })
    })
    .map_err(StoreError::database("list offers"))
}

/// Forgets what is old; tells the most rows that went from one table.
pub(crate) fn forget(sql: &dyn Sql, old: OldWorkers, rings: &mut Rings) -> Result<u64> {
    let OldWorkers {
        workers,
        offers,
        attempts,
        requests,
    } = old;
    let forget = || -> sql::Result<(u64, u64)> {
        let gone = sql.execute("DELETE FROM workers WHERE seen_at < ?1", &params![workers.0])?
            + sql.execute("DELETE FROM offers WHERE seen_at < ?1", &params![offers.0])?;
        let most = FORGET_MAX as i64;
        let ended = sql.execute(
            "DELETE FROM attempts WHERE (generation, token) IN
                 (SELECT generation, token FROM attempts WHERE ended_at < ?1 ORDER BY ended_at LIMIT ?2)",
            &params![attempts.0, most],
        )?;
        let full = sql.execute(
            "DELETE FROM rates WHERE full_at < ?1 AND (key, kind) IN
                 (SELECT key, kind FROM rates WHERE full_at < ?1 ORDER BY full_at LIMIT ?2)",
            &params![requests.0.saturating_mul(1000), most],
        )?;
        Ok((gone, ended.max(full)))
    };
    let (gone, most) = forget().map_err(StoreError::database("forget old workers"))?;
    rings.workers |= gone > 0;
    Ok(most)
}

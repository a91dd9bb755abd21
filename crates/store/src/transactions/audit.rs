//! The invariants of money and lifecycle, each as one query for what contradicts it.
//!
//! Every query yields the id of what is wrong and a sentence about it. They are run in one read transaction, so
//! that what they compare is of one moment. `%s` is the one placeholder that `format` has in every database.

use crate::{
    Finding, Result, StoreError,
    sql::{Dialect, Row, Sql},
};

/// An invariant and the query for its contradictions.
struct Invariant {
    name: &'static str,
    contradictions: &'static str,
}

/// All that must hold at any moment between two transactions.
const INVARIANTS: &[Invariant] = &[
    Invariant {
        name: "a generation has exactly one hold, of what it says it holds",
        contradictions: "
            SELECT g.id, format('%s holds; its row says %s + %s, the ledger %s + %s', count(DISTINCT e.position),
                                g.held_subscription, g.held_permanent,
                                -coalesce(sum(l.amount) FILTER (WHERE r.bucket = 'subscription'), 0),
                                -coalesce(sum(l.amount) FILTER (WHERE r.bucket = 'permanent'), 0))
            FROM generations g LEFT JOIN ledger_entries e ON e.generation = g.id AND e.type = 'hold'
                 LEFT JOIN ledger_lines l ON l.entry = e.position LEFT JOIN grants r ON r.id = l.grant_id
            GROUP BY g.id
            HAVING count(DISTINCT e.position) <> 1
                OR g.held_subscription <> -coalesce(sum(l.amount) FILTER (WHERE r.bucket = 'subscription'), 0)
                OR g.held_permanent <> -coalesce(sum(l.amount) FILTER (WHERE r.bucket = 'permanent'), 0)",
    },
    Invariant {
        name: "a terminal generation has exactly one capture or release, a live one neither",
        contradictions: "
            SELECT g.id, format('%s, with %s captures and %s releases', g.status,
                                count(*) FILTER (WHERE e.type = 'capture'), count(*) FILTER (WHERE e.type = 'release'))
            FROM generations g LEFT JOIN ledger_entries e ON e.generation = g.id AND e.type IN ('capture', 'release')
            GROUP BY g.id
            HAVING count(*) FILTER (WHERE e.type = 'capture') <> CASE WHEN g.status = 'succeeded' THEN 1 ELSE 0 END
                OR count(*) FILTER (WHERE e.type = 'release')
                   <> CASE WHEN g.status IN ('failed', 'canceled') THEN 1 ELSE 0 END",
    },
    Invariant {
        name: "a release gives back what the hold took, grant by grant",
        contradictions: "
            SELECT e.generation, format('grant %s is off by %s', l.grant_id, sum(l.amount))
            FROM ledger_entries e JOIN ledger_lines l ON l.entry = e.position
            WHERE e.type IN ('hold', 'release')
              AND e.generation IN (SELECT generation FROM ledger_entries WHERE type = 'release')
            GROUP BY e.generation, l.grant_id HAVING sum(l.amount) <> 0",
    },
    Invariant {
        name: "a capture leaves what was charged, and gives back no more than the hold took",
        contradictions: "
            SELECT g.id, format('held %s + %s, charged %s + %s, and the ledger kept %s',
                                g.held_subscription, g.held_permanent, g.charged_subscription, g.charged_permanent,
                                -coalesce(sum(l.amount), 0))
            FROM generations g JOIN ledger_entries e ON e.generation = g.id
                 LEFT JOIN ledger_lines l ON l.entry = e.position LEFT JOIN grants r ON r.id = l.grant_id
            WHERE g.status = 'succeeded'
            GROUP BY g.id
            HAVING g.charged_subscription <> -coalesce(sum(l.amount) FILTER (WHERE r.bucket = 'subscription'), 0)
                OR g.charged_permanent <> -coalesce(sum(l.amount) FILTER (WHERE r.bucket = 'permanent'), 0)
                OR g.charged_subscription > g.held_subscription OR g.charged_permanent > g.held_permanent
            UNION ALL
            SELECT e.generation, format('grant %s got back %s more than was taken', l.grant_id, sum(l.amount))
            FROM ledger_entries e JOIN ledger_lines l ON l.entry = e.position
            WHERE e.type IN ('hold', 'capture')
            GROUP BY e.generation, l.grant_id HAVING sum(l.amount) > 0",
    },
    Invariant {
        name: "a hold only takes, and what gives only gives",
        contradictions: "
            SELECT e.id, format('%s of %s on grant %s', e.type, l.amount, l.grant_id)
            FROM ledger_entries e JOIN ledger_lines l ON l.entry = e.position
            WHERE (e.type IN ('hold', 'expire') AND l.amount >= 0)
               OR (e.type IN ('grant', 'purchase', 'adjust') AND l.amount < 0)
               OR (e.type IN ('capture', 'release') AND l.amount <= 0)",
    },
    Invariant {
        name: "an entry moves the credits of its own account",
        contradictions: "
            SELECT e.id, format('an entry of %s on grant %s of %s', e.account, g.id, g.account)
            FROM ledger_entries e JOIN ledger_lines l ON l.entry = e.position JOIN grants g ON g.id = l.grant_id
            WHERE g.account <> e.account
            UNION ALL
            SELECT e.id, format('an entry of %s for generation %s of %s', e.account, g.id, g.account)
            FROM ledger_entries e JOIN generations g ON g.id = e.generation WHERE g.account <> e.account",
    },
    Invariant {
        name: "a grant is given exactly once, by the entry it names",
        contradictions: "
            SELECT g.id, format('%s credits, given %s times with %s', g.given, count(e.position),
                                coalesce(sum(l.amount) FILTER (WHERE e.id = g.entry), 0))
            FROM grants g LEFT JOIN ledger_lines l ON l.grant_id = g.id
                 LEFT JOIN ledger_entries e ON e.position = l.entry AND e.type IN ('grant', 'purchase', 'adjust')
            GROUP BY g.id
            HAVING count(e.position) <> 1 OR g.given <> coalesce(sum(l.amount) FILTER (WHERE e.id = g.entry), -1)",
    },
    Invariant {
        name: "a grant's balance is the sum of its lines, and never negative at any time",
        contradictions: "
            SELECT g.id, format('%s are said to be available, its lines come to %s', g.available,
                                coalesce(sum(l.amount), 0))
            FROM grants g LEFT JOIN ledger_lines l ON l.grant_id = g.id
            GROUP BY g.id HAVING g.available <> coalesce(sum(l.amount), 0) OR g.available < 0
            UNION ALL
            SELECT grant_id, format('%s were available at some time', min(balance))
            FROM (SELECT grant_id, sum(amount) OVER (PARTITION BY grant_id ORDER BY entry, ordinal) AS balance
                  FROM ledger_lines) AS story
            WHERE balance < 0 GROUP BY grant_id",
    },
    Invariant {
        name: "an account counts what it has",
        contradictions: "
            SELECT a.id, format('said: %s queued, %s running, %s + %s held; found: %s, %s, %s + %s',
                                a.queued, a.running, a.held_subscription, a.held_permanent,
                                count(*) FILTER (WHERE g.status = 'queued'),
                                count(*) FILTER (WHERE g.status = 'running'),
                                coalesce(sum(g.held_subscription), 0), coalesce(sum(g.held_permanent), 0))
            FROM accounts a LEFT JOIN generations g ON g.account = a.id AND g.finished_at IS NULL
            GROUP BY a.id
            HAVING a.queued <> count(*) FILTER (WHERE g.status = 'queued')
                OR a.running <> count(*) FILTER (WHERE g.status = 'running')
                OR a.held_subscription <> coalesce(sum(g.held_subscription), 0)
                OR a.held_permanent <> coalesce(sum(g.held_permanent), 0)",
    },
    Invariant {
        name: "a lane counts its claimable generations",
        contradictions: "
            SELECT account, format('offer %s at priority %s: %s said, %s found', offer, priority,
                                   sum(said), sum(found))
            FROM (SELECT account, offer, priority, queued AS said, 0 AS found FROM lanes
                  UNION ALL
                  SELECT account, offer, priority, 0, 1 FROM generations WHERE claimable = 1) AS counts
            GROUP BY account, offer, priority HAVING sum(said) <> sum(found)
            UNION ALL
            SELECT account, format('turn %s was never given', turn) FROM lanes
            WHERE turn > (SELECT value FROM counters WHERE name = 'turn')",
    },
    Invariant {
        name: "events lead from acceptance to the present phase, and never back",
        contradictions: "
            SELECT g.id, format('%s events up to %s of %s, the first %s, the last %s, now %s', count(e.seq),
                                coalesce(max(e.seq), 0), g.event_seq, min(e.phase) FILTER (WHERE e.seq = 1),
                                (SELECT phase FROM status_events WHERE generation = g.id ORDER BY seq DESC LIMIT 1),
                                g.phase)
            FROM generations g LEFT JOIN status_events e ON e.generation = g.id
            GROUP BY g.id
            HAVING min(e.phase) FILTER (WHERE e.seq = 1) IS DISTINCT FROM 'queued'
                OR max(e.seq) > g.event_seq
                OR (SELECT phase FROM status_events WHERE generation = g.id ORDER BY seq DESC LIMIT 1) IS DISTINCT FROM g.phase
            UNION ALL
            SELECT generation, format('event %s leads from %s (%s) to %s (%s)', seq, before, fraction_before, phase, fraction)
            FROM (SELECT generation, seq, phase, fraction,
                         lag(phase) OVER story AS before, lag(fraction) OVER story AS fraction_before
                  FROM status_events WINDOW story AS (PARTITION BY generation ORDER BY seq)) AS steps
            WHERE before IN ('succeeded', 'failed', 'canceled') OR (before = 'running' AND phase = 'queued')
               OR fraction < fraction_before",
    },
    Invariant {
        name: "a generation says whether it has media",
        contradictions: "
            SELECT g.id, format('has_media is %s, media_removed is %s, and %s blobs are referred to', g.has_media,
                                g.media_removed, count(b.role))
            FROM generations g LEFT JOIN blob_refs b ON b.generation = g.id
            GROUP BY g.id HAVING CASE WHEN count(b.role) > 0 THEN 1 ELSE 0 END <> g.has_media",
    },
    Invariant {
        name: "an idempotency key leads to a generation of its account",
        contradictions: "
            SELECT i.generation, format('found by key %s of %s', i.key, i.account)
            FROM idempotency i LEFT JOIN generations g ON g.id = i.generation AND g.account = i.account
            WHERE g.id IS NULL",
    },
];

/// What SQLite checks by itself when it is asked to.
const SQLITE_FILE: Invariant = Invariant {
    name: "the database file is sound",
    contradictions: "
        SELECT 'kinora.db', integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'
        UNION ALL
        SELECT \"table\", format('row %s refers to a missing row of %s', rowid, parent)
        FROM pragma_foreign_key_check",
};

/// Everything in the books that contradicts the invariants.
pub(crate) fn audit(sql: &dyn Sql) -> Result<Vec<Finding>> {
    let file = match sql.dialect() {
        Dialect::Sqlite => Some(&SQLITE_FILE),
        // PostgreSQL's tables are of more than one file, and whole as far as its own tools can tell.
        Dialect::Postgres => None,
    };
    let mut findings = Vec::new();
    for Invariant { name, contradictions } in file.into_iter().chain(INVARIANTS) {
        let finding = |row: &Row<'_>| {
            Ok(Finding {
                invariant: (*name).to_owned(),
                subject: row.get::<Option<String>>(0)?.unwrap_or_default(),
                detail: row.get::<Option<String>>(1)?.unwrap_or_default(),
            })
        };
        let found = sql
            .all(contradictions, &[], finding)
            .map_err(StoreError::database("audit the books"))?;
        findings.extend(found);
    }
    Ok(findings)
}

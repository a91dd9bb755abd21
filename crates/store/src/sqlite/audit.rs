//! The invariants of money and lifecycle, each as one query for what contradicts it.
//!
//! Every query yields the id of what is wrong and a sentence about it. They are run in one read transaction, so
//! that what they compare is of one moment.

use rusqlite::Connection;

use crate::{Finding, Result, StoreError};

/// An invariant and the query for its contradictions.
struct Invariant {
    name: &'static str,
    contradictions: &'static str,
}

/// All that must hold at any moment between two transactions.
const INVARIANTS: &[Invariant] = &[
    Invariant {
        name: "the database file is sound",
        contradictions: "
            SELECT 'kinora.db', integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'
            UNION ALL
            SELECT \"table\", format('row %s refers to a missing row of %s', rowid, parent)
            FROM pragma_foreign_key_check",
    },
    Invariant {
        name: "a generation has exactly one hold, of what it says it holds",
        contradictions: "
            SELECT g.id, format('%d holds; its row says %d + %d, the ledger %d + %d', count(DISTINCT e.position),
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
            SELECT g.id, format('%s, with %d captures and %d releases', g.status,
                                count(*) FILTER (WHERE e.type = 'capture'), count(*) FILTER (WHERE e.type = 'release'))
            FROM generations g LEFT JOIN ledger_entries e ON e.generation = g.id AND e.type IN ('capture', 'release')
            GROUP BY g.id
            HAVING count(*) FILTER (WHERE e.type = 'capture') <> (g.status = 'succeeded')
                OR count(*) FILTER (WHERE e.type = 'release') <> (g.status IN ('failed', 'canceled'))",
    },
    Invariant {
        name: "a release gives back what the hold took, grant by grant",
        contradictions: "
            SELECT e.generation, format('grant %s is off by %d', l.grant_id, sum(l.amount))
            FROM ledger_entries e JOIN ledger_lines l ON l.entry = e.position
            WHERE e.type IN ('hold', 'release')
              AND EXISTS (SELECT 1 FROM ledger_entries r WHERE r.generation = e.generation AND r.type = 'release')
            GROUP BY e.generation, l.grant_id HAVING sum(l.amount) <> 0",
    },
    Invariant {
        name: "a capture leaves what was charged, and gives back no more than the hold took",
        contradictions: "
            SELECT g.id, format('held %d + %d, charged %d + %d, and the ledger kept %d',
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
            SELECT e.generation, format('grant %s got back %d more than was taken', l.grant_id, sum(l.amount))
            FROM ledger_entries e JOIN ledger_lines l ON l.entry = e.position
            WHERE e.type IN ('hold', 'capture')
            GROUP BY e.generation, l.grant_id HAVING sum(l.amount) > 0",
    },
    Invariant {
        name: "a hold only takes, and what gives only gives",
        contradictions: "
            SELECT e.id, format('%s of %d on grant %s', e.type, l.amount, l.grant_id)
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
            SELECT g.id, format('%d credits, given %d times with %d', g.given, count(e.position),
                                coalesce(sum(l.amount) FILTER (WHERE e.id = g.entry), 0))
            FROM grants g LEFT JOIN ledger_lines l ON l.grant_id = g.id
                 LEFT JOIN ledger_entries e ON e.position = l.entry AND e.type IN ('grant', 'purchase', 'adjust')
            GROUP BY g.id
            HAVING count(e.position) <> 1 OR g.given <> coalesce(sum(l.amount) FILTER (WHERE e.id = g.entry), -1)",
    },
    Invariant {
        name: "a grant's balance is the sum of its lines, and never negative at any time",
        contradictions: "
            SELECT g.id, format('%d are said to be available, its lines come to %d', g.available,
                                coalesce(sum(l.amount), 0))
            FROM grants g LEFT JOIN ledger_lines l ON l.grant_id = g.id
            GROUP BY g.id HAVING g.available <> coalesce(sum(l.amount), 0) OR g.available < 0
            UNION ALL
            SELECT grant_id, format('%d were available after entry %d', min(balance), entry)
            FROM (SELECT grant_id, entry,
                         sum(amount) OVER (PARTITION BY grant_id ORDER BY entry, ordinal) AS balance
                  FROM ledger_lines)
            WHERE balance < 0 GROUP BY grant_id",
    },
    Invariant {
        name: "an account counts what it has",
        contradictions: "
            SELECT a.id, format('said: %d queued, %d running, %d + %d held; found: %d, %d, %d + %d',
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
            SELECT account, format('offer %s at priority %d: %d said, %d found', offer, priority,
                                   sum(said), sum(found))
            FROM (SELECT account, offer, priority, queued AS said, 0 AS found FROM lanes
                  UNION ALL
                  SELECT account, offer, priority, 0, 1 FROM generations WHERE claimable = 1)
            GROUP BY account, offer, priority HAVING sum(said) <> sum(found)
            UNION ALL
            SELECT account, format('turn %d was never given', turn) FROM lanes
            WHERE turn > (SELECT value FROM counters WHERE name = 'turn')",
    },
    Invariant {
        name: "events lead from acceptance to the present phase, and never back",
        contradictions: "
            SELECT g.id, format('%d events up to %d of %d, the first %s, the last %s, now %s', count(e.seq),
                                coalesce(max(e.seq), 0), g.event_seq, min(e.phase) FILTER (WHERE e.seq = 1),
                                (SELECT phase FROM status_events WHERE generation = g.id ORDER BY seq DESC LIMIT 1),
                                g.phase)
            FROM generations g LEFT JOIN status_events e ON e.generation = g.id
            GROUP BY g.id
            HAVING min(e.phase) FILTER (WHERE e.seq = 1) IS NOT 'queued'
                OR max(e.seq) > g.event_seq
                OR (SELECT phase FROM status_events WHERE generation = g.id ORDER BY seq DESC LIMIT 1) IS NOT g.phase
            UNION ALL
            SELECT generation, format('event %d leads from %s (%g) to %s (%g)', seq, before, fraction_before, phase, fraction)
            FROM (SELECT generation, seq, phase, fraction,
                         lag(phase) OVER story AS before, lag(fraction) OVER story AS fraction_before
                  FROM status_events WINDOW story AS (PARTITION BY generation ORDER BY seq))
            WHERE before IN ('succeeded', 'failed', 'canceled') OR (before = 'running' AND phase = 'queued')
               OR fraction < fraction_before",
    },
    Invariant {
        name: "a generation says whether it has media",
        contradictions: "
            SELECT g.id, format('has_media is %d, media_removed is %d, and %d blobs are referred to', g.has_media,
                                g.media_removed, count(b.role))
            FROM generations g LEFT JOIN blob_refs b ON b.generation = g.id
            GROUP BY g.id HAVING (count(b.role) > 0) <> g.has_media",
    },
    Invariant {
        name: "an idempotency key leads to a generation of its account",
        contradictions: "
            SELECT i.generation, format('found by key %s of %s', i.key, i.account)
            FROM idempotency i LEFT JOIN generations g ON g.id = i.generation AND g.account = i.account
            WHERE g.id IS NULL",
    },
];

/// Everything in the books that contradicts the invariants.
pub(super) fn audit(connection: &Connection) -> Result<Vec<Finding>> {
    let one_moment = connection
        .unchecked_transaction()
        .map_err(StoreError::database("begin an audit"))?;
    let mut findings = Vec::new();
    for Invariant { name, contradictions } in INVARIANTS {
        let found: Vec<Finding> = one_moment
            .prepare(contradictions)
            .and_then(|mut select| {
                let finding = |row: &rusqlite::Row<'_>| {
                    Ok(Finding {
                        invariant: (*name).to_owned(),
                        subject: row.get::<_, Option<String>>(0)?.unwrap_or_default(),
                        detail: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
                    })
                };
                select.query_map([], finding)?.collect()
            })
            .map_err(StoreError::database("audit the books"))?;
        findings.extend(found);
    }
    Ok(findings)
}

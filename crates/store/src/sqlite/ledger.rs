//! Entries of the ledger: what the domain's arithmetic says, written down.
//!
//! [`record`] is the only function that appends, and keeps the cached balance of each grant in step.

use kinora_domain::{
    AccountId, Bucket, Credits, EntryId, Generation, GenerationId, Split, Timestamp,
    ledger::{self, EntryType, Grant, Line},
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::generations::{id_in, one_of, signed};
use crate::{Balance, NewGrant, Result, StoreError};

const BUCKETS: [Bucket; 2] = [Bucket::Subscription, Bucket::Permanent];

/// The most credits of one grant: exact as a number of JSON, and thousands of them do not overflow a sum.
const GRANT_MAX: Credits = Credits(1_000_000_000_000_000);

/// One entry before it is kept.
pub(super) struct NewEntry<'a> {
    pub account: AccountId,
    pub entry_type: EntryType,
    pub generation: Option<GenerationId>,
    pub lines: &'a [Line],
    pub note: Option<&'a str>,
}

/// Appends an entry and moves what its lines say.
pub(super) fn record(connection: &Connection, entry: &NewEntry<'_>, now: Timestamp) -> Result<()> {
    record_as(connection, EntryId::new(now, rand::random()), entry, now)
}

fn record_as(connection: &Connection, id: EntryId, entry: &NewEntry<'_>, now: Timestamp) -> Result<()> {
    let NewEntry {
        account,
        entry_type,
        generation,
        lines,
        note,
    } = entry;
    let row = params![
        id.to_string(),
        account.to_string(),
        entry_type.as_str(),
        generation.map(|id| id.to_string()),
        note,
        now.0,
    ];
    let append = || -> rusqlite::Result<()> {
        connection
            .prepare_cached(
                "INSERT INTO ledger_entries (id, account, type, generation, note, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(row)?;
        let position = connection.last_insert_rowid();
        let mut insert = connection.prepare_cached(
            "INSERT INTO ledger_lines (entry, ordinal, grant_id, amount) VALUES (?1, ?2, ?3, ?4)",
        )?;
        let mut update =
            connection.prepare_cached("UPDATE grants SET available = available + ?2 WHERE id = ?1")?;
        for (
            ordinal,
            Line {
                grant,
                bucket: _,
                amount,
            },
        ) in lines.iter().enumerate()
        {
            let grant = grant.to_string();
            insert.execute(params![position, ordinal as i64, grant, amount])?;
            update.execute(params![grant, amount])?;
        }
        Ok(())
    };
    append().map_err(StoreError::database("append to the ledger"))
}

/// Gives credits. A grant that was given before, on the same terms, is not given again.
pub(super) fn grant(connection: &Connection, grant: &NewGrant, now: Timestamp) -> Result<EntryId> {
    let NewGrant {
        account,
        id,
        entry_type,
        bucket,
        credits,
        expires_at,
        note,
    } = grant;
    match entry_type {
        EntryType::Grant | EntryType::Purchase | EntryType::Adjust => {}
        EntryType::Hold | EntryType::Capture | EntryType::Release | EntryType::Expire => {
            return Err(StoreError::NotAGrant(*entry_type));
        }
    }
    if super::accounts::by_id(connection, *account)?.is_none() {
        return Err(StoreError::UnknownAccount(*account));
    }
    if *credits > GRANT_MAX {
        let (what, value) = ("a grant", credits.0);
        return Err(StoreError::TooLarge { what, value });
    }
    let amount = signed("a grant", credits.0)?;
    if let Some(entry) = given(connection, grant, amount)? {
        return Ok(entry);
    }
    let entry_id = EntryId::new(now, rand::random());
    let row = params![
        id.to_string(),
        account.to_string(),
        bucket.as_str(),
        expires_at.map(|at| at.0),
        amount,
        entry_id.to_string(),
    ];
    connection
        .prepare_cached(
            "INSERT INTO grants (id, account, bucket, expires_at, given, entry, available)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)",
        )
        .and_then(|mut insert| insert.execute(row))
        .map_err(StoreError::database("keep a grant"))?;
    let line = Line {
        grant: *id,
        bucket: *bucket,
        amount,
    };
    let entry = NewEntry {
        account: *account,
        entry_type: *entry_type,
        generation: None,
        lines: &[line],
        note: note.as_deref(),
    };
    record_as(connection, entry_id, &entry, now)?;
    Ok(entry_id)
}

/// The entry that gave a grant, if it was given before on these terms.
fn given(connection: &Connection, grant: &NewGrant, amount: i64) -> Result<Option<EntryId>> {
    let read = |row: &Row<'_>| {
        let terms = (
            id_in(row, 1)?,
            bucket_in(row, 2)?,
            row.get::<_, Option<i64>>(3)?.map(Timestamp),
            row.get(4)?,
            one_of(&EntryType::ALL, EntryType::as_str, row, 5)?,
        );
        Ok((id_in(row, 0)?, terms))
    };
    let first: Option<(EntryId, _)> = connection
        .prepare_cached(
            "SELECT g.entry, g.account, g.bucket, g.expires_at, g.given, e.type
             FROM grants g JOIN ledger_entries e ON e.id = g.entry WHERE g.id = ?1",
        )
        .and_then(|mut select| select.query_row([grant.id.to_string()], read).optional())
        .map_err(StoreError::database("look for a grant"))?;
    let same = (
        grant.account,
        grant.bucket,
        grant.expires_at,
        amount,
        grant.entry_type,
    );
    match first {
        None => Ok(None),
        Some((entry, terms)) if terms == same => Ok(Some(entry)),
        Some(_) => Err(StoreError::GrantReused(grant.id)),
    }
}

/// What of an account's grants is not yet spent, ended ones included.
pub(super) fn grants(connection: &Connection, account: AccountId) -> Result<Vec<Grant>> {
    let read = |row: &Row<'_>| {
        Ok(Grant {
            id: id_in(row, 0)?,
            bucket: bucket_in(row, 1)?,
            available: row.get(2)?,
            expires_at: row.get::<_, Option<i64>>(3)?.map(Timestamp),
        })
    };
    connection
        .prepare_cached(
            "SELECT id, bucket, available, expires_at FROM grants WHERE account = ?1 AND available > 0",
        )
        .and_then(|mut select| select.query_map([account.to_string()], read)?.collect())
        .map_err(StoreError::database("read grants"))
}

/// Turns a generation's hold into a charge of at most `charged`; returns what was charged.
pub(super) fn capture(
    connection: &Connection,
    generation: &Generation,
    charged: Credits,
    now: Timestamp,
) -> Result<Split> {
    let lines = ledger::capture(&hold_of(connection, generation.id)?, charged);
    settle(connection, generation, EntryType::Capture, &lines, now)?;
    Ok(generation.held + ledger::total(&lines).negated())
}

/// Gives a generation's hold back.
pub(super) fn release(connection: &Connection, generation: &Generation, now: Timestamp) -> Result<()> {
    let lines = ledger::release(&hold_of(connection, generation.id)?);
    settle(connection, generation, EntryType::Release, &lines, now)
}

fn settle(
    connection: &Connection,
    generation: &Generation,
    entry_type: EntryType,
    lines: &[Line],
    now: Timestamp,
) -> Result<()> {
    let entry = NewEntry {
        account: generation.account,
        entry_type,
        generation: Some(generation.id),
        lines,
        note: None,
    };
    record(connection, &entry, now)?;
    // What came back to a grant that has ended meanwhile is lost at once.
    if !lines.is_empty() {
        expire_due(connection, Some(generation.account), now)?;
    }
    Ok(())
}

/// The lines of a generation's hold, in the order in which they were taken.
fn hold_of(connection: &Connection, id: GenerationId) -> Result<Vec<Line>> {
    let read = |row: &Row<'_>| {
        Ok(Line {
            grant: id_in(row, 0)?,
            bucket: bucket_in(row, 1)?,
            amount: row.get(2)?,
        })
    };
    connection
        .prepare_cached(
            "SELECT l.grant_id, g.bucket, l.amount
             FROM ledger_entries e JOIN ledger_lines l ON l.entry = e.position JOIN grants g ON g.id = l.grant_id
             WHERE e.generation = ?1 AND e.type = 'hold' ORDER BY l.ordinal",
        )
        .and_then(|mut select| select.query_map([id.to_string()], read)?.collect())
        .map_err(StoreError::database("read a hold"))
}

/// Writes off what is left of the grants that have ended, of one account or of all; tells how many.
pub(super) fn expire_due(connection: &Connection, account: Option<AccountId>, now: Timestamp) -> Result<u64> {
    let read = |row: &Row<'_>| {
        let line = Line {
            grant: id_in(row, 0)?,
            bucket: bucket_in(row, 2)?,
            amount: -row.get::<_, i64>(3)?,
        };
        Ok((id_in::<AccountId>(row, 1)?, line))
    };
    let select = match account {
        Some(_) => {
            "SELECT id, account, bucket, available FROM grants
             WHERE available > 0 AND account = ?2 AND expires_at <= ?1"
        }
        None => {
            "SELECT id, account, bucket, available FROM grants
             WHERE available > 0 AND ?2 IS NULL AND expires_at IS NOT NULL AND expires_at <= ?1"
        }
    };
    let due: Vec<(AccountId, Line)> = connection
        .prepare_cached(select)
        .and_then(|mut select| {
            let parameters = params![now.0, account.map(|id| id.to_string())];
            select.query_map(parameters, read)?.collect()
        })
        .map_err(StoreError::database("look for ended grants"))?;
    for (account, line) in &due {
        let entry = NewEntry {
            account: *account,
            entry_type: EntryType::Expire,
            generation: None,
            lines: &[*line],
            note: None,
        };
        record(connection, &entry, now)?;
    }
    Ok(due.len() as u64)
}

/// What an account can spend and what it has set aside.
pub(super) fn balance(connection: &Connection, account: AccountId, now: Timestamp) -> Result<Balance> {
    let available = ledger::available(&grants(connection, account)?, now);
    let read = |row: &Row<'_>| {
        Ok(Split {
            subscription: row.get(0)?,
            permanent: row.get(1)?,
        })
    };
    let held = connection
        .prepare_cached("SELECT held_subscription, held_permanent FROM accounts WHERE id = ?1")
        .and_then(|mut select| select.query_row([account.to_string()], read).optional())
        .map_err(StoreError::database("read what is held"))?
        .unwrap_or(Split::ZERO);
    Ok(Balance { available, held })
}

fn bucket_in(row: &Row<'_>, column: usize) -> rusqlite::Result<Bucket> {
    one_of(&BUCKETS, Bucket::as_str, row, column)
}

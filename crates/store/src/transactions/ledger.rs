//! Entries of the ledger: what the domain's arithmetic says, written down.
//!
//! [`record`] is the only function that appends, and keeps the cached balance of each grant in step.

use kinora_domain::{
    AccountId, Bucket, Credits, EntryId, Generation, GenerationId, Split, Timestamp,
    ledger::{self, EntryType, Grant, Line},
};

use super::{accounts, generations::signed};
use crate::{
    Balance, NewGrant, Result, StoreError,
    sql::{self, Row, Sql, params},
};

const BUCKETS: [Bucket; 2] = [Bucket::Subscription, Bucket::Permanent];

/// The most credits of one grant: exact as a number of JSON, and thousands of them do not overflow a sum.
const GRANT_MAX: Credits = Credits(1_000_000_000_000_000);

/// One entry before it is kept.
pub(crate) struct NewEntry<'a> {
    pub account: AccountId,
    pub entry_type: EntryType,
    pub generation: Option<GenerationId>,
    pub lines: &'a [Line],
    pub note: Option<&'a str>,
}

/// Appends an entry and moves what its lines say.
pub(crate) fn record(sql: &dyn Sql, entry: &NewEntry<'_>, now: Timestamp) -> Result<()> {
    record_as(sql, EntryId::new(now, rand::random()), entry, now)
}

fn record_as(sql: &dyn Sql, id: EntryId, entry: &NewEntry<'_>, now: Timestamp) -> Result<()> {
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
        *note,
        now.0,
    ];
    let append = || -> sql::Result<()> {
        let position: i64 = sql.one(
            "INSERT INTO ledger_entries (id, account, type, generation, note, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING position",
            &row,
            |row| row.get(0),
        )?;
        for (ordinal, line) in (0i64..).zip(*lines) {
            let Line {
                grant,
                bucket: _,
                amount,
            } = line;
            let grant = grant.to_string();
            sql.execute(
                "INSERT INTO ledger_lines (entry, ordinal, grant_id, amount) VALUES (?1, ?2, ?3, ?4)",
                &params![position, ordinal, &grant, amount],
            )?;
            sql.execute(
                "UPDATE grants SET available = available + ?2 WHERE id = ?1",
                &params![&grant, amount],
            )?;
        }
        Ok(())
    };
    append().map_err(StoreError::database("append to the ledger"))
}

/// Gives credits. A grant that was given before, on the same terms, is not given again.
pub(crate) fn grant(sql: &dyn Sql, grant: &NewGrant, now: Timestamp) -> Result<EntryId> {
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
    accounts::lock(sql, *account)?;
    if accounts::by_id(sql, *account)?.is_none() {
        return Err(StoreError::UnknownAccount(*account));
    }
    if *credits > GRANT_MAX {
        let (what, value) = ("a grant", credits.0);
        return Err(StoreError::TooLarge { what, value });
    }
    let amount = signed("a grant", credits.0)?;
    if let Some(entry) = given(sql, grant, amount)? {
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
    let kept = sql
        .execute(
            "INSERT INTO grants (id, account, bucket, expires_at, given, entry, available)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0) ON CONFLICT (id) DO NOTHING",
            &row,
        )
        .map_err(StoreError::database("keep a grant"))?;
    if kept == 0 {
        // Somebody has just used the id for another account: for this one it was looked for under the lock.
        return Err(StoreError::GrantReused(*id));
    }
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
    record_as(sql, entry_id, &entry, now)?;
    Ok(entry_id)
}

/// The entry that gave a grant, if it was given before on these terms.
fn given(sql: &dyn Sql, grant: &NewGrant, amount: i64) -> Result<Option<EntryId>> {
    let read = |row: &Row<'_>| {
        let terms = (
            row.parsed(1)?,
            row.one_of(&BUCKETS, Bucket::as_str, 2)?,
            row.get::<Option<i64>>(3)?.map(Timestamp),
            row.get(4)?,
            row.one_of(&EntryType::ALL, EntryType::as_str, 5)?,
        );
        Ok((row.parsed(0)?, terms))
    };
    let first: Option<(EntryId, _)> = sql
        .first(
            "SELECT g.entry, g.account, g.bucket, g.expires_at, g.given, e.type
             FROM grants g JOIN ledger_entries e ON e.id = g.entry WHERE g.id = ?1",
            &params![grant.id.to_string()],
            read,
        )
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
fn grants(sql: &dyn Sql, account: AccountId) -> Result<Vec<Grant>> {
    let read = |row: &Row<'_>| {
        Ok(Grant {
            id: row.parsed(0)?,
            bucket: row.one_of(&BUCKETS, Bucket::as_str, 1)?,
            available: row.get(2)?,
            expires_at: row.get::<Option<i64>>(3)?.map(Timestamp),
        })
    };
    sql.all(
        "SELECT id, bucket, available, expires_at FROM grants WHERE account = ?1 AND available > 0 /*pg AND is_left */",
        &params![account.to_string()],
        read,
    )
    .map_err(StoreError::database("read grants"))
}

/// What of an account's grants can be spent, once what is left of those that have ended is written off.
pub(crate) fn live_grants(sql: &dyn Sql, account: AccountId, now: Timestamp) -> Result<Vec<Grant>> {
    let unspent = grants(sql, account)?;
    if unspent
        .iter()
        .all(|grant| grant.expires_at.is_none_or(|end| end > now))
    {
        return Ok(unspent);
    }
    expire_due(sql, account, now)?;
    grants(sql, account)
}

/// Turns a generation's hold into a charge of at most `charged`; returns what was charged.
pub(crate) fn capture(
    sql: &dyn Sql,
    generation: &Generation,
    charged: Credits,
    now: Timestamp,
) -> Result<Split> {
    let lines = ledger::capture(&hold_of(sql, generation.id)?, charged);
    settle(sql, generation, EntryType::Capture, &lines, now)?;
    Ok(generation.held + ledger::total(&lines).negated())
}

/// Gives a generation's hold back.
pub(crate) fn release(sql: &dyn Sql, generation: &Generation, now: Timestamp) -> Result<()> {
    let lines = ledger::release(&hold_of(sql, generation.id)?);
    settle(sql, generation, EntryType::Release, &lines, now)
}

fn settle(
    sql: &dyn Sql,
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
    record(sql, &entry, now)?;
    // What came back to a grant that has ended meanwhile is lost at once.
    if !lines.is_empty() {
        expire_due(sql, generation.account, now)?;
    }
    Ok(())
}

/// The lines of a generation's hold, in the order in which they were taken.
fn hold_of(sql: &dyn Sql, id: GenerationId) -> Result<Vec<Line>> {
    let read = |row: &Row<'_>| {
        Ok(Line {
            grant: row.parsed(0)?,
            bucket: row.one_of(&BUCKETS, Bucket::as_str, 1)?,
            amount: row.get(2)?,
        })
    };
    sql.all("SELECT l.grant_id, g.bucket, l.amount
             FROM ledger_entries e JOIN ledger_lines l ON l.entry = e.position JOIN grants g ON g.id = l.grant_id
             WHERE e.generation = ?1 AND e.type = 'hold' ORDER BY l.ordinal", &params![id.to_string()], read)
        .map_err(StoreError::database("read a hold"))
}

/// Writes off what is left of the grants of an account that have ended; tells how many.
pub(crate) fn expire_due(sql: &dyn Sql, account: AccountId, now: Timestamp) -> Result<u64> {
    let read = |row: &Row<'_>| {
        Ok(Line {
            grant: row.parsed(0)?,
            bucket: row.one_of(&BUCKETS, Bucket::as_str, 1)?,
            amount: -row.get::<i64>(2)?,
        })
    };
    let due = sql
        .all(
            "SELECT id, bucket, available FROM grants
             WHERE available > 0 /*pg AND is_left */ AND account = ?1 AND expires_at <= ?2",
            &params![account.to_string(), now.0],
            read,
        )
        .map_err(StoreError::database("look for ended grants"))?;
    for line in &due {
        let entry = NewEntry {
            account,
            entry_type: EntryType::Expire,
            generation: None,
            lines: &[*line],
            note: None,
        };
        record(sql, &entry, now)?;
    }
    Ok(due.len() as u64)
}

/// Accounts with something left of a grant that has ended.
pub(crate) fn accounts_with_ended_grants(sql: &dyn Sql, now: Timestamp) -> Result<Vec<AccountId>> {
    sql.all(
        "SELECT DISTINCT account FROM grants
         WHERE available > 0 /*pg AND is_left */ AND expires_at IS NOT NULL AND expires_at <= ?1",
        &params![now.0],
        |row| row.parsed(0),
    )
    .map_err(StoreError::database("look for ended grants"))
}

/// What an account can spend and what it has set aside.
pub(crate) fn balance(sql: &dyn Sql, account: AccountId, now: Timestamp) -> Result<Balance> {
    let available = ledger::available(&grants(sql, account)?, now);
    let read = |row: &Row<'_>| {
        Ok(Split {
            subscription: row.get(0)?,
            permanent: row.get(1)?,
        })
    };
    let held = sql
        .first(
            "SELECT held_subscription, held_permanent FROM accounts WHERE id = ?1",
            &params![account.to_string()],
            read,
        )
        .map_err(StoreError::database("read what is held"))?
        .unwrap_or(Split::ZERO);
    Ok(Balance { available, held })
}

//! The ledger's arithmetic: which grants a hold draws on, and how a capture or a release gives back.
//!
//! An account has grants, each in one bucket, some with an end. Every entry moves credits on one or more of
//! them; a grant's balance is the sum of its lines and an account's balance the sum of its grants. Nothing is
//! ever rewritten: giving back is another entry.

use thiserror::Error;

use crate::{
    credits::{Bucket, Credits, Split},
    ids::GrantId,
    time::Timestamp,
};

/// What kind of change an entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryType {
    /// Credits given, usually for a while.
    Grant,
    /// Credits bought.
    Purchase,
    /// Credits set aside for a generation.
    Hold,
    /// A hold spent; moves credits only when it frees a surplus.
    Capture,
    /// A hold given back.
    Release,
    /// What was left of a grant at its end.
    Expire,
    /// A correction by the operator.
    Adjust,
}

impl EntryType {
    /// All of them.
    pub const ALL: [EntryType; 7] = [
        EntryType::Grant,
        EntryType::Purchase,
        EntryType::Hold,
        EntryType::Capture,
        EntryType::Release,
        EntryType::Expire,
        EntryType::Adjust,
    ];

    /// The published name.
    pub fn as_str(self) -> &'static str {
        match self {
            EntryType::Grant => "grant",
            EntryType::Purchase => "purchase",
            EntryType::Hold => "hold",
            EntryType::Capture => "capture",
            EntryType::Release => "release",
            EntryType::Expire => "expire",
            EntryType::Adjust => "adjust",
        }
    }
}

/// A grant as it stands: what is left of it, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Its name.
    pub id: GrantId,
    /// Where its credits count.
    pub bucket: Bucket,
    /// What is left, holds already taken off.
    pub available: u64,
    /// When what is left is lost; `None` is never.
    pub expires_at: Option<Timestamp>,
}

impl Grant {
    /// Whether it can still be drawn on at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// One movement of one entry on one grant; negative takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Which grant.
    pub grant: GrantId,
    /// Its bucket.
    pub bucket: Bucket,
    /// Credits.
    pub amount: i64,
}

/// A hold that the balance does not cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{} credits are available, {price} are needed", available.total())]
pub struct Insufficient {
    /// The price that was to be held.
    pub price: Credits,
    /// What can be spent.
    pub available: Split,
}

/// What can be spent of `grants` at `now`.
pub fn available(grants: &[Grant], now: Timestamp) -> Split {
    let mut split = Split::ZERO;
    for grant in grants.iter().filter(|grant| grant.is_live(now)) {
        split.add(grant.bucket, signed(grant.available));
    }
    split
}

/// The lines that set `price` aside: the subscription first and, within a bucket, what ends soonest.
pub fn hold(grants: &[Grant], price: Credits, now: Timestamp) -> Result<Vec<Line>, Insufficient> {
    let mut live: Vec<&Grant> = grants
        .iter()
        .filter(|g| g.is_live(now) && g.available > 0)
        .collect();
    live.sort_by_key(|g| (g.bucket, g.expires_at.unwrap_or(Timestamp(i64::MAX)), g.id));

    let mut missing = price.0;
    let mut lines = Vec::new();
    for grant in live {
        let taken = missing.min(grant.available);
        if taken > 0 {
            lines.push(Line {
                grant: grant.id,
                bucket: grant.bucket,
                amount: -signed(taken),
            });
            missing -= taken;
        }
    }
    if missing > 0 {
        return Err(Insufficient {
            price,
            available: available(grants, now),
        });
    }
    Ok(lines)
}

/// The lines of a capture of `charged` out of a hold: what the hold took too much goes back, last taken first.
pub fn capture(hold: &[Line], charged: Credits) -> Vec<Line> {
    let held: i64 = hold.iter().map(|line| -line.amount).sum();
    let mut surplus = (held - signed(charged.0)).max(0);
    let mut lines = Vec::new();
    for line in hold.iter().rev() {
        let back = surplus.min(-line.amount);
        if back > 0 {
            lines.push(Line {
                amount: back,
                ..*line
            });
            surplus -= back;
        }
    }
    lines
}

/// The lines of a release: everything the hold took goes back where it came from.
pub fn release(hold: &[Line]) -> Vec<Line> {
    hold.iter()
        .map(|line| Line {
            amount: -line.amount,
            ..*line
        })
        .collect()
}

/// The sum of some lines by bucket.
pub fn total(lines: &[Line]) -> Split {
    let mut split = Split::ZERO;
    for line in lines {
        split.add(line.bucket, line.amount);
    }
    split
}

fn signed(credits: u64) -> i64 {
    i64::try_from(credits).unwrap_or(i64::MAX)
}

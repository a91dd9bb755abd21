//! Credits: whole numbers in two buckets.

use std::fmt;

/// A number of credits, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Credits(pub u64);

impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where credits come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// The monthly pool; spent first, and its grants expire.
    Subscription,
    /// Purchased packs.
    Permanent,
}

impl Bucket {
    /// The name in rows and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Bucket::Subscription => "subscription",
            Bucket::Permanent => "permanent",
        }
    }
}

/// An amount divided between the buckets. Signed, because ledger entries move credits both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Split {
    /// Of the subscription bucket.
    pub subscription: i64,
    /// Of the permanent bucket.
    pub permanent: i64,
}

impl Split {
    /// Nothing in either bucket.
    pub const ZERO: Split = Split {
        subscription: 0,
        permanent: 0,
    };

    /// Both buckets together.
    pub fn total(self) -> i64 {
        self.subscription + self.permanent
    }

    /// The same amount the other way.
    pub fn negated(self) -> Split {
        Split {
            subscription: -self.subscription,
            permanent: -self.permanent,
        }
    }

    /// `amount` more in `bucket`.
    pub fn add(&mut self, bucket: Bucket, amount: i64) {
        match bucket {
            Bucket::Subscription => self.subscription += amount,
            Bucket::Permanent => self.permanent += amount,
        }
    }
}

impl std::ops::Add for Split {
    type Output = Split;

    fn add(self, other: Split) -> Split {
        Split {
            subscription: self.subscription + other.subscription,
            permanent: self.permanent + other.permanent,
        }
    }
}

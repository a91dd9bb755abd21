//! The places where a process may die, by name, so that a test can die in each of them.
//!
//! Whoever opens a store may give a [`CrashHook`]. Where it answers yes, the store behaves as if the process had
//! been killed there: nothing more is written or answered, and every later call fails. Opening the same files
//! again is then what a restart would be.

use std::sync::Arc;

/// A place where a process may die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CrashPoint {
    /// Everything of the transaction is written, but not committed.
    BeforeCommit(TransactionName),
    /// It is committed, but nobody was told.
    AfterCommit(TransactionName),
    /// A blob is complete and safe on disk, but has no name yet.
    BlobStaged,
    /// A blob has its name, but nothing refers to it.
    BlobNamed,
    /// The sweep has removed a blob, and has more to do.
    BlobSwept,
    /// An upload in parts has begun, and a note of it is in the bucket.
    BucketNoted,
    /// A part of it is in the bucket.
    BucketPartSent,
    /// The whole blob is in the bucket, but has no name here.
    BucketSent,
    /// The sweep has marked a blob that it is about to remove from the bucket.
    BucketMarked,
    /// It has removed that blob, and its mark is still there.
    BucketSwept,
}

impl CrashPoint {
    /// Those that only a bucket has.
    pub const BUCKET: [CrashPoint; 5] = [
        CrashPoint::BucketNoted,
        CrashPoint::BucketPartSent,
        CrashPoint::BucketSent,
        CrashPoint::BucketMarked,
        CrashPoint::BucketSwept,
    ];

    /// All that there are without a bucket.
    pub fn all() -> Vec<CrashPoint> {
        let commits = TransactionName::ALL
            .into_iter()
            .flat_map(|name| [CrashPoint::BeforeCommit(name), CrashPoint::AfterCommit(name)]);
        commits
            .chain([
                CrashPoint::BlobStaged,
                CrashPoint::BlobNamed,
                CrashPoint::BlobSwept,
            ])
            .collect()
    }
}

/// The transactions of the store: one for each row of the table that opens this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionName {
    /// A new account.
    CreateAccount,
    /// A new key.
    CreateKey,
    /// A key is revoked.
    RevokeKey,
    /// A secret is made.
    KeepSecret,
    /// A generation is accepted.
    Submit,
    /// A worker takes a generation.
    Claim,
    /// A lease is renewed.
    Heartbeat,
    /// An attempt leaves something behind.
    Note,
    /// An attempt shows what its clip looks like so far.
    KeepPreview,
    /// An attempt has ended.
    Finish,
    /// A client asks for an end.
    Cancel,
    /// Media are let go.
    RemoveMedia,
    /// What time has broken is repaired.
    Recover,
    /// Credits are given.
    Grant,
    /// Ended grants are written off.
    ExpireGrants,
    /// A new webhook endpoint.
    CreateEndpoint,
    /// An endpoint is changed or removed.
    ChangeEndpoint,
    /// A delivery is queued by hand.
    QueueDelivery,
    /// Deliveries that are due are taken.
    ClaimDeliveries,
    /// What came of a try.
    RecordTry,
    /// Old deliveries are forgotten.
    ForgetDeliveries,
    /// A worker announces itself, takes leave, or is told to drain.
    Announce,
    /// Workers that are silent, and what was kept of old attempts, are forgotten.
    ForgetWorkers,
    /// A request is counted.
    CountRequest,
}

impl TransactionName {
    /// All of them.
    pub const ALL: [TransactionName; 24] = [
        TransactionName::CreateAccount,
        TransactionName::CreateKey,
        TransactionName::RevokeKey,
        TransactionName::KeepSecret,
        TransactionName::Submit,
        TransactionName::Claim,
        TransactionName::Heartbeat,
        TransactionName::Note,
        TransactionName::KeepPreview,
        TransactionName::Finish,
        TransactionName::Cancel,
        TransactionName::RemoveMedia,
        TransactionName::Recover,
        TransactionName::Grant,
        TransactionName::ExpireGrants,
        TransactionName::CreateEndpoint,
        TransactionName::ChangeEndpoint,
        TransactionName::QueueDelivery,
        TransactionName::ClaimDeliveries,
        TransactionName::RecordTry,
        TransactionName::ForgetDeliveries,
        TransactionName::Announce,
        TransactionName::ForgetWorkers,
        TransactionName::CountRequest,
    ];
}

/// Decides whether to die at a place.
pub type CrashHook = Arc<dyn Fn(CrashPoint) -> bool + Send + Sync>;

//! What can go wrong in the store: each variant is an operation that failed and what it failed on.
//!
//! A refusal that a caller must answer (a short balance, a full queue, a lost lease) is no error but a variant of
//! that method's result. What is left here is an operator's business, or a bug.

use std::{any::Any, error::Error, fmt, io, path::PathBuf, sync::Arc};

use kinora_domain::{AccountId, BlobHash, GrantId, IllegalTransition, ledger::EntryType};
use thiserror::Error;

use crate::sql::{SEALED, SqlError, is_busy};

/// An operation of the store that failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// An account of that name exists.
    #[error("an account named {0:?} exists already")]
    NameTaken(String),
    /// Something was to be kept for an account that is not there.
    #[error("there is no account {0}")]
    UnknownAccount(AccountId),
    /// Only some entries give credits.
    #[error("an entry of type {:?} gives no credits", .0.as_str())]
    NotAGrant(EntryType),
    /// The id of a grant was used for another grant.
    #[error("grant {0} was given before, with other terms")]
    GrantReused(GrantId),
    /// A number does not fit into a row.
    #[error("{what} is too large to be kept: {value}")]
    TooLarge {
        /// What it counts.
        what: &'static str,
        /// The number.
        value: u64,
    },
    /// The caller asked for a change that has no place in the generation's life.
    #[error("the change is not allowed")]
    Transition(#[source] IllegalTransition),
    /// The database could not be opened.
    #[error("cannot open the database {database}")]
    Open {
        /// Its file, or its address without the password.
        database: String,
        /// What is wrong.
        #[source]
        source: DatabaseError,
    },
    /// The database was written by a later version of the program.
    #[error(
        "the database {database} has version {found}, and this program knows versions up to {known} only"
    )]
    TooNew {
        /// Its file, or its address without the password.
        database: String,
        /// The version of its tables.
        found: i64,
        /// The latest version this program knows.
        known: i64,
    },
    /// The installation moves away from the database, or to it, or has moved away.
    #[error("the database {database} cannot be used: {relocation}")]
    Relocated {
        /// Its file, or its address without the password.
        database: String,
        /// How far it is.
        relocation: Relocation,
    },
    /// The installation moves to another database while this store has it open: nothing is changed here any more.
    #[error("{}", SEALED)]
    Sealed,
    /// A statement failed.
    #[error("the database failed to {operation}")]
    Database {
        /// What was being done, as the end of a sentence.
        operation: &'static str,
        /// What is wrong.
        #[source]
        source: DatabaseError,
    },
    /// The answer to a commit was lost: what it was about is there as a whole, or not at all.
    #[error("the database was lost during a commit, and nobody knows whether it was carried out")]
    Unsure {
        /// What is wrong.
        #[source]
        source: DatabaseError,
    },
    /// A transaction panicked and was rolled back.
    #[error("a transaction panicked: {0}")]
    Panicked(String),
    /// The store is closed, or its writer has died.
    #[error("the store is closed")]
    Closed,
    /// A file of a blob could not be worked on.
    #[error("cannot {operation} {path:?}")]
    Blob {
        /// What was being done, as the end of a sentence.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// The client of a bucket could not be made.
    #[error("the bucket {url} cannot be set up")]
    OpenBucket {
        /// Which.
        url: String,
        /// What is wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// An operation on a bucket failed, for as long as it was tried.
    #[error("the bucket failed to {operation} {object}")]
    Bucket {
        /// What was being done, as the end of a sentence.
        operation: &'static str,
        /// To which object.
        object: String,
        /// What is wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// An object in the bucket does not hold what its name says.
    #[error("the bucket's {bytes} bytes of blob {hash} are not what that hash was made of")]
    CorruptBlob {
        /// Which.
        hash: BlobHash,
        /// How many bytes came.
        bytes: u64,
    },
}

/// The error of whatever database is behind the store.
pub type DatabaseError = Box<dyn Error + Send + Sync>;

impl StoreError {
    /// For `map_err`: the database failed to `operation`.
    pub(crate) fn database<E: Into<DatabaseError>>(operation: &'static str) -> impl FnOnce(E) -> StoreError {
        move |source| StoreError::Database {
            operation,
            source: source.into(),
        }
    }

    /// Whether the database is not there for the moment, or has moved: the same may go well later, or elsewhere. False
    /// where a commit may have been carried out.
    pub fn is_absence(&self) -> bool {
        match self {
            StoreError::Relocated { .. } | StoreError::Sealed => true,
            StoreError::Open { source, .. } | StoreError::Database { source, .. } => {
                // A commit of SQLite's carries many transactions, which share its error.
                let commit = source.downcast_ref::<Arc<rusqlite::Error>>();
                source.downcast_ref().is_some_and(SqlError::is_absence)
                    || commit.is_some_and(|error| is_busy(error))
            }
            StoreError::NameTaken(_)
            | StoreError::UnknownAccount(_)
            | StoreError::NotAGrant(_)
            | StoreError::GrantReused(_)
            | StoreError::TooLarge { .. }
            | StoreError::Transition(_)
            | StoreError::TooNew { .. }
            | StoreError::Unsure { .. }
            | StoreError::Panicked(_)
            | StoreError::Closed
            | StoreError::Blob { .. }
            | StoreError::OpenBucket { .. }
            | StoreError::Bucket { .. }
            | StoreError::CorruptBlob { .. } => false,
        }
    }

    /// Itself, or what it means where tables refuse every change.
    pub(crate) fn or_sealed(self) -> StoreError {
        match self.statement() {
            Some(error) if error.is_seal() => StoreError::Sealed,
            _ => self,
        }
    }

    /// What a statement said.
    pub(crate) fn statement(&self) -> Option<&SqlError> {
        match self {
            StoreError::Database { operation: _, source } => source.downcast_ref(),
            _ => None,
        }
    }
}

/// How far an installation has moved between two databases, as one of them says it of the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relocation {
    /// It moves there: rows can be read here, and are not changed any more.
    Leaving(String),
    /// It has moved there.
    Left(String),
    /// It comes from there, and is not whole yet.
    Arriving(String),
}

impl fmt::Display for Relocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Relocation::Leaving(to) => write!(
                f,
                "its installation is being moved to {to}; `kinora migrate` ends that, or goes back on it"
            ),
            Relocation::Left(to) => write!(f, "its installation has moved to {to}; say so in data.database"),
            Relocation::Arriving(from) => write!(
                f,
                "an installation is being moved to it from {from}, and is not whole yet; `kinora migrate` ends that"
            ),
        }
    }
}

/// What a panic says.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}

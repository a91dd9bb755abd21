//! Moves a living installation from one database to another: every row, its id and its place, without losing one.
//!
//! A server may go on all the while; what it is asked to write for the last part of the way, it refuses.
//!
//! 1. [`Move::begin`]: both are looked at, and the target is marked, so that no server starts on half of an installation.
//! 2. [`Move::copy`]: everything is copied, out of what the source is at one moment. Meanwhile the source lives on.
//! 3. [`Move::finish`]: the source is sealed, so that its tables refuse every change. What has changed since is copied, both are
//!    compared row by row, both are audited, their books are compared. Then the source is said to have moved, once every
//!    process on it has had the time to hear that, the mark on the target goes, and servers may start there.
//!
//! The copying of each row stands for itself. Whoever is interrupted, at whatever line, begins again and passes over what is
//! there already. Until the source is said to have moved, [`give_up`] lets it live on.

mod books;
mod level;
mod mark;
mod side;
mod tables;

use std::{fmt, sync::OnceLock, thread};

use kinora_domain::BlobHash;
use thiserror::Error;

use crate::{Database, Finding, Result, StoreError, error::Relocation, sql::Sql, transactions::audit};
pub use books::{AccountBooks, Books, TableRows};
use level::{Way, level};
pub(crate) use mark::read as relocation;
use side::Side;

/// How many contradictions are told of.
const TOLD_MAX: usize = 10;

/// An installation on its way.
pub struct Move {
    source: Side,
    target: Side,
    /// Tells this process's marks from another's.
    mover: String,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// With what.
    pub step: Step,
    /// Of which table.
    pub table: &'static str,
    /// Rows behind.
    pub rows: u64,
    /// Rows in all.
    pub of: u64,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Rows are copied.
    Copy,
    /// Both are compared.
    Compare,
}

/// What has moved, as both databases have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// What was counted and summed in each; the same in both.
    pub books: Books,
    /// How many rows had changed since they were copied.
    pub caught_up: u64,
}

/// Why an installation cannot move.
#[derive(Debug, Error)]
pub enum MoveError {
    /// A database does not do what it is asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no installation to move.
    #[error("there is no installation in {0}")]
    NothingThere(String),
    /// Both are one.
    #[error("both are {0}")]
    Same(String),
    /// The target has something of its own.
    #[error(
        "{database} is not empty: there is something in {table}; an installation moves to a new database"
    )]
    NotEmpty {
        /// The target.
        database: String,
        /// A table with rows in it.
        table: &'static str,
    },
    /// The target's tables are of another version of the program.
    #[error("{database} has tables of version {found}, and this program moves to version {known} only")]
    OtherVersion {
        /// The target.
        database: String,
        /// The version of its tables.
        found: i64,
        /// This program's.
        known: i64,
    },
    /// One of them is on another way.
    #[error("{database} cannot take part: {relocation}")]
    Elsewhere {
        /// Which.
        database: String,
        /// What is said there.
        relocation: Relocation,
    },
    /// The books contradict themselves.
    #[error("the books in {database} are not sound: {}", told(.findings))]
    Unsound {
        /// Which.
        database: String,
        /// How.
        findings: Vec<Finding>,
    },
    /// The target has something that the source has not, and that is never removed.
    #[error("{database} has something of another installation in it: {row}; give it a new, empty database")]
    Foreign {
        /// The target.
        database: String,
        /// A table, and the key of a row.
        row: String,
    },
    /// Somebody else has moved it, too, or let it live on.
    #[error("{0} was opened or sealed by another process meanwhile; nothing has moved")]
    Interfered(String),
    /// The last look found something.
    #[error("{0}")]
    Refused(String),
    /// Both are not the same in the end.
    #[error("after everything was copied the two differ: {0}")]
    Differ(String),
}

fn told(findings: &[Finding]) -> String {
    let some: Vec<String> = findings
        .iter()
        .take(TOLD_MAX)
        .map(|found| format!("{}: {} {}", found.invariant, found.subject, found.detail))
        .collect();
    some.join("; ")
}

impl Move {
    /// Looks at both databases and marks the target. Nothing is changed at the source. Blocks, as all of this does, and not
    /// within a runtime.
    pub fn begin(from: &Database, to: &Database) -> Result<Move, MoveError> {
        let source = Side::of_installation(from)?;
        let target = Side::of_nothing(to)?;
        if source.name == target.name {
            return Err(MoveError::Same(source.name));
        }
        let (here, there) = (source.ask(relocation)?, target.ask(relocation)?);
        let is_resumed = match there {
            None => false,
            Some(Relocation::Arriving(from)) if from == source.name => true,
            Some(relocation) => return Err(elsewhere(target, relocation)),
        };
        match here {
            None => {}
            Some(Relocation::Leaving(to)) if to == target.name => {}
            Some(Relocation::Left(to)) if to == target.name && is_resumed => {}
            Some(relocation) => return Err(elsewhere(source, relocation)),
        }
        if !is_resumed {
            for table in tables::TABLES {
                if target.ask(|sql| tables::count(sql, table))? > 0 {
                    return Err(MoveError::NotEmpty {
                        database: target.name,
                        table: table.name,
                    });
                }
            }
        }
        assert_sound(&source)?;
        let mover = format!("{:016x}", rand::random::<u64>());
        let arriving = Relocation::Arriving(source.name.clone());
        target.change(|sql| mark::write(sql, &arriving, &mover))?;
        Ok(Move {
            source,
            target,
            mover,
        })
    }

    /// Copies everything that is there, while the source lives on; tells how many rows were written.
    pub fn copy(&self, progress: &dyn Fn(Progress)) -> Result<u64, MoveError> {
        self.target.wait_for_the_disk(false)?;
        let copied = self.source.at_one_moment(|source| {
            self.target
                .ask(|target| level(source, target, Way::Copy, progress))
        })?;
        self.target.wait_for_the_disk(true)?;
        match copied.beyond {
            Some(row) => Err(MoveError::Foreign {
                database: self.target.name.clone(),
                row,
            }),
            None => Ok(copied.rows),
        }
    }

    /// The bytes that rows refer to, each once, a page behind `behind`.
    pub fn blobs(&self, behind: Option<BlobHash>, limit: usize) -> Result<Vec<BlobHash>, MoveError> {
        Ok(self.source.ask(|sql| books::blobs(sql, behind, limit))?)
    }

    /// Seals the source, copies the rest, compares, and says that it has moved. What goes wrong before that is said lets the
    /// source live on.
    ///
    /// `last_look` is asked when both are the same and nothing is written any more: what it refuses has not moved.
    pub fn finish(
        self,
        progress: &dyn Fn(Progress),
        last_look: &dyn Fn(&Move) -> Result<(), String>,
    ) -> Result<Moved, MoveError> {
        let leaving = Relocation::Leaving(self.target.name.clone());
        let has_left = matches!(self.source.ask(relocation)?, Some(Relocation::Left(_)));
        if !has_left {
            self.source.change(|sql| {
                mark::seal(sql)?;
                mark::write(sql, &leaving, &self.mover)
            })?;
        }
        let moved = self.catch_up(progress).and_then(|moved| {
            if !has_left {
                last_look(&self).map_err(MoveError::Refused)?;
                self.leave()?;
            }
            Ok(moved)
        });
        let moved = match moved {
            Ok(moved) => moved,
            Err(error) => {
                // Where it cannot be reached it stays sealed, and the error says why.
                let _ = self.source.change(|sql| match is_sealed_by(sql, &self.mover)? {
                    true => open_again(sql),
                    false => Ok(()),
                });
                return Err(error);
            }
        };
        // Whoever reads at the source must have stopped before anything is written at the target.
        thread::sleep(self.source.hears_within());
        self.target.change(mark::remove)?;
        Ok(moved)
    }

    /// Says that the source has moved, if it is still as it was sealed.
    fn leave(&self) -> Result<(), MoveError> {
        let left = Relocation::Left(self.target.name.clone());
        let is_sealed = self.source.change(|sql| {
            let is_sealed = is_sealed_by(sql, &self.mover)?;
            if is_sealed {
                mark::write(sql, &left, &self.mover)?;
            }
            Ok(is_sealed)
        })?;
        match is_sealed {
            true => Ok(()),
            false => Err(MoveError::Interfered(self.source.name.clone())),
        }
    }

    /// Everything from the seal to the moment when both are known to be the same.
    fn catch_up(&self, progress: &dyn Fn(Progress)) -> Result<Moved, MoveError> {
        let caught_up = self.copy(progress)?;
        let numbers = self.source.ask(tables::numbers)?;
        self.target.change(|sql| tables::take_numbers(sql, &numbers))?;
        let given = self.target.ask(tables::numbers)?;
        if given != numbers {
            return Err(MoveError::Differ(format!("{numbers:?} became {given:?}")));
        }
        let differences = self.source.at_one_moment(|source| {
            self.target
                .ask(|target| level(source, target, Way::Compare, progress))
        })?;
        if differences.rows > 0 {
            let first = differences.beyond.unwrap_or_default();
            return Err(MoveError::Differ(format!("{} rows {first}", differences.rows)));
        }
        assert_sound(&self.source)?;
        assert_sound(&self.target)?;
        let (here, there) = (
            self.source.at_one_moment(books::books)?,
            self.target.at_one_moment(books::books)?,
        );
        match here == there {
            true => Ok(Moved {
                books: there,
                caught_up,
            }),
            false => Err(MoveError::Differ(format!("{here:?} became {there:?}"))),
        }
    }
}

/// Lets the installation in `from` live on, where its move has not come to its end.
pub fn give_up(from: &Database) -> Result<(), MoveError> {
    let source = Side::of_installation(from)?;
    match source.ask(relocation)? {
        Some(Relocation::Leaving(_)) | None => Ok(source.change(open_again)?),
        Some(relocation) => Err(elsewhere(source, relocation)),
    }
}

/// Whether nobody has opened the source, or sealed it anew, since this process did.
fn is_sealed_by(sql: &dyn Sql, mover: &str) -> Result<bool> {
    Ok(matches!(relocation(sql)?, Some(Relocation::Leaving(_)))
        && mark::mover(sql)?.as_deref() == Some(mover))
}

fn open_again(sql: &dyn Sql) -> Result<()> {
    mark::unseal(sql)?;
    mark::remove(sql)
}

/// What an open store hears: that its installation has moved away while it was open.
#[derive(Debug, Default)]
pub(crate) struct Departure(OnceLock<StoreError>);

impl Departure {
    /// Fails once it has moved.
    pub(crate) fn check(&self) -> Result<()> {
        match self.0.get() {
            Some(StoreError::Relocated { database, relocation }) => Err(StoreError::Relocated {
                database: database.clone(),
                relocation: relocation.clone(),
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Looks what the database says. What cannot be read is read at the next look.
    pub(crate) fn look(&self, sql: &dyn Sql, database: &dyn fmt::Display) {
        if let Ok(Some(relocation @ Relocation::Left(_))) = relocation(sql) {
            self.hear(relocation, database);
        }
    }

    /// Takes note of it.
    pub(crate) fn hear(&self, relocation: Relocation, database: &dyn fmt::Display) {
        let moved = StoreError::Relocated {
            database: database.to_string(),
            relocation,
        };
        if let Ok(()) = self.0.set(moved)
            && let Some(moved) = self.0.get()
        {
            tracing::error!("Nothing is read or written any more: {moved}");
        }
    }
}

/// Fails where an installation moves, or has moved: no store is opened there.
pub(crate) fn assert_at_rest(sql: &dyn Sql, database: &dyn fmt::Display) -> Result<()> {
    match relocation(sql)? {
        None => Ok(()),
        Some(relocation) => Err(StoreError::Relocated {
            database: database.to_string(),
            relocation,
        }),
    }
}

fn elsewhere(side: Side, relocation: Relocation) -> MoveError {
    MoveError::Elsewhere {
        database: side.name,
        relocation,
    }
}

fn assert_sound(side: &Side) -> Result<(), MoveError> {
    let findings = side.at_one_moment(audit::audit)?;
    match findings.is_empty() {
        true => Ok(()),
        false => Err(MoveError::Unsound {
            database: side.name.clone(),
            findings,
        }),
    }
}

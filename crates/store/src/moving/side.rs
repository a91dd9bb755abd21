//! A database that an installation moves from or to, asked on one connection, without a store around it.

use std::{cell::RefCell, path::Path, time::Duration};

use rusqlite::Connection;

use super::MoveError;
use crate::{
    Database, Result, StoreError,
    postgres::{self, Session},
    sql::{Dialect, Sql},
    sqlite,
};

/// What a process takes to act on what it hears.
const TO_ACT: Duration = Duration::from_millis(500);

pub(super) struct Side {
    /// What it is called, in the words that the other database will keep about it.
    pub(super) name: String,
    connection: Kind,
}

enum Kind {
    Sqlite(Connection),
    Postgres(RefCell<Session>),
}

impl Side {
    /// The database of an installation, brought up to date as whenever it is opened.
    pub(super) fn of_installation(database: &Database) -> Result<Side, MoveError> {
        let is_there = match database {
            Database::Sqlite(path) => path.is_file(),
            Database::Postgres(url) => postgres::version(url)?.is_some(),
        };
        match is_there {
            true => Side::open(database),
            false => Err(MoveError::NothingThere(database.to_string())),
        }
    }

    /// A database for an installation, with tables and nothing in them; those of another version are left as they are.
    pub(super) fn of_nothing(database: &Database) -> Result<Side, MoveError> {
        let (found, known) = match database {
            Database::Sqlite(path) => (sqlite::version(path)?, sqlite::VERSION),
            Database::Postgres(url) => (postgres::version(url)?, postgres::VERSION),
        };
        match found {
            Some(found) if found != known => Err(MoveError::OtherVersion {
                database: database.to_string(),
                found,
                known,
            }),
            Some(_) | None => Side::open(database),
        }
    }

    fn open(database: &Database) -> Result<Side, MoveError> {
        Ok(match database {
            Database::Sqlite(path) => Side {
                connection: Kind::Sqlite(sqlite::connect(path, sqlite::BUSY_TIMEOUT_MS)?),
                // The same file is the same to whoever calls it otherwise.
                name: path
                    .canonicalize()
                    .as_deref()
                    .map_or_else(|_| database.to_string(), shown),
            },
            Database::Postgres(url) => {
                let (session, schema) = postgres::session(url)?;
                Side {
                    connection: Kind::Postgres(RefCell::new(session)),
                    name: match schema.as_str() {
                        "public" => database.to_string(),
                        schema => format!("{database}, schema {schema}"),
                    },
                }
            }
        })
    }

    /// Asks and changes outside of any transaction: each statement stands for itself.
    pub(super) fn ask<T>(&self, work: impl Fn(&dyn Sql) -> Result<T>) -> Result<T> {
        match &self.connection {
            Kind::Sqlite(connection) => {
                let answer = work(connection);
                if answer.is_err() && !connection.is_autocommit() {
                    let _ = connection.execute_batch("ROLLBACK");
                }
                answer
            }
            Kind::Postgres(session) => session.borrow_mut().manage(|connection| work(connection)),
        }
    }

    /// Asks out of what the database is at one moment.
    pub(super) fn at_one_moment<T>(&self, work: impl Fn(&dyn Sql) -> Result<T>) -> Result<T> {
        self.within("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "BEGIN", work)
    }

    /// Changes all or nothing.
    pub(super) fn change<T>(&self, work: impl Fn(&dyn Sql) -> Result<T>) -> Result<T> {
        self.within("BEGIN", "BEGIN IMMEDIATE", work)
    }

    fn within<T>(&self, postgres: &str, sqlite: &str, work: impl Fn(&dyn Sql) -> Result<T>) -> Result<T> {
        self.ask(|sql| {
            let begin = match sql.dialect() {
                Dialect::Sqlite => sqlite,
                Dialect::Postgres => postgres,
            };
            sql.execute(begin, &[]).map_err(StoreError::database("begin"))?;
            let answer = work(sql)?;
            sql.execute("COMMIT", &[])
                .map_err(StoreError::database("commit"))?;
            Ok(answer)
        })
    }

    /// Whether each commit waits for the disk. One that does makes all before it safe.
    pub(super) fn wait_for_the_disk(&self, waits: bool) -> Result<()> {
        self.ask(|sql| {
            let set = match (sql.dialect(), waits) {
                (Dialect::Sqlite, true) => "PRAGMA synchronous = FULL",
                (Dialect::Sqlite, false) => "PRAGMA synchronous = NORMAL",
                (Dialect::Postgres, true) => "SET synchronous_commit = on",
                (Dialect::Postgres, false) => "SET synchronous_commit = off",
            };
            sql.execute(set, &[])
                .map(|_| ())
                .map_err(StoreError::database("say what a commit waits for"))
        })
    }

    /// How long it takes until every process has heard what is written into it.
    pub(super) fn hears_within(&self) -> Duration {
        match &self.connection {
            Kind::Sqlite(_) => sqlite::OTHERS_POLL + TO_ACT,
            Kind::Postgres(_) => postgres::LOOK_AROUND + TO_ACT,
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

//! Which database an installation keeps its rows in, said in one word: a file, or the URL of a server.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use thiserror::Error;

use crate::{
    Result, Store,
    postgres::{PostgresOptions, PostgresStore, PostgresUrl, PostgresUrlError},
    sqlite::{SqliteOptions, SqliteStore},
};

/// A database. What it shows of itself never holds a password.
#[derive(Clone)]
pub enum Database {
    /// In this file, which one machine can use.
    Sqlite(PathBuf),
    /// On a server, for as many nodes as there are.
    Postgres(PostgresUrl),
}

/// Why a text names no database.
#[derive(Debug, Error)]
pub enum DatabaseNameError {
    /// It names a server.
    #[error(transparent)]
    Postgres(#[from] PostgresUrlError),
    /// It names something else.
    #[error("{scheme}: names no database; postgres://user:password@host/database and sqlite:path do")]
    Scheme {
        /// What it begins with.
        scheme: String,
    },
    /// It names nothing.
    #[error("there is no name; postgres://user:password@host/database or sqlite:path is one")]
    Empty,
}

impl Database {
    /// Opens it, and brings its tables up to date. `connections` is what a server is asked with at once. Blocks.
    pub fn open(&self, connections: usize) -> Result<Arc<dyn Store>> {
        Ok(match self {
            Database::Sqlite(path) => Arc::new(SqliteStore::open(path, SqliteOptions::default())?),
            Database::Postgres(url) => {
                let options = PostgresOptions {
                    connections,
                    ..PostgresOptions::default()
                };
                Arc::new(PostgresStore::open(url, options)?)
            }
        })
    }

    /// The file, where it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Database::Sqlite(path) => Some(path),
            Database::Postgres(_) => None,
        }
    }
}

impl FromStr for Database {
    type Err = DatabaseNameError;

    fn from_str(text: &str) -> Result<Database, DatabaseNameError> {
        if text.starts_with("postgres:") || text.starts_with("postgresql:") {
            return Ok(Database::Postgres(text.parse()?));
        }
        let path = match text.split_once(':') {
            // sqlite:///absolute/path is what other programs write.
            Some(("sqlite", path)) => path.strip_prefix("//").unwrap_or(path),
            Some((scheme, rest)) if rest.starts_with("//") => {
                let scheme = scheme.to_owned();
                return Err(DatabaseNameError::Scheme { scheme });
            }
            Some(_) | None => text,
        };
        match path.is_empty() {
            true => Err(DatabaseNameError::Empty),
            false => Ok(Database::Sqlite(path.into())),
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Database::Sqlite(path) => write!(f, "{}", path.display()),
            Database::Postgres(url) => url.fmt(f),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_named_by_a_path_or_a_url() {
        let check = |text: &str, expected: &str| {
            assert_eq!(
                text.parse::<Database>()
                    .map(|database| database.to_string())
                    .unwrap(),
                expected
            );
        };
        check("kinora.db", "kinora.db");
        check("/var/lib/kinora/kinora.db", "/var/lib/kinora/kinora.db");
        check("sqlite:kinora.db", "kinora.db");
        check("sqlite:///var/kinora.db", "/var/kinora.db");
        check("postgres://k:secret@db/videos", "postgres://k@db:5432/videos");
        check("postgresql://k:secret@db:1/videos", "postgres://k@db:1/videos");
        for wrong in [
            "",
            "sqlite:",
            "mysql://k:secret@db/videos",
            "postgres://k:secret@db:port/videos",
            "postgres:x",
        ] {
            let error = wrong.parse::<Database>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}

//! A database to measure on: new, with nothing in it, and gone with its owner. Each part has its own, so that none waits for
//! what another one left behind.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use kinora_store::{Database, Store};
use tempfile::TempDir;

use crate::support::{Any, Server};

#[expect(dead_code, reason = "nothing is crashed here")]
#[path = "../../../store/tests/postgres_server/mod.rs"]
mod postgres_server;

/// Connections of the store that stands for workers.
const STORE_CONNECTIONS: usize = 16;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    pub(crate) const ALL: [Kind; 2] = [Kind::Sqlite, Kind::Postgres];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Sqlite => "SQLite",
            Kind::Postgres => "PostgreSQL",
        })
    }
}

/// A database and a folder for the nodes on it.
pub(crate) struct Place {
    folder: TempDir,
    /// `None`: the rows are in the folder.
    server: Option<postgres_server::Server>,
}

impl Place {
    pub(crate) fn new(kind: Kind) -> Any<Place> {
        let server = match kind {
            Kind::Sqlite => None,
            Kind::Postgres => Some(postgres_server::Server::start()?),
        };
        // A server is started where its rows are to be, and finds no home in a relative folder.
        let folder = tempfile::tempdir_in(fs::canonicalize("target")?)?;
        Ok(Place { folder, server })
    }

    /// Opens the store, as a worker does that has this database.
    pub(crate) fn open(&self) -> Any<Arc<dyn Store>> {
        let database = match &self.server {
            None => Database::Sqlite(self.folder.path().join("data/kinora.db")),
            Some(server) => server.url().parse()?,
        };
        Ok(database.open(STORE_CONNECTIONS)?)
    }

    /// A node that serves the API. `key` is that of an earlier node on this database.
    pub(crate) fn node(&self, kinora: &Path, key: Option<&str>) -> Any<Server> {
        let Some(server) = &self.server else {
            return Server::start(kinora, self.folder.path(), None, key);
        };
        // Nodes on a server share nothing but that.
        let own = tempfile::Builder::new()
            .disable_cleanup(true)
            .tempdir_in(self.folder.path())?;
        Server::start(kinora, own.path(), Some(&server.url()), key)
    }

    /// A folder on the disk of the rows.
    pub(crate) fn disk(&self) -> PathBuf {
        match &self.server {
            None => self.folder.path().to_owned(),
            Some(_) => std::env::temp_dir(),
        }
    }

    /// Bytes of tables and indexes on disk, without the log.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.server {
            None => size(&self.folder.path().join("data/kinora.db")),
            Some(server) => {
                let url = server.url();
                let folder = url.rsplit_once("host=").map(|(_, folder)| PathBuf::from(folder));
                folder.map_or(0, |folder| size(&folder.join("data/base")))
            }
        }
    }
}

fn size(path: &Path) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let inside: u64 = entries.map(|entry| size(&entry.path())).sum();
    let own = fs::metadata(path).map_or(0, |is| if is.is_file() { is.len() } else { 0 });
    own + inside
}

/// As `postgres --version` tells it.
pub(crate) fn postgres_version() -> Option<String> {
    let program = postgres_server::programs()?.join("postgres");
    let told = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8(told.stdout).ok()?;
    Some(
        text.trim()
            .trim_start_matches("postgres (PostgreSQL) ")
            .to_owned(),
    )
}

/// Of the SQLite that is part of the program, as it writes it into the head of each of its files.
pub(crate) fn sqlite_version() -> Option<String> {
    let place = Place::new(Kind::Sqlite).ok()?;
    drop(place.open().ok()?);
    let file = fs::read(place.folder.path().join("data/kinora.db")).ok()?;
    let number = u32::from_be_bytes(file.get(96..100)?.try_into().ok()?);
    let (major, minor, patch) = (number / 1_000_000, number / 1000 % 1000, number % 1000);
    Some(format!("{major}.{minor}.{patch}"))
}

//! The data directory: what lies where in it, and who may have it open.
//!
//! ```text
//! kinora.db        everything but bytes: generations, the ledger, accounts, keys (with -wal and -shm beside it); none where
//!                  the database is on a server
//! blobs/           uploads and results, by the hash of their content; staging/ in it holds what still arrives
//! cache/           copies of uploads and results, where a bucket has them for good; worth nothing
//! scratch/         what attempts work on, one folder for each worker; worth nothing once that has ended
//! server.lock      held by the one server
//! ```

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use kinora_store::Database;
use thiserror::Error;

use crate::config::DataConfig;

/// How long a server waits for another one to end.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// A data directory that exists.
#[derive(Debug, Clone)]
pub struct DataDir {
    root: PathBuf,
}

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum DataDirError {
    /// It cannot be made.
    #[error("the data directory {} cannot be made", path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is nothing in it.
    #[error(
        "there is no database in {}: name the data directory of your server with --data-dir, or start a new \
         one with `kinora serve`",
        path.display()
    )]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// Another server has it.
    #[error(
        "another server{} uses the data directory {}; to make videos beside it start `kinora worker`",
        holder.as_ref().map(|id| format!(" (process {id})")).unwrap_or_default(),
        path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The other process, where it could be learnt.
        holder: Option<u32>,
    },
    /// A lock cannot be taken.
    #[error("the file {} cannot be locked", path.display())]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The one server's hold on the directory; ends with the process, however that ends.
#[derive(Debug)]
pub struct ServerLock {
    _file: File,
}

impl DataDir {
    /// The directory at `path`, made where it is missing. Only its owner may look inside: it holds secrets.
    pub fn create(path: &Path) -> Result<DataDir, DataDirError> {
        let failed = |source| DataDirError::Create {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed)?;
        // Media children work from another directory.
        Ok(DataDir {
            root: path.canonicalize().map_err(failed)?,
        })
    }

    /// The directory of an installation that there is already. One whose database is on a server may be new to this machine.
    pub fn existing(config: &DataConfig) -> Result<DataDir, DataDirError> {
        let path = &config.dir;
        if let Some(Database::Postgres(_)) = config.database {
            return DataDir::create(path);
        }
        let empty = || DataDirError::Empty {
            path: path.to_owned(),
        };
        let dir = DataDir {
            root: path.canonicalize().map_err(|_| empty())?,
        };
        if dir.database(config).file().is_some_and(Path::is_file) {
            Ok(dir)
        } else {
            Err(empty())
        }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The database: the one that the configuration names, else a file here.
    pub fn database(&self, config: &DataConfig) -> Database {
        let own = || Database::Sqlite(self.root.join("kinora.db"));
        config.database.clone().unwrap_or_else(own)
    }

    /// The bytes.
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// Copies of bytes that are in a bucket. A folder of its own: from this one files are removed to make room.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Makes this process the directory's one server. Waits a little: a server that is just ending, or a command
    /// that is just looking, is no reason to give up.
    pub fn lock_for_server(&self) -> Result<ServerLock, DataDirError> {
        let patient_until = Instant::now() + LOCK_PATIENCE;
        loop {
            match self.try_lock() {
                Ok(mut file) => {
                    // Only for the message that another server will print.
                    let _ = file
                        .set_len(0)
                        .and_then(|()| write!(file, "{}", std::process::id()));
                    return Ok(ServerLock { _file: file });
                }
                Err(DataDirError::Locked { .. }) if Instant::now() < patient_until => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether a server has the directory: [`DataDirError::Locked`] if so.
    pub fn look_for_server(&self) -> Result<(), DataDirError> {
        self.try_lock().map(drop)
    }

    fn try_lock(&self) -> Result<File, DataDirError> {
        let path = self.root.join("server.lock");
        match take_lock(&path) {
            Ok(Some(file)) => Ok(file),
            Ok(None) => {
                let holder = fs::read_to_string(&path)
                    .ok()
                    .and_then(|text| text.trim().parse().ok());
                Err(DataDirError::Locked {
                    path: self.root.clone(),
                    holder,
                })
            }
            Err(source) => Err(DataDirError::Lock { path, source }),
        }
    }

    /// What attempts work on: one folder for each worker, which removes those of workers that are gone.
    pub fn scratch(&self) -> PathBuf {
        self.root.join("scratch")
    }
}

/// The file, locked; `None` while another process has it.
fn take_lock(path: &Path) -> io::Result<Option<File>> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::create(&folder.path().join("new/data")).unwrap();
        let lock = dir.lock_for_server().unwrap();
        let refusal = dir.lock_for_server().unwrap_err().to_string();
        assert!(
            refusal.contains(&format!("(process {})", std::process::id())),
            "{refusal}"
        );
        drop(lock);
        dir.lock_for_server().unwrap();
    }

    #[test]
    fn commands_do_not_make_databases() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        for path in [folder.path(), &missing] {
            let config = DataConfig {
                dir: path.to_owned(),
                retention_ms: None,
                orphan_grace_ms: 1,
                database: None,
                database_connections: 1,
            };
            let refusal = DataDir::existing(&config).unwrap_err().to_string();
            assert!(refusal.starts_with("there is no database in"), "{refusal}");
        }
        assert!(!missing.exists());
    }
}

//! How large a folder may grow that is the cache of a bucket: the files that were not used for longest go first.
//!
//! A file's date is when it was last used. What is being read stays readable without its name, and whoever needs a path
//! for longer has a name of its own for the file ([`Blobs::borrow`](super::Blobs::borrow)); so nothing here has to know who
//! uses what, in this process or another one on the same folder.

use std::{
    fs::{self, File, FileTimes},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use super::sweep::{entries, metadata};
use super::{STAGING, failed};
use crate::Result;

/// How full the cache is once room was made.
const KEPT_EIGHTHS: u64 = 7;
/// How old a date of use may be before it is written anew.
const DATED_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Cache {
    bytes_max: u64,
    /// What was measured last and has been added since, by this process.
    bytes: AtomicU64,
}

struct Cached {
    used: SystemTime,
    bytes: u64,
    path: PathBuf,
}

impl Cache {
    /// The cache in a folder as it is; it is made smaller if it has to be.
    pub(super) fn measured(root: &Path, bytes_max: u64) -> Result<Cache> {
        let cache = Cache {
            bytes_max,
            bytes: AtomicU64::new(0),
        };
        cache.make_room(root)?;
        Ok(cache)
    }

    /// Counts what has come in, and makes room where that is too much.
    pub(super) fn add(&self, root: &Path, bytes: u64) -> Result<()> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > self.bytes_max {
            self.make_room(root)?;
        }
        Ok(())
    }

    /// Measures, and removes what was not used for longest where there is too much.
    pub(super) fn make_room(&self, root: &Path) -> Result<()> {
        let mut files = Vec::new();
        for shard in entries(root)? {
            if shard.file_name() == STAGING || !shard.path().is_dir() {
                continue;
            }
            for entry in entries(&shard.path())? {
                let path = entry.path();
                if let Some(metadata) = metadata(&path)? {
                    files.push(Cached {
                        used: metadata.modified().map_err(failed("look at", &path))?,
                        bytes: metadata.len(),
                        path,
                    });
                }
            }
        }
        let mut bytes: u64 = files.iter().map(|file| file.bytes).sum();
        if bytes > self.bytes_max {
            files.sort_by_key(|file| file.used);
            for file in files {
                if bytes <= self.bytes_max / 8 * KEPT_EIGHTHS {
                    break;
                }
                match fs::remove_file(&file.path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(failed("remove", &file.path)(error));
                    }
                    // Removed, by us or by another process.
                    Ok(()) | Err(_) => bytes -= file.bytes,
                }
            }
        }
        self.bytes.store(bytes, Ordering::Relaxed);
        Ok(())
    }
}

/// Notes that a cached file was used. One that is gone was used all the same.
pub(super) fn used(path: &Path) {
    let is_recent = |file: &File| {
        let modified = file.metadata().and_then(|metadata| metadata.modified());
        modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age < DATED_EVERY))
    };
    if let Ok(file) = File::open(path)
        && !is_recent(&file)
    {
        let _ = file.set_times(FileTimes::new().set_modified(SystemTime::now()));
    }
}

//! Files that live as long as an attempt: fetched inputs, and clips that are not yet kept.
//!
//! Inputs fetched from a URL stay here and are not made blobs: nobody asks for them once the attempt is over, and
//! another attempt reads the URL again. So a folder for each attempt is enough, and after a crash a folder that
//! nobody holds is rubbish.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use kinora_domain::WorkerId;

const LOCK: &str = "lock";

/// The folder of one worker. Locked for as long as the worker lives, so that another process that shares the
/// root can tell it from what a dead worker left behind.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes the worker's folder under `root`, and removes the folders of workers that are gone.
    pub(crate) fn open(root: &Path, worker: WorkerId) -> io::Result<Scratch> {
        let folder = root.join(worker.to_string());
        // Under its own name only once it is locked: a worker that starts at the same time must not take it for
        // one left behind.
        let unlocked = root.join(format!("new-{worker}"));
        fs::create_dir_all(&unlocked)?;
        let lock = File::create(unlocked.join(LOCK))?;
        lock.lock()?;
        fs::rename(&unlocked, &folder)?;
        remove_left_behind(root, &folder)?;
        Ok(Scratch { folder, _lock: lock })
    }

    /// A folder for one attempt; empty, and gone when it is dropped.
    pub(crate) fn folder(&self, name: &str) -> io::Result<Folder> {
        Folder::create(self.folder.join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is removed by the next worker that starts.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A folder that is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn create(path: PathBuf) -> io::Result<Folder> {
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        fs::create_dir_all(&path)?;
        Ok(Folder { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!("Removing a scratch folder failed: {error}");
        }
    }
}

/// Only folders named like a worker's are touched: the root may have been chosen badly.
fn remove_left_behind(root: &Path, own: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path == own || name.parse::<WorkerId>().is_err() {
            continue;
        }
        let held = match File::open(path.join(LOCK)).map(|lock| lock.try_lock()) {
            Ok(Err(TryLockError::WouldBlock)) => true,
            Ok(Ok(()) | Err(TryLockError::Error(_))) | Err(_) => false,
        };
        if !held {
            tracing::info!("Removing what a worker left behind in its scratch folder {name}");
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use kinora_domain::Timestamp;

    use super::*;

    #[test]
    fn the_dead_are_cleared_and_the_living_are_spared() {
        let root = tempfile::tempdir().unwrap();
        let worker = |entropy| WorkerId::new(Timestamp(1), entropy);
        let dead = root.path().join(worker(1).to_string());
        fs::create_dir_all(dead.join("attempt")).unwrap();
        fs::write(dead.join("lock"), "").unwrap();
        let foreign = root.path().join("precious");
        fs::create_dir(&foreign).unwrap();

        let living = Scratch::open(root.path(), worker(2)).unwrap();
        let at_work = living.folder("attempt").unwrap();
        let other = Scratch::open(root.path(), worker(3)).unwrap();
        assert!(!dead.exists());
        assert!(foreign.exists());
        assert!(at_work.path().exists());

        let path = at_work.path().to_owned();
        drop(at_work);
        assert!(!path.exists());
        drop((living, other));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}

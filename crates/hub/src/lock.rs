//! One process at a time for each file: the locks of `huggingface_hub`, so that its programs and ours wait for each other.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::sleep;

/// How often somebody who waits looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Held until it is dropped, or its process ends.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until it is ours; `wait` is told once that somebody else has it.
    pub(crate) async fn take(path: &Path, wait: impl FnOnce()) -> io::Result<Lock> {
        let mut wait = Some(wait);
        loop {
            if let Some(lock) = Lock::try_take(path)? {
                return Ok(lock);
            }
            if let Some(wait) = wait.take() {
                wait();
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// `None` where somebody else has it.
    pub(crate) fn try_take(path: &Path) -> io::Result<Option<Lock>> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        loop {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Whoever removes a repository removes its locks: one without a name excludes nobody.
            let ours = file.metadata()?;
            if fs::metadata(path).is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())) {
                return Ok(Some(Lock { _file: file }));
            }
        }
    }
}

/// Those of these locks that are there and held by somebody.
pub(crate) fn held(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut held = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_file() && Lock::try_take(&path)?.is_none() {
            held.push(path);
        }
    }
    Ok(held)
}

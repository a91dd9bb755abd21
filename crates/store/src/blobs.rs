//! Bytes by the SHA-256 of their content: inputs, clips and posters, each kept once.
//!
//! A blob is written under a passing name, made safe on disk, and only then given its own: a name always stands
//! for whole content. Nothing here knows who needs a blob; [`Blobs::sweep`] asks the store, and removes what
//! nobody has referred to for a grace time. A commit makes its blob young again, so whoever commits and then
//! refers to it within that time never loses it.

mod staging;
mod sweep;

use std::{
    fs::{self, File, FileTimes},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use kinora_domain::BlobHash;

use crate::{CrashHook, CrashPoint, Result, StoreError};

pub use staging::Staging;
pub use sweep::SweepReport;

/// The folder inside the folder that holds what is not yet named.
const STAGING: &str = "staging";

/// Blobs in a local folder. Clones share it.
#[derive(Clone)]
pub struct Blobs {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    /// Held while a blob gets its name or loses it, so that none is removed under a fresh commit …
    naming: Mutex<()>,
    /// … and locked with it, against other processes.
    lock: File,
    crash: Option<CrashHook>,
}

impl Blobs {
    /// The blobs in `folder`, which is created where it is missing.
    pub fn open(folder: &Path) -> Result<Blobs> {
        Blobs::open_with(folder, None)
    }

    /// As [`Blobs::open`], dying where the hook says so.
    pub fn open_with(folder: &Path, crash: Option<CrashHook>) -> Result<Blobs> {
        let staging = folder.join(STAGING);
        fs::create_dir_all(&staging).map_err(failed("create", &staging))?;
        let lock = folder.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .map_err(failed("open", &lock))?;
        Ok(Blobs {
            inner: Arc::new(Inner {
                root: folder.to_owned(),
                naming: Mutex::new(()),
                lock,
                crash,
            }),
        })
    }

    /// Begins a blob whose bytes are still to come.
    pub fn stage(&self) -> Result<Staging> {
        Staging::new(self.clone())
    }

    /// Takes over a finished file: it is moved here, or copied and removed where `path` lies on another disk.
    /// Blocks.
    pub fn adopt(&self, path: &Path) -> Result<(BlobHash, u64)> {
        let mut staging = self.stage()?;
        staging.take_over(path)?;
        staging.commit_blocking()
    }

    /// Where a blob lies, or would lie.
    pub fn path(&self, hash: BlobHash) -> PathBuf {
        let name = hash.to_string();
        let (shard, rest) = name.split_at(2);
        self.inner.root.join(shard).join(rest)
    }

    /// A blob and its length in bytes, if it is there.
    pub fn open_blob(&self, hash: BlobHash) -> Result<Option<(File, u64)>> {
        let path = self.path(hash);
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        match opened {
            Ok((bytes, file)) => Ok(Some((file, bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed("open", &path)(source)),
        }
    }

    /// Whether a blob is there.
    pub fn exists(&self, hash: BlobHash) -> Result<bool> {
        let path = self.path(hash);
        path.try_exists().map_err(failed("look for", &path))
    }

    /// Gives complete and synced bytes their name. A copy that has it already stays, as young as a new one: somebody may be
    /// reading it, and a sandboxed child may read the very file that it was shown, not another one of the same name.
    fn name(&self, staged: &Path, hash: BlobHash) -> Result<()> {
        self.crash_at(CrashPoint::BlobStaged)?;
        let path = self.path(hash);
        let shard = path.parent().unwrap_or(&self.inner.root);
        if !shard.is_dir() {
            fs::create_dir_all(shard).map_err(failed("create", shard))?;
            sync_folder(&self.inner.root)?;
        }
        {
            let _naming = self.exclusive()?;
            if is_copy(staged, &path) {
                let copy = File::open(&path).map_err(failed("open", &path))?;
                sync_young(&copy, &path)?;
                fs::remove_file(staged).map_err(failed("remove", staged))?;
            } else {
                fs::rename(staged, &path).map_err(failed("name", &path))?;
            }
        }
        sync_folder(shard)?;
        self.crash_at(CrashPoint::BlobNamed)
    }

    /// The right to name and to remove, alone among all processes.
    fn exclusive(&self) -> Result<Exclusive<'_>> {
        let guard = self.inner.naming.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = &self.inner.lock;
        lock.lock().map_err(failed("lock", &self.inner.root))?;
        Ok(Exclusive { lock, _guard: guard })
    }

    fn crash_at(&self, point: CrashPoint) -> Result<()> {
        match &self.inner.crash {
            Some(crash) if crash(point) => Err(StoreError::Closed),
            _ => Ok(()),
        }
    }
}

/// Whether a file of this name, and so of this content, is there whole.
fn is_copy(staged: &Path, named: &Path) -> bool {
    let length = |path: &Path| fs::metadata(path).map(|file| file.len());
    matches!((length(staged), length(named)), (Ok(new), Ok(old)) if new == old)
}

struct Exclusive<'a> {
    lock: &'a File,
    _guard: MutexGuard<'a, ()>,
}

impl Drop for Exclusive<'_> {
    fn drop(&mut self) {
        // Closing the file would unlock it, too; there is nobody to tell.
        let _ = self.lock.unlock();
    }
}

/// Makes a file safe against the loss of power, and young.
fn sync_young(file: &File, path: &Path) -> Result<()> {
    let young = FileTimes::new().set_modified(SystemTime::now());
    file.set_times(young).map_err(failed("date", path))?;
    file.sync_all().map_err(failed("sync", path))
}

/// Makes the names in a folder safe against the loss of power.
fn sync_folder(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("sync", path))
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Blob {
        operation,
        path: path.to_owned(),
        source,
    }
}

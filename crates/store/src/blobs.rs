//! Bytes by the SHA-256 of their content: inputs, clips and posters, each kept once.
//!
//! A blob is written under a passing name, made safe on disk, and only then given its own: a name always stands
//! for whole content. Nothing here knows who needs a blob; [`Blobs::sweep`] asks the store, and removes what
//! nobody has referred to for a grace time. A commit makes its blob young again, so whoever commits and then
//! refers to it within that time never loses it.
//!
//! With a [bucket](BucketOptions) the folder is a cache, and what is true is in the bucket: a blob is there before it has
//! its name here, and whoever misses one here fetches it. Then any number of machines share the blobs, and none of
//! them has anything that another one could miss.

mod bucket;
mod cache;
mod fetch;
mod kind;
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

pub use bucket::{BucketOptions, Provider, ProviderSettings, Redirects};
pub use fetch::{Borrowed, Found, Remote};
/// A path within a bucket.
pub use object_store::path::Path as BucketPath;
pub use staging::Staging;
pub use sweep::SweepReport;

use bucket::Bucket;
use cache::Cache;

/// The folder inside the folder that holds what is not yet named.
const STAGING: &str = "staging";

/// Blobs in a local folder, or in a bucket with a folder as its cache. Clones share it.
#[derive(Clone)]
pub struct Blobs {
    inner: Arc<Inner>,
}

/// How blobs are kept.
#[derive(Default)]
pub struct BlobsOptions {
    /// Dies where it says so.
    pub crash: Option<CrashHook>,
    /// Where the blobs are for good, if not in the folder.
    pub bucket: Option<BucketOptions>,
    /// About how many bytes the folder may hold where it is a cache.
    pub cache_bytes: u64,
}

struct Inner {
    root: PathBuf,
    /// Held while a blob gets its name or loses it, so that none is removed under a fresh commit …
    naming: Mutex<()>,
    /// … and locked with it, against other processes.
    lock: File,
    crash: Option<CrashHook>,
    behind: Option<Behind>,
}

/// What is behind a folder that is a cache.
struct Behind {
    bucket: Arc<Bucket>,
    cache: Cache,
}

impl Blobs {
    /// The blobs in `folder`, which is created where it is missing.
    pub fn open(folder: &Path) -> Result<Blobs> {
        Blobs::open_with(folder, BlobsOptions::default())
    }

    /// The blobs in `folder`, or in the bucket that it is the cache of. With a bucket this is called within a runtime, by
    /// which blocking calls reach it later on.
    pub fn open_with(folder: &Path, options: BlobsOptions) -> Result<Blobs> {
        let BlobsOptions {
            crash,
            bucket,
            cache_bytes,
        } = options;
        let staging = folder.join(STAGING);
        fs::create_dir_all(&staging).map_err(failed("create", &staging))?;
        let lock = folder.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .map_err(failed("open", &lock))?;
        let behind = match bucket {
            Some(options) => Some(Behind {
                bucket: Arc::new(Bucket::open(options)?),
                cache: Cache::measured(folder, cache_bytes)?,
            }),
            None => None,
        };
        Ok(Blobs {
            inner: Arc::new(Inner {
                root: folder.to_owned(),
                naming: Mutex::new(()),
                lock,
                crash,
                behind,
            }),
        })
    }

    /// The bucket's URL, if there is one.
    pub fn bucket_url(&self) -> Option<String> {
        Some(self.inner.behind.as_ref()?.bucket.options().url())
    }

    /// Asks the bucket for its first objects, to learn whether it is there and lets us in.
    pub async fn reach_bucket(&self) -> Result<()> {
        match &self.inner.behind {
            Some(behind) => behind.bucket.reach().await,
            None => Ok(()),
        }
    }

    /// Whether the bucket can be written, read, listed and removed from, tried with an object that is there for a moment.
    pub async fn probe_bucket(&self) -> Result<()> {
        match &self.inner.behind {
            Some(behind) => behind.bucket.probe().await,
            None => Ok(()),
        }
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

    /// Where a blob lies in the folder, or would lie.
    pub fn path(&self, hash: BlobHash) -> PathBuf {
        let name = hash.to_string();
        let (shard, rest) = name.split_at(2);
        self.inner.root.join(shard).join(rest)
    }

    /// Gives complete and synced bytes their name, once they are in the bucket where there is one. Blocks.
    fn keep(&self, staged: &Path, hash: BlobHash, bytes: u64) -> Result<()> {
        self.crash_at(CrashPoint::BlobStaged)?;
        if let Some(Behind { bucket, cache: _ }) = &self.inner.behind {
            bucket.wait(bucket.keep(hash, staged, bytes, &|point| self.crash_at(point)))?;
        }
        self.name(staged, hash, bytes)?;
        self.crash_at(CrashPoint::BlobNamed)
    }

    /// Gives bytes their name in the folder. A copy that has it already stays, as young as a new one: somebody may be
    /// reading it, and a sandboxed child may read the very file that it was shown, not another one of the same name.
    fn name(&self, staged: &Path, hash: BlobHash, bytes: u64) -> Result<()> {
        let path = self.path(hash);
        let shard = path.parent().unwrap_or(&self.inner.root);
        if !shard.is_dir() {
            fs::create_dir_all(shard).map_err(failed("create", shard))?;
            sync_folder(&self.inner.root)?;
        }
        let mut added = bytes;
        {
            let _naming = self.exclusive()?;
            if is_copy(staged, &path) {
                let copy = File::open(&path).map_err(failed("open", &path))?;
                sync_young(&copy, &path)?;
                fs::remove_file(staged).map_err(failed("remove", staged))?;
                added = 0;
            } else {
                fs::rename(staged, &path).map_err(failed("name", &path))?;
            }
        }
        sync_folder(shard)?;
        match &self.inner.behind {
            Some(Behind { bucket: _, cache }) => cache.add(&self.inner.root, added),
            None => Ok(()),
        }
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

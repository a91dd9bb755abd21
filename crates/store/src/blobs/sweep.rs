//! Removes what nobody needs: blobs without a reference and stagings without a writer, past a grace time.
//!
//! The store is asked first and without a lock. Whoever refers to a blob after that has committed it within the
//! grace time, which has made it young, and the age is looked at once more under the lock before it is removed.

use std::{
    fs::{self, DirEntry, Metadata},
    io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use kinora_domain::{BlobHash, Timestamp};

use super::{Blobs, STAGING, failed};
use crate::{CrashPoint, Result, Store, StoreError};

/// What a sweep has removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Blobs that nobody referred to.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Stagings that nobody went on with.
    pub stagings: u64,
}

/// What is old enough to be removed.
struct Old {
    path: PathBuf,
    hash: BlobHash,
}

impl Blobs {
    /// Removes blobs that nothing in `store` refers to, and abandoned stagings, where they are older than
    /// `grace_ms` at `now`. The grace must be longer than it takes to refer to a blob once it is committed.
    pub async fn sweep(&self, store: &dyn Store, grace_ms: u64, now: Timestamp) -> Result<SweepReport> {
        let before = now.minus_ms(grace_ms);
        let mut report = SweepReport {
            stagings: self
                .in_background(move |blobs| blobs.sweep_stagings(before))
                .await?,
            ..SweepReport::default()
        };
        // Shard by shard, so that memory does not grow with the number of blobs.
        for shard in 0..=u8::MAX {
            let old = self
                .in_background(move |blobs| blobs.old_blobs(shard, before))
                .await?;
            for Old { path, hash } in old {
                if store.is_referenced(hash).await? {
                    continue;
                }
                let removed = self
                    .in_background(move |blobs| blobs.remove_old(&path, before))
                    .await?;
                if let Some(bytes) = removed {
                    report.blobs += 1;
                    report.blob_bytes += bytes;
                    self.crash_at(CrashPoint::BlobSwept)?;
                }
            }
        }
        Ok(report)
    }

    async fn in_background<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Blobs) -> Result<T> + Send + 'static,
    {
        let blobs = self.clone();
        tokio::task::spawn_blocking(move || work(&blobs))
            .await
            .map_err(|_| StoreError::Closed)?
    }

    fn sweep_stagings(&self, before: Timestamp) -> Result<u64> {
        let mut removed = 0;
        for entry in entries(&self.inner.root.join(STAGING))? {
            removed += u64::from(self.remove_old(&entry.path(), before)?.is_some());
        }
        Ok(removed)
    }

    fn old_blobs(&self, shard: u8, before: Timestamp) -> Result<Vec<Old>> {
        let shard = format!("{shard:02x}");
        let mut old = Vec::new();
        for entry in entries(&self.inner.root.join(&shard))? {
            let path = entry.path();
            // A file that has no blob's name is not ours to remove.
            let name = entry.file_name();
            let hash = name
                .to_str()
                .and_then(|rest| format!("{shard}{rest}").parse().ok());
            let is_old = match metadata(&path)? {
                Some(metadata) => modified(&metadata, &path)? < before,
                None => false,
            };
            if let (Some(hash), true) = (hash, is_old) {
                old.push(Old { path, hash });
            }
        }
        Ok(old)
    }

    /// Removes a file if it is still old; tells its size if it did.
    fn remove_old(&self, path: &Path, before: Timestamp) -> Result<Option<u64>> {
        let _naming = self.exclusive()?;
        let Some(metadata) = metadata(path)? else {
            return Ok(None);
        };
        if !metadata.is_file() || modified(&metadata, path)? >= before {
            return Ok(None);
        }
        fs::remove_file(path).map_err(failed("remove", path))?;
        Ok(Some(metadata.len()))
    }
}

/// What is in a folder; nothing is in one that is not there.
fn entries(folder: &Path) -> Result<Vec<DirEntry>> {
    match fs::read_dir(folder).and_then(Iterator::collect) {
        Ok(entries) => Ok(entries),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(failed("list", folder)(source)),
    }
}

/// What is known of a file; nothing, if it has gone meanwhile.
fn metadata(path: &Path) -> Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("look at", path)(source)),
    }
}

fn modified(metadata: &Metadata, path: &Path) -> Result<Timestamp> {
    let modified = metadata.modified().map_err(failed("look at", path))?;
    let since_epoch = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Timestamp::EPOCH.plus_ms(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)))
}

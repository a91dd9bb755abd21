//! Removes what nobody needs: blobs without a reference and stagings without a writer, past a grace time.
//!
//! The store is asked first and without a lock. Whoever refers to a blob after that has committed it within the
//! grace time, which has made it young, and the age is looked at once more under the lock before it is removed.
//!
//! A bucket has no lock. There the sweep, having asked the store, goes on in this order for each blob:
//! 1. it writes a mark of its own beside the blob,
//! 2. looks once more whether the blob is old,
//! 3. removes it, or not,
//! 4. removes the mark.
//!
//! Whoever commits does it the other way round: makes the blob young, looks for marks, waits until there are none, and then
//! looks whether the blob is still there. If the mark came before that look, the commit waits and finds out what became of
//! the blob; if it came after, then step 2 came later still and has seen a young blob. Marks have names of their own, so
//! that two sweeps do not remove each other's. A sweep that dies leaves its mark: commits wait for it once for
//! [`BucketOptions::sweep_patience`], which no living sweep exceeds, and the next sweep removes it when it is old. A sweep
//! that did not hear whether a removal was done leaves its mark, too.

use std::{
    fs::{self, DirEntry, Metadata},
    io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use bytes::Bytes;
use futures_util::TryStreamExt;
use kinora_domain::{BlobHash, Timestamp};
use tokio::time::{Instant, timeout_at};

use super::{
    Behind, Blobs, STAGING,
    bucket::{Bucket, unique},
    failed,
};
use crate::{CrashPoint, Result, Store, StoreError};

/// What a sweep has removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Blobs that nobody referred to.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Stagings and uploads that nobody went on with.
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
        let stagings = self
            .in_background(move |blobs| blobs.sweep_stagings(before))
            .await?;
        let folder = self.sweep_folder(store, before).await?;
        let Some(Behind { bucket, cache: _ }) = &self.inner.behind else {
            return Ok(SweepReport { stagings, ..folder });
        };
        // What went from the folder were copies. The bucket's own report counts.
        self.in_background(|blobs| match &blobs.inner.behind {
            Some(Behind { bucket: _, cache }) => cache.make_room(&blobs.inner.root),
            None => Ok(()),
        })
        .await?;
        let report = self.sweep_bucket(bucket, store, before).await?;
        Ok(SweepReport {
            stagings: stagings + report.stagings,
            ..report
        })
    }

    /// Blobs of the folder, or the copies in it.
    async fn sweep_folder(&self, store: &dyn Store, before: Timestamp) -> Result<SweepReport> {
        let mut report = SweepReport::default();
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

    /// Blobs of the bucket, then the uploads and marks that were left there.
    async fn sweep_bucket(
        &self,
        bucket: &Bucket,
        store: &dyn Store,
        before: Timestamp,
    ) -> Result<SweepReport> {
        let mut report = SweepReport::default();
        let listed = bucket.list(&["blobs"]);
        tokio::pin!(listed);
        while let Some((key, facts)) = listed.try_next().await? {
            let Some(hash) = bucket.named(&key) else { continue };
            if facts.modified >= before || store.is_referenced(hash).await? {
                continue;
            }
            if self.remove_from(bucket, hash, before).await? {
                report.blobs += 1;
                report.blob_bytes += facts.bytes;
            }
        }
        let noted = bucket.list(&["uploads"]);
        tokio::pin!(noted);
        while let Some((note, facts)) = noted.try_next().await? {
            if facts.modified < before {
                bucket.abandon_noted(&note).await?;
                report.stagings += 1;
            }
        }
        for folder in ["sweeping", "probe"] {
            let left = bucket.list(&[folder]);
            tokio::pin!(left);
            while let Some((mark, facts)) = left.try_next().await? {
                if facts.modified < before {
                    bucket.remove(&mark).await?;
                }
            }
        }
        Ok(report)
    }

    /// Removes a blob from the bucket, by the steps at the top of this file, if it is still old; tells whether it did.
    async fn remove_from(&self, bucket: &Bucket, hash: BlobHash, before: Timestamp) -> Result<bool> {
        let until = Instant::now() + bucket.options().sweep_patience / 2;
        let mark = bucket.key(&["sweeping", &hash.to_string(), &unique()]);
        bucket.put_small(&mark, Bytes::new()).await?;
        self.crash_at(CrashPoint::BucketMarked)?;
        let looked_and_removed = async {
            let is_old = bucket
                .facts(hash)
                .await?
                .is_some_and(|facts| facts.modified < before);
            if is_old {
                bucket.remove(&bucket.blob_key(hash)).await?;
            }
            Ok(is_old)
        };
        // Cut off here, it is not known what became of it: then the mark stays.
        let removed = match timeout_at(until, looked_and_removed).await {
            Ok(removed) => removed?,
            Err(_) => return Ok(false),
        };
        if removed {
            self.crash_at(CrashPoint::BucketSwept)?;
        }
        bucket.remove(&mark).await?;
        Ok(removed)
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
pub(super) fn entries(folder: &Path) -> Result<Vec<DirEntry>> {
    match fs::read_dir(folder).and_then(Iterator::collect) {
        Ok(entries) => Ok(entries),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(failed("list", folder)(source)),
    }
}

/// What is known of a file; nothing, if it has gone meanwhile.
pub(super) fn metadata(path: &Path) -> Result<Option<Metadata>> {
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

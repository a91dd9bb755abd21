//! How a blob is read: from the folder where it is there, else out of the bucket.

use std::{
    fs::{self, File},
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use kinora_domain::BlobHash;
use sha2::{Digest, Sha256};

use super::{
    Behind, Blobs, STAGING,
    bucket::{Bucket, FETCHED_BYTES},
    cache, failed,
};
use crate::{Result, StoreError};

/// How much of an object is asked for at once when it goes on to a client.
const PASSED_ON_BYTES: u64 = 2 << 20;

/// Where a blob is that somebody wants to have.
pub enum Found {
    /// Here.
    File {
        /// Open.
        file: File,
        /// Its length.
        bytes: u64,
    },
    /// In the bucket, if anywhere.
    Remote(Remote),
}

/// A blob that is not here.
pub struct Remote {
    bucket: Arc<Bucket>,
    hash: BlobHash,
}

/// A blob with a path that is good for as long as this lives.
#[derive(Debug)]
pub struct Borrowed {
    path: PathBuf,
    /// Whether the path is this one's alone.
    own: bool,
}

impl Blobs {
    /// How many bytes a blob has, if it is there for good: in the bucket, or else in the folder.
    pub async fn length(&self, hash: BlobHash) -> Result<Option<u64>> {
        match &self.inner.behind {
            Some(Behind { bucket, cache: _ }) => Ok(bucket.facts(hash).await?.map(|facts| facts.bytes)),
            None => Ok(open_if_there(&self.path(hash))?.map(|(_, bytes)| bytes)),
        }
    }

    /// Whether a blob is there for good.
    pub async fn exists(&self, hash: BlobHash) -> Result<bool> {
        Ok(self.length(hash).await?.is_some())
    }

    /// A blob and its length in bytes, if it is there; fetched, if need be.
    pub async fn open_blob(&self, hash: BlobHash) -> Result<Option<(File, u64)>> {
        let opened = self.bring(hash, |path| File::open(path)).await?;
        opened.map(|file| measured(file, &self.path(hash))).transpose()
    }

    /// A blob in the folder, or where else to look. Asks the bucket nothing yet.
    pub fn find(&self, hash: BlobHash) -> Result<Option<Found>> {
        let path = self.path(hash);
        match (open_if_there(&path)?, &self.inner.behind) {
            (Some((file, bytes)), behind) => {
                if behind.is_some() {
                    cache::used(&path);
                }
                Ok(Some(Found::File { file, bytes }))
            }
            (None, Some(Behind { bucket, cache: _ })) => Ok(Some(Found::Remote(Remote {
                bucket: Arc::clone(bucket),
                hash,
            }))),
            (None, None) => Ok(None),
        }
    }

    /// A path at which a blob can be read for as long as there is a file at `at`, if the blob is anywhere: where it is
    /// kept for good, or `at` itself, which becomes a second name of the cached file.
    pub async fn locate(&self, hash: BlobHash, at: &Path) -> Result<Option<PathBuf>> {
        if self.inner.behind.is_none() {
            let path = self.path(hash);
            let there = path.try_exists().map_err(failed("look for", &path))?;
            return Ok(there.then_some(path));
        }
        let to = at.to_owned();
        let brought = self.bring(hash, move |path| link_or_copy(path, &to)).await?;
        Ok(brought.map(|()| at.to_owned()))
    }

    /// As [`Blobs::locate`], for those who have no place of their own.
    pub async fn borrow(&self, hash: BlobHash) -> Result<Option<Borrowed>> {
        let name = format!("borrowed-{:032x}", rand::random::<u128>());
        let at = self.inner.root.join(STAGING).join(name);
        let path = self.locate(hash, &at).await?;
        Ok(path.map(|path| Borrowed {
            own: path == at,
            path,
        }))
    }

    /// Takes something of a blob's file, which is fetched first where it is not here. Nothing, if the blob is nowhere.
    async fn bring<T: Send + 'static>(
        &self,
        hash: BlobHash,
        take: impl Fn(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let path = self.path(hash);
        match take(&path) {
            Ok(taken) => {
                if self.inner.behind.is_some() {
                    cache::used(&path);
                }
                return Ok(Some(taken));
            }
            // Not here, or no longer.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(failed("take", &path)(source)),
        }
        let Some(Behind { bucket, cache: _ }) = &self.inner.behind else {
            return Ok(None);
        };
        let Some(facts) = bucket.facts(hash).await? else {
            return Ok(None);
        };
        let mut staging = self.stage()?;
        let pieces = bucket.read(hash, 0..facts.bytes, FETCHED_BYTES);
        tokio::pin!(pieces);
        while let Some(piece) = pieces.try_next().await? {
            staging.append(&piece).await?;
        }
        let cached = tokio::task::spawn_blocking(move || staging.cache(hash, take));
        cached.await.map_err(|_| StoreError::Closed)?.map(Some)
    }
}

impl Remote {
    /// How many bytes it has; nothing, if it is not in the bucket either.
    pub async fn length(&self) -> Result<Option<u64>> {
        Ok(self.bucket.facts(self.hash).await?.map(|facts| facts.bytes))
    }

    /// A URL at which a client gets it from the bucket, good for `life` or less; nothing, where that is not wanted.
    pub async fn signed_url(&self, life: Duration) -> Result<Option<String>> {
        self.bucket.signed_url(self.hash, life).await
    }

    /// Its bytes in this range of the `length` that it has. Whoever asks for all of them and gets wrong ones learns that
    /// before the last of them.
    pub fn stream(&self, range: Range<u64>, length: u64) -> impl Stream<Item = Result<Bytes>> + Send + use<> {
        let mut hasher = (range == (0..length)).then(Sha256::new);
        let (hash, mut behind) = (self.hash, 0);
        let pieces = self.bucket.read(hash, range, PASSED_ON_BYTES);
        pieces.map(move |piece| {
            let piece = piece?;
            behind += piece.len() as u64;
            if let Some(hasher) = &mut hasher {
                hasher.update(&piece);
                if behind == length && BlobHash(hasher.finalize_reset().into()) != hash {
                    return Err(StoreError::CorruptBlob { hash, bytes: length });
                }
            }
            Ok(piece)
        })
    }
}

impl Borrowed {
    /// Where it can be read.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if self.own {
            // What cannot be removed now is removed by the sweep.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn open_if_there(path: &Path) -> Result<Option<(File, u64)>> {
    match File::open(path) {
        Ok(file) => measured(file, path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("open", path)(source)),
    }
}

fn measured(file: File, path: &Path) -> Result<(File, u64)> {
    let bytes = file.metadata().map_err(failed("look at", path))?.len();
    Ok((file, bytes))
}

/// A second name costs nothing; another file system has to make it a copy.
fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => fs::copy(from, to).map(drop),
        linked => linked,
    }
}

//! How a blob gets into the bucket: whole or in parts, and so that no sweep anywhere takes it away again.

use std::{io, path::Path};

use bytes::Bytes;
use futures_util::StreamExt;
use kinora_domain::BlobHash;
use object_store::{Attribute, Attributes, PutMultipartOptions, PutOptions, PutPayload, path::Path as Key};
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt},
    time::{Duration, Instant, sleep},
};
use tracing::warn;

use super::{Bucket, BucketError, Facts, failed, now, unique};
use crate::{
    CrashPoint, Result, StoreError,
    blobs::{failed as failed_locally, kind::content_type},
};

/// How often a blob is sent that a sweep has taken away meanwhile.
const TRIES: u32 = 3;
/// How often marks are looked for while there are some.
const MARKED_EVERY: Duration = Duration::from_millis(200);

/// Told at the places where a process may die.
type Progress<'a> = &'a (dyn Fn(CrashPoint) -> Result<()> + Send + Sync);

impl Bucket {
    /// Has the blob in the bucket, young, once this returns; `file` holds its bytes.
    ///
    /// What is there already and young enough is not sent again. Then marks are waited for: a sweep that looked at the blob
    /// while it was old may still remove it, and one that begins from now on sees that it is young. A last look makes sure.
    pub(in super::super) async fn keep(
        &self,
        hash: BlobHash,
        file: &Path,
        bytes: u64,
        progress: Progress<'_>,
    ) -> Result<()> {
        let grace_ms = self.options.grace_ms;
        let mut sent = Ok(());
        for _ in 0..TRIES {
            let found = self.facts(hash).await?;
            if !found.is_some_and(|found| found.is_whole_and_young(bytes, grace_ms / 4)) {
                // An answer that got lost says nothing about what is there: the last look decides.
                sent = self.send(hash, file, bytes, progress).await;
                if matches!(sent, Err(StoreError::Closed)) {
                    return sent;
                }
            }
            self.outlast_marks(hash).await?;
            let found = self.facts(hash).await?;
            if found.is_some_and(|found| found.is_whole_and_young(bytes, grace_ms / 2)) {
                return Ok(());
            }
            sent?;
            sent = Err(failed("keep", &self.blob_key(hash))(match found {
                Some(found) if found.bytes == bytes => format!(
                    "what was just sent is {} s old: either sending it takes too long for data.orphan_grace_minutes, \
                     or a clock is wrong",
                    now().ms_since(found.modified) / 1000
                ),
                Some(found) => format!("{bytes} bytes were sent, and {} are there", found.bytes),
                None => "what was just sent is not there".to_owned(),
            }));
        }
        sent
    }

    async fn send(&self, hash: BlobHash, path: &Path, bytes: u64, progress: Progress<'_>) -> Result<()> {
        let mut file = File::open(path).await.map_err(failed_locally("open", path))?;
        let first = read_piece(&mut file, bytes.min(self.options.part_bytes)).await;
        let first = first.map_err(failed_locally("read", path))?;
        let attributes = Attributes::from_iter([
            // A client that is sent here is told the same as by us, and nothing is ever shown as a page.
            (Attribute::ContentType, content_type(&first)),
            (Attribute::CacheControl, "private, max-age=3600"),
        ]);
        let key = self.blob_key(hash);
        if bytes <= self.options.part_bytes {
            let options = PutOptions {
                attributes,
                ..PutOptions::default()
            };
            let put = self
                .objects
                .put_opts(&key, PutPayload::from(first), options)
                .await;
            put.map_err(failed("keep", &key))?;
            return progress(CrashPoint::BucketSent);
        }
        let options = PutMultipartOptions {
            attributes,
            ..PutMultipartOptions::default()
        };
        let id = self
            .parts
            .create_multipart_opts(&key, options)
            .await
            .map_err(failed("begin", &key))?;
        // An upload without parts holds no bytes; before there are any, others can learn how to end it.
        let note = self.key(&["uploads", &unique()]);
        let noted = self.put_small(&note, format!("{hash}\n{id}").into()).await;
        let sent = async {
            noted?;
            progress(CrashPoint::BucketNoted)?;
            self.send_parts(&key, &id, &mut file, path, first, bytes, progress)
                .await
        };
        match sent.await {
            Ok(()) => {
                self.remove(&note).await?;
                progress(CrashPoint::BucketSent)
            }
            // The dead tidy up nothing.
            Err(StoreError::Closed) => Err(StoreError::Closed),
            Err(error) => {
                self.abandon(&note, &key, &id).await.ok();
                Err(error)
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one upload, whose parts are the arguments"
    )]
    async fn send_parts(
        &self,
        key: &Key,
        id: &String,
        file: &mut File,
        path: &Path,
        first: Bytes,
        bytes: u64,
        progress: Progress<'_>,
    ) -> Result<()> {
        let (mut parts, mut sent, mut piece) = (Vec::new(), 0, first);
        file.seek(io::SeekFrom::Start(piece.len() as u64))
            .await
            .map_err(failed_locally("read", path))?;
        loop {
            sent += piece.len() as u64;
            let part = self.parts.put_part(key, id, parts.len(), piece.into()).await;
            parts.push(part.map_err(failed("keep a part of", key))?);
            progress(CrashPoint::BucketPartSent)?;
            if sent == bytes {
                break;
            }
            piece = read_piece(file, (bytes - sent).min(self.options.part_bytes))
                .await
                .map_err(failed_locally("read", path))?;
        }
        let done = self.parts.complete_multipart(key, id, parts).await;
        done.map(drop).map_err(failed("put together", key))
    }

    /// Ends an upload that nobody goes on with, then forgets it.
    async fn abandon(&self, note: &Key, key: &Key, id: &String) -> Result<()> {
        match self.parts.abort_multipart(key, id).await {
            // Ended by another sweep, or it did come to its end.
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            // Some say of an upload that is over that it is nobody's. If it is there all the same, a rule of the bucket ends it.
            Err(error @ object_store::Error::PermissionDenied { .. }) => {
                warn!(
                    "The upload of {key} cannot be given up, or is over: {}",
                    BucketError::new(&error)
                );
            }
            Err(error) => return Err(failed("give up", key)(error)),
        }
        self.remove(note).await
    }

    /// Ends the upload that a note is about. A note that cannot be read is of no use to anybody.
    pub(in super::super) async fn abandon_noted(&self, note: &Key) -> Result<()> {
        let text = self.get_small(note).await?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let upload = text
            .split_once('\n')
            .and_then(|(hash, id)| Some((hash.parse().ok()?, id.to_owned())));
        match upload {
            Some((hash, id)) => self.abandon(note, &self.blob_key(hash), &id).await,
            None => self.remove(note).await,
        }
    }

    /// Waits until nobody is about to remove the blob. A mark that stays is of a process that has died.
    async fn outlast_marks(&self, hash: BlobHash) -> Result<()> {
        let until = Instant::now() + self.options.sweep_patience;
        let folder = hash.to_string();
        while self
            .list(&["sweeping", &folder])
            .next()
            .await
            .transpose()?
            .is_some()
            && Instant::now() < until
        {
            sleep(MARKED_EVERY).await;
        }
        Ok(())
    }
}

impl Facts {
    fn is_whole_and_young(&self, bytes: u64, within_ms: u64) -> bool {
        self.bytes == bytes && now().ms_since(self.modified) < within_ms.max(1)
    }
}

async fn read_piece(file: &mut File, bytes: u64) -> io::Result<Bytes> {
    let mut piece = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
    file.read_exact(&mut piece).await?;
    Ok(piece.into())
}

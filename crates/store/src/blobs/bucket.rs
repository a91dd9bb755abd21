//! The bucket behind a folder of blobs: where the bytes are for good, when there are many machines.
//!
//! ```text
//! blobs/ab/cdef…             a blob, as a local folder has it: the folder can be copied into a bucket as it is
//! uploads/<random>           a note about an upload in parts that has begun: which blob, and the provider's id of it
//! sweeping/<hash>/<random>   a mark: somebody is about to remove this blob
//! probe/<random>             of `kinora doctor`, there for a moment
//! ```
//!
//! [`Bucket::keep`] is the one way in. When it returns, the whole blob is there, is young, and will be for a while: only
//! then may anybody be told its name. Nothing in a bucket can be locked, so that keeping and sweeping, on whatever machines,
//! go by an order of steps instead (see [`sweep`](super::sweep)): who keeps writes the blob first and looks for marks then;
//! who sweeps writes a mark first and looks at the blob's age then. Whichever comes second sees what the other one did.

mod options;
mod upload;

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use kinora_domain::{BlobHash, Timestamp};
use object_store::{
    GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt,
    multipart::MultipartStore,
    path::Path as Key,
    signer::{Method, Signer},
};
use thiserror::Error;
use tokio::runtime::Handle;

use crate::{Result, StoreError};

pub use options::{BucketOptions, Provider, ProviderSettings, Redirects};

/// How much of an object is asked for at once when it goes into the cache.
pub(super) const FETCHED_BYTES: u64 = 8 << 20;

/// A bucket of whatever provider, or the part of one below a prefix.
pub(super) struct Bucket {
    objects: Arc<dyn ObjectStore>,
    /// The same once more: the trait objects cannot be had from each other.
    parts: Arc<dyn MultipartStore>,
    redirects: Option<(Arc<dyn Signer>, Duration)>,
    options: BucketOptions,
    /// Where requests run that a blocking thread waits for.
    runtime: Handle,
}

/// What is known of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) bytes: u64,
    pub(super) modified: Timestamp,
}

impl Bucket {
    /// Blocks until the future ends; for threads that may.
    pub(super) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(super) fn options(&self) -> &BucketOptions {
        &self.options
    }

    /// What is known of a blob, if it is there.
    pub(super) async fn facts(&self, hash: BlobHash) -> Result<Option<Facts>> {
        let key = self.blob_key(hash);
        match self.objects.head(&key).await {
            Ok(meta) => Ok(Some(Facts::of(&meta))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("look for", &key)(error)),
        }
    }

    /// The bytes of a blob in this range, asked for piece by piece: a slow reader costs the memory of one piece, and
    /// no request lasts longer than a piece takes.
    pub(super) fn read(
        self: &Arc<Self>,
        hash: BlobHash,
        range: Range<u64>,
        piece: u64,
    ) -> impl Stream<Item = Result<Bytes>> + Send + use<> {
        let bucket = Arc::clone(self);
        stream::try_unfold(range, move |rest| {
            let bucket = Arc::clone(&bucket);
            async move {
                if rest.is_empty() {
                    return Ok(None);
                }
                let end = rest.end.min(rest.start + piece);
                let key = bucket.blob_key(hash);
                let bytes = bucket.objects.get_range(&key, rest.start..end).await;
                let bytes = bytes.map_err(failed("read", &key))?;
                let next = rest.start + bytes.len() as u64;
                if bytes.is_empty() || next > end {
                    return Err(failed("read", &key)(format!(
                        "{} bytes came where {} were asked for",
                        bytes.len(),
                        end - rest.start
                    )));
                }
                Ok(Some((bytes, next..rest.end)))
            }
        })
    }

    /// A URL at which a client reads the blob without us, good for `life` or less; `None` where that is not wanted.
    pub(super) async fn signed_url(&self, hash: BlobHash, life: Duration) -> Result<Option<String>> {
        let Some((signer, life_max)) = &self.redirects else {
            return Ok(None);
        };
        let key = self.blob_key(hash);
        let url = signer
            .signed_url(Method::GET, &key, life.min(*life_max))
            .await
            .map_err(failed("sign a URL of", &key))?;
        Ok(Some(url.to_string()))
    }

    /// Lists a folder, which tells of a bucket that is not there, too.
    pub(super) async fn reach(&self) -> Result<()> {
        let listed = self.list(&["probe"]);
        tokio::pin!(listed);
        listed.next().await.transpose().map(drop)
    }

    /// Writes, reads and removes an object: what every later operation needs to be allowed.
    pub(super) async fn probe(&self) -> Result<()> {
        let key = self.key(&["probe", &unique()]);
        let written = Bytes::from_static(b"Kinora was here.");
        self.put_small(&key, written.clone()).await?;
        let read = self.get_small(&key).await?;
        if read.as_deref() != Some(&*written) {
            return Err(failed("give back", &key)("what was just written".to_owned()));
        }
        self.reach().await?;
        self.remove(&key).await
    }

    /// All objects below a folder, page by page as they are looked at.
    pub(super) fn list(&self, folder: &[&str]) -> impl Stream<Item = Result<(Key, Facts)>> + Send + use<> {
        let key = self.key(folder);
        self.objects
            .list(Some(&key))
            .map_ok(|meta| (meta.location.clone(), Facts::of(&meta)))
            .map_err(move |error| failed("list", &key)(error))
    }

    /// Removes an object; one that is not there has been removed.
    pub(super) async fn remove(&self, key: &Key) -> Result<()> {
        match self.objects.delete(key).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("remove", key)(error)),
        }
    }

    pub(super) async fn put_small(&self, key: &Key, bytes: Bytes) -> Result<()> {
        let put = self.objects.put(key, bytes.into()).await;
        put.map(drop).map_err(failed("keep", key))
    }

    pub(super) async fn get_small(&self, key: &Key) -> Result<Option<Bytes>> {
        let got = async {
            self.objects
                .get_opts(key, GetOptions::default())
                .await?
                .bytes()
                .await
        };
        match got.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("read", key)(error)),
        }
    }

    pub(super) fn blob_key(&self, hash: BlobHash) -> Key {
        let name = hash.to_string();
        let (shard, rest) = name.split_at(2);
        self.key(&["blobs", shard, rest])
    }

    /// The blob that a key names, if it is the key of one.
    pub(super) fn named(&self, key: &Key) -> Option<BlobHash> {
        let name: String = key
            .parts()
            .skip(self.options.prefix.parts().count() + 1)
            .fold(String::new(), |name, part| name + part.as_ref());
        let hash: BlobHash = name.parse().ok()?;
        (self.blob_key(hash) == *key).then_some(hash)
    }

    pub(super) fn key(&self, parts: &[&str]) -> Key {
        parts
            .iter()
            .fold(self.options.prefix.clone(), |key, part| key.join(*part))
    }
}

impl Facts {
    fn of(meta: &ObjectMeta) -> Facts {
        Facts {
            bytes: meta.size,
            modified: Timestamp(meta.last_modified.timestamp_millis()),
        }
    }
}

/// What a provider answered, in one sentence without secrets: no query of a URL, no echo of a signature.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct BucketError(String);

impl BucketError {
    pub(crate) fn new(error: &impl fmt::Display) -> BucketError {
        const CHARS_MAX: usize = 600;
        let text = error.to_string();
        // Answers of S3 are XML that may repeat the request with its signature; its two sentences are enough.
        let told = match text.split_once('<') {
            Some((before, xml)) => {
                let element = |name: &str| {
                    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
                    Some(rest.split_once("</")?.0)
                };
                let parts = [element("Code"), element("Message")];
                format!(
                    "{before}{}",
                    parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
                )
            }
            None => text,
        };
        let mut plain = String::new();
        let mut in_query = false;
        for c in told.chars().take(CHARS_MAX) {
            match c {
                '?' => in_query = true,
                c if c.is_whitespace() || matches!(c, '"' | ')' | '\'') => in_query = false,
                _ => {}
            }
            if !in_query {
                plain.push(c);
            }
        }
        BucketError(plain.trim().to_owned())
    }
}

fn failed<E: fmt::Display>(operation: &'static str, key: &Key) -> impl FnOnce(E) -> StoreError + use<E> {
    let object = key.to_string();
    move |source| StoreError::Bucket {
        operation,
        object,
        source: Box::new(BucketError::new(&source)),
    }
}

pub(super) fn unique() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_without_secrets() {
        let check = |said: &str, told: &str| assert_eq!(BucketError::new(&said).to_string(), told);
        check("it broke", "it broke");
        check(
            "Error performing GET https://b.example/k?sig=s3cret&se=1 in 2ms - HTTP error",
            "Error performing GET https://b.example/k in 2ms - HTTP error",
        );
        check(
            "403 Forbidden: <?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>No.</Message>\
             <AWSAccessKeyId>AKIA</AWSAccessKeyId><StringToSign>s3cret</StringToSign></Error>",
            "403 Forbidden: SignatureDoesNotMatch: No.",
        );
    }
}

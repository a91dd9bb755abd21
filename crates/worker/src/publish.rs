//! Files of an attempt that others are to read: they become blobs, and the server serves these under signed URLs.
//!
//! Such a blob is referred to by nobody and swept after the grace time of orphans. Whoever reads it does so when they
//! begin to work, which is minutes away, not hours.

use std::{
    fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use kinora_domain::{BlobHash, GenerationId};
use kinora_engine::{PublishError, Publisher};
use kinora_store::blobs::Blobs;

/// Gives a blob that belongs to a generation its public URL; the text is the extension of the file's name.
pub type PublishBlob = Arc<dyn Fn(GenerationId, BlobHash, &str) -> String + Send + Sync>;

/// The publisher of one attempt.
pub(crate) fn publisher(
    blobs: Arc<Blobs>,
    publish: PublishBlob,
    id: GenerationId,
    folder: &Path,
) -> Publisher {
    let folder = folder.to_owned();
    let count = AtomicU32::new(0);
    Publisher::new(move |file, extension| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let copy = folder.join(format!("published-{number}"));
        link_or_copy(file, &copy)?;
        let (blob, _) = blobs.adopt(&copy).map_err(PublishError::from)?;
        Ok(publish(id, blob, extension))
    })
}

/// A second name costs nothing; another file system has to make it a copy.
fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop))
}

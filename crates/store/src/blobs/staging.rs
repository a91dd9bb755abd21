//! A blob on its way: bytes are hashed as they are written, and forgotten unless they are committed.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    mem,
    path::{Path, PathBuf},
};

use kinora_domain::BlobHash;
use sha2::{Digest, Sha256};

use super::{Blobs, STAGING, failed, sync_young};
use crate::{Result, StoreError};

/// How many bytes are gathered before they are hashed and written in one go.
const GATHERED_BYTES: usize = 256 * 1024;

/// A blob whose bytes are still to come. Dropped before its commit, it leaves nothing behind.
pub struct Staging {
    blobs: Blobs,
    path: PathBuf,
    bytes: u64,
    gathered: Vec<u8>,
    /// `None` while another thread writes; for good, if its caller did not wait for it.
    sink: Option<Sink>,
    /// Whether the file is still to be removed.
    pending: bool,
}

struct Sink {
    file: File,
    hasher: Sha256,
}

impl Staging {
    pub(super) fn new(blobs: Blobs) -> Result<Staging> {
        let name = format!("{:032x}", rand::random::<u128>());
        let path = blobs.inner.root.join(STAGING).join(name);
        let file = File::create_new(&path).map_err(failed("create", &path))?;
        Ok(Staging {
            blobs,
            path,
            bytes: 0,
            gathered: Vec::new(),
            sink: Some(Sink {
                file,
                hasher: Sha256::new(),
            }),
            pending: true,
        })
    }

    /// How many bytes have come so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the next bytes. A call that is dropped before it returns spoils the blob.
    pub async fn append(&mut self, chunk: &[u8]) -> Result<()> {
        self.gather(chunk);
        if self.gathered.len() < GATHERED_BYTES {
            return Ok(());
        }
        let mut sink = self.sink()?;
        let gathered = mem::take(&mut self.gathered);
        let written = tokio::task::spawn_blocking(move || sink.write(&gathered).map(|()| (sink, gathered)));
        let (sink, mut gathered) = written
            .await
            .map_err(|_| StoreError::Closed)?
            .map_err(failed("write", &self.path))?;
        gathered.clear();
        self.sink = Some(sink);
        self.gathered = gathered;
        Ok(())
    }

    /// Takes the next bytes, on a thread that may block.
    pub fn append_blocking(&mut self, chunk: &[u8]) -> Result<()> {
        self.gather(chunk);
        if self.gathered.len() >= GATHERED_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Makes the bytes safe, on disk and in the bucket if there is one, and names them; tells the name and how many
    /// there are. What has failed has no name.
    pub async fn commit(self) -> Result<(BlobHash, u64)> {
        tokio::task::spawn_blocking(move || self.commit_blocking())
            .await
            .map_err(|_| StoreError::Closed)?
    }

    /// As [`Staging::commit`], on a thread that may block.
    pub fn commit_blocking(mut self) -> Result<(BlobHash, u64)> {
        self.flush()?;
        let Sink { file, hasher } = self.sink()?;
        sync_young(&file, &self.path)?;
        let hash = BlobHash(hasher.finalize().into());
        let kept = self.blobs.keep(&self.path, hash, self.bytes);
        // Named, it is no longer here; and a process that has died removes nothing.
        self.pending = !matches!(kept, Ok(()) | Err(StoreError::Closed));
        kept.map(|()| (hash, self.bytes))
    }

    /// Names a copy of what the bucket has, once `take` has taken what it needs of it; nothing, if it is not what its name
    /// says. Blocks.
    pub(super) fn cache<T>(
        mut self,
        expected: BlobHash,
        take: impl FnOnce(&Path) -> io::Result<T>,
    ) -> Result<T> {
        self.flush()?;
        let Sink { file: _, hasher } = self.sink()?;
        if BlobHash(hasher.finalize().into()) != expected {
            return Err(StoreError::CorruptBlob {
                hash: expected,
                bytes: self.bytes,
            });
        }
        let taken = take(&self.path).map_err(failed("take", &self.path))?;
        self.blobs.name(&self.path, expected, self.bytes)?;
        self.pending = false;
        Ok(taken)
    }

    /// Takes all the bytes of the file at `path`, which goes away.
    pub(super) fn take_over(&mut self, path: &Path) -> Result<()> {
        let moved = fs::rename(path, &self.path);
        match moved {
            Ok(()) => {
                let mut file = File::open(&self.path).map_err(failed("open", &self.path))?;
                let mut hasher = Sha256::new();
                self.bytes = read_all(&mut file, |chunk| {
                    hasher.update(chunk);
                    Ok(())
                })
                .map_err(failed("read", &self.path))?;
                self.sink = Some(Sink { file, hasher });
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                let mut file = File::open(path).map_err(failed("open", path))?;
                let mut sink = self.sink()?;
                self.bytes = read_all(&mut file, |chunk| sink.write(chunk)).map_err(failed("copy", path))?;
                self.sink = Some(sink);
                fs::remove_file(path).map_err(failed("remove", path))
            }
            Err(source) => Err(failed("take over", path)(source)),
        }
    }

    fn gather(&mut self, chunk: &[u8]) {
        self.gathered.extend_from_slice(chunk);
        self.bytes += chunk.len() as u64;
    }

    fn flush(&mut self) -> Result<()> {
        let mut sink = self.sink()?;
        sink.write(&self.gathered).map_err(failed("write", &self.path))?;
        self.gathered.clear();
        self.sink = Some(sink);
        Ok(())
    }

    fn sink(&mut self) -> Result<Sink> {
        let spoilt = || io::Error::other("an earlier write did not end");
        self.sink
            .take()
            .ok_or_else(spoilt)
            .map_err(failed("write", &self.path))
    }
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes)
    }
}

/// Reads a file to its end, piece by piece; tells how many bytes it had.
fn read_all(file: &mut File, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<u64> {
    let mut buffer = vec![0; GATHERED_BYTES];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(read) => {
                each(&buffer[..read])?;
                bytes += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.pending {
            // What cannot be removed now is removed by the sweep.
            let _ = fs::remove_file(&self.path);
        }
    }
}

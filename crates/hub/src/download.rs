//! One file, in as many attempts as it takes: each goes on where the last one ended, and the whole is what the Hub says it is or is
//! not kept.
//!
//! Nothing that a server says is believed but the hash: ranges may be ignored, lengths wrong, bytes damaged, the file another by now.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use reqwest::{StatusCode, header};
use tokio::{task::yield_now, time::sleep};

use crate::{
    cache::Cache,
    client::{Body, Hub, Listed, Metadata, Trouble, passing},
    digest::{Digest, Hasher},
    error::HubError,
    lock::Lock,
    name::Repository,
    pull::{Event, Observe, Planned},
};

/// How often a file may arrive damaged before it is given up: a line or a disk that spoils it once does not do so thrice.
const DAMAGED_MAX: u32 = 3;
/// How often a file may become another one.
const CHANGES_MAX: u32 = 3;
/// Read at once where what is here is hashed.
const BLOCK: usize = 1 << 20;

/// Where a file belongs.
struct Place<'a> {
    cache: &'a Cache,
    repository: &'a Repository,
    file: &'a Planned,
    observe: &'a Observe<'a>,
}

/// What has arrived of a file, and its hash so far.
struct Part {
    path: PathBuf,
    file: File,
    bytes: u64,
    hash: Option<Hasher>,
    wanted: Metadata,
}

/// How an attempt has ended.
enum Ended {
    /// Everything is here.
    Whole,
    /// The Hub has another file of that name by now.
    Changed,
    /// What is here is not the beginning of the file: it has been dropped.
    Useless(&'static str),
}

/// Fetches a file if it is not here, and has its commit lead to it.
pub(crate) async fn fetch(
    hub: &Hub,
    cache: &Cache,
    repository: &Repository,
    commit: &str,
    file: &Planned,
    observe: &Observe<'_>,
) -> Result<(), HubError> {
    let place = Place {
        cache,
        repository,
        file,
        observe,
    };
    let mut wanted = file.metadata.clone();
    for _ in 0..=CHANGES_MAX {
        if place.blob(hub, commit, &wanted).await? {
            cache.link(repository, commit, &file.path, &wanted.etag)?;
            let is_verified = wanted.digest.is_some();
            observe(Event::Done {
                file: &file.name,
                is_verified,
            });
            return Ok(());
        }
        place.again("it has become another file on the Hub");
        // What the list says is of the content before.
        wanted = hub
            .metadata(repository, commit, &Listed::named(&file.name))
            .await?;
    }
    let file = file.name.clone();
    Err(HubError::Changing { file })
}

impl Place<'_> {
    /// Has the blob of this content be there. False where the Hub has another content by now.
    async fn blob(&self, hub: &Hub, commit: &str, wanted: &Metadata) -> Result<bool, HubError> {
        let blob = self.cache.blob(self.repository, &wanted.etag);
        if is_whole(&blob, wanted) {
            return Ok(true);
        }
        let path = self.cache.lock(self.repository, &wanted.etag);
        let waiting = || {
            (self.observe)(Event::Waiting {
                file: &self.file.name,
            });
        };
        let _lock = Lock::take(&path, waiting).await.map_err(writing(&path))?;
        // Whom we waited for may have fetched it.
        if is_whole(&blob, wanted) {
            self.tell(wanted.bytes);
            return Ok(true);
        }
        let path = self.cache.incomplete(self.repository, &wanted.etag);
        let mut part = Part::open(path, wanted.clone()).await?;
        let mut damaged = 0;
        loop {
            if !self.complete(hub, commit, &mut part).await? {
                return Ok(false);
            }
            let Some(found) = part.finish()? else {
                break;
            };
            damaged += 1;
            if damaged == DAMAGED_MAX {
                let _ = fs::remove_file(&part.path);
                let digest = wanted.digest.as_ref();
                return Err(HubError::Damaged {
                    file: self.file.name.clone(),
                    times: damaged,
                    expected: digest.map_or("", Digest::as_str).to_owned(),
                    found,
                });
            }
            self.again("it arrived damaged");
        }
        let Part { path, file, .. } = part;
        file.sync_all().map_err(writing(&path))?;
        fs::rename(&path, &blob).map_err(writing(&blob))?;
        Ok(true)
    }

    /// Attempts until as many bytes are here as the file has. False where it has become another one.
    async fn complete(&self, hub: &Hub, commit: &str, part: &mut Part) -> Result<bool, HubError> {
        let subject = format!("{} of {}", self.file.name, self.repository);
        let mut patience = hub.patience();
        let mut furthest = part.bytes;
        self.tell(part.bytes);
        while part.bytes < part.wanted.bytes {
            let trouble = match self.attempt(hub, commit, part).await {
                Ok(Ended::Whole) => break,
                Ok(Ended::Changed) => return Ok(false),
                Ok(Ended::Useless(why)) => Trouble::Passing {
                    host: subject.clone(),
                    why: why.to_owned(),
                    after: None,
                },
                Err(trouble) => trouble,
            };
            if part.bytes > furthest {
                furthest = part.bytes;
                patience.renew();
            }
            let (wait, why) = patience.wait(&subject, trouble)?;
            self.again(&why);
            sleep(wait).await;
        }
        Ok(true)
    }

    /// One question for what is missing, and its answer written down as it comes.
    async fn attempt(&self, hub: &Hub, commit: &str, part: &mut Part) -> Result<Ended, Trouble> {
        let Body {
            mut response,
            host,
            etag,
        } = hub
            .bytes(self.repository, commit, &self.file.name, part.bytes)
            .await?;
        if etag.is_some_and(|etag| etag != part.wanted.etag) {
            return Ok(Ended::Changed);
        }
        let written = |error| Trouble::Lasting(error);
        match response.status() {
            StatusCode::OK => part.restart().map_err(written)?,
            StatusCode::PARTIAL_CONTENT if starts_at(&response, part.bytes) => {}
            StatusCode::PARTIAL_CONTENT => {
                part.restart().map_err(written)?;
                return Ok(Ended::Useless("other bytes came than were asked for"));
            }
            _ => {
                part.restart().map_err(written)?;
                return Ok(Ended::Useless("it is shorter than it is said to be"));
            }
        }
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    if part.bytes + chunk.len() as u64 > part.wanted.bytes {
                        part.restart().map_err(written)?;
                        return Ok(Ended::Useless("it is longer than it is said to be"));
                    }
                    part.push(&chunk).map_err(written)?;
                    self.tell(part.bytes);
                }
                Ok(None) if part.bytes == part.wanted.bytes => return Ok(Ended::Whole),
                Ok(None) => {
                    let why = "the answer ended too early".to_owned();
                    return Err(Trouble::Passing {
                        host,
                        why,
                        after: None,
                    });
                }
                Err(error) => return Err(passing(host, &error)),
            }
        }
    }

    fn tell(&self, bytes: u64) {
        let file = &self.file.name;
        (self.observe)(Event::At { file, bytes });
    }

    fn again(&self, why: &str) {
        let file = &self.file.name;
        (self.observe)(Event::Again { file, why });
    }
}

impl Part {
    /// What has arrived so far, hashed; nothing where it is more than the file has.
    async fn open(path: PathBuf, wanted: Metadata) -> Result<Part, HubError> {
        let folder = path.parent().unwrap_or(Path::new(""));
        fs::create_dir_all(folder).map_err(writing(folder))?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path);
        let file = file.map_err(writing(&path))?;
        let present = file.metadata().map_err(writing(&path))?.len();
        let mut part = Part {
            hash: begin(&wanted),
            bytes: 0,
            wanted,
            file,
            path,
        };
        if present > part.wanted.bytes {
            part.restart()?;
            return Ok(part);
        }
        let mut block = vec![0; BLOCK];
        while part.bytes < present {
            let count = part.file.read(&mut block).map_err(writing(&part.path))?;
            if count == 0 {
                break;
            }
            if let Some(hash) = &mut part.hash {
                hash.update(&block[..count]);
            }
            part.bytes += count as u64;
            // Tens of gigabytes may be here: others want to go on, and a person may want to end it.
            yield_now().await;
        }
        Ok(part)
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        self.file.write_all(bytes).map_err(writing(&self.path))?;
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Drops what has arrived.
    fn restart(&mut self) -> Result<(), HubError> {
        let dropped = self
            .file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)));
        dropped.map_err(writing(&self.path))?;
        self.bytes = 0;
        self.hash = begin(&self.wanted);
        Ok(())
    }

    /// The hash of the whole where it is wrong; then what has arrived is dropped.
    fn finish(&mut self) -> Result<Option<String>, HubError> {
        let (Some(hash), Some(digest)) = (self.hash.take(), &self.wanted.digest) else {
            return Ok(None);
        };
        let found = hash.finish();
        if found == digest.as_str() {
            return Ok(None);
        }
        self.restart()?;
        Ok(Some(found))
    }
}

fn begin(wanted: &Metadata) -> Option<Hasher> {
    wanted.digest.as_ref().map(|digest| digest.begin(wanted.bytes))
}

/// A blob is renamed to its name when it is whole; of another length it was spoiled since.
fn is_whole(blob: &Path, wanted: &Metadata) -> bool {
    blob.metadata().is_ok_and(|file| file.len() == wanted.bytes)
}

/// Whether an answer begins where it was asked to: `bytes 100-199/200`.
fn starts_at(response: &reqwest::Response, from: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE);
    let range = range.and_then(|range| range.to_str().ok());
    let start = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
    start == Some(from)
}

fn writing(path: &Path) -> impl FnOnce(io::Error) -> HubError {
    let path = path.to_owned();
    move |source| HubError::Write { path, source }
}

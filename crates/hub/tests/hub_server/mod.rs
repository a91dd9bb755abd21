//! A Hub for tests, on this machine: repositories with small files and large ones, which lie on a store of another host; both do as
//! they are told to fail.
//!
//! It speaks HTTP by hand, because a library would not lie about a length, stop in the middle, or send other bytes than were asked for.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The only commit of every repository, until a file is changed.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// The token that may read what is private.
pub(crate) const TOKEN: &str = "hf_not_a_secret_at_all";

/// A running Hub.
pub(crate) struct TestHub {
    pub(crate) home: SocketAddr,
    pub(crate) store: SocketAddr,
    shared: Arc<Shared>,
}

/// Who may read a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Public,
    Private,
    Gated,
}

/// What happens to a question for the bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection ends after so many bytes.
    Cut(usize),
    /// Nothing more comes after so many bytes, but the connection stays.
    Stall(usize),
    /// So many bytes at a time, each time after a while.
    Slow(usize, Duration),
    /// This byte of the file is another one.
    Flip(usize),
    /// An answer with this status, and when to ask again.
    Status(u16, Option<String>),
    /// The whole file comes, whatever range was asked for.
    NoRanges,
    /// The answer says that it is so much longer or shorter.
    WrongLength(i64),
    /// A range other than the one that was asked for.
    OtherRange,
    /// From now on the file has these bytes.
    Becomes(Vec<u8>),
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) at_home: bool,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    pub(crate) range: Option<String>,
}

#[derive(Default)]
struct Shared {
    repositories: Mutex<BTreeMap<String, Stored>>,
    faults: Mutex<Vec<(String, u32, Fault)>>,
    seen: Mutex<Vec<Seen>>,
    store: Mutex<Option<SocketAddr>>,
    /// What is said to be the length of a file, where that is a lie.
    lengths: Mutex<BTreeMap<String, u64>>,
}

struct Stored {
    access: Access,
    files: BTreeMap<String, Vec<u8>>,
}

/// From this length on a file lies on the store.
const LARGE: usize = 1024;

impl TestHub {
    pub(crate) fn start() -> TestHub {
        let shared = Arc::new(Shared::default());
        let home = listen(Arc::clone(&shared), true);
        let store = listen(Arc::clone(&shared), false);
        *lock(&shared.store) = Some(store);
        TestHub { home, store, shared }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.home)
    }

    pub(crate) fn add(&self, repository: &str, access: Access, files: &[(&str, Vec<u8>)]) {
        let files = files
            .iter()
            .map(|(name, bytes)| ((*name).to_owned(), bytes.clone()))
            .collect();
        lock(&self.shared.repositories).insert(repository.to_owned(), Stored { access, files });
    }

    /// A repository of the files below a folder.
    pub(crate) fn add_folder(&self, repository: &str, folder: &Path) {
        let mut files = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                    files.insert(name, std::fs::read(path).unwrap());
                }
            }
        }
        let access = Access::Public;
        lock(&self.shared.repositories).insert(repository.to_owned(), Stored { access, files });
    }

    /// The next so many questions for the bytes of this file fail so.
    pub(crate) fn fail(&self, times: u32, file: &str, fault: Fault) {
        lock(&self.shared.faults).push((file.to_owned(), times, fault));
    }

    /// The file is said to be so long from now on.
    pub(crate) fn lie(&self, file: &str, bytes: u64) {
        lock(&self.shared.lengths).insert(file.to_owned(), bytes);
    }

    /// Whether every fault has happened as often as it was to.
    pub(crate) fn has_failed_enough(&self) -> bool {
        lock(&self.shared.faults).iter().all(|(_, times, _)| *times == 0)
    }

    /// All requests since the last call.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *lock(&self.shared.seen))
    }

    /// How often the bytes of a file were asked for where they lie, and from where on.
    pub(crate) fn asked(&self, name: &str) -> Vec<Option<String>> {
        let seen = lock(&self.shared.seen);
        let is_last = |seen: &&Seen| {
            let path = seen.path.split('?').next().unwrap_or_default();
            seen.method == "GET"
                && !path.starts_with("/api/")
                && path.ends_with(name)
                // What the Hub itself says of a large file is where it lies.
                && (!seen.at_home || !self.is_large(name))
        };
        seen.iter()
            .filter(is_last)
            .map(|seen| seen.range.clone())
            .collect()
    }

    fn is_large(&self, name: &str) -> bool {
        let repositories = lock(&self.shared.repositories);
        let mut files = repositories.values().filter_map(|stored| stored.files.get(name));
        files.any(|bytes| bytes.len() >= LARGE)
    }
}

fn listen(shared: Arc<Shared>, at_home: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = Arc::clone(&shared);
            // Who asked may be gone before the answer is.
            thread::spawn(move || drop(shared.serve(stream, at_home)));
        }
    });
    address
}

impl Shared {
    /// One question and its answer; then the connection ends.
    fn serve(&self, mut stream: TcpStream, at_home: bool) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut seen = Seen {
            at_home,
            method: method.to_owned(),
            path: path.replace("%2F", "/"),
            token: None,
            range: None,
        };
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim().split_once(": ") else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "authorization" => seen.token = value.strip_prefix("Bearer ").map(str::to_owned),
                "range" => seen.range = Some(value.to_owned()),
                _ => {}
            }
        }
        lock(&self.seen).push(seen.clone());
        let path = seen.path.split('?').next().unwrap_or_default();
        if !at_home {
            let (repository, file) = path
                .trim_start_matches("/store/")
                .split_once("//")
                .unwrap_or_default();
            return self.bytes(&mut stream, &seen, repository, file);
        }
        if let Some(rest) = path.strip_prefix("/api/models/") {
            let (repository, revision) = rest.split_once("/revision/").unwrap_or_default();
            return self.list(&mut stream, &seen, repository, revision);
        }
        let (repository, rest) = path
            .trim_start_matches('/')
            .split_once("/resolve/")
            .unwrap_or_default();
        let (_, file) = rest.split_once('/').unwrap_or_default();
        self.resolve(&mut stream, &seen, repository, file)
    }

    fn list(
        &self,
        stream: &mut TcpStream,
        seen: &Seen,
        repository: &str,
        revision: &str,
    ) -> std::io::Result<()> {
        if let Some(refusal) = self.strikes("list") {
            return self.fault_without_bytes(stream, &refusal);
        }
        let repositories = lock(&self.repositories);
        let stored = repositories.get(repository);
        let may = |stored: &&Stored| stored.access != Access::Private || seen.token.as_deref() == Some(TOKEN);
        let Some(stored) = stored.filter(may) else {
            return refuse(stream, 401, "RepoNotFound", "Repository not found");
        };
        if !["main", "v1", COMMIT].contains(&revision) {
            return refuse(
                stream,
                404,
                "RevisionNotFound",
                &format!("Invalid rev id: {revision}"),
            );
        }
        let siblings = stored.files.iter().map(|(name, bytes)| -> Value {
            let mut file = json!({ "rfilename": name, "size": bytes.len(), "blobId": git_blob(bytes) });
            if bytes.len() >= LARGE {
                file["lfs"] = json!({ "sha256": sha256(bytes), "size": bytes.len(), "pointerSize": 134 });
            }
            file
        });
        let body =
            json!({ "id": repository, "sha": COMMIT, "siblings": siblings.collect::<Vec<_>>() }).to_string();
        answer(
            stream,
            "200 OK",
            &format!("content-length: {}\r\n", body.len()),
            body.as_bytes(),
        )
    }

    fn resolve(
        &self,
        stream: &mut TcpStream,
        seen: &Seen,
        repository: &str,
        file: &str,
    ) -> std::io::Result<()> {
        let repositories = lock(&self.repositories);
        let stored = repositories.get(repository);
        let Some(stored) = stored else {
            return refuse(stream, 401, "RepoNotFound", "Repository not found");
        };
        if stored.access == Access::Gated && seen.token.as_deref() != Some(TOKEN) {
            let words = format!(
                "Access to model {repository} is restricted. You must be authenticated to access it."
            );
            return refuse(stream, 401, "GatedRepo", &words);
        }
        let Some(bytes) = stored.files.get(file).cloned() else {
            return refuse(stream, 404, "EntryNotFound", "Entry not found");
        };
        drop(repositories);
        let length = lock(&self.lengths)
            .get(file)
            .copied()
            .unwrap_or(bytes.len() as u64);
        if bytes.len() >= LARGE {
            let store = lock(&self.store).expect("the store is up");
            let head = format!(
                "location: http://{store}/store/{repository}//{file}?signature=not-to-be-seen\r\nx-linked-etag: \
                 \"{}\"\r\nx-linked-size: {length}\r\nx-repo-commit: {COMMIT}\r\ncontent-length: 0\r\n",
                sha256(&bytes)
            );
            return answer(stream, "302 Found", &head, b"");
        }
        if seen.method == "HEAD" {
            let head = format!(
                "etag: \"{}\"\r\nx-repo-commit: {COMMIT}\r\ncontent-length: {length}\r\n",
                git_blob(&bytes)
            );
            return answer(stream, "200 OK", &head, b"");
        }
        self.bytes(stream, seen, repository, file)
    }

    /// The bytes of a file, or what is to happen instead.
    fn bytes(
        &self,
        stream: &mut TcpStream,
        seen: &Seen,
        repository: &str,
        file: &str,
    ) -> std::io::Result<()> {
        let fault = self.strikes(file);
        if let Some(Fault::Status(..)) = &fault {
            return self.fault_without_bytes(stream, fault.as_ref().expect("there is one"));
        }
        let mut repositories = lock(&self.repositories);
        let Some(bytes) = repositories
            .get_mut(repository)
            .and_then(|stored| stored.files.get_mut(file))
        else {
            return refuse(stream, 404, "EntryNotFound", "Entry not found");
        };
        if let Some(Fault::Becomes(others)) = &fault {
            // This question still gets the beginning of what it asked for; the next one, the other file.
            let old = std::mem::replace(bytes, others.clone());
            drop(repositories);
            let head = format!(
                "etag: \"{}\"\r\ncontent-length: {}\r\n",
                git_blob(&old),
                old.len()
            );
            return answer(stream, "200 OK", &head, &old[..old.len() / 2]);
        }
        let mut bytes = bytes.clone();
        drop(repositories);
        let etag = git_blob(&bytes);
        let total = bytes.len();
        if let Some(Fault::Flip(at)) = fault {
            bytes[at] ^= 1;
        }
        let from = seen.range.as_deref().filter(|_| fault != Some(Fault::NoRanges));
        let from: Option<usize> =
            from.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let (status, mut head, sent) = match from {
            None => ("200 OK", String::new(), &bytes[..]),
            Some(from) if from >= total => {
                let head = format!("content-range: bytes */{total}\r\n");
                ("416 Range Not Satisfiable", head, &bytes[..0])
            }
            Some(from) => {
                let from = if fault == Some(Fault::OtherRange) {
                    from / 2
                } else {
                    from
                };
                let head = format!("content-range: bytes {from}-{}/{total}\r\n", total - 1);
                ("206 Partial Content", head, &bytes[from..])
            }
        };
        let length = match fault {
            Some(Fault::WrongLength(by)) => sent.len() as i64 + by,
            _ => sent.len() as i64,
        };
        let _ = write!(head, "etag: \"{etag}\"\r\ncontent-length: {length}\r\n");
        match fault {
            Some(Fault::Cut(after)) => answer(stream, status, &head, &sent[..after.min(sent.len())]),
            Some(Fault::Stall(after)) => {
                answer(stream, status, &head, &sent[..after.min(sent.len())])?;
                thread::sleep(Duration::from_secs(60));
                Ok(())
            }
            Some(Fault::Slow(step, pause)) => {
                answer(stream, status, &head, b"")?;
                for block in sent.chunks(step) {
                    thread::sleep(pause);
                    stream.write_all(block)?;
                }
                Ok(())
            }
            _ => answer(stream, status, &head, sent),
        }
    }

    fn fault_without_bytes(&self, stream: &mut TcpStream, fault: &Fault) -> std::io::Result<()> {
        let Fault::Status(status, after) = fault else {
            return Ok(());
        };
        let after = after
            .as_ref()
            .map_or(String::new(), |after| format!("retry-after: {after}\r\n"));
        answer(
            stream,
            &format!("{status} Told"),
            &format!("{after}content-length: 0\r\n"),
            b"",
        )
    }

    fn strikes(&self, file: &str) -> Option<Fault> {
        let mut faults = lock(&self.faults);
        let (_, times, fault) = faults
            .iter_mut()
            .find(|(name, times, _)| name == file && *times > 0)?;
        *times -= 1;
        Some(fault.clone())
    }
}

fn answer(stream: &mut TcpStream, status: &str, head: &str, body: &[u8]) -> std::io::Result<()> {
    stream.write_all(format!("HTTP/1.1 {status}\r\nconnection: close\r\n{head}\r\n").as_bytes())?;
    stream.write_all(body)?;
    stream.flush()
}

fn refuse(stream: &mut TcpStream, status: u16, code: &str, words: &str) -> std::io::Result<()> {
    let head = format!("x-error-code: {code}\r\nx-error-message: {words}\r\ncontent-length: 0\r\n");
    answer(stream, &format!("{status} Refused"), &head, b"")
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

pub(crate) fn git_blob(bytes: &[u8]) -> String {
    let head = format!("blob {}\0", bytes.len());
    hex::encode(Sha1::new().chain_update(head).chain_update(bytes).finalize())
}

/// Bytes that do not repeat.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

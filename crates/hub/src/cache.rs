//! Where checkpoints lie: the cache of Hugging Face's programs, laid out as they lay it out, so that nothing is on the disk twice.
//!
//! ```text
//! models--OWNER--NAME/refs/main                 the commit that the branch was at
//!                     snapshots/COMMIT/…        the files of a commit: links into blobs
//!                     blobs/ETAG                their bytes, named by their content
//!                     blobs/ETAG.incomplete     what has arrived of one
//! .locks/models--OWNER--NAME/ETAG.lock
//! ```
//!
//! Reference: huggingface_hub `file_download.py`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::symlink,
    path::{Component, Path, PathBuf},
};

use thiserror::Error;

use crate::{
    lock,
    name::{Reference, Repository, Revision, is_commit},
};

/// The folder of the cache; it need not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
}

/// A repository of which something lies in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// Which.
    pub repository: Repository,
    /// Its commits, those first that a branch or tag is at.
    pub snapshots: Vec<Snapshot>,
}

/// The files of one commit that lie in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit.
    pub commit: String,
    /// Branches and tags that were at it when they were last asked for.
    pub revisions: Vec<Revision>,
    /// Its folder.
    pub path: PathBuf,
}

/// What is to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Of which repository.
    pub repository: Repository,
    /// The commits that go.
    pub commits: Vec<String>,
    /// The disk space that becomes free, in bytes.
    pub bytes: u64,
    /// Whether some of the bytes stay, because other repositories have them in common with this one.
    pub is_shared: bool,
    /// Whether nothing of the repository stays.
    pub is_whole: bool,
    /// In this order: what names others goes before what it names.
    refs: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    blobs: Vec<PathBuf>,
}

/// A cache that is not as it should be.
#[derive(Debug, Error)]
pub enum CacheError {
    /// Something in it cannot be read, written or removed.
    #[error("the cache's {} cannot be {verb}", path.display())]
    Use {
        /// What was to be done.
        verb: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is not in the cache.
    #[error("{reference} is not in the cache {}", cache.display())]
    Missing {
        /// What was asked for.
        reference: String,
        /// Where.
        cache: PathBuf,
    },
    /// Somebody is fetching it.
    #[error("{repository} is being fetched by another process")]
    Busy {
        /// Which.
        repository: Repository,
    },
}

impl Cache {
    /// The cache in this folder.
    pub fn new(root: PathBuf) -> Cache {
        Cache { root }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where what a reference means lies; `None` where it does not.
    pub fn find(&self, reference: &Reference) -> Option<PathBuf> {
        let commit = self.commit(&reference.repository, &reference.revision)?;
        let snapshot = self.snapshot(&reference.repository, &commit);
        let path = match &reference.path {
            Some(path) => snapshot.join(path),
            None => snapshot,
        };
        path.exists().then_some(path)
    }

    /// Every repository of models, by name.
    pub fn repositories(&self) -> Result<Vec<Cached>, CacheError> {
        let mut found = Vec::new();
        for path in entries(&self.root)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if let Some(repository) = Repository::of_folder(&name) {
                let snapshots = self.snapshots(&repository)?;
                found.push(Cached {
                    repository,
                    snapshots,
                });
            }
        }
        found.retain(|cached| !cached.snapshots.is_empty());
        found.sort_by(|one, other| one.repository.cmp(&other.repository));
        Ok(found)
    }

    /// What would go with a repository, or with one of its revisions. Blobs that other commits link to stay.
    pub fn removal(
        &self,
        repository: &Repository,
        revision: Option<&Revision>,
    ) -> Result<Removal, CacheError> {
        let missing = || CacheError::Missing {
            reference: match revision {
                Some(revision) => format!("{repository}@{revision}"),
                None => repository.to_string(),
            },
            cache: self.root.clone(),
        };
        let folder = self.folder(repository);
        if !folder.is_dir() {
            return Err(missing());
        }
        let held = lock::held(&self.locks(repository)).map_err(using("read", &self.locks(repository)))?;
        if !held.is_empty() {
            let repository = repository.clone();
            return Err(CacheError::Busy { repository });
        }
        let snapshots = self.snapshots(repository)?;
        let (going, staying): (Vec<Snapshot>, Vec<Snapshot>) = match revision {
            None => (snapshots, Vec::new()),
            Some(revision) => {
                let commit = self.commit(repository, revision).ok_or_else(missing)?;
                snapshots
                    .into_iter()
                    .partition(|snapshot| snapshot.commit == commit)
            }
        };
        if revision.is_some() && going.is_empty() {
            return Err(missing());
        }
        let is_whole = staying.is_empty();
        let blobs = match is_whole {
            true => entries(&folder.join("blobs"))?.into_iter().collect(),
            false => {
                let mut blobs = linked(&going)?;
                for blob in linked(&staying)? {
                    blobs.remove(&blob);
                }
                blobs
            }
        };
        let (mut bytes, mut is_shared) = (0, false);
        for blob in &blobs {
            // A link leads to the store that repositories have in common; who keeps that decides what stays in it.
            match fs::symlink_metadata(blob) {
                Ok(metadata) if metadata.is_symlink() => is_shared = true,
                Ok(metadata) => bytes += metadata.len(),
                Err(_) => {}
            }
        }
        let commits: Vec<String> = going.iter().map(|snapshot| snapshot.commit.clone()).collect();
        let refs = self.refs(repository)?.into_iter();
        let mut folders: Vec<PathBuf> = going.into_iter().map(|snapshot| snapshot.path).collect();
        folders.extend(commits.iter().map(|commit| folder.join(".no_exist").join(commit)));
        Ok(Removal {
            repository: repository.clone(),
            refs: refs
                .filter(|(_, commit)| is_whole || commits.contains(commit))
                .map(|(revision, _)| folder.join("refs").join(revision.as_str()))
                .collect(),
            blobs: blobs.into_iter().collect(),
            commits,
            bytes,
            is_shared,
            is_whole,
            folders,
        })
    }

    /// Removes it. Broken off, it leaves blobs that nothing names, and the same removal again takes them along.
    pub fn remove(&self, removal: &Removal) -> Result<(), CacheError> {
        for path in &removal.refs {
            gone(fs::remove_file(path), path)?;
        }
        for folder in &removal.folders {
            gone(fs::remove_dir_all(folder), folder)?;
        }
        for blob in &removal.blobs {
            gone(fs::remove_file(blob), blob)?;
        }
        if removal.is_whole {
            for folder in [self.folder(&removal.repository), self.locks(&removal.repository)] {
                gone(fs::remove_dir_all(&folder), &folder)?;
            }
        }
        Ok(())
    }

    /// How many bytes are free where it lies, or will lie; `None` where the system does not say.
    pub fn free_bytes(&self) -> Option<u64> {
        let place = self.root.ancestors().find(|folder| folder.exists())?;
        let place = if place == Path::new("") {
            Path::new(".")
        } else {
            place
        };
        let stat = rustix::fs::statvfs(place).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// The commit that a revision was at when it was last asked for.
    pub(crate) fn commit(&self, repository: &Repository, revision: &Revision) -> Option<String> {
        if revision.is_commit() {
            return Some(revision.as_str().to_owned());
        }
        let path = self.folder(repository).join("refs").join(revision.as_str());
        let commit = fs::read_to_string(path).ok()?;
        let commit = commit.trim();
        is_commit(commit).then(|| commit.to_owned())
    }

    pub(crate) fn snapshot(&self, repository: &Repository, commit: &str) -> PathBuf {
        self.folder(repository).join("snapshots").join(commit)
    }

    pub(crate) fn blob(&self, repository: &Repository, etag: &str) -> PathBuf {
        self.folder(repository).join("blobs").join(etag)
    }

    pub(crate) fn incomplete(&self, repository: &Repository, etag: &str) -> PathBuf {
        self.folder(repository)
            .join("blobs")
            .join(format!("{etag}.incomplete"))
    }

    pub(crate) fn lock(&self, repository: &Repository, etag: &str) -> PathBuf {
        self.locks(repository).join(format!("{etag}.lock"))
    }

    /// Has a commit's file lead to the blob of its content. It leads somewhere at every moment.
    pub(crate) fn link(
        &self,
        repository: &Repository,
        commit: &str,
        file: &Path,
        etag: &str,
    ) -> Result<(), CacheError> {
        let path = self.snapshot(repository, commit).join(file);
        let folder = path.parent().unwrap_or(Path::new(""));
        // From the folder of the file up to that of the repository.
        let up: PathBuf = file
            .components()
            .map(|_| Component::ParentDir)
            .chain([Component::ParentDir])
            .collect();
        let target = up.join("blobs").join(etag);
        if fs::read_link(&path).is_ok_and(|present| present == target) {
            return Ok(());
        }
        fs::create_dir_all(folder).map_err(using("written", folder))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = folder.join(format!(".{name}.{}", std::process::id()));
        gone(fs::remove_file(&beside), &beside)?;
        symlink(&target, &beside).map_err(using("written", &beside))?;
        fs::rename(&beside, &path).map_err(using("written", &path))
    }

    /// Notes which commit a branch or tag is at.
    pub(crate) fn note(
        &self,
        repository: &Repository,
        revision: &Revision,
        commit: &str,
    ) -> Result<(), CacheError> {
        if revision.is_commit() {
            return Ok(());
        }
        let path = self.folder(repository).join("refs").join(revision.as_str());
        let folder = path.parent().unwrap_or(Path::new(""));
        fs::create_dir_all(folder).map_err(using("written", folder))?;
        let beside = path.with_extension(format!("{}.part", std::process::id()));
        fs::write(&beside, commit).map_err(using("written", &beside))?;
        fs::rename(&beside, &path).map_err(using("written", &path))
    }

    fn folder(&self, repository: &Repository) -> PathBuf {
        self.root.join(repository.folder())
    }

    fn locks(&self, repository: &Repository) -> PathBuf {
        self.root.join(".locks").join(repository.folder())
    }

    fn snapshots(&self, repository: &Repository) -> Result<Vec<Snapshot>, CacheError> {
        let mut revisions: BTreeMap<String, Vec<Revision>> = BTreeMap::new();
        for (revision, commit) in self.refs(repository)? {
            revisions.entry(commit).or_default().push(revision);
        }
        let mut snapshots = Vec::new();
        for path in entries(&self.folder(repository).join("snapshots"))? {
            let commit = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if is_commit(&commit) && path.is_dir() {
                let revisions = revisions.remove(&commit).unwrap_or_default();
                snapshots.push(Snapshot {
                    commit,
                    revisions,
                    path,
                });
            }
        }
        snapshots.sort_by_key(|snapshot| (snapshot.revisions.is_empty(), snapshot.commit.clone()));
        Ok(snapshots)
    }

    /// Branches and tags, and the commits they were at.
    fn refs(&self, repository: &Repository) -> Result<Vec<(Revision, String)>, CacheError> {
        let root = self.folder(repository).join("refs");
        let names = files_below(&root)?;
        let read = |name: PathBuf| {
            let revision = Revision::parse(name.to_str()?)?;
            let commit = self.commit(repository, &revision)?;
            Some((revision, commit))
        };
        Ok(names.into_iter().filter_map(read).collect())
    }
}

impl Removal {
    /// Whether a file or folder goes with it.
    pub fn takes(&self, path: &Path) -> bool {
        self.folders.iter().any(|folder| path.starts_with(folder))
    }
}

impl Snapshot {
    /// The files that are there, as paths below it.
    pub fn files(&self) -> Result<Vec<String>, CacheError> {
        let names = files_below(&self.path)?;
        let names = names.into_iter().filter(|name| self.path.join(name).is_file());
        Ok(names.map(|name| name.to_string_lossy().into_owned()).collect())
    }

    /// How it may be typed, shortest first: `OWNER/NAME` where `main` is at it.
    pub fn reference(&self, repository: &Repository) -> Reference {
        let main = Revision::main();
        let named = match self.revisions.contains(&main) {
            true => Some(&main),
            false => self.revisions.first(),
        };
        let revision = match named {
            Some(revision) => Some(revision.clone()),
            None => Revision::parse(&self.commit),
        };
        Reference {
            repository: repository.clone(),
            revision: revision.unwrap_or(main),
            path: None,
        }
    }
}

/// The blobs that the files of snapshots lead to.
fn linked(snapshots: &[Snapshot]) -> Result<BTreeSet<PathBuf>, CacheError> {
    let mut blobs = BTreeSet::new();
    for snapshot in snapshots {
        for name in files_below(&snapshot.path)? {
            let Ok(target) = fs::read_link(snapshot.path.join(name)) else {
                continue;
            };
            // `../../blobs/ETAG`: what leads anywhere else is not ours.
            let mut parts = target.components().rev();
            if let (Some(Component::Normal(etag)), Some(Component::Normal(folder))) =
                (parts.next(), parts.next())
                && folder == "blobs"
                && let Some(repository) = snapshot.path.ancestors().nth(2)
            {
                blobs.insert(repository.join("blobs").join(etag));
            }
        }
    }
    Ok(blobs)
}

/// Everything in a folder, in order. One that is not there holds nothing.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, CacheError> {
    let listed: io::Result<BTreeSet<PathBuf>> =
        fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    match listed {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(Vec::new())
        }
        listed => Ok(listed.map_err(using("read", folder))?.into_iter().collect()),
    }
}

/// The files and links below a folder, as paths from it.
fn files_below(root: &Path) -> Result<Vec<PathBuf>, CacheError> {
    let mut names = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for path in entries(&root.join(&folder))? {
            let name = folder.join(path.file_name().unwrap_or_default());
            let is_folder = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir());
            if is_folder {
                folders.push(name);
            } else {
                names.push(name);
            }
        }
    }
    names.sort();
    Ok(names)
}

/// Removed, or never there.
fn gone(removed: io::Result<()>, path: &Path) -> Result<(), CacheError> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(using("removed", path)),
    }
}

fn using(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CacheError {
    let path = path.to_owned();
    move |source| CacheError::Use { verb, path, source }
}

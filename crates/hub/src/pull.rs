//! A checkpoint fetched: what it consists of and what of that is missing ([`Hub::plan`]), then the missing ([`Hub::pull`]).
//!
//! Between the two a person can be told how much it is, and an operator's disk is asked whether it has room.

use std::path::PathBuf;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    cache::Cache,
    choose::{self, Choice},
    client::{Hub, Listed, Metadata},
    download,
    error::HubError,
    name::{Reference, Repository, relative},
};

/// Files that are fetched at once. A store gives each connection a share of what it has; more than a few help nobody.
const AT_ONCE: usize = 4;
/// Questions that are asked at once.
const ASKED_AT_ONCE: usize = 8;

/// What is to be fetched.
pub struct Plan {
    /// What was asked for.
    pub reference: Reference,
    /// The commit that it stands for.
    pub commit: String,
    /// The files, those that are here already too.
    pub files: Vec<Planned>,
}

/// A file that is wanted.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Its path below the repository, with slashes.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// How much of it is here.
    pub present_bytes: u64,
    pub(crate) path: PathBuf,
    pub(crate) metadata: Metadata,
}

/// What happens on the way.
#[derive(Debug)]
pub enum Event<'a> {
    /// So many bytes of a file are here. They may become fewer, where what arrived was damaged.
    At {
        /// Its name.
        file: &'a str,
        /// How many.
        bytes: u64,
    },
    /// A file is here, whole and sound.
    Done {
        /// Its name.
        file: &'a str,
        /// Whether there was a hash to hold it against.
        is_verified: bool,
    },
    /// Something went wrong, and is tried again.
    Again {
        /// Its name.
        file: &'a str,
        /// What happened.
        why: &'a str,
    },
    /// Another process fetches this file: it is waited for.
    Waiting {
        /// Its name.
        file: &'a str,
    },
}

/// Hears what happens.
pub type Observe<'a> = dyn Fn(Event<'_>) + Sync + 'a;

impl Plan {
    /// How long all files are together, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// How much of that is here already, in bytes.
    pub fn present_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.present_bytes).sum()
    }

    /// What is missing, in bytes.
    pub fn missing_bytes(&self) -> u64 {
        self.bytes() - self.present_bytes()
    }

    /// Refuses what the disk has no room for.
    pub fn check_room(&self, cache: &Cache) -> Result<(), HubError> {
        let missing = self.missing_bytes();
        match cache.free_bytes() {
            Some(free) if free < missing => Err(HubError::NoRoom {
                missing,
                free,
                cache: cache.root().to_owned(),
            }),
            Some(_) | None => Ok(()),
        }
    }
}

impl Hub {
    /// What a reference consists of, and what of it is missing. Where it names a file, that file is what is wanted.
    pub async fn plan(
        &self,
        cache: &Cache,
        reference: &Reference,
        choice: &Choice,
    ) -> Result<Plan, HubError> {
        let repository = &reference.repository;
        let listing = self.list(repository, &reference.revision).await?;
        let named = reference
            .path
            .as_ref()
            .map(|path| path.to_string_lossy().into_owned());
        let choice = match (named, choice) {
            (Some(file), Choice::Engine) => &Choice::Named {
                files: vec![file],
                patterns: Vec::new(),
            },
            (_, choice) => choice,
        };
        let chosen = choose::choose(&listing.files, choice)?;
        let commit = &listing.commit;
        let planned = stream::iter(chosen).map(|listed| async move {
            let metadata = self.metadata(repository, commit, &listed).await?;
            Ok::<_, HubError>(planned(cache, repository, listed, metadata))
        });
        let files = planned.buffered(ASKED_AT_ONCE).try_collect().await?;
        Ok(Plan {
            reference: reference.clone(),
            commit: listing.commit,
            files,
        })
    }

    /// Fetches what is missing; answers with the folder in which the files lie. Broken off at any point, by an error, by being
    /// dropped, or by the end of the process, it goes on from there the next time.
    pub async fn pull(&self, cache: &Cache, plan: &Plan, observe: &Observe<'_>) -> Result<PathBuf, HubError> {
        plan.check_room(cache)?;
        let (repository, commit) = (&plan.reference.repository, plan.commit.as_str());
        stream::iter(&plan.files)
            .map(|file| download::fetch(self, cache, repository, commit, file, observe))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        // Last: a name leads to a commit of which everything is here.
        cache.note(repository, &plan.reference.revision, commit)?;
        Ok(cache.snapshot(repository, commit))
    }
}

fn planned(cache: &Cache, repository: &Repository, listed: Listed, metadata: Metadata) -> Planned {
    let length = |path: PathBuf| path.metadata().map_or(0, |file| file.len());
    let whole = length(cache.blob(repository, &metadata.etag));
    let part = length(cache.incomplete(repository, &metadata.etag));
    Planned {
        bytes: metadata.bytes,
        present_bytes: match whole == metadata.bytes {
            true => whole,
            false => part.min(metadata.bytes),
        },
        path: relative(&listed.name).expect("the list leaves out what leads elsewhere"),
        name: listed.name,
        metadata,
    }
}

/// A number of bytes for people.
pub fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        ..1e3 => format!("{bytes} B"),
        ..1e6 => format!("{:.1} kB", bytes / 1e3),
        ..1e9 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.2} GB", bytes / 1e9),
    }
}

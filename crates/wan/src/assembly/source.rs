//! Where the weights of one network are.

use std::path::Path;
use std::path::PathBuf;

use kinora_tensor::Checkpoint;

use crate::error::LoadError;
use crate::files::Files;
use crate::names;

/// The weights of one network, opened as often as they are needed.
#[derive(Clone)]
pub(crate) enum Source {
    /// A part of a checkpoint in diffusers' layout.
    Part(Files, &'static str),
    /// A file, or an index of shards.
    File(PathBuf),
}

impl Source {
    /// What messages call it.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Source::Part(files, part) => files.path(part),
            Source::File(path) => path.clone(),
        }
    }

    /// The weights by the names that the models ask for, every header checked.
    pub(crate) fn open(&self) -> Result<Checkpoint, LoadError> {
        match self {
            Source::Part(files, part) => translated(files.weights(part)?),
            Source::File(path) => translated(open(path)?),
        }
    }
}

/// A file or an index, by its own names.
pub(super) fn open(path: &Path) -> Result<Checkpoint, LoadError> {
    Checkpoint::open(path).map_err(|source| LoadError::Checkpoint {
        path: path.into(),
        source,
    })
}

/// By the names that the models ask for; as it is where it is no network that is known, for the model will say what it misses.
fn translated(checkpoint: Checkpoint) -> Result<Checkpoint, LoadError> {
    let Some(dialect) = names::recognise(&checkpoint) else {
        return Ok(checkpoint);
    };
    let path = checkpoint.path().to_owned();
    dialect
        .translate(checkpoint)
        .map_err(|source| LoadError::Checkpoint { path, source })
}

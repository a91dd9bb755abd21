//! Where a checkpoint's files are: in a folder, or in the program itself. Everything is read from here, so that an embedded
//! checkpoint goes the same way as any other.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use kinora_tensor::Checkpoint;
use serde::de::DeserializeOwned;

use crate::error::LoadError;

/// The files of a checkpoint.
#[derive(Debug, Clone)]
pub enum Files {
    /// A folder, or a transformer with the other parts beside it.
    Path(PathBuf),
    /// Part of the program.
    Embedded(&'static Embedded),
}

/// A checkpoint that is part of the program: each part's weights are one file, `diffusion_pytorch_model.safetensors` or
/// `model.safetensors`.
#[derive(Debug)]
pub struct Embedded {
    /// What errors call it.
    pub name: &'static str,
    /// Paths below the checkpoint, and their bytes.
    pub files: &'static [(&'static str, &'static [u8])],
}

/// A JSON file, read and not yet understood.
pub(crate) struct Document {
    path: PathBuf,
    bytes: Cow<'static, [u8]>,
}

impl Files {
    /// What a file is called in messages.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        match self {
            Files::Path(folder) => folder.join(name),
            Files::Embedded(embedded) => Path::new(embedded.name).join(name),
        }
    }

    /// What the whole is called in messages.
    pub(crate) fn root(&self) -> PathBuf {
        match self {
            Files::Path(folder) => folder.clone(),
            Files::Embedded(embedded) => embedded.name.into(),
        }
    }

    /// The bytes of the file `name`.
    pub(crate) fn read(&self, name: &str) -> Result<Cow<'static, [u8]>, LoadError> {
        let bytes = match self {
            Files::Path(folder) => fs::read(folder.join(name)).map(Cow::Owned),
            Files::Embedded(embedded) => embedded
                .find(name)
                .map(Cow::Borrowed)
                .ok_or_else(|| io::ErrorKind::NotFound.into()),
        };
        bytes.map_err(|source| LoadError::Open {
            path: self.path(name),
            source,
        })
    }

    /// The JSON file `name`.
    pub(crate) fn document(&self, name: &str) -> Result<Document, LoadError> {
        Ok(Document {
            path: self.path(name),
            bytes: self.read(name)?,
        })
    }

    /// The JSON file `name`; None where there is no such file.
    pub(crate) fn optional_document(&self, name: &str) -> Result<Option<Document>, LoadError> {
        match self.document(name) {
            Ok(document) => Ok(Some(document)),
            Err(LoadError::Open { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The weights of the part `name`, every header checked.
    pub(crate) fn weights(&self, name: &str) -> Result<Checkpoint, LoadError> {
        let path = self.path(name);
        let opened = match self {
            Files::Path(_) => Checkpoint::open(&path),
            Files::Embedded(embedded) => {
                let (file, bytes) = embedded.weights(name).ok_or_else(|| LoadError::Open {
                    path: path.clone(),
                    source: io::ErrorKind::NotFound.into(),
                })?;
                Checkpoint::embedded(Path::new(embedded.name).join(file), bytes)
            }
        };
        opened.map_err(|source| LoadError::Checkpoint { path, source })
    }
}

impl Embedded {
    fn find(&self, name: &str) -> Option<&'static [u8]> {
        let (_, bytes) = self.files.iter().find(|(path, _)| *path == name)?;
        Some(bytes)
    }

    fn weights(&self, part: &str) -> Option<(&'static str, &'static [u8])> {
        let is_weights = |path: &str| {
            path.strip_prefix(part).is_some_and(|rest| rest.starts_with('/'))
                && path.ends_with(".safetensors")
        };
        self.files.iter().find(|(path, _)| is_weights(path)).copied()
    }
}

impl Document {
    pub(crate) fn read(path: &Path) -> Result<Self, LoadError> {
        let bytes = fs::read(path).map_err(|source| LoadError::Open {
            path: path.into(),
            source,
        })?;
        Ok(Self {
            path: path.into(),
            bytes: Cow::Owned(bytes),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, LoadError> {
        serde_json::from_slice(&self.bytes).map_err(|source| LoadError::Parse {
            path: self.path.clone(),
            source,
        })
    }
}

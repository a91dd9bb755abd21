//! Checkpoints: weights by name, from files that are mapped and not trusted.
//!
//! [`Checkpoint::open`] takes a folder as diffusers writes it (one file, or shards with an index), an index, or a single file. The
//! models then ask for each tensor by name and shape ([`Checkpoint::weight`]) and finally for proof that nothing was left over
//! ([`Checkpoint::finish`]). Which names a model has is the model's business.

pub mod safetensors;

mod index;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use memmap2::Mmap;
use thiserror::Error;

use crate::checkpoint::safetensors::HeaderError;
use crate::checkpoint::safetensors::StoredType;
use crate::shape::Shape;
use crate::weight::Weight;

/// The tensors of a checkpoint, by name.
pub struct Checkpoint {
    path: PathBuf,
    shards: Vec<Shard>,
    entries: BTreeMap<String, Entry>,
}

/// A tensor as its file describes it.
#[derive(Debug)]
pub struct Entry {
    /// How its numbers are stored; not every type can be computed with.
    pub stored: StoredType,
    /// Its extents.
    pub shape: Shape,
    shard: usize,
    /// Where its bytes start in the file.
    start: usize,
    taken: AtomicBool,
}

struct Shard {
    path: PathBuf,
    file: Arc<FileBytes>,
}

/// The bytes of one file.
pub(crate) enum FileBytes {
    /// On a disk.
    Mapped(Mmap),
    /// Part of the program.
    Embedded(&'static [u8]),
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            FileBytes::Mapped(file) => file,
            FileBytes::Embedded(bytes) => bytes,
        }
    }
}

/// Why a checkpoint cannot be used. Every variant names the file, and the tensor where there is one.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// A file could not be opened or mapped.
    #[error("cannot open {}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A folder without weights.
    #[error("{} holds no safetensors file", .path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// A folder in which the weights are ambiguous.
    #[error("{} holds several safetensors files and no index that says which belong together", .path.display())]
    Ambiguous {
        /// The folder.
        path: PathBuf,
    },
    /// A file is not what it says it is.
    #[error("{} is not a sound safetensors file", .path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: HeaderError,
    },
    /// An index is not readable.
    #[error("{} is not a sound index of shards", .path.display())]
    Index {
        /// The index.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// An index points out of its folder.
    #[error("{} names the shard {shard:?}, which is not a plain file name", .path.display())]
    ShardName {
        /// The index.
        path: PathBuf,
        /// The name.
        shard: String,
    },
    /// An index and its shards disagree.
    #[error("{} should hold the tensor {tensor:?} by the index, and does not", .path.display())]
    NotInShard {
        /// The shard.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor is in two shards.
    #[error("{} holds the tensor {tensor:?} that another shard holds too", .path.display())]
    Twice {
        /// The second shard.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor is not there.
    #[error("{} has no tensor {tensor:?}", .path.display())]
    Missing {
        /// The checkpoint.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor has other extents than the model.
    #[error("{}: the tensor {tensor:?} should be {expected} and is {found}", .path.display())]
    Misshaped {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What the configuration asks for.
        expected: Box<Shape>,
        /// What the file holds.
        found: Box<Shape>,
    },
    /// A tensor is stored in a type that is not computed with.
    #[error("{}: the tensor {tensor:?} is stored as {stored}; f32, bf16 and f16 can be read", .path.display())]
    Stored {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// How it is stored.
        stored: StoredType,
    },
    /// Tensors that no part of the model asked for.
    #[error("{} holds {count} tensors that the model does not have, {tensor:?} among them", .path.display())]
    Extra {
        /// The file of the first.
        path: PathBuf,
        /// The first, by name.
        tensor: String,
        /// How many there are.
        count: usize,
    },
}

impl Checkpoint {
    /// Opens a folder, an index of shards (`*.index.json`), or a single safetensors file, and checks every header.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        let mut checkpoint = Self {
            path: path.to_owned(),
            shards: Vec::new(),
            entries: BTreeMap::new(),
        };
        let layout = index::find(path)?;
        for file in &layout.files {
            let bytes = map(file).map_err(|source| CheckpointError::Open {
                path: file.clone(),
                source,
            })?;
            checkpoint.add_shard(file, FileBytes::Mapped(bytes))?;
        }
        for (tensor, file) in layout.promises {
            let held = checkpoint.entries.get(&tensor);
            if held.is_none_or(|entry| checkpoint.shards[entry.shard].path != file) {
                return Err(CheckpointError::NotInShard { path: file, tensor });
            }
        }
        Ok(checkpoint)
    }

    /// A safetensors file that is part of the program; `path` is what errors call it. Its numbers are read in place where `bytes`
    /// are aligned to them.
    pub fn embedded(path: impl Into<PathBuf>, bytes: &'static [u8]) -> Result<Self, CheckpointError> {
        let path = path.into();
        let mut checkpoint = Self {
            path: path.clone(),
            shards: Vec::new(),
            entries: BTreeMap::new(),
        };
        checkpoint.add_shard(&path, FileBytes::Embedded(bytes))?;
        Ok(checkpoint)
    }

    /// The tensor `name`, which must have `shape`. Its numbers stay in the file.
    pub fn weight(&self, name: &str, shape: impl Into<Shape>) -> Result<Weight, CheckpointError> {
        let expected = shape.into();
        let entry = self.find(name)?;
        if entry.shape != expected {
            let path = self.shards[entry.shard].path.clone();
            let (expected, found) = (Box::new(expected), Box::new(entry.shape));
            return Err(CheckpointError::Misshaped {
                path,
                tensor: name.into(),
                expected,
                found,
            });
        }
        self.weight_any(name)
    }

    /// The tensor `name`, whatever its shape.
    pub fn weight_any(&self, name: &str) -> Result<Weight, CheckpointError> {
        let entry = self.find(name)?;
        let shard = &self.shards[entry.shard];
        let Some(dtype) = entry.stored.dtype() else {
            let (path, stored) = (shard.path.clone(), entry.stored);
            return Err(CheckpointError::Stored {
                path,
                tensor: name.into(),
                stored,
            });
        };
        entry.taken.store(true, Ordering::Relaxed);
        Ok(Weight::mapped(entry.shape, dtype, &shard.file, entry.start)
            .expect("the header was checked: every tensor lies within its file"))
    }

    /// What the file says about the tensor `name`, if there is one.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// Every tensor, by name.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The file that holds the tensor `name`.
    pub fn file_of(&self, name: &str) -> Option<&Path> {
        self.entries
            .get(name)
            .map(|entry| self.shards[entry.shard].path.as_path())
    }

    /// What was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Marks the tensor `name` as expected although its numbers are not read.
    pub fn ignore(&self, name: &str) {
        if let Some(entry) = self.entries.get(name) {
            entry.taken.store(true, Ordering::Relaxed);
        }
    }

    /// Refuses where the checkpoint holds tensors that nobody asked for: it is then not the model it was taken for.
    pub fn finish(&self) -> Result<(), CheckpointError> {
        let mut extra = self
            .entries
            .iter()
            .filter(|(_, entry)| !entry.taken.load(Ordering::Relaxed));
        let Some((tensor, entry)) = extra.next() else {
            return Ok(());
        };
        let path = self.shards[entry.shard].path.clone();
        Err(CheckpointError::Extra {
            path,
            tensor: tensor.clone(),
            count: 1 + extra.count(),
        })
    }

    fn find(&self, name: &str) -> Result<&Entry, CheckpointError> {
        let missing = || CheckpointError::Missing {
            path: self.path.clone(),
            tensor: name.into(),
        };
        self.entries.get(name).ok_or_else(missing)
    }

    fn add_shard(&mut self, path: &Path, file: FileBytes) -> Result<(), CheckpointError> {
        let header = safetensors::parse(&file).map_err(|source| CheckpointError::Header {
            path: path.into(),
            source,
        })?;
        let shard = self.shards.len();
        self.shards.push(Shard {
            path: path.to_owned(),
            file: Arc::new(file),
        });
        for tensor in header {
            let safetensors::TensorHeader {
                name,
                stored,
                shape,
                bytes,
            } = tensor;
            let entry = Entry {
                stored,
                shape,
                shard,
                start: bytes.start,
                taken: AtomicBool::new(false),
            };
            if self.entries.contains_key(&name) {
                return Err(CheckpointError::Twice {
                    path: path.into(),
                    tensor: name,
                });
            }
            self.entries.insert(name, entry);
        }
        Ok(())
    }
}

fn map(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: the mapping is read-only. If another process truncates the file under it, reading raises SIGBUS; checkpoints are
    // installed once and replaced by renaming, never rewritten in place.
    unsafe { Mmap::map(&file) }
}

#[cfg(test)]
mod tests;

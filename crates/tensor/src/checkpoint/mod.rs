//! Checkpoints: weights by name, from files that are mapped and not trusted.
//!
//! [`Checkpoint::open`] takes a folder (one file, or shards with an index), an index, or a single file: safetensors, PyTorch's zip of
//! a pickle ([`torch_zip`]) or GGUF ([`gguf`]), told apart by how they begin. The models then ask for each tensor by name and shape ([`Checkpoint::weight`]) and finally for proof that nothing was left over
//! ([`Checkpoint::finish`]). Which names a model has is the model's business.

pub mod safetensors;

pub mod torch_zip;

pub mod gguf;

pub mod sentencepiece;

mod zip;

mod pickle;

mod index;

mod stored;

mod pages;

mod error;

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

pub use crate::checkpoint::error::CheckpointError;
pub use crate::checkpoint::error::FormatError;
use crate::checkpoint::gguf::Vocabulary;
pub use crate::checkpoint::pages::Pages;
use crate::checkpoint::safetensors::TensorHeader;
pub use crate::checkpoint::stored::StoredType;
use crate::shape::Shape;
use crate::weight::Weight;

/// The tensors of a checkpoint, by name.
pub struct Checkpoint {
    path: PathBuf,
    shards: Vec<Shard>,
    entries: BTreeMap<String, Entry>,
    /// A name of ours to what the files call it.
    spelling: Spelling,
}

type Spelling = Box<dyn Fn(&str) -> String + Send + Sync>;

/// A tensor as its file describes it.
#[derive(Debug)]
pub struct Entry {
    /// How its numbers are stored; not every type can be computed with.
    pub stored: StoredType,
    /// Its extents.
    pub shape: Shape,
    /// What its file calls it.
    pub called: String,
    shard: usize,
    /// Where its bytes start in the file.
    start: usize,
    /// What its numbers are multiplied by: one number, or one for each row.
    scale: Option<Arc<[f32]>>,
    taken: AtomicBool,
}

struct Shard {
    path: PathBuf,
    file: Arc<FileBytes>,
    format: Format,
}

/// How a file is laid out, told by how it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Safetensors,
    Torch,
    Gguf,
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

impl Checkpoint {
    /// Opens a folder, an index of shards (`*.index.json`), or a single file, and checks every header.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        let mut checkpoint = Self::empty(path);
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
        checkpoint.attach_scales()?;
        Ok(checkpoint)
    }

    /// A file that is part of the program; `path` is what errors call it. Its numbers are read in place where `bytes` are aligned to
    /// them.
    pub fn embedded(path: impl Into<PathBuf>, bytes: &'static [u8]) -> Result<Self, CheckpointError> {
        let path = path.into();
        let mut checkpoint = Self::empty(&path);
        checkpoint.add_shard(&path, FileBytes::Embedded(bytes))?;
        checkpoint.attach_scales()?;
        Ok(checkpoint)
    }

    fn empty(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            shards: Vec::new(),
            entries: BTreeMap::new(),
            spelling: Box::new(str::to_owned),
        }
    }

    /// The same tensors under other names. `ours` is what a name of the files becomes, `theirs` the way back: errors speak as the files
    /// do.
    pub fn renamed(
        mut self,
        ours: impl Fn(&str) -> String,
        theirs: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Result<Self, CheckpointError> {
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        for (name, entry) in std::mem::take(&mut self.entries) {
            let name = ours(&name);
            if let Some(other) = entries.get(&name) {
                return Err(CheckpointError::Same {
                    path: self.shards[entry.shard].path.clone(),
                    one: other.called.clone(),
                    other: entry.called,
                });
            }
            entries.insert(name, entry);
        }
        self.entries = entries;
        self.spelling = Box::new(theirs);
        Ok(self)
    }

    /// The tensors `name` divided into equal parts along their first axis, wherever `parts` says by which names.
    pub fn divided(mut self, parts: impl Fn(&str) -> Vec<String>) -> Self {
        let names: Vec<String> = self.entries.keys().cloned().collect();
        for name in names {
            let parts = parts(&name);
            let Some(entry) = self.entries.get(&name) else {
                continue;
            };
            let dims = entry.shape.dims();
            let divisible = |rows: &usize| !parts.is_empty() && rows.is_multiple_of(parts.len());
            let Some(&rows) = dims.first().filter(|rows| divisible(rows)) else {
                continue;
            };
            let rows = rows / parts.len();
            let shape = Shape::new(&[&[rows], &dims[1..]].concat());
            let Some(bytes) = entry.stored.bytes(shape.elements()) else {
                continue;
            };
            let divided = |(index, name): (usize, String)| {
                let scale = entry.scale.as_deref().map(|scale| match scale.len() {
                    1 => scale.into(),
                    _ => scale[index * rows..(index + 1) * rows].into(),
                });
                let part = Entry {
                    stored: entry.stored,
                    shape,
                    called: entry.called.clone(),
                    shard: entry.shard,
                    start: entry.start + index * bytes,
                    scale,
                    taken: AtomicBool::new(false),
                };
                (name, part)
            };
            let divided: Vec<(String, Entry)> = parts.into_iter().enumerate().map(divided).collect();
            self.entries.remove(&name);
            self.entries.extend(divided);
        }
        self
    }

    /// The tensor `name`, which must have `shape`. Its numbers stay in the file.
    pub fn weight(&self, name: &str, shape: impl Into<Shape>) -> Result<Weight, CheckpointError> {
        let expected = shape.into();
        let entry = self.find(name)?;
        if !Self::fits(entry, expected) {
            return Err(CheckpointError::Misshaped {
                path: self.shards[entry.shard].path.clone(),
                tensor: entry.called.clone(),
                expected: Box::new(expected),
                found: Box::new(entry.shape),
            });
        }
        self.read(entry, expected)
    }

    /// The tensor `name`, whatever its shape.
    pub fn weight_any(&self, name: &str) -> Result<Weight, CheckpointError> {
        let entry = self.find(name)?;
        self.read(entry, entry.shape)
    }

    /// Outermost extents of one are taken as they come: ggml forgets them, the original has some that others have not.
    fn fits(entry: &Entry, expected: Shape) -> bool {
        let inner = |shape: &Shape| {
            shape
                .dims()
                .iter()
                .position(|&dim| dim != 1)
                .unwrap_or(shape.rank())
        };
        entry.shape.dims()[inner(&entry.shape)..] == expected.dims()[inner(&expected)..]
    }

    fn read(&self, entry: &Entry, shape: Shape) -> Result<Weight, CheckpointError> {
        let shard = &self.shards[entry.shard];
        let Some(dtype) = entry.stored.dtype() else {
            return Err(CheckpointError::Stored {
                path: shard.path.clone(),
                tensor: entry.called.clone(),
                stored: entry.stored,
            });
        };
        entry.taken.store(true, Ordering::Relaxed);
        let weight = Weight::mapped(shape, dtype, &shard.file, entry.start, entry.scale.clone());
        Ok(weight.expect("the headers were checked: tensors lie within their file, scales fit"))
    }

    /// What the file says about the tensor `name`, if there is one.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// Every tensor, by name.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The bytes of the tensor `name` as they are stored: for what is no number, such as a tokenizer.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        let entry = self.entries.get(name)?;
        let bytes = entry.stored.bytes(entry.shape.elements())?;
        self.shards[entry.shard]
            .file
            .get(entry.start..entry.start + bytes)
    }

    /// The vocabulary in the metadata of a GGUF file, where there is one.
    pub fn vocabulary(&self) -> Result<Option<Vocabulary>, CheckpointError> {
        for shard in self.shards.iter().filter(|shard| shard.format == Format::Gguf) {
            let found = gguf::vocabulary(&shard.file);
            let found = found.map_err(|source| unsound(&shard.path, shard.format, source.into()))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The file that holds the tensor `name`.
    pub fn file_of(&self, name: &str) -> Option<&Path> {
        self.entries
            .get(name)
            .map(|entry| self.shards[entry.shard].path.as_path())
    }

    /// What the files take, in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.file.len() as u64).sum()
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
            .values()
            .filter(|entry| !entry.taken.load(Ordering::Relaxed));
        let Some(entry) = extra.next() else {
            return Ok(());
        };
        Err(CheckpointError::Extra {
            path: self.shards[entry.shard].path.clone(),
            tensor: entry.called.clone(),
            count: 1 + extra.count(),
        })
    }

    /// The error that says that the tensor `name` is missing, as the files would call it.
    pub fn missing(&self, name: &str) -> CheckpointError {
        CheckpointError::Missing {
            path: self.path.clone(),
            tensor: (self.spelling)(name),
        }
    }

    fn find(&self, name: &str) -> Result<&Entry, CheckpointError> {
        self.entries.get(name).ok_or_else(|| self.missing(name))
    }

    fn add_shard(&mut self, path: &Path, file: FileBytes) -> Result<(), CheckpointError> {
        let format = Format::of(&file);
        let header = format
            .parse(&file)
            .map_err(|source| unsound(path, format, source))?;
        let shard = self.shards.len();
        self.shards.push(Shard {
            path: path.to_owned(),
            file: Arc::new(file),
            format,
        });
        for tensor in header {
            let TensorHeader {
                name,
                stored,
                shape,
                bytes,
            } = tensor;
            let entry = Entry {
                stored,
                shape,
                called: name.clone(),
                shard,
                start: bytes.start,
                scale: None,
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

    /// Takes the tensors that are scales of weights to those weights. [`SCALES`] are the names they go by.
    fn attach_scales(&mut self) -> Result<(), CheckpointError> {
        let is_scale = |name: &str| {
            let (suffix, layer) = SCALES
                .iter()
                .find_map(|end| Some((end, name.strip_suffix(*end)?)))?;
            let weight = format!("{layer}.weight");
            (suffix.len() < name.len() && self.entries.contains_key(&weight)).then_some(weight)
        };
        let found: Vec<(String, String)> = (self.entries.keys())
            .filter_map(|name| Some((name.clone(), is_scale(name)?)))
            .collect();
        for (name, weight) in found {
            let scale: Arc<[f32]> = self.weight_any(&name)?.to_f32().into();
            let path = self.file_of(&name).unwrap_or(&self.path).to_owned();
            self.entries.remove(&name);
            let Some(entry) = self.entries.get_mut(&weight) else {
                continue;
            };
            if scale.len() != 1 && entry.shape.dims().first() != Some(&scale.len()) {
                return Err(CheckpointError::Scale { path, tensor: name });
            }
            entry.scale = Some(scale);
        }
        Ok(())
    }
}

/// How files call the scale of a layer's weight.
const SCALES: [&str; 2] = [".scale_weight", ".weight_scale"];

impl Format {
    fn of(file: &[u8]) -> Self {
        // A zip entry begins with the first of these; a pickle of protocol 2, PyTorch's format before 1.6, with the second. Both
        // are the lengths of some safetensors headers too, after which comes a brace.
        let is_torch = file.starts_with(b"PK\x03\x04") || file.starts_with(b"\x80\x02");
        if file.starts_with(gguf::MAGIC) {
            Format::Gguf
        } else if is_torch && file.get(8) != Some(&b'{') {
            Format::Torch
        } else {
            Format::Safetensors
        }
    }

    fn name(self) -> &'static str {
        match self {
            Format::Safetensors => "safetensors",
            Format::Torch => "PyTorch",
            Format::Gguf => "GGUF",
        }
    }

    fn parse(self, file: &[u8]) -> Result<Vec<TensorHeader>, FormatError> {
        Ok(match self {
            Format::Safetensors => safetensors::parse(file)?,
            Format::Torch => torch_zip::parse(file)?,
            Format::Gguf => gguf::parse(file)?,
        })
    }
}

fn unsound(path: &Path, format: Format, source: FormatError) -> CheckpointError {
    CheckpointError::Header {
        path: path.into(),
        format: format.name(),
        source: Box::new(source),
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

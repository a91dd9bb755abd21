//! What can be wrong with the files of a checkpoint.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::gguf::GgufError;
use super::safetensors::HeaderError;
use super::stored::StoredType;
use super::torch_zip::TorchError;
use crate::shape::Shape;

/// What is wrong with a file, by its format.
#[derive(Debug, Error)]
pub enum FormatError {
    /// A safetensors file.
    #[error(transparent)]
    Safetensors(#[from] HeaderError),
    /// A file of PyTorch.
    #[error(transparent)]
    Torch(#[from] TorchError),
    /// A GGUF file.
    #[error(transparent)]
    Gguf(#[from] GgufError),
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
    #[error("{} holds no weights", .path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// A folder in which the weights are ambiguous.
    #[error("{} holds several files of weights and no index that says which belong together", .path.display())]
    Ambiguous {
        /// The folder.
        path: PathBuf,
    },
    /// A file is not what it says it is.
    #[error("{} is not a sound {format} file", .path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What it was taken for, by how it begins.
        format: &'static str,
        /// What is wrong.
        #[source]
        source: Box<FormatError>,
    },
    /// A scale is not for the weight beside it.
    #[error("{}: the scale {tensor:?} is neither one number nor one for each row of its weight", .path.display())]
    Scale {
        /// The file.
        path: PathBuf,
        /// The scale.
        tensor: String,
    },
    /// Two tensors are the same one to the model.
    #[error("{} holds both {one:?} and {other:?}, which are the same tensor", .path.display())]
    Same {
        /// The file.
        path: PathBuf,
        /// The first.
        one: String,
        /// The second.
        other: String,
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
    #[error("{}: the tensor {tensor:?} is stored as {stored}; f32, bf16, f16, fp8 and most of ggml's types can be read", .path.display())]
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

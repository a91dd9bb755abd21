//! What can go wrong: loading a checkpoint, and generating from it. Lower layers' errors are attached as sources.

use std::io;
use std::path::PathBuf;

use kinora_tensor::CheckpointError;
use kinora_tensor::TensorError;
use thiserror::Error;

use crate::progress::Stage;
use crate::weights::WeightsError;

/// A checkpoint that cannot be used.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A file is missing or cannot be read.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A configuration is not what it should be.
    #[error("cannot parse {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A configuration asks for something that is not built.
    #[error("{} asks for what is not supported: {what}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it asks for.
        what: String,
    },
    /// Two parts of a checkpoint do not fit each other.
    #[error("the parts of {} do not fit: {what}", path.display())]
    Mismatch {
        /// The checkpoint's folder.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// A part of a checkpoint is missing, or there is more than one of it.
    #[error("{} is not a whole checkpoint: {what}", path.display())]
    Incomplete {
        /// Where it was looked for.
        path: PathBuf,
        /// What is missing, and what would be taken.
        what: String,
    },
    /// A LoRA does not fit the model.
    #[error("the LoRA {} does not fit: {key:?}: {what}", path.display())]
    Lora {
        /// The file.
        path: PathBuf,
        /// The key in it.
        key: String,
        /// Why not.
        what: String,
    },
    /// The weights' files are corrupt.
    #[error("cannot read the weights in {}", path.display())]
    Checkpoint {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: CheckpointError,
    },
    /// The weights are not those of the configuration.
    #[error("the weights in {} do not fit their configuration", path.display())]
    Weights {
        /// The folder or file.
        path: PathBuf,
        /// Which tensor, and how.
        source: WeightsError,
    },
    /// Copies of weights that a setting asks for are more than the memory that there may be. As they are stored they would be streamed.
    #[error(
        "because of `{setting}`, {:.1} GB of the weights in {} are copied into memory, and its budget is {:.1} GB",
        *copied as f64 / 1e9, path.display(), *budget as f64 / 1e9
    )]
    Memory {
        /// The folder or file.
        path: PathBuf,
        /// What asks for copies: `quantization` or `loras`.
        setting: &'static str,
        /// What they take, in bytes.
        copied: u64,
        /// What there may be, in bytes.
        budget: u64,
    },
    /// A number of a weight is infinite or none at all.
    #[error("{}: the tensor {tensor:?} holds a number that is not finite", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Which tensor.
        tensor: String,
    },
    /// The tokenizer cannot be used.
    #[error("cannot load the tokenizer {}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A generation that did not come to its end.
#[derive(Debug, Error)]
pub enum GenerateError {
    /// It was asked to stop.
    #[error("the generation was stopped")]
    Stopped,
    /// The request cannot be carried out by this checkpoint, or at all.
    #[error("`{field}`: {reason}")]
    Refused {
        /// The part of the request.
        field: &'static str,
        /// Why, and what would be taken.
        reason: String,
    },
    /// A part of the checkpoint could not be brought into memory.
    #[error("cannot load what the generation needs")]
    Load(#[source] LoadError),
    /// The prompt could not be turned into tokens.
    #[error("cannot tokenize `{field}`")]
    Tokenize {
        /// The part of the request.
        field: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The numbers could not be computed.
    #[error("cannot compute: {}", stage.name())]
    Compute {
        /// Where.
        stage: Stage,
        /// Why.
        source: TensorError,
    },
}

/// Why a model came back without a result.
#[derive(Debug)]
pub enum Halt {
    /// Its observer said stop.
    Stopped,
    /// An op failed.
    Tensor(TensorError),
}

impl From<TensorError> for Halt {
    fn from(error: TensorError) -> Self {
        Halt::Tensor(error)
    }
}

impl Halt {
    /// The error of a generation that was in `stage`.
    pub(crate) fn at(self, stage: Stage) -> GenerateError {
        match self {
            Halt::Stopped => GenerateError::Stopped,
            Halt::Tensor(source) => GenerateError::Compute { stage, source },
        }
    }
}

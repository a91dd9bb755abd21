//! A checkpoint put together: where each of its parts is, in whose names, and what it says it is. After this nobody asks how the files
//! came to be.
//!
//! Two layouts are read: diffusers' folder, where each part has a folder and a configuration of its own ([`diffusers`]), and
//! [`loose`] files as the original program, ComfyUI and GGUF have them, where the shapes say what a part is.

mod diffusers;

mod loose;

mod search;

mod source;

use std::path::PathBuf;

pub(crate) use self::source::Source;

use crate::capabilities::Card;
use crate::capabilities::Family;
use crate::config::DitConfig;
use crate::config::ImageConfig;
use crate::config::PipelineConfig;
use crate::config::SamplingConfig;
use crate::config::TextConfig;
use crate::config::VaeConfig;
use crate::error::LoadError;
use crate::files::Files;
use crate::tokenizer::Tokenizer;

/// See the file's head.
pub(crate) struct Assembly {
    /// What errors call the whole.
    pub(crate) root: PathBuf,
    pub(crate) family: Family,
    pub(crate) pipeline: PipelineConfig,
    pub(crate) sampling: SamplingConfig,
    pub(crate) card: Card,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) text: Part<TextConfig>,
    pub(crate) vae: Part<VaeConfig>,
    /// The transformer, or the one for much noise.
    pub(crate) dit: Part<DitConfig>,
    /// The one for little noise.
    pub(crate) low: Option<Part<DitConfig>>,
    pub(crate) image: Option<Part<ImageConfig>>,
}

/// Where a network's weights are, and what it is.
pub(crate) struct Part<C> {
    pub(crate) source: Source,
    pub(crate) config: C,
}

impl Assembly {
    /// Finds the parts of a checkpoint and reads what they say. Tensors are not checked yet.
    pub(crate) fn of(files: &Files) -> Result<Self, LoadError> {
        match files {
            Files::Embedded(_) => diffusers::assemble(files),
            Files::Path(path) if path.join("model_index.json").is_file() => diffusers::assemble(files),
            Files::Path(path) => loose::assemble(path),
        }
    }
}

/// The family of these parts, or why there is none.
fn family(
    root: PathBuf,
    pipeline: &PipelineConfig,
    dit: &DitConfig,
    vae: &VaeConfig,
) -> Result<Family, LoadError> {
    Family::of(pipeline, dit, vae).ok_or_else(|| LoadError::Unsupported {
        path: root,
        what: format!("a transformer of {} channels beside this VAE", dit.in_channels),
    })
}

//! Our own engine: a spec and its inputs to a request for [`kinora_wan`], and its frames to the clip.
//!
//! In reading order: the engine here · [`offer`]: what a checkpoint can do, published, and refused before anything is queued where it
//! cannot · [`film`]: one clip, from its plan to its last frame · [`segments`]: in how many runs a long one is made · [`quality`]: what may
//! be left out · [`footage`]: the inputs as frames · [`timeline`]: a clip that goes on · [`told`]: what is said about it.

mod describe;
mod embedded;
mod film;
mod footage;
mod offer;
mod quality;
mod segments;
mod timeline;
mod told;
mod words;

use std::{
    ffi::OsStr,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use kinora_domain::{GenerationSpec, Offer};
use kinora_wan::{Files, LoadError, LoadOptions, LoraOptions, Pipeline, Quantization};
use thiserror::Error;

use self::film::Film;
pub use self::quality::Quality;
use crate::{Engine, EngineError, EngineProgress, Halt, Made, clip::ClipSink, inputs::Inputs};

/// The Wan models, run here.
pub struct WanEngine {
    offer: Offer,
    pipeline: Pipeline,
    options: WanOptions,
}

/// Which checkpoint is run, and how. `None` leaves a number to the checkpoint.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WanOptions {
    /// Its folder, or its transformer with the rest beside it; none for wan-mini, which is part of the program.
    pub checkpoint: Option<PathBuf>,
    /// What it is called where neither it nor its path says so.
    pub name: Option<String>,
    /// Changes to merge into its transformers.
    pub loras: Vec<LoraOptions>,
    /// The timesteps to walk, before shifting, where a LoRA or the checkpoint was distilled to a few; empty for its own.
    pub timesteps: Vec<f64>,
    /// About how much memory weights and frames may take, in bytes.
    pub memory_budget: Option<u64>,
    /// Steps of a run.
    pub steps: Option<usize>,
    /// How far to lean towards the prompt; 1 is not at all.
    pub guidance: Option<f32>,
    /// What may be left out.
    pub quality: Quality,
    /// How far a step's velocity may be off where it is carried over instead of computed; `None` leaves it to the quality.
    pub step_cache: Option<f32>,
    /// What the matrices of its transformers' blocks are multiplied in, and the VAE's convolutions.
    pub quantization: Quantization,
    /// Pixels of a frame that the model makes.
    pub area: Option<usize>,
}

/// A checkpoint that cannot be used.
#[derive(Debug, Error)]
#[error("the checkpoint cannot be used")]
pub struct OpenCheckpointError(#[from] LoadError);

impl WanEngine {
    /// Checks every tensor of the checkpoint. Its weights are read when they are first needed.
    pub fn open(options: WanOptions) -> Result<WanEngine, OpenCheckpointError> {
        let files = match &options.checkpoint {
            Some(path) => Files::Path(path.clone()),
            None => Files::Embedded(&embedded::WAN_MINI),
        };
        let load = LoadOptions {
            memory_budget: options.memory_budget,
            loras: options.loras.clone(),
            quantization: options.quantization,
            ..LoadOptions::default()
        };
        let pipeline = Pipeline::open(&files, load)?;
        let capabilities = pipeline.capabilities();
        let folder = options.checkpoint.as_deref().and_then(named_by);
        let named = capabilities.name.clone().or_else(|| options.name.clone());
        let name = named.or_else(|| folder.map(|name| name.to_string_lossy().into_owned()));
        Ok(WanEngine {
            offer: offer::offer(name.as_deref().unwrap_or("wan"), capabilities),
            pipeline,
            options,
        })
    }

    /// Whether its prompts should be expanded before it reads them, as its checkpoint says.
    pub fn takes_expanded(&self) -> bool {
        self.pipeline.capabilities().prompt_expansion
    }

    /// What its checkpoint is, facts by their names.
    pub fn describe(&self) -> Vec<(&'static str, String)> {
        describe::describe(&self.offer.id.0, &self.pipeline, &self.options)
    }

    /// Reads all its weights, and refuses numbers that are not finite.
    pub fn check_numbers(&self) -> Result<(), OpenCheckpointError> {
        Ok(self.pipeline.check_numbers()?)
    }
}

impl WanOptions {
    /// The threshold of step caching: the one that was set, else the quality's.
    pub fn step_cache(&self) -> Option<f32> {
        self.step_cache.or(self.quality.step_cache())
    }
}

impl Engine for WanEngine {
    fn offer(&self) -> &Offer {
        &self.offer
    }

    fn generate(
        &mut self,
        spec: &GenerationSpec,
        inputs: &Inputs,
        clip: &mut dyn ClipSink,
        observe: &mut dyn FnMut(EngineProgress) -> ControlFlow<Halt>,
    ) -> Result<Made, EngineError> {
        Film::new(&mut self.pipeline, &self.options, spec, inputs).make(clip, observe)
    }
}

/// What a checkpoint is called by its path: a folder's whole name, for versions have points in them; a file's without its ending.
fn named_by(path: &Path) -> Option<&OsStr> {
    if path.is_file() {
        path.file_stem()
    } else {
        path.file_name()
    }
}

/// The next length of 4n + 1.
fn round_up(num_frames: usize) -> usize {
    num_frames.saturating_sub(1).next_multiple_of(4) + 1
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

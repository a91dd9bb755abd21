//! The seam between what Kinora promises and what makes pictures.
//!
//! [`Engine`] is the whole of it: a spec and its inputs go in, frames (or a finished file) come out, and between
//! two steps the engine asks whether to go on. An engine knows nothing of accounts, credits, queues or HTTP, and
//! it does not write the clip: sizes, frame rate, sound and the container are the business of whoever holds the
//! other end of [`ClipSink`].
//!
//! In reading order: the trait here · [`inputs`]: what an engine is given · [`clip`]: what it gives back · [`cost`]: what
//! it has taken · [`error`]: how it fails · [`notebook`]: what one attempt leaves for the next · [`publish`]: how others get to see inputs
//!
//! The engines: [`wan_engine`]: our own · [`dashscope`], [`videos_api`]: others work, and [`upstream`] is what these
//! share · [`test_pattern`]: the one that needs no weights · [`prompt`]: prompts expanded and cut into shots, for all.

use std::ops::ControlFlow;

use kinora_domain::{GenerationSpec, Offer, Stage, Warning};

pub mod clip;
pub mod cost;
pub mod dashscope;
pub mod error;
pub mod inputs;
pub mod notebook;
pub mod prompt;
pub mod publish;
pub mod test_pattern;
pub mod upstream;
pub mod videos_api;
pub mod wan_engine;

pub use clip::{ClipSink, FrameFormat, SinkError};
pub use cost::{Cost, StageCost};
pub use dashscope::{DashScope, DashScopeOptions};
pub use error::EngineError;
pub use inputs::{InputMedium, Inputs, Part};
pub use kinora_wan::{ExpertName, LoraOptions, Quantization};
pub use notebook::{NoteError, Notebook};
pub use prompt::expand::{Brief, Chat, ChatOptions, ExpandError, Expander, Expansion, Language};
pub use publish::{PublishError, Publisher};
pub use test_pattern::{Fault, FaultKind, TestPattern, TestPatternOptions};
pub use upstream::{OpenUpstreamError, Secret};
pub use videos_api::{VideosApi, VideosApiOptions};
pub use wan_engine::{OpenCheckpointError, Quality, WanEngine, WanOptions};

/// Turns a spec and its inputs into a clip. Knows nothing of accounts, credits or HTTP.
pub trait Engine: Send {
    /// What it can do, and its limits; the same for as long as it lives.
    fn offer(&self) -> &Offer;

    /// Makes one clip: the frames go to `clip` as they are ready, in order.
    ///
    /// `observe` is told of every step and answers whether to go on; on `Break` the engine returns
    /// [`EngineError::Stopped`] as soon as it can, in any case within a second. The same spec, inputs and seed
    /// give the same frames, on every attempt; an engine that has others work for it goes on from its notes instead.
    fn generate(
        &mut self,
        spec: &GenerationSpec,
        inputs: &Inputs,
        clip: &mut dyn ClipSink,
        observe: &mut dyn FnMut(EngineProgress) -> ControlFlow<Halt>,
    ) -> Result<Made, EngineError>;
}

/// Why an engine is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// Nobody wants the clip any more: what others do for it may be ended, too.
    Unwanted,
    /// Another attempt goes on from here.
    Paused,
}

/// A step of an engine: what it does, and how much of that is behind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EngineProgress {
    /// What is being done: encoding, denoising or decoding.
    pub stage: Stage,
    /// 0 to 1, within the stage.
    pub fraction: f32,
    /// Which step of how many, where the stage has some.
    pub step: Option<Step>,
}

/// A step of a stage, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Which one.
    pub number: usize,
    /// Of how many.
    pub of: usize,
}

/// What an engine has to say about a clip that it has made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Made {
    /// The prompt it really used, where there was one.
    pub actual_prompt: Option<String>,
    /// What it did differently from what was asked.
    pub warnings: Vec<Warning>,
    /// What it has taken here; nothing where others did the work.
    pub cost: Cost,
}

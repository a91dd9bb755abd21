//! Where a generation is: told to its caller before every block, who may answer stop.

use crate::lora::ExpertName;

/// What a generation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Bringing a part of the checkpoint into memory.
    Load,
    /// Turning the prompts into contexts.
    EncodeText,
    /// Turning pictures and clips into latents.
    EncodeFrames,
    /// Walking from noise to latents.
    Denoise,
    /// Turning latents into frames.
    Decode,
}

impl Stage {
    /// For messages.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Load => "load",
            Stage::EncodeText => "encode text",
            Stage::EncodeFrames => "encode frames",
            Stage::Denoise => "denoise",
            Stage::Decode => "decode",
        }
    }
}

/// How far a generation has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// Which step of the stage, from 0.
    pub step: usize,
    /// How many steps the stage has.
    pub steps: usize,
    /// The share of the stage that is done, 0…1.
    pub fraction: f32,
    /// Which of two transformers is at work, while one is.
    pub expert: Option<ExpertName>,
}

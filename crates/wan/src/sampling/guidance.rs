//! Guidance: how the velocities of several branches become one.
//!
//! A branch is one pass of the model: with the prompt or the negative prompt, with all of the sources or some. Reference: diffusers
//! `pipeline_wan.py`, `__call__`.

use kinora_tensor::Result;
use kinora_tensor::Tensor;

/// How far a generation leans from the negative prompt to the prompt, for each expert.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guidance {
    /// While there is much noise: the scale of single models, and of the high-noise expert.
    pub high_noise: f32,
    /// While there is little: the scale of the low-noise expert.
    pub low_noise: f32,
}

impl Guidance {
    /// One scale throughout.
    pub fn uniform(scale: f32) -> Self {
        Self {
            high_noise: scale,
            low_noise: scale,
        }
    }

    /// No guidance: the negative prompt is not even encoded. What distilled checkpoints want.
    pub fn off() -> Self {
        Self::uniform(1.0)
    }

    /// Whether the unconditional branch matters at all. As in the reference, the high-noise scale decides.
    pub fn is_on(&self) -> bool {
        self.high_noise > 1.0
    }
}

/// `unconditional + scale · (conditional − unconditional)`.
pub fn combine(conditional: &Tensor, unconditional: &Tensor, scale: f32) -> Result<Tensor> {
    Tensor::weighted_sum(&[(scale, conditional), (1.0 - scale, unconditional)])
}

//! Tells the caller of a generation how far it is, and hears whether to go on.

use std::ops::ControlFlow;

use crate::error::GenerateError;
use crate::lora::ExpertName;
use crate::progress::Progress;
use crate::progress::Stage;

/// The caller, and the stage that is being told about.
pub(super) struct Observer<'a> {
    tell: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    /// Which of two transformers is at work.
    pub(super) expert: Option<ExpertName>,
}

impl<'a> Observer<'a> {
    pub(super) fn new(tell: &'a mut dyn FnMut(Progress) -> ControlFlow<()>) -> Self {
        Self { tell, expert: None }
    }

    /// Tells; an answer of stop becomes an error.
    pub(super) fn at(&mut self, stage: Stage, step: usize, steps: usize) -> Result<(), GenerateError> {
        match self.within(stage, step, steps, 0.0) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(GenerateError::Stopped),
        }
    }

    /// Tells from inside of a step of which `share` is done.
    pub(super) fn within(&mut self, stage: Stage, step: usize, steps: usize, share: f32) -> ControlFlow<()> {
        let fraction = (step as f32 + share) / steps.max(1) as f32;
        (self.tell)(Progress {
            stage,
            step,
            steps,
            fraction,
            expert: self.expert.filter(|_| stage == Stage::Denoise),
        })
    }
}

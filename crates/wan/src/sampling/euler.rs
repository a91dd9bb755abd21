//! Euler: `x + (σ_next − σ)·v`. Reference: diffusers `scheduling_flow_match_euler_discrete.py`, `step`.

use kinora_tensor::Result;
use kinora_tensor::Tensor;

use super::Schedule;

/// A walk in straight lines.
pub struct Euler {
    sigmas: Vec<f32>,
    index: usize,
}

impl Euler {
    /// At the start of `schedule`.
    pub fn new(schedule: &Schedule) -> Self {
        Self {
            sigmas: schedule.sigmas.clone(),
            index: 0,
        }
    }

    /// See [`super::Solver::step`].
    pub fn step(&mut self, velocity: &Tensor, sample: &Tensor) -> Result<Tensor> {
        let stride = self.sigmas[self.index + 1] - self.sigmas[self.index];
        self.index += 1;
        Tensor::weighted_sum(&[(1.0, sample), (stride, velocity)])
    }
}

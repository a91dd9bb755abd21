//! From noise to latents: noise schedules (the sigmas), solvers (the update rules) and guidance.
//!
//! The convention throughout is flow matching: `x = (1 − σ)·x₀ + σ·noise`, and the model predicts the velocity
//! `v = noise − x₀`, so that `x₀ = x − σ·v`. A solver knows nothing of models: it is given a velocity and answers with the
//! next sample. The oracle for sigmas and steps is diffusers; where the original Wan code differs, the difference is a few
//! thousandths of a sigma.

mod schedule;

mod euler;

mod unipc;

mod dpmpp;

mod cache;

pub mod guidance;

pub use cache::StepCache;
pub(crate) use cache::WalkCache;
pub use dpmpp::DpmPp;
pub use euler::Euler;
pub use schedule::Schedule;
pub(crate) use schedule::TIMESTEPS;
pub use unipc::UniPc;

use kinora_tensor::Result;
use kinora_tensor::Tensor;

/// Which update rule walks the sigmas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SolverKind {
    /// UniPC of order 2 with its corrector: what the published checkpoints are configured for.
    UniPc,
    /// DPM-Solver++ 2M.
    DpmPp,
    /// One straight line per step; what few-step distilled checkpoints want.
    Euler,
}

/// A walk from noise to latents in progress.
pub enum Solver {
    /// See [`SolverKind::UniPc`].
    UniPc(Box<UniPc>),
    /// See [`SolverKind::DpmPp`].
    DpmPp(DpmPp),
    /// See [`SolverKind::Euler`].
    Euler(Euler),
}

impl Solver {
    /// A solver at the start of `schedule`.
    pub fn new(kind: SolverKind, schedule: &Schedule) -> Self {
        match kind {
            SolverKind::UniPc => Solver::UniPc(Box::new(UniPc::new(schedule))),
            SolverKind::DpmPp => Solver::DpmPp(DpmPp::new(schedule)),
            SolverKind::Euler => Solver::Euler(Euler::new(schedule)),
        }
    }

    /// Takes the velocity that the model predicted for `sample` at the current sigma, and answers with the sample at the next.
    ///
    /// # Panics
    /// Panics when asked for more steps than the schedule has.
    pub fn step(&mut self, velocity: &Tensor, sample: &Tensor) -> Result<Tensor> {
        match self {
            Solver::UniPc(solver) => solver.step(velocity, sample),
            Solver::DpmPp(solver) => solver.step(velocity, sample),
            Solver::Euler(solver) => solver.step(velocity, sample),
        }
    }
}

/// Half the logarithm of the signal-to-noise ratio, `ln((1 − σ)/σ)`: the time that multistep solvers count in.
/// Infinite at σ = 0, which the solvers treat as a case of its own.
fn log_snr(sigma: f64) -> f64 {
    (1.0 - sigma).ln() - sigma.ln()
}

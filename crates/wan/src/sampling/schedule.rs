//! The noise schedule: which sigmas a generation steps through, and which timesteps the model is told.
//!
//! Reference: diffusers `scheduling_unipc_multistep.py`, `scheduling_dpmsolver_multistep.py` (both `use_flow_sigmas`) and
//! `scheduling_flow_match_euler_discrete.py`, `set_timesteps`. Each spaces its sigmas a little differently.

use super::SolverKind;

/// The timesteps that the models were trained with.
pub(crate) const TIMESTEPS: f64 = 1000.0;

/// Sigmas from noise (near 1) to the clip (0), and a timestep for each but the last.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// One more than there are steps; the last is 0. Rounded to `f32` as the reference keeps them.
    pub sigmas: Vec<f32>,
    /// What the model is told at each step: `σ · 1000`, an integer except with Euler.
    pub timesteps: Vec<f32>,
}

impl Schedule {
    /// The schedule of `steps` steps that goes with a solver, bent towards noise by `shift` (1 leaves it straight).
    pub fn new(kind: SolverKind, steps: usize, shift: f64) -> Self {
        match kind {
            SolverKind::UniPc => Self::unipc(steps, shift),
            SolverKind::DpmPp => Self::dpmpp(steps, shift),
            SolverKind::Euler => Self::euler(steps, shift),
        }
    }

    /// The list of a few-step distilled checkpoint: timesteps before shifting, e.g. 1000, 750, 500, 250.
    pub fn distilled(timesteps: &[f64], shift: f64) -> Self {
        let sigmas: Vec<f64> = timesteps
            .iter()
            .map(|timestep| shifted(timestep / TIMESTEPS, shift))
            .collect();
        Self::with_timesteps(&sigmas, |sigma| (sigma * TIMESTEPS) as f32)
    }

    /// How many times the model is asked (per branch of guidance).
    pub fn steps(&self) -> usize {
        self.timesteps.len()
    }

    /// The schedule without its first steps: where a walk starts from a noised clip instead of pure noise.
    pub fn skip(&self, steps: usize) -> Self {
        Self {
            sigmas: self.sigmas[steps..].to_vec(),
            timesteps: self.timesteps[steps..].to_vec(),
        }
    }

    fn unipc(steps: usize, shift: f64) -> Self {
        let mut sigmas = spaced(1.0, 1.0 / TIMESTEPS, steps + 1);
        sigmas.pop();
        sigmas
            .iter_mut()
            .for_each(|sigma| *sigma = shifted(*sigma, shift));
        // At σ = 1 the first λ would be infinite.
        const CLEARANCE: f64 = 1e-6;
        if let Some(first) = sigmas
            .first_mut()
            .filter(|first| (**first - 1.0).abs() < CLEARANCE)
        {
            *first -= CLEARANCE;
        }
        Self::with_timesteps(&sigmas, |sigma| (sigma * TIMESTEPS).trunc() as f32)
    }

    fn dpmpp(steps: usize, shift: f64) -> Self {
        let mut sigmas: Vec<f64> = spaced(1.0, 1.0 / TIMESTEPS, steps + 1)
            .iter()
            .map(|alpha| shifted(1.0 - alpha, shift))
            .collect();
        sigmas.reverse();
        sigmas.pop();
        Self::with_timesteps(&sigmas, |sigma| (sigma * TIMESTEPS).trunc() as f32)
    }

    fn euler(steps: usize, shift: f64) -> Self {
        // The smallest sigma is shifted here, in single precision, and again below, as the reference does it.
        let (straight, bend) = (1.0 / TIMESTEPS as f32, shift as f32);
        let smallest = f64::from(bend * straight / (1.0 + (bend - 1.0) * straight));
        let sigmas: Vec<f64> = spaced(TIMESTEPS, smallest * TIMESTEPS, steps)
            .iter()
            .map(|t| shifted(t / TIMESTEPS, shift))
            .collect();
        Self::with_timesteps(&sigmas, |sigma| sigma as f32 * TIMESTEPS as f32)
    }

    fn with_timesteps(sigmas: &[f64], timestep: impl Fn(f64) -> f32) -> Self {
        Self {
            timesteps: sigmas.iter().map(|&sigma| timestep(sigma)).collect(),
            sigmas: sigmas.iter().map(|&sigma| sigma as f32).chain([0.0]).collect(),
        }
    }
}

/// Spends more of the steps near the noise: `k·σ / (1 + (k − 1)·σ)`.
fn shifted(sigma: f64, shift: f64) -> f64 {
    shift * sigma / (1.0 + (shift - 1.0) * sigma)
}

/// `count` numbers evenly from `first` to `last`, both included.
fn spaced(first: f64, last: f64, count: usize) -> Vec<f64> {
    let gaps = count.saturating_sub(1).max(1) as f64;
    (0..count)
        .map(|i| {
            if i + 1 == count && count > 1 {
                last
            } else {
                first + (last - first) / gaps * i as f64
            }
        })
        .collect()
}

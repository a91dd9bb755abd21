//! DPM-Solver++ 2M on flow sigmas. Reference: diffusers `scheduling_dpmsolver_multistep.py`, `dpm_solver_first_order_update` and
//! `multistep_dpm_solver_second_order_update` (`dpmsolver++`, midpoint).

use kinora_tensor::Result;
use kinora_tensor::Tensor;

use super::Schedule;
use super::log_snr;

/// A walk that extrapolates from the last two predictions; the first and the last step use one.
pub struct DpmPp {
    sigmas: Vec<f64>,
    index: usize,
    /// The clip predicted one step before.
    previous: Option<Tensor>,
}

impl DpmPp {
    /// At the start of `schedule`.
    pub fn new(schedule: &Schedule) -> Self {
        Self {
            sigmas: schedule.sigmas.iter().copied().map(f64::from).collect(),
            index: 0,
            previous: None,
        }
    }

    /// See [`super::Solver::step`].
    pub fn step(&mut self, velocity: &Tensor, sample: &Tensor) -> Result<Tensor> {
        let (now, next) = (self.sigmas[self.index], self.sigmas[self.index + 1]);
        let clip = Tensor::weighted_sum(&[(1.0, sample), (-now as f32, velocity)])?;
        let out = match &self.previous {
            // The last step lands on the prediction itself: e^(−h) vanishes.
            _ if next == 0.0 => clip.clone(),
            None => {
                let weight = (1.0 - next) * (-(log_snr(next) - log_snr(now))).exp_m1();
                Tensor::weighted_sum(&[((next / now) as f32, sample), (-weight as f32, &clip)])?
            }
            Some(previous) => {
                let h = log_snr(next) - log_snr(now);
                let ratio = (log_snr(now) - log_snr(self.sigmas[self.index - 1])) / h;
                let weight = (1.0 - next) * (-h).exp_m1();
                let slope = 0.5 * weight / ratio;
                Tensor::weighted_sum(&[
                    ((next / now) as f32, sample),
                    (-(weight + slope) as f32, &clip),
                    (slope as f32, previous),
                ])?
            }
        };
        self.previous = Some(clip);
        self.index += 1;
        Ok(out)
    }
}

//! UniPC of order 2 (`bh2`, predicting the clip) with its corrector. Reference: diffusers `scheduling_unipc_multistep.py`,
//! `multistep_uni_p_bh_update` and `multistep_uni_c_bh_update`; original: Wan2.1 `wan/utils/fm_solvers_unipc.py`.
//!
//! Coefficients are worked out in `f64` from the `f32` sigmas, and applied in one pass.

use kinora_tensor::Result;
use kinora_tensor::Tensor;

use super::Schedule;
use super::log_snr;

/// A walk that corrects each step once the model has seen where it led.
pub struct UniPc {
    sigmas: Vec<f64>,
    index: usize,
    /// The step just taken, which the next call corrects.
    last: Option<Step>,
    /// The clip predicted before `last.clip`.
    before: Option<Tensor>,
}

/// A step that was taken.
struct Step {
    /// Where it started, after correction.
    sample: Tensor,
    /// The clip predicted there.
    clip: Tensor,
    order: Order,
}

#[derive(Clone, Copy, PartialEq)]
enum Order {
    First,
    Second,
}

impl UniPc {
    /// At the start of `schedule`.
    pub fn new(schedule: &Schedule) -> Self {
        Self {
            sigmas: schedule.sigmas.iter().copied().map(f64::from).collect(),
            index: 0,
            last: None,
            before: None,
        }
    }

    /// See [`super::Solver::step`].
    pub fn step(&mut self, velocity: &Tensor, sample: &Tensor) -> Result<Tensor> {
        let sigma = self.sigmas[self.index] as f32;
        let clip = Tensor::weighted_sum(&[(1.0, sample), (-sigma, velocity)])?;
        let sample = match &self.last {
            Some(last) => self.correct(last, &clip)?,
            None => sample.clone(),
        };
        self.before = self.last.take().map(|last| last.clip);
        let is_last = self.index + 2 == self.sigmas.len();
        let order = if self.before.is_none() || is_last {
            Order::First
        } else {
            Order::Second
        };
        let next = self.predict(&sample, &clip, order)?;
        self.last = Some(Step { sample, clip, order });
        self.index += 1;
        Ok(next)
    }

    /// From the current sigma to the next.
    fn predict(&self, sample: &Tensor, clip: &Tensor, order: Order) -> Result<Tensor> {
        let (now, next) = (self.sigmas[self.index], self.sigmas[self.index + 1]);
        if next == 0.0 {
            // λ is infinite: the formula's limit is the predicted clip.
            return Ok(clip.clone());
        }
        let h = log_snr(next) - log_snr(now);
        let phi = (-h).exp_m1();
        let alpha = 1.0 - next;
        let keep = ((next / now) as f32, sample);
        match (&self.before, order) {
            (Some(before), Order::Second) => {
                let ratio = (log_snr(self.sigmas[self.index - 1]) - log_snr(now)) / h;
                let slope = 0.5 * alpha * phi / ratio;
                Tensor::weighted_sum(&[
                    keep,
                    ((slope - alpha * phi) as f32, clip),
                    (-slope as f32, before),
                ])
            }
            _ => Tensor::weighted_sum(&[keep, ((-alpha * phi) as f32, clip)]),
        }
    }

    /// Retakes the last step, now that the model has predicted `clip` at its end.
    fn correct(&self, last: &Step, clip: &Tensor) -> Result<Tensor> {
        let (old, new) = (self.sigmas[self.index - 1], self.sigmas[self.index]);
        let h = log_snr(new) - log_snr(old);
        let phi = (-h).exp_m1();
        let scale = (1.0 - new) * phi;
        let keep = ((new / old) as f32, &last.sample);
        match (&self.before, last.order) {
            (Some(before), Order::Second) => {
                let ratio = (log_snr(self.sigmas[self.index - 2]) - log_snr(old)) / h;
                let (slope, change) = corrector_weights(h, phi, ratio);
                Tensor::weighted_sum(&[
                    keep,
                    ((-scale * (1.0 - slope / ratio - change)) as f32, &last.clip),
                    ((-scale * slope / ratio) as f32, before),
                    ((-scale * change) as f32, clip),
                ])
            }
            _ => Tensor::weighted_sum(&[
                keep,
                ((-0.5 * scale) as f32, &last.clip),
                ((-0.5 * scale) as f32, clip),
            ]),
        }
    }
}

/// Solves `[[1, 1], [r, 1]] · (ρ₀, ρ₁) = b` for the weights of the old slope and of the new change.
fn corrector_weights(h: f64, phi: f64, ratio: f64) -> (f64, f64) {
    let first = phi / -h - 1.0;
    let second = first / -h - 0.5;
    let (b1, b2) = (first / phi, 2.0 * second / phi);
    let slope = (b2 - b1) / (ratio - 1.0);
    (slope, b1 - slope)
}

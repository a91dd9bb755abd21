//! Step caching: where the velocity hardly changes, it is carried over from the last step that was computed.
//!
//! What the model adds to its input, `v − x`, changes slowly in the middle of a walk. So a step's velocity can be told
//! from its input alone, `v ≈ x + (v − x)` with the difference of the last computed step. How far that is off is
//! estimated from how much the velocity changed for a change of the input between the last two computed steps, summed
//! up until it passes the threshold; then the model runs again. The idea and its measures are EasyCache's
//! (arXiv 2507.02860); the first fifth of the steps, where everything is decided, and the last one are always computed.

use kinora_tensor::Result;
use kinora_tensor::Tensor;

/// Which steps are spared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepCache {
    /// How far a velocity may be off by the estimate, as a share of its mean magnitude.
    pub threshold: f32,
}

/// A computed step.
struct Computed {
    sample: Tensor,
    velocity: Tensor,
    /// Mean magnitude of the velocity.
    size: f32,
}

/// What one walk carries over.
pub(crate) struct WalkCache {
    rule: Option<StepCache>,
    steps: usize,
    last: Option<Computed>,
    /// The input of the step before, computed or not.
    before: Option<Tensor>,
    /// How much the velocity changes for a change of the input.
    rate: Option<f32>,
    error: f32,
    spared: usize,
}

impl WalkCache {
    /// A walk of so many steps; without a rule all are computed.
    pub(crate) fn new(rule: Option<StepCache>, steps: usize) -> Self {
        Self {
            rule,
            steps,
            last: None,
            before: None,
            rate: None,
            error: 0.0,
            spared: 0,
        }
    }

    /// How many steps were spared so far.
    pub(crate) fn spared(&self) -> usize {
        self.spared
    }

    /// Another model takes over: what this one said counts no more.
    pub(crate) fn forget(&mut self) {
        (self.last, self.before, self.rate, self.error) = (None, None, None, 0.0);
    }

    /// The velocity of `step` at `sample`, where it need not be computed.
    pub(crate) fn velocity(&mut self, step: usize, sample: &Tensor) -> Result<Option<Tensor>> {
        let Some(StepCache { threshold }) = self.rule else {
            return Ok(None);
        };
        let before = self.before.replace(sample.clone());
        let is_decisive = step < self.steps.div_ceil(5).max(2) || step + 1 == self.steps;
        let (Some(last), Some(before), Some(rate), false) = (&self.last, before, self.rate, is_decisive)
        else {
            return Ok(None);
        };
        self.error += rate * mean_difference(sample, &before)? / last.size.max(f32::MIN_POSITIVE);
        if self.error.is_nan() || self.error >= threshold {
            return Ok(None);
        }
        self.spared += 1;
        Tensor::weighted_sum(&[(1.0, &last.velocity), (1.0, sample), (-1.0, &last.sample)]).map(Some)
    }

    /// Takes note of a step that was computed.
    pub(crate) fn computed(&mut self, sample: &Tensor, velocity: &Tensor) -> Result<()> {
        if self.rule.is_none() {
            return Ok(());
        }
        if let Some(last) = &self.last {
            let change = mean_difference(sample, &last.sample)?;
            self.rate = (change > 0.0)
                .then(|| mean_difference(velocity, &last.velocity).map(|moved| moved / change))
                .transpose()?;
        }
        let numbers = velocity.data()?;
        let size = numbers.iter().map(|v| f64::from(v.abs())).sum::<f64>() / numbers.len().max(1) as f64;
        self.last = Some(Computed {
            sample: sample.clone(),
            velocity: velocity.clone(),
            size: size as f32,
        });
        self.error = 0.0;
        Ok(())
    }
}

/// Mean magnitude of the difference of two tensors of one shape.
fn mean_difference(a: &Tensor, b: &Tensor) -> Result<f32> {
    let (a, b) = (a.data()?, b.data()?);
    let sum: f64 = a.iter().zip(&*b).map(|(a, b)| f64::from((a - b).abs())).sum();
    Ok((sum / a.len().max(1) as f64) as f32)
}

#[cfg(test)]
mod tests {
    use kinora_tensor::Device;

    use super::*;

    /// Walks a field whose velocity is `v(x) = x + bend·step²`, in 50 steps; the computed steps.
    fn computed_steps(threshold: Option<f32>, bend: f32) -> Vec<usize> {
        let device = Device::cpu();
        let mut cache = WalkCache::new(threshold.map(|threshold| StepCache { threshold }), 50);
        let mut sample = Tensor::from_vec(&device, [4], vec![1.0, -0.5, 0.25, 2.0]).unwrap();
        let mut computed = Vec::new();
        for step in 0..50 {
            let velocity = match cache.velocity(step, &sample).unwrap() {
                Some(velocity) => velocity,
                None => {
                    let velocity = sample.affine(1.0, bend * (step * step) as f32).unwrap();
                    cache.computed(&sample, &velocity).unwrap();
                    computed.push(step);
                    velocity
                }
            };
            sample = Tensor::weighted_sum(&[(1.0, &sample), (-0.02, &velocity)]).unwrap();
        }
        assert_eq!(cache.spared(), 50 - computed.len());
        computed
    }

    #[test]
    fn without_a_rule_every_step_is_computed() {
        assert_eq!(computed_steps(None, 0.0).len(), 50);
        assert_eq!(computed_steps(Some(0.0), 0.0).len(), 50);
    }

    #[test]
    fn the_beginning_and_the_end_are_always_computed() {
        let computed = computed_steps(Some(1e9), 0.0);
        assert_eq!(computed, (0..10).chain([49]).collect::<Vec<_>>());
    }

    #[test]
    fn more_is_spared_where_more_may_be_off() {
        let count = |threshold| computed_steps(Some(threshold), 1e-3).len();
        let counts = [0.01, 0.05, 0.2, 1.0].map(count);
        assert!(counts.is_sorted_by(|a, b| a >= b), "{counts:?}");
        assert!(counts[0] > counts[3] + 10, "{counts:?}");
    }

    /// What is carried over is exact where the model adds a constant.
    #[test]
    fn a_constant_difference_is_carried_exactly() {
        let device = Device::cpu();
        let tensor = |numbers: &[f32]| Tensor::from_vec(&device, [2], numbers.to_vec()).unwrap();
        let mut cache = WalkCache::new(Some(StepCache { threshold: 1e9 }), 10);
        for step in 0..2 {
            let sample = tensor(&[step as f32, 1.0]);
            assert!(cache.velocity(step, &sample).unwrap().is_none());
            let velocity = sample.affine(1.0, 3.0).unwrap();
            cache.computed(&sample, &velocity).unwrap();
        }
        let told = cache.velocity(2, &tensor(&[7.0, -1.0])).unwrap().unwrap();
        assert_eq!(told.to_vec().unwrap(), [10.0, 2.0]);
        cache.forget();
        assert!(cache.velocity(3, &tensor(&[7.0, -1.0])).unwrap().is_none());
    }
}

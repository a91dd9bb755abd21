//! Guidance: which passes of the model a step needs, and how their velocities become one.
//!
//! A pass sees the prompt or the negative prompt, and all of the source clips or some. Reference: diffusers `pipeline_wan.py`,
//! `__call__`, for the plain rule; the Bernini renderer's rules for sources, as two public ports agree on them.

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

    /// Whether the negative prompt matters at all. As in the reference, the high-noise scale decides.
    pub fn is_on(&self) -> bool {
        self.high_noise > 1.0
    }
}

/// Which prompt a pass sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Text {
    /// What should be seen.
    Positive,
    /// What should not.
    Negative,
}

/// Which source clips a pass sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceSet {
    /// None.
    Empty,
    /// The clips.
    Videos,
    /// The pictures, counted from one.
    Images,
    /// All.
    All,
}

/// One pass of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// Which prompt.
    pub text: Text,
    /// Which sources.
    pub sources: SourceSet,
}

const fn pass(text: Text, sources: SourceSet) -> Pass {
    Pass { text, sources }
}

/// How the passes of a step become one velocity. The order of passes is that of [`Rule::passes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The prompt alone.
    Unguided(SourceSet),
    /// From the negative prompt to the prompt.
    Plain(SourceSet),
    /// As plain, without the part that only strengthens what is there already.
    Projected(SourceSet),
    /// From nothing to the clips, to the pictures, to the prompt.
    VideosImagesText,
    /// From nothing to the pictures, to the prompt, projected.
    ImagesTextProjected,
}

/// How strongly each kind of source, and the prompt, pulls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// The prompt.
    pub text: f32,
    /// Source pictures.
    pub images: f32,
    /// Source clips.
    pub videos: f32,
}

impl Weights {
    /// What source models were tuned with.
    pub const IMAGES: f32 = 4.5;
    /// What source models were tuned with.
    pub const VIDEOS: f32 = 1.25;
    /// By this all weights shrink once the low-noise expert takes over.
    pub const LOW_NOISE: f32 = 0.8;
}

impl Rule {
    /// The passes of a step.
    pub fn passes(self) -> Vec<Pass> {
        use SourceSet::All;
        use SourceSet::Empty;
        use SourceSet::Images;
        use SourceSet::Videos;
        use Text::Negative;
        use Text::Positive;
        match self {
            Rule::Unguided(sources) => vec![pass(Positive, sources)],
            Rule::Plain(sources) | Rule::Projected(sources) => {
                vec![pass(Positive, sources), pass(Negative, sources)]
            }
            Rule::VideosImagesText => {
                vec![
                    pass(Negative, Empty),
                    pass(Negative, Videos),
                    pass(Negative, All),
                    pass(Positive, All),
                ]
            }
            Rule::ImagesTextProjected => vec![
                pass(Negative, Empty),
                pass(Negative, Images),
                pass(Positive, Images),
            ],
        }
    }

    /// The velocity of a step at `sigma` that started from `sample`.
    pub fn combine(
        self,
        velocities: &[Tensor],
        sample: &Tensor,
        sigma: f32,
        weights: Weights,
    ) -> Result<Tensor> {
        let Weights { text, images, videos } = weights;
        match (self, velocities) {
            (Rule::Unguided(_), [velocity]) => Ok(velocity.clone()),
            (Rule::Plain(_), [positive, negative]) => {
                Tensor::weighted_sum(&[(text, positive), (1.0 - text, negative)])
            }
            (Rule::VideosImagesText, [nothing, video, all, prompted]) => Tensor::weighted_sum(&[
                (1.0 - videos, nothing),
                (videos - images, video),
                (images - text, all),
                (text, prompted),
            ]),
            (Rule::Projected(_), [positive, negative]) => {
                let space = ClipSpace { sample, sigma };
                let (positive, negative) = (space.enter(positive)?, space.enter(negative)?);
                let update = projected(&positive, &negative)?;
                space.leave(&Tensor::weighted_sum(&[(1.0, &negative), (text, &update)])?)
            }
            (Rule::ImagesTextProjected, [nothing, image, prompted]) => {
                let space = ClipSpace { sample, sigma };
                let (nothing, image, prompted) =
                    (space.enter(nothing)?, space.enter(image)?, space.enter(prompted)?);
                let (pictures, prompt) = (projected(&image, &nothing)?, projected(&prompted, &image)?);
                space.leave(&Tensor::weighted_sum(&[
                    (1.0, &nothing),
                    (images, &pictures),
                    (text, &prompt),
                ])?)
            }
            _ => unreachable!("there is a velocity for each of the rule's passes"),
        }
    }
}

/// Where projected rules work: among predicted clips instead of velocities, `x₀ = x − σ·v`.
struct ClipSpace<'a> {
    sample: &'a Tensor,
    sigma: f32,
}

impl ClipSpace<'_> {
    fn enter(&self, velocity: &Tensor) -> Result<Tensor> {
        Tensor::weighted_sum(&[(1.0, self.sample), (-self.sigma, velocity)])
    }

    fn leave(&self, clip: &Tensor) -> Result<Tensor> {
        Tensor::weighted_sum(&[(1.0 / self.sigma, self.sample), (-1.0 / self.sigma, clip)])
    }
}

/// How much is kept of the part of an update that lies along the clip itself.
const PARALLEL_KEPT: f64 = 0.5;
/// Updates of a frame longer than this are shortened to it.
const LENGTH_MAX: f64 = 50.0;

/// Adaptive projected guidance: `to − from`, shortened, its part along `to` halved; frame by frame. Momentum is not used.
fn projected(to: &Tensor, from: &Tensor) -> Result<Tensor> {
    let frame = to.shape().elements() / to.dims()[0];
    let (ends, starts) = (to.data()?, from.data()?);
    let mut update = Vec::with_capacity(ends.len());
    for (end, start) in ends.chunks(frame).zip(starts.chunks(frame)) {
        let difference: Vec<f64> = end
            .iter()
            .zip(start)
            .map(|(end, start)| f64::from(end - start))
            .collect();
        let length = difference.iter().map(|x| x * x).sum::<f64>().sqrt();
        let shortened = if length > LENGTH_MAX {
            LENGTH_MAX / length
        } else {
            1.0
        };
        let along: f64 = difference
            .iter()
            .zip(end)
            .map(|(x, end)| x * f64::from(*end))
            .sum();
        let squared: f64 = end.iter().map(|end| f64::from(*end) * f64::from(*end)).sum();
        let share = if squared > 0.0 { along / squared } else { 0.0 };
        let part = |(x, end): (&f64, &f32)| {
            let parallel = share * f64::from(*end);
            (shortened * (x - parallel + PARALLEL_KEPT * parallel)) as f32
        };
        update.extend(difference.iter().zip(end).map(part));
    }
    Tensor::from_vec(to.device(), to.shape(), update)
}

#[cfg(test)]
mod tests {
    use kinora_tensor::Device;

    use super::*;

    #[test]
    fn updates_are_shortened_frame_by_frame_and_halved_along_the_clip() {
        let device = Device::cpu();
        let clip = |numbers: [f32; 4]| Tensor::from_vec(&device, [2, 1, 1, 2], numbers.to_vec()).unwrap();
        let check = |to: [f32; 4], from: [f32; 4], expected: [f32; 4]| {
            let update = projected(&clip(to), &clip(from)).unwrap().to_vec().unwrap();
            let close = update
                .iter()
                .zip(expected)
                .all(|(got, expected)| (got - expected).abs() < 1e-4);
            assert!(close, "{to:?} − {from:?}: {update:?}, not {expected:?}");
        };
        // The first frame moves across the clip, the second along it.
        check([1.0, 0.0, 1.0, 0.0], [1.0, -3.0, -3.0, 0.0], [0.0, 3.0, 2.0, 0.0]);
        // A hundred is shortened to fifty, in its own frame only.
        check(
            [1.0, 0.0, 1.0, 0.0],
            [1.0, -100.0, 1.0, -3.0],
            [0.0, 50.0, 0.0, 3.0],
        );
        check([0.0, 0.0, 0.0, 0.0], [0.0, -3.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0]);
    }

    #[test]
    fn rules_of_equal_velocities_are_those_velocities() {
        let device = Device::cpu();
        let velocity = Tensor::from_vec(&device, [1, 1, 1, 3], vec![0.5, -1.0, 2.0]).unwrap();
        let sample = Tensor::from_vec(&device, [1, 1, 1, 3], vec![0.1, 0.2, -0.3]).unwrap();
        let weights = Weights {
            text: 4.0,
            images: 4.5,
            videos: 1.25,
        };
        let rules = [
            Rule::Unguided(SourceSet::Empty),
            Rule::Plain(SourceSet::Empty),
            Rule::Projected(SourceSet::All),
            Rule::VideosImagesText,
            Rule::ImagesTextProjected,
        ];
        for rule in rules {
            let velocities = vec![velocity.clone(); rule.passes().len()];
            let combined = rule
                .combine(&velocities, &sample, 0.7, weights)
                .unwrap()
                .to_vec()
                .unwrap();
            let close = combined
                .iter()
                .zip([0.5, -1.0, 2.0])
                .all(|(got, expected)| (got - expected).abs() < 1e-5);
            assert!(close, "{rule:?}: {combined:?}");
        }
    }
}

//! The walk from noise to latents: at every step the expert of its timestep, the passes that guidance needs, one update.
//!
//! Reference: diffusers `pipeline_wan.py`, `pipeline_wan_i2v.py`, `pipeline_wan_vace.py`, `__call__`, step 6.

use std::collections::HashMap;

use kinora_tensor::Device;
use kinora_tensor::Result;
use kinora_tensor::Tensor;
use kinora_tensor::rng::TorchNormal;

use super::experts::Expert;
use super::experts::Experts;
use super::observer::Observer;
use crate::capabilities::Family;
use crate::conditioning::Known;
use crate::conditioning::SOURCES_TRAINED;
use crate::conditioning::Warning;
use crate::config::SamplingConfig;
use crate::dit::Branch;
use crate::dit::Dit;
use crate::dit::Layout;
use crate::dit::Step;
use crate::dit::Timestep;
use crate::error::GenerateError;
use crate::error::Halt;
use crate::progress::Stage;
use crate::request::Conditioning;
use crate::request::Noise;
use crate::request::Request;
use crate::request::Sampling;
use crate::sampling::Schedule;
use crate::sampling::Solver;
use crate::sampling::SolverKind;
use crate::sampling::WalkCache;
use crate::sampling::guidance::Rule;
use crate::sampling::guidance::SourceSet;
use crate::sampling::guidance::Text;
use crate::sampling::guidance::Weights;

/// The prompts, encoded.
pub(super) struct Contexts {
    pub(super) positive: Tensor,
    /// None where guidance is off.
    pub(super) negative: Option<Tensor>,
    /// Which of them were too long.
    pub(super) warnings: Vec<Warning>,
}

/// What an expert has prepared for this generation: constant over its steps.
struct Prepared {
    expert: Expert,
    positive: Branch,
    negative: Option<Branch>,
    layouts: HashMap<SourceSet, Layout>,
}

/// Looks a few times on the way.
pub(super) trait Glimpse {
    /// `ahead` works out what the latents would be if the walk ended now, `[F, H, W, Z]`.
    fn look(
        &mut self,
        ahead: &mut dyn FnMut() -> std::result::Result<Tensor, GenerateError>,
    ) -> std::result::Result<(), GenerateError>;
}

/// How often.
const GLIMPSES: usize = 8;

/// What a walk is made of.
pub(super) struct Walk<'a> {
    pub(super) device: &'a Device,
    pub(super) family: Family,
    pub(super) request: &'a Request,
    pub(super) contexts: &'a Contexts,
    pub(super) known: &'a Known,
}

impl Walk<'_> {
    /// From `noise` `[F, H, W, Z]` to latents of the same shape, and how many steps were spared on the way.
    pub(super) fn run(
        &self,
        experts: &mut Experts,
        config: SamplingConfig,
        noise: Tensor,
        observer: &mut Observer<'_>,
        glimpse: Option<&mut dyn Glimpse>,
    ) -> std::result::Result<(Tensor, usize), GenerateError> {
        let mut glimpse = glimpse;
        let (schedule, kind) = schedule(&self.request.sampling, config);
        let mut solver = Solver::new(kind, &schedule);
        let mut cache = WalkCache::new(self.request.step_cache, schedule.steps());
        let mut prepared: Option<Prepared> = None;
        let mut sample = noise;
        for (step, &timestep) in schedule.timesteps.iter().enumerate() {
            let expert = experts.at(timestep);
            observer.expert = experts.name(expert);
            if prepared.as_ref().is_none_or(|prepared| prepared.expert != expert) {
                // The other expert's keys go before this one comes.
                drop(prepared.take());
                cache.forget();
                if !experts.is_live(expert) {
                    observer.at(Stage::Load, 0, 1)?;
                }
                let dit = experts.get(self.device, expert)?;
                prepared = Some(compute(self.prepare(dit, expert, &sample))?);
            }
            let (dit, prepared) = (
                experts.get(self.device, expert)?,
                prepared.as_ref().expect("just prepared"),
            );
            let now = Now {
                step,
                steps: schedule.steps(),
                timestep,
                sigma: schedule.sigmas[step],
            };
            let velocity = match compute(cache.velocity(step, &sample))? {
                Some(velocity) => {
                    observer.at(Stage::Denoise, step, now.steps)?;
                    velocity
                }
                None => {
                    let velocity = self.velocity(dit, prepared, &sample, now, observer)?;
                    compute(cache.computed(&sample, &velocity))?;
                    velocity
                }
            };
            let is_due = (step + 1) * GLIMPSES / now.steps > step * GLIMPSES / now.steps;
            if let Some(glimpse) = glimpse.as_mut().filter(|_| is_due) {
                // The straight way from here: x₀ = x − σ·v.
                glimpse.look(&mut || {
                    compute(Tensor::weighted_sum(&[(1.0, &sample), (-now.sigma, &velocity)]))
                })?;
            }
            sample = compute(solver.step(&velocity, &sample))?;
        }
        let latents = match &self.known.first {
            Some(first) => compute(with_first(&sample, first))?,
            None => sample,
        };
        Ok((latents, cache.spared()))
    }

    fn prepare(&self, dit: &Dit, expert: Expert, sample: &Tensor) -> Result<Prepared> {
        let image = self.known.image.as_ref();
        let layout = |sources: SourceSet| dit.layout_with_sources(sample, &self.sources(sources));
        let sets = self.rule(expert).passes().into_iter().map(|pass| pass.sources);
        Ok(Prepared {
            expert,
            positive: dit.branch(&self.contexts.positive, image)?,
            negative: self
                .contexts
                .negative
                .as_ref()
                .map(|negative| dit.branch(negative, image))
                .transpose()?,
            layouts: sets.map(|set| Ok((set, layout(set)?))).collect::<Result<_>>()?,
        })
    }

    /// The velocity of one step, guidance applied.
    fn velocity(
        &self,
        dit: &Dit,
        prepared: &Prepared,
        sample: &Tensor,
        now: Now,
        observer: &mut Observer<'_>,
    ) -> std::result::Result<Tensor, GenerateError> {
        let latents = compute(self.known.join(sample))?;
        let timestep = self.known.timestep(now.timestep, sample, dit.config().patch);
        let input = Step {
            latents: &latents,
            timestep: &timestep,
            control: self.known.control.as_ref(),
        };
        let rule = self.rule(prepared.expert);
        let passes = rule.passes();
        let mut velocities = Vec::with_capacity(passes.len());
        for (index, pass) in passes.iter().enumerate() {
            let branch = match (pass.text, &prepared.negative) {
                (Text::Negative, Some(negative)) => negative,
                _ => &prepared.positive,
            };
            let mut observe = |share: f32| {
                let share = (index as f32 + share) / passes.len() as f32;
                observer.within(Stage::Denoise, now.step, now.steps, share)
            };
            let velocity = dit.forward(&input, &prepared.layouts[&pass.sources], branch, &mut observe);
            velocities.push(velocity.map_err(|halt| halt.at(Stage::Denoise))?);
        }
        compute(rule.combine(&velocities, sample, now.sigma, self.weights(prepared.expert)))
    }

    /// Which passes are needed. Exactly no guidance is one pass, whatever was asked for before.
    fn rule(&self, expert: Expert) -> Rule {
        let sources = &self.known.sources;
        let (has_videos, has_images) = (!sources.videos.is_empty(), !sources.images.is_empty());
        let all = if has_videos || has_images {
            SourceSet::All
        } else {
            SourceSet::Empty
        };
        if self.contexts.negative.is_none() || self.text_weight(expert) == 1.0 {
            return Rule::Unguided(all);
        }
        match (self.family, &self.request.conditioning) {
            (Family::Sources, Conditioning::References { .. }) if has_images && !has_videos => {
                Rule::ImagesTextProjected
            }
            (Family::Sources, _) if has_images && has_videos => Rule::VideosImagesText,
            (Family::Sources, _) => Rule::Projected(all),
            (Family::Text | Family::Inpaint { .. } | Family::KnownTokens | Family::Vace, _) => {
                Rule::Plain(all)
            }
        }
    }

    fn text_weight(&self, expert: Expert) -> f32 {
        match (expert, self.family) {
            (Expert::LowNoise, Family::Sources) => self.request.guidance.high_noise * Weights::LOW_NOISE,
            (Expert::LowNoise, _) => self.request.guidance.low_noise,
            (Expert::HighNoise, _) => self.request.guidance.high_noise,
        }
    }

    fn weights(&self, expert: Expert) -> Weights {
        let shrink = if expert == Expert::LowNoise {
            Weights::LOW_NOISE
        } else {
            1.0
        };
        Weights {
            text: self.text_weight(expert),
            images: Weights::IMAGES * shrink,
            videos: Weights::VIDEOS * shrink,
        }
    }

    /// A set of sources with their numbers: videos first, then images, counted from one. Beyond those that were trained, numbers
    /// lie between the trained ones.
    fn sources(&self, set: SourceSet) -> Vec<(f64, Tensor)> {
        let sources = &self.known.sources;
        let clips: Vec<&Tensor> = match set {
            SourceSet::Empty => Vec::new(),
            SourceSet::Videos => sources.videos.iter().collect(),
            SourceSet::Images => sources.images.iter().collect(),
            SourceSet::All => sources.videos.iter().chain(&sources.images).collect(),
        };
        let count = clips.len();
        clips
            .into_iter()
            .enumerate()
            .map(|(index, clip)| (source_number(index, count), clip.clone()))
            .collect()
    }
}

/// The number of source `index` of `count`.
fn source_number(index: usize, count: usize) -> f64 {
    if count <= SOURCES_TRAINED {
        return (index + 1) as f64;
    }
    1.0 + index as f64 * (SOURCES_TRAINED - 1) as f64 / (count - 1) as f64
}

/// A step of the walk.
#[derive(Clone, Copy)]
struct Now {
    step: usize,
    steps: usize,
    timestep: f32,
    sigma: f32,
}

impl Known {
    /// What the DiT sees of `sample`: with known channels beside it, or known latents in place of its first frame.
    fn join(&self, sample: &Tensor) -> Result<Tensor> {
        match (&self.channels, &self.first) {
            (Some(channels), _) => Tensor::concat(&[sample, channels], 3),
            (None, Some(first)) => with_first(sample, first),
            (None, None) => Ok(sample.clone()),
        }
    }

    /// Known tokens have no noise.
    fn timestep(&self, timestep: f32, sample: &Tensor, patch: [usize; 3]) -> Timestep {
        if self.first.is_none() {
            return Timestep::Uniform(timestep);
        }
        let [frames, rows, columns, _] = *sample.dims() else {
            unreachable!("latents are [F, H, W, Z]");
        };
        let tokens = rows / patch[1] * (columns / patch[2]);
        let index = (0..frames / patch[0] * tokens)
            .map(|token| u32::from(token >= tokens))
            .collect();
        Timestep::PerToken {
            values: vec![0.0, timestep],
            index,
        }
    }
}

/// `first` in place of the first frame.
fn with_first(sample: &Tensor, first: &Tensor) -> Result<Tensor> {
    Tensor::concat(&[first, &sample.slice(0, 1..sample.dims()[0])?], 0)
}

fn schedule(sampling: &Sampling, config: SamplingConfig) -> (Schedule, SolverKind) {
    match *sampling {
        Sampling::Checkpoint { steps } => (Schedule::new(config.solver, steps, config.shift), config.solver),
        Sampling::Custom { solver, steps, shift } => (Schedule::new(solver, steps, shift), solver),
        Sampling::Distilled { ref timesteps, shift } => {
            (Schedule::distilled(timesteps, shift), SolverKind::Euler)
        }
    }
}

/// The first latents: `shape` is `[F, H, W, Z]`. Drawn on the host, in the order in which the reference keeps them.
pub(super) fn noise(
    device: &Device,
    noise: &Noise,
    shape: [usize; 4],
) -> std::result::Result<Tensor, GenerateError> {
    match noise {
        Noise::Given(latents) if latents.dims() == shape => Ok(latents.clone()),
        Noise::Given(latents) => Err(GenerateError::Refused {
            field: "noise",
            reason: format!("latents of {:?} are needed, not of {}", shape, latents.shape()),
        }),
        Noise::Seed(seed) => {
            let [frames, rows, columns, channels] = shape;
            let numbers = TorchNormal::new(*seed).draw(shape.iter().product());
            let drawn = Tensor::from_vec(device, [channels, frames, rows, columns], numbers);
            compute(drawn.and_then(|drawn| drawn.permute(&[1, 2, 3, 0])))
        }
    }
}

fn compute<T>(result: Result<T>) -> std::result::Result<T, GenerateError> {
    result.map_err(|error| Halt::Tensor(error).at(Stage::Denoise))
}

//! Latents to frames, one latent frame at a time: the first gives one frame, each other four. Where those are more than two, what follows takes
//! them two by two, to their end: the large frames of the last levels then take half of the memory, and what a convolution remembers is
//! its input itself.
//!
//! Reference: Wan2.1 `wan/modules/vae.py`, `Decoder3d`; diffusers `WanDecoder3d`, `WanUpBlock`, `WanResidualUpBlock`.

use kinora_tensor::Epilogue;
use kinora_tensor::Linear;
use kinora_tensor::Tensor;

use super::Watch;
use super::cache::LOOK_BACK;
use super::cache::Past;
use super::cache::UpsamplePast;
use super::cache::bytes_remembered;
use super::cache::chunks;
use super::layers::CausalConv;
use super::layers::Head;
use super::layers::MidBlock;
use super::layers::MidCache;
use super::layers::ResidualBlock;
use super::layers::ResidualCache;
use super::patch::unpatchify;
use super::resample::DuplicateUp;
use super::resample::Time;
use super::resample::Upsample;
use crate::config::VaeConfig;
use crate::error::Halt;
use crate::weights::Weights;
use crate::weights::WeightsError;

/// See the file's head.
pub struct VaeDecoder {
    post_quant_conv: Linear,
    conv_in: CausalConv,
    mid_block: MidBlock,
    levels: Vec<Level>,
    head: Head,
    patch: usize,
    /// What one latent costs, see [`VaeDecoder::bytes`].
    bytes_per_latent: usize,
}

/// Residual blocks, then a doubling.
struct Level {
    resnets: Vec<ResidualBlock>,
    up: Option<Upsample>,
    shortcut: Option<DuplicateUp>,
}

/// A clip on its way through the decoder.
pub struct Decoding<'a> {
    decoder: &'a VaeDecoder,
    cache: Cache,
    is_first_chunk: bool,
}

struct Cache {
    conv_in: Past,
    mid_block: MidCache,
    levels: Vec<LevelCache>,
    head: Past,
}

struct LevelCache {
    resnets: Vec<ResidualCache>,
    up: UpsamplePast,
}

impl VaeDecoder {
    /// Builds the decoder; every tensor's name and shape is checked on the way.
    pub fn load(w: &Weights, config: &VaeConfig) -> Result<Self, WeightsError> {
        let decoder = w.at("decoder");
        let narrowest = config.decoder_base_dim.unwrap_or(config.base_dim);
        let widest = narrowest * config.dim_mult.last().copied().unwrap_or(1);
        let leaving = narrowest * config.dim_mult.first().copied().unwrap_or(1);
        let head = Head::load(&decoder, leaving, config.out_channels)?;
        let loaded = Self {
            post_quant_conv: w.pointwise("post_quant_conv", config.z_dim, config.z_dim, 5)?,
            conv_in: CausalConv::load(&decoder, "conv_in", config.z_dim, widest)?,
            mid_block: MidBlock::load(&decoder.at("mid_block"), widest)?,
            levels: load_levels(&decoder, config, narrowest)?,
            patch: config.patch_size.unwrap_or(1),
            bytes_per_latent: bytes_per_latent(config, narrowest, head.remembers_rounded()),
            head,
        };
        w.let_go();
        Ok(loaded)
    }

    /// Starts a clip.
    pub fn start(&self) -> Decoding<'_> {
        let level = |level: &Level| LevelCache {
            resnets: level.resnets.iter().map(|_| ResidualCache::default()).collect(),
            up: UpsamplePast::default(),
        };
        let cache = Cache {
            conv_in: Past::default(),
            mid_block: MidCache::default(),
            levels: self.levels.iter().map(level).collect(),
            head: Past::default(),
        };
        Decoding {
            decoder: self,
            cache,
            is_first_chunk: true,
        }
    }

    /// About how much memory decoding latents of this many rows and columns takes at its peak: what is remembered, and what one
    /// chunk needs on its way.
    pub fn bytes(&self, rows: usize, columns: usize) -> usize {
        rows * columns * self.bytes_per_latent
    }

    /// Side of a pixel patch; 1 where there are none.
    pub(super) fn patch(&self) -> usize {
        self.patch
    }
}

impl Decoding<'_> {
    /// The next latent frame `[1, H, W, Z]` to the frames `[1 or 4, Y, X, 3]` it stands for, not clamped.
    pub fn push(&mut self, latents: &Tensor, watch: &mut Watch<'_>) -> Result<Tensor, Halt> {
        Ok(unpatchify(
            &self.push_patches(latents, watch)?,
            self.decoder.patch,
        )?)
    }

    /// As [`Decoding::push`], with pixel patches left in the channels.
    pub(super) fn push_patches(&mut self, latents: &Tensor, watch: &mut Watch<'_>) -> Result<Tensor, Halt> {
        let Self {
            decoder,
            cache,
            is_first_chunk,
        } = self;
        let x = latents.linear(&decoder.post_quant_conv, Epilogue::None)?;
        let x = decoder.conv_in.forward(x, &mut cache.conv_in, Epilogue::None)?;
        watch.check()?;
        let x = decoder.mid_block.forward(x, &mut cache.mid_block)?;
        let rest = Rest {
            levels: &decoder.levels,
            head: &decoder.head,
            is_first_chunk: *is_first_chunk,
        };
        *is_first_chunk = false;
        rest.forward(x, &mut cache.levels, &mut cache.head, watch)
    }
}

/// The levels that are still ahead, and the head.
#[derive(Clone, Copy)]
struct Rest<'a> {
    levels: &'a [Level],
    head: &'a Head,
    is_first_chunk: bool,
}

impl Rest<'_> {
    /// See the file's head: no more than two frames pass at once.
    fn forward(
        self,
        x: Tensor,
        caches: &mut [LevelCache],
        head: &mut Past,
        watch: &mut Watch<'_>,
    ) -> Result<Tensor, Halt> {
        if x.dims()[0] > LOOK_BACK {
            let done = (chunks(x)?.into_iter())
                .map(|x| self.forward(x, caches, head, watch))
                .collect::<Result<Vec<Tensor>, Halt>>()?;
            return Ok(Tensor::concat(&done.iter().collect::<Vec<_>>(), 0)?);
        }
        let (Some((level, levels)), Some((cache, caches))) =
            (self.levels.split_first(), caches.split_first_mut())
        else {
            return Ok(self.head.forward(x, head)?);
        };
        let x = level.forward(x, cache, self.is_first_chunk, watch)?;
        Self { levels, ..self }.forward(x, caches, head, watch)
    }
}

fn load_levels(decoder: &Weights, config: &VaeConfig, narrowest: usize) -> Result<Vec<Level>, WeightsError> {
    let mut levels = Vec::new();
    for plan in plan(config, narrowest) {
        let w = decoder.at(&format!("up_blocks.{}", plan.index));
        let mut resnets = Vec::new();
        for resnet in 0..plan.resnets {
            let entering = if resnet == 0 { plan.inputs } else { plan.outputs };
            resnets.push(ResidualBlock::load(
                &w.at(&format!("resnets.{resnet}")),
                entering,
                plan.outputs,
            )?);
        }
        let name = if config.is_residual {
            "upsampler"
        } else {
            "upsamplers.0"
        };
        let up = match plan.time {
            Some(time) => Some(Upsample::load(&w.at(name), plan.outputs, plan.leaving, time)?),
            None => None,
        };
        let shortcut = plan.time.filter(|_| config.is_residual).map(|time| DuplicateUp {
            outputs: plan.outputs,
            time: time.factor(),
            space: 2,
        });
        levels.push(Level {
            resnets,
            up,
            shortcut,
        });
    }
    Ok(levels)
}

/// A level as the configuration has it.
struct LevelPlan {
    index: usize,
    inputs: usize,
    outputs: usize,
    /// Channels after the doubling.
    leaving: usize,
    resnets: usize,
    /// None where nothing is doubled.
    time: Option<Time>,
}

/// From the widest level to the narrowest. In 2.1 a doubling of space halves the channels.
fn plan(config: &VaeConfig, narrowest: usize) -> Vec<LevelPlan> {
    let flags: Vec<Time> = config
        .temporal_downsample
        .iter()
        .rev()
        .copied()
        .map(Time::from)
        .collect();
    let widths: Vec<usize> = config
        .dim_mult
        .iter()
        .rev()
        .map(|multiple| narrowest * multiple)
        .collect();
    let mut plans: Vec<LevelPlan> = Vec::new();
    for (index, &outputs) in widths.iter().enumerate() {
        let inputs = match index.checked_sub(1) {
            None => outputs,
            Some(before) if config.is_residual => widths[before],
            Some(before) => widths[before] / 2,
        };
        let leaving = if config.is_residual { outputs } else { outputs / 2 };
        let time = flags.get(index).copied();
        plans.push(LevelPlan {
            index,
            inputs,
            outputs,
            leaving,
            resnets: config.num_res_blocks + 1,
            time,
        });
    }
    plans
}

/// Two remembered frames per convolution, in bf16 where they are `rounded`, and then those of one widened; and in the level that is being computed, four copies of a chunk, which is of two frames at most, or
/// what a doubling takes and gives. Before the first chunk of two, as many frames wait as time was doubled to.
fn bytes_per_latent(config: &VaeConfig, narrowest: usize, rounded: bool) -> usize {
    let copies = if rounded { 5 } else { 4 };
    let (mut area, mut frames, mut remembered, mut working, mut waiting) = (1, 1, 0, 0, 0);
    for plan in plan(config, narrowest) {
        remembered += area * plan.outputs * 2 * 2 * plan.resnets;
        working = working.max(area * frames * plan.inputs.max(plan.outputs) * copies);
        if let Some(time) = plan.time {
            area *= 4;
            frames *= time.factor();
            working = working.max(area * frames * (plan.outputs * 5 / 4 + plan.leaving));
            if frames > LOOK_BACK {
                waiting += area * (frames - LOOK_BACK) * plan.leaving;
                frames = LOOK_BACK;
            }
        }
    }
    bytes_remembered(remembered, rounded) + (working + waiting) * size_of::<f32>()
}

impl Level {
    fn forward(
        &self,
        x: Tensor,
        cache: &mut LevelCache,
        is_first_chunk: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Tensor, Halt> {
        let shortcut = self.shortcut.as_ref().map(|shortcut| (shortcut, x.clone()));
        let mut y = x;
        for (resnet, cache) in self.resnets.iter().zip(&mut cache.resnets) {
            watch.check()?;
            y = resnet.forward(y, cache)?;
        }
        if let Some(up) = &self.up {
            y = up.forward(y, &mut cache.up)?;
        }
        match shortcut {
            Some((shortcut, x)) => Ok(y.add(&shortcut.forward(&x, is_first_chunk)?)?),
            None => Ok(y),
        }
    }
}

//! Frames to latents, chunk by chunk: one frame, then four at a time. Until time is halved these pass two by two: the large frames of the
//! first levels then take half of the memory, and what a convolution remembers is its input itself.
//!
//! Reference: Wan2.1 `wan/modules/vae.py`, `Encoder3d`; diffusers `WanEncoder3d`, `WanResidualDownBlock`.

use kinora_tensor::Epilogue;
use kinora_tensor::Linear;
use kinora_tensor::Tensor;

use super::Watch;
use super::cache::DownsamplePast;
use super::cache::LOOK_BACK;
use super::cache::Past;
use super::cache::bytes_remembered;
use super::cache::chunks;
use super::layers::CausalConv;
use super::layers::Head;
use super::layers::MidBlock;
use super::layers::MidCache;
use super::layers::ResidualBlock;
use super::layers::ResidualCache;
use super::patch::patchify;
use super::resample::AverageDown;
use super::resample::Downsample;
use super::resample::Time;
use crate::config::VaeConfig;
use crate::error::Halt;
use crate::weights::Weights;
use crate::weights::WeightsError;

/// How many frames make a latent frame after the first.
const CHUNK: usize = 4;

/// See the file's head.
pub struct VaeEncoder {
    conv_in: CausalConv,
    levels: Vec<Level>,
    mid_block: MidBlock,
    head: Head,
    quant_conv: Linear,
    latent_channels: usize,
    patch: usize,
    /// What one latent costs, see [`VaeEncoder::bytes`].
    bytes_per_latent: usize,
}

/// Residual blocks, then a halving.
struct Level {
    resnets: Vec<ResidualBlock>,
    down: Option<Downsample>,
    shortcut: Option<AverageDown>,
}

struct Cache {
    conv_in: Past,
    levels: Vec<LevelCache>,
    mid_block: MidCache,
    head: Past,
}

struct LevelCache {
    resnets: Vec<ResidualCache>,
    down: DownsamplePast,
}

impl VaeEncoder {
    /// Builds the encoder; every tensor's name and shape is checked on the way.
    pub fn load(w: &Weights, config: &VaeConfig) -> Result<Self, WeightsError> {
        let encoder = w.at("encoder");
        let widest = config.base_dim * config.dim_mult.last().copied().unwrap_or(1);
        let z = config.z_dim;
        let head = Head::load(&encoder, widest, 2 * z)?;
        let loaded = Self {
            conv_in: CausalConv::load(&encoder, "conv_in", config.in_channels, config.base_dim)?,
            levels: load_levels(&encoder, config)?,
            mid_block: MidBlock::load(&encoder.at("mid_block"), widest)?,
            quant_conv: w.pointwise("quant_conv", 2 * z, 2 * z, 5)?,
            latent_channels: z,
            patch: config.patch_size.unwrap_or(1),
            bytes_per_latent: bytes_per_latent(config, head.remembers_rounded()),
            head,
        };
        w.let_go();
        Ok(loaded)
    }

    /// `[T, Y, X, 3]` in −1…1, T = 4n + 1, to the means of the latents `[n + 1, H, W, Z]`. Frames that do not fill a chunk at the
    /// end are left out.
    pub fn encode(&self, clip: &Tensor, watch: &mut Watch<'_>) -> Result<Tensor, Halt> {
        let mut cache = self.cache();
        let frames = clip.dims()[0];
        let mut latents = Vec::new();
        for chunk in 0..=(frames - 1) / CHUNK {
            let range = if chunk == 0 {
                0..1
            } else {
                1 + CHUNK * (chunk - 1)..1 + CHUNK * chunk
            };
            latents.push(self.chunk(&clip.slice(0, range)?, &mut cache, watch)?);
        }
        Ok(Tensor::concat(&latents.iter().collect::<Vec<_>>(), 0)?)
    }

    /// About how much memory encoding to latents of this many rows and columns takes at its peak: what is remembered, and what one
    /// chunk needs on its way.
    pub fn bytes(&self, rows: usize, columns: usize) -> usize {
        rows * columns * self.bytes_per_latent
    }

    /// One chunk of frames to one latent frame `[1, H, W, Z]`.
    fn chunk(&self, frames: &Tensor, cache: &mut Cache, watch: &mut Watch<'_>) -> Result<Tensor, Halt> {
        let large = (self.levels.iter().position(Level::halves_time)).map_or(self.levels.len(), |at| at + 1);
        let mut halved = Vec::new();
        for x in chunks(patchify(frames, self.patch)?)? {
            let mut x = self.conv_in.forward(x, &mut cache.conv_in, Epilogue::None)?;
            for (level, cache) in self.levels[..large].iter().zip(&mut cache.levels) {
                x = level.forward(x, cache, watch)?;
            }
            halved.push(x);
        }
        let mut x = Tensor::concat(&halved.iter().collect::<Vec<_>>(), 0)?;
        drop(halved);
        for (level, cache) in self.levels.iter().zip(&mut cache.levels).skip(large) {
            x = level.forward(x, cache, watch)?;
        }
        watch.check()?;
        let x = self.mid_block.forward(x, &mut cache.mid_block)?;
        let x = self.head.forward(x, &mut cache.head)?;
        // Mean and logarithm of variance side by side; the mean is taken, nothing is drawn.
        Ok(x.linear(&self.quant_conv, Epilogue::None)?
            .slice(3, 0..self.latent_channels)?)
    }

    fn cache(&self) -> Cache {
        let level = |level: &Level| LevelCache {
            resnets: level.resnets.iter().map(|_| ResidualCache::default()).collect(),
            down: DownsamplePast::default(),
        };
        Cache {
            conv_in: Past::default(),
            levels: self.levels.iter().map(level).collect(),
            mid_block: MidCache::default(),
            head: Past::default(),
        }
    }
}

/// Two remembered frames per convolution, in bf16 where they are `rounded`, and then those of one widened; and four copies of a chunk of
/// two in the level that is being computed.
fn bytes_per_latent(config: &VaeConfig, rounded: bool) -> usize {
    let copies = if rounded { 5 } else { 4 };
    let levels = config.dim_mult.len() - 1;
    let (mut area, mut remembered, mut working) = (1 << (2 * levels), 0, 0);
    for multiple in &config.dim_mult {
        let width = config.base_dim * multiple;
        remembered += area * width * 2 * 2 * config.num_res_blocks;
        working = working.max(area * LOOK_BACK * width * copies);
        area /= 4;
    }
    bytes_remembered(remembered, rounded) + working * size_of::<f32>()
}

/// The two generations name their levels differently: 2.1 counts all layers in one list, 2.2 level by level.
fn load_levels(encoder: &Weights, config: &VaeConfig) -> Result<Vec<Level>, WeightsError> {
    let mut inputs = config.base_dim;
    let mut flat = 0;
    let mut levels = Vec::new();
    for (index, multiple) in config.dim_mult.iter().enumerate() {
        let outputs = config.base_dim * multiple;
        let time = config.temporal_downsample.get(index).copied().map(Time::from);
        let mut next = |nested: String| {
            let name = if config.is_residual {
                nested
            } else {
                flat.to_string()
            };
            flat += 1;
            encoder.at(&format!("down_blocks.{name}"))
        };
        let mut resnets = Vec::new();
        for resnet in 0..config.num_res_blocks {
            let entering = if resnet == 0 { inputs } else { outputs };
            resnets.push(ResidualBlock::load(
                &next(format!("{index}.resnets.{resnet}")),
                entering,
                outputs,
            )?);
        }
        let down = match time {
            Some(time) => Some(Downsample::load(
                &next(format!("{index}.downsampler")),
                outputs,
                time,
            )?),
            None => None,
        };
        let shortcut = AverageDown {
            outputs,
            time: time.map_or(1, Time::factor),
            space: if time.is_some() { 2 } else { 1 },
        };
        levels.push(Level {
            resnets,
            down,
            shortcut: config.is_residual.then_some(shortcut),
        });
        inputs = outputs;
    }
    Ok(levels)
}

impl Level {
    fn forward(&self, x: Tensor, cache: &mut LevelCache, watch: &mut Watch<'_>) -> Result<Tensor, Halt> {
        let shortcut = self.shortcut.as_ref().map(|shortcut| (shortcut, x.clone()));
        let mut y = x;
        for (resnet, cache) in self.resnets.iter().zip(&mut cache.resnets) {
            watch.check()?;
            y = resnet.forward(y, cache)?;
        }
        if let Some(down) = &self.down {
            y = down.forward(y, &mut cache.down)?;
        }
        match shortcut {
            Some((shortcut, x)) => Ok(y.add(&shortcut.forward(&x)?)?),
            None => Ok(y),
        }
    }

    fn halves_time(&self) -> bool {
        self.down.as_ref().is_some_and(Downsample::halves_time)
    }
}

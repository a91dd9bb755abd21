//! What a checkpoint says it is: variants as data, read from its `config.json` files. Shapes are checked against the tensors when
//! the models are built, so that a configuration cannot lie.
//!
//! Field names are the reference's (diffusers, transformers); keys that do not matter for inference are ignored. Defaults are
//! those of the reference's classes, for published files leave them out.

use std::path::Path;

use serde::Deserialize;

use crate::error::LoadError;
use crate::files::Document;
use crate::sampling::SolverKind;

/// A diffusion transformer.
#[derive(Debug, Clone, PartialEq)]
pub struct DitConfig {
    /// Extents of a patch along time, rows and columns.
    pub patch: [usize; 3],
    /// `N`.
    pub heads: usize,
    /// `d`.
    pub head_dim: usize,
    /// Channels of what goes in: noisy latents and whatever stands beside them.
    pub in_channels: usize,
    /// Channels of the velocity.
    pub out_channels: usize,
    /// Width of the text encoder's output.
    pub text_dim: usize,
    /// Width of the timestep sinusoid.
    pub freq_dim: usize,
    /// Inner width of the feed-forward.
    pub ffn_dim: usize,
    /// How many blocks there are.
    pub layers: usize,
    /// Whether the norm before the cross-attention has weights.
    pub cross_attn_norm: bool,
    /// Inside the root of every norm.
    pub eps: f32,
    /// Width of the image encoder's states, for models with a picture branch.
    pub image_dim: Option<usize>,
    /// Tokens that the picture branch tells apart by position (first and last frame).
    pub pos_embed_tokens: Option<usize>,
    /// The hinting stack, for VACE models.
    pub vace: Option<VaceConfig>,
}

/// The hinting stack of a VACE model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaceConfig {
    /// The main blocks that take a hint, ascending; one VACE block for each.
    pub layers: Vec<usize>,
    /// Channels of the control latents.
    pub channels: usize,
}

impl DitConfig {
    /// `D`.
    pub fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Reads a transformer's `config.json`.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        Self::parse(&Document::read(path)?)
    }

    pub(crate) fn parse(document: &Document) -> Result<Self, LoadError> {
        let path = document.path();
        let raw: RawDit = document.parse()?;
        let width = raw.num_attention_heads * raw.attention_head_dim;
        let unsupported = |what: String| LoadError::Unsupported {
            path: path.into(),
            what,
        };
        if raw.qk_norm.as_deref() != Some("rms_norm_across_heads") {
            return Err(unsupported(format!("query and key norm {:?}", raw.qk_norm)));
        }
        if raw.added_kv_proj_dim.is_some_and(|dim| dim != width) {
            return Err(unsupported(format!(
                "a picture branch of another width than {width}"
            )));
        }
        if raw.image_dim.is_some() != raw.added_kv_proj_dim.is_some() {
            return Err(unsupported("half a picture branch".into()));
        }
        let vace = raw.vace_layers.map(|layers| VaceConfig {
            layers,
            channels: raw.vace_in_channels,
        });
        let config = Self {
            patch: raw.patch_size,
            heads: raw.num_attention_heads,
            head_dim: raw.attention_head_dim,
            in_channels: raw.in_channels,
            out_channels: raw.out_channels.unwrap_or(raw.in_channels),
            text_dim: raw.text_dim,
            freq_dim: raw.freq_dim,
            ffn_dim: raw.ffn_dim,
            layers: raw.num_layers,
            cross_attn_norm: raw.cross_attn_norm,
            eps: raw.eps,
            image_dim: raw.image_dim,
            pos_embed_tokens: raw.pos_embed_seq_len,
            vace,
        };
        config.checked(path)
    }

    /// Refuses what is not built; `path` is where the configuration is from.
    pub(crate) fn checked(self, path: &Path) -> Result<Self, LoadError> {
        let unsupported = |what: String| LoadError::Unsupported {
            path: path.into(),
            what,
        };
        let half_pairs = !self.head_dim.is_multiple_of(2) || !self.freq_dim.is_multiple_of(2);
        if half_pairs || self.head_dim < 6 {
            return Err(unsupported(format!("a head width of {}", self.head_dim)));
        }
        if let Some(vace) = &self.vace {
            let ascending = vace.layers.windows(2).all(|pair| pair[0] < pair[1]);
            let inside = vace.layers.last().is_some_and(|&last| last < self.layers);
            if !ascending || !inside || vace.layers[0] != 0 {
                return Err(unsupported(format!("VACE layers {:?}", vace.layers)));
            }
        }
        Ok(self)
    }
}

/// The text encoder.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct TextConfig {
    /// Rows of the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of one head.
    pub d_kv: usize,
    /// Inner width of the feed-forward.
    pub d_ff: usize,
    /// How many blocks there are.
    pub num_layers: usize,
    /// How many heads there are.
    pub num_heads: usize,
    /// Rows of the relative-position tables.
    pub relative_attention_num_buckets: usize,
    /// From this distance on, all are the same.
    pub relative_attention_max_distance: usize,
    /// Inside the root of every norm.
    pub layer_norm_epsilon: f32,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 256_384,
            d_model: 4096,
            d_kv: 64,
            d_ff: 10_240,
            num_layers: 24,
            num_heads: 64,
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
            layer_norm_epsilon: 1e-6,
        }
    }
}

/// The image encoder (CLIP's vision tower).
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ImageConfig {
    /// Width of the states.
    pub hidden_size: usize,
    /// Inner width of the feed-forward.
    pub intermediate_size: usize,
    /// How many blocks there are; the last is not used.
    pub num_hidden_layers: usize,
    /// How many heads there are.
    pub num_attention_heads: usize,
    /// Side of the square picture.
    pub image_size: usize,
    /// Side of a patch.
    pub patch_size: usize,
    /// Inside the root of every norm.
    #[serde(default = "default_clip_eps")]
    pub layer_norm_eps: f32,
    /// The feed-forward's activation.
    #[serde(default = "default_clip_activation")]
    pub hidden_act: String,
}

fn default_clip_eps() -> f32 {
    1e-5
}

fn default_clip_activation() -> String {
    "gelu".into()
}

/// A VAE of either generation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct VaeConfig {
    /// Channels of the encoder's first level.
    pub base_dim: usize,
    /// Channels of the decoder's last level; as the encoder's where missing.
    pub decoder_base_dim: Option<usize>,
    /// `Z`.
    pub z_dim: usize,
    /// Channels of each level, in units of the first.
    pub dim_mult: Vec<usize>,
    /// Residual blocks of an encoder level; a decoder level has one more.
    pub num_res_blocks: usize,
    /// Whether the encoder halves time after each level but the last.
    #[serde(skip)]
    pub temporal_downsample: Vec<bool>,
    /// Subtracted from latents before they meet the DiT.
    pub latents_mean: Vec<f32>,
    /// And divided by.
    pub latents_std: Vec<f32>,
    /// Whether levels have parameter-free shortcuts (2.2).
    pub is_residual: bool,
    /// Channels that go in, patches unfolded.
    pub in_channels: usize,
    /// Channels that come out, patches not folded yet.
    pub out_channels: usize,
    /// Side of a pixel patch (2.2).
    pub patch_size: Option<usize>,
    /// Frames per latent frame.
    pub scale_factor_temporal: usize,
    /// Pixels per latent, along rows and columns.
    pub scale_factor_spatial: usize,
}

impl Default for VaeConfig {
    fn default() -> Self {
        Self {
            base_dim: 96,
            decoder_base_dim: None,
            z_dim: 16,
            dim_mult: vec![1, 2, 4, 4],
            num_res_blocks: 2,
            temporal_downsample: vec![false, true, true],
            latents_mean: LATENTS_MEAN_2_1.to_vec(),
            latents_std: LATENTS_STD_2_1.to_vec(),
            is_residual: false,
            in_channels: 3,
            out_channels: 3,
            patch_size: None,
            scale_factor_temporal: 4,
            scale_factor_spatial: 8,
        }
    }
}

impl VaeConfig {
    /// Reads a VAE's `config.json`.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        Self::parse(&Document::read(path)?)
    }

    pub(crate) fn parse(document: &Document) -> Result<Self, LoadError> {
        let path = document.path();
        let mut config: Self = document.parse()?;
        let RawVae { temperal_downsample } = document.parse()?;
        config.temporal_downsample = temperal_downsample.unwrap_or(config.temporal_downsample);
        config.checked(path)
    }

    /// Refuses what is not built; `path` is where the configuration is from.
    pub(crate) fn checked(self, path: &Path) -> Result<Self, LoadError> {
        let config = self;
        let unsupported = |what: &str| {
            Err(LoadError::Unsupported {
                path: path.into(),
                what: what.into(),
            })
        };
        if config.latents_mean.len() != config.z_dim || config.latents_std.len() != config.z_dim {
            return unsupported("latent statistics of another length than its latents");
        }
        if config.dim_mult.is_empty() || config.temporal_downsample.len() + 1 != config.dim_mult.len() {
            return unsupported("a number of temporal flags that does not fit its levels");
        }
        let spatial = (1 << (config.dim_mult.len() - 1)) * config.patch_size.unwrap_or(1);
        let temporal = 1
            << config
                .temporal_downsample
                .iter()
                .filter(|&&halves| halves)
                .count();
        if spatial != config.scale_factor_spatial || temporal != config.scale_factor_temporal {
            return unsupported("scale factors that do not follow from its levels");
        }
        if temporal != 4 {
            return unsupported("chunks of another length than four frames");
        }
        Ok(config)
    }

    /// Mean and deviation of the latents of the published VAEs, which differ in their number of channels.
    pub(crate) fn published_statistics(z_dim: usize) -> Option<(Vec<f32>, Vec<f32>)> {
        match z_dim {
            16 => Some((LATENTS_MEAN_2_1.to_vec(), LATENTS_STD_2_1.to_vec())),
            48 => Some((LATENTS_MEAN_2_2.to_vec(), LATENTS_STD_2_2.to_vec())),
            _ => None,
        }
    }

    /// How many latent frames stand for `frames` frames.
    pub fn latent_frames(&self, frames: usize) -> usize {
        frames.saturating_sub(1) / self.scale_factor_temporal + 1
    }
}

/// The statistics of the 2.1 latents, which published configurations may leave out.
const LATENTS_MEAN_2_1: [f32; 16] = [
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632,
    -0.1922, -0.9497, 0.2503, -0.2921,
];
const LATENTS_STD_2_1: [f32; 16] = [
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382,
    1.1253, 2.8251, 1.9160,
];

/// Those of the 2.2 latents. Reference: Wan2.2 `wan/modules/vae2_2.py`, `Wan2_2_VAE`.
const LATENTS_MEAN_2_2: [f32; 48] = [
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
    0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
    -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723,
    -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
];
const LATENTS_STD_2_2: [f32; 48] = [
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901, 0.6885,
    0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659, 0.7069, 0.5338,
    0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458,
    1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
];

/// `model_index.json`: which parts there are and how they play together.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineConfig {
    /// The reference's pipeline.
    pub class_name: String,
    /// From which share of the timesteps on the high-noise expert takes over, where there are two.
    pub boundary_ratio: Option<f64>,
    /// Whether known tokens have a timestep of their own.
    pub has_known_tokens: bool,
}

impl PipelineConfig {
    /// Reads a checkpoint's index.
    pub(crate) fn parse(document: &Document) -> Result<Self, LoadError> {
        let RawPipeline {
            _class_name,
            boundary_ratio,
            expand_timesteps,
        } = document.parse()?;
        Ok(Self {
            class_name: _class_name,
            boundary_ratio,
            has_known_tokens: expand_timesteps.unwrap_or(false),
        })
    }
}

/// `scheduler_config.json`: how the checkpoint wants to be sampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingConfig {
    /// The update rule.
    pub solver: SolverKind,
    /// How far the sigmas bend towards noise.
    pub shift: f64,
}

impl SamplingConfig {
    /// Reads a scheduler's configuration.
    pub(crate) fn parse(document: &Document) -> Result<Self, LoadError> {
        let path = document.path();
        let raw: RawScheduler = document.parse()?;
        let solver = match raw._class_name.as_str() {
            "UniPCMultistepScheduler" => SolverKind::UniPc,
            "DPMSolverMultistepScheduler" => SolverKind::DpmPp,
            "FlowMatchEulerDiscreteScheduler" => SolverKind::Euler,
            other => {
                return Err(LoadError::Unsupported {
                    path: path.into(),
                    what: format!("the scheduler {other}"),
                });
            }
        };
        if raw.solver_order.is_some_and(|order| order != 2) && solver != SolverKind::Euler {
            return Err(LoadError::Unsupported {
                path: path.into(),
                what: "a solver of another order than 2".into(),
            });
        }
        Ok(Self {
            solver,
            shift: raw.flow_shift.or(raw.shift).unwrap_or(1.0),
        })
    }
}

/// A name that is misspelt in every file.
#[derive(Deserialize)]
struct RawVae {
    temperal_downsample: Option<Vec<bool>>,
}

#[derive(Deserialize)]
struct RawPipeline {
    _class_name: String,
    boundary_ratio: Option<f64>,
    expand_timesteps: Option<bool>,
}

#[derive(Deserialize)]
struct RawScheduler {
    _class_name: String,
    flow_shift: Option<f64>,
    shift: Option<f64>,
    solver_order: Option<usize>,
}

#[derive(Deserialize)]
#[serde(default)]
struct RawDit {
    patch_size: [usize; 3],
    num_attention_heads: usize,
    attention_head_dim: usize,
    in_channels: usize,
    out_channels: Option<usize>,
    text_dim: usize,
    freq_dim: usize,
    ffn_dim: usize,
    num_layers: usize,
    cross_attn_norm: bool,
    qk_norm: Option<String>,
    eps: f32,
    image_dim: Option<usize>,
    added_kv_proj_dim: Option<usize>,
    pos_embed_seq_len: Option<usize>,
    vace_layers: Option<Vec<usize>>,
    vace_in_channels: usize,
}

impl Default for RawDit {
    fn default() -> Self {
        Self {
            patch_size: [1, 2, 2],
            num_attention_heads: 40,
            attention_head_dim: 128,
            in_channels: 16,
            out_channels: None,
            text_dim: 4096,
            freq_dim: 256,
            ffn_dim: 13_824,
            num_layers: 40,
            cross_attn_norm: true,
            qk_norm: Some("rms_norm_across_heads".into()),
            eps: 1e-6,
            image_dim: None,
            added_kv_proj_dim: None,
            pos_embed_seq_len: None,
            vace_layers: None,
            vace_in_channels: 96,
        }
    }
}

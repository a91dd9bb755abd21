//! What enters the DiT beside the latents: timesteps as modulation, the prompt and the pictures as context.
//!
//! Reference: Wan2.1 `wan/modules/model.py`, `time_embedding`, `time_projection`, `text_embedding`, `MLPProj`; diffusers
//! `WanTimeTextImageEmbedding`.

use kinora_tensor::Activation;
use kinora_tensor::Device;
use kinora_tensor::Epilogue;
use kinora_tensor::LayerNormOutput;
use kinora_tensor::Linear;
use kinora_tensor::PerRow;
use kinora_tensor::Tensor;

use crate::config::DitConfig;
use crate::precision;
use crate::text::TEXT_TOKENS;
use crate::weights::Weights;
use crate::weights::WeightsError;

type Result<T> = kinora_tensor::Result<T>;

/// How noisy each token is.
#[derive(Debug, Clone, PartialEq)]
pub enum Timestep {
    /// All the same.
    Uniform(f32),
    /// Each token by its entry of `index` into `values`: known tokens have none of the noise that the others have.
    PerToken {
        /// The few different timesteps.
        values: Vec<f32>,
        /// For every token, which of them.
        index: Vec<u32>,
    },
}

impl Timestep {
    fn values(&self) -> &[f32] {
        match self {
            Timestep::Uniform(value) => std::slice::from_ref(value),
            Timestep::PerToken { values, .. } => values,
        }
    }

    fn index(&self) -> Option<&[u32]> {
        match self {
            Timestep::Uniform(_) => None,
            Timestep::PerToken { index, .. } => Some(index),
        }
    }
}

/// Timesteps to modulation.
pub(crate) struct TimeEmbedder {
    device: Device,
    frequencies: Vec<f32>,
    linear_1: Linear,
    linear_2: Linear,
    time_proj: Linear,
    width: usize,
}

/// The embedded timesteps: `R` rows, one for each different timestep.
pub(crate) struct Times<'a> {
    /// `[R, D]`: what the head is modulated by.
    pub(crate) head: Tensor,
    /// `[R, 6, D]`: what the blocks are modulated by.
    pub(crate) blocks: Tensor,
    /// For every token its row, where there is more than one.
    pub(crate) index: Option<&'a [u32]>,
}

/// One of a block's three-part modulations, or the head's (whose gate is not used).
pub(crate) struct Modulation<'a> {
    shift: Tensor,
    scale: Tensor,
    index: Option<&'a [u32]>,
}

impl TimeEmbedder {
    pub(crate) fn load(w: &Weights, config: &DitConfig) -> std::result::Result<Self, WeightsError> {
        let width = config.width();
        Ok(Self {
            device: w.device().clone(),
            frequencies: precision::timestep_frequencies(config.freq_dim / 2),
            linear_1: w.linear("time_embedder.linear_1", config.freq_dim, width)?,
            linear_2: w.linear("time_embedder.linear_2", width, width)?,
            time_proj: w.linear("time_proj", width, 6 * width)?,
            width,
        })
    }

    pub(crate) fn forward<'a>(&self, timestep: &'a Timestep) -> Result<Times<'a>> {
        let head = self
            .sinusoid(timestep.values())? // [R, freq_dim]
            .linear(&self.linear_1, Epilogue::Activate(Activation::Silu))?
            .linear(&self.linear_2, Epilogue::None)?; // [R, D]
        let blocks = head
            .activate(Activation::Silu)?
            .linear(&self.time_proj, Epilogue::None)?;
        let rows = timestep.values().len();
        Ok(Times {
            head,
            blocks: blocks.reshape([rows, 6, self.width])?,
            index: timestep.index(),
        })
    }

    /// Cosines first, then sines.
    fn sinusoid(&self, timesteps: &[f32]) -> Result<Tensor> {
        let half = self.frequencies.len();
        let angle = |timestep: f32| self.frequencies.iter().map(move |frequency| timestep * frequency);
        let row = |&timestep: &f32| angle(timestep).map(f32::cos).chain(angle(timestep).map(f32::sin));
        Tensor::from_vec(
            &self.device,
            [timesteps.len(), 2 * half],
            timesteps.iter().flat_map(row).collect(),
        )
    }
}

impl<'a> Modulation<'a> {
    /// Rows `first` (shift) and `first + 1` (scale) of `table` `[R, n, D]`.
    pub(crate) fn pick(table: &Tensor, first: usize, index: Option<&'a [u32]>) -> Result<Self> {
        Ok(Self {
            shift: row_of(table, first)?,
            scale: row_of(table, first + 1)?,
            index,
        })
    }

    /// `LN(x) · (1 + scale) + shift`.
    pub(crate) fn enter(&self, x: &Tensor, eps: f32) -> Result<Tensor> {
        let scale = PerRow {
            table: &self.scale,
            index: self.index,
        };
        let shift = PerRow {
            table: &self.shift,
            index: self.index,
        };
        x.layer_norm(eps, LayerNormOutput::Modulated { scale, shift })
    }
}

/// `[R, n, D] → [R, D]`.
pub(crate) fn row_of(table: &Tensor, row: usize) -> Result<Tensor> {
    let [rows, _, width] = *table.dims() else {
        unreachable!("modulation tables are [R, n, D]");
    };
    table.slice(1, row..row + 1)?.reshape([rows, width])
}

/// The prompt and the pictures as the blocks see them.
pub(crate) struct Context {
    /// `[L, D]`, or `[L + 1, D]` with the padding folded into the last row.
    pub(crate) text: Tensor,
    /// The logarithm of how many tokens each row of `text` stands for.
    pub(crate) text_bias: Option<Tensor>,
    /// `[images · tokens, D]`.
    pub(crate) image: Option<Tensor>,
}

/// Text encoder output to context.
pub(crate) struct TextEmbedder {
    linear_1: Linear,
    linear_2: Linear,
}

impl TextEmbedder {
    pub(crate) fn load(w: &Weights, config: &DitConfig) -> std::result::Result<Self, WeightsError> {
        let w = w.at("text_embedder");
        Ok(Self {
            linear_1: w.linear("linear_1", config.text_dim, config.width())?,
            linear_2: w.linear("linear_2", config.width(), config.width())?,
        })
    }

    /// `[L, text_dim]`, not padded, to the text of a context.
    ///
    /// The models attend to 512 tokens always, the missing ones being zeros that pass through this embedder: equal rows, hence
    /// equal keys and values. One row with the weight of all gives the same attention.
    pub(crate) fn forward(&self, states: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        let [tokens, width] = *states.dims() else {
            unreachable!("the text encoder gives [L, text_dim]");
        };
        let padding = TEXT_TOKENS.saturating_sub(tokens);
        if padding == 0 {
            return Ok((self.embed(states)?, None));
        }
        let device = states.device();
        let padded = Tensor::concat(&[states, &Tensor::zeros(device, [1, width])?], 0)?;
        let mut bias = vec![0.0; tokens + 1];
        bias[tokens] = (padding as f32).ln();
        Ok((
            self.embed(&padded)?,
            Some(Tensor::from_vec(device, [tokens + 1], bias)?),
        ))
    }

    fn embed(&self, states: &Tensor) -> Result<Tensor> {
        states
            .linear(&self.linear_1, Epilogue::Activate(Activation::GeluTanh))?
            .linear(&self.linear_2, Epilogue::None)
    }
}

/// CLIP states to context. Reference: Wan2.1 `MLPProj`; diffusers `WanImageEmbedding`.
pub(crate) struct ImageEmbedder {
    norm1: (Tensor, Tensor),
    proj: Linear,
    out: Linear,
    norm2: (Tensor, Tensor),
    /// `[images · tokens, image_dim]`: tells the first frame from the last.
    pos_embed: Option<Tensor>,
}

impl ImageEmbedder {
    /// Inside the roots of both norms; not the model's own.
    const EPS: f32 = 1e-5;

    pub(crate) fn load(
        w: &Weights,
        config: &DitConfig,
        image_dim: usize,
    ) -> std::result::Result<Self, WeightsError> {
        let w = w.at("image_embedder");
        let positions = |tokens| w.tensor("pos_embed", &[1, tokens, image_dim]);
        Ok(Self {
            norm1: w.norm("norm1", image_dim)?,
            proj: w.linear("ff.net.0.proj", image_dim, image_dim)?,
            out: w.linear("ff.net.2", image_dim, config.width())?,
            norm2: w.norm("norm2", config.width())?,
            pos_embed: config.pos_embed_tokens.map(positions).transpose()?,
        })
    }

    /// `[images · tokens, image_dim] → [images · tokens, D]`.
    pub(crate) fn forward(&self, states: &Tensor) -> Result<Tensor> {
        let states = match &self.pos_embed {
            Some(positions) => states.add(positions)?,
            None => states.clone(),
        };
        states
            .layer_norm(Self::EPS, affine(&self.norm1))?
            .linear(&self.proj, Epilogue::Activate(Activation::GeluErf))?
            .linear(&self.out, Epilogue::None)?
            .layer_norm(Self::EPS, affine(&self.norm2))
    }
}

/// A norm's weight and bias as what follows it.
pub(crate) fn affine((weight, bias): &(Tensor, Tensor)) -> LayerNormOutput<'_> {
    LayerNormOutput::Affine { weight, bias }
}

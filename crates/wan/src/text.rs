//! The text encoder, UMT5: token ids to the context that the DiT attends to.
//!
//! Reference: Wan2.1 `wan/modules/t5.py`, `T5Encoder`; transformers `UMT5EncoderModel`. Unlike T5, every layer has a table of
//! relative positions of its own, and attention is not scaled by the width of a head.

use std::ops::ControlFlow;

use kinora_tensor::Activation;
use kinora_tensor::Attention;
use kinora_tensor::Device;
use kinora_tensor::Embedding;
use kinora_tensor::Epilogue;
use kinora_tensor::Linear;
use kinora_tensor::Result;
use kinora_tensor::Tensor;

use crate::blocks::Blocks;
use crate::config::TextConfig;
use crate::error::Halt;
use crate::weights::Weights;
use crate::weights::WeightsError;

/// How many tokens a prompt has at most, and how many the DiT attends to always.
pub const TEXT_TOKENS: usize = 512;

/// See the file's head.
pub struct TextEncoder {
    shared: Embedding,
    blocks: Blocks<Block>,
    final_layer_norm: Tensor,
    config: TextConfig,
}

struct Block {
    attention: SelfAttention,
    attention_norm: Tensor,
    feed_forward: FeedForward,
    feed_forward_norm: Tensor,
}

/// Reference: transformers `UMT5Attention`.
struct SelfAttention {
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    /// Row-major `[buckets, N]`.
    relative_attention_bias: Vec<f32>,
    heads: usize,
}

/// Reference: transformers `UMT5DenseGatedActDense`.
struct FeedForward {
    wi_0: Linear,
    wi_1: Linear,
    wo: Linear,
}

impl TextEncoder {
    /// Builds the model; every tensor's name and shape is checked on the way.
    pub fn load(w: &Weights, config: &TextConfig) -> std::result::Result<Self, WeightsError> {
        let encoder = w.at("encoder");
        Ok(Self {
            shared: w.embedding("shared", config.vocab_size, config.d_model)?,
            blocks: Blocks::load(&encoder, "block", config.num_layers, |w| Block::load(w, config))?,
            final_layer_norm: encoder.vector("final_layer_norm.weight", config.d_model)?,
            config: config.clone(),
        })
    }

    /// `[L, d_model]` for `L` ids, padding left out: masked padding changes nothing. `observe` is called before every block with the
    /// share of blocks done, and may stop.
    pub fn forward(
        &self,
        ids: &[u32],
        observe: &mut dyn FnMut(f32) -> ControlFlow<()>,
    ) -> std::result::Result<Tensor, Halt> {
        let mut x = self.shared.gather(ids)?;
        let buckets = Buckets::new(&self.config, ids.len());
        for index in 0..self.blocks.len() {
            if observe(index as f32 / self.blocks.len() as f32).is_break() {
                return Err(Halt::Stopped);
            }
            x = self
                .blocks
                .enter(index)
                .forward(&x, &buckets, self.config.layer_norm_epsilon)?;
        }
        Ok(x.rms_norm(Some(&self.final_layer_norm), self.config.layer_norm_epsilon)?)
    }

    /// The output of every block for these ids; what the tests compare.
    pub fn block_outputs(&self, ids: &[u32]) -> Result<Vec<Tensor>> {
        let buckets = Buckets::new(&self.config, ids.len());
        let mut x = self.shared.gather(ids)?;
        let mut outputs = Vec::with_capacity(self.blocks.len());
        for block in self.blocks.each() {
            x = block.forward(&x, &buckets, self.config.layer_norm_epsilon)?;
            outputs.push(x.clone());
        }
        Ok(outputs)
    }
}

impl Block {
    fn load(w: &Weights, config: &TextConfig) -> std::result::Result<Self, WeightsError> {
        let (attention, feed_forward) = (w.at("layer.0"), w.at("layer.1"));
        Ok(Self {
            attention: SelfAttention::load(&attention.at("SelfAttention"), config)?,
            attention_norm: attention.vector("layer_norm.weight", config.d_model)?,
            feed_forward: FeedForward::load(&feed_forward.at("DenseReluDense"), config)?,
            feed_forward_norm: feed_forward.vector("layer_norm.weight", config.d_model)?,
        })
    }

    fn forward(&self, x: &Tensor, buckets: &Buckets, eps: f32) -> Result<Tensor> {
        let x = self
            .attention
            .forward(&x.rms_norm(Some(&self.attention_norm), eps)?, buckets, x)?;
        self.feed_forward
            .forward(&x.rms_norm(Some(&self.feed_forward_norm), eps)?, &x)
    }
}

impl SelfAttention {
    fn load(w: &Weights, config: &TextConfig) -> std::result::Result<Self, WeightsError> {
        let inner = config.num_heads * config.d_kv;
        let table = [config.relative_attention_num_buckets, config.num_heads];
        Ok(Self {
            q: w.text_linear("q", config.d_model, inner)?,
            k: w.text_linear("k", config.d_model, inner)?,
            v: w.text_linear("v", config.d_model, inner)?,
            o: w.text_linear("o", inner, config.d_model)?,
            relative_attention_bias: w.numbers("relative_attention_bias.weight", &table)?,
            heads: config.num_heads,
        })
    }

    /// `residual + o(attention(x))`.
    fn forward(&self, x: &Tensor, buckets: &Buckets, residual: &Tensor) -> Result<Tensor> {
        let project = |linear| x.linear(linear, Epilogue::None);
        let (q, k, v) = (project(&self.q)?, project(&self.k)?, project(&self.v)?);
        let bias = buckets.bias(x.device(), &self.relative_attention_bias, self.heads)?;
        let attention = Attention {
            q: &q,
            k: &k,
            v: &v,
            heads: self.heads,
            scale: 1.0,
            relative_bias: Some(&bias),
            key_bias: None,
            may_round: false,
        };
        attention.run()?.linear(&self.o, Epilogue::Residual(residual))
    }
}

impl FeedForward {
    fn load(w: &Weights, config: &TextConfig) -> std::result::Result<Self, WeightsError> {
        Ok(Self {
            wi_0: w.text_linear("wi_0", config.d_model, config.d_ff)?,
            wi_1: w.text_linear("wi_1", config.d_model, config.d_ff)?,
            wo: w.text_linear("wo", config.d_ff, config.d_model)?,
        })
    }

    /// `residual + wo(gelu(wi_0 x) ∘ wi_1 x)`.
    fn forward(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        let gate = x.linear(&self.wi_0, Epilogue::Activate(Activation::GeluTanh))?;
        x.linear(&self.wi_1, Epilogue::Multiply(&gate))?
            .linear(&self.wo, Epilogue::Residual(residual))
    }
}

/// For every distance between two of `L` tokens, the row of a bias table that it falls into.
struct Buckets {
    /// By `key − query + L − 1`.
    rows: Vec<usize>,
    tokens: usize,
}

impl Buckets {
    fn new(config: &TextConfig, tokens: usize) -> Self {
        let last = tokens as i64 - 1;
        let bucket = |distance| {
            relative_position_bucket(
                distance,
                config.relative_attention_num_buckets,
                config.relative_attention_max_distance,
            )
        };
        Self {
            rows: (-last..=last).map(bucket).collect(),
            tokens,
        }
    }

    /// `[N, 2L − 1]`.
    fn bias(&self, device: &Device, table: &[f32], heads: usize) -> Result<Tensor> {
        let numbers = (0..heads)
            .flat_map(|head| self.rows.iter().map(move |row| table[row * heads + head]))
            .collect();
        Tensor::from_vec(device, [heads, 2 * self.tokens - 1], numbers)
    }
}

/// Keys after the query take the upper half of the buckets. Of each half, the first half are exact distances, the others grow
/// logarithmically up to `max_distance`. Reference: transformers `UMT5Attention._relative_position_bucket`.
pub fn relative_position_bucket(key_minus_query: i64, buckets: usize, max_distance: usize) -> usize {
    let half = buckets / 2;
    let exact = half / 2;
    let distance = key_minus_query.unsigned_abs() as usize;
    let start = if key_minus_query > 0 { half } else { 0 };
    if distance < exact {
        return start + distance;
    }
    // In `f32` like the reference: the truncation below decides between neighbours.
    let ratio = (distance as f32 / exact as f32).ln() / ((max_distance as f64 / exact as f64).ln() as f32);
    let grown = exact + (ratio * (half - exact) as f32) as usize;
    start + grown.min(half - 1)
}

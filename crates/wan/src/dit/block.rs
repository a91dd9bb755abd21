//! One DiT block: self-attention, cross-attention, feed-forward, each entered by a norm and left through a residual.
//!
//! Reference: Wan2.1 `wan/modules/model.py`, `WanAttentionBlock`; diffusers `WanTransformerBlock`. Names are diffusers': the affine
//! norm before the cross-attention is `norm2` there and `norm3` in the original.

use kinora_tensor::Activation;
use kinora_tensor::Epilogue;
use kinora_tensor::Linear;
use kinora_tensor::PerRow;
use kinora_tensor::Result;
use kinora_tensor::Tensor;

use super::attention::AttentionShape;
use super::attention::CrossAttention;
use super::attention::CrossKeys;
use super::attention::SelfAttention;
use super::embed::Context;
use super::embed::Modulation;
use super::embed::Times;
use super::embed::affine;
use super::embed::row_of;
use super::rope::Rope;
use crate::config::DitConfig;
use crate::weights::Weights;
use crate::weights::WeightsError;

/// See the file's head.
pub(crate) struct Block {
    attn1: SelfAttention,
    /// Weight and bias; the original allows for none.
    norm2: Option<(Tensor, Tensor)>,
    attn2: CrossAttention,
    ffn_in: Linear,
    ffn_out: Linear,
    /// `[1, 6, D]`: shift, scale and gate of the self-attention, then of the feed-forward.
    scale_shift_table: Tensor,
    eps: f32,
}

impl Block {
    pub(crate) fn load(w: &Weights, config: &DitConfig) -> std::result::Result<Self, WeightsError> {
        let width = config.width();
        let shape = AttentionShape {
            width,
            heads: config.heads,
            eps: config.eps,
        };
        Ok(Self {
            attn1: SelfAttention::load(&w.at("attn1"), shape)?,
            norm2: if config.cross_attn_norm {
                Some(w.norm("norm2", width)?)
            } else {
                None
            },
            attn2: CrossAttention::load(&w.at("attn2"), shape, config.image_dim.is_some())?,
            ffn_in: w.block_linear("ffn.net.0.proj", width, config.ffn_dim)?,
            ffn_out: w.block_linear("ffn.net.2", config.ffn_dim, width)?,
            scale_shift_table: w.tensor("scale_shift_table", &[1, 6, width])?,
            eps: config.eps,
        })
    }

    /// The keys and values of the context; they hold for the whole generation.
    pub(crate) fn keys(&self, context: &Context) -> Result<CrossKeys> {
        self.attn2.keys(context)
    }

    /// `[L, D] → [L, D]`.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        times: &Times<'_>,
        keys: &CrossKeys,
        rope: &Rope,
    ) -> Result<Tensor> {
        let table = times.blocks.add(&self.scale_shift_table)?; // [R, 6, D]
        let (gate_attn, gate_ffn) = (row_of(&table, 2)?, row_of(&table, 5)?);
        let leave = |residual, gate| Epilogue::GatedResidual {
            residual,
            gate: PerRow {
                table: gate,
                index: times.index,
            },
        };

        let y = Modulation::pick(&table, 0, times.index)?.enter(x, self.eps)?;
        let x = self.attn1.forward(&y, rope, leave(x, &gate_attn))?;

        let y = match &self.norm2 {
            Some(norm) => x.layer_norm(self.eps, affine(norm))?,
            None => x.clone(),
        };
        let x = self.attn2.forward(&y, keys, Epilogue::Residual(&x))?;

        Modulation::pick(&table, 3, times.index)?
            .enter(&x, self.eps)?
            .linear(&self.ffn_in, Epilogue::Activate(Activation::GeluTanh))?
            .linear(&self.ffn_out, leave(&x, &gate_ffn))
    }
}

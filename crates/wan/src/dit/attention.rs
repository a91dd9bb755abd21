//! The DiT's attentions: among the tokens of the clip, and from them to the prompt and the pictures.
//!
//! Reference: Wan2.1 `wan/modules/model.py`, `WanSelfAttention`, `WanT2VCrossAttention`, `WanI2VCrossAttention`;
//! diffusers `WanAttention`.

use kinora_tensor::Attention;
use kinora_tensor::Epilogue;
use kinora_tensor::Linear;
use kinora_tensor::Tensor;

use super::embed::Context;
use super::rope::Rope;
use crate::precision::Quantization;
use crate::weights::Weights;
use crate::weights::WeightsError;

type Result<T> = kinora_tensor::Result<T>;

/// Width, heads and norm of an attention.
#[derive(Clone, Copy)]
pub(crate) struct AttentionShape {
    /// `D`.
    pub(crate) width: usize,
    /// `N`.
    pub(crate) heads: usize,
    /// Inside the root of the norm of queries and keys.
    pub(crate) eps: f32,
}

/// Queries and what leaves the attention: the half that both kinds share.
struct Projections {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    /// `[D]`: queries and keys are normed across all heads together.
    norm_q: Tensor,
    norm_k: Tensor,
    shape: AttentionShape,
    may_round: bool,
}

impl Projections {
    fn load(w: &Weights, shape: AttentionShape) -> std::result::Result<Self, WeightsError> {
        let linear = |name| w.block_linear(name, shape.width, shape.width);
        Ok(Self {
            to_q: linear("to_q")?,
            to_k: linear("to_k")?,
            to_v: linear("to_v")?,
            to_out: linear("to_out.0")?,
            norm_q: w.vector("norm_q.weight", shape.width)?,
            norm_k: w.vector("norm_k.weight", shape.width)?,
            shape,
            may_round: w.quantization() != Quantization::None,
        })
    }

    fn query(&self, x: &Tensor) -> Result<Tensor> {
        x.linear(&self.to_q, Epilogue::None)?
            .rms_norm(Some(&self.norm_q), self.shape.eps)
    }

    fn attend(&self, q: &Tensor, keys: &Keys) -> Result<Tensor> {
        let AttentionShape { width, heads, .. } = self.shape;
        let scale = 1.0 / ((width / heads) as f32).sqrt();
        Attention {
            q,
            k: &keys.k,
            v: &keys.v,
            heads,
            scale,
            relative_bias: None,
            key_bias: keys.bias.as_ref(),
            may_round: self.may_round,
        }
        .run()
    }
}

/// Keys and values `[Lk, D]`, ready to attend to.
#[derive(Clone)]
pub(crate) struct Keys {
    k: Tensor,
    v: Tensor,
    /// `[Lk]`: the logarithm of how many equal keys an entry stands for.
    bias: Option<Tensor>,
}

/// Attention among the tokens of a clip, turned by their positions.
pub(crate) struct SelfAttention(Projections);

impl SelfAttention {
    pub(crate) fn load(w: &Weights, shape: AttentionShape) -> std::result::Result<Self, WeightsError> {
        Projections::load(w, shape).map(Self)
    }

    /// `[L, D] → [L, D]`, the output passed through `epilogue`.
    pub(crate) fn forward(&self, x: &Tensor, rope: &Rope, epilogue: Epilogue<'_>) -> Result<Tensor> {
        let w = &self.0;
        let q = rope.apply(&w.query(x)?)?;
        let k = rope.apply(
            &x.linear(&w.to_k, Epilogue::None)?
                .rms_norm(Some(&w.norm_k), w.shape.eps)?,
        )?;
        let v = x.linear(&w.to_v, Epilogue::None)?;
        w.attend(&q, &Keys { k, v, bias: None })?
            .linear(&w.to_out, epilogue)
    }
}

/// Attention to the prompt, and to the pictures where the model has a branch for them.
pub(crate) struct CrossAttention {
    text: Projections,
    image: Option<ImageKeys>,
}

/// The projections of the picture branch; its queries are those of the text.
struct ImageKeys {
    add_k_proj: Linear,
    add_v_proj: Linear,
    norm_added_k: Tensor,
}

/// What a block attends to: computed once per generation, for the context never changes.
#[derive(Clone)]
pub(crate) struct CrossKeys {
    text: Keys,
    image: Option<Keys>,
}

impl CrossAttention {
    pub(crate) fn load(
        w: &Weights,
        shape: AttentionShape,
        has_image: bool,
    ) -> std::result::Result<Self, WeightsError> {
        let image = |w: &Weights| -> std::result::Result<ImageKeys, WeightsError> {
            Ok(ImageKeys {
                add_k_proj: w.block_linear("add_k_proj", shape.width, shape.width)?,
                add_v_proj: w.block_linear("add_v_proj", shape.width, shape.width)?,
                norm_added_k: w.vector("norm_added_k.weight", shape.width)?,
            })
        };
        Ok(Self {
            text: Projections::load(w, shape)?,
            image: if has_image { Some(image(w)?) } else { None },
        })
    }

    /// The keys and values of a context.
    pub(crate) fn keys(&self, context: &Context) -> Result<CrossKeys> {
        let w = &self.text;
        let text = Keys {
            k: context
                .text
                .linear(&w.to_k, Epilogue::None)?
                .rms_norm(Some(&w.norm_k), w.shape.eps)?,
            v: context.text.linear(&w.to_v, Epilogue::None)?,
            bias: context.text_bias.clone(),
        };
        let image = match (&self.image, &context.image) {
            (Some(w), Some(states)) => Some(Keys {
                k: states
                    .linear(&w.add_k_proj, Epilogue::None)?
                    .rms_norm(Some(&w.norm_added_k), self.text.shape.eps)?,
                v: states.linear(&w.add_v_proj, Epilogue::None)?,
                bias: None,
            }),
            _ => None,
        };
        Ok(CrossKeys { text, image })
    }

    /// `[L, D] → [L, D]`, the output passed through `epilogue`.
    pub(crate) fn forward(&self, x: &Tensor, keys: &CrossKeys, epilogue: Epilogue<'_>) -> Result<Tensor> {
        let q = self.text.query(x)?;
        let mut y = self.text.attend(&q, &keys.text)?;
        if let Some(image) = &keys.image {
            y = y.add(&self.text.attend(&q, image)?)?;
        }
        y.linear(&self.text.to_out, epilogue)
    }
}

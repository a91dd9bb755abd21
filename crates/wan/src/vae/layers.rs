//! The layers both VAE generations are made of. Clips are `[T, Y, X, C]` everywhere.
//!
//! Reference: Wan2.1 `wan/modules/vae.py`; diffusers `autoencoder_kl_wan.py`, `WanCausalConv3d`, `WanResidualBlock`,
//! `WanAttentionBlock`, `WanMidBlock`.

use kinora_tensor::Activation;
use kinora_tensor::Attention;
use kinora_tensor::Conv3d;
use kinora_tensor::Epilogue;
use kinora_tensor::Linear;
use kinora_tensor::Result;
use kinora_tensor::Tensor;
use kinora_tensor::ops::Padding;

use super::cache::Past;
use crate::weights::ConvShape;
use crate::weights::Weights;
use crate::weights::WeightsError;

/// Three frames by three rows by three columns; in time it only looks back.
pub(crate) struct CausalConv(Conv3d);

impl CausalConv {
    pub(crate) fn load(
        w: &Weights,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> std::result::Result<Self, WeightsError> {
        let shape = ConvShape {
            kernel: &[3, 3, 3],
            stride: [1; 3],
            padding: Padding::causal(2, 1),
        };
        w.conv(name, inputs, outputs, shape).map(Self)
    }

    /// `[T, Y, X, C_in] → [T, Y, X, C_out]`, the output passed through `epilogue`.
    pub(crate) fn forward(&self, x: Tensor, past: &mut Past, epilogue: Epilogue<'_>) -> Result<Tensor> {
        past.conv3d(&x, &self.0, epilogue)
    }
}

/// Norm, activation, convolution, twice, around a shortcut.
pub(crate) struct ResidualBlock {
    norm1: Tensor,
    conv1: CausalConv,
    norm2: Tensor,
    conv2: CausalConv,
    conv_shortcut: Option<Linear>,
}

/// What a [`ResidualBlock`] remembers.
#[derive(Default)]
pub(crate) struct ResidualCache {
    conv1: Past,
    conv2: Past,
}

impl ResidualBlock {
    pub(crate) fn load(
        w: &Weights,
        inputs: usize,
        outputs: usize,
    ) -> std::result::Result<Self, WeightsError> {
        let shortcut = || w.pointwise("conv_shortcut", inputs, outputs, 5);
        Ok(Self {
            norm1: w.tensor("norm1.gamma", &[inputs, 1, 1, 1])?,
            conv1: CausalConv::load(w, "conv1", inputs, outputs)?,
            norm2: w.tensor("norm2.gamma", &[outputs, 1, 1, 1])?,
            conv2: CausalConv::load(w, "conv2", outputs, outputs)?,
            conv_shortcut: if inputs == outputs {
                None
            } else {
                Some(shortcut()?)
            },
        })
    }

    /// `[T, Y, X, C_in] → [T, Y, X, C_out]`. Where frames are large it decides how much memory a VAE takes: each tensor goes as soon as the
    /// next one is there.
    pub(crate) fn forward(&self, x: Tensor, cache: &mut ResidualCache) -> Result<Tensor> {
        let mut y = x.channel_norm(&self.norm1, Activation::Silu)?;
        let shortcut = match &self.conv_shortcut {
            Some(conv) => x.linear(conv, Epilogue::None)?,
            None => x,
        };
        y = self.conv1.forward(y, &mut cache.conv1, Epilogue::None)?;
        y = y.channel_norm(&self.norm2, Activation::Silu)?;
        self.conv2
            .forward(y, &mut cache.conv2, Epilogue::Residual(&shortcut))
    }
}

/// Attention of one head among the pixels of each frame.
struct FrameAttention {
    norm: Tensor,
    to_qkv: Linear,
    proj: Linear,
}

impl FrameAttention {
    fn load(w: &Weights, channels: usize) -> std::result::Result<Self, WeightsError> {
        Ok(Self {
            norm: w.tensor("norm.gamma", &[channels, 1, 1])?,
            to_qkv: w.pointwise("to_qkv", channels, 3 * channels, 4)?,
            proj: w.pointwise("proj", channels, channels, 4)?,
        })
    }

    /// `[T, Y, X, C] → [T, Y, X, C]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let frames = x.dims()[0];
        let attended = (0..frames)
            .map(|frame| self.attend(&x.slice(0, frame..frame + 1)?))
            .collect::<Result<Vec<Tensor>>>()?;
        Tensor::concat(&attended.iter().collect::<Vec<_>>(), 0)
    }

    /// `[1, Y, X, C] → [1, Y, X, C]`.
    fn attend(&self, x: &Tensor) -> Result<Tensor> {
        let (pixels, channels) = (x.shape().rows(), x.shape().last());
        let flat = x.reshape([pixels, channels])?;
        let qkv = flat
            .channel_norm(&self.norm, Activation::Identity)?
            .linear(&self.to_qkv, Epilogue::None)?;
        let part = |index: usize| qkv.slice(1, index * channels..(index + 1) * channels);
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let scale = 1.0 / (channels as f32).sqrt();
        Attention {
            q: &q,
            k: &k,
            v: &v,
            heads: 1,
            scale,
            relative_bias: None,
            key_bias: None,
            may_round: false,
        }
        .run()?
        .linear(&self.proj, Epilogue::Residual(&flat))?
        .reshape(x.shape())
    }
}

/// The narrowest level: residual block, attention, residual block.
pub(crate) struct MidBlock {
    enter: ResidualBlock,
    attention: FrameAttention,
    leave: ResidualBlock,
}

/// What a [`MidBlock`] remembers.
#[derive(Default)]
pub(crate) struct MidCache {
    enter: ResidualCache,
    leave: ResidualCache,
}

impl MidBlock {
    pub(crate) fn load(w: &Weights, channels: usize) -> std::result::Result<Self, WeightsError> {
        Ok(Self {
            enter: ResidualBlock::load(&w.at("resnets.0"), channels, channels)?,
            attention: FrameAttention::load(&w.at("attentions.0"), channels)?,
            leave: ResidualBlock::load(&w.at("resnets.1"), channels, channels)?,
        })
    }

    /// `[T, Y, X, C] → [T, Y, X, C]`.
    pub(crate) fn forward(&self, x: Tensor, cache: &mut MidCache) -> Result<Tensor> {
        let x = self.enter.forward(x, &mut cache.enter)?;
        let x = self.attention.forward(&x)?;
        self.leave.forward(x, &mut cache.leave)
    }
}

/// Norm, activation and the convolution that leaves a network.
pub(crate) struct Head {
    norm_out: Tensor,
    conv_out: CausalConv,
}

impl Head {
    pub(crate) fn load(
        w: &Weights,
        inputs: usize,
        outputs: usize,
    ) -> std::result::Result<Self, WeightsError> {
        Ok(Self {
            norm_out: w.tensor("norm_out.gamma", &[inputs, 1, 1, 1])?,
            conv_out: CausalConv::load(w, "conv_out", inputs, outputs)?,
        })
    }

    /// Whether what the convolutions of this network remember is in bf16.
    pub(crate) fn remembers_rounded(&self) -> bool {
        self.conv_out.0.rounds
    }

    /// `[T, Y, X, C_in] → [T, Y, X, C_out]`.
    pub(crate) fn forward(&self, mut x: Tensor, past: &mut Past) -> Result<Tensor> {
        x = x.channel_norm(&self.norm_out, Activation::Silu)?;
        self.conv_out.forward(x, past, Epilogue::None)
    }
}

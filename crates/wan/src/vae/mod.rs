//! The VAEs: clips to latents and back, of both generations, streamed in time so that memory does not grow with length.
//!
//! 2.1 has 16 channels at 4×8×8, 2.2 has 48 at 4×16×16. What differs is in [`VaeConfig`]: patches of pixels, shortcuts around the
//! levels, widths. Latents here are the VAE's own; [`Statistics`] turns them into those that the DiT knows.

mod encoder;

mod decoder;

mod layers;

mod resample;

mod cache;

mod patch;

pub(crate) mod tiling;

use std::ops::ControlFlow;

use kinora_tensor::Device;
use kinora_tensor::Result;
use kinora_tensor::Tensor;

pub use self::decoder::Decoding;
pub use self::decoder::VaeDecoder;
pub use self::encoder::VaeEncoder;
pub use self::tiling::Tiling;

use crate::config::VaeConfig;
use crate::error::Halt;

/// Decodes latents in squares, at the price of borders that do not see each other; not clamped.
pub fn decode_tiled(
    decoder: &VaeDecoder,
    latents: &Tensor,
    tiling: Tiling,
    watch: &mut Watch<'_>,
) -> std::result::Result<Tensor, Halt> {
    tiling::decode(decoder, latents, tiling, watch, &mut |_| {})
}

/// Encodes a clip in squares, likewise; `scale` is how many pixels a latent is wide.
pub fn encode_tiled(
    encoder: &VaeEncoder,
    clip: &Tensor,
    scale: usize,
    tiling: Tiling,
    watch: &mut Watch<'_>,
) -> std::result::Result<Tensor, Halt> {
    tiling::encode(encoder, clip, scale, tiling, watch, &mut |_| {})
}

/// Asked between layers whether to go on.
pub struct Watch<'a>(pub &'a mut dyn FnMut() -> ControlFlow<()>);

impl Watch<'_> {
    pub(crate) fn check(&mut self) -> std::result::Result<(), Halt> {
        match (self.0)() {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Halt::Stopped),
        }
    }
}

/// Mean and deviation of every latent channel: the DiT works on latents with both removed.
pub struct Statistics {
    /// `[Z]`.
    mean: Tensor,
    minus_mean: Tensor,
    std: Tensor,
    inverse_std: Tensor,
}

impl Statistics {
    /// Those of a configuration.
    pub fn new(device: &Device, config: &VaeConfig) -> Result<Self> {
        let vector = |numbers: &[f32], f: fn(f32) -> f32| {
            Tensor::from_vec(device, [numbers.len()], numbers.iter().copied().map(f).collect())
        };
        Ok(Self {
            mean: vector(&config.latents_mean, |mean| mean)?,
            minus_mean: vector(&config.latents_mean, |mean| -mean)?,
            std: vector(&config.latents_std, |std| std)?,
            inverse_std: vector(&config.latents_std, |std| 1.0 / std)?,
        })
    }

    /// The VAE's latents as the DiT knows them.
    pub fn normalize(&self, latents: &Tensor) -> Result<Tensor> {
        latents.add(&self.minus_mean)?.mul(&self.inverse_std)
    }

    /// The DiT's latents as the VAE knows them.
    pub fn denormalize(&self, latents: &Tensor) -> Result<Tensor> {
        latents.mul(&self.std)?.add(&self.mean)
    }
}

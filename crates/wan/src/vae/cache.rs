//! What a streamed VAE remembers from chunk to chunk: each causal convolution its last input frames, each temporal resampling how
//! far it has come. One typed slot per layer, in a tree of the layers' own shape.
//!
//! Reference: Wan2.1 `wan/modules/vae.py`, `CACHE_T`, `feat_cache`, `feat_idx`; there it is a flat list that layers count through.

use kinora_tensor::Result;
use kinora_tensor::Tensor;

/// How many input frames a causal convolution of three frames looks back. A chunk of as many is remembered as it is, without a copy.
pub(crate) const LOOK_BACK: usize = 2;

/// The last input frames of a convolution, at most two; what is missing counts as zeros.
#[derive(Default)]
pub(crate) struct Past(Option<Tensor>);

impl Past {
    /// `[P, Y, X, C]`.
    pub(crate) fn frames(&self) -> Option<&Tensor> {
        self.0.as_ref()
    }

    /// Remembers the last frames of what there was and of `chunk` `[T, Y, X, C]`.
    pub(crate) fn push(&mut self, chunk: Tensor) -> Result<()> {
        self.0 = Some(match self.0.take() {
            Some(past) if chunk.dims()[0] < LOOK_BACK => {
                last(&Tensor::concat(&[&past, &chunk], 0)?, LOOK_BACK)?
            }
            _ => last(&chunk, LOOK_BACK)?,
        });
        Ok(())
    }
}

/// How far a doubling of time has come.
#[derive(Default)]
pub(crate) enum UpsamplePast {
    /// Nothing has passed.
    #[default]
    Empty,
    /// The first frame has passed, and stayed a single one; the convolution starts after it, with zeros and not with that frame
    /// behind it.
    Replicated,
    /// Chunks have passed through the convolution.
    Frames(Past),
}

/// The frame before a halving of time; none before the first chunk, which stays a single frame.
#[derive(Default)]
pub(crate) struct DownsamplePast(pub(crate) Option<Tensor>);

/// The last `count` frames, or all there are.
pub(crate) fn last(clip: &Tensor, count: usize) -> Result<Tensor> {
    let frames = clip.dims()[0];
    clip.slice(0, frames.saturating_sub(count)..frames)
}

/// A clip in chunks of as many frames as a convolution looks back, the last one of what is left.
pub(crate) fn chunks(clip: Tensor) -> Result<Vec<Tensor>> {
    let frames = clip.dims()[0];
    let chunk = |first: usize| clip.slice(0, first..frames.min(first + LOOK_BACK));
    (0..frames).step_by(LOOK_BACK).map(chunk).collect()
}

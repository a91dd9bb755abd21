//! What a streamed VAE remembers from chunk to chunk: each causal convolution its last input frames, each temporal resampling how
//! far it has come. One typed slot per layer, in a tree of the layers' own shape.
//!
//! Reference: Wan2.1 `wan/modules/vae.py`, `CACHE_T`, `feat_cache`, `feat_idx`; there it is a flat list that layers count through.

use kinora_tensor::Conv3d;
use kinora_tensor::DType;
use kinora_tensor::Epilogue;
use kinora_tensor::Result;
use kinora_tensor::RoundedTensor;
use kinora_tensor::Tensor;

/// How many input frames a causal convolution of three frames looks back. A chunk of as many that is not rounded is remembered without a copy.
pub(crate) const LOOK_BACK: usize = 2;

/// The last input frames of a convolution, at most two; what is missing counts as zeros. Of large frames they are most of the memory
/// that a VAE takes: a convolution that rounds what it multiplies has them rounded.
#[derive(Default)]
pub(crate) enum Past {
    /// Nothing has passed.
    #[default]
    Empty,
    /// The frames.
    Exact(Tensor),
    /// The frames in bf16.
    Rounded(RoundedTensor),
}

impl Past {
    /// The next chunk `[T, Y, X, C_in]` through `conv`, whose past this is: `[T', Y', X', C_out]`.
    pub(crate) fn conv3d(&mut self, x: &Tensor, conv: &Conv3d, epilogue: Epilogue<'_>) -> Result<Tensor> {
        let past = self.take()?;
        let y = x.conv3d(conv, past.as_ref(), epilogue)?;
        let frames = match past {
            Some(past) if x.dims()[0] < LOOK_BACK => last(&Tensor::concat(&[&past, x], 0)?, LOOK_BACK)?,
            _ => last(x, LOOK_BACK)?,
        };
        *self = if conv.rounds {
            Past::Rounded(frames.round()?)
        } else {
            Past::Exact(frames)
        };
        Ok(y)
    }

    /// `[P, Y, X, C]`.
    fn take(&mut self) -> Result<Option<Tensor>> {
        match std::mem::take(self) {
            Past::Empty => Ok(None),
            Past::Exact(frames) => Ok(Some(frames)),
            Past::Rounded(frames) => frames.widen().map(Some),
        }
    }
}

/// Bytes of so many remembered numbers.
pub(crate) fn bytes_remembered(numbers: usize, rounded: bool) -> usize {
    let dtype = if rounded { DType::BF16 } else { DType::F32 };
    numbers * dtype.block().bytes
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

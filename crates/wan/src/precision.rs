//! Which number format each part of a model computes in: the one table, so that no cast hides inside a `forward`.
//!
//! | part | weights | arithmetic | reference |
//! |---|---|---|---|
//! | residual stream, norms, modulation, softmax | as stored | `f32` | `f32` |
//! | matrix products, convolutions | as stored (`f32`, `bf16`, `f16`), widened inside the panel | `f32` | `bf16` on GPUs, `f32` in the oracle |
//! | products in a transformer's blocks and the VAE's convolutions, with [`Quantization::Bf16`] on a CPU that has instructions for it | rounded to `bf16` | activations rounded to `bf16`, sums in `f32` | `bf16` on GPUs |
//! | products in a transformer's blocks, with [`Quantization::Int8`] | rounded to 8 bits, a scale for each output | activations rounded to 8 bits, a scale for each token; sums exact in `i32`, the result in `f32` | – |
//! | those of a text encoder's blocks that are stored in `bf16`, with either, on such a CPU | as stored | activations rounded to `bf16`, sums in `f32` | `bf16` on GPUs |
//! | timestep sinusoid | – | `f32`, as the oracle; the original works in `f64`, which moves an angle by at most 6e-5 | `f32` |
//! | rotary tables | – | angles in `f64`, tables in `f32` | `f64`, then `f32` |
//! | sigmas | – | `f64`, kept in `f32` | the same |
//! | solver coefficients | – | `f64` from the kept sigmas, applied in `f32` | `f32` |
//! | latents between steps | – | `f32` | `f32` |
//! | VAE, but for its convolutions | as stored | `f32` | `f32` |
//! | frames | – | `f32` in −1…1, rounded to 8 bits once | the same |
//!
//! The functions here are the places where the format of an angle or a coefficient decides the result.

/// What the matrices of a transformer's blocks (queries, keys, values, outputs, feed-forward) are multiplied in. Those outside of the
/// blocks are few and decide much: patches, timesteps, modulation, the context, the head stay as they are stored. Those of the text encoder's
/// blocks that are stored in bf16 are multiplied in it in either case, its attentions exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Quantization {
    /// As they are stored: exact.
    #[default]
    None,
    /// In bf16 where the CPU has instructions for it, with bounded loss: see [`kinora_tensor::Linear::bf16`]. So are the products of the
    /// blocks' attentions, and the VAE's convolutions ([`kinora_tensor::Conv3d::bf16`]).
    Bf16,
    /// In 8 bits, with bounded loss: see [`kinora_tensor::Linear::int8`]. The products of the attentions are as with [`Self::Bf16`].
    Int8,
}

/// Frequencies of the timestep sinusoid: `10000^(−i/half)`, each rounded to `f32` the way the oracle rounds.
/// Reference: diffusers `embeddings.py`, `get_timestep_embedding` with no frequency shift.
pub(crate) fn timestep_frequencies(half: usize) -> Vec<f32> {
    let slope = -(10000f64.ln()) as f32;
    (0..half)
        .map(|i| f64::from(slope * i as f32 / half as f32).exp() as f32)
        .collect()
}

/// Rotary frequencies of one axis with `pairs` complex pairs: `10000^(−2p/(2·pairs))`, in `f64`.
pub(crate) fn rotary_frequencies(pairs: usize) -> impl Iterator<Item = f64> {
    (0..pairs).map(move |pair| 10000f64.powf(-(pair as f64) / pairs as f64))
}

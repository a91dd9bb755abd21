//! Numbers on a device: what the models compute with, and how it is computed fast.
//!
//! Model code sees [`Tensor`] (activations, always `f32`), [`Weight`] (as stored: `f32`, `bf16`, `f16`, `fp8`, ggml's blocks), and about two dozen
//! fused ops, each a method with its maths and shapes in its doc ([`ops`]). An op checks its operands and hands them to the
//! [`Backend`] of their device: that trait is all a new device has to implement. The CPU is the one that is always there
//! ([`Device::cpu`]); its kernels choose their SIMD at run time and stand beside naive twins that define what is right
//! ([`Device::naive`]).
//!
//! Besides: [`checkpoint`] reads weights from mapped files and checks them, [`rng`] draws the noise that a seed means in
//! PyTorch, [`testing`] makes and compares tensors. What a model is, this crate does not know.

pub mod shape;

pub mod dtype;

pub mod weight;

pub mod blocks;

pub mod tensor;

pub mod ops;

pub mod device;

pub mod cpu;

pub mod checkpoint;

pub mod rng;

pub mod testing;

pub mod error;

pub use crate::checkpoint::Checkpoint;
pub use crate::checkpoint::CheckpointError;
pub use crate::device::Backend;
pub use crate::device::Device;
pub use crate::dtype::DType;
pub use crate::error::Result;
pub use crate::error::TensorError;
pub use crate::ops::Activation;
pub use crate::ops::Attention;
pub use crate::ops::Conv3d;
pub use crate::ops::Embedding;
pub use crate::ops::Epilogue;
pub use crate::ops::Geometry;
pub use crate::ops::LayerNormOutput;
pub use crate::ops::Linear;
pub use crate::ops::PerRow;
pub use crate::ops::RoundedTensor;
pub use crate::shape::Shape;
pub use crate::tensor::Tensor;
pub use crate::weight::Weight;

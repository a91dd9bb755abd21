//! The back-end boundary: [`Device`] is a handle to a [`Backend`], and [`Backend`] is everything a new kind of device has to do.
//!
//! Every method is called by the op of the same name in [`crate::ops`], after that op has checked shapes and devices: a back end
//! may rely on them. The maths is in the op's doc; the naive CPU twins define it to the bit of doubt.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::cpu::Cpu;
use crate::cpu::CpuOptions;
use crate::cpu::Kernels;
use crate::error::Result;
use crate::ops::Activation;
use crate::ops::Attention;
use crate::ops::Conv3d;
use crate::ops::Embedding;
use crate::ops::Epilogue;
use crate::ops::Geometry;
use crate::ops::LayerNormOutput;
use crate::ops::Linear;
use crate::ops::PerRow;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::weight::Weight;

/// What a device must do. Weights are prepared once, into whatever the back end likes to multiply with.
pub trait Backend: Send + Sync {
    /// A name for logs: "cpu (avx2)".
    fn name(&self) -> String;

    // Numbers come and go.
    /// Takes numbers from the host; `numbers.len()` equals `shape.elements()`.
    fn upload(&self, device: &Device, shape: Shape, numbers: Vec<f32>) -> Result<Tensor>;
    /// Gives numbers back to the host.
    fn download(&self, x: &Tensor) -> Result<Vec<f32>>;
    /// Lets go of memory that is kept for results to come: those of another size are going to come.
    fn trim(&self);
    /// Prepares a `[N, K]` matrix for [`Backend::linear`].
    fn prepare_linear(&self, weight: &Weight) -> Result<Prepared>;
    /// Prepares a `[N, K]` matrix for [`Backend::linear`] in bf16: see [`Linear::bf16`].
    fn prepare_linear_bf16(&self, weight: &Weight) -> Result<Prepared>;
    /// Prepares a `[N, K]` matrix for [`Backend::linear`] in 8 bits: see [`Linear::int8`].
    fn prepare_linear_int8(&self, weight: &Weight) -> Result<Prepared>;
    /// The weight of a matrix that one of these prepared, where every product reads it as it is stored; `None` where it was copied.
    fn reads<'a>(&self, matrix: &'a Prepared) -> Option<&'a Weight>;
    /// Prepares a `[C_out, C_in, kt, ky, kx]` kernel for [`Backend::conv3d`].
    fn prepare_conv3d(&self, weight: &Weight, geometry: &Geometry) -> Result<Prepared>;
    /// Whether a convolution that may round what it multiplies does: see [`Conv3d::bf16`].
    fn rounds_conv3d(&self, geometry: &Geometry) -> bool;
    /// Prepares a `[rows, D]` table for [`Backend::embed`].
    fn prepare_embedding(&self, weight: &Weight) -> Result<Prepared>;

    // The work: nearly all of the time is spent in these three.
    /// [`Tensor::linear`].
    fn linear(&self, x: &Tensor, linear: &Linear, epilogue: &Epilogue<'_>) -> Result<Tensor>;
    /// [`Attention::run`].
    fn attention(&self, attention: &Attention<'_>) -> Result<Tensor>;
    /// [`Tensor::conv3d`].
    fn conv3d(
        &self,
        x: &Tensor,
        past: Option<&Tensor>,
        conv: &Conv3d,
        epilogue: &Epilogue<'_>,
    ) -> Result<Tensor>;

    // Norms and what is fused with them.
    /// [`Tensor::rms_norm`].
    fn rms_norm(&self, x: &Tensor, weight: Option<&Tensor>, eps: f32) -> Result<Tensor>;
    /// [`Tensor::channel_norm`].
    fn channel_norm(&self, x: &Tensor, gamma: &Tensor, activation: Activation) -> Result<Tensor>;
    /// [`Tensor::layer_norm`].
    fn layer_norm(&self, x: &Tensor, eps: f32, output: &LayerNormOutput<'_>) -> Result<Tensor>;
    /// [`Tensor::rope`].
    fn rope(&self, x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor>;

    // Element by element.
    /// [`Tensor::add`]: `other` repeats over `x`.
    fn add(&self, x: &Tensor, other: &Tensor) -> Result<Tensor>;
    /// [`Tensor::mul`]: `other` repeats over `x`.
    fn mul(&self, x: &Tensor, other: &Tensor) -> Result<Tensor>;
    /// [`Tensor::gated_add`].
    fn gated_add(&self, x: &Tensor, y: &Tensor, gate: &PerRow<'_>) -> Result<Tensor>;
    /// [`Tensor::weighted_sum`]; at least one term, all of one shape.
    fn weighted_sum(&self, terms: &[(f32, &Tensor)]) -> Result<Tensor>;
    /// [`Tensor::affine`].
    fn affine(&self, x: &Tensor, scale: f32, offset: f32) -> Result<Tensor>;
    /// [`Tensor::clamp`].
    fn clamp(&self, x: &Tensor, low: f32, high: f32) -> Result<Tensor>;
    /// [`Tensor::activate`].
    fn activate(&self, x: &Tensor, activation: Activation) -> Result<Tensor>;
    /// [`Tensor::mean_last`].
    fn mean_last(&self, x: &Tensor) -> Result<Tensor>;

    // Moving numbers about.
    /// [`Embedding::gather`]; every id is below the number of rows.
    fn embed(&self, table: &Embedding, ids: &[u32]) -> Result<Tensor>;
    /// [`Tensor::permute`].
    fn permute(&self, x: &Tensor, axes: &[usize]) -> Result<Tensor>;
    /// [`Tensor::slice`].
    fn slice(&self, x: &Tensor, axis: usize, start: usize, len: usize) -> Result<Tensor>;
    /// [`Tensor::concat`]; at least one part.
    fn concat(&self, parts: &[&Tensor], axis: usize) -> Result<Tensor>;
    /// [`Tensor::upsample_nearest`].
    fn upsample_nearest(&self, x: &Tensor) -> Result<Tensor>;
    /// [`Tensor::round`]: `[.., D]` to `[.., D/2]`, in each place two neighbours in bf16.
    fn round(&self, x: &Tensor) -> Result<Tensor>;
    /// [`RoundedTensor::widen`](crate::RoundedTensor::widen): `[.., D/2]` of such places to `[.., D]`.
    fn widen(&self, pairs: &Tensor) -> Result<Tensor>;
}

/// A weight in the form its back end multiplies with.
pub type Prepared = Arc<dyn Any + Send + Sync>;

/// A place where tensors live and ops run. Cheap to clone.
#[derive(Clone)]
pub struct Device {
    backend: Arc<dyn Backend>,
}

impl Device {
    /// This machine's CPU with the best kernels it can run.
    pub fn cpu() -> Self {
        Self::new(Arc::new(Cpu::new(CpuOptions::default())))
    }

    /// This machine's CPU with these options.
    pub fn cpu_with(options: CpuOptions) -> Self {
        Self::new(Arc::new(Cpu::new(options)))
    }

    /// The definition: every op by its naive twin. Slow; for tests.
    pub fn naive() -> Self {
        Self::cpu_with(CpuOptions {
            kernels: Kernels::Naive,
            ..CpuOptions::default()
        })
    }

    /// A device of any other back end.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// What runs the ops.
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// Whether both handles mean the same device.
    pub fn is(&self, other: &Device) -> bool {
        Arc::ptr_eq(&self.backend, &other.backend)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.backend.name())
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({})", self.backend.name())
    }
}

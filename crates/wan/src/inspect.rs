//! A device that computes nothing: building a model on it checks that its checkpoint holds every tensor in the right shape, without
//! reading or packing the large ones. So a pipeline knows at start that all its parts will load, though only one expert fits
//! into memory at a time.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use kinora_tensor::Activation;
use kinora_tensor::Attention;
use kinora_tensor::Backend;
use kinora_tensor::Conv3d;
use kinora_tensor::DType;
use kinora_tensor::Device;
use kinora_tensor::Embedding;
use kinora_tensor::Epilogue;
use kinora_tensor::Geometry;
use kinora_tensor::LayerNormOutput;
use kinora_tensor::Linear;
use kinora_tensor::PerRow;
use kinora_tensor::Result;
use kinora_tensor::Shape;
use kinora_tensor::Tensor;
use kinora_tensor::TensorError;
use kinora_tensor::Weight;
use kinora_tensor::cpu::Kernels;
use kinora_tensor::device::Prepared;
use kinora_tensor::tensor::Buffer;

/// A back end to check checkpoints with.
#[derive(Default)]
pub(crate) struct Inspector {
    /// Bytes of matrices as they are stored that are to be kept rounded.
    replaced: AtomicU64,
    /// Bytes of them then.
    rounded: AtomicU64,
}

impl Inspector {
    /// What weights that take so many bytes as they are stored take in memory, given what was built so far.
    pub(crate) fn in_memory(&self, stored: u64) -> u64 {
        let [replaced, rounded] = [&self.replaced, &self.rounded].map(|bytes| bytes.load(Ordering::Relaxed));
        stored.saturating_sub(replaced) + rounded
    }

    /// What matrices take in memory that are kept rounded, in bytes, given what was built so far.
    pub(crate) fn rounded(&self) -> u64 {
        self.rounded.load(Ordering::Relaxed)
    }

    fn rounds(&self, weight: &Weight, bytes_each: usize) -> Result<Prepared> {
        let elements = weight.shape().elements();
        let stored = weight.dtype().bytes(elements).unwrap_or(0);
        self.replaced.fetch_add(stored as u64, Ordering::Relaxed);
        self.rounded
            .fetch_add((bytes_each * elements) as u64, Ordering::Relaxed);
        nothing()
    }
}

fn nothing() -> Result<Prepared> {
    Ok(Arc::new(()))
}

fn refuse<T>(op: &'static str) -> Result<T> {
    Err(TensorError::Device {
        op,
        reason: "this device only inspects".into(),
    })
}

impl Backend for Inspector {
    fn name(&self) -> String {
        "inspector".into()
    }

    fn upload(&self, device: &Device, shape: Shape, _numbers: Vec<f32>) -> Result<Tensor> {
        Ok(Tensor::from_buffer(device, shape, Buffer::Remote(Arc::new(()))))
    }

    fn trim(&self) {}

    fn prepare_linear(&self, weight: &Weight) -> Result<Prepared> {
        Ok(Arc::new(weight.clone()))
    }

    fn prepare_linear_bf16(&self, weight: &Weight) -> Result<Prepared> {
        if Kernels::best().multiply_pairs() && weight.dtype() != DType::BF16 {
            return self.rounds(weight, 2);
        }
        self.prepare_linear(weight)
    }

    fn prepare_linear_int8(&self, weight: &Weight) -> Result<Prepared> {
        self.rounds(weight, 1)
    }

    fn reads<'a>(&self, matrix: &'a Prepared) -> Option<&'a Weight> {
        matrix.downcast_ref()
    }

    fn prepare_conv3d(&self, _weight: &Weight, _geometry: &Geometry) -> Result<Prepared> {
        nothing()
    }

    fn rounds_conv3d(&self, geometry: &Geometry) -> bool {
        Kernels::best().rounds_conv3d(geometry)
    }

    fn prepare_embedding(&self, _weight: &Weight) -> Result<Prepared> {
        nothing()
    }

    fn download(&self, _: &Tensor) -> Result<Vec<f32>> {
        refuse("download")
    }

    fn linear(&self, _: &Tensor, _: &Linear, _: &Epilogue<'_>) -> Result<Tensor> {
        refuse("linear")
    }

    fn attention(&self, _: &Attention<'_>) -> Result<Tensor> {
        refuse("attention")
    }

    fn conv3d(&self, _: &Tensor, _: Option<&Tensor>, _: &Conv3d, _: &Epilogue<'_>) -> Result<Tensor> {
        refuse("conv3d")
    }

    fn rms_norm(&self, _: &Tensor, _: Option<&Tensor>, _: f32) -> Result<Tensor> {
        refuse("rms_norm")
    }

    fn channel_norm(&self, _: &Tensor, _: &Tensor, _: Activation) -> Result<Tensor> {
        refuse("channel_norm")
    }

    fn layer_norm(&self, _: &Tensor, _: f32, _: &LayerNormOutput<'_>) -> Result<Tensor> {
        refuse("layer_norm")
    }

    fn rope(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Tensor> {
        refuse("rope")
    }

    fn add(&self, _: &Tensor, _: &Tensor) -> Result<Tensor> {
        refuse("add")
    }

    fn mul(&self, _: &Tensor, _: &Tensor) -> Result<Tensor> {
        refuse("mul")
    }

    fn gated_add(&self, _: &Tensor, _: &Tensor, _: &PerRow<'_>) -> Result<Tensor> {
        refuse("gated_add")
    }

    fn weighted_sum(&self, _: &[(f32, &Tensor)]) -> Result<Tensor> {
        refuse("weighted_sum")
    }

    fn affine(&self, _: &Tensor, _: f32, _: f32) -> Result<Tensor> {
        refuse("affine")
    }

    fn clamp(&self, _: &Tensor, _: f32, _: f32) -> Result<Tensor> {
        refuse("clamp")
    }

    fn activate(&self, _: &Tensor, _: Activation) -> Result<Tensor> {
        refuse("activate")
    }

    fn mean_last(&self, _: &Tensor) -> Result<Tensor> {
        refuse("mean_last")
    }

    fn embed(&self, _: &Embedding, _: &[u32]) -> Result<Tensor> {
        refuse("embed")
    }

    fn permute(&self, _: &Tensor, _: &[usize]) -> Result<Tensor> {
        refuse("permute")
    }

    fn slice(&self, _: &Tensor, _: usize, _: usize, _: usize) -> Result<Tensor> {
        refuse("slice")
    }

    fn concat(&self, _: &[&Tensor], _: usize) -> Result<Tensor> {
        refuse("concat")
    }

    fn upsample_nearest(&self, _: &Tensor) -> Result<Tensor> {
        refuse("upsample_nearest")
    }

    fn round(&self, _: &Tensor) -> Result<Tensor> {
        refuse("round")
    }

    fn widen(&self, _: &Tensor) -> Result<Tensor> {
        refuse("widen")
    }
}

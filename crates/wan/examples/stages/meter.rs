//! A device that counts what it is asked for: the CPU's own back end behind it does the work, and nothing of a model is described a second
//! time to know its operations.
//!
//! An operation is a multiplication or an addition of a product's definition: 2·M·K·N for a matrix product, 4·Lq·Lk·D for an attention (scores
//! and their sum over the values), 2·taps·C_in for every number that a convolution puts out, zeros around the input included, whichever way it
//! is computed. Norms, activations, sums and copies are not counted; their time is what is left over.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kinora_tensor::Activation;
use kinora_tensor::Attention;
use kinora_tensor::Backend;
use kinora_tensor::Conv3d;
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
use kinora_tensor::Weight;
use kinora_tensor::cpu::Cpu;
use kinora_tensor::cpu::CpuOptions;
use kinora_tensor::device::Prepared;
use rustix::time::ClockId;
use rustix::time::clock_gettime;

/// See the file's head.
pub(crate) struct Meter {
    cpu: Cpu,
    gemm: Tally,
    attention: Tally,
    conv3d: Tally,
}

/// What one kind of product came to.
#[derive(Default)]
struct Tally {
    operations: AtomicU64,
    cpu_ns: AtomicU64,
}

/// A [`Tally`] as it is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Share {
    pub(crate) operations: u64,
    /// Processor time of all threads.
    pub(crate) cpu: Duration,
}

/// What was counted since the last time.
pub(crate) struct Counted {
    pub(crate) gemm: Share,
    pub(crate) attention: Share,
    pub(crate) conv3d: Share,
}

impl Meter {
    /// A meter, and the device that it is.
    pub(crate) fn install(options: CpuOptions) -> (Arc<Self>, Device) {
        let meter = Arc::new(Self {
            cpu: Cpu::new(options),
            gemm: Tally::default(),
            attention: Tally::default(),
            conv3d: Tally::default(),
        });
        let device = Device::new(meter.clone());
        (meter, device)
    }

    /// What was counted since the last call.
    pub(crate) fn take(&self) -> Counted {
        Counted {
            gemm: self.gemm.take(),
            attention: self.attention.take(),
            conv3d: self.conv3d.take(),
        }
    }
}

impl Tally {
    fn add<T>(&self, operations: usize, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let begin = cpu_time();
        let done = work()?;
        let spent = cpu_time().saturating_sub(begin);
        self.operations.fetch_add(operations as u64, Ordering::Relaxed);
        self.cpu_ns.fetch_add(spent.as_nanos() as u64, Ordering::Relaxed);
        Ok(done)
    }

    fn take(&self) -> Share {
        Share {
            operations: self.operations.swap(0, Ordering::Relaxed),
            cpu: Duration::from_nanos(self.cpu_ns.swap(0, Ordering::Relaxed)),
        }
    }
}

/// Processor time of all threads of this process so far.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

impl Backend for Meter {
    fn name(&self) -> String {
        self.cpu.name()
    }

    fn upload(&self, device: &Device, shape: Shape, numbers: Vec<f32>) -> Result<Tensor> {
        self.cpu.upload(device, shape, numbers)
    }

    fn download(&self, x: &Tensor) -> Result<Vec<f32>> {
        self.cpu.download(x)
    }

    fn trim(&self) {
        self.cpu.trim();
    }

    fn prepare_linear(&self, weight: &Weight) -> Result<Prepared> {
        self.cpu.prepare_linear(weight)
    }

    fn prepare_linear_bf16(&self, weight: &Weight) -> Result<Prepared> {
        self.cpu.prepare_linear_bf16(weight)
    }

    fn prepare_linear_int8(&self, weight: &Weight) -> Result<Prepared> {
        self.cpu.prepare_linear_int8(weight)
    }

    fn reads<'a>(&self, matrix: &'a Prepared) -> Option<&'a Weight> {
        self.cpu.reads(matrix)
    }

    fn prepare_conv3d(&self, weight: &Weight, geometry: &Geometry) -> Result<Prepared> {
        self.cpu.prepare_conv3d(weight, geometry)
    }

    fn rounds_conv3d(&self, geometry: &Geometry) -> bool {
        self.cpu.rounds_conv3d(geometry)
    }

    fn prepare_embedding(&self, weight: &Weight) -> Result<Prepared> {
        self.cpu.prepare_embedding(weight)
    }

    fn linear(&self, x: &Tensor, linear: &Linear, epilogue: &Epilogue<'_>) -> Result<Tensor> {
        let operations = 2 * x.shape().elements() * linear.outputs;
        self.gemm.add(operations, || self.cpu.linear(x, linear, epilogue))
    }

    fn attention(&self, attention: &Attention<'_>) -> Result<Tensor> {
        let (queries, keys, width) = attention.extents();
        let operations = 4 * queries * keys * width * attention.heads;
        self.attention.add(operations, || self.cpu.attention(attention))
    }

    fn conv3d(
        &self,
        x: &Tensor,
        past: Option<&Tensor>,
        conv: &Conv3d,
        epilogue: &Epilogue<'_>,
    ) -> Result<Tensor> {
        let Geometry { inputs, kernel, .. } = conv.geometry;
        let each = 2 * inputs * kernel.iter().product::<usize>();
        let output = conv
            .geometry
            .output(x.shape())
            .map_or(0, |shape| shape.elements());
        self.conv3d
            .add(each * output, || self.cpu.conv3d(x, past, conv, epilogue))
    }

    fn rms_norm(&self, x: &Tensor, weight: Option<&Tensor>, eps: f32) -> Result<Tensor> {
        self.cpu.rms_norm(x, weight, eps)
    }

    fn channel_norm(&self, x: &Tensor, gamma: &Tensor, activation: Activation) -> Result<Tensor> {
        self.cpu.channel_norm(x, gamma, activation)
    }

    fn layer_norm(&self, x: &Tensor, eps: f32, output: &LayerNormOutput<'_>) -> Result<Tensor> {
        self.cpu.layer_norm(x, eps, output)
    }

    fn rope(&self, x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
        self.cpu.rope(x, cos, sin)
    }

    fn add(&self, x: &Tensor, other: &Tensor) -> Result<Tensor> {
        self.cpu.add(x, other)
    }

    fn mul(&self, x: &Tensor, other: &Tensor) -> Result<Tensor> {
        self.cpu.mul(x, other)
    }

    fn gated_add(&self, x: &Tensor, y: &Tensor, gate: &PerRow<'_>) -> Result<Tensor> {
        self.cpu.gated_add(x, y, gate)
    }

    fn weighted_sum(&self, terms: &[(f32, &Tensor)]) -> Result<Tensor> {
        self.cpu.weighted_sum(terms)
    }

    fn affine(&self, x: &Tensor, scale: f32, offset: f32) -> Result<Tensor> {
        self.cpu.affine(x, scale, offset)
    }

    fn clamp(&self, x: &Tensor, low: f32, high: f32) -> Result<Tensor> {
        self.cpu.clamp(x, low, high)
    }

    fn activate(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        self.cpu.activate(x, activation)
    }

    fn mean_last(&self, x: &Tensor) -> Result<Tensor> {
        self.cpu.mean_last(x)
    }

    fn embed(&self, table: &Embedding, ids: &[u32]) -> Result<Tensor> {
        self.cpu.embed(table, ids)
    }

    fn permute(&self, x: &Tensor, axes: &[usize]) -> Result<Tensor> {
        self.cpu.permute(x, axes)
    }

    fn slice(&self, x: &Tensor, axis: usize, start: usize, len: usize) -> Result<Tensor> {
        self.cpu.slice(x, axis, start, len)
    }

    fn concat(&self, parts: &[&Tensor], axis: usize) -> Result<Tensor> {
        self.cpu.concat(parts, axis)
    }

    fn upsample_nearest(&self, x: &Tensor) -> Result<Tensor> {
        self.cpu.upsample_nearest(x)
    }

    fn round(&self, x: &Tensor) -> Result<Tensor> {
        self.cpu.round(x)
    }

    fn widen(&self, pairs: &Tensor) -> Result<Tensor> {
        self.cpu.widen(pairs)
    }
}

#[cfg(test)]
mod tests {
    use kinora_tensor::DType;
    use kinora_tensor::ops::Padding;
    use kinora_tensor::testing::Maker;

    use super::*;

    #[test]
    fn products_are_counted_by_kind_and_once() {
        let (meter, device) = Meter::install(CpuOptions::default());
        let mut maker = Maker::new(1);

        let x = maker.tensor(&device, [5, 8]);
        let linear = Linear::new(&device, &maker.weight(DType::F32, [6, 8], 1.0), None).unwrap();
        x.linear(&linear, Epilogue::None).unwrap();

        let q = maker.tensor(&device, [3, 16]);
        let [k, v] = [(); 2].map(|()| maker.tensor(&device, [7, 16]));
        let attention = Attention {
            q: &q,
            k: &k,
            v: &v,
            heads: 2,
            scale: 1.0,
            relative_bias: None,
            key_bias: None,
            may_round: false,
        };
        attention.run().unwrap();

        // Four rows and columns halved: two of each come out.
        let clip = maker.tensor(&device, [2, 4, 4, 3]);
        let weight = maker.weight(DType::F32, [5, 3, 1, 3, 3], 1.0);
        let aside = Padding {
            bottom: 1,
            right: 1,
            ..Padding::default()
        };
        let conv = Conv3d::new(&device, &weight, None, [1, 2, 2], aside).unwrap();
        let y = clip.conv3d(&conv, None, Epilogue::None).unwrap();
        assert_eq!(y.dims(), [2, 2, 2, 5]);

        y.add(&y).unwrap();
        let operations =
            |Counted {
                 gemm,
                 attention,
                 conv3d,
             }: Counted| { [gemm, attention, conv3d].map(|share| share.operations) };
        let expected = [2 * 5 * 8 * 6, 4 * 3 * 7 * 16, 2 * 9 * 3 * (2 * 2 * 2 * 5)];
        assert_eq!(operations(meter.take()), expected);
        assert_eq!(operations(meter.take()), [0; 3]);
    }
}

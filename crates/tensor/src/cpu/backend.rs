//! [`Backend`] for the CPU: tensors become slices and extents, [`Kernels`] picks the twin.

use std::sync::Arc;

use crate::cpu::Cpu;
use crate::cpu::Kernels;
use crate::cpu::attention;
use crate::cpu::bf16;
use crate::cpu::bf16::Rounded;
use crate::cpu::conv3d;
use crate::cpu::conv3d::ConvWeight;
use crate::cpu::conv3d::Packed;
use crate::cpu::elementwise;
use crate::cpu::elementwise::Map;
use crate::cpu::epilogue::Finish;
use crate::cpu::epilogue::Rows;
use crate::cpu::gemm;
use crate::cpu::int8;
use crate::cpu::int8::Quantized;
use crate::cpu::layout;
use crate::cpu::norm;
use crate::cpu::norm::LayerOutput;
use crate::cpu::norm::Norm;
use crate::device::Backend;
use crate::device::Device;
use crate::device::Prepared;
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

/// A matrix as it is multiplied by.
enum LinearWeight {
    /// In `f32`, widened from what is stored.
    Stored(Weight),
    /// In bf16.
    Rounded(Rounded),
    /// In 8 bits.
    Quantized(Quantized),
}

impl Backend for Cpu {
    fn name(&self) -> String {
        match self.kernels {
            Kernels::Naive => "cpu (naive)".into(),
            Kernels::Portable => "cpu (portable)".into(),
            Kernels::Avx2 => "cpu (avx2)".into(),
            Kernels::Avx512 => "cpu (avx512)".into(),
        }
    }

    fn upload(&self, device: &Device, shape: Shape, numbers: Vec<f32>) -> Result<Tensor> {
        self.memory.adopt(&numbers);
        Ok(self.adopt(device, shape, numbers))
    }

    fn trim(&self) {
        self.memory.trim();
    }

    fn download(&self, x: &Tensor) -> Result<Vec<f32>> {
        Ok(x.host().to_vec())
    }

    fn prepare_linear(&self, weight: &Weight) -> Result<Prepared> {
        Ok(Arc::new(LinearWeight::Stored(weight.clone())))
    }

    fn prepare_linear_bf16(&self, weight: &Weight) -> Result<Prepared> {
        Ok(Arc::new(if self.kernels.multiply_pairs() {
            LinearWeight::Rounded(Rounded::new(weight)?)
        } else {
            LinearWeight::Stored(weight.clone())
        }))
    }

    fn prepare_linear_int8(&self, weight: &Weight) -> Result<Prepared> {
        let quantized = Quantized::new(self.kernels, weight);
        Ok(Arc::new(LinearWeight::Quantized(quantized)))
    }

    fn reads<'a>(&self, matrix: &'a Prepared) -> Option<&'a Weight> {
        match prepared(matrix) {
            LinearWeight::Stored(weight) => Some(weight),
            LinearWeight::Rounded(weight) => Some(weight.stored()),
            LinearWeight::Quantized(_) => None,
        }
    }

    fn prepare_conv3d(&self, weight: &Weight, geometry: &Geometry) -> Result<Prepared> {
        Ok(Arc::new(match self.kernels {
            Kernels::Naive => ConvWeight::Stored(weight.clone()),
            _ => ConvWeight::Packed(Packed::new(weight, geometry)),
        }))
    }

    fn rounds_conv3d(&self, geometry: &Geometry) -> bool {
        self.kernels.rounds_conv3d(geometry)
    }

    fn prepare_embedding(&self, weight: &Weight) -> Result<Prepared> {
        Ok(Arc::new(weight.clone()))
    }

    fn linear(&self, x: &Tensor, linear: &Linear, epilogue: &Epilogue<'_>) -> Result<Tensor> {
        let weight: &LinearWeight = prepared(&linear.prepared);
        let finish = Finish::new(linear.bias.as_ref(), epilogue, linear.outputs);
        let shape = x.shape().with_last(linear.outputs);
        let x_host = x.host();
        Ok(self.make(x.device(), shape, |out| match (weight, self.kernels) {
            (LinearWeight::Stored(weight), Kernels::Naive) => gemm::naive(x_host, weight, &finish, out),
            (LinearWeight::Stored(weight), kernels) => gemm::fast(kernels, x_host, weight, &finish, out),
            (LinearWeight::Rounded(weight), kernels) => bf16::fast(kernels, x_host, weight, &finish, out),
            (LinearWeight::Quantized(weight), Kernels::Naive) => {
                int8::naive(x_host, weight, &finish, out);
            }
            (LinearWeight::Quantized(weight), kernels) => {
                int8::fast(kernels, x_host, weight, &finish, out);
            }
        }))
    }

    fn attention(&self, attention: &Attention<'_>) -> Result<Tensor> {
        let operands = attention::Operands::new(attention);
        Ok(self.make(attention.q.device(), attention.q.shape(), |out| {
            match self.kernels {
                Kernels::Naive => attention::naive(&operands, out),
                kernels => attention::fast(kernels, &operands, out),
            }
        }))
    }

    fn conv3d(
        &self,
        x: &Tensor,
        past: Option<&Tensor>,
        conv: &Conv3d,
        epilogue: &Epilogue<'_>,
    ) -> Result<Tensor> {
        let weight: &ConvWeight = prepared(&conv.prepared);
        let output = conv
            .geometry
            .output(x.shape())
            .expect("the op checked that the kernel fits");
        let finish = Finish::new(conv.bias.as_ref(), epilogue, conv.geometry.outputs);
        let input = conv3d::Input::new(x, past, conv.geometry);
        Ok(self.make(x.device(), output, |out| match weight {
            ConvWeight::Stored(weight) => conv3d::naive(&input, weight, &finish, output, out),
            ConvWeight::Packed(weight) => conv3d::fast(
                (self.kernels, self.convolutions),
                &input,
                weight,
                conv.rounds,
                &finish,
                output,
                out,
            ),
        }))
    }

    fn rms_norm(&self, x: &Tensor, weight: Option<&Tensor>, eps: f32) -> Result<Tensor> {
        self.norm(
            x,
            &Norm::Rms {
                weight: weight.map(Tensor::host),
                eps,
            },
        )
    }

    fn channel_norm(&self, x: &Tensor, gamma: &Tensor, activation: Activation) -> Result<Tensor> {
        self.norm(
            x,
            &Norm::Channel {
                gamma: gamma.host(),
                activation,
            },
        )
    }

    fn layer_norm(&self, x: &Tensor, eps: f32, output: &LayerNormOutput<'_>) -> Result<Tensor> {
        let output = match *output {
            LayerNormOutput::Plain => LayerOutput::Plain,
            LayerNormOutput::Affine { weight, bias } => LayerOutput::Affine {
                weight: weight.host(),
                bias: bias.host(),
            },
            LayerNormOutput::Modulated { scale, shift } => LayerOutput::Modulated {
                scale: Rows::new(scale),
                shift: Rows::new(shift),
            },
        };
        self.norm(x, &Norm::Layer { eps, output })
    }

    fn rope(&self, x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
        let (width, pairs) = (x.shape().last(), cos.shape().last());
        Ok(self.make(x.device(), x.shape(), |out| match self.kernels {
            Kernels::Naive => norm::rope_naive(x.host(), cos.host(), sin.host(), width, pairs, out),
            kernels => norm::rope_fast(kernels, x.host(), cos.host(), sin.host(), width, pairs, out),
        }))
    }

    fn add(&self, x: &Tensor, other: &Tensor) -> Result<Tensor> {
        self.map(x, &Map::Add(other.host()))
    }

    fn mul(&self, x: &Tensor, other: &Tensor) -> Result<Tensor> {
        self.map(x, &Map::Mul(other.host()))
    }

    fn gated_add(&self, x: &Tensor, y: &Tensor, gate: &PerRow<'_>) -> Result<Tensor> {
        self.map(
            x,
            &Map::Gated {
                y: y.host(),
                gate: Rows::new(*gate),
                width: x.shape().last(),
            },
        )
    }

    fn weighted_sum(&self, terms: &[(f32, &Tensor)]) -> Result<Tensor> {
        let ((first, x), others) = terms.split_first().expect("the op checked that there is a term");
        let others = others.iter().map(|(a, other)| (*a, other.host())).collect();
        self.map(
            x,
            &Map::Sum {
                first: *first,
                others,
            },
        )
    }

    fn affine(&self, x: &Tensor, scale: f32, offset: f32) -> Result<Tensor> {
        self.map(x, &Map::Affine { scale, offset })
    }

    fn clamp(&self, x: &Tensor, low: f32, high: f32) -> Result<Tensor> {
        self.map(x, &Map::Clamp { low, high })
    }

    fn activate(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        self.map(x, &Map::Activate(activation))
    }

    fn mean_last(&self, x: &Tensor) -> Result<Tensor> {
        let dims = x.dims();
        let shape = Shape::new(&dims[..dims.len() - 1]);
        Ok(self.make(x.device(), shape, |out| match self.kernels {
            Kernels::Naive => elementwise::mean_naive(x.host(), x.shape().last(), out),
            _ => elementwise::mean_fast(x.host(), x.shape().last(), out),
        }))
    }

    fn embed(&self, table: &Embedding, ids: &[u32]) -> Result<Tensor> {
        let weight: &Weight = prepared(&table.prepared);
        let shape = Shape::new(&[ids.len(), table.width]);
        Ok(self.make(table.device(), shape, |out| {
            layout::embed(weight.view(), table.width, ids, out)
        }))
    }

    fn permute(&self, x: &Tensor, axes: &[usize]) -> Result<Tensor> {
        let dims: Vec<usize> = axes.iter().map(|&axis| x.dims()[axis]).collect();
        let shape = Shape::new(&dims);
        Ok(self.make(x.device(), shape, |out| match self.kernels {
            Kernels::Naive => layout::permute_naive(x.host(), x.shape(), axes, out),
            _ => layout::permute_fast(x.host(), x.shape(), axes, out),
        }))
    }

    fn slice(&self, x: &Tensor, axis: usize, start: usize, len: usize) -> Result<Tensor> {
        let shape = with_axis(x.shape(), axis, len);
        Ok(self.make(x.device(), shape, |out| {
            layout::slice(x.host(), x.shape(), axis, start, len, out)
        }))
    }

    fn concat(&self, parts: &[&Tensor], axis: usize) -> Result<Tensor> {
        let whole = parts.iter().map(|part| part.dims()[axis]).sum();
        let runs: Vec<(&[f32], usize)> = parts
            .iter()
            .map(|part| (part.host(), part.dims()[axis..].iter().product()))
            .collect();
        let shape = with_axis(parts[0].shape(), axis, whole);
        Ok(self.make(parts[0].device(), shape, |out| layout::concat(&runs, out)))
    }

    fn upsample_nearest(&self, x: &Tensor) -> Result<Tensor> {
        let [frames, rows, columns, channels] = *x.dims() else {
            unreachable!("the op checked the rank")
        };
        let shape = Shape::new(&[frames, 2 * rows, 2 * columns, channels]);
        Ok(self.make(x.device(), shape, |out| match self.kernels {
            Kernels::Naive => layout::upsample_naive(x.host(), rows, columns, channels, out),
            _ => layout::upsample_fast(x.host(), rows, columns, channels, out),
        }))
    }

    fn round(&self, x: &Tensor) -> Result<Tensor> {
        let shape = x.shape().with_last(x.shape().last() / 2);
        Ok(self.make(x.device(), shape, |out| bf16::round(self.kernels, x.host(), out)))
    }

    fn widen(&self, pairs: &Tensor) -> Result<Tensor> {
        let shape = pairs.shape().with_last(pairs.shape().last() * 2);
        Ok(self.make(pairs.device(), shape, |out| {
            bf16::widen(self.kernels, pairs.host(), out)
        }))
    }
}

impl Cpu {
    fn norm(&self, x: &Tensor, norm: &Norm<'_>) -> Result<Tensor> {
        let width = x.shape().last();
        Ok(self.make(x.device(), x.shape(), |out| match self.kernels {
            Kernels::Naive => norm::naive(norm, width, x.host(), out),
            kernels => norm::fast(kernels, norm, width, x.host(), out),
        }))
    }

    fn map(&self, x: &Tensor, map: &Map<'_>) -> Result<Tensor> {
        Ok(self.make(x.device(), x.shape(), |out| match self.kernels {
            Kernels::Naive => elementwise::naive(map, x.host(), out),
            kernels => elementwise::fast(kernels, map, x.host(), out),
        }))
    }
}

/// What this back end prepared.
fn prepared<T: 'static>(prepared: &Prepared) -> &T {
    prepared
        .downcast_ref()
        .expect("a weight prepared by the CPU, for weights and activations share a device")
}

fn with_axis(shape: Shape, axis: usize, extent: usize) -> Shape {
    let mut dims = shape.dims().to_vec();
    dims[axis] = extent;
    Shape::new(&dims)
}

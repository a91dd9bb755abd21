//! Convolution over time and space, channels last. A 2-D convolution is one with a time extent of 1.

use crate::device::Device;
use crate::device::Prepared;
use crate::error::Result;
use crate::ops::Epilogue;
use crate::ops::require;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::weight::Weight;

/// A convolution, its weight prepared for its device.
#[derive(Clone)]
pub struct Conv3d {
    /// The weight in the back end's own form.
    pub prepared: Prepared,
    /// `[C_out]`.
    pub bias: Option<Tensor>,
    /// Extents, strides and padding.
    pub geometry: Geometry,
    /// Whether what is multiplied is rounded: see [`Conv3d::bf16`].
    pub rounds: bool,
}

/// What a convolution reaches over. Each triple is time, rows, columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// `C_in`.
    pub inputs: usize,
    /// `C_out`.
    pub outputs: usize,
    /// Taps along each axis.
    pub kernel: [usize; 3],
    /// Steps along each axis.
    pub stride: [usize; 3],
    /// What is imagined around the input.
    pub padding: Padding,
}

/// Zeros imagined around the input; in time only before it, for every temporal convolution here is causal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Padding {
    /// Frames before the first. The last of them are taken from `past` where the caller has it, the others are zeros.
    pub before: usize,
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the left.
    pub left: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Padding {
    /// `space` on all four sides of every frame, `before` frames ahead.
    pub fn causal(before: usize, space: usize) -> Self {
        Self {
            before,
            top: space,
            bottom: space,
            left: space,
            right: space,
        }
    }
}

impl Geometry {
    /// `[T', Y', X', C_out]` for an input `[T, Y, X, C_in]`; `None` where a kernel does not fit.
    pub fn output(&self, input: Shape) -> Option<Shape> {
        let [t, y, x, _] = *input.dims() else { return None };
        let Padding {
            before,
            top,
            bottom,
            left,
            right,
        } = self.padding;
        let padded = [t + before, y + top + bottom, x + left + right];
        let mut dims = [0, 0, 0, self.outputs];
        for axis in 0..3 {
            dims[axis] = padded[axis].checked_sub(self.kernel[axis])? / self.stride[axis] + 1;
        }
        Some(Shape::new(&dims))
    }
}

impl Conv3d {
    /// Prepares `weight` `[C_out, C_in, kt, ky, kx]` (or `[C_out, C_in, ky, kx]`) and `bias` `[C_out]` for `device`.
    pub fn new(
        device: &Device,
        weight: &Weight,
        bias: Option<&Weight>,
        stride: [usize; 3],
        padding: Padding,
    ) -> Result<Self> {
        let op = "conv3d";
        let shape = weight.shape();
        let (outputs, inputs, kernel) = match *shape.dims() {
            [outputs, inputs, t, y, x] => (outputs, inputs, [t, y, x]),
            [outputs, inputs, y, x] => (outputs, inputs, [1, y, x]),
            _ => return Err(refuse(op, "a weight [C_out, C_in, kt, ky, kx]", shape)),
        };
        require(
            stride.iter().chain(&kernel).all(|&extent| extent > 0),
            op,
            || "strides and taps of at least 1".into(),
            || vec![shape, stride.into()],
        )?;
        if let Some(bias) = bias {
            let expected = Shape::new(&[outputs]);
            require(
                bias.shape() == expected,
                op,
                || format!("a bias {expected}"),
                || vec![bias.shape()],
            )?;
        }
        let geometry = Geometry {
            inputs,
            outputs,
            kernel,
            stride,
            padding,
        };
        let [t, y, x] = kernel;
        Ok(Self {
            prepared: device
                .backend()
                .prepare_conv3d(&weight.reshape([outputs, inputs, t, y, x])?, &geometry)?,
            bias: bias.map(|bias| Tensor::from_weight(device, bias)).transpose()?,
            geometry,
            rounds: false,
        })
    }

    /// The same in bf16 where the CPU has instructions for it, with bounded loss: what is multiplied, be it pixels and weights or what tiles
    /// of them are transformed to, is rounded, products are summed in `f32`. The weight is kept as it is stored. Inputs that are few, or
    /// odd in number, are not rounded: there is nothing to gain. Elsewhere it is [`Conv3d::new`].
    pub fn bf16(
        device: &Device,
        weight: &Weight,
        bias: Option<&Weight>,
        stride: [usize; 3],
        padding: Padding,
    ) -> Result<Self> {
        let exact = Self::new(device, weight, bias, stride, padding)?;
        Ok(Self {
            rounds: device.backend().rounds_conv3d(&exact.geometry),
            ..exact
        })
    }
}

impl Tensor {
    /// `[T, Y, X, C_in] → [T', Y', X', C_out]`: the cross-correlation PyTorch calls convolution, plus bias, then `epilogue`.
    ///
    /// `past` `[P, Y, X, C_in]` are the frames right before `self`, `P ≤ padding.before`: what a streamed clip remembers between
    /// chunks. They are read in place, never joined with the input.
    pub fn conv3d(&self, conv: &Conv3d, past: Option<&Tensor>, epilogue: Epilogue<'_>) -> Result<Tensor> {
        let op = "conv3d";
        let Geometry { inputs, padding, .. } = conv.geometry;
        let shape = self.shape();
        require(
            shape.rank() == 4 && shape.last() == inputs,
            op,
            || format!("an input [T, Y, X, {inputs}]"),
            || vec![shape],
        )?;
        if let Some(past) = past {
            require(
                past.shape().rank() == 4
                    && past.dims()[1..] == shape.dims()[1..]
                    && past.dims()[0] <= padding.before,
                op,
                || format!("past frames like the input's, at most {}", padding.before),
                || vec![shape, past.shape()],
            )?;
        }
        let output = conv
            .geometry
            .output(shape)
            .ok_or_else(|| refuse(op, "an input that the kernel fits into, padding included", shape))?;
        epilogue.check(op, output)?;
        self.device().backend().conv3d(self, past, conv, &epilogue)
    }
}

fn refuse(op: &'static str, expected: &str, got: Shape) -> crate::TensorError {
    crate::TensorError::Shape {
        op,
        expected: expected.into(),
        got: vec![got],
    }
}

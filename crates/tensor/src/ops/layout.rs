//! Moving numbers about without changing them.

use std::ops::Range;

use crate::device::Device;
use crate::device::Prepared;
use crate::error::Result;
use crate::error::TensorError;
use crate::ops::require;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::weight::Weight;

/// A table of vectors looked up by id; the table stays as stored.
#[derive(Clone)]
pub struct Embedding {
    /// The table in the back end's own form.
    pub prepared: Prepared,
    /// How many ids there are.
    pub rows: usize,
    /// `D`.
    pub width: usize,
    device: Device,
}

impl Embedding {
    /// Prepares `weight` `[rows, D]` for `device`.
    pub fn new(device: &Device, weight: &Weight) -> Result<Self> {
        let [rows, width] = *weight.shape().dims() else {
            return Err(TensorError::Shape {
                op: "embed",
                expected: "a table [rows, D]".into(),
                got: vec![weight.shape()],
            });
        };
        Ok(Self {
            prepared: device.backend().prepare_embedding(weight)?,
            rows,
            width,
            device: device.clone(),
        })
    }

    /// `[L, D]`: for every id its row of the table.
    pub fn gather(&self, ids: &[u32]) -> Result<Tensor> {
        match ids.iter().find(|&&id| id as usize >= self.rows) {
            Some(&id) => Err(TensorError::Index {
                op: "embed",
                index: id as usize,
                rows: self.rows,
            }),
            None => self.device.backend().embed(self, ids),
        }
    }

    /// Where the table lives.
    pub fn device(&self) -> &Device {
        &self.device
    }
}

impl Tensor {
    /// Axis `i` of the result is axis `axes[i]` of `x`, as PyTorch's `permute`.
    pub fn permute(&self, axes: &[usize]) -> Result<Tensor> {
        let rank = self.shape().rank();
        let mut seen = [false; Shape::MAX_RANK];
        axes.iter()
            .filter(|&&axis| axis < rank)
            .for_each(|&axis| seen[axis] = true);
        require(
            axes.len() == rank && seen[..rank].iter().all(|&seen| seen),
            "permute",
            || format!("each of {rank} axes once, not {axes:?}"),
            || vec![self.shape()],
        )?;
        if axes.iter().enumerate().all(|(to, &from)| to == from) {
            return Ok(self.clone());
        }
        self.device().backend().permute(self, axes)
    }

    /// The part of `x` whose index along `axis` lies in `range`.
    pub fn slice(&self, axis: usize, range: Range<usize>) -> Result<Tensor> {
        require(
            axis < self.shape().rank() && range.start <= range.end && range.end <= self.dims()[axis],
            "slice",
            || format!("a range within axis {axis}, not {range:?}"),
            || vec![self.shape()],
        )?;
        if range.len() == self.dims()[axis] {
            return Ok(self.clone());
        }
        self.device()
            .backend()
            .slice(self, axis, range.start, range.len())
    }

    /// Tensors one after the other along `axis`; all other extents are equal.
    pub fn concat(parts: &[&Tensor], axis: usize) -> Result<Tensor> {
        let op = "concat";
        let got = || parts.iter().map(|part| part.shape()).collect();
        let Some(first) = parts.first() else {
            return Err(TensorError::Shape {
                op,
                expected: "a part at least".into(),
                got: Vec::new(),
            });
        };
        let fits = |part: &&Tensor| {
            part.shape().rank() == first.shape().rank()
                && part
                    .dims()
                    .iter()
                    .zip(first.dims())
                    .enumerate()
                    .all(|(i, (a, b))| i == axis || a == b)
        };
        require(
            axis < first.shape().rank() && parts.iter().all(fits),
            op,
            || format!("parts that differ along axis {axis} alone"),
            got,
        )?;
        if let [only] = parts {
            return Ok((*only).clone());
        }
        first.device().backend().concat(parts, axis)
    }

    /// `[T, Y, X, C] → [T, 2Y, 2X, C]`: every pixel four times.
    pub fn upsample_nearest(&self) -> Result<Tensor> {
        require(
            self.shape().rank() == 4,
            "upsample_nearest",
            || "[T, Y, X, C]".into(),
            || vec![self.shape()],
        )?;
        self.device().backend().upsample_nearest(self)
    }
}

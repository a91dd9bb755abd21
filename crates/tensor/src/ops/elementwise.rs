//! Element by element: sums, products, gates, activations.

use crate::error::Result;
use crate::error::TensorError;
use crate::ops::require;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// `x`.
    #[default]
    Identity,
    /// `x / (1 + e⁻ˣ)`.
    Silu,
    /// `x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))`: the DiT's and UMT5's.
    GeluTanh,
    /// `x/2 · (1 + erf(x/√2))`: CLIP's and the image embedder's.
    GeluErf,
}

/// A vector of `D` numbers for every row of a tensor `[.., D]`: a shift, a scale or a gate that may differ between tokens.
///
/// Models with a timestep per token know only a few different timesteps: the table then has a row for each of those, and `index`
/// says which one a token uses.
#[derive(Clone, Copy)]
pub struct PerRow<'a> {
    /// `[D]` or `[1, D]` (one for all), `[rows, D]` (one each), or `[any, D]` together with `index`.
    pub table: &'a Tensor,
    /// For every row of the tensor, its row of the table.
    pub index: Option<&'a [u32]>,
}

impl<'a> From<&'a Tensor> for PerRow<'a> {
    fn from(table: &'a Tensor) -> Self {
        Self { table, index: None }
    }
}

impl PerRow<'_> {
    /// Which row of the table row `row` of the tensor uses.
    pub fn row(&self, row: usize) -> usize {
        match self.index {
            Some(index) => index[row] as usize,
            None if self.table.shape().rows() == 1 => 0,
            None => row,
        }
    }

    pub(super) fn check(&self, op: &'static str, x: Shape) -> Result<()> {
        let table = self.table.shape();
        let fits = match self.index {
            Some(index) => index.len() == x.rows(),
            None => table.rows() == 1 || table.rows() == x.rows(),
        };
        require(
            fits && table.last() == x.last(),
            op,
            || {
                format!(
                    "a vector of {} numbers for all rows or for each of {}",
                    x.last(),
                    x.rows()
                )
            },
            || vec![x, table],
        )?;
        match self
            .index
            .and_then(|index| index.iter().find(|&&row| row as usize >= table.rows()))
        {
            Some(&row) => Err(TensorError::Index {
                op,
                index: row as usize,
                rows: table.rows(),
            }),
            None => Ok(()),
        }
    }
}

impl Tensor {
    /// `x + other`; `other` has the shape of `x` or of its innermost axes, and repeats over the rest.
    pub fn add(&self, other: &Tensor) -> Result<Tensor> {
        self.check_repeats("add", other)?;
        self.device().backend().add(self, other)
    }

    /// `x ∘ other`; `other` has the shape of `x` or of its innermost axes, and repeats over the rest.
    pub fn mul(&self, other: &Tensor) -> Result<Tensor> {
        self.check_repeats("mul", other)?;
        self.device().backend().mul(self, other)
    }

    /// `x + gate ∘ y`, one gate per row or for all. (After a linear layer, [`Epilogue::GatedResidual`](crate::Epilogue) is this for
    /// free.)
    pub fn gated_add(&self, y: &Tensor, gate: PerRow<'_>) -> Result<Tensor> {
        require(
            self.shape() == y.shape(),
            "gated_add",
            || "two tensors of one shape".into(),
            || vec![self.shape(), y.shape()],
        )?;
        gate.check("gated_add", self.shape())?;
        self.device().backend().gated_add(self, y, &gate)
    }

    /// `Σ aᵢ · xᵢ` of tensors of one shape: a solver's update or a guidance rule in one pass.
    pub fn weighted_sum(terms: &[(f32, &Tensor)]) -> Result<Tensor> {
        let op = "weighted_sum";
        let Some((_, first)) = terms.first() else {
            return Err(TensorError::Shape {
                op,
                expected: "a term at least".into(),
                got: Vec::new(),
            });
        };
        require(
            terms.iter().all(|(_, term)| term.shape() == first.shape()),
            op,
            || "terms of one shape".into(),
            || terms.iter().map(|(_, term)| term.shape()).collect(),
        )?;
        first.device().backend().weighted_sum(terms)
    }

    /// `scale · x + offset`.
    pub fn affine(&self, scale: f32, offset: f32) -> Result<Tensor> {
        self.device().backend().affine(self, scale, offset)
    }

    /// `x` held within `low ..= high`.
    pub fn clamp(&self, low: f32, high: f32) -> Result<Tensor> {
        self.device().backend().clamp(self, low, high)
    }

    /// `f(x)`.
    pub fn activate(&self, activation: Activation) -> Result<Tensor> {
        self.device().backend().activate(self, activation)
    }

    /// `[.., D] → [..]`: the mean of each row.
    pub fn mean_last(&self) -> Result<Tensor> {
        require(
            self.shape().rank() > 0 && self.shape().last() > 0,
            "mean_last",
            || "a last axis to average".into(),
            || vec![self.shape()],
        )?;
        self.device().backend().mean_last(self)
    }

    fn check_repeats(&self, op: &'static str, other: &Tensor) -> Result<()> {
        require(
            other.shape().is_suffix_of(&self.shape()),
            op,
            || "a second operand of the first's innermost axes".into(),
            || vec![self.shape(), other.shape()],
        )
    }
}

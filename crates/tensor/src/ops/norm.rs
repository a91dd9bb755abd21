//! Norms over rows, each with what always follows it, and rotary positions.

use crate::error::Result;
use crate::ops::Activation;
use crate::ops::PerRow;
use crate::ops::require;
use crate::tensor::Tensor;

/// What a layer norm does with a normalised row.
#[derive(Clone, Copy, Default)]
pub enum LayerNormOutput<'a> {
    /// Nothing.
    #[default]
    Plain,
    /// `y ∘ weight + bias`, both `[D]`.
    Affine {
        /// `[D]`.
        weight: &'a Tensor,
        /// `[D]`.
        bias: &'a Tensor,
    },
    /// `y ∘ (1 + scale) + shift`, for each row or for all.
    Modulated {
        /// Added to 1.
        scale: PerRow<'a>,
        /// Added last.
        shift: PerRow<'a>,
    },
}

impl Tensor {
    /// `[.., D]`: `x / √(mean(x²) + eps) ∘ weight`, mean over the row. `weight` `[D]`.
    pub fn rms_norm(&self, weight: Option<&Tensor>, eps: f32) -> Result<Tensor> {
        if let Some(weight) = weight {
            self.check_row_vector("rms_norm", weight)?;
        }
        self.device().backend().rms_norm(self, weight, eps)
    }

    /// `[.., C]`: `f(x / max(‖x‖₂, 1e-12) · √C ∘ gamma)`, norm over the row: the VAEs' norm, and the activation after it.
    /// `gamma` holds `C` numbers.
    pub fn channel_norm(&self, gamma: &Tensor, activation: Activation) -> Result<Tensor> {
        self.check_row_vector("channel_norm", gamma)?;
        self.device().backend().channel_norm(self, gamma, activation)
    }

    /// `[.., D]`: `(x − mean) / √(variance + eps)` over the row, then `output`.
    pub fn layer_norm(&self, eps: f32, output: LayerNormOutput<'_>) -> Result<Tensor> {
        match &output {
            LayerNormOutput::Plain => {}
            LayerNormOutput::Affine { weight, bias } => {
                self.check_row_vector("layer_norm", weight)?;
                self.check_row_vector("layer_norm", bias)?;
            }
            LayerNormOutput::Modulated { scale, shift } => {
                scale.check("layer_norm", self.shape())?;
                shift.check("layer_norm", self.shape())?;
            }
        }
        self.device().backend().layer_norm(self, eps, &output)
    }

    /// `[L, N·d]` with tables `cos`, `sin` `[L, d/2]`: every pair of neighbours `(a, b)` of every head becomes
    /// `(a·cos − b·sin, a·sin + b·cos)`, pair `p` of a head by column `p` of the tables.
    pub fn rope(&self, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
        let (x, table) = (self.shape(), cos.shape());
        require(
            x.rank() == 2
                && table.rank() == 2
                && sin.shape() == table
                && table.dims()[0] == x.dims()[0]
                && table.last() > 0
                && x.last() % (2 * table.last()) == 0,
            "rope",
            || "x [L, N·d], cos and sin [L, d/2]".into(),
            || vec![x, table, sin.shape()],
        )?;
        self.device().backend().rope(self, cos, sin)
    }

    fn check_row_vector(&self, op: &'static str, vector: &Tensor) -> Result<()> {
        let last = self.shape().last();
        require(
            vector.shape().elements() == last,
            op,
            || format!("a vector of {last} numbers"),
            || vec![self.shape(), vector.shape()],
        )
    }
}

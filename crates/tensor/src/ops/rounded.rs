//! Tensors in bf16 while nobody computes with them.

use crate::error::Result;
use crate::ops::require;
use crate::tensor::Tensor;

/// A tensor rounded to bf16: half the memory, for what is rounded anyway where it is read.
pub struct RoundedTensor {
    /// Two neighbours in the place of one number.
    pairs: Tensor,
}

impl Tensor {
    /// `[.., D]`, D even, rounded to bf16.
    pub fn round(&self) -> Result<RoundedTensor> {
        let shape = self.shape();
        require(
            shape.last().is_multiple_of(2),
            "round",
            || "an even number of channels".into(),
            || vec![shape],
        )?;
        Ok(RoundedTensor {
            pairs: self.device().backend().round(self)?,
        })
    }
}

impl RoundedTensor {
    /// The tensor again, of numbers that bf16 has.
    pub fn widen(&self) -> Result<Tensor> {
        self.pairs.device().backend().widen(&self.pairs)
    }
}

//! Matrix times activations, with whatever comes right after it fused in.

use crate::device::Device;
use crate::device::Prepared;
use crate::error::Result;
use crate::ops::Activation;
use crate::ops::PerRow;
use crate::ops::require;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::weight::Weight;

/// As many inputs an int8 product takes at most: its sums of products of two 7-bit magnitudes fit 32 bits.
pub const INT8_INPUTS_MAX: usize = 1 << 17;

/// `y = x · Wᵀ + b`, the weight prepared for its device. `W` is `[N, K]` as PyTorch stores it: one row per output.
#[derive(Clone)]
pub struct Linear {
    /// The weight in the back end's own form.
    pub prepared: Prepared,
    /// `[N]`.
    pub bias: Option<Tensor>,
    /// `K`.
    pub inputs: usize,
    /// `N`.
    pub outputs: usize,
}

/// What happens to a product before it is stored. Saves a pass over memory each.
#[derive(Clone, Copy, Default)]
pub enum Epilogue<'a> {
    /// Nothing.
    #[default]
    None,
    /// `f(y)`.
    Activate(Activation),
    /// `y ∘ other`, `other` of the shape of the product (gated feed-forward).
    Multiply(&'a Tensor),
    /// `residual + y`, `residual` of the shape of the product.
    Residual(&'a Tensor),
    /// `residual + gate ∘ y`, `residual` of the shape of the product, one gate per row or for all.
    GatedResidual {
        /// What is added to.
        residual: &'a Tensor,
        /// What the product is scaled by.
        gate: PerRow<'a>,
    },
}

impl Linear {
    /// Prepares `weight` `[N, K]` and `bias` `[N]` for `device`.
    pub fn new(device: &Device, weight: &Weight, bias: Option<&Weight>) -> Result<Self> {
        Self::prepare(device, weight, bias, |weight| {
            device.backend().prepare_linear(weight)
        })
    }

    /// The same in bf16 where the CPU has instructions for it, with bounded loss, as the models' reference does it on GPUs: weights, and
    /// rows of `x` when they come, are rounded, products summed in `f32`. A weight takes two bytes for each of its numbers; one that is
    /// stored in bf16 stays where it is. Elsewhere it is [`Linear::new`].
    pub fn bf16(device: &Device, weight: &Weight, bias: Option<&Weight>) -> Result<Self> {
        Self::prepare(device, weight, bias, |weight| {
            device.backend().prepare_linear_bf16(weight)
        })
    }

    /// The same in 8 bits, with bounded loss: each row of the weight, and each row of `x` when it comes, is rounded to 255 levels around
    /// 0, the largest magnitude of the row being the last. Products of levels are summed exactly. A weight takes a byte for each of its
    /// numbers, whatever it was stored as.
    ///
    /// # Errors
    /// Refuses more than [`INT8_INPUTS_MAX`] inputs.
    pub fn int8(device: &Device, weight: &Weight, bias: Option<&Weight>) -> Result<Self> {
        Self::prepare(device, weight, bias, |weight| {
            require(
                weight.shape().last() <= INT8_INPUTS_MAX,
                "linear in int8",
                || format!("at most {INT8_INPUTS_MAX} inputs"),
                || vec![weight.shape()],
            )?;
            device.backend().prepare_linear_int8(weight)
        })
    }

    /// The weight, where every product on `device` reads it as it is stored; `None` where it was copied.
    pub fn reads(&self, device: &Device) -> Option<&Weight> {
        device.backend().reads(&self.prepared)
    }

    fn prepare(
        device: &Device,
        weight: &Weight,
        bias: Option<&Weight>,
        prepare: impl FnOnce(&Weight) -> Result<Prepared>,
    ) -> Result<Self> {
        let shape = weight.shape();
        require(
            shape.rank() == 2,
            "linear",
            || "a weight [N, K]".into(),
            || vec![shape],
        )?;
        let outputs = shape.dims()[0];
        if let Some(bias) = bias {
            require(
                bias.shape() == Shape::new(&[outputs]),
                "linear",
                || format!("a bias [{outputs}]"),
                || vec![shape, bias.shape()],
            )?;
        }
        Ok(Self {
            prepared: prepare(weight)?,
            bias: bias.map(|bias| Tensor::from_weight(device, bias)).transpose()?,
            inputs: shape.dims()[1],
            outputs,
        })
    }
}

impl Epilogue<'_> {
    /// Checks the epilogue's operands against the shape of the product.
    pub(super) fn check(&self, op: &'static str, product: Shape) -> Result<()> {
        match self {
            Epilogue::None | Epilogue::Activate(_) => Ok(()),
            Epilogue::Multiply(other) | Epilogue::Residual(other) => same(op, product, other),
            Epilogue::GatedResidual { residual, gate } => {
                same(op, product, residual)?;
                gate.check(op, product)
            }
        }
    }
}

impl Tensor {
    /// `[.., K] → [.., N]`: `epilogue(x · Wᵀ + b)`.
    pub fn linear(&self, linear: &Linear, epilogue: Epilogue<'_>) -> Result<Tensor> {
        require(
            self.shape().last() == linear.inputs,
            "linear",
            || format!("rows of {} numbers", linear.inputs),
            || vec![self.shape()],
        )?;
        epilogue.check("linear", self.shape().with_last(linear.outputs))?;
        self.device().backend().linear(self, linear, &epilogue)
    }
}

fn same(op: &'static str, product: Shape, other: &Tensor) -> Result<()> {
    require(
        other.shape().elements() == product.elements() && other.shape().last() == product.last(),
        op,
        || format!("an epilogue operand of the product's shape {product}"),
        || vec![other.shape()],
    )
}

//! What a product goes through before it is stored, as slices: bias, then the op's [`Epilogue`].

use crate::cpu::math;
use crate::cpu::math::Arith;
use crate::ops::Activation;
use crate::ops::Epilogue;
use crate::ops::PerRow;
use crate::tensor::Tensor;

/// Bias and epilogue of a product of rows of `width` numbers.
pub(super) struct Finish<'a> {
    pub(super) bias: Option<&'a [f32]>,
    then: Then<'a>,
    width: usize,
}

enum Then<'a> {
    Nothing,
    Activate(Activation),
    Multiply(&'a [f32]),
    Residual(&'a [f32]),
    Gated { residual: &'a [f32], gate: Rows<'a> },
}

/// A [`PerRow`] as slices.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    table: &'a [f32],
    width: usize,
    per_row: PerRow<'a>,
}

impl<'a> Finish<'a> {
    pub(super) fn new(bias: Option<&'a Tensor>, epilogue: &Epilogue<'a>, width: usize) -> Self {
        let then = match *epilogue {
            Epilogue::None => Then::Nothing,
            Epilogue::Activate(activation) => Then::Activate(activation),
            Epilogue::Multiply(other) => Then::Multiply(other.host()),
            Epilogue::Residual(residual) => Then::Residual(residual.host()),
            Epilogue::GatedResidual { residual, gate } => Then::Gated {
                residual: residual.host(),
                gate: Rows::new(gate),
            },
        };
        Self {
            bias: bias.map(Tensor::host),
            then,
            width,
        }
    }

    /// Whether there is anything to do.
    pub(super) fn changes(&self) -> bool {
        self.bias.is_some() || !matches!(self.then, Then::Nothing)
    }

    /// Takes the products of row `row`, columns `column ..`, through bias and epilogue, in place.
    #[inline(always)]
    pub(super) fn apply<A: Arith>(&self, row: usize, column: usize, products: &mut [f32]) {
        if let Some(bias) = self.bias {
            let bias = &bias[column..column + products.len()];
            for (y, b) in products.iter_mut().zip(bias) {
                *y += b;
            }
        }
        let here = row * self.width + column..row * self.width + column + products.len();
        match &self.then {
            Then::Nothing => {}
            Then::Activate(activation) => math::activate::<A>(*activation, products),
            Then::Multiply(other) => products.iter_mut().zip(&other[here]).for_each(|(y, o)| *y *= o),
            Then::Residual(residual) => products
                .iter_mut()
                .zip(&residual[here])
                .for_each(|(y, r)| *y += r),
            Then::Gated { residual, gate } => {
                let gate = &gate.row(row)[column..column + products.len()];
                for ((y, r), g) in products.iter_mut().zip(&residual[here]).zip(gate) {
                    *y = A::mul_add(*y, *g, *r);
                }
            }
        }
    }
}

impl<'a> Rows<'a> {
    pub(super) fn new(per_row: PerRow<'a>) -> Self {
        Self {
            table: per_row.table.host(),
            width: per_row.table.shape().last(),
            per_row,
        }
    }

    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> &'a [f32] {
        let row = self.per_row.row(row);
        &self.table[row * self.width..(row + 1) * self.width]
    }
}

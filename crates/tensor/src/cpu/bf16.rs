//! Activations times a matrix, both rounded to bf16, with sums in `f32`: what the models' reference does on GPUs.
//!
//! Activations are rounded into [`Pairs`], and the exact product's loops ([`crate::cpu::gemm`]) run over half as many places along `K`.
//! There is no other way to do it: where the CPU has no instructions for pairs ([`Kernels::multiply_pairs`]), rounding gains nothing, and
//! products stay exact.

use half::bf16;
use rayon::prelude::*;

use crate::cpu::Kernels;
use crate::cpu::epilogue::Finish;
use crate::cpu::gemm;
use crate::cpu::simd::Numbers;
use crate::cpu::simd::Pairs;
use crate::cpu::simd::Simd;
use crate::cpu::simd::Work;
use crate::dtype::DType;
use crate::error::Result;
use crate::weight::Weight;
use crate::weight::WeightView;

/// Rows of activations that are rounded at a time.
const ROWS_AT_ONCE: usize = 4096;

/// A matrix `[N, K]` in bf16: as it is stored, or rounded.
pub(super) struct Rounded(Weight);

impl Rounded {
    pub(super) fn new(weight: &Weight) -> Result<Self> {
        if let WeightView::BF16(_) = weight.view() {
            return Ok(Self(weight.clone()));
        }
        Weight::rounded(weight.shape(), weight.to_f32(), DType::BF16).map(Self)
    }

    /// As it is stored, or in memory of its own.
    pub(super) fn stored(&self) -> &Weight {
        &self.0
    }

    fn pairs(&self) -> &[[bf16; 2]] {
        let WeightView::BF16(numbers) = self.0.view() else {
            unreachable!("made of bf16")
        };
        numbers.as_chunks().0
    }
}

/// `x` `[L, K]`, `out` `[L, N]`, with kernels that multiply pairs.
pub(super) fn fast(kernels: Kernels, x: &[f32], weight: &Rounded, finish: &Finish<'_>, out: &mut [f32]) {
    let shape = weight.0.shape();
    let (outputs, inputs) = (shape.dims()[0], shape.last());
    // Few rows are multiplied a weight at a time, where there is nothing to gain.
    if !inputs.is_multiple_of(2) || x.len() <= gemm::FEW_ROWS * inputs {
        return gemm::fast(kernels, x, &weight.0, finish, out);
    }
    let (rows, width) = (x.len() / inputs, inputs / 2);
    let mut rounded = vec![0.0; rows.min(ROWS_AT_ONCE) * width];
    for first in (0..rows).step_by(ROWS_AT_ONCE) {
        let rounded = &mut rounded[..ROWS_AT_ONCE.min(rows - first) * width];
        round(kernels, &x[first * inputs..][..2 * rounded.len()], rounded);
        gemm::multiply::<_, Pairs>(
            kernels,
            rounded,
            weight.pairs(),
            [outputs, width],
            finish,
            (first, out),
        );
    }
}

/// Places that a task rounds or widens at once.
const AT_ONCE: usize = 1 << 13;

/// Rounds numbers to [`Pairs`], half as many.
pub(super) fn round(kernels: Kernels, from: &[f32], to: &mut [f32]) {
    (to.par_chunks_mut(AT_ONCE))
        .zip(from.par_chunks(AT_ONCE * Pairs::PER_PLACE))
        .for_each(|(to, from)| kernels.run(Round { from, to }));
}

/// The numbers of [`Pairs`], twice as many.
pub(super) fn widen(kernels: Kernels, from: &[f32], to: &mut [f32]) {
    (to.par_chunks_mut(AT_ONCE * Pairs::PER_PLACE))
        .zip(from.par_chunks(AT_ONCE))
        .for_each(|(to, from)| kernels.run(Widen { from, to }));
}

struct Round<'a> {
    from: &'a [f32],
    to: &'a mut [f32],
}

impl Work for Round<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let (pairs, _) = self.from.as_chunks::<2>();
        for (to, [first, second]) in self.to.iter_mut().zip(pairs) {
            *to = Pairs::join(*first, *second);
        }
    }
}

struct Widen<'a> {
    from: &'a [f32],
    to: &'a mut [f32],
}

impl Work for Widen<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let (pairs, _) = self.to.as_chunks_mut::<2>();
        for (to, place) in pairs.iter_mut().zip(self.from) {
            *to = Pairs::split(*place);
        }
    }
}

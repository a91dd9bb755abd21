//! Element by element over slices.

use crate::cpu::epilogue::Rows;
use crate::cpu::math;
use crate::ops::Activation;

/// What becomes of each element of `x`.
pub(super) enum Map<'a> {
    /// `x + other`, `other` repeating.
    Add(&'a [f32]),
    /// `x ∘ other`, `other` repeating.
    Mul(&'a [f32]),
    /// `x + gate ∘ y`, gates for rows of `width`.
    Gated {
        y: &'a [f32],
        gate: Rows<'a>,
        width: usize,
    },
    /// `first · x + Σ aᵢ xᵢ`.
    Sum {
        first: f32,
        others: Vec<(f32, &'a [f32])>,
    },
    /// `scale · x + offset`.
    Affine { scale: f32, offset: f32 },
    /// Held within bounds.
    Clamp { low: f32, high: f32 },
    /// `f(x)`.
    Activate(Activation),
}

/// The definition.
pub(super) fn naive(map: &Map<'_>, x: &[f32], out: &mut [f32]) {
    for (i, (out, &x)) in out.iter_mut().zip(x).enumerate() {
        *out = match map {
            Map::Add(other) => x + other[i % other.len()],
            Map::Mul(other) => x * other[i % other.len()],
            Map::Gated { y, gate, width } => {
                (f64::from(x) + f64::from(gate.row(i / width)[i % width]) * f64::from(y[i])) as f32
            }
            Map::Sum { first, others } => {
                let rest: f64 = others
                    .iter()
                    .map(|(a, other)| f64::from(*a) * f64::from(other[i]))
                    .sum();
                (f64::from(*first) * f64::from(x) + rest) as f32
            }
            Map::Affine { scale, offset } => (f64::from(*scale) * f64::from(x) + f64::from(*offset)) as f32,
            Map::Clamp { low, high } => x.clamp(*low, *high),
            Map::Activate(activation) => math::activate_naive(*activation, f64::from(x)) as f32,
        };
    }
}

/// The mean of each row of `width` numbers.
pub(super) fn mean_naive(x: &[f32], width: usize, out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(x.chunks_exact(width)) {
        *out = (x.iter().map(|&x| f64::from(x)).sum::<f64>() / width as f64) as f32;
    }
}

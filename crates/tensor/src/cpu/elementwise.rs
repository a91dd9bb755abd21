//! Element by element over slices.

use rayon::prelude::*;

use crate::cpu::Kernels;
use crate::cpu::epilogue::Rows;
use crate::cpu::math;
use crate::cpu::simd::Simd;
use crate::cpu::simd::Work;
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

/// The same as [`mean_naive`], on all threads.
pub(super) fn mean_fast(x: &[f32], width: usize, out: &mut [f32]) {
    let rows = (CHUNK / width).max(1);
    out.par_chunks_mut(rows)
        .zip(x.par_chunks(rows * width))
        .for_each(|(out, x)| mean_naive(x, width, out));
}

/// Numbers of one task.
const CHUNK: usize = 32 * 1024;

/// The same as [`naive`], fast.
pub(super) fn fast(kernels: Kernels, map: &Map<'_>, x: &[f32], out: &mut [f32]) {
    // What repeats does so from the start of a chunk.
    let period = match map {
        Map::Add(other) | Map::Mul(other) => other.len(),
        Map::Gated { width, .. } => *width,
        _ => 1,
    };
    if period == 0 {
        return;
    }
    let chunk = if period >= x.len() {
        CHUNK
    } else {
        (CHUNK / period).max(1) * period
    };
    out.par_chunks_mut(chunk)
        .zip(x.par_chunks(chunk))
        .enumerate()
        .for_each(|(i, (out, x))| {
            kernels.run(Chunk {
                map,
                first: i * chunk,
                x,
                out,
            });
        });
}

struct Chunk<'a> {
    map: &'a Map<'a>,
    first: usize,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Work for Chunk<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { map, first, x, out } = self;
        match map {
            Map::Add(other) => {
                for (out, x, other) in periods(other, first, x, out) {
                    for ((out, x), other) in out.iter_mut().zip(x).zip(other) {
                        *out = x + other;
                    }
                }
            }
            Map::Mul(other) => {
                for (out, x, other) in periods(other, first, x, out) {
                    for ((out, x), other) in out.iter_mut().zip(x).zip(other) {
                        *out = x * other;
                    }
                }
            }
            Map::Gated { y, gate, width } => {
                let y = &y[first..first + x.len()];
                let rows = out
                    .chunks_exact_mut(*width)
                    .zip(x.chunks_exact(*width))
                    .zip(y.chunks_exact(*width));
                for (row, ((out, x), y)) in rows.enumerate() {
                    for (((out, x), y), gate) in
                        out.iter_mut().zip(x).zip(y).zip(gate.row(first / width + row))
                    {
                        *out = S::mul_add(*y, *gate, *x);
                    }
                }
            }
            Map::Sum { first: a, others } => {
                for (out, x) in out.iter_mut().zip(x) {
                    *out = a * x;
                }
                for (a, other) in others {
                    for (out, other) in out.iter_mut().zip(&other[first..first + x.len()]) {
                        *out = S::mul_add(*a, *other, *out);
                    }
                }
            }
            Map::Affine { scale, offset } => {
                for (out, x) in out.iter_mut().zip(x) {
                    *out = S::mul_add(*scale, *x, *offset);
                }
            }
            Map::Clamp { low, high } => {
                for (out, x) in out.iter_mut().zip(x) {
                    *out = x.clamp(*low, *high);
                }
            }
            Map::Activate(activation) => {
                out.copy_from_slice(x);
                math::activate::<S>(*activation, out);
            }
        }
    }
}

/// The stretches of `out` and `x` over which `other` runs once; all of it, from `first` on, where `other` is as long as the whole.
#[inline(always)]
fn periods<'a>(
    other: &'a [f32],
    first: usize,
    x: &'a [f32],
    out: &'a mut [f32],
) -> impl Iterator<Item = (&'a mut [f32], &'a [f32], &'a [f32])> {
    let start = first % other.len();
    let other = if start == 0 { other } else { &other[start..] };
    out.chunks_mut(other.len())
        .zip(x.chunks(other.len()))
        .map(move |(out, x)| (out, x, other))
}

//! Norms over rows, and rotary positions.

use rayon::prelude::*;

use crate::cpu::Kernels;
use crate::cpu::epilogue::Rows;
use crate::cpu::math;
use crate::cpu::math::Arith;
use crate::cpu::simd::Simd;
use crate::cpu::simd::Work;
use crate::ops::Activation;

/// What a norm does to a row of `D` numbers.
pub(super) enum Norm<'a> {
    /// `x / √(mean(x²) + eps) ∘ weight`.
    Rms { weight: Option<&'a [f32]>, eps: f32 },
    /// `f(x / max(‖x‖, 1e-12) · √D ∘ gamma)`.
    Channel {
        gamma: &'a [f32],
        activation: Activation,
    },
    /// `(x − mean) / √(variance + eps)`, then `output`.
    Layer { eps: f32, output: LayerOutput<'a> },
}

/// [`LayerNormOutput`](crate::ops::LayerNormOutput) as slices.
pub(super) enum LayerOutput<'a> {
    Plain,
    Affine { weight: &'a [f32], bias: &'a [f32] },
    Modulated { scale: Rows<'a>, shift: Rows<'a> },
}

/// The definition: `x` and `out` hold rows of `width` numbers.
pub(super) fn naive(norm: &Norm<'_>, width: usize, x: &[f32], out: &mut [f32]) {
    for (row, (x, out)) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)).enumerate() {
        let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        let count = width as f64;
        let squares: f64 = x.iter().map(|x| x * x).sum();
        for (i, out) in out.iter_mut().enumerate() {
            let at = |vector: &[f32]| f64::from(vector[i]);
            *out = match norm {
                Norm::Rms { weight, eps } => {
                    x[i] / (squares / count + f64::from(*eps)).sqrt() * weight.map_or(1.0, at)
                }
                Norm::Channel { gamma, activation } => math::activate_naive(
                    *activation,
                    x[i] / squares.sqrt().max(1e-12) * count.sqrt() * at(gamma),
                ),
                Norm::Layer { eps, output } => {
                    let mean = x.iter().sum::<f64>() / count;
                    let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
                    let y = (x[i] - mean) / (variance + f64::from(*eps)).sqrt();
                    match output {
                        LayerOutput::Plain => y,
                        LayerOutput::Affine { weight, bias } => y * at(weight) + at(bias),
                        LayerOutput::Modulated { scale, shift } => {
                            y * (1.0 + at(scale.row(row))) + at(shift.row(row))
                        }
                    }
                }
            } as f32;
        }
    }
}

/// The definition of rotary positions: `x` and `out` `[L, N·d]` in rows of `width`, `cos` and `sin` `[L, pairs]`.
pub(super) fn rope_naive(x: &[f32], cos: &[f32], sin: &[f32], width: usize, pairs: usize, out: &mut [f32]) {
    for row in 0..x.len() / width {
        for pair in 0..width / 2 {
            let at = row * width + 2 * pair;
            let table = row * pairs + pair % pairs;
            let (a, b) = (f64::from(x[at]), f64::from(x[at + 1]));
            let (cos, sin) = (f64::from(cos[table]), f64::from(sin[table]));
            out[at] = (a * cos - b * sin) as f32;
            out[at + 1] = (a * sin + b * cos) as f32;
        }
    }
}

/// Numbers of one task, about.
const CHUNK: usize = 32 * 1024;

/// The same as [`naive`], fast.
pub(super) fn fast(kernels: Kernels, norm: &Norm<'_>, width: usize, x: &[f32], out: &mut [f32]) {
    let rows = (CHUNK / width).max(1);
    out.par_chunks_mut(rows * width)
        .zip(x.par_chunks(rows * width))
        .enumerate()
        .for_each(|(chunk, (out, x))| {
            kernels.run(SomeRows {
                norm,
                width,
                first: chunk * rows,
                x,
                out,
            });
        });
}

struct SomeRows<'a> {
    norm: &'a Norm<'a>,
    width: usize,
    first: usize,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Work for SomeRows<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let rows = self
            .x
            .chunks_exact(self.width)
            .zip(self.out.chunks_exact_mut(self.width));
        for (row, (x, out)) in rows.enumerate() {
            let count = self.width as f32;
            match self.norm {
                Norm::Rms { weight, eps } => {
                    let factor = 1.0 / (sum_of_squares::<S>(x, 0.0) / count + eps).sqrt();
                    match weight {
                        Some(weight) => scale_by(x, factor, weight, out),
                        None => shift_scale(x, 0.0, factor, out),
                    }
                }
                Norm::Channel { gamma, activation } => {
                    let length = sum_of_squares::<S>(x, 0.0).sqrt();
                    let length = if length < 1e-12 { 1e-12 } else { length };
                    scale_by(x, count.sqrt() / length, gamma, out);
                    math::activate::<S>(*activation, out);
                }
                Norm::Layer { eps, output } => {
                    let mean = sum(x) / count;
                    let factor = 1.0 / (sum_of_squares::<S>(x, mean) / count + eps).sqrt();
                    shift_scale(x, mean, factor, out);
                    match output {
                        LayerOutput::Plain => {}
                        LayerOutput::Affine { weight, bias } => {
                            for ((out, weight), bias) in out.iter_mut().zip(*weight).zip(*bias) {
                                *out = S::mul_add(*out, *weight, *bias);
                            }
                        }
                        LayerOutput::Modulated { scale, shift } => {
                            let (scale, shift) = (scale.row(self.first + row), shift.row(self.first + row));
                            for ((out, scale), shift) in out.iter_mut().zip(scale).zip(shift) {
                                *out = S::mul_add(*out, 1.0 + scale, *shift);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Partial sums, enough of them that a loop over them is SIMD and that they lose few digits.
const LANES: usize = 32;

#[inline(always)]
fn sum(x: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            sums[i] += chunk[i];
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum += x;
    }
    fold(sums)
}

/// `Σ (x − mean)²`.
#[inline(always)]
fn sum_of_squares<A: Arith>(x: &[f32], mean: f32) -> f32 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            let x = chunk[i] - mean;
            sums[i] = A::mul_add(x, x, sums[i]);
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum += (x - mean) * (x - mean);
    }
    fold(sums)
}

/// Halves against halves, which loses fewer digits than one after the other.
#[inline(always)]
fn fold(mut sums: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            sums[i] += sums[i + half];
        }
        half /= 2;
    }
    sums[0]
}

#[inline(always)]
fn scale_by(x: &[f32], factor: f32, weight: &[f32], out: &mut [f32]) {
    for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
        *out = x * factor * weight;
    }
}

#[inline(always)]
fn shift_scale(x: &[f32], mean: f32, factor: f32, out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = (x - mean) * factor;
    }
}

/// The same as [`rope_naive`], fast.
pub(super) fn rope_fast(
    kernels: Kernels,
    x: &[f32],
    cos: &[f32],
    sin: &[f32],
    width: usize,
    pairs: usize,
    out: &mut [f32],
) {
    let rows = (CHUNK / width).max(1);
    out.par_chunks_mut(rows * width)
        .zip(x.par_chunks(rows * width))
        .enumerate()
        .for_each(|(chunk, (out, x))| {
            let first = chunk * rows * pairs;
            let rows = out.len() / width * pairs;
            let (cos, sin) = (&cos[first..first + rows], &sin[first..first + rows]);
            kernels.run(Turn {
                x,
                cos,
                sin,
                width,
                pairs,
                out,
            });
        });
}

struct Turn<'a> {
    x: &'a [f32],
    cos: &'a [f32],
    sin: &'a [f32],
    width: usize,
    pairs: usize,
    out: &'a mut [f32],
}

impl Work for Turn<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let rows = self
            .x
            .chunks_exact(self.width)
            .zip(self.out.chunks_exact_mut(self.width));
        let tables = self
            .cos
            .chunks_exact(self.pairs)
            .zip(self.sin.chunks_exact(self.pairs));
        for ((x, out), (cos, sin)) in rows.zip(tables) {
            let heads = x
                .chunks_exact(2 * self.pairs)
                .zip(out.chunks_exact_mut(2 * self.pairs));
            for (x, out) in heads {
                let (x, _) = x.as_chunks::<2>();
                let (out, _) = out.as_chunks_mut::<2>();
                for (((x, out), cos), sin) in x.iter().zip(out).zip(cos).zip(sin) {
                    *out = [x[0] * cos - x[1] * sin, S::mul_add(x[0], *sin, x[1] * cos)];
                }
            }
        }
    }
}

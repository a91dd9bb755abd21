//! Norms over rows, and rotary positions.

use crate::cpu::epilogue::Rows;
use crate::cpu::math;
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

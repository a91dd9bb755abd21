//! Activations times a stored matrix: `out[l, n] = finish(Σₖ x[l, k] · w[n, k])`.

use crate::cpu::epilogue::Finish;
use crate::cpu::math::Plain;
use crate::weight::Weight;

/// The definition. `x` `[L, K]`, `weight` `[N, K]`, `out` `[L, N]`.
pub(super) fn naive(x: &[f32], weight: &Weight, finish: &Finish<'_>, out: &mut [f32]) {
    let [outputs, inputs] = *weight.shape().dims() else {
        unreachable!("a linear weight is a matrix")
    };
    let wide = weight.to_f32();
    for (row, out) in out.chunks_exact_mut(outputs.max(1)).enumerate() {
        let x = &x[row * inputs..(row + 1) * inputs];
        for (column, out) in out.iter_mut().enumerate() {
            let w = &wide[column * inputs..(column + 1) * inputs];
            *out = x
                .iter()
                .zip(w)
                .map(|(x, w)| f64::from(*x) * f64::from(*w))
                .sum::<f64>() as f32;
        }
        finish.apply::<Plain>(row, 0, out);
    }
}

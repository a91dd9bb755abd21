//! Attention over slices: `q` `[Lq, N·d]`, `k` and `v` `[Lk, N·d]`, heads side by side in a row.

use crate::ops::Attention;
use crate::tensor::Tensor;

/// The operands of an attention as slices.
pub(super) struct Operands<'a> {
    pub(super) q: &'a [f32],
    pub(super) k: &'a [f32],
    pub(super) v: &'a [f32],
    pub(super) relative_bias: Option<&'a [f32]>,
    pub(super) key_bias: Option<&'a [f32]>,
    pub(super) scale: f32,
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) heads: usize,
    /// `d`.
    pub(super) width: usize,
}

impl<'a> Operands<'a> {
    pub(super) fn new(attention: &Attention<'a>) -> Self {
        let (queries, keys, width) = attention.extents();
        Self {
            q: attention.q.host(),
            k: attention.k.host(),
            v: attention.v.host(),
            relative_bias: attention.relative_bias.map(Tensor::host),
            key_bias: attention.key_bias.map(Tensor::host),
            scale: attention.scale,
            queries,
            keys,
            heads: attention.heads,
            width,
        }
    }

    /// Where row `row` of head `head` starts and ends in `q`, `k`, `v` or the result.
    fn span(&self, row: usize, head: usize) -> std::ops::Range<usize> {
        let start = (row * self.heads + head) * self.width;
        start..start + self.width
    }
}

/// The definition, one query at a time.
pub(super) fn naive(o: &Operands<'_>, out: &mut [f32]) {
    for head in 0..o.heads {
        for i in 0..o.queries {
            let q = &o.q[o.span(i, head)];
            let scores: Vec<f64> = (0..o.keys).map(|j| score(o, head, i, j, q)).collect();
            let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| (score - highest).exp()).collect();
            let total: f64 = weights.iter().sum();
            for (column, out) in out[o.span(i, head)].iter_mut().enumerate() {
                let sum: f64 = (0..o.keys)
                    .map(|j| weights[j] * f64::from(o.v[o.span(j, head)][column]))
                    .sum();
                *out = (sum / total) as f32;
            }
        }
    }
}

fn score(o: &Operands<'_>, head: usize, i: usize, j: usize, q: &[f32]) -> f64 {
    let k = &o.k[o.span(j, head)];
    let product: f64 = q.iter().zip(k).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum();
    let relative = o.relative_bias.map_or(0.0, |bias| {
        bias[head * (o.queries + o.keys - 1) + j + o.queries - 1 - i]
    });
    let key = o.key_bias.map_or(0.0, |bias| bias[j]);
    product * f64::from(o.scale) + f64::from(relative) + f64::from(key)
}

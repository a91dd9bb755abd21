//! Moving numbers about: permutations, parts, joins, lookups.

use rayon::prelude::*;

use crate::shape::Shape;
use crate::weight::WeightView;

/// The definition of a permutation: axis `i` of `out` is axis `axes[i]` of `x`.
pub(super) fn permute_naive(x: &[f32], shape: Shape, axes: &[usize], out: &mut [f32]) {
    let strides = strides(shape);
    let extents: Vec<usize> = axes.iter().map(|&axis| shape.dims()[axis]).collect();
    for (i, out) in out.iter_mut().enumerate() {
        let mut rest = i;
        let mut from = 0;
        for (&axis, &extent) in axes.iter().zip(&extents).rev() {
            from += rest % extent * strides[axis];
            rest /= extent;
        }
        *out = x[from];
    }
}

/// The same, fast: runs that stay together are copied, or gathered along the innermost axis.
pub(super) fn permute_fast(x: &[f32], shape: Shape, axes: &[usize], out: &mut [f32]) {
    let strides = strides(shape);
    let (&inner, outer) = axes
        .split_last()
        .expect("a permutation that changes something has axes");
    let (run, step) = (shape.dims()[inner], strides[inner]);
    if out.is_empty() {
        return;
    }
    let rows = (CHUNK / run).max(1);
    out.par_chunks_mut(run * rows)
        .enumerate()
        .for_each(|(chunk, out)| {
            for (i, out) in out.chunks_exact_mut(run).enumerate() {
                let mut rest = chunk * rows + i;
                let mut from = 0;
                for &axis in outer.iter().rev() {
                    from += rest % shape.dims()[axis] * strides[axis];
                    rest /= shape.dims()[axis];
                }
                if step == 1 {
                    out.copy_from_slice(&x[from..from + run]);
                } else {
                    for (out, x) in out.iter_mut().zip(x[from..].iter().step_by(step)) {
                        *out = *x;
                    }
                }
            }
        });
}

/// Numbers of one task, about.
const CHUNK: usize = 32 * 1024;

/// The part of `x` from `start` on, `len` long, along `axis`.
pub(super) fn slice(x: &[f32], shape: Shape, axis: usize, start: usize, len: usize, out: &mut [f32]) {
    let inner: usize = shape.dims()[axis + 1..].iter().product();
    let (whole, part) = (shape.dims()[axis] * inner, len * inner);
    if whole == 0 || part == 0 {
        return;
    }
    for (out, x) in out.chunks_exact_mut(part).zip(x.chunks_exact(whole)) {
        out.copy_from_slice(&x[start * inner..start * inner + part]);
    }
}

/// Parts one after the other: each is its numbers and how many of them come per step of the axes outside of the joined one.
pub(super) fn concat(parts: &[(&[f32], usize)], out: &mut [f32]) {
    let whole: usize = parts.iter().map(|(_, run)| run).sum();
    if whole == 0 {
        return;
    }
    for (step, out) in out.chunks_exact_mut(whole).enumerate() {
        let mut at = 0;
        for (part, run) in parts {
            out[at..at + run].copy_from_slice(&part[step * run..(step + 1) * run]);
            at += run;
        }
    }
}

/// The definition of nearest doubling: `x` is frames of `rows` × `columns` pixels of `channels`.
pub(super) fn upsample_naive(x: &[f32], rows: usize, columns: usize, channels: usize, out: &mut [f32]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (channel, pixel) = (i % channels, i / channels);
        let (column, line) = (pixel % (2 * columns) / 2, pixel / (2 * columns));
        let (row, frame) = (line % (2 * rows) / 2, line / (2 * rows));
        *out = x[((frame * rows + row) * columns + column) * channels + channel];
    }
}

/// The same, fast.
pub(super) fn upsample_fast(x: &[f32], rows: usize, columns: usize, channels: usize, out: &mut [f32]) {
    let line = columns * channels;
    if rows == 0 || line == 0 {
        return;
    }
    out.par_chunks_exact_mut(4 * line)
        .zip(x.par_chunks_exact(line))
        .for_each(|(out, x)| {
            let (upper, lower) = out.split_at_mut(2 * line);
            for (pair, pixel) in upper.chunks_exact_mut(2 * channels).zip(x.chunks_exact(channels)) {
                pair[..channels].copy_from_slice(pixel);
                pair[channels..].copy_from_slice(pixel);
            }
            lower.copy_from_slice(upper);
        });
}

/// For every id its row of the table, widened.
pub(super) fn embed(table: WeightView<'_>, width: usize, ids: &[u32], out: &mut [f32]) {
    for (out, &id) in out.chunks_exact_mut(width.max(1)).zip(ids) {
        table.widen_into(id as usize * width, out);
    }
}

/// How far apart neighbours along each axis are.
fn strides(shape: Shape) -> Vec<usize> {
    (0..shape.rank())
        .map(|axis| shape.dims()[axis + 1..].iter().product())
        .collect()
}

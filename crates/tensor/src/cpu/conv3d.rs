//! Direct convolution over time and space, channels last: no im2col, no padded copy, past frames read where they are.

use crate::cpu::epilogue::Finish;
use crate::cpu::math::Plain;
use crate::ops::Geometry;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::weight::Weight;

/// The input of a convolution: frames, the frames before them, and zeros around.
pub(super) struct Input<'a> {
    /// `[T, Y, X, C]`.
    x: &'a [f32],
    /// `[P, Y, X, C]`; empty without a past.
    past: &'a [f32],
    past_frames: usize,
    frames: usize,
    rows: usize,
    columns: usize,
    geometry: Geometry,
}

impl<'a> Input<'a> {
    pub(super) fn new(x: &'a Tensor, past: Option<&'a Tensor>, geometry: Geometry) -> Self {
        let [frames, rows, columns, _] = *x.dims() else {
            unreachable!("the op checked the rank")
        };
        Self {
            x: x.host(),
            past: past.map_or(&[], Tensor::host),
            past_frames: past.map_or(0, |past| past.dims()[0]),
            frames,
            rows,
            columns,
            geometry,
        }
    }

    /// Where row `y` of padded frame `t` starts, both counted with padding; `None` where it is all zeros.
    fn row(&self, t: usize, y: usize) -> Option<&'a [f32]> {
        let y = y
            .checked_sub(self.geometry.padding.top)
            .filter(|&y| y < self.rows)?;
        let line = self.columns * self.geometry.inputs;
        let t = t + self.past_frames;
        let (frames, t) = match t.checked_sub(self.geometry.padding.before)? {
            t if t < self.past_frames => (self.past, t),
            t => (self.x, t - self.past_frames),
        };
        debug_assert!(t < self.past_frames.max(self.frames));
        let start = (t * self.rows + y) * line;
        Some(&frames[start..start + line])
    }
}

/// The definition. `weight` `[C_out, C_in, kt, ky, kx]`, `out` of shape `output` = `[T', Y', X', C_out]`.
pub(super) fn naive(input: &Input<'_>, weight: &Weight, finish: &Finish<'_>, output: Shape, out: &mut [f32]) {
    let Geometry {
        inputs,
        outputs,
        kernel: [kt, ky, kx],
        stride,
        padding,
    } = input.geometry;
    let wide = weight.to_f32();
    let [_, rows, columns, _] = *output.dims() else {
        unreachable!("a convolution yields [T, Y, X, C]")
    };
    for (pixel, out) in out.chunks_exact_mut(outputs.max(1)).enumerate() {
        let (t, y, x) = (
            pixel / columns / rows * stride[0],
            pixel / columns % rows * stride[1],
            pixel % columns * stride[2],
        );
        let mut sums = vec![0.0_f64; outputs];
        for (dt, dy, dx) in taps(kt, ky, kx) {
            let Some(row) = input.row(t + dt, y + dy) else {
                continue;
            };
            let Some(column) = (x + dx).checked_sub(padding.left).filter(|&x| x < input.columns) else {
                continue;
            };
            let pixel = &row[column * inputs..(column + 1) * inputs];
            for (o, sum) in sums.iter_mut().enumerate() {
                for (i, value) in pixel.iter().enumerate() {
                    let w = wide[(((o * inputs + i) * kt + dt) * ky + dy) * kx + dx];
                    *sum += f64::from(*value) * f64::from(w);
                }
            }
        }
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum as f32);
        finish.apply::<Plain>(pixel, 0, out);
    }
}

fn taps(kt: usize, ky: usize, kx: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..kt).flat_map(move |t| (0..ky).flat_map(move |y| (0..kx).map(move |x| (t, y, x))))
}

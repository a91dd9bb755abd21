//! Activations times a stored matrix: `out[l, n] = finish(Σₖ x[l, k] · w[n, k])`.
//!
//! The fast twin gives each task a block of outputs and walks `k` in stretches: it packs the stretch of the block into panels of 16
//! outputs, widening 16-bit weights on the way, and runs six rows of `x` at a time over all panels. The panels stay in the second
//! level of cache, the six rows in the first. `x` is read where it is: six rows are few enough to need no packing.

use std::marker::PhantomData;

use rayon::prelude::*;

use crate::blocks::Blocks;
use crate::blocks::RUN_MAX;
use crate::cpu::Kernels;
use crate::cpu::epilogue::Finish;
use crate::cpu::math::Arith;
use crate::cpu::math::Plain;
use crate::cpu::scratch::Output;
use crate::cpu::scratch::Part;
use crate::cpu::scratch::Scratch;
use crate::cpu::simd::Line;
use crate::cpu::simd::Numbers;
use crate::cpu::simd::SQUARE;
use crate::cpu::simd::Segment;
use crate::cpu::simd::Simd;
use crate::cpu::simd::Singles;
use crate::cpu::simd::Square;
use crate::cpu::simd::TILE_COLUMNS;
use crate::cpu::simd::TILE_ROWS;
use crate::cpu::simd::Work;
use crate::cpu::widen::Stored;
use crate::weight::Weight;
use crate::weight::WeightView;

/// Numbers along `k` that a panel holds at most, which are summed one after the other: of 1,024 a hundredth more of the time is saved, and six
/// layers of UMT5-XXL's width come half as far again from their sums in `f64`.
const DEPTH_MAX: usize = 512;

/// Lines of panels that one task holds: 256 kB, half of a second level.
const PANEL_LINES: usize = 4096;

/// Up to this many rows, packing costs more than it saves: each weight is read once and used for every row.
pub(super) const FEW_ROWS: usize = 4;

/// The definition. `x` `[L, K]`, `weight` `[N, K]`, `out` `[L, N]`.
pub(super) fn naive(x: &[f32], weight: &Weight, finish: &Finish<'_>, out: &mut [f32]) {
    let (outputs, inputs) = extents(weight);
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

/// The same, fast.
pub(super) fn fast(kernels: Kernels, x: &[f32], weight: &Weight, finish: &Finish<'_>, out: &mut [f32]) {
    let (outputs, inputs) = extents(weight);
    if inputs == 0 || out.is_empty() {
        return naive(x, weight, finish, out);
    }
    let (extents, out) = ([outputs, inputs], (0, out));
    match weight.view() {
        WeightView::F32(w) => multiply::<_, Singles>(kernels, x, w, extents, finish, out),
        WeightView::BF16(w) => multiply::<_, Singles>(kernels, x, w, extents, finish, out),
        WeightView::F16(w) => multiply::<_, Singles>(kernels, x, w, extents, finish, out),
        WeightView::Blocks(w) => multiply::<_, Singles>(kernels, x, w, extents, finish, out),
    }
}

/// The product of `x` `[L, K]` and a weight `[N, K]` whose numbers, like those of `x`, are such; they make the
/// rows of `out` from `first` on.
pub(super) fn multiply<W: Rows, N: Numbers>(
    kernels: Kernels,
    x: &[f32],
    weight: W,
    [outputs, inputs]: [usize; 2],
    finish: &Finish<'_>,
    (first, out): (usize, &mut [f32]),
) {
    let rows = x.len() / inputs;
    let out = Output::new(out, outputs);
    let product = Product {
        x,
        weight,
        inputs,
        finish,
        out: &out,
        first,
        numbers: PhantomData::<N>,
    };
    if rows <= FEW_ROWS {
        let block = 64;
        (0..outputs.div_ceil(block)).into_par_iter().for_each(|task| {
            let columns = task * block..outputs.min((task + 1) * block);
            kernels.run(FewRows {
                product: &product,
                rows,
                columns,
            });
        });
        return;
    }
    // Stretches of equal length, for each of them costs a pass over the result.
    let depth_max = inputs.div_ceil(inputs.div_ceil(DEPTH_MAX));
    let block = PANEL_LINES / depth_max * TILE_COLUMNS;
    let blocks = outputs.div_ceil(block);
    // Where a few blocks of outputs are not work enough for all threads, rows are divided as well.
    let wanted = (4 * rayon::current_num_threads()).div_ceil(blocks);
    let row_chunk = rows.div_ceil(wanted).max(240).next_multiple_of(TILE_ROWS);
    let chunks = rows.div_ceil(row_chunk);
    (0..blocks * chunks).into_par_iter().for_each(|task| {
        let (at, chunk) = (task % blocks, task / blocks);
        let columns = at * block..outputs.min((at + 1) * block);
        let rows = chunk * row_chunk..rows.min((chunk + 1) * row_chunk);
        kernels.run(Block {
            product: &product,
            rows,
            columns,
            depth_max,
        });
    });
}

struct Product<'a, W, N> {
    x: &'a [f32],
    weight: W,
    inputs: usize,
    finish: &'a Finish<'a>,
    out: &'a Output<'a>,
    first: usize,
    numbers: PhantomData<N>,
}

/// Some rows of some outputs: what one task computes.
struct Block<'a, W, N> {
    product: &'a Product<'a, W, N>,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    depth_max: usize,
}

impl<W: Rows, N: Numbers> Work for Block<'_, W, N> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self {
            product: p,
            rows,
            columns,
            depth_max,
        } = self;
        let panels = columns.len().div_ceil(TILE_COLUMNS);
        let mut scratch = Scratch::lend(panels * depth_max);
        let lines = scratch.lines();
        for start in (0..p.inputs).step_by(depth_max) {
            let depth = depth_max.min(p.inputs - start);
            let part = Part {
                first: start == 0,
                last: start + depth == p.inputs,
            };
            for (i, panel) in lines.chunks_exact_mut(depth).take(panels).enumerate() {
                let first = columns.start + i * TILE_COLUMNS;
                let count = TILE_COLUMNS.min(columns.end - first);
                p.weight.pack::<S>(first..first + count, p.inputs, start, panel);
            }
            for row in rows.clone().step_by(TILE_ROWS) {
                let count = TILE_ROWS.min(rows.end - row);
                // Rows beyond the last repeat it; their sums are not stored.
                let mut pointers = [p.x.as_ptr(); TILE_ROWS];
                for (i, pointer) in pointers.iter_mut().enumerate() {
                    *pointer = p.x[(row + i.min(count - 1)) * p.inputs + start..][..depth].as_ptr();
                }
                let mut column = columns.start;
                while column < columns.end {
                    let left = columns.end - column;
                    let width = left.min(S::at_once(left.div_ceil(TILE_COLUMNS)) * TILE_COLUMNS);
                    let segment = Segment {
                        rows: pointers,
                        panel: lines[(column - columns.start) / TILE_COLUMNS * depth..][..depth].as_ptr(),
                    };
                    for i in 0..count {
                        S::fetch(p.out.place(p.first + row + i, column));
                    }
                    // SAFETY: rows and panels were sliced to `depth`, and packed one behind the other; tasks differ in rows or columns; the
                    // instructions are those of `Kernels::run`.
                    unsafe {
                        p.out.tiles::<S, N>(
                            &[segment],
                            (depth, depth),
                            (p.first + row, count),
                            (column, width),
                            part,
                            p.finish,
                        );
                    }
                    column += width;
                }
            }
        }
    }
}

/// A stored matrix, row by row.
pub(super) trait Rows: Copy + Sync {
    /// Packs up to 16 rows of `inputs` weights, from `start` on: see [`pack`].
    fn pack<S: Simd>(self, rows: std::ops::Range<usize>, inputs: usize, start: usize, panel: &mut [Line]);

    /// A row times `x`, which is as long.
    fn dot<A: Arith>(self, row: usize, x: &[f32]) -> f32;
}

impl<W: Stored> Rows for &[W] {
    #[inline(always)]
    fn pack<S: Simd>(self, rows: std::ops::Range<usize>, inputs: usize, start: usize, panel: &mut [Line]) {
        pack::<S, W>(
            &self[rows.start * inputs..rows.end * inputs],
            inputs,
            start,
            panel,
        );
    }

    #[inline(always)]
    fn dot<A: Arith>(self, row: usize, x: &[f32]) -> f32 {
        dot::<A, W>(x, &self[row * x.len()..(row + 1) * x.len()])
    }
}

/// Runs of a super-block are widened beside each other, then packed like any `f32`: decoding is paid once for each panel.
impl Rows for Blocks<'_> {
    #[inline(always)]
    fn pack<S: Simd>(self, rows: std::ops::Range<usize>, inputs: usize, start: usize, panel: &mut [Line]) {
        let mut runs = [0.0; TILE_COLUMNS * RUN_MAX];
        let mut done = 0;
        while done < panel.len() {
            // To the next border, so that no block is decoded for two runs.
            let run = (RUN_MAX - (start + done) % RUN_MAX).min(panel.len() - done);
            let runs = &mut runs[..rows.len() * run];
            for (row, wide) in rows.clone().zip(runs.chunks_exact_mut(run)) {
                self.widen_into(row * inputs + start + done, wide);
            }
            pack::<S, f32>(runs, run, 0, &mut panel[done..done + run]);
            done += run;
        }
    }

    #[inline(always)]
    fn dot<A: Arith>(self, row: usize, x: &[f32]) -> f32 {
        let mut run = [0.0; RUN_MAX];
        let mut sum = 0.0;
        for (i, x_run) in x.chunks(RUN_MAX).enumerate() {
            let run = &mut run[..x_run.len()];
            self.widen_into(row * x.len() + i * RUN_MAX, run);
            sum += dot::<A, f32>(x_run, run);
        }
        sum
    }
}

/// Packs up to 16 rows of `inputs` weights, from `start` on, as lines: `panel[k][j] = rows[j][start + k]`.
#[inline(always)]
fn pack<S: Simd, W: Stored>(rows: &[W], inputs: usize, start: usize, panel: &mut [Line]) {
    let depth = panel.len();
    let count = rows.len() / inputs;
    let whole = if count == TILE_COLUMNS {
        depth / SQUARE * SQUARE
    } else {
        0
    };
    for k in (0..whole).step_by(SQUARE) {
        for half in [0, SQUARE] {
            let mut square = Square::default();
            for (j, row) in square.iter_mut().enumerate() {
                let stored = &rows[(half + j) * inputs + start + k..][..SQUARE];
                for (wide, stored) in row.iter_mut().zip(stored) {
                    *wide = stored.widen();
                }
            }
            S::transpose(&mut square);
            for (line, row) in panel[k..k + SQUARE].iter_mut().zip(&square) {
                line.0[half..half + SQUARE].copy_from_slice(row);
            }
        }
    }
    for (k, line) in panel.iter_mut().enumerate().skip(whole) {
        *line = Line::default();
        for (j, number) in line.0[..count].iter_mut().enumerate() {
            *number = rows[j * inputs + start + k].widen();
        }
    }
}

/// All of a few rows for some outputs: a dot product each, weights read once and in order.
struct FewRows<'a, W, N> {
    product: &'a Product<'a, W, N>,
    rows: usize,
    columns: std::ops::Range<usize>,
}

impl<W: Rows, N: Numbers> Work for FewRows<'_, W, N> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let p = self.product;
        for column in self.columns {
            for row in 0..self.rows {
                let x = &p.x[row * p.inputs..(row + 1) * p.inputs];
                // SAFETY: tasks differ in columns.
                let out = unsafe { p.out.span(p.first + row, column, 1) };
                out[0] = p.weight.dot::<S>(column, x);
                p.finish.apply::<S>(p.first + row, column, out);
            }
        }
    }
}

/// `Σ x · w` in 32 partial sums.
#[inline(always)]
fn dot<A: Arith, W: Stored>(x: &[f32], w: &[W]) -> f32 {
    const LANES: usize = 32;
    let mut sums = [0.0; LANES];
    let (x_chunks, x_rest) = x.as_chunks::<LANES>();
    let (w_chunks, w_rest) = w.as_chunks::<LANES>();
    for (x, w) in x_chunks.iter().zip(w_chunks) {
        for i in 0..LANES {
            sums[i] = A::mul_add(x[i], w[i].widen(), sums[i]);
        }
    }
    for (i, (x, w)) in x_rest.iter().zip(w_rest).enumerate() {
        sums[i] = A::mul_add(*x, w.widen(), sums[i]);
    }
    sums.iter().sum()
}

fn extents(weight: &Weight) -> (usize, usize) {
    let [outputs, inputs] = *weight.shape().dims() else {
        unreachable!("a linear weight is a matrix")
    };
    (outputs, inputs)
}

//! Activations times a matrix, both rounded to 8 bits: `out[l, n] = finish(x_scale[l] · w_scale[n] · Σₖ x_level[l, k] · w_level[n, k])`.
//!
//! Symmetric: a number is a level of −127 ..= 127 times the scale of its row, the largest magnitude of the row over 127. Weights get
//! theirs once, when they are loaded; activations on the fly, each token by itself. Sums of levels are exact, so that every set of
//! instructions gives the same bits.
//!
//! A product walks the rows of `x` in stretches whose levels fit memory easily, and each stretch as the exact product does
//! ([`crate::cpu::gemm`]): a block of outputs stays in the second level of cache while six rows at a time pass over it.

mod dot;

use rayon::prelude::*;

use crate::cpu::Kernels;
use crate::cpu::epilogue::Finish;
use crate::cpu::math::Plain;
use crate::cpu::scratch::Output;
use crate::cpu::simd::Simd;
use crate::cpu::simd::TILE_COLUMNS;
use crate::cpu::simd::TILE_ROWS;
use crate::cpu::simd::Work;
use crate::weight::Weight;
use dot::Dot;
use dot::GROUP;
use dot::Group;
use dot::Instructions;
use dot::Level;
use dot::Sums;

/// The largest level.
const LEVEL_MAX: f32 = 127.0;

/// Rows whose levels are in memory at a time.
const ROWS_AT_ONCE: usize = 1024;

/// Groups along `K` that a tile sums at most: six rows of them and a panel fit the first level of cache.
const GROUPS_MAX: usize = 256;

/// Groups that a task passes over before it turns to the next rows: 256 kB, half of a second level.
const BLOCK_GROUPS: usize = 4096;

/// A matrix `[N, K]` of levels, in panels of sixteen outputs.
pub(super) struct Quantized {
    /// `[N/16, K/4]`, both rounded up; what is beyond the matrix is 0.
    panels: Vec<Group>,
    /// `[N]`, rounded up to whole panels.
    scales: Vec<f32>,
    /// Σ of an output's levels, as many.
    sums: Vec<i32>,
    inputs: usize,
    outputs: usize,
}

impl Quantized {
    /// Rounds a matrix, whatever it is stored as.
    pub(super) fn new(kernels: Kernels, weight: &Weight) -> Self {
        let [outputs, inputs] = *weight.shape().dims() else {
            unreachable!("a linear weight is a matrix")
        };
        let (panels, groups) = (outputs.div_ceil(TILE_COLUMNS), inputs.div_ceil(GROUP));
        let mut quantized = Self {
            panels: vec![Group::default(); panels * groups],
            scales: vec![0.0; panels * TILE_COLUMNS],
            sums: vec![0; panels * TILE_COLUMNS],
            inputs,
            outputs,
        };
        let columns = (
            quantized.scales.par_chunks_mut(TILE_COLUMNS),
            quantized.sums.par_chunks_mut(TILE_COLUMNS),
        );
        let view = weight.view();
        (quantized.panels.par_chunks_mut(groups.max(1)))
            .zip(columns)
            .enumerate()
            .for_each(|(panel, (groups, (scales, sums)))| {
                let (mut wide, mut levels) = (vec![0.0; inputs], vec![0i8; groups.len() * GROUP]);
                let first = panel * TILE_COLUMNS;
                for column in 0..TILE_COLUMNS.min(outputs - first) {
                    view.widen_into((first + column) * inputs, &mut wide);
                    scales[column] = kernels.quantize(&wide, &mut levels);
                    sums[column] = levels.iter().map(|&level| i32::from(level)).sum();
                    let (four, _) = levels.as_chunks::<GROUP>();
                    for (group, four) in groups.iter_mut().zip(four) {
                        group.0[column] = *four;
                    }
                }
            });
        quantized
    }

    /// Groups of a panel.
    fn groups(&self) -> usize {
        self.inputs.div_ceil(GROUP)
    }

    /// One level.
    fn at(&self, output: usize, input: usize) -> i8 {
        let panel = output / TILE_COLUMNS * self.groups();
        self.panels[panel + input / GROUP].0[output % TILE_COLUMNS][input % GROUP]
    }
}

/// The definition. `x` `[L, K]`, `out` `[L, N]`.
pub(super) fn naive(x: &[f32], weight: &Quantized, finish: &Finish<'_>, out: &mut [f32]) {
    let mut levels = vec![0i8; weight.inputs];
    for (row, out) in out.chunks_exact_mut(weight.outputs.max(1)).enumerate() {
        let x = &x[row * weight.inputs..(row + 1) * weight.inputs];
        let scale = quantize(x, &mut levels);
        for (column, out) in out.iter_mut().enumerate() {
            let products = levels.iter().enumerate();
            let sum: i64 = products
                .map(|(k, &level)| i64::from(level) * i64::from(weight.at(column, k)))
                .sum();
            *out = sum as f32 * scale * weight.scales[column];
        }
        finish.apply::<Plain>(row, 0, out);
    }
}

/// The same, fast.
pub(super) fn fast(kernels: Kernels, x: &[f32], weight: &Quantized, finish: &Finish<'_>, out: &mut [f32]) {
    if weight.inputs == 0 || out.is_empty() {
        return naive(x, weight, finish, out);
    }
    match Instructions::best(kernels) {
        Instructions::Portable => multiply::<dot::Portable>(kernels, x, weight, finish, out),
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => multiply::<dot::Avx2>(kernels, x, weight, finish, out),
        #[cfg(target_arch = "x86_64")]
        Instructions::AvxVnni => multiply::<dot::AvxVnni>(kernels, x, weight, finish, out),
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512Vnni => multiply::<dot::Avx512Vnni>(kernels, x, weight, finish, out),
        #[cfg(not(target_arch = "x86_64"))]
        other => unreachable!("{other:?} is not available on this machine"),
    }
}

fn multiply<D: Dot>(kernels: Kernels, x: &[f32], weight: &Quantized, finish: &Finish<'_>, out: &mut [f32]) {
    let (inputs, outputs) = (weight.inputs, weight.outputs);
    let (rows, depth) = (out.len() / outputs, weight.groups() * GROUP);
    let mut levels = vec![D::Level::default(); rows.min(ROWS_AT_ONCE) * depth];
    let mut scales = vec![0.0; rows.min(ROWS_AT_ONCE)];
    let out = Output::new(out, outputs);
    for first in (0..rows).step_by(ROWS_AT_ONCE) {
        let count = ROWS_AT_ONCE.min(rows - first);
        (levels.par_chunks_mut(depth))
            .zip(&mut scales)
            .zip(x[first * inputs..(first + count) * inputs].par_chunks(inputs))
            .with_min_len(16)
            .for_each(|((levels, scale), x)| *scale = kernels.quantize(x, levels));
        let product = Product::<D> {
            levels: &levels[..count * depth],
            scales: &scales[..count],
            first,
            weight,
            finish,
            out: &out,
        };
        product.run(kernels);
    }
}

/// Some rows, rounded already, times the whole matrix.
struct Product<'a, D: Dot> {
    /// `[rows, K]`, `K` rounded up to whole groups.
    levels: &'a [D::Level],
    /// `[rows]`.
    scales: &'a [f32],
    /// Which row of the result the first of them is.
    first: usize,
    weight: &'a Quantized,
    finish: &'a Finish<'a>,
    out: &'a Output<'a>,
}

impl<D: Dot> Product<'_, D> {
    fn run(&self, kernels: Kernels) {
        let (rows, groups) = (self.scales.len(), self.weight.groups());
        let panels = self.weight.outputs.div_ceil(TILE_COLUMNS);
        // Stretches of equal length, for each of them costs a pass over the result.
        let groups_max = groups.div_ceil(groups.div_ceil(GROUPS_MAX));
        let block = BLOCK_GROUPS / groups_max;
        let blocks = panels.div_ceil(block);
        // Where a few blocks of outputs are not work enough for all threads, rows are divided as well.
        let wanted = (4 * rayon::current_num_threads()).div_ceil(blocks);
        let row_chunk = rows.div_ceil(wanted).max(240).next_multiple_of(TILE_ROWS);
        let chunks = rows.div_ceil(row_chunk);
        (0..blocks * chunks).into_par_iter().for_each(|task| {
            let (at, chunk) = (task % blocks, task / blocks);
            kernels.run(Block {
                product: self,
                rows: chunk * row_chunk..rows.min((chunk + 1) * row_chunk),
                panels: at * block..panels.min((at + 1) * block),
                groups_max,
            });
        });
    }
}

/// Some rows of some panels: what one task computes.
struct Block<'a, D: Dot> {
    product: &'a Product<'a, D>,
    rows: std::ops::Range<usize>,
    panels: std::ops::Range<usize>,
    groups_max: usize,
}

impl<D: Dot> Work for Block<'_, D> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let p = self.product;
        let groups = p.weight.groups();
        for start in (0..groups).step_by(self.groups_max) {
            let stretch = start..groups.min(start + self.groups_max);
            for row in self.rows.clone().step_by(TILE_ROWS) {
                let count = TILE_ROWS.min(self.rows.end - row);
                // Rows beyond the last repeat it; their sums are not stored.
                let mut rows = [p.levels.as_ptr(); TILE_ROWS];
                for (i, pointer) in rows.iter_mut().enumerate() {
                    let levels = &p.levels[(row + i.min(count - 1)) * groups * GROUP..][..groups * GROUP];
                    *pointer = levels[stretch.start * GROUP..stretch.end * GROUP].as_ptr();
                }
                let mut panel = self.panels.start;
                while panel < self.panels.end {
                    let at_once = if D::HAS_TWO && panel + 2 <= self.panels.end {
                        2
                    } else {
                        1
                    };
                    let weights = &p.weight.panels[panel * groups..(panel + at_once) * groups];
                    let weights = weights[stretch.start..].as_ptr();
                    let mut sums = [Sums::default(); 2];
                    // SAFETY: rows were sliced to the stretch, panels are as long as all stretches together; the instructions are
                    // those that `fast` found available.
                    unsafe {
                        match at_once {
                            1 => D::tile(rows, weights, stretch.len(), &mut sums[0]),
                            _ => D::tile_two(rows, weights, groups, stretch.len(), &mut sums),
                        }
                    }
                    for (i, sums) in sums[..at_once].iter().enumerate() {
                        // SAFETY: tasks differ in rows or panels.
                        unsafe { p.store::<S>(&sums[..count], row, panel + i, &stretch) };
                    }
                    panel += at_once;
                }
            }
        }
    }
}

impl<D: Dot> Product<'_, D> {
    /// Adds the sums of a stretch to those of the stretches before it, which wait in the bits of the result's own numbers, and
    /// after the last makes numbers of them.
    ///
    /// # Safety
    /// No one else has those rows of those columns at this time.
    #[inline(always)]
    unsafe fn store<S: Simd>(
        &self,
        sums: &[[i32; TILE_COLUMNS]],
        row: usize,
        panel: usize,
        stretch: &std::ops::Range<usize>,
    ) {
        let column = panel * TILE_COLUMNS;
        let width = TILE_COLUMNS.min(self.weight.outputs - column);
        let columns = column..column + TILE_COLUMNS;
        let (w_scales, w_sums) = (&self.weight.scales[columns.clone()], &self.weight.sums[columns]);
        for (i, sums) in sums.iter().enumerate() {
            // SAFETY: the caller's promise.
            let out = unsafe { self.out.span(self.first + row + i, column, width) };
            let mut sums = *sums;
            if stretch.start > 0 {
                for (sum, out) in sums.iter_mut().zip(&*out) {
                    *sum = sum.wrapping_add(out.to_bits() as i32);
                }
            }
            if stretch.end < self.weight.groups() {
                for (out, sum) in out.iter_mut().zip(&sums) {
                    *out = f32::from_bits(*sum as u32);
                }
                continue;
            }
            let mut line = [0.0; TILE_COLUMNS];
            for (j, number) in line.iter_mut().enumerate() {
                let sum = sums[j].wrapping_sub(D::OFFSET.wrapping_mul(w_sums[j]));
                *number = sum as f32 * self.scales[row + i] * w_scales[j];
            }
            if width == TILE_COLUMNS {
                // A known length is what makes the loops of the finish SIMD.
                self.finish.apply::<S>(self.first + row + i, column, &mut line);
            } else {
                self.finish
                    .apply::<S>(self.first + row + i, column, &mut line[..width]);
            }
            out.copy_from_slice(&line[..width]);
        }
    }
}

impl Kernels {
    /// [`quantize`], compiled for these kernels.
    fn quantize<L: Level>(self, numbers: &[f32], levels: &mut [L]) -> f32 {
        let mut scale = 0.0;
        self.run(Quantize {
            numbers,
            levels,
            scale: &mut scale,
        });
        scale
    }
}

struct Quantize<'a, L> {
    numbers: &'a [f32],
    levels: &'a mut [L],
    scale: &'a mut f32,
}

impl<L: Level> Work for Quantize<'_, L> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        *self.scale = quantize(self.numbers, self.levels);
    }
}

/// A row as levels, and its scale: `numbers[i] ≈ scale · levels[i]`, off by half a scale at most. Levels beyond the numbers are 0. A row
/// that is not finite gets a scale that is not.
#[inline(always)]
fn quantize<L: Level>(numbers: &[f32], levels: &mut [L]) -> f32 {
    // Magnitudes are ordered as their bits are, with infinity and what is not a number above all.
    let mut largest = 0;
    for number in numbers {
        largest = largest.max(number.to_bits() & 0x7fff_ffff);
    }
    let largest = f32::from_bits(largest);
    // Below this, 127 over it is not finite; nothing that is so small counts.
    const SMALLEST: f32 = 1e-36;
    if !largest.is_finite() || largest < SMALLEST {
        levels.fill(L::of(0));
        return if largest.is_finite() { 0.0 } else { f32::NAN };
    }
    let inverse = LEVEL_MAX / largest;
    let (used, rest) = levels.split_at_mut(numbers.len());
    for (level, number) in used.iter_mut().zip(numbers) {
        // Adding 1.5 · 2²³ leaves the nearest integer in the low bits of the mantissa, ties to even.
        const ROUND: f32 = 12_582_912.0;
        let rounded = number * inverse + ROUND;
        *level = L::of((rounded.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32));
    }
    rest.fill(L::of(0));
    largest / LEVEL_MAX
}

#[cfg(test)]
mod tests;

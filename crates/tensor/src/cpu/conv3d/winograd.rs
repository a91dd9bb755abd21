//! Winograd's convolution, F(2×2, 3×3): 16 multiplications for four pixels of a 3×3 kernel, where the direct way takes 36.
//!
//! A frame falls into tiles of 2×2 output pixels, each of which sees 4×4 input pixels. Tiles and kernels are transformed to 16
//! positions, at each of which a convolution is a product of matrices, summed over channels *and* over the taps in time: a frame is
//! transformed once for all the output frames that see it. The sums are transformed back, 16 to 2×2.
//!
//! The three transforms are sums and differences (and halves), so that results differ from the direct way's by its own rounding and
//! little more. Larger tiles multiply less (F(4×4) 36 times for 16 pixels) but round several times worse; `docs/numerics.md` has both.
//!
//! Weights stay as stored. Those of one group of sixteen outputs, or of two, are transformed for all tiles of a task, which costs a few
//! hundredths of the products, where keeping them transformed would cost 16/9 of the memory of an `f32` weight and 32/9 of a 16-bit one.
//!
//! Where products are rounded, it is the transformed numbers that are, once.
//!
//! Reference: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, section 4.1.

use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

use super::Convolution;
use super::StoredLine;
use super::TASK_GROUPS;
use super::join;
use crate::cpu::Kernels;
use crate::cpu::scratch::Scratch;
use crate::cpu::simd::LANES;
use crate::cpu::simd::Line;
use crate::cpu::simd::Numbers;
use crate::cpu::simd::Place;
use crate::cpu::simd::Segment;
use crate::cpu::simd::Simd;
use crate::cpu::simd::TILE_COLUMNS;
use crate::cpu::simd::TILE_ROWS;
use crate::cpu::simd::Work;

/// Rows and columns of the output that a tile has.
const STEP: usize = 2;

/// Rows and columns of the input that a tile sees.
const SIDE: usize = 4;

/// Taps in space.
const TAPS: usize = 9;

/// Places of a transformed tile.
const POSITIONS: usize = SIDE * SIDE;

/// Output frames that a task computes at once at most; more would only be more memory.
const FRAMES_MAX: usize = 4;

/// Rows (tiles times output frames) of a task: each transformed weight is used that often, and transforming it costs as much as
/// multiplying with it a few times.
const TASK_ROWS: usize = 192;

/// Transformed pixels of a task: 2 MB, so that those of all threads stay in a third level of cache.
const TASK_FEATURES: usize = 1 << 19;

/// As many rows a task has even so.
const TASK_ROWS_MIN: usize = 36;

/// Below this many input channels transforming a tile costs more than it saves.
const INPUTS_MIN: usize = 16;

/// Below this many rows (tiles times output frames) transforming the weights costs more than it saves.
const ROWS_MIN: usize = 24;

/// Whether this is the quicker way to compute `conv`.
pub(super) fn suits(conv: &Convolution<'_>) -> bool {
    let geometry = conv.input.geometry;
    let rows = conv.frames * conv.rows.div_ceil(STEP) * conv.columns.div_ceil(STEP);
    geometry.kernel[1..] == [3, 3]
        && geometry.stride == [1, 1, 1]
        && geometry.inputs >= INPUTS_MIN
        && rows >= ROWS_MIN
}

/// Computes `conv`, which [`suits`], with products of `N`. `panels` are those of [`super::Packed`].
pub(super) fn run<P: StoredLine, N: Numbers>(kernels: Kernels, conv: &Convolution<'_>, panels: &[P]) {
    let depth = conv.input.geometry.inputs / N::PER_PLACE;
    let taps = conv.input.geometry.kernel[0];
    let groups = conv.outputs.div_ceil(TILE_COLUMNS);
    let tiles = conv.rows.div_ceil(STEP) * conv.columns.div_ceil(STEP);

    // Blocks of frames and strips of tiles, each as even as they come.
    let blocks = conv.frames.div_ceil(FRAMES_MAX);
    let frames = conv.frames.div_ceil(blocks);
    let tiles_max = (TASK_ROWS / frames)
        .min(TASK_FEATURES / (POSITIONS * (frames + taps - 1) * depth))
        .max(TASK_ROWS_MIN.div_ceil(frames));
    let strip = tiles
        .div_ceil(tiles.div_ceil(tiles_max))
        .next_multiple_of(TILE_ROWS);
    let strips = tiles.div_ceil(strip);
    // Where those are not work enough for all threads, groups of outputs are divided as well.
    let wanted = (4 * rayon::current_num_threads()).div_ceil(blocks * strips);
    let share = groups.div_ceil(wanted.min(groups)).next_multiple_of(TASK_GROUPS);
    let shares = groups.div_ceil(share);

    (0..blocks * strips * shares).into_par_iter().for_each(|task| {
        let part = |index: usize, size: usize, whole: usize| index * size..whole.min((index + 1) * size);
        kernels.run(Task {
            numbers: PhantomData::<N>,
            conv,
            panels,
            frames: part(task / shares / strips, frames, conv.frames),
            tiles: part(task / shares % strips, strip, tiles),
            groups: part(task % shares, share, groups),
        });
    });
}

/// Some tiles of some output frames, some groups of sixteen outputs of them.
struct Task<'a, P, N> {
    numbers: PhantomData<N>,
    conv: &'a Convolution<'a>,
    panels: &'a [P],
    frames: Range<usize>,
    tiles: Range<usize>,
    groups: Range<usize>,
}

impl<P: StoredLine, N: Numbers> Work for Task<'_, P, N> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self {
            numbers: _,
            conv,
            panels,
            frames,
            tiles,
            groups,
        } = self;
        let inputs = conv.input.geometry.inputs;
        let taps = conv.input.geometry.kernel[0];
        let depth = inputs / N::PER_PLACE;
        let panel = taps * depth;
        let height = tiles.len().next_multiple_of(TILE_ROWS);
        let at_once = S::at_once(groups.len());
        // Lines of a plane, there being one for each position: an odd number, or else what belongs to one tile or one kernel would
        // fall into a few sets of the cache and drive itself out.
        let features_plane = ((frames.len() + taps - 1) * height * depth).div_ceil(TILE_COLUMNS) | 1;
        let weights_plane = (at_once * panel) | 1;
        let sums_plane = (at_once * frames.len() * height) | 1;
        let mut scratch = Scratch::lend(POSITIONS * (features_plane + weights_plane + sums_plane));
        let (features, rest) = scratch.lines().split_at_mut(POSITIONS * features_plane);
        let (weights, rest) = rest.split_at_mut(POSITIONS * weights_plane);
        let sums = &mut rest[..POSITIONS * sums_plane];

        let seen: Vec<bool> = (frames.start..frames.end + taps - 1)
            .map(|frame| conv.input.frame(frame).is_some())
            .collect();
        for (i, frame) in (frames.start..frames.end + taps - 1).enumerate() {
            if seen[i] {
                for (j, tile) in tiles.clone().enumerate() {
                    let to = (i * height + j) * depth;
                    transform_tile::<S, N>(conv, frame, tile, features, features_plane, to);
                }
            }
        }

        let features = features.as_ptr().cast::<f32>();
        let mut segments = Vec::with_capacity(taps);
        let mut group = groups.start;
        while group < groups.end {
            let count = S::at_once(groups.end - group);
            for i in 0..count {
                let lines = TAPS * taps * inputs;
                let panels = &panels[(group + i) * lines..][..lines];
                transform_weights::<S, P, N>(panels, inputs, &mut weights[i * panel..], weights_plane);
            }
            for position in 0..POSITIONS {
                let features = features.wrapping_add(position * features_plane * TILE_COLUMNS);
                let weights = &weights[position * weights_plane..][..count * panel];
                let sums = &mut sums[position * sums_plane..][..sums_plane];
                // Frame after frame of the same six tiles: what one has read, the next reads again for the most part.
                for tile in (0..height).step_by(TILE_ROWS) {
                    for frame in 0..frames.len() {
                        segments.clear();
                        for (tap, lines) in weights[..panel].chunks_exact(depth).enumerate() {
                            if seen[frame + tap] {
                                let first = ((frame + tap) * height + tile) * depth;
                                segments.push(Segment {
                                    rows: std::array::from_fn(|i| features.wrapping_add(first + i * depth)),
                                    panel: lines.as_ptr(),
                                });
                            }
                        }
                        let row = (frame * height + tile) * count;
                        let place = Place {
                            start: sums[row..][..TILE_ROWS * count].as_mut_ptr().cast(),
                            stride: count * TILE_COLUMNS,
                        };
                        // SAFETY: rows lie within the plane of their position and are `depth` long, as are the panels, of which a second
                        // one is behind the first; the sums are lines of ours; the instructions are those of `Kernels::run`, and those
                        // for pairs were checked for.
                        unsafe { S::tiles::<N>(count, &segments, (depth, panel), place, None) };
                    }
                }
            }
            for (i, frame) in frames.clone().enumerate() {
                for (j, tile) in tiles.clone().enumerate() {
                    for panel in 0..count {
                        let row = (i * height + j) * count + panel;
                        restore_tile::<S>(conv, (frame, tile, group + panel), sums, sums_plane, row);
                    }
                }
            }
            group += count;
        }
    }
}

/// `Bᵀ · pixels · B` of what `tile` sees of padded frame `frame`: one number per position and channel, at place `to` of each plane.
#[inline(always)]
fn transform_tile<S: Simd, N: Numbers>(
    conv: &Convolution<'_>,
    frame: usize,
    tile: usize,
    features: &mut [Line],
    plane: usize,
    to: usize,
) {
    let inputs = conv.input.geometry.inputs;
    let across = conv.columns.div_ceil(STEP);
    let (top, left) = (tile / across * STEP, tile % across * STEP);
    let mut pixels = [[conv.zeros; SIDE]; SIDE];
    for (dy, pixels) in pixels.iter_mut().enumerate() {
        if let Some(row) = conv.input.row(frame, top + dy) {
            for (dx, pixel) in pixels.iter_mut().enumerate() {
                let x = (left + dx).wrapping_sub(conv.input.geometry.padding.left);
                if x < conv.input.columns {
                    *pixel = &row[x * inputs..(x + 1) * inputs];
                }
            }
        }
    }
    assert!(to + inputs / N::PER_PLACE <= plane * TILE_COLUMNS && POSITIONS * plane <= features.len());
    let features = features.as_mut_ptr().cast::<f32>().wrapping_add(to);
    let whole = inputs / LANES * LANES;
    for channel in (0..whole).step_by(LANES) {
        let mut square = [[S::zeros(); SIDE]; SIDE];
        for (numbers, pixels) in square.as_flattened_mut().iter_mut().zip(pixels.as_flattened()) {
            // SAFETY: a pixel is `inputs` long, and `channel + LANES` is within; the instructions are those of `Kernels::run`.
            *numbers = unsafe { S::load(pixels.as_ptr().add(channel)) };
        }
        enter::<S>(&mut square);
        for (position, numbers) in square.as_flattened().iter().enumerate() {
            // SAFETY: within the plane of its position, by the assertion.
            unsafe {
                let to = features.add(position * plane * TILE_COLUMNS + channel / N::PER_PLACE);
                N::put::<S>(*numbers, to);
            }
        }
    }
    let rest = inputs - whole;
    if rest > 0 {
        let mut numbers = [0.0; LANES];
        let mut square = [[S::zeros(); SIDE]; SIDE];
        for (lanes, pixels) in square.as_flattened_mut().iter_mut().zip(pixels.as_flattened()) {
            numbers[..rest].copy_from_slice(&pixels[whole..]);
            // SAFETY: the array has as many numbers; the instructions are those of `Kernels::run`.
            *lanes = unsafe { S::load(numbers.as_ptr()) };
        }
        enter::<S>(&mut square);
        for (position, lanes) in square.as_flattened().iter().enumerate() {
            // SAFETY: the array has as many numbers; what is copied of them is within the plane of its position, by the assertion.
            unsafe {
                N::put::<S>(*lanes, numbers.as_mut_ptr());
                let to = features.add(position * plane * TILE_COLUMNS + whole / N::PER_PLACE);
                to.copy_from_nonoverlapping(numbers.as_ptr(), rest / N::PER_PLACE);
            }
        }
    }
}

/// `G · kernel · Gᵀ` of sixteen outputs: from the lines of every tap to those of every position, which are in planes of so many lines.
#[inline(always)]
fn transform_weights<S: Simd, P: StoredLine, N: Numbers>(
    panel: &[P],
    inputs: usize,
    weights: &mut [Line],
    plane: usize,
) {
    let depth = inputs / N::PER_PLACE;
    for (tap, panel) in panel.chunks_exact(TAPS * inputs).enumerate() {
        for place in 0..depth {
            let first = transform_kernel::<S, P>(panel, inputs, place * N::PER_PLACE);
            let second = match N::PER_PLACE {
                1 => first,
                _ => transform_kernel::<S, P>(panel, inputs, place * N::PER_PLACE + 1),
            };
            for (position, (first, second)) in first.iter().zip(&second).enumerate() {
                weights[position * plane + tap * depth + place] = join::<N>(first, second);
            }
        }
    }
}

/// The same of one input.
#[inline(always)]
fn transform_kernel<S: Simd, P: StoredLine>(panel: &[P], inputs: usize, input: usize) -> [Line; POSITIONS] {
    let mut kernel = [Line::default(); TAPS];
    for (i, line) in kernel.iter_mut().enumerate() {
        *line = panel[i * inputs + input].widen();
    }
    let mut lines = [Line::default(); POSITIONS];
    for half in [0, LANES] {
        let mut square = [[S::zeros(); SIDE]; SIDE];
        for (i, line) in kernel.iter().enumerate() {
            // SAFETY: a line is twice as long; the instructions are those of `Kernels::run`.
            square[i / 3][i % 3] = unsafe { S::load(line.0.as_ptr().add(half)) };
        }
        weigh::<S>(&mut square);
        for (line, numbers) in lines.iter_mut().zip(square.as_flattened()) {
            // SAFETY: as above.
            unsafe { S::store(*numbers, line.0.as_mut_ptr().add(half)) };
        }
    }
    lines
}

/// `Aᵀ · sums · A` of row `row` of every position: the pixels of `tile` of output frame `frame`, sixteen outputs of each, finished.
#[inline(always)]
fn restore_tile<S: Simd>(
    conv: &Convolution<'_>,
    (frame, tile, group): (usize, usize, usize),
    sums: &[Line],
    plane: usize,
    row: usize,
) {
    let across = conv.columns.div_ceil(STEP);
    let (top, left) = (tile / across * STEP, tile % across * STEP);
    let mut pixels = [[Line::default(); STEP]; STEP];
    for half in [0, LANES] {
        let mut square = [[S::zeros(); SIDE]; SIDE];
        for (position, numbers) in square.as_flattened_mut().iter_mut().enumerate() {
            let line = &sums[position * plane + row];
            // SAFETY: a line is twice as long; the instructions are those of `Kernels::run`.
            *numbers = unsafe { S::load(line.0.as_ptr().add(half)) };
        }
        leave::<S>(&mut square);
        for (pixels, numbers) in pixels.iter_mut().zip(&square) {
            for (pixel, numbers) in pixels.iter_mut().zip(numbers) {
                // SAFETY: as above.
                unsafe { S::store(*numbers, pixel.0.as_mut_ptr().add(half)) };
            }
        }
    }
    let column = group * TILE_COLUMNS;
    let count = TILE_COLUMNS.min(conv.outputs - column);
    for (y, pixels) in (top..conv.rows).zip(&pixels) {
        for (x, pixel) in (left..conv.columns).zip(pixels) {
            let at = (frame * conv.rows + y) * conv.columns + x;
            // SAFETY: tasks differ in frames, tiles or outputs.
            let out = unsafe { conv.out.span(at, column, count) };
            // A known length is what makes the loops of the finish SIMD.
            if let Ok(out) = <&mut [f32; TILE_COLUMNS]>::try_from(&mut *out) {
                *out = pixel.0;
                conv.finish.apply::<S>(at, column, out);
            } else {
                out.copy_from_slice(&pixel.0[..count]);
                conv.finish.apply::<S>(at, column, out);
            }
        }
    }
}

// The matrices of the three transforms, along the columns and then along the rows of a square, in place. They are loops and not
// closures: a closure would be compiled without the instructions of the kernel around it.

/// `Bᵀ`: 4 numbers to 4.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // A column is no item of the square.
fn enter<S: Simd>(square: &mut [[S::Lanes; SIDE]; SIDE]) {
    for x in 0..SIDE {
        let [a, b, c, d] = [square[0][x], square[1][x], square[2][x], square[3][x]];
        square[0][x] = S::sub(a, c);
        square[1][x] = S::add(b, c);
        square[2][x] = S::sub(c, b);
        square[3][x] = S::sub(b, d);
    }
    for row in square {
        let [a, b, c, d] = *row;
        *row = [S::sub(a, c), S::add(b, c), S::sub(c, b), S::sub(b, d)];
    }
}

/// `G`: 3 numbers, the first of each column and row, to 4.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // A column is no item of the square.
fn weigh<S: Simd>(square: &mut [[S::Lanes; SIDE]; SIDE]) {
    for x in 0..3 {
        let [a, b, c] = [square[0][x], square[1][x], square[2][x]];
        let ends = S::add(a, c);
        square[1][x] = S::halve(S::add(ends, b));
        square[2][x] = S::halve(S::sub(ends, b));
        square[3][x] = c;
    }
    for row in square {
        let [a, b, c, _] = *row;
        let ends = S::add(a, c);
        *row = [a, S::halve(S::add(ends, b)), S::halve(S::sub(ends, b)), c];
    }
}

/// `Aᵀ`: 4 numbers to 2, the first of each column and row.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // A column is no item of the square.
fn leave<S: Simd>(square: &mut [[S::Lanes; SIDE]; SIDE]) {
    for x in 0..SIDE {
        let [a, b, c, d] = [square[0][x], square[1][x], square[2][x], square[3][x]];
        square[0][x] = S::add(S::add(a, b), c);
        square[1][x] = S::sub(S::sub(b, c), d);
    }
    for row in &mut square[..STEP] {
        let [a, b, c, d] = *row;
        row[0] = S::add(S::add(a, b), c);
        row[1] = S::sub(S::sub(b, c), d);
    }
}

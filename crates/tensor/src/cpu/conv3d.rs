//! Convolution over time and space, channels last: no im2col, no padded copy, past frames read where they are.
//!
//! The fast twin takes one of two ways: Winograd's where the kernel is 3×3 in space and there is enough to transform (`winograd`),
//! or the direct one, below, which treats six output pixels, wherever they are, as the rows of a product: each tap is a stretch
//! of it whose six rows start at the six pixels the tap sees (or at zeros, beyond the border). Taps that see nothing but zeros are
//! skipped: of the very first frame that is two thirds of the work. Both ways read the same panels of weights.
//!
//! Either way may round to bf16 what it multiplies: weights as they are brought into lines, pixels into [`Pairs`] of channels before the
//! direct way reads them, or as they are transformed. From there on a channel is a place, one number or two.

mod winograd;

use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

use half::bf16;
use half::f16;

use crate::cpu::Convolutions;
use crate::cpu::Kernels;
use crate::cpu::bf16::round;
use crate::cpu::epilogue::Finish;
use crate::cpu::math::Plain;
use crate::cpu::scratch::Output;
use crate::cpu::scratch::Part;
use crate::cpu::scratch::Scratch;
use crate::cpu::simd::Line;
use crate::cpu::simd::Numbers;
use crate::cpu::simd::Pairs;
use crate::cpu::simd::Segment;
use crate::cpu::simd::Simd;
use crate::cpu::simd::Singles;
use crate::cpu::simd::TILE_COLUMNS;
use crate::cpu::simd::TILE_ROWS;
use crate::cpu::simd::Work;
use crate::cpu::widen::Stored;
use crate::ops::Geometry;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::weight::Weight;
use crate::weight::WeightView;

/// Lines of weights used at a time: 192 kB, so that they stay in a 512 kB second level beside the pixels.
const PASS_LINES: usize = 3072;

/// Pixels of one task: their surroundings stay in the cache while the groups of outputs take turns.
const CHUNK_PIXELS: usize = 3072;

/// Groups of sixteen outputs of one task. It is even whatever the kernels, and tasks start where it divides, so that a group is
/// computed beside the same other one however work is divided.
const TASK_GROUPS: usize = 2;

/// Below this many input channels rounding gains nothing.
const ROUNDED_INPUTS_MIN: usize = 16;

/// The weight of a convolution as the twins want it.
pub(super) enum ConvWeight {
    /// As stored, for the naive twin.
    Stored(Weight),
    /// In panels, for the fast one.
    Packed(Packed),
}

/// For every 16 outputs, for every tap, for every input: 16 weights side by side, still in the type they were stored in.
pub(super) struct Packed {
    panels: Panels,
    /// As many zeros as there are inputs: what lies beyond the border.
    zeros: Vec<f32>,
}

enum Panels {
    F32(Vec<Line>),
    BF16(Vec<[bf16; TILE_COLUMNS]>),
    F16(Vec<[f16; TILE_COLUMNS]>),
}

/// The input of a convolution: frames, the frames before them, and zeros around.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    /// `[T, Y, X, C]`.
    x: &'a [f32],
    /// `[P, Y, X, C]`; empty without a past.
    past: &'a [f32],
    past_frames: usize,
    rows: usize,
    columns: usize,
    geometry: Geometry,
}

impl<'a> Input<'a> {
    pub(super) fn new(x: &'a Tensor, past: Option<&'a Tensor>, geometry: Geometry) -> Self {
        let [_, rows, columns, _] = *x.dims() else {
            unreachable!("the op checked the rank")
        };
        Self {
            x: x.host(),
            past: past.map_or(&[], Tensor::host),
            past_frames: past.map_or(0, |past| past.dims()[0]),
            rows,
            columns,
            geometry,
        }
    }

    /// Where row `y` of padded frame `t` starts, both counted with padding; `None` where it is all zeros.
    #[inline(always)]
    fn row(&self, t: usize, y: usize) -> Option<&'a [f32]> {
        let y = y
            .checked_sub(self.geometry.padding.top)
            .filter(|&y| y < self.rows)?;
        let line = self.columns * self.geometry.inputs;
        Some(&self.frame(t)?[y * line..(y + 1) * line])
    }

    /// Padded frame `t`, without the padding around it; `None` where it is all zeros.
    #[inline(always)]
    fn frame(&self, t: usize) -> Option<&'a [f32]> {
        let t = t + self.past_frames;
        let (frames, t) = match t.checked_sub(self.geometry.padding.before)? {
            t if t < self.past_frames => (self.past, t),
            t => (self.x, t - self.past_frames),
        };
        let frame = self.rows * self.columns * self.geometry.inputs;
        Some(&frames[t * frame..(t + 1) * frame])
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

/// The same, fast; where it `rounds`, in bf16 by kernels that multiply pairs ([`Kernels::rounds_conv3d`]).
pub(super) fn fast(
    (kernels, convolutions): (Kernels, Convolutions),
    input: &Input<'_>,
    weight: &Packed,
    rounds: bool,
    finish: &Finish<'_>,
    output: Shape,
    out: &mut [f32],
) {
    let [frames, rows, columns, outputs] = *output.dims() else {
        unreachable!("a convolution yields [T, Y, X, C]")
    };
    if out.is_empty() {
        return;
    }
    let [kt, ky, kx] = input.geometry.kernel;
    let taps: Vec<_> = taps(kt, ky, kx).collect();
    let conv = Convolution {
        input,
        zeros: &weight.zeros,
        taps: &taps,
        frames,
        rows,
        columns,
        outputs,
        finish,
        out: &Output::new(out, outputs),
    };
    let way = (kernels, convolutions, rounds);
    match &weight.panels {
        Panels::F32(panels) => conv.run(way, panels),
        Panels::BF16(panels) => conv.run(way, panels),
        Panels::F16(panels) => conv.run(way, panels),
    }
}

struct Convolution<'a> {
    input: &'a Input<'a>,
    zeros: &'a [f32],
    taps: &'a [(usize, usize, usize)],
    /// `T'`, `Y'` and `X'`.
    frames: usize,
    rows: usize,
    columns: usize,
    outputs: usize,
    finish: &'a Finish<'a>,
    out: &'a Output<'a>,
}

impl Convolution<'_> {
    /// Computes all of it, the way that `convolutions` says where the shape suits that, rounded or not.
    fn run<P: StoredLine>(
        &self,
        (kernels, convolutions, rounds): (Kernels, Convolutions, bool),
        panels: &[P],
    ) {
        let by_tiles = convolutions == Convolutions::Winograd && winograd::suits(self);
        match (by_tiles, rounds) {
            (true, false) => winograd::run::<P, Singles>(kernels, self, panels),
            (true, true) => winograd::run::<P, Pairs>(kernels, self, panels),
            (false, false) => self.run_direct::<P, Singles>(kernels, panels),
            (false, true) => {
                let rounded = [self.input.x, self.input.past].map(|numbers| {
                    let mut places = vec![0.0; numbers.len() / Pairs::PER_PLACE];
                    round(kernels, numbers, &mut places);
                    places
                });
                let mut input = Input {
                    x: &rounded[0],
                    past: &rounded[1],
                    ..*self.input
                };
                input.geometry.inputs /= Pairs::PER_PLACE;
                let conv = Convolution {
                    input: &input,
                    ..*self
                };
                conv.run_direct::<P, Pairs>(kernels, panels);
            }
        }
    }

    /// The input's channels are places of `N`.
    fn run_direct<P: StoredLine, N: Numbers>(&self, kernels: Kernels, panels: &[P]) {
        let pixels = self.frames * self.rows * self.columns;
        let groups = self.outputs.div_ceil(TILE_COLUMNS);
        let shares = groups.div_ceil(TASK_GROUPS);
        let wanted = pixels
            .div_ceil(CHUNK_PIXELS)
            .max((4 * rayon::current_num_threads()).div_ceil(shares));
        let chunk = pixels.div_ceil(wanted).max(60).next_multiple_of(TILE_ROWS);
        (0..shares * pixels.div_ceil(chunk))
            .into_par_iter()
            .for_each(|task| {
                let (first_group, first) = (task % shares * TASK_GROUPS, task / shares * chunk);
                kernels.run(Share {
                    numbers: PhantomData::<N>,
                    conv: self,
                    groups: first_group..groups.min(first_group + TASK_GROUPS),
                    pixels: first..pixels.min(first + chunk),
                    panels,
                });
            });
    }
}

/// A few groups of sixteen outputs of some pixels: what one task computes.
struct Share<'a, P, N> {
    numbers: PhantomData<N>,
    conv: &'a Convolution<'a>,
    groups: Range<usize>,
    pixels: Range<usize>,
    panels: &'a [P],
}

/// Sixteen weights as stored.
trait StoredLine: Copy + Send + Sync {
    /// The weights in `f32`.
    fn widen(&self) -> Line;

    /// Lines as they are, if they are stored as such.
    fn as_lines(stored: &[Self]) -> Option<&[Line]>;
}

impl StoredLine for Line {
    #[inline(always)]
    fn widen(&self) -> Line {
        *self
    }

    #[inline(always)]
    fn as_lines(stored: &[Self]) -> Option<&[Line]> {
        Some(stored)
    }
}

impl<W: Stored> StoredLine for [W; TILE_COLUMNS] {
    #[inline(always)]
    fn widen(&self) -> Line {
        let mut line = Line::default();
        for (wide, stored) in line.0.iter_mut().zip(self) {
            *wide = stored.widen();
        }
        line
    }

    #[inline(always)]
    fn as_lines(_: &[Self]) -> Option<&[Line]> {
        None
    }
}

/// A stretch of each of a few panels, as lines of places of `N`, and how many lines one is behind the other. They are `depth` lines as
/// stored, `stride` from one to the next, and stay where they are if they are what is wanted.
#[inline(always)]
fn lines<'a, P: StoredLine, N: Numbers>(
    panels: &'a [P],
    (depth, stride): (usize, usize),
    scratch: &'a mut [Line],
) -> (&'a [Line], usize) {
    if N::PER_PLACE == 1
        && let Some(lines) = P::as_lines(panels)
    {
        return (lines, stride);
    }
    let places = depth / N::PER_PLACE;
    for (panel, lines) in panels.chunks(stride).zip(scratch.chunks_exact_mut(places)) {
        for (line, stored) in lines.iter_mut().zip(panel.chunks_exact(N::PER_PLACE)) {
            *line = join::<N>(&stored[0].widen(), &stored[N::PER_PLACE - 1].widen());
        }
    }
    (scratch, places)
}

/// Weights of neighbouring inputs, or of one, as places of `N`.
#[inline(always)]
fn join<N: Numbers>(first: &Line, second: &Line) -> Line {
    let mut line = Line::default();
    for ((place, first), second) in line.0.iter_mut().zip(&first.0).zip(&second.0) {
        *place = N::join(*first, *second);
    }
    line
}

impl<P: StoredLine, N: Numbers> Work for Share<'_, P, N> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self {
            numbers: _,
            conv,
            groups,
            pixels,
            panels,
        } = self;
        let depth = conv.input.geometry.inputs;
        let stored = depth * N::PER_PLACE;
        let stride = conv.taps.len() * stored;
        let mut segments = Vec::with_capacity(conv.taps.len());
        let mut group = groups.start;
        while group < groups.end {
            let count = S::at_once(groups.end - group);
            let column = group * TILE_COLUMNS;
            let columns = (column, (count * TILE_COLUMNS).min(conv.outputs - column));
            let taps_per_pass = (PASS_LINES / count / depth.max(1)).max(1);
            let mut scratch = Scratch::lend(count * conv.taps.len().min(taps_per_pass) * depth);
            let mut from = 0;
            while from < conv.taps.len() {
                let to = conv.taps.len().min(from + taps_per_pass);
                let part = Part {
                    first: from == 0,
                    last: to == conv.taps.len(),
                };
                let stretch = (to - from) * stored;
                let panels = &panels[group * stride + from * stored..][..(count - 1) * stride + stretch];
                let (lines, stride) = lines::<P, N>(panels, (stretch, stride), scratch.lines());
                let mut pixel = pixels.start;
                while pixel < pixels.end {
                    let rows = (pixel, TILE_ROWS.min(pixels.end - pixel));
                    conv.collect(rows, from..to, lines, &mut segments);
                    // SAFETY: `collect` gives rows and panels of `depth` numbers and lines, behind which those of the second group are;
                    // tasks differ in pixels or in groups of outputs; the instructions are those of `Kernels::run`, which has checked
                    // for those of pairs.
                    unsafe {
                        conv.out
                            .tiles::<S, N>(&segments, (depth, stride), rows, columns, part, conv.finish);
                    };
                    pixel += TILE_ROWS;
                }
                from = to;
            }
            group += count;
        }
    }
}

impl Convolution<'_> {
    /// What the taps `taps` see of `count` output pixels from `first` on. `lines` are the weights of those taps, of which there may be
    /// more behind.
    #[inline(always)]
    fn collect(
        &self,
        (first, count): (usize, usize),
        taps: Range<usize>,
        lines: &[Line],
        segments: &mut Vec<Segment>,
    ) {
        let Geometry {
            inputs,
            stride,
            padding,
            ..
        } = self.input.geometry;
        // Pixels beyond the last repeat it; their sums are not stored.
        let mut places = [(0, 0, 0); TILE_ROWS];
        for (i, place) in places.iter_mut().enumerate() {
            let pixel = first + i.min(count - 1);
            let (line, x) = (pixel / self.columns, pixel % self.columns);
            *place = (
                line / self.rows * stride[0],
                line % self.rows * stride[1],
                x * stride[2],
            );
        }
        let [(t, y, left), .., (last_t, last_y, right)] = places;
        let are_neighbours = count == TILE_ROWS && (t, y) == (last_t, last_y);
        // Counted with padding, as places and taps are.
        let columns = padding.left..padding.left + self.input.columns;
        let (mut line, mut line_of) = (None, None);
        segments.clear();
        for (&(dt, dy, dx), panel) in self.taps[taps].iter().zip(lines.chunks_exact(inputs)) {
            let mut rows = [self.zeros.as_ptr(); TILE_ROWS];
            if are_neighbours && columns.contains(&(left + dx)) && columns.contains(&(right + dx)) {
                if line_of != Some((dt, dy)) {
                    (line, line_of) = (self.input.row(t + dt, y + dy), Some((dt, dy)));
                }
                let Some(line) = line else { continue };
                let seen =
                    &line[(left + dx - padding.left) * inputs..(right + dx - padding.left + 1) * inputs];
                for (i, row) in rows.iter_mut().enumerate() {
                    *row = seen.as_ptr().wrapping_add(i * stride[2] * inputs);
                }
            } else {
                let mut any = false;
                for (row, (t, y, x)) in rows.iter_mut().zip(places) {
                    if let Some(line) = self.input.row(t + dt, y + dy)
                        && columns.contains(&(x + dx))
                    {
                        *row = line[(x + dx - padding.left) * inputs..][..inputs].as_ptr();
                        any = true;
                    }
                }
                if !any {
                    continue;
                }
            }
            segments.push(Segment {
                rows,
                panel: panel.as_ptr(),
            });
        }
    }
}

impl Kernels {
    /// Whether these round what such a convolution multiplies, if they may.
    pub fn rounds_conv3d(self, geometry: &Geometry) -> bool {
        let inputs = geometry.inputs;
        self.multiply_pairs() && inputs.is_multiple_of(Pairs::PER_PLACE) && inputs >= ROUNDED_INPUTS_MIN
    }
}

impl Packed {
    /// Packs `weight` `[C_out, C_in, kt, ky, kx]`.
    pub(super) fn new(weight: &Weight, geometry: &Geometry) -> Self {
        let taps = geometry.kernel.iter().product();
        let panels = match weight.view() {
            WeightView::F32(w) => Panels::F32(pack(w, geometry, taps).into_iter().map(Line).collect()),
            WeightView::BF16(w) => Panels::BF16(pack(w, geometry, taps)),
            WeightView::F16(w) => Panels::F16(pack(w, geometry, taps)),
            WeightView::Blocks(_) => Panels::F32(
                pack(&weight.to_f32(), geometry, taps)
                    .into_iter()
                    .map(Line)
                    .collect(),
            ),
        };
        Self {
            panels,
            zeros: vec![0.0; geometry.inputs],
        }
    }
}

fn pack<W: Stored + Default>(weight: &[W], geometry: &Geometry, taps: usize) -> Vec<[W; TILE_COLUMNS]> {
    let Geometry { inputs, outputs, .. } = *geometry;
    let group = taps * inputs;
    let mut panels = vec![[W::default(); TILE_COLUMNS]; outputs.div_ceil(TILE_COLUMNS) * group];
    if group == 0 {
        return panels;
    }
    panels
        .par_chunks_exact_mut(group)
        .enumerate()
        .for_each(|(g, panel)| {
            let first = g * TILE_COLUMNS;
            for output in first..outputs.min(first + TILE_COLUMNS) {
                for input in 0..inputs {
                    for tap in 0..taps {
                        panel[tap * inputs + input][output - first] =
                            weight[(output * inputs + input) * taps + tap];
                    }
                }
            }
        });
    panels
}

fn taps(kt: usize, ky: usize, kx: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..kt).flat_map(move |t| (0..ky).flat_map(move |y| (0..kx).map(move |x| (t, y, x))))
}

//! Attention over slices: `q` `[Lq, N·d]`, `k` and `v` `[Lk, N·d]`, heads side by side in a row.

use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

use crate::cpu::Kernels;
use crate::cpu::math;
use crate::cpu::scratch::Output;
use crate::cpu::scratch::Scratch;
use crate::cpu::simd::Line;
use crate::cpu::simd::Numbers;
use crate::cpu::simd::Pairs;
use crate::cpu::simd::Place;
use crate::cpu::simd::SQUARE;
use crate::cpu::simd::Segment;
use crate::cpu::simd::Simd;
use crate::cpu::simd::Singles;
use crate::cpu::simd::Square;
use crate::cpu::simd::TILE_COLUMNS;
use crate::cpu::simd::TILE_ROWS;
use crate::cpu::simd::Work;
use crate::ops::Attention;
use crate::tensor::Tensor;

/// Queries of one task: eight tiles.
const QUERY_BLOCK: usize = 8 * TILE_ROWS;

/// Keys of one step at most.
const KEY_BLOCK_MAX: usize = 256;

/// Numbers of the keys of one step, and of the values: 128 kB each, so that both and the scores stay in a 512 kB second level.
const BLOCK_NUMBERS: usize = 32 * 1024;

/// Packed keys and values that exist at one time: 128 MB, or one head if that is more.
const PACKED_LINES_MAX: usize = 2 << 20;

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
    may_round: bool,
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
            may_round: attention.may_round,
        }
    }

    /// Where row `row` of head `head` starts and ends in `q`, `k`, `v` or the result.
    fn span(&self, row: usize, head: usize) -> Range<usize> {
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

/// The same, fast.
///
/// Keys and values of a few heads are packed into panels, then each task takes a block of queries of one head through all blocks of
/// keys: scores by tiles, softmax with a running maximum, weighted values by tiles. Scores live in scratch memory of one block by one
/// block. Exponentials are to the base of two, its logarithm folded into the scale.
pub(super) fn fast(kernels: Kernels, o: &Operands<'_>, out: &mut [f32]) {
    if out.is_empty() {
        return;
    }
    if o.may_round && kernels.multiply_pairs() && o.width.is_multiple_of(Pairs::PER_PLACE) {
        attend::<Pairs>(kernels, o, out);
    } else {
        attend::<Singles>(kernels, o, out);
    }
}

fn attend<N: Numbers>(kernels: Kernels, o: &Operands<'_>, out: &mut [f32]) {
    let keys_padded = o.keys.next_multiple_of(TILE_COLUMNS);
    let groups = o.width.div_ceil(TILE_COLUMNS);
    let key_lines = keys_padded / TILE_COLUMNS * o.width / N::PER_PLACE;
    let head_lines = key_lines + groups * keys_padded / N::PER_PLACE;
    let heads_at_once = (PACKED_LINES_MAX / head_lines).clamp(1, o.heads);
    let mut packed = Scratch::lend(heads_at_once * head_lines);
    let out = Output::new(out, o.heads * o.width);
    for first in (0..o.heads).step_by(heads_at_once) {
        let heads = heads_at_once.min(o.heads - first);
        let packed = &mut packed.lines()[..heads * head_lines];
        packed
            .par_chunks_exact_mut(head_lines)
            .enumerate()
            .for_each(|(head, lines)| {
                let (keys, values) = lines.split_at_mut(key_lines);
                kernels.run(Pack {
                    numbers: PhantomData::<N>,
                    o,
                    head: first + head,
                    keys,
                    values,
                    keys_padded,
                });
            });
        let blocks = o.queries.div_ceil(QUERY_BLOCK);
        (0..heads * blocks).into_par_iter().for_each(|task| {
            let (head, block) = (task / blocks, task % blocks);
            let (keys, values) = packed[head * head_lines..(head + 1) * head_lines].split_at(key_lines);
            let queries = block * QUERY_BLOCK..o.queries.min((block + 1) * QUERY_BLOCK);
            kernels.run(Block {
                numbers: PhantomData::<N>,
                o,
                head: first + head,
                queries,
                keys,
                values,
                keys_padded,
                out: &out,
            });
        });
    }
}

/// A block of queries of one head: what one task computes.
struct Block<'a, N> {
    numbers: PhantomData<N>,
    o: &'a Operands<'a>,
    head: usize,
    queries: Range<usize>,
    /// `[keys / 16][d]` lines of 16 keys; `d`, and the keys of the values, in places of [`Numbers`].
    keys: &'a [Line],
    /// `[d / 16][keys]` lines of 16 columns.
    values: &'a [Line],
    keys_padded: usize,
    out: &'a Output<'a>,
}

/// The memory of a task: scaled queries, scores, sums of values, all in rows of lines.
struct Desk<'a> {
    queries: &'a mut [Line],
    scores: &'a mut [Line],
    sums: &'a mut [Line],
    /// Per query: the highest score so far, the sum of weights, and what the last block's new maximum scaled them by.
    highest: [f32; QUERY_BLOCK],
    totals: [f32; QUERY_BLOCK],
    decay: [f32; QUERY_BLOCK],
}

impl<N: Numbers> Work for Block<'_, N> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let groups = self.o.width.div_ceil(TILE_COLUMNS);
        let query_lines = (self.o.width / N::PER_PLACE).div_ceil(TILE_COLUMNS);
        let block = (BLOCK_NUMBERS / (groups * TILE_COLUMNS))
            .next_multiple_of(TILE_COLUMNS)
            .clamp(32, KEY_BLOCK_MAX);
        let row_lines = block / TILE_COLUMNS;
        let mut scratch = Scratch::lend(QUERY_BLOCK * (query_lines + groups + row_lines));
        let (queries, rest) = scratch.lines().split_at_mut(QUERY_BLOCK * query_lines);
        let (sums, rest) = rest.split_at_mut(QUERY_BLOCK * groups);
        sums.fill(Line::default());
        let mut desk = Desk {
            queries,
            scores: &mut rest[..QUERY_BLOCK * row_lines],
            sums,
            highest: [f32::NEG_INFINITY; QUERY_BLOCK],
            totals: [0.0; QUERY_BLOCK],
            decay: [0.0; QUERY_BLOCK],
        };
        self.scale_queries(&mut desk, query_lines);
        let mut first = 0;
        while first < self.keys_padded {
            let keys = first..self.keys_padded.min(first + block);
            self.score::<S>(&mut desk, keys.clone(), query_lines, row_lines);
            self.soften::<S>(&mut desk, keys.clone(), row_lines);
            self.weigh::<S>(&mut desk, keys, groups, row_lines);
            first += block;
        }
        self.store(&desk, groups);
    }
}

impl<N: Numbers> Block<'_, N> {
    /// Queries times scale, in base two; rows beyond the last stay as they are, their sums are not stored.
    #[inline(always)]
    fn scale_queries(&self, desk: &mut Desk<'_>, query_lines: usize) {
        let scale = self.o.scale * std::f32::consts::LOG2_E;
        for (i, query) in self.queries.clone().enumerate() {
            let row = &self.o.q[self.o.span(query, self.head)];
            for (line, chunk) in desk.queries[i * query_lines..(i + 1) * query_lines]
                .iter_mut()
                .zip(row.chunks(TILE_COLUMNS * N::PER_PLACE))
            {
                for (to, from) in line.0.iter_mut().zip(chunk.chunks_exact(N::PER_PLACE)) {
                    *to = N::join(from[0] * scale, from[N::PER_PLACE - 1] * scale);
                }
            }
        }
        for line in &mut desk.queries[self.queries.len() * query_lines..] {
            *line = Line::default();
        }
    }

    /// Scores of the block's queries and `keys`.
    #[inline(always)]
    fn score<S: Simd>(&self, desk: &mut Desk<'_>, keys: Range<usize>, query_lines: usize, row_lines: usize) {
        let width = self.o.width / N::PER_PLACE;
        let (first, count) = (keys.start / TILE_COLUMNS, keys.len() / TILE_COLUMNS);
        let mut at = 0;
        while at < count {
            let panels = S::at_once(count - at);
            let panel = &self.keys[(first + at) * width..][..panels * width];
            let mut row = 0;
            while row < self.queries.len() {
                let mut rows = [panel.as_ptr().cast(); TILE_ROWS];
                for (i, pointer) in rows.iter_mut().enumerate() {
                    *pointer = desk.queries[(row + i) * query_lines..(row + i + 1) * query_lines]
                        .as_ptr()
                        .cast::<f32>();
                }
                let start = desk.scores[row * row_lines + at..].as_mut_ptr().cast();
                let place = Place {
                    start,
                    stride: row_lines * TILE_COLUMNS,
                };
                let segment = Segment {
                    rows,
                    panel: panel.as_ptr(),
                };
                // SAFETY: a row of queries has at least `width` numbers in its lines, a panel `width` lines; the desk has whole
                // tiles of rows, and is ours.
                unsafe { S::tiles::<N>(panels, &[segment], (width, width), place, None) };
                row += TILE_ROWS;
            }
            at += panels;
        }
    }

    /// Scores to weights, relative to the highest score so far.
    #[inline(always)]
    fn soften<S: Simd>(&self, desk: &mut Desk<'_>, keys: Range<usize>, row_lines: usize) {
        for i in 0..self.queries.len() {
            let scores = &mut desk.scores[i * row_lines..][..keys.len() / TILE_COLUMNS];
            self.add_biases::<S>(self.queries.start + i, keys.start, scores);
            let mut highest = [f32::NEG_INFINITY; TILE_COLUMNS];
            for line in scores.iter() {
                for (highest, score) in highest.iter_mut().zip(&line.0) {
                    *highest = if *score > *highest { *score } else { *highest };
                }
            }
            let mut top = desk.highest[i];
            for high in highest {
                top = top.max(high);
            }
            // Where every key so far is masked there is no maximum to subtract.
            let base = if top == f32::NEG_INFINITY { 0.0 } else { top };
            let mut total = [0.0; TILE_COLUMNS];
            for line in scores.iter_mut() {
                for (total, score) in total.iter_mut().zip(&mut line.0) {
                    *score = math::exp2::<S>(*score - base);
                    *total += *score;
                }
            }
            if N::PER_PLACE == 2 {
                join_neighbours(scores);
            }
            let decay = math::exp2::<S>(desk.highest[i] - base);
            let mut sum = 0.0;
            for total in total {
                sum += total;
            }
            desk.totals[i] = desk.totals[i] * decay + sum;
            (desk.highest[i], desk.decay[i]) = (top, decay);
        }
    }

    /// Adds both biases to a row of scores, and masks the keys that only fill the last panel.
    #[inline(always)]
    fn add_biases<S: Simd>(&self, query: usize, first: usize, scores: &mut [Line]) {
        let o = self.o;
        let real = o.keys.saturating_sub(first).min(scores.len() * TILE_COLUMNS);
        let relative = o.relative_bias.map(|bias| {
            let start = self.head * (o.queries + o.keys - 1) + first + o.queries - 1 - query;
            &bias[start..start + real]
        });
        let key = o.key_bias.map(|bias| &bias[first..first + real]);
        for bias in [relative, key].into_iter().flatten() {
            for (line, bias) in scores.iter_mut().zip(bias.chunks(TILE_COLUMNS)) {
                for (score, bias) in line.0.iter_mut().zip(bias) {
                    *score = S::mul_add(*bias, std::f32::consts::LOG2_E, *score);
                }
            }
        }
        if real < scores.len() * TILE_COLUMNS {
            for (j, score) in scores.iter_mut().flat_map(|line| &mut line.0).enumerate() {
                *score = if j < real { *score } else { f32::NEG_INFINITY };
            }
        }
    }

    /// Sums of values so far, scaled by the decay, plus the weighted values of `keys`.
    #[inline(always)]
    fn weigh<S: Simd>(&self, desk: &mut Desk<'_>, keys: Range<usize>, groups: usize, row_lines: usize) {
        let (stride, depth) = (self.keys_padded / N::PER_PLACE, keys.len() / N::PER_PLACE);
        let mut group = 0;
        while group < groups {
            let panels = S::at_once(groups - group);
            let panel = &self.values[group * stride + keys.start / N::PER_PLACE..];
            let panel = &panel[..(panels - 1) * stride + depth];
            let mut row = 0;
            while row < self.queries.len() {
                let mut rows = [panel.as_ptr().cast(); TILE_ROWS];
                for (i, pointer) in rows.iter_mut().enumerate() {
                    *pointer = desk.scores[(row + i) * row_lines..(row + i + 1) * row_lines]
                        .as_ptr()
                        .cast::<f32>();
                }
                let start = desk.sums[row * groups + group..].as_mut_ptr().cast();
                let place = Place {
                    start,
                    stride: groups * TILE_COLUMNS,
                };
                let decay = desk.decay[row..].first_chunk::<TILE_ROWS>();
                let segment = Segment {
                    rows,
                    panel: panel.as_ptr(),
                };
                // SAFETY: a row of scores has a number for every key of the block, a panel a line for each; the desk has whole
                // tiles of rows, and is ours.
                unsafe { S::tiles::<N>(panels, &[segment], (depth, stride), place, decay) };
                row += TILE_ROWS;
            }
            group += panels;
        }
    }

    #[inline(always)]
    fn store(&self, desk: &Desk<'_>, groups: usize) {
        let width = self.o.width;
        for (i, query) in self.queries.clone().enumerate() {
            // SAFETY: tasks differ in head or queries.
            let out = unsafe { self.out.span(query, self.head * width, width) };
            let total = desk.totals[i];
            for (line, out) in desk.sums[i * groups..].iter().zip(out.chunks_mut(TILE_COLUMNS)) {
                for (out, sum) in out.iter_mut().zip(&line.0) {
                    *out = sum / total;
                }
            }
        }
    }
}

/// Weights to [`Pairs`], in the first half of the lines they are in.
#[inline(always)]
fn join_neighbours(weights: &mut [Line]) {
    const HALF: usize = TILE_COLUMNS / 2;
    for i in 0..weights.len() {
        let (line, half) = (weights[i], i % 2 * HALF);
        for (j, to) in weights[i / 2].0[half..half + HALF].iter_mut().enumerate() {
            *to = Pairs::join(line.0[2 * j], line.0[2 * j + 1]);
        }
    }
}

/// Keys and values of one head into panels.
struct Pack<'a, N> {
    numbers: PhantomData<N>,
    o: &'a Operands<'a>,
    head: usize,
    keys: &'a mut [Line],
    values: &'a mut [Line],
    keys_padded: usize,
}

impl<N: Numbers> Work for Pack<'_, N> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self {
            numbers: _,
            o,
            head,
            keys,
            values,
            keys_padded,
        } = self;
        for (panel, lines) in keys.chunks_exact_mut(o.width / N::PER_PLACE).enumerate() {
            pack_keys::<S, N>(o, head, panel * TILE_COLUMNS, lines);
        }
        for (group, lines) in values.chunks_exact_mut(keys_padded / N::PER_PLACE).enumerate() {
            pack_values::<N>(o, head, group * TILE_COLUMNS, lines);
        }
    }
}

/// Sixteen keys from `first` on, turned over: `lines[column][key - first]`; zeros beyond the last key.
#[inline(always)]
fn pack_keys<S: Simd, N: Numbers>(o: &Operands<'_>, head: usize, first: usize, lines: &mut [Line]) {
    let whole = if first + TILE_COLUMNS <= o.keys {
        o.width / N::PER_PLACE / SQUARE * SQUARE
    } else {
        0
    };
    for column in (0..whole).step_by(SQUARE) {
        for half in [0, SQUARE] {
            let mut square = Square::default();
            for (key, row) in square.iter_mut().enumerate() {
                let start = o.span(first + half + key, head).start + column * N::PER_PLACE;
                let from = o.k[start..start + SQUARE * N::PER_PLACE].chunks_exact(N::PER_PLACE);
                for (to, from) in row.iter_mut().zip(from) {
                    *to = N::join(from[0], from[N::PER_PLACE - 1]);
                }
            }
            S::transpose(&mut square);
            for (line, row) in lines[column..column + SQUARE].iter_mut().zip(&square) {
                line.0[half..half + SQUARE].copy_from_slice(row);
            }
        }
    }
    for (column, line) in lines.iter_mut().enumerate().skip(whole) {
        *line = Line::default();
        for key in first..o.keys.min(first + TILE_COLUMNS) {
            let from = &o.k[o.span(key, head)][column * N::PER_PLACE..];
            line.0[key - first] = N::join(from[0], from[N::PER_PLACE - 1]);
        }
    }
}

/// Sixteen columns of all values from `first` on: `lines[key][column - first]`; zeros beyond the last column and key.
#[inline(always)]
fn pack_values<N: Numbers>(o: &Operands<'_>, head: usize, first: usize, lines: &mut [Line]) {
    let count = TILE_COLUMNS.min(o.width - first);
    const ZEROS: [f32; TILE_COLUMNS] = [0.0; TILE_COLUMNS];
    let value = |key| {
        if key < o.keys {
            &o.v[o.span(key, head)][first..first + count]
        } else {
            &ZEROS[..count]
        }
    };
    for (place, line) in lines.iter_mut().enumerate() {
        *line = Line::default();
        let key = place * N::PER_PLACE;
        let (one, other) = (value(key), value(key + N::PER_PLACE - 1));
        for ((to, one), other) in line.0.iter_mut().zip(one).zip(other) {
            *to = N::join(*one, *other);
        }
    }
}

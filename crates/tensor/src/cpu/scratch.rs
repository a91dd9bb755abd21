//! What fast kernels share: scratch memory that stays with its thread, and results that several threads write parts of.

use std::cell::Cell;
use std::marker::PhantomData;

use crate::cpu::epilogue::Finish;
use crate::cpu::simd::Line;
use crate::cpu::simd::Numbers;
use crate::cpu::simd::Place;
use crate::cpu::simd::Segment;
use crate::cpu::simd::Simd;
use crate::cpu::simd::TILE_COLUMNS;
use crate::cpu::simd::TILE_ROWS;

thread_local! {
    static LINES: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// A thread keeps no more than 64 MB.
const KEPT_LINES_MAX: usize = 1 << 20;

/// Scratch lines lent by this thread, of any content. (A guard and not a closure: a closure would be compiled without the
/// instructions of the kernel around it.)
pub(super) struct Scratch {
    lines: Vec<Line>,
}

impl Scratch {
    /// At least `count` lines.
    pub(super) fn lend(count: usize) -> Self {
        let mut lines = LINES.take();
        if lines.len() < count {
            lines.resize(count, Line::default());
        }
        Self { lines }
    }

    /// The lines.
    #[inline(always)]
    pub(super) fn lines(&mut self) -> &mut [Line] {
        &mut self.lines
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.lines.len() <= KEPT_LINES_MAX {
            LINES.set(std::mem::take(&mut self.lines));
        }
    }
}

/// A result of rows of `width` numbers whose parts several threads fill, no part twice.
pub(super) struct Output<'a> {
    start: *mut f32,
    len: usize,
    width: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: parts are handed out by `span` alone, whose callers promise that no two threads have the same one.
unsafe impl Sync for Output<'_> {}

/// Which part of a sum a tile is: the first overwrites what is there, the last is followed by the finish.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) first: bool,
    pub(super) last: bool,
}

impl<'a> Output<'a> {
    pub(super) fn new(out: &'a mut [f32], width: usize) -> Self {
        Self {
            start: out.as_mut_ptr(),
            len: out.len(),
            width,
            borrow: PhantomData,
        }
    }

    /// Where row `row` has its number `column`; not to be dereferenced without the promise of [`Output::span`].
    #[inline(always)]
    pub(super) fn place(&self, row: usize, column: usize) -> *mut f32 {
        self.start.wrapping_add(row * self.width + column)
    }

    /// `count` numbers of row `row` from `column` on.
    ///
    /// # Safety
    /// No one else has any of them while the result lives.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)] // The point of the type; the promise above is what makes it sound.
    pub(super) unsafe fn span(&self, row: usize, column: usize, count: usize) -> &mut [f32] {
        let start = row * self.width + column;
        assert!(start + count <= self.len);
        // SAFETY: within the slice by the assertion, exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), count) }
    }

    /// Computes one tile or two beside each other, as many as `columns` columns need, of which the first `rows` rows go to `row`, `column`.
    /// The panels of a second one are `stride` lines behind those of the first.
    ///
    /// # Safety
    /// No one else has any of those numbers at this time; segments, depth and stride are as [`Simd::tiles`] asks for, as is the number of tiles.
    #[inline(always)]
    pub(super) unsafe fn tiles<S: Simd, N: Numbers>(
        &self,
        segments: &[Segment],
        (depth, stride): (usize, usize),
        (row, rows): (usize, usize),
        (column, columns): (usize, usize),
        part: Part,
        finish: &Finish<'_>,
    ) {
        let count = columns.div_ceil(TILE_COLUMNS);
        if rows == TILE_ROWS && columns.is_multiple_of(TILE_COLUMNS) {
            assert!((row + rows - 1) * self.width + column + columns <= self.len);
            let place = Place {
                start: self.place(row, column),
                stride: self.width,
            };
            let decay = if part.first { None } else { Some(&[1.0; TILE_ROWS]) };
            // SAFETY: the caller's promise, and the whole tiles are within the result by the assertion.
            unsafe {
                S::tiles::<N>(count, segments, (depth, stride), place, decay);
                for tile in 0..count {
                    self.finish::<S>(row, column + tile * TILE_COLUMNS, part, finish);
                }
            }
            return;
        }
        let mut tiles = [[Line::default(); 2]; TILE_ROWS];
        let place = Place {
            start: tiles.as_mut_ptr().cast(),
            stride: 2 * TILE_COLUMNS,
        };
        // SAFETY: the caller's promise, and the tiles are ours.
        unsafe { S::tiles::<N>(count, segments, (depth, stride), place, None) };
        for (i, lines) in tiles[..rows].iter().enumerate() {
            // SAFETY: the caller's promise.
            let out = unsafe { self.span(row + i, column, columns) };
            for (out, line) in out.chunks_mut(TILE_COLUMNS).zip(lines) {
                for (out, sum) in out.iter_mut().zip(&line.0) {
                    *out = if part.first { *sum } else { *out + sum };
                }
            }
            if part.last {
                finish.apply::<S>(row + i, column, out);
            }
        }
    }

    /// Takes a whole tile through the finish, if it has its last part.
    ///
    /// # Safety
    /// As [`Output::tiles`].
    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, row: usize, column: usize, part: Part, finish: &Finish<'_>) {
        if !part.last || !finish.changes() {
            return;
        }
        for row in row..row + TILE_ROWS {
            // SAFETY: the caller's promise.
            let out = unsafe { self.span(row, column, TILE_COLUMNS) };
            // A known length is what makes the loops of the finish SIMD.
            let out = <&mut [f32; TILE_COLUMNS]>::try_from(out).expect("a span of that many columns");
            finish.apply::<S>(row, column, out);
        }
    }
}

//! What fast kernels share: scratch memory that stays with its thread, and results that several threads write parts of.

use std::cell::Cell;
use std::marker::PhantomData;

use crate::cpu::epilogue::Finish;
use crate::cpu::math::Arith;
use crate::cpu::simd::Line;
use crate::cpu::simd::TILE_COLUMNS;
use crate::cpu::simd::Tile;

thread_local! {
    static LINES: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

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
        LINES.set(std::mem::take(&mut self.lines));
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

    /// Where row `row` has its number `column`; not to be read through.
    #[inline(always)]
    pub(super) fn place(&self, row: usize, column: usize) -> *const f32 {
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

    /// Writes the first `rows` rows and `columns` columns of a tile to `row`, `column`.
    ///
    /// # Safety
    /// No one else has any of those numbers at this time.
    #[inline(always)]
    pub(super) unsafe fn store<A: Arith>(
        &self,
        tile: &Tile,
        (row, rows): (usize, usize),
        (column, columns): (usize, usize),
        part: Part,
        finish: &Finish<'_>,
    ) {
        for (i, line) in tile[..rows].iter().enumerate() {
            // SAFETY: the caller's promise.
            let out = unsafe { self.span(row + i, column, columns) };
            // Whole lines are the rule, and known lengths are what makes these loops SIMD.
            if let Ok(out) = <&mut [f32; TILE_COLUMNS]>::try_from(&mut *out) {
                put::<A>(&line.0, out, row + i, column, part, finish);
            } else {
                put::<A>(&line.0[..columns], out, row + i, column, part, finish);
            }
        }
    }
}

#[inline(always)]
fn put<A: Arith>(sums: &[f32], out: &mut [f32], row: usize, column: usize, part: Part, finish: &Finish<'_>) {
    if part.first {
        out.copy_from_slice(sums);
    } else {
        for (out, sum) in out.iter_mut().zip(sums) {
            *out += sum;
        }
    }
    if part.last {
        finish.apply::<A>(row, column, out);
    }
}

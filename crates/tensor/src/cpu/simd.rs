//! What the fast kernels are made of: run-time dispatch ([`Work`]) and the one loop where nearly all time goes ([`Simd::tile`]).
//!
//! A tile is 6 rows by 16 columns of a product: 12 AVX2 registers of sums, which leaves room for two of a panel and one of the
//! rows; on NEON it is 24 of 32. A machine with other registers (AVX-512) is one more implementation of [`Simd`].

use crate::cpu::Kernels;
use crate::cpu::math::Arith;
use crate::cpu::math::Plain;

/// Rows of a tile.
pub(super) const TILE_ROWS: usize = 6;

/// Columns of a tile, and numbers in a [`Line`].
pub(super) const TILE_COLUMNS: usize = 16;

/// Numbers in [`Simd::Lanes`].
pub(super) const LANES: usize = 8;

/// Sixteen neighbours of a packed panel, in one cache line.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [f32; TILE_COLUMNS]);

/// The sums of a tile, where there is no other place for them.
pub(super) type Tile = [Line; TILE_ROWS];

/// Where a tile goes: row `i` of it `i · stride` numbers behind the start.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) start: *mut f32,
    pub(super) stride: usize,
}

/// A stretch of a product: six rows of `depth` numbers each, times a panel of `depth` lines.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    pub(super) rows: [*const f32; TILE_ROWS],
    pub(super) panel: *const Line,
}

/// A set of instructions to compute with.
pub(super) trait Simd: Arith {
    /// Eight numbers side by side.
    type Lanes: Copy;

    /// Eight zeros.
    fn zeros() -> Self::Lanes;

    /// The numbers from `from` on.
    ///
    /// # Safety
    /// Eight numbers can be read there; the machine runs the instructions.
    unsafe fn load(from: *const f32) -> Self::Lanes;

    /// Puts the numbers to `to`.
    ///
    /// # Safety
    /// Eight numbers can be written there, and no one else has them; the machine runs the instructions.
    unsafe fn store(numbers: Self::Lanes, to: *mut f32);

    /// `a + b`.
    fn add(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;

    /// `a − b`.
    fn sub(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;

    /// `a / 2`.
    fn halve(a: Self::Lanes) -> Self::Lanes;

    /// `place[i][j] = Σ over segments Σₖ rows[i][k] · panel[k][j]`, plus `decay[i]` times what was there, if that is asked for.
    ///
    /// # Safety
    /// Every row of every segment points to `depth` readable numbers, every panel to `depth` readable lines; no one else has the
    /// numbers of `place`; the machine runs the instructions.
    unsafe fn tile(segments: &[Segment], depth: usize, place: Place, decay: Option<&[f32; TILE_ROWS]>);

    /// `block[i][j]` and `block[j][i]` change places.
    #[inline(always)]
    fn transpose(block: &mut Square) {
        let rows = *block;
        for (i, row) in rows.iter().enumerate() {
            for (line, number) in block.iter_mut().zip(row) {
                line[i] = *number;
            }
        }
    }

    /// Has the memory at `place` brought near, for it will be asked for soon. A hint; any place will do.
    #[inline(always)]
    fn fetch(place: *const f32) {
        let _ = place;
    }
}

/// The side of a [`Square`].
pub(super) const SQUARE: usize = 8;

/// What [`Simd::transpose`] turns over.
pub(super) type Square = [[f32; SQUARE]; SQUARE];

/// A piece of work that is compiled once for each set of instructions. Implementations of `run`, and what they call in inner loops,
/// are `#[inline(always)]`: that is how they come to be compiled for the instructions.
pub(super) trait Work {
    fn run<S: Simd>(self);
}

/// Portable Rust.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Arith for Portable {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        Plain::mul_add(a, b, c)
    }
}

impl Simd for Portable {
    type Lanes = [f32; LANES];

    #[inline(always)]
    fn zeros() -> Self::Lanes {
        [0.0; LANES]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Lanes {
        // SAFETY: the caller's promise; arrays of numbers need no alignment beyond that of a number.
        unsafe { *from.cast() }
    }

    #[inline(always)]
    unsafe fn store(numbers: Self::Lanes, to: *mut f32) {
        // SAFETY: as above.
        unsafe { *to.cast() = numbers }
    }

    #[inline(always)]
    fn add(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        std::array::from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        std::array::from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn halve(a: Self::Lanes) -> Self::Lanes {
        a.map(|a| 0.5 * a)
    }

    unsafe fn tile(segments: &[Segment], depth: usize, place: Place, decay: Option<&[f32; TILE_ROWS]>) {
        for i in 0..TILE_ROWS {
            // SAFETY: the caller's promise.
            let out = unsafe { &mut *place.start.add(i * place.stride).cast::<[f32; TILE_COLUMNS]>() };
            let mut sums = [0.0; TILE_COLUMNS];
            for segment in segments {
                // SAFETY: the caller's promise.
                let (row, panel) = unsafe {
                    (
                        std::slice::from_raw_parts(segment.rows[i], depth),
                        std::slice::from_raw_parts(segment.panel, depth),
                    )
                };
                for (&a, b) in row.iter().zip(panel) {
                    for (sum, b) in sums.iter_mut().zip(&b.0) {
                        *sum += a * b;
                    }
                }
            }
            if let Some(decay) = decay {
                for (sum, out) in sums.iter_mut().zip(&*out) {
                    *sum += decay[i] * out;
                }
            }
            *out = sums;
        }
    }
}

impl Kernels {
    /// Runs `work` compiled for these kernels.
    pub(super) fn run<W: Work>(self, work: W) {
        match self {
            Kernels::Naive | Kernels::Portable => work.run::<Portable>(),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Cpu::new` has checked that this machine has the features.
            Kernels::Avx2 => unsafe { x86::run_avx2(work) },
            #[cfg(not(target_arch = "x86_64"))]
            Kernels::Avx2 => unreachable!("`Cpu::new` refuses kernels that the machine does not run"),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::*;

    /// AVX2 and FMA.
    #[derive(Clone, Copy)]
    struct Avx2;

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn run_avx2<W: Work>(work: W) {
        work.run::<Avx2>();
    }

    impl Arith for Avx2 {
        #[inline(always)]
        fn mul_add(a: f32, b: f32, c: f32) -> f32 {
            a.mul_add(b, c)
        }
    }

    // In the methods on lanes: code generic over `Simd` runs as `Avx2` below `run_avx2` alone, which has the instructions.
    impl Simd for Avx2 {
        type Lanes = __m256;

        #[inline(always)]
        fn zeros() -> __m256 {
            // SAFETY: see above.
            unsafe { _mm256_setzero_ps() }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m256 {
            // SAFETY: the caller's promise.
            unsafe { _mm256_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(numbers: __m256, to: *mut f32) {
            // SAFETY: the caller's promise.
            unsafe { _mm256_storeu_ps(to, numbers) }
        }

        #[inline(always)]
        fn add(a: __m256, b: __m256) -> __m256 {
            // SAFETY: see above.
            unsafe { _mm256_add_ps(a, b) }
        }

        #[inline(always)]
        fn sub(a: __m256, b: __m256) -> __m256 {
            // SAFETY: see above.
            unsafe { _mm256_sub_ps(a, b) }
        }

        #[inline(always)]
        fn halve(a: __m256) -> __m256 {
            // SAFETY: see above.
            unsafe { _mm256_mul_ps(a, _mm256_set1_ps(0.5)) }
        }

        #[inline(always)]
        unsafe fn tile(segments: &[Segment], depth: usize, place: Place, decay: Option<&[f32; TILE_ROWS]>) {
            // SAFETY: the caller's promise, passed on.
            unsafe { tile_avx2(segments, depth, place, decay) }
        }

        #[inline(always)]
        fn transpose(block: &mut Square) {
            // SAFETY: code generic over `Simd` runs as `Avx2` below `run_avx2` alone.
            unsafe { transpose_avx2(block) }
        }

        #[inline(always)]
        fn fetch(place: *const f32) {
            // SAFETY: a prefetch reads nothing and never faults.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) }
        }
    }

    /// # Safety
    /// As [`Simd::tile`].
    #[target_feature(enable = "avx2,fma")]
    unsafe fn tile_avx2(segments: &[Segment], depth: usize, place: Place, decay: Option<&[f32; TILE_ROWS]>) {
        let mut sums = [[_mm256_setzero_ps(); 2]; TILE_ROWS];
        for segment in segments {
            let rows = segment.rows;
            let mut panel = segment.panel.cast::<f32>();
            let mut k = 0;
            // Two steps at a time: less counting between the multiplications.
            while k + 2 <= depth {
                // SAFETY: k + 1 < depth, and the caller promises depth numbers and lines.
                unsafe {
                    step(&rows, k, panel, &mut sums);
                    step(&rows, k + 1, panel.add(TILE_COLUMNS), &mut sums);
                    panel = panel.add(2 * TILE_COLUMNS);
                }
                k += 2;
            }
            if k < depth {
                // SAFETY: as above.
                unsafe { step(&rows, k, panel, &mut sums) };
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            // SAFETY: the caller promises sixteen numbers in every row of the place.
            unsafe {
                let out = place.start.add(i * place.stride);
                let [mut left, mut right] = *sums;
                if let Some(decay) = decay {
                    let decay = _mm256_broadcast_ss(&decay[i]);
                    left = _mm256_fmadd_ps(decay, _mm256_loadu_ps(out), left);
                    right = _mm256_fmadd_ps(decay, _mm256_loadu_ps(out.add(8)), right);
                }
                _mm256_storeu_ps(out, left);
                _mm256_storeu_ps(out.add(8), right);
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn transpose_avx2(block: &mut Square) {
        // SAFETY: each row is eight numbers.
        let rows = block
            .each_ref()
            .map(|row| unsafe { _mm256_loadu_ps(row.as_ptr()) });
        // Pairs of numbers, then pairs of pairs, then halves.
        let mut pairs = rows;
        for i in (0..8).step_by(2) {
            pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
            pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
        }
        let mut fours = pairs;
        for i in [0, 4] {
            fours[i] = _mm256_shuffle_ps::<0b01_00_01_00>(pairs[i], pairs[i + 2]);
            fours[i + 1] = _mm256_shuffle_ps::<0b11_10_11_10>(pairs[i], pairs[i + 2]);
            fours[i + 2] = _mm256_shuffle_ps::<0b01_00_01_00>(pairs[i + 1], pairs[i + 3]);
            fours[i + 3] = _mm256_shuffle_ps::<0b11_10_11_10>(pairs[i + 1], pairs[i + 3]);
        }
        for i in 0..4 {
            let upper = _mm256_permute2f128_ps::<0x20>(fours[i], fours[i + 4]);
            let lower = _mm256_permute2f128_ps::<0x31>(fours[i], fours[i + 4]);
            // SAFETY: each row is eight numbers.
            unsafe {
                _mm256_storeu_ps(block[i].as_mut_ptr(), upper);
                _mm256_storeu_ps(block[i + 4].as_mut_ptr(), lower);
            }
        }
    }

    /// One column of the rows times one line of the panel.
    ///
    /// # Safety
    /// Every row has a number at `k`; `panel` points to a line.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn step(
        rows: &[*const f32; TILE_ROWS],
        k: usize,
        panel: *const f32,
        sums: &mut [[__m256; 2]; TILE_ROWS],
    ) {
        // SAFETY: the caller's promise.
        let (left, right) = unsafe { (_mm256_load_ps(panel), _mm256_load_ps(panel.add(8))) };
        for (sums, row) in sums.iter_mut().zip(rows) {
            // SAFETY: the caller's promise.
            let a = unsafe { _mm256_broadcast_ss(&*row.add(k)) };
            sums[0] = _mm256_fmadd_ps(a, left, sums[0]);
            sums[1] = _mm256_fmadd_ps(a, right, sums[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Squares full of different numbers.
    struct TurnOver;

    impl Work for TurnOver {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let square: Square = std::array::from_fn(|i| std::array::from_fn(|j| (10 * i + j) as f32));
            let mut turned = square;
            S::transpose(&mut turned);
            for (i, row) in square.iter().enumerate() {
                for (j, number) in row.iter().enumerate() {
                    assert_eq!(turned[j][i], *number, "{i}, {j}");
                }
            }
        }
    }

    #[test]
    fn squares_are_turned_over() {
        for kernels in [Kernels::Portable, Kernels::Avx2] {
            if kernels.available() {
                kernels.run(TurnOver);
            }
        }
    }
}

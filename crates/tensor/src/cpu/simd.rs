//! What the fast kernels are made of: run-time dispatch ([`Work`]) and the one loop where nearly all time goes ([`Simd::tile`]).
//!
//! A tile is 6 rows by 16 columns of a product: 12 AVX2 registers of sums, which leaves room for two of a panel and one of the
//! rows; on NEON it is 24 of 32, and with AVX-512 six, twice. A machine with other registers is one more implementation of [`Simd`].

use crate::cpu::Kernels;
use crate::cpu::math::Arith;
use crate::cpu::math::Plain;
use crate::cpu::widen::Stored;
use crate::cpu::widen::narrow;

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

    /// `place[i][j] = Σ over segments Σₖ rows[i][k] · panel[k][j]`, plus `decay[i]` times what was there, if that is asked for. A number of
    /// rows and panels is what `N` makes of it.
    ///
    /// # Safety
    /// Every row of every segment points to `depth` readable numbers, every panel to `depth` readable lines; no one else has the
    /// numbers of `place`; the machine runs the instructions, those for `N` too ([`Kernels::multiply_pairs`]).
    unsafe fn tile<N: Numbers>(
        segments: &[Segment],
        depth: usize,
        place: Place,
        decay: Option<&[f32; TILE_ROWS]>,
    );

    /// Whether [`Simd::tile_two`] is the faster way.
    const HAS_TWO: bool = false;

    /// Two tiles side by side: [`Simd::tile`] of the panels and of those `stride` lines behind them, to 32 columns of `place`.
    ///
    /// # Safety
    /// As [`Simd::tile`], for both panels and all columns; and [`Simd::HAS_TWO`].
    unsafe fn tile_two<N: Numbers>(
        segments: &[Segment],
        depth: usize,
        stride: usize,
        place: Place,
        decay: Option<&[f32; TILE_ROWS]>,
    ) {
        let _ = (segments, depth, stride, place, decay);
        unreachable!("one tile at a time is the faster way here");
    }

    /// How many tiles beside each other are computed at once where so many are left: one or two.
    #[inline(always)]
    fn at_once(left: usize) -> usize {
        if Self::HAS_TWO && left >= 2 { 2 } else { 1 }
    }

    /// As many tiles as [`Simd::at_once`] says, by [`Simd::tile`] or [`Simd::tile_two`].
    ///
    /// # Safety
    /// As theirs.
    #[inline(always)]
    unsafe fn tiles<N: Numbers>(
        count: usize,
        segments: &[Segment],
        (depth, stride): (usize, usize),
        place: Place,
        decay: Option<&[f32; TILE_ROWS]>,
    ) {
        // SAFETY: the caller's promise, passed on.
        unsafe {
            match count {
                1 => Self::tile::<N>(segments, depth, place, decay),
                _ => Self::tile_two::<N>(segments, depth, stride, place, decay),
            }
        }
    }

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

/// What lies where a number of a row or a panel is.
pub(super) trait Numbers: Send + Sync {
    /// How many neighbours along `k`.
    const PER_PLACE: usize;

    /// What lies there: the first of its neighbours where there is one, both where there are two.
    fn join(first: f32, second: f32) -> f32;

    /// The neighbours; zero for one that is not there.
    fn split(place: f32) -> [f32; 2];

    /// Puts eight neighbours to the places from `to` on.
    ///
    /// # Safety
    /// As [`Simd::store`], of as many places as they take.
    unsafe fn put<S: Simd>(numbers: S::Lanes, to: *mut f32);
}

/// A number.
pub(super) struct Singles;

/// Two numbers in bf16, the first in the lower half of the bits.
pub(super) struct Pairs;

impl Numbers for Singles {
    const PER_PLACE: usize = 1;

    #[inline(always)]
    fn join(first: f32, _: f32) -> f32 {
        first
    }

    #[inline(always)]
    fn split(place: f32) -> [f32; 2] {
        [place, 0.0]
    }

    #[inline(always)]
    unsafe fn put<S: Simd>(numbers: S::Lanes, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { S::store(numbers, to) }
    }
}

impl Numbers for Pairs {
    const PER_PLACE: usize = 2;

    #[inline(always)]
    fn join(first: f32, second: f32) -> f32 {
        [narrow(first), narrow(second)].widen()
    }

    #[inline(always)]
    fn split(place: f32) -> [f32; 2] {
        let bits = place.to_bits();
        [f32::from_bits(bits << 16), f32::from_bits(bits & 0xffff_0000)]
    }

    #[inline(always)]
    unsafe fn put<S: Simd>(numbers: S::Lanes, to: *mut f32) {
        let mut neighbours = [0.0; LANES];
        let mut places = [0.0; LANES / 2];
        // SAFETY: the array is of eight numbers; else the caller's promise.
        unsafe {
            S::store(numbers, neighbours.as_mut_ptr());
            for (place, pair) in places.iter_mut().zip(neighbours.as_chunks::<2>().0) {
                *place = Self::join(pair[0], pair[1]);
            }
            to.cast::<[f32; LANES / 2]>().write(places);
        }
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

    unsafe fn tile<N: Numbers>(
        segments: &[Segment],
        depth: usize,
        place: Place,
        decay: Option<&[f32; TILE_ROWS]>,
    ) {
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
                    let a = N::split(a);
                    for (sum, b) in sums.iter_mut().zip(&b.0) {
                        let b = N::split(*b);
                        for (a, b) in a.iter().zip(&b).take(N::PER_PLACE) {
                            *sum += a * b;
                        }
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
    /// Whether these kernels multiply pairs of bf16, faster than numbers: whether [`crate::Linear::bf16`] and [`crate::Conv3d::bf16`] round.
    pub fn multiply_pairs(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx512 => is_x86_feature_detected!("avx512bf16"),
            _ => false,
        }
    }

    /// Runs `work` compiled for these kernels.
    pub(super) fn run<W: Work>(self, work: W) {
        match self {
            Kernels::Naive | Kernels::Portable => work.run::<Portable>(),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Cpu::new` has checked that this machine has the features.
            Kernels::Avx2 => unsafe { x86::run_avx2(work) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Kernels::Avx512 => unsafe { x86::run_avx512(work) },
            #[cfg(not(target_arch = "x86_64"))]
            Kernels::Avx2 | Kernels::Avx512 => {
                unreachable!("`Cpu::new` refuses kernels that the machine does not run")
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::*;

    /// AVX2 and FMA; where `WIDE`, AVX-512 beside them.
    #[derive(Clone, Copy)]
    struct X86<const WIDE: bool>;

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn run_avx2<W: Work>(work: W) {
        work.run::<X86<false>>();
    }

    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) fn run_avx512<W: Work>(work: W) {
        work.run::<X86<true>>();
    }

    impl<const WIDE: bool> Arith for X86<WIDE> {
        #[inline(always)]
        fn mul_add(a: f32, b: f32, c: f32) -> f32 {
            a.mul_add(b, c)
        }
    }

    // In the methods on lanes: code generic over `Simd` runs as `X86` below the two functions above alone, which have the instructions.
    impl<const WIDE: bool> Simd for X86<WIDE> {
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
        unsafe fn tile<N: Numbers>(
            segments: &[Segment],
            depth: usize,
            place: Place,
            decay: Option<&[f32; TILE_ROWS]>,
        ) {
            // SAFETY: the caller's promise, passed on.
            unsafe {
                match (WIDE, N::PER_PLACE) {
                    (false, 1) => tile_avx2(segments, depth, place, decay),
                    (true, 1) => tile_avx512(segments, depth, place, decay),
                    (true, _) => tile_pairs_avx512(segments, depth, place, decay),
                    (false, _) => unreachable!("`multiply_pairs` says no"),
                }
            }
        }

        const HAS_TWO: bool = WIDE;

        #[inline(always)]
        unsafe fn tile_two<N: Numbers>(
            segments: &[Segment],
            depth: usize,
            stride: usize,
            place: Place,
            decay: Option<&[f32; TILE_ROWS]>,
        ) {
            // SAFETY: the caller's promise, passed on.
            unsafe {
                match N::PER_PLACE {
                    1 => tile_two_avx512(segments, depth, stride, place, decay),
                    _ => tile_two_pairs_avx512(segments, depth, stride, place, decay),
                }
            }
        }

        #[inline(always)]
        fn transpose(block: &mut Square) {
            // SAFETY: see above.
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

    /// Tiles in registers of sixteen numbers, of which one is a row of a tile's sums: one tile alone, whose even and odd steps are summed
    /// by themselves so that the multipliers need not wait for a sum; and two beside each other, which ask for less of memory.
    macro_rules! tiles_avx512 {
        ($one:ident, $two:ident, $features:literal, $add:expr) => {
            /// # Safety
            /// As [`Simd::tile`].
            #[target_feature(enable = $features)]
            unsafe fn $one(
                segments: &[Segment],
                depth: usize,
                place: Place,
                decay: Option<&[f32; TILE_ROWS]>,
            ) {
                let mut sums = [[_mm512_setzero_ps(); 2]; TILE_ROWS];
                for segment in segments {
                    let rows = segment.rows;
                    let mut panel = segment.panel.cast::<f32>();
                    let mut k = 0;
                    while k + 2 <= depth {
                        // SAFETY: k + 1 < depth, and the caller promises depth numbers and lines.
                        unsafe {
                            let (even, odd) = (
                                _mm512_load_ps(panel),
                                _mm512_load_ps(panel.add(TILE_COLUMNS)),
                            );
                            for (sums, row) in sums.iter_mut().zip(&rows) {
                                sums[0] = $add(sums[0], _mm512_set1_ps(*row.add(k)), even);
                                sums[1] = $add(sums[1], _mm512_set1_ps(*row.add(k + 1)), odd);
                            }
                            panel = panel.add(2 * TILE_COLUMNS);
                        }
                        k += 2;
                    }
                    if k < depth {
                        // SAFETY: as above.
                        unsafe {
                            let line = _mm512_load_ps(panel);
                            for (sums, row) in sums.iter_mut().zip(&rows) {
                                sums[0] = $add(sums[0], _mm512_set1_ps(*row.add(k)), line);
                            }
                        }
                    }
                }
                for (i, [even, odd]) in sums.into_iter().enumerate() {
                    // SAFETY: the caller promises sixteen numbers in every row of the place.
                    unsafe {
                        put(
                            _mm512_add_ps(even, odd),
                            place.start.add(i * place.stride),
                            decay.map(|decay| decay[i]),
                        );
                    }
                }
            }

            /// # Safety
            /// As [`Simd::tile_two`].
            #[target_feature(enable = $features)]
            unsafe fn $two(
                segments: &[Segment],
                depth: usize,
                stride: usize,
                place: Place,
                decay: Option<&[f32; TILE_ROWS]>,
            ) {
                let mut sums = [[_mm512_setzero_ps(); 2]; TILE_ROWS];
                for segment in segments {
                    let rows = segment.rows;
                    let mut panel = segment.panel.cast::<f32>();
                    for k in 0..depth {
                        // SAFETY: the caller promises depth numbers, and lines of both panels.
                        unsafe {
                            let (left, right) = (
                                _mm512_load_ps(panel),
                                _mm512_load_ps(panel.add(stride * TILE_COLUMNS)),
                            );
                            for (sums, row) in sums.iter_mut().zip(&rows) {
                                let number = _mm512_set1_ps(*row.add(k));
                                sums[0] = $add(sums[0], number, left);
                                sums[1] = $add(sums[1], number, right);
                            }
                            panel = panel.add(TILE_COLUMNS);
                        }
                    }
                }
                for (i, [left, right]) in sums.into_iter().enumerate() {
                    let decay = decay.map(|decay| decay[i]);
                    // SAFETY: the caller promises thirty-two numbers in every row of the place.
                    unsafe {
                        let out = place.start.add(i * place.stride);
                        put(left, out, decay);
                        put(right, out.add(TILE_COLUMNS), decay);
                    }
                }
            }
        };
    }

    tiles_avx512!(tile_avx512, tile_two_avx512, "avx512f", |sum, a, b| {
        _mm512_fmadd_ps(a, b, sum)
    });
    tiles_avx512!(
        tile_pairs_avx512,
        tile_two_pairs_avx512,
        "avx512f,avx512bf16",
        |sum, a: __m512, b: __m512| {
            _mm512_dpbf16_ps(
                sum,
                std::mem::transmute::<__m512, __m512bh>(a),
                std::mem::transmute::<__m512, __m512bh>(b),
            )
        }
    );

    /// A row of sums, plus `decay` times what is there, to `out`.
    ///
    /// # Safety
    /// `out` is sixteen numbers that no one else has.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn put(sums: __m512, out: *mut f32, decay: Option<f32>) {
        // SAFETY: the caller's promise.
        unsafe {
            let sums = match decay {
                Some(decay) => _mm512_fmadd_ps(_mm512_set1_ps(decay), _mm512_loadu_ps(out), sums),
                None => sums,
            };
            _mm512_storeu_ps(out, sums);
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

    /// Small whole numbers, of which every sum is exact.
    struct Multiply<N>(std::marker::PhantomData<N>);

    impl<N: Numbers> Work for Multiply<N> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            for depth in [1, 2, 7] {
                let number = |seed: usize| (seed % 13) as f32 - 6.0;
                let place = |seed| N::join(number(seed), number(seed + 5));
                let rows: [Vec<f32>; TILE_ROWS] =
                    std::array::from_fn(|i| (0..depth).map(|k| place(3 * i + 7 * k)).collect());
                let panels: Vec<Line> = (0..2 * depth)
                    .map(|k| Line(std::array::from_fn(|j| place(11 * k + 2 * j))))
                    .collect();
                let expected = |i: usize, panel: usize, j: usize| -> f32 {
                    let lines = &panels[panel * depth..(panel + 1) * depth];
                    let products = rows[i].iter().zip(lines).map(|(a, line)| {
                        let (a, b) = (N::split(*a), N::split(line.0[j]));
                        a[0] * b[0] + a[1] * b[1]
                    });
                    products.sum()
                };
                let segment = Segment {
                    rows: rows.each_ref().map(|row| row.as_ptr()),
                    panel: panels.as_ptr(),
                };
                for decay in [None, Some(&[2.0; TILE_ROWS])] {
                    let mut out = [[1.0; 2 * TILE_COLUMNS]; TILE_ROWS];
                    let place = Place {
                        start: out.as_mut_ptr().cast(),
                        stride: 2 * TILE_COLUMNS,
                    };
                    // SAFETY: rows, panels and place are as large as they should be; the test picks what the machine runs.
                    unsafe {
                        match S::HAS_TWO {
                            true => S::tile_two::<N>(&[segment], depth, depth, place, decay),
                            false => S::tile::<N>(&[segment], depth, place, decay),
                        }
                    }
                    let columns = if S::HAS_TWO {
                        2 * TILE_COLUMNS
                    } else {
                        TILE_COLUMNS
                    };
                    for (i, row) in out.iter().enumerate() {
                        for (j, got) in row[..columns].iter().enumerate() {
                            let expected = expected(i, j / TILE_COLUMNS, j % TILE_COLUMNS);
                            assert_eq!(*got, expected + decay.map_or(0.0, |_| 2.0), "{depth}, {i}, {j}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn tiles_are_what_they_are_defined_as() {
        for kernels in Kernels::all_available() {
            kernels.run(Multiply::<Singles>(std::marker::PhantomData));
            if kernels == Kernels::Portable || kernels.multiply_pairs() {
                kernels.run(Multiply::<Pairs>(std::marker::PhantomData));
            }
        }
    }

    #[test]
    fn squares_are_turned_over() {
        for kernels in Kernels::all_available() {
            kernels.run(TurnOver);
        }
    }
}

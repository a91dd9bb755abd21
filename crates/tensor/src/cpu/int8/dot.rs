//! The one loop of [`super`]: six rows of levels times a panel of sixteen outputs, summed exactly in 32 bits.
//!
//! Every way gives the same integers, so that a clip does not depend on the machine it was made on by more than it did before.

use crate::cpu::Kernels;
use crate::cpu::simd::TILE_COLUMNS;
use crate::cpu::simd::TILE_ROWS;

/// Neighbours along `K` that lie beside each other in a panel: what `vpdpbusd` takes at once.
pub(super) const GROUP: usize = 4;

/// Four neighbours along `K` of sixteen outputs, in one cache line.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
pub(super) struct Group(pub(super) [[i8; GROUP]; TILE_COLUMNS]);

/// The sums of a tile.
pub(super) type Sums = [[i32; TILE_COLUMNS]; TILE_ROWS];

/// A level as it is stored.
pub(super) trait Level: Copy + Default + Send + Sync {
    /// A level of −127 ..= 127.
    fn of(level: i32) -> Self;
}

impl Level for i8 {
    #[inline(always)]
    fn of(level: i32) -> Self {
        level as i8
    }
}

/// Twice as wide as it needs to be, so that two products fit a pair of 16-bit numbers without saturating.
impl Level for i16 {
    #[inline(always)]
    fn of(level: i32) -> Self {
        level as i16
    }
}

/// 128 more than the level, for instructions that multiply unsigned numbers by signed ones.
impl Level for u8 {
    #[inline(always)]
    fn of(level: i32) -> Self {
        (level + 128) as u8
    }
}

/// A set of instructions to sum products of levels with.
pub(super) trait Dot {
    /// How the levels of rows are stored for it.
    type Level: Level;

    /// What the level is stored more than it is: the sums hold that many times the sum of an output's weights too much.
    const OFFSET: i32;

    /// `sums[i][j] = Σ over groups and their four: rows[i][k] · panel[k][j]`, modulo 2³².
    ///
    /// # Safety
    /// Every row points to `4 · groups` readable levels, the panel to `groups` readable groups; the machine runs the instructions.
    unsafe fn tile(
        rows: [*const Self::Level; TILE_ROWS],
        panel: *const Group,
        groups: usize,
        sums: &mut Sums,
    );

    /// Whether [`Dot::tile_two`] is the faster way.
    const HAS_TWO: bool = false;

    /// [`Dot::tile`] of a panel and of the one `stride` groups behind it.
    ///
    /// # Safety
    /// As [`Dot::tile`], for both panels; and [`Dot::HAS_TWO`].
    unsafe fn tile_two(
        rows: [*const Self::Level; TILE_ROWS],
        panel: *const Group,
        stride: usize,
        groups: usize,
        sums: &mut [Sums; 2],
    ) {
        let _ = (rows, panel, stride, groups, sums);
        unreachable!("one tile at a time is the faster way here");
    }
}

/// Which instructions sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instructions {
    /// Portable Rust.
    Portable,
    /// `vpmaddwd` on levels widened to 16 bits: with signed numbers on both sides it is exact, which `vpmaddubsw` is not, and it takes
    /// no more instructions than that needs to be.
    Avx2,
    /// `vpdpbusd` of AVX-VNNI.
    AvxVnni,
    /// `vpdpbusd` of AVX512-VNNI, in registers of 512 bits.
    Avx512Vnni,
}

impl Instructions {
    /// All of them, slowest first.
    pub(super) const ALL: [Self; 4] = [Self::Portable, Self::Avx2, Self::AvxVnni, Self::Avx512Vnni];

    /// The fastest beside these kernels on this machine.
    pub(super) fn best(kernels: Kernels) -> Self {
        let fits = |instructions: &Self| match kernels {
            Kernels::Naive | Kernels::Portable => *instructions == Self::Portable,
            Kernels::Avx2 => *instructions != Self::Avx512Vnni && instructions.available(),
            Kernels::Avx512 => instructions.available(),
        };
        let best = Self::ALL.into_iter().rfind(fits);
        best.expect("portable Rust runs everywhere")
    }

    /// Whether this machine runs them.
    pub(super) fn available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::AvxVnni | Self::Avx512Vnni => false,
        }
    }
}

/// Portable Rust, which is also what the instructions are held to.
pub(super) struct Portable;

impl Dot for Portable {
    type Level = i16;
    const OFFSET: i32 = 0;

    #[inline(always)]
    unsafe fn tile(rows: [*const i16; TILE_ROWS], panel: *const Group, groups: usize, sums: &mut Sums) {
        // SAFETY: the caller's promise.
        let panel = unsafe { std::slice::from_raw_parts(panel, groups) };
        for (row, sums) in rows.iter().zip(sums) {
            // SAFETY: as above.
            let row = unsafe { std::slice::from_raw_parts(row.cast::<[i16; GROUP]>(), groups) };
            *sums = [0; TILE_COLUMNS];
            for (levels, group) in row.iter().zip(panel) {
                for (sum, weights) in sums.iter_mut().zip(&group.0) {
                    for (level, weight) in levels.iter().zip(weights) {
                        *sum = sum.wrapping_add(i32::from(*level) * i32::from(*weight));
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512Vnni, AvxVnni};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::*;

    /// [`Instructions::Avx2`].
    pub(in super::super) struct Avx2;

    /// [`Instructions::AvxVnni`].
    pub(in super::super) struct AvxVnni;

    /// [`Instructions::Avx512Vnni`].
    pub(in super::super) struct Avx512Vnni;

    impl Dot for Avx2 {
        type Level = i16;
        const OFFSET: i32 = 0;

        #[inline(always)]
        unsafe fn tile(rows: [*const i16; TILE_ROWS], panel: *const Group, groups: usize, sums: &mut Sums) {
            // SAFETY: the caller's promise, passed on.
            unsafe { tile_avx2(&rows, panel, groups, sums) }
        }
    }

    /// Eight outputs at a time: twelve registers of sums, two of weights, one of a row, one of products.
    ///
    /// # Safety
    /// As [`Dot::tile`].
    #[target_feature(enable = "avx2")]
    unsafe fn tile_avx2(rows: &[*const i16; TILE_ROWS], panel: *const Group, groups: usize, sums: &mut Sums) {
        const HALF: usize = TILE_COLUMNS / 2;
        for half in [0, HALF] {
            let mut partial = [[_mm256_setzero_si256(); 2]; TILE_ROWS];
            for k in 0..groups {
                // SAFETY: the caller promises groups of 64 bytes; each load takes 16 of this half's 32.
                let (left, right) = unsafe {
                    let weights = panel.add(k).cast::<__m128i>().add(half / GROUP);
                    (
                        _mm256_cvtepi8_epi16(_mm_load_si128(weights)),
                        _mm256_cvtepi8_epi16(_mm_load_si128(weights.add(1))),
                    )
                };
                for (partial, row) in partial.iter_mut().zip(rows) {
                    // SAFETY: the caller promises four levels of every row for each group.
                    let levels = unsafe { row.add(k * GROUP).cast::<i64>().read_unaligned() };
                    let levels = _mm256_set1_epi64x(levels);
                    partial[0] = _mm256_add_epi32(partial[0], _mm256_madd_epi16(levels, left));
                    partial[1] = _mm256_add_epi32(partial[1], _mm256_madd_epi16(levels, right));
                }
            }
            for (partial, sums) in partial.iter().zip(sums.iter_mut()) {
                // Two partial sums of each output lie beside each other: 0 1 | 2 3 and 4 5 | 6 7 become 0 1 4 5 | 2 3 6 7.
                let pairs = _mm256_hadd_epi32(partial[0], partial[1]);
                let ordered = _mm256_permute4x64_epi64::<0b11_01_10_00>(pairs);
                // SAFETY: a half of a row of sums is eight numbers.
                unsafe { _mm256_storeu_si256(sums[half..half + HALF].as_mut_ptr().cast(), ordered) };
            }
        }
    }

    impl Dot for AvxVnni {
        type Level = u8;
        const OFFSET: i32 = 128;

        #[inline(always)]
        unsafe fn tile(rows: [*const u8; TILE_ROWS], panel: *const Group, groups: usize, sums: &mut Sums) {
            // SAFETY: the caller's promise, passed on.
            unsafe { tile_avx_vnni(&rows, panel, groups, sums) }
        }
    }

    /// # Safety
    /// As [`Dot::tile`].
    #[target_feature(enable = "avx2,avxvnni")]
    unsafe fn tile_avx_vnni(
        rows: &[*const u8; TILE_ROWS],
        panel: *const Group,
        groups: usize,
        sums: &mut Sums,
    ) {
        let mut registers = [[_mm256_setzero_si256(); 2]; TILE_ROWS];
        for k in 0..groups {
            // SAFETY: the caller promises groups of 64 bytes.
            let (left, right) = unsafe {
                let weights = panel.add(k).cast::<__m256i>();
                (_mm256_load_si256(weights), _mm256_load_si256(weights.add(1)))
            };
            for (registers, row) in registers.iter_mut().zip(rows) {
                // SAFETY: the caller promises four levels of every row for each group.
                let levels = unsafe { row.add(k * GROUP).cast::<i32>().read_unaligned() };
                let levels = _mm256_set1_epi32(levels);
                registers[0] = _mm256_dpbusd_avx_epi32(registers[0], levels, left);
                registers[1] = _mm256_dpbusd_avx_epi32(registers[1], levels, right);
            }
        }
        for (registers, sums) in registers.iter().zip(sums) {
            // SAFETY: a row of sums is sixteen numbers.
            unsafe {
                _mm256_storeu_si256(sums.as_mut_ptr().cast(), registers[0]);
                _mm256_storeu_si256(sums[8..].as_mut_ptr().cast(), registers[1]);
            }
        }
    }

    impl Dot for Avx512Vnni {
        type Level = u8;
        const OFFSET: i32 = 128;

        #[inline(always)]
        unsafe fn tile(rows: [*const u8; TILE_ROWS], panel: *const Group, groups: usize, sums: &mut Sums) {
            // SAFETY: the caller's promise, passed on.
            unsafe { tile_avx512_vnni(&rows, panel, groups, sums) }
        }

        const HAS_TWO: bool = true;

        #[inline(always)]
        unsafe fn tile_two(
            rows: [*const u8; TILE_ROWS],
            panel: *const Group,
            stride: usize,
            groups: usize,
            sums: &mut [Sums; 2],
        ) {
            // SAFETY: the caller's promise, passed on.
            unsafe { tile_two_avx512_vnni(&rows, panel, stride, groups, sums) }
        }
    }

    /// A row of sums is one register: even and odd groups are summed by themselves, so that the multipliers need not wait for it.
    ///
    /// # Safety
    /// As [`Dot::tile`].
    #[target_feature(enable = "avx512f,avx512vnni")]
    unsafe fn tile_avx512_vnni(
        rows: &[*const u8; TILE_ROWS],
        panel: *const Group,
        groups: usize,
        sums: &mut Sums,
    ) {
        let (mut even, mut odd) = (
            [_mm512_setzero_si512(); TILE_ROWS],
            [_mm512_setzero_si512(); TILE_ROWS],
        );
        let mut k = 0;
        while k + 2 <= groups {
            // SAFETY: k + 1 < groups, and the caller promises so many groups and four levels of every row for each.
            unsafe {
                step(rows, k, panel, &mut even);
                step(rows, k + 1, panel, &mut odd);
            }
            k += 2;
        }
        if k < groups {
            // SAFETY: as above.
            unsafe { step(rows, k, panel, &mut even) };
        }
        for ((even, odd), sums) in even.into_iter().zip(odd).zip(sums) {
            // SAFETY: a row of sums is sixteen numbers.
            unsafe { _mm512_storeu_si512(sums.as_mut_ptr().cast(), _mm512_add_epi32(even, odd)) };
        }
    }

    /// # Safety
    /// As [`Dot::tile_two`].
    #[target_feature(enable = "avx512f,avx512vnni")]
    unsafe fn tile_two_avx512_vnni(
        rows: &[*const u8; TILE_ROWS],
        panel: *const Group,
        stride: usize,
        groups: usize,
        sums: &mut [Sums; 2],
    ) {
        let mut registers = [[_mm512_setzero_si512(); 2]; TILE_ROWS];
        for k in 0..groups {
            // SAFETY: the caller promises groups of both panels, and four levels of every row for each.
            unsafe {
                let (left, right) = (
                    _mm512_load_si512(panel.add(k).cast()),
                    _mm512_load_si512(panel.add(stride + k).cast()),
                );
                for (registers, row) in registers.iter_mut().zip(rows) {
                    let levels = _mm512_set1_epi32(row.add(k * GROUP).cast::<i32>().read_unaligned());
                    registers[0] = _mm512_dpbusd_epi32(registers[0], levels, left);
                    registers[1] = _mm512_dpbusd_epi32(registers[1], levels, right);
                }
            }
        }
        for (half, sums) in sums.iter_mut().enumerate() {
            for (registers, sums) in registers.iter().zip(sums) {
                // SAFETY: a row of sums is sixteen numbers.
                unsafe { _mm512_storeu_si512(sums.as_mut_ptr().cast(), registers[half]) };
            }
        }
    }

    /// One group of the rows times one of the panel.
    ///
    /// # Safety
    /// Every row has four levels for group `k`; the panel has that group.
    #[inline]
    #[target_feature(enable = "avx512f,avx512vnni")]
    unsafe fn step(
        rows: &[*const u8; TILE_ROWS],
        k: usize,
        panel: *const Group,
        sums: &mut [__m512i; TILE_ROWS],
    ) {
        // SAFETY: the caller's promise.
        let weights = unsafe { _mm512_load_si512(panel.add(k).cast()) };
        for (sum, row) in sums.iter_mut().zip(rows) {
            // SAFETY: the caller's promise.
            let levels = unsafe { row.add(k * GROUP).cast::<i32>().read_unaligned() };
            *sum = _mm512_dpbusd_epi32(*sum, _mm512_set1_epi32(levels), weights);
        }
    }
}

#[cfg(test)]
pub(super) mod model {
    //! What `vpdpbusd` does, in plain Rust: so that all around it is tested where no machine has it.

    use super::*;

    /// `vpdpbusd`, modelled.
    pub(in super::super) struct Modelled;

    impl Dot for Modelled {
        type Level = u8;
        const OFFSET: i32 = 128;

        unsafe fn tile(rows: [*const u8; TILE_ROWS], panel: *const Group, groups: usize, sums: &mut Sums) {
            *sums = Sums::default();
            for k in 0..groups {
                // SAFETY: the caller's promise.
                let group = unsafe { &*panel.add(k) };
                for (row, sums) in rows.iter().zip(&mut *sums) {
                    // SAFETY: the caller's promise.
                    let levels = unsafe { row.add(k * GROUP).cast::<[u8; GROUP]>().read() };
                    for (sum, weights) in sums.iter_mut().zip(&group.0) {
                        *sum = dpbusd(*sum, levels, *weights);
                    }
                }
            }
        }
    }

    /// One lane: four unsigned bytes times four signed ones, each product in 16 bits, all added to the sum without saturation.
    fn dpbusd(sum: i32, a: [u8; GROUP], b: [i8; GROUP]) -> i32 {
        let products = a
            .iter()
            .zip(&b)
            .map(|(a, b)| i16::from(*a).checked_mul(i16::from(*b)));
        products.fold(sum, |sum, product| {
            sum.wrapping_add(product.expect("255 · 128 fits 16 bits").into())
        })
    }
}

//! Numbers that are not read in place: eight-bit floats, ggml's blocks, and whatever has a scale beside it. They stay as they are
//! stored and are widened in runs, on their way into a packed panel.
//!
//! Reference: ggml `ggml-quants.c`, `dequantize_row_*`, and its Python twin `gguf/quants.py`, which these equal bit for bit: each
//! product and difference is rounded once, in the order written there.

use half::bf16;
use half::f16;

use crate::dtype::DType;

/// The numbers of a super-block, the longest there is.
pub(crate) const RUN_MAX: usize = 256;

/// A stored weight, viewed.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a> {
    pub(crate) dtype: DType,
    /// Whole blocks.
    pub(crate) bytes: &'a [u8],
    pub(crate) scale: Scale<'a>,
}

/// What stored numbers are multiplied by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scale<'a> {
    /// Nothing.
    None,
    /// One number.
    All(f32),
    /// One number for each row of so many numbers.
    Rows(&'a [f32], usize),
}

impl Blocks<'_> {
    /// How many numbers there are.
    pub fn len(&self) -> usize {
        let block = self.dtype.block();
        self.bytes.len() / block.bytes * block.elements
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Widens the numbers from `start` on into `wide`, as many as it holds.
    #[inline(always)]
    pub fn widen_into(&self, start: usize, wide: &mut [f32]) {
        let unit = self.dtype.block().elements;
        let mut done = 0;
        while done < wide.len() {
            let at = start + done;
            let whole = (wide.len() - done) / unit * unit;
            if at.is_multiple_of(unit) && whole > 0 {
                self.decode(at / unit, &mut wide[done..done + whole]);
                done += whole;
            } else {
                // A run that starts or ends within a block.
                let mut run = [0.0; RUN_MAX];
                self.decode(at / unit, &mut run[..unit]);
                let count = (unit - at % unit).min(wide.len() - done);
                wide[done..done + count].copy_from_slice(&run[at % unit..at % unit + count]);
                done += count;
            }
        }
        match self.scale {
            Scale::None => {}
            Scale::All(scale) => wide.iter_mut().for_each(|number| *number *= scale),
            Scale::Rows(scales, width) => {
                for (offset, number) in wide.iter_mut().enumerate() {
                    *number *= scales[(start + offset) / width];
                }
            }
        }
    }

    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        let mut run = [0.0; RUN_MAX];
        (0..self.len()).step_by(RUN_MAX).all(|start| {
            let run = &mut run[..RUN_MAX.min(self.len() - start)];
            self.widen_into(start, run);
            run.iter().all(|number| number.is_finite())
        })
    }

    /// Whole blocks from `block` on.
    #[inline(always)]
    fn decode(&self, block: usize, wide: &mut [f32]) {
        let bytes = &self.bytes[block * self.dtype.block().bytes..];
        match self.dtype {
            DType::F32 => each(bytes, wide, |bytes: [u8; 4], out: &mut [f32; 1]| {
                out[0] = f32::from_le_bytes(bytes);
            }),
            DType::BF16 => each(bytes, wide, |bytes, out: &mut [f32; 1]| {
                out[0] = bf16::from_le_bytes(bytes).to_f32();
            }),
            DType::F16 => each(bytes, wide, |bytes, out: &mut [f32; 1]| out[0] = half(bytes)),
            DType::F8E4M3 => each(bytes, wide, |[byte]: [u8; 1], out: &mut [f32; 1]| {
                out[0] = widen_e4m3(byte);
            }),
            DType::F8E5M2 => each(bytes, wide, |[byte]: [u8; 1], out: &mut [f32; 1]| {
                out[0] = half([0, byte]);
            }),
            DType::Q4_0 => each(bytes, wide, q4_0),
            DType::Q4_1 => each(bytes, wide, q4_1),
            DType::Q5_0 => each(bytes, wide, q5_0),
            DType::Q5_1 => each(bytes, wide, q5_1),
            DType::Q8_0 => each(bytes, wide, q8_0),
            DType::Q2K => each(bytes, wide, q2_k),
            DType::Q3K => each(bytes, wide, q3_k),
            DType::Q4K => each(bytes, wide, q4_k),
            DType::Q5K => each(bytes, wide, q5_k),
            DType::Q6K => each(bytes, wide, q6_k),
        }
    }
}

/// Decodes block by block, as many as fill `wide`.
#[inline(always)]
fn each<const BYTES: usize, const ELEMENTS: usize>(
    bytes: &[u8],
    wide: &mut [f32],
    decode: impl Fn([u8; BYTES], &mut [f32; ELEMENTS]),
) {
    let ((blocks, _), (runs, _)) = (bytes.as_chunks::<BYTES>(), wide.as_chunks_mut::<ELEMENTS>());
    for (run, block) in runs.iter_mut().zip(blocks) {
        decode(*block, run);
    }
}

/// Moved into place, exponent and mantissa read as an f32 that is 2¹²⁰ too small, subnormal numbers included.
#[inline(always)]
fn widen_e4m3(byte: u8) -> f32 {
    const REBIAS: f32 = f32::from_bits((127 + 120) << 23);
    let magnitude = u32::from(byte & 0x7f);
    let wide = f32::from_bits(magnitude << 20) * REBIAS;
    // The one pattern that is not a number has come out as 480, where no other is.
    let special = if magnitude == 0x7f { 0x7fc0_0000 } else { 0 };
    f32::from_bits(wide.to_bits() | special | u32::from(byte & 0x80) << 24)
}

#[inline(always)]
fn half(bytes: [u8; 2]) -> f32 {
    f16::from_le_bytes(bytes).to_f32()
}

/// The `N` bytes from `start` on.
#[inline(always)]
fn part<const N: usize, const BYTES: usize>(block: &[u8; BYTES], start: usize) -> [u8; N] {
    std::array::from_fn(|i| block[start + i])
}

#[inline(always)]
fn q4_0(block: [u8; 18], out: &mut [f32; 32]) {
    let d = half(part(&block, 0));
    for i in 0..16 {
        let q = block[2 + i];
        out[i] = d * f32::from((q & 0xf) as i8 - 8);
        out[16 + i] = d * f32::from((q >> 4) as i8 - 8);
    }
}

#[inline(always)]
fn q4_1(block: [u8; 20], out: &mut [f32; 32]) {
    let (d, m) = (half(part(&block, 0)), half(part(&block, 2)));
    for i in 0..16 {
        let q = block[4 + i];
        out[i] = d * f32::from(q & 0xf) + m;
        out[16 + i] = d * f32::from(q >> 4) + m;
    }
}

#[inline(always)]
fn q5_0(block: [u8; 22], out: &mut [f32; 32]) {
    let d = half(part(&block, 0));
    let high = u32::from_le_bytes(part(&block, 2));
    for i in 0..16 {
        let q = block[6 + i];
        let bit = |at: usize| (((high >> at) & 1) << 4) as u8;
        out[i] = d * f32::from((q & 0xf | bit(i)) as i8 - 16);
        out[16 + i] = d * f32::from((q >> 4 | bit(16 + i)) as i8 - 16);
    }
}

#[inline(always)]
fn q5_1(block: [u8; 24], out: &mut [f32; 32]) {
    let (d, m) = (half(part(&block, 0)), half(part(&block, 2)));
    let high = u32::from_le_bytes(part(&block, 4));
    for i in 0..16 {
        let q = block[8 + i];
        let bit = |at: usize| (((high >> at) & 1) << 4) as u8;
        out[i] = d * f32::from(q & 0xf | bit(i)) + m;
        out[16 + i] = d * f32::from(q >> 4 | bit(16 + i)) + m;
    }
}

#[inline(always)]
fn q8_0(block: [u8; 34], out: &mut [f32; 32]) {
    let d = half(part(&block, 0));
    for i in 0..32 {
        out[i] = f32::from(block[2 + i] as i8) * d;
    }
}

#[inline(always)]
fn q2_k(block: [u8; 84], out: &mut [f32; 256]) {
    let (d, minimum) = (half(part(&block, 80)), half(part(&block, 82)));
    for (i, out) in out.iter_mut().enumerate() {
        let scale = block[i / 16];
        let q = block[16 + i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
        *out = d * f32::from(scale & 0xf) * f32::from(q) - minimum * f32::from(scale >> 4);
    }
}

#[inline(always)]
fn q3_k(block: [u8; 110], out: &mut [f32; 256]) {
    let d = half(part(&block, 108));
    let scales: [u8; 12] = part(&block, 96);
    for (i, out) in out.iter_mut().enumerate() {
        let group = i / 16;
        let low = scales[group % 8] >> (group / 8 * 4) & 0xf;
        let high = scales[8 + group % 4] >> (group / 4 * 2) & 3;
        let scale = d * f32::from((low | high << 4) as i8 - 32);
        let q = block[32 + i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
        let is_low = block[i % 32] >> (i / 32) & 1 == 0;
        *out = scale * f32::from(q as i8 - if is_low { 4 } else { 0 });
    }
}

/// Eight scales and eight offsets of six bits each, in twelve bytes.
#[inline(always)]
fn six_bits(packed: [u8; 12]) -> ([u8; 8], [u8; 8]) {
    let (mut scales, mut offsets) = ([0; 8], [0; 8]);
    for i in 0..4 {
        let (d, m, both) = (packed[i], packed[4 + i], packed[8 + i]);
        scales[i] = d & 0x3f;
        offsets[i] = m & 0x3f;
        scales[4 + i] = both & 0xf | d >> 2 & 0x30;
        offsets[4 + i] = both >> 4 | m >> 2 & 0x30;
    }
    (scales, offsets)
}

#[inline(always)]
fn q4_k(block: [u8; 144], out: &mut [f32; 256]) {
    let (d, minimum) = (half(part(&block, 0)), half(part(&block, 2)));
    let (scales, offsets) = six_bits(part(&block, 4));
    for group in 0..8 {
        let (scale, offset) = (d * f32::from(scales[group]), minimum * f32::from(offsets[group]));
        for i in 0..32 {
            let q = block[16 + group / 2 * 32 + i] >> (group % 2 * 4) & 0xf;
            out[group * 32 + i] = scale * f32::from(q) - offset;
        }
    }
}

#[inline(always)]
fn q5_k(block: [u8; 176], out: &mut [f32; 256]) {
    let (d, minimum) = (half(part(&block, 0)), half(part(&block, 2)));
    let (scales, offsets) = six_bits(part(&block, 4));
    for group in 0..8 {
        let (scale, offset) = (d * f32::from(scales[group]), minimum * f32::from(offsets[group]));
        for i in 0..32 {
            let low = block[48 + group / 2 * 32 + i] >> (group % 2 * 4) & 0xf;
            let high = block[16 + i] >> group & 1;
            out[group * 32 + i] = scale * f32::from(low | high << 4) - offset;
        }
    }
}

#[inline(always)]
fn q6_k(block: [u8; 210], out: &mut [f32; 256]) {
    let d = half(part(&block, 208));
    for group in 0..16 {
        let scale = d * f32::from(block[192 + group] as i8);
        for i in 0..16 {
            let at = group * 16 + i;
            let low = block[at / 128 * 64 + at % 64] >> (at / 64 % 2 * 4) & 0xf;
            let high = block[128 + at / 128 * 32 + at % 32] >> (at / 32 % 4 * 2) & 3;
            out[at] = scale * f32::from((low | high << 4) as i8 - 32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sign, four bits of exponent, three of mantissa, spelt out.
    fn e4m3(byte: u8) -> f32 {
        let (exponent, mantissa) = (i32::from(byte >> 3 & 0xf), f32::from(byte & 7));
        let magnitude = match (exponent, byte & 7) {
            (15, 7) => f32::NAN,
            (0, _) => mantissa / 8.0 * 2f32.powi(-6),
            _ => (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
        };
        if byte & 0x80 == 0 { magnitude } else { -magnitude }
    }

    #[test]
    fn every_eight_bit_float_is_widened_exactly() {
        for byte in 0..=u8::MAX {
            let (got, expected) = (widen_e4m3(byte), e4m3(byte));
            let same = got.to_bits() == expected.to_bits() || got.is_nan() && expected.is_nan();
            assert!(same, "{byte:#x}: {got} {expected}");
        }
    }

    #[test]
    fn runs_may_start_and_end_anywhere() {
        for dtype in [DType::F8E5M2, DType::Q4_0, DType::Q6K, DType::F32] {
            let block = dtype.block();
            let count = 2048 / block.elements;
            // Bytes below 0x3c keep every half-precision scale among them finite.
            let bytes: Vec<u8> = (0..count * block.bytes).map(|i| (i * 37 % 0x3c) as u8).collect();
            let scales = [0.5, 2.0, 3.0, 0.25];
            let blocks = Blocks {
                dtype,
                bytes: &bytes,
                scale: Scale::Rows(&scales, 512),
            };
            let mut whole = vec![0.0; 2048];
            blocks.widen_into(0, &mut whole);
            assert!(blocks.is_finite());
            for (start, len) in [(0, 1), (1, 31), (31, 2), (255, 258), (1000, 1048), (2047, 1)] {
                let mut run = vec![0.0; len];
                blocks.widen_into(start, &mut run);
                assert_eq!(run, whole[start..start + len], "{dtype} {start} {len}");
            }
        }
    }
}

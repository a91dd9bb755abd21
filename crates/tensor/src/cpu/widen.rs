//! Stored numbers to `f32` and back, without branches, so that packing loops become SIMD.

use half::bf16;
use half::f16;

/// A number as a checkpoint stores it.
pub(super) trait Stored: Copy + Send + Sync + 'static {
    /// The same number in `f32`; exact for every value.
    fn widen(self) -> f32;
}

impl Stored for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Stored for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

impl Stored for f16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        // Moved into place, exponent and mantissa read as an f32 that is 2¹¹² too small, subnormal numbers included.
        const REBIAS: f32 = f32::from_bits((127 + 112) << 23);
        let bits = u32::from(self.to_bits());
        let magnitude = f32::from_bits((bits & 0x7fff) << 13) * REBIAS;
        // What was infinite or not a number has come out at 2¹⁶ or above, where no finite f16 is.
        let special = if magnitude >= 65536.0 { 0x7f80_0000 } else { 0 };
        f32::from_bits(magnitude.to_bits() | special | (bits & 0x8000) << 16)
    }
}

/// Packed like numbers, two neighbours go where one would: see [`crate::cpu::simd::Pairs`].
impl Stored for [bf16; 2] {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self[0].to_bits()) | u32::from(self[1].to_bits()) << 16)
    }
}

/// The nearest bf16, ties to even.
#[inline(always)]
pub(super) fn narrow(x: f32) -> bf16 {
    let bits = x.to_bits();
    let nearest = (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16;
    // Rounding could make an infinity of what is not a number, or carry it into the sign.
    let quiet = (bits >> 16) as u16 | 0x40;
    bf16::from_bits(if bits & 0x7fff_ffff > 0x7f80_0000 {
        quiet
    } else {
        nearest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_the_nearest_bf16() {
        let spread = (0..=u32::MAX).step_by(4099);
        let ties = [
            0x3f80_8000,
            0x3f81_8000,
            0x7f7f_ffff,
            0x7f80_0001,
            0xffff_ffff,
            0x8000_8000,
        ];
        for number in spread.chain(ties).map(f32::from_bits) {
            let (got, expected) = (narrow(number), bf16::from_f32(number));
            assert_eq!(got.to_bits(), expected.to_bits(), "{:#x}", number.to_bits());
        }
    }

    #[test]
    fn every_16_bit_number_is_widened_exactly() {
        let same = |got: f32, expected: f32| {
            got == expected && got.is_sign_negative() == expected.is_sign_negative()
        };
        for bits in 0..=u16::MAX {
            let (h, b) = (f16::from_bits(bits), bf16::from_bits(bits));
            assert!(
                same(h.widen(), h.to_f32()) || h.is_nan() && h.widen().is_nan(),
                "f16 {bits:#x}"
            );
            assert!(
                same(b.widen(), b.to_f32()) || b.is_nan() && b.widen().is_nan(),
                "bf16 {bits:#x}"
            );
        }
    }
}

//! Stored numbers to `f32`, without branches, so that packing loops become SIMD.

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

#[cfg(test)]
mod tests {
    use super::*;

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

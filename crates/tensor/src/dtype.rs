//! How numbers are stored. Activations are always `f32`; only weights keep the type of their file.

use std::fmt;

/// The type of a stored weight. The last ten are ggml's: numbers in blocks that share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE single precision.
    F32,
    /// The upper half of an `f32`.
    BF16,
    /// IEEE half precision.
    F16,
    /// Eight bits, three of them mantissa; finite but for one pattern of not-a-number.
    F8E4M3,
    /// The upper half of an `f16`.
    F8E5M2,
    /// Two bits, in super-blocks of 256.
    Q2K,
    /// Three bits, in super-blocks of 256.
    Q3K,
    /// Four bits and a scale, in blocks of 32.
    Q4_0,
    /// Four bits, a scale and an offset, in blocks of 32.
    Q4_1,
    /// Four bits, in super-blocks of 256.
    Q4K,
    /// Five bits and a scale, in blocks of 32.
    Q5_0,
    /// Five bits, a scale and an offset, in blocks of 32.
    Q5_1,
    /// Five bits, in super-blocks of 256.
    Q5K,
    /// Six bits, in super-blocks of 256.
    Q6K,
    /// Eight bits and a scale, in blocks of 32.
    Q8_0,
}

/// How many numbers are stored together, and in how many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Numbers.
    pub elements: usize,
    /// Bytes.
    pub bytes: usize,
}

impl DType {
    /// The unit of storage; one number where they stand for themselves.
    pub const fn block(self) -> Block {
        let (elements, bytes) = match self {
            DType::F32 => (1, 4),
            DType::BF16 | DType::F16 => (1, 2),
            DType::F8E4M3 | DType::F8E5M2 => (1, 1),
            DType::Q4_0 => (32, 18),
            DType::Q4_1 => (32, 20),
            DType::Q5_0 => (32, 22),
            DType::Q5_1 => (32, 24),
            DType::Q8_0 => (32, 34),
            DType::Q2K => (256, 84),
            DType::Q3K => (256, 110),
            DType::Q4K => (256, 144),
            DType::Q5K => (256, 176),
            DType::Q6K => (256, 210),
        };
        Block { elements, bytes }
    }

    /// The bytes of so many numbers; `None` where they do not fill their last block, or the count leaves `usize`.
    pub fn bytes(self, elements: usize) -> Option<usize> {
        let block = self.block();
        if !elements.is_multiple_of(block.elements) {
            return None;
        }
        (elements / block.elements).checked_mul(block.bytes)
    }

    /// Whether kernels read the numbers in place; the others are widened on their way into a panel.
    pub const fn is_plain(self) -> bool {
        matches!(self, DType::F32 | DType::BF16 | DType::F16)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::F32 => "f32",
            DType::BF16 => "bf16",
            DType::F16 => "f16",
            DType::F8E4M3 => "f8_e4m3",
            DType::F8E5M2 => "f8_e5m2",
            DType::Q2K => "q2_k",
            DType::Q3K => "q3_k",
            DType::Q4_0 => "q4_0",
            DType::Q4_1 => "q4_1",
            DType::Q4K => "q4_k",
            DType::Q5_0 => "q5_0",
            DType::Q5_1 => "q5_1",
            DType::Q5K => "q5_k",
            DType::Q6K => "q6_k",
            DType::Q8_0 => "q8_0",
        })
    }
}

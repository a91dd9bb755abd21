//! How files say that numbers are stored: more types than are computed with, so that what is not can be named.

use std::fmt;

use crate::dtype::Block;
use crate::dtype::DType;

/// A number type that a format knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredType {
    name: &'static str,
    block: Block,
    dtype: Option<DType>,
}

impl StoredType {
    const fn plain(name: &'static str, elements: usize, bytes: usize) -> Self {
        Self {
            name,
            block: Block { elements, bytes },
            dtype: None,
        }
    }

    const fn computed(name: &'static str, dtype: DType) -> Self {
        Self {
            name,
            block: dtype.block(),
            dtype: Some(dtype),
        }
    }

    /// The type by its name in safetensors headers.
    pub(super) fn of_safetensors(name: &str) -> Option<Self> {
        SAFETENSORS.into_iter().find(|known| known.name == name)
    }

    /// The type by the name of its storage class in PyTorch.
    pub(super) fn of_torch(class: &str) -> Option<Self> {
        let found = TORCH.into_iter().find(|(known, _)| *known == class);
        found.and_then(|(_, name)| Self::of_safetensors(name))
    }

    /// The type by its number in ggml.
    pub(super) fn of_ggml(number: u32) -> Option<Self> {
        let found = GGML.into_iter().find(|(known, _)| *known == number);
        found.map(|(_, stored)| stored)
    }

    /// The type that numbers of `dtype` are stored as in safetensors; `None` for ggml's.
    pub fn of(dtype: DType) -> Option<Self> {
        SAFETENSORS.into_iter().find(|known| known.dtype == Some(dtype))
    }

    /// The type to compute with, where it is one.
    pub fn dtype(self) -> Option<DType> {
        self.dtype
    }

    /// Its name in safetensors headers.
    pub(super) fn name(self) -> &'static str {
        self.name
    }

    /// Numbers and bytes of a block.
    pub(super) fn block(self) -> Block {
        self.block
    }

    /// Bytes of `elements` numbers; `None` where that overflows or is no whole number.
    pub(super) fn bytes(self, elements: usize) -> Option<usize> {
        if !elements.is_multiple_of(self.block.elements) {
            return None;
        }
        (elements / self.block.elements).checked_mul(self.block.bytes)
    }
}

impl fmt::Display for StoredType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name.to_lowercase())
    }
}

const SAFETENSORS: [StoredType; 19] = [
    StoredType::computed("F32", DType::F32),
    StoredType::computed("BF16", DType::BF16),
    StoredType::computed("F16", DType::F16),
    StoredType::computed("F8_E4M3", DType::F8E4M3),
    StoredType::computed("F8_E5M2", DType::F8E5M2),
    StoredType::plain("F64", 1, 8),
    StoredType::plain("BOOL", 1, 1),
    StoredType::plain("U8", 1, 1),
    StoredType::plain("I8", 1, 1),
    StoredType::plain("U16", 1, 2),
    StoredType::plain("I16", 1, 2),
    StoredType::plain("U32", 1, 4),
    StoredType::plain("I32", 1, 4),
    StoredType::plain("U64", 1, 8),
    StoredType::plain("I64", 1, 8),
    StoredType::plain("C64", 1, 8),
    StoredType::plain("F8_E8M0", 1, 1),
    StoredType::plain("F4", 2, 1),
    StoredType::plain("F6_E2M3", 4, 3),
];

const TORCH: [(&str, &str); 10] = [
    ("FloatStorage", "F32"),
    ("BFloat16Storage", "BF16"),
    ("HalfStorage", "F16"),
    ("DoubleStorage", "F64"),
    ("LongStorage", "I64"),
    ("IntStorage", "I32"),
    ("ShortStorage", "I16"),
    ("CharStorage", "I8"),
    ("ByteStorage", "U8"),
    ("BoolStorage", "BOOL"),
];

const GGML: [(u32, StoredType); 27] = [
    (0, StoredType::computed("F32", DType::F32)),
    (1, StoredType::computed("F16", DType::F16)),
    (2, StoredType::computed("Q4_0", DType::Q4_0)),
    (3, StoredType::computed("Q4_1", DType::Q4_1)),
    (6, StoredType::computed("Q5_0", DType::Q5_0)),
    (7, StoredType::computed("Q5_1", DType::Q5_1)),
    (8, StoredType::computed("Q8_0", DType::Q8_0)),
    (9, StoredType::plain("Q8_1", 32, 40)),
    (10, StoredType::computed("Q2_K", DType::Q2K)),
    (11, StoredType::computed("Q3_K", DType::Q3K)),
    (12, StoredType::computed("Q4_K", DType::Q4K)),
    (13, StoredType::computed("Q5_K", DType::Q5K)),
    (14, StoredType::computed("Q6_K", DType::Q6K)),
    (15, StoredType::plain("Q8_K", 256, 292)),
    (16, StoredType::plain("IQ2_XXS", 256, 66)),
    (17, StoredType::plain("IQ2_XS", 256, 74)),
    (18, StoredType::plain("IQ3_XXS", 256, 98)),
    (20, StoredType::plain("IQ4_NL", 32, 18)),
    (21, StoredType::plain("IQ3_S", 256, 110)),
    (22, StoredType::plain("IQ2_S", 256, 82)),
    (23, StoredType::plain("IQ4_XS", 256, 136)),
    (24, StoredType::plain("I8", 1, 1)),
    (25, StoredType::plain("I16", 1, 2)),
    (26, StoredType::plain("I32", 1, 4)),
    (27, StoredType::plain("I64", 1, 8)),
    (28, StoredType::plain("F64", 1, 8)),
    (30, StoredType::computed("BF16", DType::BF16)),
];

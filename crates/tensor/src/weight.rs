//! A weight as its file stores it, owned or borrowed from a mapped file.
//! Nothing is widened here; kernels widen inside the panel they pack, so that a 16-bit checkpoint costs 16 bits in memory, and a
//! quantised one what its file takes.

use std::ops::Range;
use std::sync::Arc;

use half::bf16;
use half::f16;

use crate::blocks::Blocks;
use crate::blocks::Scale;
use crate::checkpoint::FileBytes;
use crate::dtype::DType;
use crate::error::Result;
use crate::error::TensorError;
use crate::shape::Shape;

/// A stored weight. Cloning shares the numbers.
#[derive(Clone)]
pub struct Weight {
    shape: Shape,
    numbers: Numbers,
}

/// The numbers of a weight, typed.
#[derive(Clone, Copy, Debug)]
pub enum WeightView<'a> {
    /// Stored as `f32`.
    F32(&'a [f32]),
    /// Stored as `bf16`.
    BF16(&'a [bf16]),
    /// Stored as `f16`.
    F16(&'a [f16]),
    /// Stored in blocks, or with a scale.
    Blocks(Blocks<'a>),
}

#[derive(Clone)]
enum Numbers {
    F32(Arc<Vec<f32>>),
    BF16(Arc<Vec<bf16>>),
    F16(Arc<Vec<f16>>),
    Mapped(Mapped),
}

/// Bytes inside a checkpoint's file. Made by [`Weight::mapped`] alone, which checks bounds, and alignment where it matters.
#[derive(Clone)]
struct Mapped {
    file: Arc<FileBytes>,
    start: usize,
    len: usize,
    dtype: DType,
    /// What the numbers are multiplied by: one number, or one for each row of `row` numbers.
    scale: Option<Arc<[f32]>>,
    row: usize,
}

impl Weight {
    /// A weight of these `f32` numbers.
    pub fn from_f32(shape: impl Into<Shape>, numbers: Vec<f32>) -> Result<Self> {
        Self::owned(shape.into(), numbers.len(), Numbers::F32(Arc::new(numbers)))
    }

    /// A weight of these `bf16` numbers.
    pub fn from_bf16(shape: impl Into<Shape>, numbers: Vec<bf16>) -> Result<Self> {
        Self::owned(shape.into(), numbers.len(), Numbers::BF16(Arc::new(numbers)))
    }

    /// A weight of these `f16` numbers.
    pub fn from_f16(shape: impl Into<Shape>, numbers: Vec<f16>) -> Result<Self> {
        Self::owned(shape.into(), numbers.len(), Numbers::F16(Arc::new(numbers)))
    }

    fn owned(shape: Shape, len: usize, numbers: Numbers) -> Result<Self> {
        if shape.elements() != len {
            return Err(TensorError::Length { shape, len });
        }
        Ok(Self { shape, numbers })
    }

    /// A weight whose little-endian bytes start at `start` of a mapped file, multiplied by `scale` where there is one: one number, or
    /// one for each row. Borrowed where the machine can read them in place, copied where they are misaligned. `None` where they
    /// leave the file, or the scale has another length.
    pub(crate) fn mapped(
        shape: Shape,
        dtype: DType,
        file: &Arc<FileBytes>,
        start: usize,
        scale: Option<Arc<[f32]>>,
    ) -> Option<Self> {
        let elements = shape.checked_elements()?;
        let len = dtype.bytes(elements)?;
        let bytes = file.get(start..start.checked_add(len)?)?;
        let rows = shape.dims().first().copied().unwrap_or(1);
        if scale
            .as_ref()
            .is_some_and(|scale| scale.len() != 1 && scale.len() != rows)
        {
            return None;
        }
        let is_plain = dtype.is_plain() && scale.is_none();
        let is_in_place =
            || cfg!(target_endian = "little") && bytes.as_ptr().align_offset(dtype.block().bytes) == 0;
        let numbers = if !is_plain || is_in_place() {
            Numbers::Mapped(Mapped {
                file: Arc::clone(file),
                start,
                len,
                dtype,
                scale,
                row: elements.checked_div(rows).unwrap_or(0).max(1),
            })
        } else {
            match dtype {
                DType::BF16 => Numbers::BF16(Arc::new(decode(bytes, bf16::from_le_bytes))),
                DType::F16 => Numbers::F16(Arc::new(decode(bytes, f16::from_le_bytes))),
                _ => Numbers::F32(Arc::new(decode(bytes, f32::from_le_bytes))),
            }
        };
        Some(Self { shape, numbers })
    }

    /// These numbers in a type that stands for itself: rounded to `dtype` where it is one, to `bf16` where it is not.
    pub fn rounded(shape: impl Into<Shape>, numbers: Vec<f32>, dtype: DType) -> Result<Self> {
        match dtype {
            DType::F32 => Self::from_f32(shape, numbers),
            DType::F16 => Self::from_f16(shape, numbers.into_iter().map(f16::from_f32).collect()),
            _ => Self::from_bf16(shape, numbers.into_iter().map(bf16::from_f32).collect()),
        }
    }

    /// The extents.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// How the numbers are stored.
    pub fn dtype(&self) -> DType {
        match &self.numbers {
            Numbers::F32(_) => DType::F32,
            Numbers::BF16(_) => DType::BF16,
            Numbers::F16(_) => DType::F16,
            Numbers::Mapped(mapped) => mapped.dtype,
        }
    }

    /// The numbers as they are stored, row-major.
    pub fn view(&self) -> WeightView<'_> {
        match &self.numbers {
            Numbers::F32(numbers) => WeightView::F32(numbers),
            Numbers::BF16(numbers) => WeightView::BF16(numbers),
            Numbers::F16(numbers) => WeightView::F16(numbers),
            Numbers::Mapped(mapped) => mapped.view(),
        }
    }

    /// The file that the numbers are read in, and where they are in it; `None` where they are in memory of their own.
    pub(crate) fn in_file(&self) -> Option<(&Arc<FileBytes>, Range<usize>)> {
        match &self.numbers {
            Numbers::F32(_) | Numbers::BF16(_) | Numbers::F16(_) => None,
            Numbers::Mapped(mapped) => Some((&mapped.file, mapped.start..mapped.start + mapped.len)),
        }
    }

    /// The numbers widened to `f32`.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut wide = vec![0.0; self.shape.elements()];
        self.view().widen_into(0, &mut wide);
        wide
    }

    /// The same numbers under another shape of as many elements.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        if shape.elements() != self.shape.elements() {
            return Err(TensorError::Length {
                shape,
                len: self.shape.elements(),
            });
        }
        Ok(Self {
            shape,
            numbers: self.numbers.clone(),
        })
    }
}

impl WeightView<'_> {
    /// Widens the numbers from `start` on into `wide`, as many as it holds.
    pub fn widen_into(&self, start: usize, wide: &mut [f32]) {
        let range = start..start + wide.len();
        match self {
            WeightView::F32(numbers) => wide.copy_from_slice(&numbers[range]),
            WeightView::BF16(numbers) => {
                wide.iter_mut()
                    .zip(&numbers[range])
                    .for_each(|(wide, number)| *wide = number.to_f32());
            }
            WeightView::F16(numbers) => {
                wide.iter_mut()
                    .zip(&numbers[range])
                    .for_each(|(wide, number)| *wide = number.to_f32());
            }
            WeightView::Blocks(blocks) => blocks.widen_into(start, wide),
        }
    }

    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        match self {
            WeightView::F32(numbers) => numbers.iter().all(|number| number.is_finite()),
            WeightView::BF16(numbers) => numbers.iter().all(|number| number.is_finite()),
            WeightView::F16(numbers) => numbers.iter().all(|number| number.is_finite()),
            WeightView::Blocks(blocks) => blocks.is_finite(),
        }
    }

    /// One number, widened. For naive twins and tests: a match per number is slow.
    pub fn at(&self, index: usize) -> f32 {
        match self {
            WeightView::F32(numbers) => numbers[index],
            WeightView::BF16(numbers) => numbers[index].to_f32(),
            WeightView::F16(numbers) => numbers[index].to_f32(),
            WeightView::Blocks(blocks) => {
                let mut number = [0.0];
                blocks.widen_into(index, &mut number);
                number[0]
            }
        }
    }
}

impl Mapped {
    fn view(&self) -> WeightView<'_> {
        let bytes = &self.file[self.start..self.start + self.len];
        if !self.dtype.is_plain() || self.scale.is_some() {
            let scale = match self.scale.as_deref() {
                None => Scale::None,
                Some([all]) => Scale::All(*all),
                Some(rows) => Scale::Rows(rows, self.row),
            };
            return WeightView::Blocks(Blocks {
                dtype: self.dtype,
                bytes,
                scale,
            });
        }
        let start = bytes.as_ptr();
        let count = self.len / self.dtype.block().bytes;
        match self.dtype {
            // SAFETY: `Weight::mapped` is the only maker: the bytes are aligned for the type, lie inside of the mapping that
            // `self.file` keeps alive, and every bit pattern is a valid f32.
            DType::F32 => WeightView::F32(unsafe { std::slice::from_raw_parts(start.cast(), count) }),
            // SAFETY: as above; `f16` is a transparent u16.
            DType::F16 => WeightView::F16(unsafe { std::slice::from_raw_parts(start.cast(), count) }),
            // SAFETY: as above; `bf16` is a transparent u16, and no other type gets here.
            _ => WeightView::BF16(unsafe { std::slice::from_raw_parts(start.cast(), count) }),
        }
    }
}

impl std::fmt::Debug for Weight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Weight({} {})", self.dtype(), self.shape)
    }
}

fn decode<T, const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (numbers, _) = bytes.as_chunks::<N>();
    numbers.iter().map(|&number| read(number)).collect()
}

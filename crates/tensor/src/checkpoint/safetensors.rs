//! The safetensors format: eight bytes of length, a JSON header, the numbers. Read without trust, written for tests and tools.
//!
//! A sound header describes the rest of the file exactly once: no tensor leaves the file, none overlaps another, nothing lies between
//! them, every span is as long as its shape and type ask for. Where numbers are misaligned the weight copies them.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::Visitor;
use thiserror::Error;

use super::stored::StoredType;
use crate::shape::Shape;
use crate::weight::Weight;
use crate::weight::WeightView;

/// One tensor of a header.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorHeader {
    /// Its name.
    pub name: String,
    /// How its numbers are stored.
    pub stored: StoredType,
    /// Its extents.
    pub shape: Shape,
    /// Where in the file its numbers are.
    pub bytes: Range<usize>,
}

/// What is wrong with a file.
#[derive(Debug, Error)]
pub enum HeaderError {
    /// The file ends before its header.
    #[error("the file has {file} bytes and ends within its header")]
    Truncated {
        /// Bytes of the file.
        file: usize,
    },
    /// The header is longer than any real one.
    #[error("a header of {bytes} bytes is beyond the limit of {MAX_HEADER_BYTES}")]
    TooLong {
        /// What the file says.
        bytes: u64,
    },
    /// The header is not the JSON it should be.
    #[error("the header does not parse")]
    Json(#[source] serde_json::Error),
    /// A name comes twice.
    #[error("the tensor {tensor:?} is described twice")]
    Twice {
        /// The tensor.
        tensor: String,
    },
    /// A number type that nobody knows.
    #[error("the tensor {tensor:?} is stored as {stored:?}, an unknown type")]
    UnknownType {
        /// The tensor.
        tensor: String,
        /// What the file says.
        stored: String,
    },
    /// Extents that no memory can hold, or too many of them.
    #[error("the tensor {tensor:?} has the impossible shape {shape:?}")]
    Shape {
        /// The tensor.
        tensor: String,
        /// What the file says.
        shape: Vec<u64>,
    },
    /// A span that its shape and type contradict.
    #[error("the tensor {tensor:?} takes {expected} bytes by its shape and {found:?} by its offsets")]
    Span {
        /// The tensor.
        tensor: String,
        /// By shape and type.
        expected: usize,
        /// Start and end.
        found: [u64; 2],
    },
    /// A tensor that does not start where the one before it ends.
    #[error(
        "the tensor {tensor:?} starts at byte {found} of the data, where {expected} was due: overlap or hole"
    )]
    Gap {
        /// The tensor.
        tensor: String,
        /// The end of the one before.
        expected: usize,
        /// Its start.
        found: usize,
    },
    /// The data of the file ends before or after its last tensor.
    #[error("the tensors take {expected} bytes and the file holds {found}: the last is {tensor:?}")]
    Length {
        /// The last tensor.
        tensor: String,
        /// By the header.
        expected: usize,
        /// In the file.
        found: usize,
    },
}

/// The limit of the reference implementation; real headers stay below a megabyte or two.
pub const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Reads and checks the header of a file given as its bytes.
pub fn parse(file: &[u8]) -> Result<Vec<TensorHeader>, HeaderError> {
    let truncated = HeaderError::Truncated { file: file.len() };
    let Some((length, rest)) = file.split_first_chunk::<8>() else {
        return Err(truncated);
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES {
        return Err(HeaderError::TooLong { bytes: length });
    }
    let Some((header, data)) = rest.split_at_checked(length as usize) else {
        return Err(truncated);
    };
    let Raw(raw) = serde_json::from_slice(header).map_err(HeaderError::Json)?;

    let mut names = HashSet::new();
    let mut tensors = Vec::with_capacity(raw.len());
    for (name, raw) in raw {
        if !names.insert(name.clone()) {
            return Err(HeaderError::Twice { tensor: name });
        }
        tensors.push(check(name, raw)?);
    }
    check_cover(&mut tensors, data.len())?;
    let data_start = file.len() - data.len();
    for tensor in &mut tensors {
        tensor.bytes = tensor.bytes.start + data_start..tensor.bytes.end + data_start;
    }
    Ok(tensors)
}

/// Writes a file of these weights, in this order. For numbers that stand for themselves, not for quantised ones.
pub fn write(path: impl AsRef<Path>, weights: &[(&str, &Weight)]) -> io::Result<()> {
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, weight) in weights {
        let stored = StoredType::of(weight.dtype()).filter(|_| weight.dtype().is_plain());
        let (start, stored) = (end, stored.ok_or(io::ErrorKind::Unsupported)?);
        end += weight.shape().elements() * stored.block().bytes;
        let entry = serde_json::json!({
            "dtype": stored.name(), "shape": weight.shape().dims(), "data_offsets": [start, end],
        });
        header.insert((*name).into(), entry);
    }
    let mut header = serde_json::Value::Object(header).to_string();
    // Spaces at the end of the header align the numbers after it.
    header.extend(std::iter::repeat_n(
        ' ',
        header.len().next_multiple_of(8) - header.len(),
    ));
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    for (_, weight) in weights {
        match weight.view() {
            WeightView::F32(numbers) => numbers
                .iter()
                .try_for_each(|n| file.write_all(&n.to_le_bytes()))?,
            WeightView::BF16(numbers) => numbers
                .iter()
                .try_for_each(|n| file.write_all(&n.to_le_bytes()))?,
            WeightView::F16(numbers) => numbers
                .iter()
                .try_for_each(|n| file.write_all(&n.to_le_bytes()))?,
            WeightView::Blocks(_) => return Err(io::ErrorKind::Unsupported.into()),
        }
    }
    file.flush()
}

fn check(name: String, raw: RawTensor) -> Result<TensorHeader, HeaderError> {
    let Some(stored) = StoredType::of_safetensors(&raw.dtype) else {
        return Err(HeaderError::UnknownType {
            tensor: name,
            stored: raw.dtype,
        });
    };
    let sizes = raw
        .shape
        .iter()
        .map(|&dim| usize::try_from(dim))
        .collect::<Result<Vec<_>, _>>()
        .ok();
    let shape = sizes.and_then(|dims| Shape::try_new(&dims));
    let bytes = shape
        .and_then(|shape| shape.checked_elements())
        .and_then(|elements| stored.bytes(elements));
    let (Some(shape), Some(expected)) = (shape, bytes) else {
        return Err(HeaderError::Shape {
            tensor: name,
            shape: raw.shape,
        });
    };
    let [start, end] = raw.data_offsets;
    if end.checked_sub(start) != Some(expected as u64) {
        return Err(HeaderError::Span {
            tensor: name,
            expected,
            found: raw.data_offsets,
        });
    }
    match (usize::try_from(start), usize::try_from(end)) {
        (Ok(start), Ok(end)) => Ok(TensorHeader {
            name,
            stored,
            shape,
            bytes: start..end,
        }),
        _ => Err(HeaderError::Span {
            tensor: name,
            expected,
            found: raw.data_offsets,
        }),
    }
}

/// Orders the tensors by their place and checks that together they are the data, once.
fn check_cover(tensors: &mut [TensorHeader], data: usize) -> Result<(), HeaderError> {
    tensors.sort_by_key(|tensor| (tensor.bytes.start, tensor.bytes.end));
    let mut end = 0;
    for tensor in tensors.iter() {
        if tensor.bytes.start != end {
            let (tensor, found) = (tensor.name.clone(), tensor.bytes.start);
            return Err(HeaderError::Gap {
                tensor,
                expected: end,
                found,
            });
        }
        end = tensor.bytes.end;
    }
    if end != data {
        let tensor = tensors
            .last()
            .map_or_else(String::new, |tensor| tensor.name.clone());
        return Err(HeaderError::Length {
            tensor,
            expected: end,
            found: data,
        });
    }
    Ok(())
}

/// The header as it is written: a list, for a JSON object may name a tensor twice and a map would forget the first.
struct Raw(Vec<(String, RawTensor)>);

#[derive(Deserialize)]
struct RawTensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawVisitor).map(Raw)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Vec<(String, RawTensor)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut tensors = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
            } else {
                tensors.push((name, map.next_value()?));
            }
        }
        Ok(tensors)
    }
}

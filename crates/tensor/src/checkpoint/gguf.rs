//! The GGUF format, versions 2 and 3: a list of metadata, a list of tensors, their numbers. Read without trust: every count is met
//! by bytes of the file before anything is kept of it.
//!
//! Reference: ggml `docs/gguf.md`. Tensors of more than four extents, or whose shape ggml could not keep, come from ComfyUI-GGUF,
//! which leaves the true shape in `comfy.gguf.orig_shape.<tensor>`.

use std::collections::HashMap;
use std::collections::HashSet;

use thiserror::Error;

use super::safetensors::TensorHeader;
use super::stored::StoredType;
use crate::shape::Shape;

/// How files begin.
pub(super) const MAGIC: &[u8; 4] = b"GGUF";

/// What is wrong with a file.
#[derive(Debug, Error)]
pub enum GgufError {
    /// The file ends within its header.
    #[error("the file ends within its header, at byte {at}")]
    Truncated {
        /// Where more was due.
        at: usize,
    },
    /// The file does not begin as it should.
    #[error("the file is of version {version}; 2 and 3 are read")]
    Version {
        /// What it says.
        version: u32,
    },
    /// A text is not UTF-8, a value not of a known type, an alignment no power of two.
    #[error("the header makes no sense at byte {at}: {what}")]
    Broken {
        /// Where.
        at: usize,
        /// How.
        what: &'static str,
    },
    /// A number type that nobody knows.
    #[error("the tensor {tensor:?} is stored as ggml's type {number}, an unknown one")]
    UnknownType {
        /// The tensor.
        tensor: String,
        /// What the file says.
        number: u32,
    },
    /// A tensor's description makes no sense.
    #[error("the tensor {tensor:?} of shape {shape:?}: {what}")]
    Tensor {
        /// The tensor.
        tensor: String,
        /// What the file says, outermost first.
        shape: Vec<u64>,
        /// What is wrong.
        what: &'static str,
    },
}

/// A vocabulary in a file's metadata: pieces with their scores, in the order of their ids.
#[derive(Debug, Clone, PartialEq)]
pub struct Vocabulary(pub Vec<(String, f32)>);

/// The header of a file.
struct Header<'a> {
    tensors: Vec<TensorHeader>,
    tokens: Option<Array<'a>>,
    scores: Option<Array<'a>>,
}

/// An array among the metadata, not taken apart yet.
#[derive(Clone, Copy)]
struct Array<'a> {
    kind: u32,
    count: u64,
    items: &'a [u8],
}

/// Reads and checks the tensors of a file given as its bytes.
pub fn parse(file: &[u8]) -> Result<Vec<TensorHeader>, GgufError> {
    Ok(read(file)?.tensors)
}

/// The vocabulary of a file, where it has one.
pub fn vocabulary(file: &[u8]) -> Result<Option<Vocabulary>, GgufError> {
    let Header {
        tensors: _,
        tokens,
        scores,
    } = read(file)?;
    let (Some(tokens), Some(scores)) = (tokens, scores) else {
        return Ok(None);
    };
    let broken = |what| GgufError::Broken { at: 0, what };
    if tokens.kind != STRING || scores.kind != F32 || tokens.count != scores.count {
        return Err(broken("its vocabulary is not of texts and scores"));
    }
    let mut texts = Cursor {
        file: tokens.items,
        at: 0,
    };
    let (scores, _) = scores.items.as_chunks::<4>();
    let piece = |score: &[u8; 4]| Ok((texts.text()?.to_owned(), f32::from_le_bytes(*score)));
    Ok(Some(Vocabulary(
        scores.iter().map(piece).collect::<Result<_, _>>()?,
    )))
}

const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

fn read(file: &[u8]) -> Result<Header<'_>, GgufError> {
    let mut cursor = Cursor {
        file,
        at: MAGIC.len(),
    };
    let version = cursor.u32()?;
    if !(2..=3).contains(&version) {
        return Err(GgufError::Version { version });
    }
    let (tensor_count, metadata_count) = (cursor.u64()?, cursor.u64()?);
    let (mut tokens, mut scores, mut alignment) = (None, None, 32);
    let mut shapes = HashMap::new();
    for _ in 0..metadata_count {
        let key = cursor.text()?;
        let kind = cursor.u32()?;
        if kind == ARRAY {
            let array = cursor.array()?;
            match key {
                "tokenizer.ggml.tokens" => tokens = Some(array),
                "tokenizer.ggml.scores" => scores = Some(array),
                _ => {
                    if let Some(tensor) = key.strip_prefix("comfy.gguf.orig_shape.") {
                        shapes.insert(tensor, array);
                    }
                }
            }
        } else if key == "general.alignment" && kind == U32 {
            alignment = cursor.u32()? as usize;
        } else {
            cursor.skip(kind)?;
        }
    }
    if !alignment.is_power_of_two() {
        return Err(cursor.broken("an alignment that is no power of two"));
    }

    let (mut tensors, mut names) = (Vec::new(), HashSet::new());
    for _ in 0..tensor_count {
        let tensor = cursor.tensor(&shapes)?;
        if !names.insert(tensor.name.clone()) {
            return Err(cursor.broken("a tensor is described twice"));
        }
        tensors.push(tensor);
    }
    let start = cursor.at.checked_next_multiple_of(alignment);
    let start = start.ok_or_else(|| cursor.broken("an alignment beyond the file"))?;
    place(&mut tensors, start, alignment, file.len())?;
    Ok(Header {
        tensors,
        tokens,
        scores,
    })
}

/// Moves tensors to where the data starts, and checks that they stay in the file and out of each other.
fn place(tensors: &mut [TensorHeader], start: usize, alignment: usize, file: usize) -> Result<(), GgufError> {
    tensors.sort_by_key(|tensor| (tensor.bytes.start, tensor.bytes.end));
    let mut end = 0;
    for tensor in tensors.iter_mut() {
        let wrong = |what| GgufError::Tensor {
            tensor: tensor.name.clone(),
            shape: tensor.shape.dims().iter().map(|&dim| dim as u64).collect(),
            what,
        };
        if !tensor.bytes.start.is_multiple_of(alignment) || tensor.bytes.start < end {
            return Err(wrong("it overlaps another, or is not aligned"));
        }
        end = tensor.bytes.end;
        match end.checked_add(start) {
            Some(last) if last <= file => tensor.bytes = tensor.bytes.start + start..last,
            _ => return Err(wrong("it leaves the file")),
        }
    }
    Ok(())
}

struct Cursor<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn tensor(&mut self, shapes: &HashMap<&str, Array<'_>>) -> Result<TensorHeader, GgufError> {
        let name = self.text()?.to_owned();
        let rank = self.u32()? as usize;
        if rank > Shape::MAX_RANK {
            return Err(self.broken("a tensor of more extents than any real one"));
        }
        // The fastest varying extent comes first.
        let mut extents = (0..rank).map(|_| self.u64()).collect::<Result<Vec<_>, _>>()?;
        let row = extents.first().copied().unwrap_or(1);
        extents.reverse();
        let number = self.u32()?;
        let offset = self.u64()?;
        let Some(stored) = StoredType::of_ggml(number) else {
            return Err(GgufError::UnknownType { tensor: name, number });
        };
        let wrong = |tensor, shape, what| Err(GgufError::Tensor { tensor, shape, what });
        let elements = |extents: &[u64]| {
            let dims: Option<Vec<usize>> = extents.iter().map(|&dim| usize::try_from(dim).ok()).collect();
            let shape = Shape::try_new(&dims?)?;
            Some((shape, shape.checked_elements()?))
        };
        let Some((mut shape, count)) = elements(&extents) else {
            return wrong(name, extents, "that is no shape");
        };
        if !row.is_multiple_of(stored.block().elements as u64) {
            return wrong(name, extents, "its rows do not fill their blocks");
        }
        if let Some(array) = shapes.get(name.as_str()) {
            let (items, _) = array.items.as_chunks::<4>();
            let original: Vec<u64> = items
                .iter()
                .map(|&item| u32::from_le_bytes(item).into())
                .collect();
            match elements(&original) {
                Some((original, same)) if same == count && array.kind == I32 => shape = original,
                _ => {
                    return wrong(
                        name,
                        original,
                        "its original shape has another number of elements",
                    );
                }
            }
        }
        let span = usize::try_from(offset).ok().zip(stored.bytes(count));
        let span = span.and_then(|(start, len)| Some(start..start.checked_add(len)?));
        match span {
            Some(bytes) => Ok(TensorHeader {
                name,
                stored,
                shape,
                bytes,
            }),
            None => wrong(name, extents, "it leaves the file"),
        }
    }

    fn array(&mut self) -> Result<Array<'a>, GgufError> {
        let (kind, count) = (self.u32()?, self.u64()?);
        let start = self.at;
        match width(kind) {
            Some(width) => {
                let bytes = usize::try_from(count)
                    .ok()
                    .and_then(|count| count.checked_mul(width));
                let bytes = bytes.ok_or(GgufError::Truncated { at: start })?;
                self.take(bytes)?;
            }
            None if kind == STRING => {
                for _ in 0..count {
                    self.text()?;
                }
            }
            // Lists of lists occur nowhere.
            None => return Err(self.broken("an array of an unknown type")),
        }
        Ok(Array {
            kind,
            count,
            items: &self.file[start..self.at],
        })
    }

    fn skip(&mut self, kind: u32) -> Result<(), GgufError> {
        match width(kind) {
            Some(width) => self.take(width).map(drop),
            None if kind == STRING => self.text().map(drop),
            None => Err(self.broken("a value of an unknown type")),
        }
    }

    fn text(&mut self) -> Result<&'a str, GgufError> {
        let length = self.u64()?;
        let length = usize::try_from(length).map_err(|_| GgufError::Truncated { at: self.at })?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.broken("a text is not UTF-8"))
    }

    fn u32(&mut self) -> Result<u32, GgufError> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes(std::array::from_fn(|i| bytes[i])))
    }

    fn u64(&mut self) -> Result<u64, GgufError> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(std::array::from_fn(|i| bytes[i])))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], GgufError> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.file.get(self.at..end));
        let taken = taken.ok_or(GgufError::Truncated { at: self.at })?;
        self.at += length;
        Ok(taken)
    }

    fn broken(&self, what: &'static str) -> GgufError {
        GgufError::Broken { at: self.at, what }
    }
}

/// Bytes of a value of fixed width.
fn width(kind: u32) -> Option<usize> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        U32 | I32 | F32 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

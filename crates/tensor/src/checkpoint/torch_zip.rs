//! PyTorch's files (`.pth`, `.pt`, `.ckpt` since PyTorch 1.6): a zip archive of a pickle, which describes the tensors, and of their
//! storages, which stay where they are in the mapped file. The pickle is read, never run: see `pickle.rs`.

use thiserror::Error;

use super::pickle;
use super::pickle::Record;
use super::safetensors::TensorHeader;
use super::stored::StoredType;
use super::zip;
use crate::shape::Shape;

/// What is wrong with a file, or not allowed in it.
#[derive(Debug, Error)]
pub enum TorchError {
    /// The archive is not one that `torch.save` writes.
    #[error("the archive is not one of torch.save: {0}")]
    Zip(&'static str),
    /// An entry that is asked for is not there.
    #[error("the archive has no entry {name:?}")]
    Entry {
        /// Its name.
        name: String,
    },
    /// The pickle is longer than any of a state dict.
    #[error("a pickle of {bytes} bytes is beyond the limit of {PICKLE_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// An instruction that no state dict needs.
    #[error("the pickle has the instruction {opcode:#04x} at byte {at}, which no state dict needs")]
    Opcode {
        /// The instruction.
        opcode: u8,
        /// Where.
        at: usize,
    },
    /// Something that a pickle could call, and a state dict does not.
    #[error(
        "the pickle asks for {module}.{name}, which is not allowed: only tensors in a dictionary are read, nothing is run"
    )]
    Global {
        /// Its module.
        module: String,
        /// Its name there.
        name: String,
    },
    /// The pickle makes no sense.
    #[error("the pickle is broken at byte {at}: {what}")]
    Pickle {
        /// How.
        what: &'static str,
        /// Where.
        at: usize,
    },
    /// The dictionary holds something else.
    #[error("{name:?} is not a tensor: only a flat dictionary of tensors is read")]
    NoTensor {
        /// Its key.
        name: String,
    },
    /// A tensor's place makes no sense.
    #[error("the tensor {tensor:?} of shape {shape:?}: {what}")]
    Tensor {
        /// Its name.
        tensor: String,
        /// What the file says.
        shape: Vec<u64>,
        /// What is wrong.
        what: &'static str,
    },
}

/// Far above any real one.
pub const PICKLE_BYTES_MAX: usize = 32 << 20;

/// Reads and checks the tensors of a file given as its bytes.
pub fn parse(file: &[u8]) -> Result<Vec<TensorHeader>, TorchError> {
    let entries = zip::entries(file)?;
    let pickle = entries
        .keys()
        .find(|name| **name == "data.pkl" || name.ends_with("/data.pkl"));
    let pickle = pickle.ok_or_else(|| TorchError::Entry {
        name: "data.pkl".into(),
    })?;
    let folder = pickle.strip_suffix("data.pkl").unwrap_or_default();
    if let Some(order) = entries.get(format!("{folder}byteorder").as_str())
        && &file[order.clone()] != b"little"
    {
        return Err(TorchError::Zip("its numbers are not little-endian"));
    }
    let pickle = &file[entries[pickle].clone()];
    if pickle.len() > PICKLE_BYTES_MAX {
        return Err(TorchError::TooLong { bytes: pickle.len() });
    }
    let records = pickle::state_dict(pickle)?;
    let place = |record: Record<'_>| {
        let name = format!("{folder}data/{}", record.key);
        let storage = entries.get(name.as_str()).ok_or(TorchError::Entry { name })?;
        check(record, storage.clone())
    };
    records.into_iter().map(place).collect()
}

fn check(record: Record<'_>, storage: std::ops::Range<usize>) -> Result<TensorHeader, TorchError> {
    let wrong = |what| TorchError::Tensor {
        tensor: record.name.into(),
        shape: record.shape.clone(),
        what,
    };
    let dims: Option<Vec<usize>> = record
        .shape
        .iter()
        .map(|&dim| usize::try_from(dim).ok())
        .collect();
    let shape = dims.and_then(|dims| Shape::try_new(&dims));
    let elements = shape.and_then(|shape| shape.checked_elements());
    let (Some(shape), Some(elements)) = (shape, elements) else {
        return Err(wrong("that is no shape"));
    };
    if !is_contiguous(&record) {
        return Err(wrong("its numbers do not lie one after the other, row by row"));
    }
    let bytes = |elements: u64| byte_count(record.stored, elements);
    if bytes(record.storage) != Some(storage.len()) {
        return Err(wrong("its storage is not as long as the pickle says"));
    }
    let (start, len) = (bytes(record.offset), record.stored.bytes(elements));
    let end = start.zip(len).and_then(|(start, len)| start.checked_add(len));
    match (start, end) {
        (Some(start), Some(end)) if end <= storage.len() => Ok(TensorHeader {
            name: record.name.into(),
            stored: record.stored,
            shape,
            bytes: storage.start + start..storage.start + end,
        }),
        _ => Err(wrong("it leaves its storage")),
    }
}

fn byte_count(stored: StoredType, elements: u64) -> Option<usize> {
    stored.bytes(usize::try_from(elements).ok()?)
}

/// Whether strides are those of rows one after the other. Extents of one may have any.
fn is_contiguous(record: &Record<'_>) -> bool {
    let mut expected = 1u64;
    let pairs = record.shape.iter().zip(&record.strides).rev();
    record.shape.len() == record.strides.len()
        && (record.shape.contains(&0)
            || pairs.into_iter().all(|(&dim, &stride)| {
                let fits = dim == 1 || stride == expected;
                expected = expected.saturating_mul(dim);
                fits
            }))
}

//! What can go wrong between tensors: a shape that does not fit, or a back end that gave up.
//! Errors of checkpoint files are their own type, [`crate::checkpoint::CheckpointError`].

use thiserror::Error;

use crate::shape::Shape;

/// An op was asked for something its operands cannot give.
#[derive(Debug, Error)]
pub enum TensorError {
    /// The operands of an op do not fit each other.
    #[error("{op}: {expected}, got {}", Shapes(.got))]
    Shape {
        /// The op that refused.
        op: &'static str,
        /// The rule that was broken, in words.
        expected: String,
        /// The shapes it was given, in the order of the arguments.
        got: Vec<Shape>,
    },
    /// A vector does not hold as many numbers as the shape it was given asks for.
    #[error("a tensor of shape {shape} has {} elements, got {len}", .shape.elements())]
    Length {
        /// The shape asked for.
        shape: Shape,
        /// The number of elements that came.
        len: usize,
    },
    /// An index lies outside of the table it points into.
    #[error("{op}: index {index} is outside of a table of {rows} rows")]
    Index {
        /// The op that refused.
        op: &'static str,
        /// The offending index.
        index: usize,
        /// The rows there are.
        rows: usize,
    },
    /// A back end failed at something that is not the caller's fault (memory, a lost device).
    #[error("the device failed at {op}: {reason}")]
    Device {
        /// The op that was running.
        op: &'static str,
        /// What the device said.
        reason: String,
    },
}

/// Shorthand used by every op.
pub type Result<T, E = TensorError> = std::result::Result<T, E>;

struct Shapes<'a>(&'a [Shape]);

impl std::fmt::Display for Shapes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, shape) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{shape}")?;
        }
        Ok(())
    }
}

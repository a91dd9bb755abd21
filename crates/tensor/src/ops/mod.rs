//! The op vocabulary: what model code may ask of a tensor.
//!
//! Each op says its maths and shapes, checks its operands, and hands them to the device's [`Backend`](crate::Backend): dispatch is
//! here and nowhere else. Sums accumulate in `f32`. A *row* is one run of the last axis: a token, or a pixel of all channels.

mod linear;

mod attention;

mod conv3d;

mod norm;

mod elementwise;

mod layout;

mod rounded;

pub use attention::Attention;
pub use conv3d::Conv3d;
pub use conv3d::Geometry;
pub use conv3d::Padding;
pub use elementwise::Activation;
pub use elementwise::PerRow;
pub use layout::Embedding;
pub use linear::Epilogue;
pub use linear::INT8_INPUTS_MAX;
pub use linear::Linear;
pub use norm::LayerNormOutput;
pub use rounded::RoundedTensor;

use crate::error::Result;
use crate::error::TensorError;
use crate::shape::Shape;

/// Refuses with the rule that was broken and the shapes that broke it.
fn require(
    holds: bool,
    op: &'static str,
    expected: impl FnOnce() -> String,
    got: impl FnOnce() -> Vec<Shape>,
) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(TensorError::Shape {
            op,
            expected: expected(),
            got: got(),
        })
    }
}

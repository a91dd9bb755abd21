//! Bytes to frames and back: fetching what users point at, recognising, measuring and decoding it, and encoding the
//! finished clip with its poster.
//!
//! User bytes are never decoded in this process: ffmpeg runs as a [sandboxed](sandbox) child. This crate knows
//! pixels, sound and seconds; it does not know what a generation, a credit or an account is.
//!
//! In reading order:
//! - [`limits`]: what is accepted, as data · [`inspect`]: the one call that checks a file against it
//! - [`fetch`]: a user's URL, to a file, without reaching anything that is not public
//! - [`sniff`], [`image_header`], [`container`]: formats recognised by their bytes, before anything decodes them
//! - [`toolbox`], [`sandbox`], `child`: ffmpeg, found and confined
//! - [`probe`], [`frames`]: bytes to facts and frames · [`compose`]: frames to a clip and its poster

mod child;
pub mod compose;
pub mod container;
pub mod fetch;
pub mod frames;
pub mod image_header;
mod inspection;
pub mod limits;
pub mod probe;
pub mod problem;
pub mod sandbox;
pub mod sniff;
pub mod toolbox;

pub use inspection::inspect;
pub use limits::{Facts, LimitViolation, MediaKind};
pub use problem::{MediaDefect, MediaFailure, MediaProblem, chain};
pub use toolbox::{ChildLimits, Toolbox, ToolboxError, ToolboxOptions};

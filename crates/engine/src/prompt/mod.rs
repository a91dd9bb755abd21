//! What becomes of a prompt before a model reads it. [`shots`]: one clip in several shots.

pub mod shots;

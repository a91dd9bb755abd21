//! Whole generations: submitted to a real store, carried by a real worker, encoded by a real ffmpeg in its sandbox,
//! and the finished files measured by ffprobe. After every one the books are audited.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod failures;
mod keeping;
mod local;
mod money;
mod prompts;
mod stops;
mod stumbles;
mod support;
mod upstreams;
mod wan;
mod workflows;

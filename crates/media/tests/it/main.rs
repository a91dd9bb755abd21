//! The crate as its callers see it, with the real ffmpeg in the real sandbox. Media is made here, by ffmpeg, so that
//! every case says what it is.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test that cannot set up must fail the test"
)]

mod address;
mod compose;
mod fetch;
mod frames;
mod hostile;
mod limits;
mod media;
mod probe;
mod sandbox;

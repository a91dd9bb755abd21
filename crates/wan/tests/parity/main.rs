//! Parity with the reference: every network, sampler and whole generation against the goldens in `fixtures/golden`, which the
//! program beside them wrote with diffusers and transformers.
//!
//! Set `PARITY_REPORT=1` and `--nocapture` to see how large each difference is.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its golden has failed")]

mod golden;

mod samplers;

mod text;

mod dit;

mod vae;

mod image;

mod tokens;

mod pipelines;

mod mini;

mod quality;

mod formats;

mod full_shape;

//! The command line, tried as a person and a service manager use it: the real binary, real files, real signals.
//!
//! One test binary for all of it, because every further one is linked anew. In reading order: `house` (how the
//! program is started and asked) · `configuration` · `first_start` · `books` · `generate` · `doctor` · `postgres` · `migrate` ·
//! `signals`.

#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod books;
mod configuration;
mod doctor;
mod first_start;
mod generate;
mod house;
mod migrate;
mod postgres;
#[expect(dead_code, reason = "shared with tests that let the server lose its power")]
#[path = "../../../store/tests/postgres_server/mod.rs"]
mod postgres_server;
mod signals;

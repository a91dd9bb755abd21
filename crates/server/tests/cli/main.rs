//! The command line, tried as a person and a service manager use it: the real binary, real files, real signals.
//!
//! One test binary for all of it, because every further one is linked anew. In reading order: `house` (how the
//! program is started and asked) · `configuration` · `first_start` · `books` · `generate` · `models` · `doctor` · `postgres` · `migrate` ·
//! `nodes` · `signals`.

#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod books;
mod configuration;
mod doctor;
mod first_start;
mod generate;
mod house;
#[expect(dead_code, reason = "shared with tests that ask for other things of it")]
#[path = "../../../hub/tests/hub_server/mod.rs"]
mod hub_server;
mod migrate;
mod models;
mod nodes;
mod postgres;
#[expect(dead_code, reason = "shared with tests that let the server lose its power")]
#[path = "../../../store/tests/postgres_server/mod.rs"]
mod postgres_server;
mod signals;

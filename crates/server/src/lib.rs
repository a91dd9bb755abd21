//! The server: speaks HTTP, owns the configuration, and composes the parts into one process.
//!
//! In reading order: [`cli`] (what was asked for on the command line) → [`config`] (with which settings) →
//! [`compose`] (the parts, opened and joined) → [`http`] (requests, from here to the store). The binary is a thin
//! `main` over this library, so that tests drive the same parts that it runs.

pub mod cli;
pub mod compose;
pub mod config;
pub mod http;
pub mod logging;
pub mod webhooks;

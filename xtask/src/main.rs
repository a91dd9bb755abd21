//! `cargo xtask <verb>`: everything a person or a build machine does with the project, as one program.
//!
//! It is the first thing a newcomer compiles, so it has next to no dependencies; each verb is one file.
//! What the verbs start (the server, the tests, schemathesis) is left to those programs.

mod bench_service;
mod demo;
mod failure;
mod http;
mod openapi;
mod parity;
mod run;
mod schemathesis;
mod server;
mod setup;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

/// Project automation for Kinora.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what is missing: ffmpeg, cargo-nextest, cargo-deny, rustfmt, clippy, schemathesis.
    Setup,
    /// Check everything: format, lints, dependencies, tidy rules, tests, the API against its description.
    Test,
    /// Start a server, ask it for a video over HTTP, leave a playable MP4 in target/demo.
    Demo,
    /// Measure, and print a table.
    #[command(subcommand)]
    Bench(Bench),
    /// Check the rules of ARCHITECTURE.md and STYLE.md that a program can check.
    Tidy,
    /// Write docs/openapi.json anew from the server's own description of its API.
    Openapi,
    /// Compare the models with PyTorch on drawn sizes and weights; installs PyTorch where PARITY_PYTHON names none.
    Parity {
        /// What to draw from; without one, a seed from the clock.
        seeds: Vec<u64>,
    },
    /// Try the API of a freshly started server with generated requests.
    Schemathesis,
}

#[derive(Subcommand)]
enum Bench {
    /// Creates, polls, streams, claims, start-up, memory, encoding.
    Service,
}

fn main() -> ExitCode {
    let done = run::notice_interrupts().and_then(|()| match Arguments::parse().verb {
        Verb::Setup => setup::for_tests(),
        Verb::Test => test::run(),
        Verb::Demo => demo::run(),
        Verb::Bench(Bench::Service) => bench_service::run(),
        Verb::Tidy => tidy::run(),
        Verb::Openapi => openapi::run(),
        Verb::Parity { seeds } => parity::run(&seeds),
        Verb::Schemathesis => setup::for_schemathesis().and_then(|()| schemathesis::run()),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(sentence)) => {
            if !sentence.is_empty() {
                eprintln!("xtask: {sentence}");
            }
            ExitCode::FAILURE
        }
    }
}

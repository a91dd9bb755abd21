//! `cargo xtask <verb>`: everything a person or a build machine does with the project, as one program.
//!
//! It is the first thing a newcomer compiles, so it has next to no dependencies; each verb is one file.
//! What the verbs start (the server, the tests, schemathesis) is left to those programs.

mod bench;
mod clients;
mod demo;
mod eval;
mod failure;
mod http;
mod npm;
mod openapi;
mod parity;
mod pictures;
mod run;
mod schemathesis;
mod server;
mod setup;
mod studio;
mod test;
mod tidy;

use std::path::PathBuf;
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
    /// Install what is missing: ffmpeg, cargo-nextest, cargo-deny, rustfmt, clippy, schemathesis, Node, Chromium.
    Setup,
    /// Check everything: format, lints, dependencies, tidy rules, tests, the API against its description.
    Test,
    /// Start a server, ask it for a video over HTTP, leave a playable MP4 in target/demo.
    Demo,
    /// Measure, and print a table.
    #[command(subcommand)]
    Bench(Bench),
    /// Judge what a model makes.
    #[command(subcommand)]
    Eval(Eval),
    /// Check the rules of ARCHITECTURE.md and STYLE.md that a program can check.
    Tidy,
    /// Write docs/openapi.json anew from the server's own description of its API.
    Openapi,
    /// Compare the models with PyTorch on drawn sizes and weights; installs PyTorch where PARITY_PYTHON names none.
    Parity {
        /// What to draw from; without one, a seed from the clock.
        seeds: Vec<u64>,
    },
    /// Make the pictures of docs/workflows.md anew, by the commands that stand there; KINORA names the program.
    Pictures,
    /// Try the API of a freshly started server with generated requests.
    Schemathesis,
    /// Build the pages of studio/ anew.
    Studio,
    /// Write the generated part of clients/ anew, from docs/openapi.json.
    Clients {
        /// Try the clients against a freshly started server instead.
        #[arg(long)]
        test: bool,
    },
}

#[derive(Subcommand)]
enum Bench {
    /// Creates, polls, streams, claims, start-up, memory, encoding.
    Service,
    /// Several nodes, on SQLite and PostgreSQL: creates, claims from long queues, events from node to node.
    Scale {
        /// The longest queue that claims are measured in front of. Filling it takes most of the time.
        #[arg(long, default_value_t = 1_000_000)]
        backlog: u32,
    },
    /// The engine's stages at full shape, in turn with diffusers; installs PyTorch where PARITY_PYTHON names none.
    Engine {
        /// Which stages; all where none is named. An unknown name is answered with those that there are.
        stages: Vec<String>,
        /// How often each side runs, an odd number. The longest stages run once.
        #[arg(long, default_value_t = 3)]
        rounds: u32,
    },
}

#[derive(Subcommand)]
enum Eval {
    /// wan-mini: colours, shapes, motions, backgrounds; installs PyTorch where PARITY_PYTHON names none.
    Mini {
        /// How many clips; every second one is of a combination and a phrasing that was never trained on.
        #[arg(long, default_value_t = 320)]
        count: u32,
        /// Prompts of one's own, one a line: rendered, and what is seen is told.
        #[arg(long)]
        prompts: Option<PathBuf>,
        /// A picture of the first clips.
        #[arg(long)]
        sheet: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let done = run::notice_interrupts().and_then(|()| match Arguments::parse().verb {
        Verb::Setup => setup::for_tests(),
        Verb::Test => test::run(),
        Verb::Demo => demo::run(),
        Verb::Bench(Bench::Service) => bench::service(),
        Verb::Bench(Bench::Scale { backlog }) => bench::scale(backlog),
        Verb::Bench(Bench::Engine { stages, rounds }) => bench::engine(&stages, rounds),
        Verb::Eval(Eval::Mini {
            count,
            prompts,
            sheet,
        }) => eval::mini(&eval::Options {
            count,
            prompts,
            sheet,
        }),
        Verb::Tidy => tidy::run(),
        Verb::Openapi => openapi::run(),
        Verb::Parity { seeds } => parity::run(&seeds),
        Verb::Pictures => pictures::run(),
        Verb::Schemathesis => setup::for_schemathesis().and_then(|()| schemathesis::run()),
        Verb::Studio => studio::run(),
        Verb::Clients { test: false } => clients::generate::run(),
        Verb::Clients { test: true } => test::clients_alone(),
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

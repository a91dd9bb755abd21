//! The command line: what was asked for, and who carries it out. Each verb is one file.
//!
//! Exit codes: 0 done · 1 it failed · 2 the command line, the configuration or the request was refused · 130 it
//! was interrupted.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config, Flag};

mod accounts;
mod client;
mod credits;
mod doctor;
mod failure;
mod generate;
mod keys;
mod mcp;
mod migrate;
mod models;
mod openapi;
mod print;
mod serve;
mod signals;
mod table;
mod top;
mod worker;
mod workers;

use failure::Outcome;

/// A self-hosted server for the Wan video models.
#[derive(Debug, Parser)]
#[command(name = "kinora", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(flatten)]
    common: CommonArguments,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve the API and make videos, in one process or in several by their roles.
    Serve(serve::Arguments),
    /// Make videos for servers on the same database: `serve --role worker` that need not listen.
    Worker(worker::Arguments),
    /// Make one video, here or on a server.
    Generate(Box<generate::Arguments>),
    /// Offer a server's abilities as tools of the Model Context Protocol.
    Mcp(mcp::Arguments),
    /// Checkpoints: list, show, check, pull, remove.
    #[command(subcommand)]
    Models(models::Verb),
    /// API keys: create, list, revoke.
    #[command(subcommand)]
    Key(keys::Verb),
    /// Accounts: create, list.
    #[command(subcommand)]
    Account(accounts::Verb),
    /// Workers: list, drain, resume.
    #[command(subcommand)]
    Workers(workers::Verb),
    /// Show the queue and its workers, live.
    Top(top::Arguments),
    /// Credits: grant, show, entries.
    #[command(subcommand)]
    Credits(credits::Verb),
    /// Move the installation to another database, while its servers run.
    Migrate(migrate::Arguments),
    /// Check ffmpeg, the sandbox, the disk, the database and the ledger.
    Doctor(doctor::Arguments),
    /// Print the description of the API, an OpenAPI document.
    Openapi,
}

/// What every verb takes.
#[derive(Debug, Args)]
struct CommonArguments {
    /// A file with settings that differ from the defaults
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the database and the media are [data.dir]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
}

impl CommonArguments {
    /// The configuration, with `flags` on top.
    fn load(&self, flags: impl IntoIterator<Item = Option<Flag>>) -> Outcome<Config> {
        let data_dir = flag("--data-dir", "data.dir", self.data_dir.as_deref());
        let flags = flags.into_iter().chain([data_dir]).flatten();
        Ok(Config::load(
            self.config.as_deref(),
            config::environment(),
            flags,
        )?)
    }
}

/// A flag that was given.
fn flag(name: &'static str, key: &'static str, value: Option<&str>) -> Option<Flag> {
    value.map(|value| Flag {
        name,
        key,
        value: value.to_owned(),
    })
}

/// A flag that may be repeated, for a key that is a list.
fn flags(name: &'static str, key: &'static str, values: &[String]) -> Option<Flag> {
    (!values.is_empty()).then(|| Flag {
        name,
        key,
        value: values.join(","),
    })
}

/// Does what the process's command line says.
pub fn run() -> ExitCode {
    let Arguments { common, verb } = Arguments::parse();
    let done = match verb {
        Verb::Serve(arguments) => serve::run(&common, arguments),
        Verb::Worker(arguments) => worker::run(&common, arguments),
        Verb::Generate(arguments) => generate::run(&common, *arguments),
        Verb::Mcp(arguments) => mcp::run(&common, arguments),
        Verb::Models(verb) => models::run(&common, verb),
        Verb::Key(verb) => keys::run(&common, verb),
        Verb::Account(verb) => accounts::run(&common, verb),
        Verb::Workers(verb) => workers::run(&common, verb),
        Verb::Top(arguments) => top::run(&common, arguments),
        Verb::Credits(verb) => credits::run(&common, verb),
        Verb::Migrate(arguments) => migrate::run(&common, arguments),
        Verb::Doctor(arguments) => doctor::run(&common, arguments),
        Verb::Openapi => openapi::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}

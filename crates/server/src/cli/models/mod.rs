//! `kinora models`: the checkpoints there are, what each can do, whether its files are sound; fetched from the Hub, and removed.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use kinora_engine::WanEngine;
use kinora_hub::Reference;

use super::{
    CommonArguments,
    failure::{Failure, Outcome, failed},
    flag, flags,
    print::print_line,
};
use crate::{
    compose::{OpenEnginesError, wan_options},
    config::{Config, EngineConfig},
};

mod list;
mod progress;
mod pull;
mod remove;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Checkpoints: the built-in one, the configured one, those in the folder `checkpoints` of the data directory, and those in the
    /// cache of Hugging Face's programs.
    List,
    /// What a checkpoint is and does.
    Show(Checkpoint),
    /// Check every tensor: names, shapes, and that every number is finite.
    Check(Checkpoint),
    /// Fetch a checkpoint from the Hub, as far as it is not here, and check it.
    Pull(pull::Arguments),
    /// Remove a checkpoint, or one revision of it, from the cache.
    Remove(remove::Arguments),
}

#[derive(Debug, Args)]
pub(super) struct Checkpoint {
    /// Its folder, its transformer, or its name on the Hub [engine.checkpoint]
    checkpoint: Option<String>,
    /// A LoRA to merge into it: PATH, PATH:SCALE, or PATH:SCALE:high_noise; may be repeated [engine.loras]
    #[arg(long, value_name = "LORA")]
    lora: Vec<String>,
    /// What may be left out: exact, balanced or fast [engine.quality]
    #[arg(long, value_name = "TIER")]
    quality: Option<String>,
}

pub(super) fn run(common: &CommonArguments, verb: Verb) -> Outcome {
    match verb {
        Verb::List => list::run(&common.load([])?),
        Verb::Show(checkpoint) => show(&load(common, checkpoint)?),
        Verb::Check(checkpoint) => check(&load(common, checkpoint)?),
        Verb::Pull(arguments) => pull::run(&common.load([])?, arguments),
        Verb::Remove(arguments) => remove::run(&common.load([])?, &arguments),
    }
}

fn load(
    common: &CommonArguments,
    Checkpoint {
        checkpoint,
        lora,
        quality,
    }: Checkpoint,
) -> Outcome<Config> {
    common.load([
        flag("CHECKPOINT", "engine.checkpoint", checkpoint.as_deref()),
        flags("--lora", "engine.loras", &lora),
        flag("--quality", "engine.quality", quality.as_deref()),
    ])
}

fn show(config: &Config) -> Outcome {
    let engine = open(config, config.engine.checkpoint.as_deref()).map_err(failed("nothing to show"))?;
    let facts = engine.describe();
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = facts
        .iter()
        .map(|(name, value)| format!("{name:width$}  {value}"))
        .collect();
    print_line(lines.join("\n"))
}

fn check(config: &Config) -> Outcome {
    let engine = open(config, config.engine.checkpoint.as_deref()).map_err(failed(WRONG))?;
    print_line(check_numbers(&engine)?)
}

/// What is said of a checkpoint that cannot be run.
const WRONG: &str = "something is wrong";

/// Reads all numbers of a checkpoint; the sentence that it is sound.
fn check_numbers(engine: &WanEngine) -> Outcome<String> {
    engine.check_numbers().map_err(failed(WRONG))?;
    Ok(format!(
        "{} is sound: every tensor is there, has its shape, and is finite; {}",
        fact(engine, "name"),
        fact(engine, "weights")
    ))
}

/// A checkpoint as it is named, with the settings of the engine. LoRAs are for the one that is configured.
fn open(config: &Config, checkpoint: Option<&Path>) -> Result<WanEngine, OpenEnginesError> {
    let mut engine = EngineConfig {
        checkpoint: checkpoint.map(PathBuf::from),
        ..config.engine.clone()
    };
    if engine.checkpoint != config.engine.checkpoint {
        engine.loras.clear();
    }
    Ok(WanEngine::open(wan_options(&engine, &config.hub)?)?)
}

/// One of the facts by which a checkpoint is described.
fn fact(engine: &WanEngine, wanted: &str) -> String {
    let facts = engine.describe();
    let found = facts.into_iter().find(|(name, _)| *name == wanted);
    found.map(|(_, value)| value).unwrap_or_default()
}

/// What was named as one on the Hub.
fn reference(text: &str) -> Outcome<Reference> {
    Reference::parse(text).ok_or_else(|| {
        let names: Vec<&str> = kinora_hub::name::short_names().collect();
        Failure::refused(format!(
            "{text:?} is no OWNER/NAME[@REVISION] of a repository on the Hub, nor one of the short names {}",
            names.join(", ")
        ))
    })
}

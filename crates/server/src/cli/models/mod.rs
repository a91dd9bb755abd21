//! `kinora models`: the checkpoints there are, what each can do, and whether its files are sound.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use kinora_engine::WanEngine;
use kinora_media::chain;

use super::{
    CommonArguments,
    failure::{Outcome, failed},
    flag, flags,
    print::{print, print_line},
    table::Table,
};
use crate::{compose::wan_options, config::Config};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Checkpoints: the built-in one, the configured one, and those in the folder `checkpoints` of the data directory.
    List,
    /// What a checkpoint is and does.
    Show(Checkpoint),
    /// Check every tensor: names, shapes, and that every number is finite.
    Check(Checkpoint),
}

#[derive(Debug, Args)]
pub(super) struct Checkpoint {
    /// Its folder, or its transformer [engine.checkpoint]
    checkpoint: Option<String>,
    /// A LoRA to merge into it: PATH, PATH:SCALE, or PATH:SCALE:high_noise; may be repeated [engine.loras]
    #[arg(long, value_name = "LORA")]
    lora: Vec<String>,
}

pub(super) fn run(common: &CommonArguments, verb: Verb) -> Outcome {
    match verb {
        Verb::List => list(&common.load([])?),
        Verb::Show(checkpoint) => show(&load(common, checkpoint)?),
        Verb::Check(checkpoint) => check(&load(common, checkpoint)?),
    }
}

fn load(common: &CommonArguments, Checkpoint { checkpoint, lora }: Checkpoint) -> Outcome<Config> {
    common.load([
        flag("CHECKPOINT", "engine.checkpoint", checkpoint.as_deref()),
        flags("--lora", "engine.loras", &lora),
    ])
}

fn list(config: &Config) -> Outcome {
    let mut folders = vec![None];
    folders.extend(config.engine.checkpoint.clone().map(Some));
    let shelf = config.data.dir.join("checkpoints");
    let found = checkpoints_in(&shelf).map_err(failed(format!("{} cannot be read", shelf.display())))?;
    folders.extend(
        found
            .into_iter()
            .map(Some)
            .filter(|folder| *folder != config.engine.checkpoint),
    );

    let mut table = Table::new(["name", "where", "starts from"]);
    for folder in folders {
        let place = folder
            .as_deref()
            .map_or("built in".to_owned(), |path| path.display().to_string());
        let (name, does) = match open(config, folder.clone()) {
            Ok(engine) => {
                let facts = engine.describe();
                let fact = |wanted| facts.iter().find(|(name, _)| *name == wanted);
                let value = |wanted| fact(wanted).map(|(_, value)| value.clone()).unwrap_or_default();
                (value("name"), value("starts from"))
            }
            Err(error) => ("-".to_owned(), chain(&error).to_string()),
        };
        table.row([name, place, does]);
    }
    print(&table.render())
}

fn show(config: &Config) -> Outcome {
    let engine = open(config, config.engine.checkpoint.clone()).map_err(failed("nothing to show"))?;
    let facts = engine.describe();
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = facts
        .iter()
        .map(|(name, value)| format!("{name:width$}  {value}"))
        .collect();
    print_line(lines.join("\n"))
}

fn check(config: &Config) -> Outcome {
    const WRONG: &str = "something is wrong";
    let engine = open(config, config.engine.checkpoint.clone()).map_err(failed(WRONG))?;
    engine.check_numbers().map_err(failed(WRONG))?;
    let facts = engine.describe();
    let fact = |wanted| facts.iter().find(|(name, _)| *name == wanted);
    let value = |wanted| fact(wanted).map_or("", |(_, value)| value.as_str());
    print_line(format_args!(
        "{} is sound: every tensor is there, has its shape, and is finite; {}",
        value("name"),
        value("weights")
    ))
}

fn open(
    config: &Config,
    checkpoint: Option<PathBuf>,
) -> Result<WanEngine, kinora_engine::OpenCheckpointError> {
    let mut options = wan_options(&config.engine);
    // LoRAs are for the checkpoint that is configured.
    if checkpoint != config.engine.checkpoint {
        options.loras.clear();
    }
    options.checkpoint = checkpoint;
    WanEngine::open(options)
}

/// The folders on a shelf, each of them a checkpoint or told why it is none. A shelf that is not there holds none.
fn checkpoints_in(shelf: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(shelf) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths?;
    paths.retain(|path| path.is_dir());
    paths.sort();
    Ok(paths)
}

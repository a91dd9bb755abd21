//! `kinora models remove`: what a checkpoint takes in the cache becomes free again, unless it is still meant.

use std::io::{IsTerminal, Write, stderr, stdin};

use clap::Args;
use kinora_hub::{CacheError, Removal, size};
use kinora_media::chain;

use super::reference;
use crate::{
    cli::{
        failure::{Failure, Outcome, failed},
        print::{print_line, tell},
    },
    compose::locate,
    config::Config,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// OWNER/NAME, or OWNER/NAME@REVISION for one revision of it
    checkpoint: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(config: &Config, Arguments { checkpoint, yes }: &Arguments) -> Outcome {
    let reference = reference(checkpoint)?;
    if reference.path.is_some() {
        return Err(Failure::refused(format!(
            "{checkpoint}: repositories are removed, and revisions of them, not single files"
        )));
    }
    let cache = config.hub.cache();
    let revision = checkpoint.contains('@').then_some(&reference.revision);
    let removal = cache.removal(&reference.repository, revision).map_err(refusal)?;
    check_unused(config, &removal)?;
    let commits = match removal.commits.len() {
        1 => "one commit".to_owned(),
        commits => format!("{commits} commits"),
    };
    tell(format_args!(
        "kinora: {checkpoint}, {commits} in {}: {} become free{}",
        cache.root().display(),
        size(removal.bytes),
        match removal.is_shared {
            true => "; what other repositories have in common with it stays until `hf cache prune`",
            false => "",
        }
    ));
    if !*yes && !ask()? {
        return Err(Failure::interrupted("nothing was removed"));
    }
    cache.remove(&removal).map_err(refusal)?;
    print_line(format_args!("{} are free again", size(removal.bytes)))
}

/// Refuses what the configuration names.
fn check_unused(config: &Config, removal: &Removal) -> Outcome {
    let checkpoint = config
        .engine
        .checkpoint
        .iter()
        .map(|path| ("engine.checkpoint", path));
    let loras = config
        .engine
        .loras
        .iter()
        .map(|lora| ("engine.loras", &lora.path));
    for (key, named) in checkpoint.chain(loras) {
        if locate(&config.hub, named).is_ok_and(|located| removal.takes(&located.path)) {
            return Err(Failure::refused(format!(
                "{key} names it ({}): a server could not start any more",
                named.display()
            )));
        }
    }
    Ok(())
}

/// Whether the person means it.
fn ask() -> Outcome<bool> {
    if !stdin().is_terminal() {
        return Err(Failure::refused("nobody can be asked here: give --yes"));
    }
    let unasked = || failed("the question could not be asked");
    write!(stderr(), "Remove it? [y/N] ").map_err(unasked())?;
    let mut answer = String::new();
    stdin().read_line(&mut answer).map_err(unasked())?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn refusal(error: CacheError) -> Failure {
    let sentence = chain(&error);
    match error {
        CacheError::Missing { .. } | CacheError::Busy { .. } => Failure::refused(sentence),
        CacheError::Use { .. } => Failure::failed(sentence),
    }
}

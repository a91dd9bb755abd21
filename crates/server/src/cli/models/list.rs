//! `kinora models list`: everything that can be run here, and what lies about and cannot.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use kinora_hub::{Cache, CacheError, choose};
use kinora_media::chain;

use super::{fact, open};
use crate::{
    cli::{
        failure::{Outcome, failed},
        print::print,
        table::Table,
    },
    compose::locate,
    config::Config,
};

/// A checkpoint that may be run.
struct Candidate {
    /// As it is named on a command line; nothing for the one that is part of the program.
    named: Option<PathBuf>,
    /// Whether it is told where it cannot be run.
    is_told: bool,
}

pub(super) fn run(config: &Config) -> Outcome {
    let mut candidates = vec![None];
    candidates.extend(config.engine.checkpoint.clone().map(Some));
    let shelf = config.data.dir.join("checkpoints");
    let found = checkpoints_in(&shelf).map_err(failed(format!("{} cannot be read", shelf.display())))?;
    candidates.extend(found.into_iter().map(Some));
    let mut candidates: Vec<Candidate> = candidates
        .into_iter()
        .map(|named| Candidate { named, is_told: true })
        .collect();
    let cached = checkpoints_of(&config.hub.cache()).map_err(failed("the cache cannot be read"))?;
    candidates.extend(cached);

    let mut table = Table::new(["name", "where", "starts from"]);
    let mut seen: Vec<Option<PathBuf>> = Vec::new();
    for Candidate { named, is_told } in candidates {
        // One of them may be named in several ways.
        let place = named.as_deref().map(|named| match locate(&config.hub, named) {
            Ok(located) => located.path.canonicalize().unwrap_or(located.path),
            Err(_) => named.to_owned(),
        });
        if seen.contains(&place) {
            continue;
        }
        seen.push(place);
        let shown = named
            .as_deref()
            .map_or("built in".to_owned(), |path| path.display().to_string());
        match open(config, named.as_deref()) {
            Ok(engine) => table.row([fact(&engine, "name"), shown, fact(&engine, "starts from")]),
            Err(error) if is_told => table.row(["-".to_owned(), shown, chain(&error).to_string()]),
            Err(_) => {}
        }
    }
    print(&table.render())
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

/// What lies in the cache. Most of that may be for other programs: only what is laid out as a checkpoint is told where it cannot be run.
fn checkpoints_of(cache: &Cache) -> Result<Vec<Candidate>, CacheError> {
    let mut candidates = Vec::new();
    for cached in cache.repositories()? {
        for snapshot in &cached.snapshots {
            let named = PathBuf::from(snapshot.reference(&cached.repository).to_string());
            let names = snapshot.files()?;
            // ComfyUI's repositories have its folders below this one.
            let split = names.iter().any(|name| name.starts_with("split_files/"));
            candidates.extend(split.then(|| Candidate {
                named: Some(named.join("split_files")),
                is_told: false,
            }));
            candidates.push(Candidate {
                named: Some(named),
                is_told: choose::is_checkpoint(&names),
            });
        }
    }
    Ok(candidates)
}

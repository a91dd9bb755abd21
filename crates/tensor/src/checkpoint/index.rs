//! Which files a checkpoint consists of.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;

use crate::checkpoint::CheckpointError;

/// The files of a checkpoint, and what its index says each of them holds.
pub(super) struct Layout {
    pub(super) files: Vec<PathBuf>,
    pub(super) promises: Vec<(String, PathBuf)>,
}

#[derive(Deserialize)]
struct IndexFile {
    weight_map: BTreeMap<String, String>,
}

const INDEX: &str = ".safetensors.index.json";

/// How files of weights end.
const WEIGHTS: [&str; 4] = [".safetensors", ".pth", ".pt", ".gguf"];

/// Finds the files of a checkpoint: a folder with one index or one file of weights, an index, or a file.
pub(super) fn find(path: &Path) -> Result<Layout, CheckpointError> {
    if path.is_dir() {
        let names = list(path)?;
        let ending = |end: &str| {
            names
                .iter()
                .filter(|file| ends(file, end))
                .cloned()
                .collect::<Vec<_>>()
        };
        let indices = ending(INDEX);
        let files: Vec<PathBuf> = WEIGHTS.iter().flat_map(|end| ending(end)).collect();
        return match (&indices[..], &files[..]) {
            ([index], _) => from_index(index),
            ([], [file]) => Ok(Layout {
                files: vec![file.clone()],
                promises: Vec::new(),
            }),
            ([], []) => Err(CheckpointError::Empty { path: path.into() }),
            _ => Err(CheckpointError::Ambiguous { path: path.into() }),
        };
    }
    if ends(path, ".json") {
        from_index(path)
    } else {
        Ok(Layout {
            files: vec![path.into()],
            promises: Vec::new(),
        })
    }
}

fn from_index(path: &Path) -> Result<Layout, CheckpointError> {
    let open = |source| CheckpointError::Open {
        path: path.into(),
        source,
    };
    let bytes = fs::read(path).map_err(open)?;
    let index: IndexFile = serde_json::from_slice(&bytes).map_err(|source| CheckpointError::Index {
        path: path.into(),
        source,
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut layout = Layout {
        files: Vec::new(),
        promises: Vec::new(),
    };
    for shard in index.weight_map.values().collect::<BTreeSet<_>>() {
        // An index comes with the download: it must not reach for files elsewhere on this machine.
        if Path::new(shard)
            .file_name()
            .is_none_or(|name| name != shard.as_str())
        {
            return Err(CheckpointError::ShardName {
                path: path.into(),
                shard: shard.clone(),
            });
        }
        layout.files.push(folder.join(shard));
    }
    layout.promises = index
        .weight_map
        .into_iter()
        .map(|(tensor, shard)| (tensor, folder.join(shard)))
        .collect();
    Ok(layout)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let open = |source| CheckpointError::Open {
        path: folder.into(),
        source,
    };
    let mut names = fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(open)?;
    names.sort();
    Ok(names)
}

fn ends(path: &Path, end: &str) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().ends_with(end))
}

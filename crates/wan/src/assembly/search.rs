//! Looking for the parts of a checkpoint among files, by what is in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use kinora_tensor::Checkpoint;
use serde::Deserialize;

use super::source;
use crate::error::LoadError;
use crate::names;
use crate::names::Network;

/// Where programs keep what: below the folder that a checkpoint is.
pub(super) const FOLDERS: [&str; 12] = [
    "",
    "diffusion_models",
    "unet",
    "high_noise_model",
    "low_noise_model",
    "HighNoise",
    "LowNoise",
    "text_encoders",
    "clip",
    "vae",
    "clip_vision",
    "VAE",
];

const INDEX: &str = ".safetensors.index.json";
const WEIGHTS: [&str; 4] = ["safetensors", "pth", "pt", "gguf"];

/// A network, in a file of its own or in shards.
pub(super) struct Found {
    /// The file, or the index.
    pub(super) path: PathBuf,
    pub(super) network: Network,
    /// Its tensors by our names.
    pub(super) checkpoint: Checkpoint,
}

/// What lies about.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) found: Vec<Found>,
    /// Files that could not be read.
    pub(super) failed: Vec<LoadError>,
}

impl Shelf {
    /// Every network below `root`.
    pub(super) fn of(root: &Path) -> Self {
        let mut shelf = Self::default();
        // Where cases are not told apart, two of the names are one folder.
        let mut seen = BTreeSet::new();
        let folders = FOLDERS.iter().map(|folder| root.join(folder));
        let mut is_new = |folder: &PathBuf| fs::canonicalize(folder).is_ok_and(|place| seen.insert(place));
        for folder in folders.filter(|folder| is_new(folder)) {
            for path in weights_in(&folder) {
                match look(&path) {
                    Ok(Some(found)) => shelf.found.push(found),
                    Ok(None) => {}
                    Err(error) => shelf.failed.push(error),
                }
            }
        }
        shelf
    }
}

/// The network in a file; None where it holds none that is known.
pub(super) fn look(path: &Path) -> Result<Option<Found>, LoadError> {
    let checkpoint = source::open(path)?;
    let Some(dialect) = names::recognise(&checkpoint) else {
        return Ok(None);
    };
    let translated = dialect
        .translate(checkpoint)
        .map_err(|source| LoadError::Checkpoint {
            path: path.into(),
            source,
        })?;
    Ok(Some(Found {
        path: path.into(),
        network: dialect.network,
        checkpoint: translated,
    }))
}

#[derive(Deserialize)]
struct Index {
    weight_map: std::collections::BTreeMap<String, String>,
}

/// Files of weights in a folder; shards stand behind their index. A folder that is not there holds none.
fn weights_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let files: BTreeSet<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let is_index = |path: &&PathBuf| path.to_string_lossy().ends_with(INDEX);
    let indices: Vec<PathBuf> = files.iter().filter(is_index).cloned().collect();
    // An index that does not parse is told when it is opened.
    let index = |path: &PathBuf| serde_json::from_slice::<Index>(&fs::read(path).ok()?).ok();
    let shards = indices
        .iter()
        .filter_map(index)
        .flat_map(|index| index.weight_map.into_values());
    let shards: BTreeSet<PathBuf> = shards.map(|shard| folder.join(shard)).collect();
    let is_weights = |path: &PathBuf| {
        let end = path.extension().map(|end| end.to_string_lossy().to_lowercase());
        end.is_some_and(|end| WEIGHTS.contains(&end.as_str())) && path.is_file() && !shards.contains(path)
    };
    let single = files.iter().filter(|path| is_weights(path)).cloned();
    indices.iter().cloned().chain(single).collect()
}

/// How much noise a transformer is for, where its file or folder says so: shapes do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noise {
    High,
    Low,
}

impl Noise {
    /// What the last two parts of a path say.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let parts: Vec<String> = path.iter().rev().take(2).map(plain).collect();
        let says = |word: &str| parts.iter().any(|part| part.contains(word));
        match (says("highnoise"), says("lownoise")) {
            (true, false) => Some(Noise::High),
            (false, true) => Some(Noise::Low),
            _ => None,
        }
    }
}

/// Letters and digits alone, in lower case.
fn plain(part: &std::ffi::OsStr) -> String {
    let text = part.to_string_lossy().to_lowercase();
    text.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// The file that differs from `path` in the noise it is for and in nothing else.
pub(super) fn partner(path: &Path, candidates: &[PathBuf]) -> Option<PathBuf> {
    let neutral = |path: &Path| -> Vec<String> {
        let parts = path.iter().rev().take(2).map(plain);
        parts
            .map(|part| part.replace("highnoise", "noise").replace("lownoise", "noise"))
            .collect()
    };
    let wanted = neutral(path);
    let noise = Noise::of(path);
    let mut fitting = candidates.iter().filter(|other| {
        let other_noise = Noise::of(other);
        other_noise.is_some() && other_noise != noise && neutral(other) == wanted
    });
    fitting.next().cloned()
}

//! From what an operator calls a checkpoint to where it lies: a path is taken as it is, a name on the Hub is looked up in the cache.

use std::path::{Path, PathBuf};

use kinora_hub::Reference;
use thiserror::Error;

use crate::config::HubConfig;

/// A checkpoint, or a LoRA, that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Where it lies.
    pub path: PathBuf,
    /// What it is called, where its path does not tell: folders of the cache are named after commits.
    pub name: Option<String>,
}

/// What could be on the Hub, and is not here.
#[derive(Debug, Error)]
#[error(
    "{reference} is no file or folder here, nor in the cache {}; if it is on the Hub, `kinora models pull {reference}` fetches it",
    cache.display()
)]
pub struct NotHere {
    reference: Reference,
    cache: PathBuf,
}

/// Where `named` lies. A path that leads nowhere and cannot be a name on the Hub is left to whoever opens it.
pub fn locate(hub: &HubConfig, named: &Path) -> Result<Located, NotHere> {
    let as_it_is = || Located {
        path: named.to_owned(),
        name: None,
    };
    if named.exists() {
        return Ok(as_it_is());
    }
    let Some(reference) = named.to_str().and_then(Reference::parse) else {
        return Ok(as_it_is());
    };
    let cache = hub.cache();
    match cache.find(&reference) {
        Some(path) => Ok(Located {
            path,
            name: match reference.path {
                None => Some(reference.repository.name().to_owned()),
                Some(_) => None,
            },
        }),
        None => Err(NotHere {
            reference,
            cache: cache.root().to_owned(),
        }),
    }
}

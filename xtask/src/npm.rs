//! npm, for the folders that are Node packages: what their locks name, in exactly these versions.

use std::fs;
use std::process::Command;

use crate::failure::Outcome;
use crate::run::{program, root, succeed};

/// npm in a folder of the work tree.
pub(crate) fn npm(folder: &str) -> Command {
    let mut command = program("npm");
    command.current_dir(root().join(folder));
    command
}

/// Installs what the folder's lock names. A copy of the lock remembers that this has been done.
pub(crate) fn install(folder: &str) -> Outcome {
    let lock = root().join(folder).join("package-lock.json");
    let done = root().join(folder).join("node_modules/.installed-lock");
    let text =
        fs::read_to_string(&lock).map_err(|source| format!("cannot read {}: {source}", lock.display()))?;
    if fs::read_to_string(&done).is_ok_and(|installed| installed == text) {
        return Ok(());
    }
    succeed(npm(folder).args(["ci", "--no-progress"]))?;
    fs::write(&done, text).map_err(|source| format!("cannot write {}: {source}", done.display()).into())
}

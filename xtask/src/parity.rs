//! `cargo xtask parity [SEED…]`: the models against PyTorch on sizes and weights that nobody picked.
//!
//! Each seed draws a tiny configuration of every variant, the reference runs it, and the crate's own parity tests run on
//! the outcome. The reference is some gigabytes of Python packages, so that this is no part of `cargo xtask test`.

use std::env;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::failure::Outcome;
use crate::run::{program, root, succeed, target};
use crate::setup;

/// Draws and compares; one seed from the clock where none is given, printed so that it can be given again.
pub(crate) fn run(seeds: &[u64]) -> Outcome {
    let drawn = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(1, |since| since.as_secs() % 100_000);
    let seeds = if seeds.is_empty() { &[drawn] } else { seeds };
    let python = python("parity", "fixtures/golden/requirements.txt")?;
    println!("seeds {seeds:?}");
    let script = root().join("fixtures/golden/random_parity.py");
    succeed(program(python).arg(script).args(seeds.iter().map(u64::to_string)))
}

/// A Python with PyTorch, diffusers and transformers: the one that PARITY_PYTHON names, else one of this name made here.
pub(crate) fn python(name: &str, list: &str) -> Outcome<PathBuf> {
    if let Some(named) = env::var_os("PARITY_PYTHON") {
        return Ok(named.into());
    }
    let folder = target().join(format!("{name}-venv"));
    let python = folder.join("bin/python");
    if !python.exists() {
        setup::make_venv(&folder)?;
    }
    let list = root().join(list);
    let mut pip = program(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    succeed(pip.arg("--requirement").arg(list))?;
    Ok(python)
}

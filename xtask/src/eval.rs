//! `cargo xtask eval mini`: clips of wan-mini, made by the released program as a user would, judged from their pixels.
//!
//! The judge and the prompts are `checkpoints/mini/eval.py`; its table is printed, and written to `target/eval/mini.json`.

use std::path::{Path, PathBuf};

use crate::failure::Outcome;
use crate::parity;
use crate::run::{cargo, program, root, succeed, target};
use crate::setup;

/// What is made and judged.
pub(crate) struct Options {
    /// How many clips.
    pub(crate) count: u32,
    /// Prompts of one's own, one a line, instead.
    pub(crate) prompts: Option<PathBuf>,
    /// Where a contact sheet of the first clips goes.
    pub(crate) sheet: Option<PathBuf>,
}

/// Builds, makes, judges.
pub(crate) fn mini(options: &Options) -> Outcome {
    let Options {
        count,
        prompts,
        sheet,
    } = options;
    setup::for_demo()?;
    let package = ["--release", "--locked", "--package", "kinora-server"];
    succeed(cargo(["build"]).args(package))?;
    let python = parity::python("mini", "checkpoints/mini/requirements.txt")?;
    let mut eval = program(python);
    eval.arg(root().join("checkpoints/mini/eval.py"))
        .arg("--kinora")
        .arg(target().join("release/kinora"))
        .args(["--count", &count.to_string()])
        .arg("--out")
        .arg(target().join("eval/mini.json"));
    let mut with_path = |flag: &str, path: &Option<PathBuf>| {
        if let Some(path) = path {
            eval.arg(flag).arg::<&Path>(path);
        }
    };
    with_path("--prompts", prompts);
    with_path("--sheet", sheet);
    succeed(&mut eval)
}

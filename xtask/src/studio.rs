//! `cargo xtask studio`: builds the pages of studio/ into studio/dist, which is committed, so that the server can be
//! built without Node. For `cargo xtask test`: whether that is still what the sources build to, and the pages in a
//! real browser before a real server.

use std::fs;
use std::process::Command;

use crate::failure::Outcome;
use crate::run::{cargo, program, root, succeed, target};
use crate::setup;

/// Builds the pages, packs them, and writes the table by which the server knows them.
pub(crate) fn run() -> Outcome {
    setup::node()?;
    install()?;
    succeed(npm().args(["run", "build"]))
}

/// Whether studio/dist and the server's table are what the sources build to.
pub(crate) fn check() -> Outcome {
    install()?;
    succeed(npm().args(["run", "check"]))
}

/// The tests in a browser, against the debug build; their report is in the Test Anything Protocol.
pub(crate) fn browser_tests() -> Outcome<Command> {
    // The same selection as the tests' build, so that nothing is compiled for a second time.
    succeed(&mut cargo(["build", "--workspace", "--bins", "--tests"]))?;
    let mut tests = npm();
    tests.args(["--silent", "test"]);
    tests
        .env("KINORA", target().join("debug/kinora"))
        .env("REPORTER", "tap");
    Ok(tests)
}

/// What the lock names, in exactly these versions. A copy of the lock remembers that this has been done.
fn install() -> Outcome {
    let lock = root().join("studio/package-lock.json");
    let done = root().join("studio/node_modules/.installed-lock");
    let text =
        fs::read_to_string(&lock).map_err(|source| format!("cannot read {}: {source}", lock.display()))?;
    if fs::read_to_string(&done).is_ok_and(|installed| installed == text) {
        return Ok(());
    }
    succeed(npm().args(["ci", "--no-progress"]))?;
    fs::write(&done, text).map_err(|source| format!("cannot write {}: {source}", done.display()).into())
}

fn npm() -> Command {
    let mut command = program("npm");
    command.current_dir(root().join("studio"));
    command
}

//! `cargo xtask studio`: builds the pages of studio/ into studio/dist, which is committed, so that the server can be
//! built without Node. For `cargo xtask test`: whether that is still what the sources build to, and the pages in a
//! real browser before a real server.

use std::process::Command;

use crate::failure::Outcome;
use crate::npm;
use crate::run::{cargo, succeed, target};
use crate::setup;

const FOLDER: &str = "studio";

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

fn install() -> Outcome {
    npm::install(FOLDER)
}

fn npm() -> Command {
    npm::npm(FOLDER)
}

//! `cargo xtask bench service`: what the service can do on this machine.
//!
//! The measuring is done by the server's example `bench_service`, which prints a table and writes
//! target/bench/service.json; here both are built as they are released, and ffmpeg is seen to.

use crate::failure::Outcome;
use crate::run::{cargo, succeed, target};
use crate::setup;

/// Builds the server and the program that measures it, and lets the one loose on the other.
pub(crate) fn run() -> Outcome {
    setup::for_demo()?;
    let package = ["--release", "--locked", "--package", "kinora-server"];
    succeed(cargo(["build", "--bin", "kinora"]).args(package))?;
    let mut measure = cargo(["run", "--quiet", "--example", "bench_service"]);
    measure
        .args(package)
        .arg("--")
        .arg(target().join("release/kinora"));
    succeed(&mut measure)
}

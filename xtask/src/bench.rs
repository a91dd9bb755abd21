//! `cargo xtask bench …`: what the service can do on this machine, and what an installation of several nodes can.
//!
//! The measuring is done by the server's examples `bench_service` and `bench_scale`, which print a table and write
//! target/bench/service.json and target/bench/scale.json; here they and the server are built as they are released, and
//! what they start is seen to.

use crate::failure::Outcome;
use crate::run::{cargo, succeed, target};
use crate::setup;

/// One server, on the embedded database.
pub(crate) fn service() -> Outcome {
    setup::for_demo()?;
    measure("bench_service", &[])
}

/// Several nodes on both databases, with up to so many generations queued.
pub(crate) fn scale(backlog: u32) -> Outcome {
    setup::for_scale()?;
    measure("bench_scale", &[backlog.to_string()])
}

/// Builds the server and the program that measures it, and lets the one loose on the other.
fn measure(example: &str, arguments: &[String]) -> Outcome {
    let package = ["--release", "--locked", "--package", "kinora-server"];
    succeed(cargo(["build", "--bin", "kinora"]).args(package))?;
    let mut measure = cargo(["run", "--quiet", "--example", example]);
    measure
        .args(package)
        .arg("--")
        .arg(target().join("release/kinora"))
        .args(arguments);
    succeed(&mut measure)
}

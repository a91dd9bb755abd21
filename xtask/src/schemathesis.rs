//! `cargo xtask schemathesis`: generated requests against a live server, each answer held against the
//! API's own description.
//!
//! What is generated, for how long, and which deviations are accepted for which reason: schemathesis.toml.

use crate::failure::Outcome;
use crate::run::{cargo, program, root, succeed, target, venv_bin};
use crate::server::Server;

/// What thousands of generated requests would run into at once, lifted: here the contract is tried, not the limits.
const SETTINGS: &[(&str, &str)] = &[
    ("KINORA_RATE_LIMITS__CREATE_PER_MINUTE", "1000000"),
    ("KINORA_RATE_LIMITS__GET_PER_MINUTE", "1000000"),
    ("KINORA_RATE_LIMITS__READ_PER_MINUTE", "1000000"),
    ("KINORA_FIRST_START__PERMANENT_CREDITS", "1000000000"),
    ("KINORA_QUEUE__QUEUED_PER_ACCOUNT", "1000000"),
    // Most generations here are never looked at again: they make room for the next ones.
    ("KINORA_QUEUE__DEADLINE_S", "10"),
];

/// Starts a server of the debug build, lets schemathesis loose on it, stops it.
pub(crate) fn run() -> Outcome {
    // The same selection as the tests' build, so that nothing is compiled for a second time.
    succeed(&mut cargo(["build", "--workspace", "--bins", "--tests"]))?;
    let server = Server::start(&target().join("debug/kinora"), "test-pattern", SETTINGS)?;
    attack(&server)?;
    server.stop()
}

fn attack(server: &Server) -> Outcome {
    let mut schemathesis = program(venv_bin().join("schemathesis"));
    schemathesis
        .arg("--config-file")
        .arg(root().join("xtask/schemathesis.toml"))
        .arg("run");
    schemathesis.arg(format!("{}/openapi.json", server.url));
    schemathesis.env("KINORA_API_KEY", &server.api_key);
    succeed(&mut schemathesis)
}

//! The programs that speak to Kinora, against a really started server: the clients in clients/, `kinora mcp`, and others
//! as their registries have them.
//!
//! The types of our own are made by [`generate`]; the tests are in clients/tests. Their Python packages have an
//! environment of their own, because these and those of schemathesis do not agree on their versions.

pub(crate) mod generate;

use std::path::PathBuf;
use std::process::Command;

use crate::failure::Outcome;
use crate::npm;
use crate::run::{cargo, program, root, succeed, target};
use crate::server::Server;
use crate::setup;

const SETTINGS: &[(&str, &str)] = &[
    ("KINORA_RATE_LIMITS__CREATE_PER_MINUTE", "6000"),
    ("KINORA_RATE_LIMITS__READ_PER_MINUTE", "6000"),
    // The clips are looked at by programs only.
    ("KINORA_MEDIA__ENCODER_PRESET", "superfast"),
    ("KINORA_VIDEOS_API__MODEL_ALIASES", "sora-2"),
    ("KINORA_WEBHOOKS__ALLOW_HOSTS", "127.0.0.1"),
    ("KINORA_WORKER__SLOTS", "2"),
];

/// The environment of the tests' Python packages.
pub(crate) fn venv() -> PathBuf {
    target().join("clients-venv")
}

/// A server of the debug build, for the tests.
pub(crate) fn server() -> Outcome<Server> {
    // The same selection as the tests' build, so that nothing is compiled for a second time.
    succeed(&mut cargo(["build", "--workspace", "--bins", "--tests"]))?;
    Server::start(&kinora(), "test-pattern", SETTINGS)
}

/// The tests in Python; their report is pytest's.
pub(crate) fn python_tests(server: &Server) -> Outcome<Command> {
    let mut tests = against(server, program(venv().join("bin/python")));
    tests.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    tests.arg(root().join("clients/tests"));
    Ok(tests)
}

/// The tests in Node; their report is in the Test Anything Protocol. A sentence where Node is too old for them.
pub(crate) fn node_tests(server: &Server) -> Outcome<Result<Command, String>> {
    if let Some(reason) = setup::node_is_too_old()? {
        return Ok(Err(reason));
    }
    npm::install("clients/tests")?;
    npm::install("clients/typescript")?;
    succeed(npm::npm("clients/typescript").args(["run", "build"]))?;
    let mut tests = against(server, npm::npm("clients/tests"));
    tests.args(["--silent", "test"]);
    Ok(Ok(tests))
}

fn against(server: &Server, mut tests: Command) -> Command {
    tests
        .env("KINORA_URL", &server.url)
        .env("KINORA_API_KEY", &server.api_key)
        .env("KINORA", kinora())
        .env("PYTHONPATH", root().join("clients/python/src"))
        // What Python compiles does not belong beside the sources.
        .env("PYTHONDONTWRITEBYTECODE", "1");
    tests
}

fn kinora() -> PathBuf {
    target().join("debug/kinora")
}

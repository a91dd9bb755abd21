//! What is refused before anything is started, and how it is told.

use std::{fs, net::TcpListener};

use crate::house::{House, kinora, run};

#[test]
fn refusals_name_key_value_and_source() {
    let house = House::new();
    let check = |file: &str, variable: Option<(&str, &str)>, flags: &[&str], expected: &str| {
        let path = house.folder.path().join("kinora.toml");
        fs::write(&path, file).unwrap();
        let mut command = kinora();
        command
            .arg("serve")
            .arg("--config")
            .arg(&path)
            .arg("--data-dir")
            .arg(house.data())
            .args(flags);
        command.envs(variable);
        crate::house::Said::from(command.output().unwrap()).expect(2, expected);
    };
    let engine = "[engine]\nname = \"test-pattern\"\n";
    check("[server]\nlisten = 80", None, &[], "server.listen = 80 in ");
    check("[server]\nport = 80", None, &[], "server.port in ");
    check(
        "[servers]\nlisten = \"x\"",
        None,
        &[],
        "the sections are [blobs], [dashscope]",
    );
    check("= nonsense", None, &[], "kinora.toml is no TOML");
    check(
        engine,
        Some(("KINORA_QUEUE__LEASE_MS", "1")),
        &[],
        "queue.lease_ms = 1 in the environment variable",
    );
    check(
        engine,
        Some(("KINORA_QUEUE__LEASE", "1")),
        &[],
        "[queue] takes attempts_max",
    );
    check(
        engine,
        None,
        &["--listen", "8080"],
        "server.listen = \"8080\" given as --listen: takes an address",
    );
    check(
        engine,
        None,
        &["--engine", "nothing"],
        "engine.name = \"nothing\" given as --engine: takes \"wan\", \"test-pattern\"",
    );
    check(engine, None, &["--slots", "-1"], "unexpected argument");
    // Refused before anything was made.
    assert!(!house.data().exists());
}

#[test]
fn every_default_is_in_the_manual_and_taken() {
    let house = House::new();
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config.default.toml");
    let said = house.run(&["doctor", "--json", "--config", manual]);
    assert_eq!(said.json()["findings"][0]["subject"], "engine", "{}", said.err);
}

#[test]
fn a_file_that_is_not_there() {
    run(&["serve", "--config", "/nowhere/kinora.toml"]).expect(2, "/nowhere/kinora.toml cannot be read");
}

#[test]
fn a_port_that_is_taken() {
    let house = House::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = house.run(&["serve", "--engine", "test-pattern", "--listen", &address]);
    said.expect(1, &format!("cannot listen on {address}"));
}

#[test]
fn commands_make_no_database() {
    let house = House::new();
    for command in [
        &["key", "list"][..],
        &["credits", "show"],
        &["account", "list"],
        &["worker", "--engine", "test-pattern"],
    ] {
        house.run(command).expect(2, "there is no database in");
    }
    assert!(!house.data().exists());
}

//! An installation whose rows are in PostgreSQL: said once in the configuration, and the same to every command.

use std::thread;

use serde_json::json;

use crate::{
    house::{House, SERVE},
    postgres_server::Server,
};

#[test]
fn a_server_and_a_worker_share_a_database() {
    let database = Server::start().unwrap();
    let house = House::new();
    // Trust asks for no password, but one may be there, and nobody shall see it.
    let url = database.url().replace("postgres@", "postgres:hidden-from-all@");
    let settings = [("DATA__DATABASE", url.as_str()), ("WORKER__SLOTS", "0")];
    let server = house.serve(&settings);
    let key = server.key();
    assert!(!house.data().join("kinora.db").exists());
    let id = house.create(
        &server,
        &key,
        json!({"prompt": "a fleet of one", "duration": 2, "resolution": "720p"}),
    );
    let on_it = [("DATA__DATABASE", url.as_str())];
    let mut worker = house.start(house.command(&on_it, &["worker", "--engine", "test-pattern"]));
    let end = house.wait_for(&server, &key, &id, &["COMPLETED", "FAILED"]);
    assert_eq!(end["status"], "COMPLETED", "{end}");
    worker.signal("TERM");
    assert!(worker.end().success());

    let run = |arguments: &[&str]| house.run_with(&on_it, arguments);
    let keys = run(&["key", "list", "--json"]).expect(0, "").json();
    assert_eq!(keys["data"].as_array().unwrap().len(), 1);
    run(&["account", "create", "studio"]).expect(0, "");
    let report = run(&["doctor"]).expect(0, "").out;
    assert!(report.contains("every invariant holds"), "{report}");
    for text in [
        server.process.out(),
        server.process.err(),
        worker.out(),
        worker.err(),
        report,
    ] {
        assert!(!text.contains("hidden-from-all"), "{text}");
    }
}

/// A deployment starts its machines at the same moment, on a database with nothing in it.
#[test]
fn nodes_that_start_at_once_make_one_installation() {
    let database = Server::start().unwrap();
    let url = database.url();
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let url = url.clone();
            thread::spawn(move || {
                let house = House::new();
                let server = house.serve(&[("DATA__DATABASE", url.as_str()), ("WORKER__SLOTS", "0")]);
                (house, server)
            })
        })
        .collect();
    let nodes: Vec<_> = starts.into_iter().map(|start| start.join().unwrap()).collect();
    let keys: Vec<String> = nodes
        .iter()
        .filter_map(|(_, server)| server.key.clone())
        .collect();
    assert_eq!(keys.len(), 1, "one of them was the first");
    for (house, server) in &nodes {
        let (status, credits) = house.get(server, "/credits", &keys[0]);
        assert_eq!((status, &credits["total"]), (200, &json!(11_000)));
        let entries = house.get(server, "/credits/entries", &keys[0]).1;
        assert_eq!(entries["data"].as_array().unwrap().len(), 2, "{entries}");
    }
}

#[test]
fn a_database_that_cannot_be_used_is_named_without_its_password() {
    let house = House::new();
    for (url, part) in [
        ("mysql://kinora:hidden-from-all@db/videos", "data.database"),
        (
            "postgres://kinora:hidden-from-all@db:port/videos",
            "data.database",
        ),
        (
            "postgres://kinora:hidden-from-all@127.0.0.1:1/videos",
            "127.0.0.1:1/videos",
        ),
    ] {
        let said = house.run_with(&[("DATA__DATABASE", url)], SERVE);
        assert_ne!(said.code, Some(0), "{}", said.out);
        assert!(said.err.contains(part), "{}", said.err);
        assert!(!said.err.contains("hidden-from-all"), "{}", said.err);
    }
}

//! Accounts, keys and credits from the command line, while a server runs on the same data.

use std::io::pipe;

use reqwest::Method;
use serde_json::json;

use crate::house::{House, Said, kinora};

#[test]
fn keys_open_and_close_at_once() {
    let house = House::new();
    let server = house.serve(&[]);
    let secret = |arguments: &[&str]| house.run(arguments).expect(0, "").out.trim().to_owned();
    let full = secret(&["key", "create", "--name", "full", "--quiet"]);
    let reader = secret(&["key", "create", "--name", "reader", "--read-only", "--quiet"]);

    let quote = format!("{}/api/v1/generation/wan/wan-v2.7-video", server.url);
    let body = json!({ "prompt": "x", "duration": 99 });
    let check = |key: &str, reading: u16, creating: u16| {
        assert_eq!(house.get(&server, "/credits", key).0, reading);
        // What is refused for its duration got past the door.
        assert_eq!(
            house.ask(Method::POST, &quote, key, Some(body.clone())).0,
            creating
        );
    };
    check(&full, 200, 422);
    check(&reader, 200, 403);
    check("kinora_unknown", 401, 401);

    let keys = house.run(&["key", "list", "--json"]).json();
    let key = keys["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["name"] == "full")
        .unwrap();
    assert_eq!(
        (&key["account"], &key["read_only"], &key["revoked_at"]),
        (&"default".into(), &false.into(), &json!(null))
    );
    let id = key["id"].as_str().unwrap();
    house.run(&["key", "revoke", id]).expect(0, "");
    check(&full, 401, 401);
    check(&reader, 200, 403);
    house.run(&["key", "revoke", id]).expect(2, "revoked already");
    house
        .run(&["key", "revoke", "nonsense"])
        .expect(2, "is not an id");

    let list = house.run(&["key", "list"]).out;
    assert!(
        list.contains("ACCOUNT") && list.contains("reader") && !list.contains(&reader),
        "{list}"
    );
}

#[test]
fn credits_arrive_and_are_written_down() {
    let house = House::new();
    let server = house.serve(&[
        ("FIRST_START__SUBSCRIPTION_CREDITS", "0"),
        ("FIRST_START__PERMANENT_CREDITS", "7"),
    ]);
    let total = || {
        house.get(&server, "/credits", &server.key()).1["total"]
            .as_i64()
            .unwrap()
    };
    assert_eq!(total(), 7);
    house
        .run(&["credits", "grant", "--credits", "100", "--note", "for the demo"])
        .expect(0, "");
    assert_eq!(total(), 107);
    house
        .run(&[
            "credits",
            "grant",
            "--credits",
            "20",
            "--bucket",
            "subscription",
            "--expires",
            "30d",
        ])
        .expect(0, "");
    assert_eq!(total(), 127);

    let shown = house.run(&["credits", "show", "--json"]).json();
    assert_eq!(
        shown["data"][0]["available"],
        json!({ "total": 127, "subscription": 20, "permanent": 107 })
    );
    let entries = house.run(&["credits", "entries", "--json"]).json();
    let entries = entries["data"].as_array().unwrap();
    assert_eq!(entries.len(), 3);
    assert_eq!(
        (&entries[1]["amount"]["permanent"], &entries[1]["note"]),
        (&100.into(), &"for the demo".into())
    );
    let table = house.run(&["credits", "entries", "--limit", "1"]).out;
    assert!(
        table.contains("grant") && table.contains("There are older ones"),
        "{table}"
    );

    house
        .run(&["credits", "grant", "--credits", "0"])
        .expect(2, "0 is not in 1..");
    house
        .run(&["credits", "grant", "--credits", "1", "--expires", "soon"])
        .expect(2, "takes a number and a unit");
    house
        .run(&["credits", "grant", "--credits", "1", "--account", "nobody"])
        .expect(2, "there is no account \"nobody\"");
}

#[test]
fn accounts_are_apart() {
    let house = House::new();
    let server = house.serve(&[]);
    house
        .run(&["account", "create", "studio", "--running-max", "2"])
        .expect(0, "");
    house
        .run(&["account", "create", "studio"])
        .expect(2, "exists already");
    house
        .run(&["account", "create", " studio"])
        .expect(2, "is not taken");
    let secret = house
        .run(&[
            "key",
            "create",
            "--account",
            "studio",
            "--name",
            "first",
            "--quiet",
        ])
        .out;
    let (status, credits) = house.get(&server, "/credits", secret.trim());
    assert_eq!((status, &credits["total"]), (200, &0.into()));
    house
        .run(&["credits", "grant", "--account", "studio", "--credits", "5"])
        .expect(0, "");
    assert_eq!(house.get(&server, "/credits", secret.trim()).1["total"], 5);
    assert_eq!(house.get(&server, "/credits", &server.key()).1["total"], 11_000);

    let accounts = house.run(&["account", "list", "--json"]).json();
    let names: Vec<&str> = accounts["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["default", "studio"]);
    assert_eq!(accounts["data"][1]["running_max"], 2);
}

/// As in `kinora key list | head -1`.
#[test]
fn a_reader_may_leave_early() {
    let house = House::new();
    let mut server = house.serve(&[]);
    for arguments in [
        &["key", "list"][..],
        &["credits", "entries"],
        &["account", "list", "--json"],
        &["openapi"],
    ] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut command = kinora();
        command
            .args(arguments)
            .arg("--data-dir")
            .arg(house.data())
            .stdout(writer);
        let said = Said::from(command.output().unwrap()).expect(0, "");
        assert_eq!(said.err, "", "{arguments:?}");
    }
    server.process.signal("TERM");
    assert!(server.process.end().success());
}

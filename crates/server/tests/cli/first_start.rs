//! An empty folder becomes a server that can be asked, once; after that it stays as it is.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use reqwest::Method;

use crate::house::{House, names};

#[test]
fn makes_everything_once() {
    let house = House::new();
    let mut first = house.serve(&[]);
    let key = first.key();
    assert_eq!(mode(&house.data()), 0o700);
    assert_eq!(mode(&house.folder.path().join("ready.json")), 0o600);
    let (status, credits) = house.get(&first, "/credits", &key);
    assert_eq!(
        (status, &credits["subscription"], &credits["permanent"]),
        (200, &1000.into(), &10_000.into())
    );
    assert!(
        first
            .process
            .out()
            .contains(&format!("Kinora answers at {}", first.url))
    );
    first.process.signal("TERM");
    assert!(first.process.end().success());

    let second = house.serve(&[]);
    assert_eq!(second.key, None);
    assert!(!second.process.out().contains("curl"));
    let (status, again) = house.get(&second, "/credits", &key);
    assert_eq!((status, again), (200, credits));
    let keys = house.run(&["key", "list", "--json"]).json();
    assert_eq!(keys["data"].as_array().unwrap().len(), 1);
}

/// The line is pasted into a shell as it stands. The shell takes it apart; what it would send is sent from here, so
/// that the test needs no curl.
#[test]
fn prints_a_line_that_works() {
    let house = House::new();
    let server = house.serve(&[]);
    let out = server.process.out();
    let line = out.lines().find(|line| line.trim_start().starts_with("curl "));
    let line = line.unwrap_or_else(|| panic!("{out}"));
    let script = format!("curl() {{ printf '%s\\n' \"$@\"; }}; {line}");
    let said = Command::new("sh").args(["-c", &script]).output().unwrap();
    let words = String::from_utf8(said.stdout).unwrap();
    let words: Vec<&str> = words.lines().collect();

    let after = |flag: &str| {
        let at = words.iter().enumerate().filter(move |(_, word)| **word == flag);
        at.map(|(index, _)| words[index + 1]).collect::<Vec<_>>()
    };
    let key = format!("Authorization: Bearer {}", server.key());
    assert_eq!(
        after("-H"),
        [&key, "Content-Type: application/json", "Prefer: wait"]
    );
    let body = serde_json::from_str(after("-d")[0]).unwrap();
    let (status, created) = house.ask(Method::POST, words[0], &server.key(), Some(body));
    assert_eq!(status, 202, "{created}");
    let done = house.wait_for(
        &server,
        &server.key(),
        created["id"].as_str().unwrap(),
        &["COMPLETED"],
    );
    assert_eq!(done["data"]["video"]["height"], 720);
}

/// Figures are for the operator: they have a listener of their own, and clients of the API find none.
#[test]
fn figures_are_apart() {
    let house = House::new();
    let server = house.serve(&[("SERVER__METRICS_LISTEN", "127.0.0.1:0")]);
    let out = server.process.out();
    let url = out
        .lines()
        .find_map(|line| line.trim().strip_prefix("metrics "))
        .unwrap_or_else(|| panic!("{out}"));
    let text = house.read(url);
    assert!(text.contains("kinora_generations_queued 0"), "{text}");
    let of_api = house.ask(
        Method::GET,
        &format!("{}/metrics", server.url),
        &server.key(),
        None,
    );
    assert_eq!(of_api.0, 404);
}

#[test]
fn the_secret_is_kept_nowhere() {
    let house = House::new();
    let mut server = house.serve(&[("LOG__LEVEL", "trace")]);
    let key = server.key();
    house.get(&server, "/credits", &key);
    server.process.signal("TERM");
    assert!(server.process.end().success());
    assert!(!server.process.err().contains(&key), "the log has the key");
    for name in names(&house.data()) {
        let path = house.data().join(name);
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            assert!(
                !bytes.windows(key.len()).any(|window| window == key.as_bytes()),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn one_server_for_one_directory() {
    let house = House::new();
    let server = house.serve(&[]);
    let said = house.run(&["serve", "--engine", "test-pattern", "--listen", "127.0.0.1:0"]);
    said.expect(1, "another server (process ");
    assert_eq!(house.get(&server, "/credits", &server.key()).0, 200);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

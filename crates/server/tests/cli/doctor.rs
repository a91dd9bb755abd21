//! `kinora doctor`: content where all is well, and naming what is not.

use std::fs;

use serde_json::{Value, json};

use crate::house::{House, Said, kinora};

fn doctor(house: &House, settings: &[(&str, &str)]) -> (Said, Value) {
    let mut command = kinora();
    command.args(["doctor", "--json", "--data-dir"]).arg(house.data());
    command.envs(
        settings
            .iter()
            .map(|(key, value)| (format!("KINORA_{key}"), value)),
    );
    let said = Said::from(command.output().unwrap());
    let report = said.json();
    (said, report)
}

/// The verdict on one subject: the worst, where there are several.
fn verdict<'a>(report: &'a Value, subject: &str) -> (&'a str, &'a str) {
    let findings = report["findings"].as_array().unwrap();
    let of_subject: Vec<&Value> = findings
        .iter()
        .filter(|finding| finding["subject"] == subject)
        .collect();
    let worst = of_subject
        .iter()
        .find(|finding| finding["verdict"] == "wrong")
        .or(of_subject.last());
    let worst = worst.unwrap_or_else(|| panic!("nothing on {subject} in {report}"));
    (
        worst["verdict"].as_str().unwrap(),
        worst["detail"].as_str().unwrap(),
    )
}

#[test]
fn before_the_first_start() {
    let house = House::new();
    let (said, report) = doctor(&house, &[]);
    said.expect(0, "");
    assert_eq!(verdict(&report, "data").0, "note");
    assert_eq!(verdict(&report, "ffmpeg").0, "ok");
    assert_eq!(verdict(&report, "sandbox").0, "ok");
    assert!(!house.data().exists());
}

#[test]
fn beside_a_server_and_after_it() {
    let house = House::new();
    let mut server = house.serve(&[]);
    let key = server.key();
    let id = house.create(
        &server,
        &key,
        json!({ "prompt": "x", "resolution": "720p", "duration": 2 }),
    );
    house.wait_for(&server, &key, &id, &["COMPLETED"]);
    let (said, report) = doctor(&house, &[("ENGINE__NAME", "test-pattern")]);
    said.expect(0, "");
    assert_eq!(report["sound"], true);
    for subject in [
        "engine", "ffmpeg", "sandbox", "data", "disk", "server", "database", "ledger", "media",
    ] {
        assert_eq!(verdict(&report, subject).0, "ok", "{report}");
    }
    server.process.signal("TERM");
    assert!(server.process.end().success());

    // A result that is gone, and one that is cut.
    let blobs = house.data().join("blobs");
    let mut files: Vec<_> = walk(&blobs)
        .into_iter()
        .filter(|path| fs::metadata(path).unwrap().len() > 0)
        .collect();
    files.sort_by_key(|path| fs::metadata(path).unwrap().len());
    let video = files.pop().unwrap();
    let bytes = fs::read(&video).unwrap();
    fs::write(&video, &bytes[..bytes.len() / 2]).unwrap();
    for _ in ["cut", "gone"] {
        let (said, report) = doctor(&house, &[]);
        said.expect(1, "one thing is wrong");
        assert_eq!(report["sound"], false);
        let (found, detail) = verdict(&report, "media");
        assert!(found == "wrong" && detail.contains(&id), "{detail}");
        let _ = fs::remove_file(&video);
    }
}

#[test]
fn what_is_wrong_is_named() {
    let house = House::new();
    let check = |settings: &[(&str, &str)], subject: &str, expected: &str| {
        let (said, report) = doctor(&house, settings);
        said.expect(1, "wrong");
        let (found, detail) = verdict(&report, subject);
        assert!(
            found == "wrong" && detail.contains(expected),
            "{subject}: {detail}"
        );
    };
    check(
        &[("MEDIA__FFMPEG", "/nowhere/ffmpeg")],
        "ffmpeg",
        "ffmpeg was not found",
    );
    check(&[("MEDIA__FFMPEG", "/bin/sh")], "ffmpeg", "/");

    fs::write(house.data(), "a file").unwrap();
    check(&[], "data", "is no directory");
    fs::remove_file(house.data()).unwrap();
    fs::create_dir(house.data()).unwrap();
    fs::write(
        house.data().join("kinora.db"),
        "this is no database, but it is long enough to be looked at".repeat(20),
    )
    .unwrap();
    check(&[], "database", "");
}

#[test]
fn a_damaged_database_is_seen() {
    let house = House::new();
    let mut server = house.serve(&[("WORKER__SLOTS", "0")]);
    let key = server.key();
    for _ in 0..3 {
        house.create(
            &server,
            &key,
            json!({ "prompt": "x".repeat(4000), "resolution": "720p", "duration": 2 }),
        );
    }
    server.process.signal("TERM");
    assert!(server.process.end().success());
    doctor(&house, &[]).0.expect(0, "");
    // Every page but the first, which says what kind of file it is, and the schema's.
    let path = house.data().join("kinora.db");
    let _ = fs::remove_file(house.data().join("kinora.db-wal"));
    let mut bytes = fs::read(&path).unwrap();
    let start = bytes.len() / 2;
    bytes[start..].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    let (said, report) = doctor(&house, &[]);
    said.expect(1, "wrong");
    assert_eq!(report["sound"], false);
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path))
        } else {
            files.push(path)
        }
    }
    files
}

//! How servers and workers end, and what becomes of what runs and of who is connected.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::json;

use crate::house::{House, kinora};

fn long() -> serde_json::Value {
    json!({ "prompt": "a long one", "resolution": "1080p", "duration": 15 })
}

fn short() -> serde_json::Value {
    json!({ "prompt": "a short one", "resolution": "720p", "duration": 2 })
}

#[test]
fn what_runs_may_finish() {
    let house = House::new();
    let mut server = house.serve(&[("SERVER__DRAIN_S", "120")]);
    let key = server.key();
    let runs = house.create(&server, &key, short());
    let waits = house.create(&server, &key, short());
    house.wait_for(&server, &key, &runs, &["IN_PROGRESS"]);
    server.process.signal("TERM");
    server
        .process
        .wait_until("it drains", |process| process.err().contains("SIGTERM"));
    // While it drains it answers, and says that it takes no more.
    let (status, _) = house.ask(Method::GET, &format!("{}/readyz", server.url), &key, None);
    assert_eq!(status, 503);
    assert_eq!(house.get(&server, &format!("/generation/{runs}"), &key).0, 200);
    assert!(server.process.end().success(), "{}", server.process.err());

    let server = house.serve(&[("WORKER__SLOTS", "0")]);
    let status = |id: &str| house.get(&server, &format!("/generation/{id}"), &key).1["status"].clone();
    assert_eq!(status(&runs), "COMPLETED");
    assert_eq!(status(&waits), "IN_QUEUE");
}

#[test]
fn what_cannot_finish_is_made_again() {
    let house = House::new();
    let mut server = house.serve(&[("SERVER__DRAIN_S", "0")]);
    let key = server.key();
    let id = house.create(&server, &key, long());
    house.wait_for(&server, &key, &id, &["IN_PROGRESS"]);
    let asked = Instant::now();
    server.process.signal("TERM");
    assert!(server.process.end().success(), "{}", server.process.err());
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());

    let server = house.serve(&[]);
    house.wait_for(&server, &key, &id, &["IN_PROGRESS"]);
    let (status, _) = house.ask(
        Method::POST,
        &format!("{}/api/v1/generation/{id}/cancel", server.url),
        &key,
        None,
    );
    assert!([200, 202].contains(&status), "{status}");
    house.wait_for(&server, &key, &id, &["CANCELED"]);
}

#[test]
fn a_second_signal_hands_back_what_runs() {
    let house = House::new();
    let mut server = house.serve(&[("SERVER__DRAIN_S", "600")]);
    let key = server.key();
    let id = house.create(&server, &key, long());
    house.wait_for(&server, &key, &id, &["IN_PROGRESS"]);
    server.process.signal("TERM");
    server
        .process
        .wait_until("it drains", |process| process.err().contains("SIGTERM"));
    server.process.signal("INT");
    assert_eq!(server.process.end().code(), Some(130), "{}", server.process.err());
    let top = house.run(&["top", "--json"]).expect(0, "").json();
    assert_eq!((&top["queued"], &top["running"]), (&json!(1), &json!(0)), "{top}");
    assert_eq!(top["offers"][0]["retried"], 1, "{top}");
    house.run(&["doctor"]).expect(0, "");
}

#[test]
fn a_worker_of_its_own() {
    let house = House::new();
    let server = house.serve(&[("WORKER__SLOTS", "0")]);
    let key = server.key();
    let id = house.create(&server, &key, short());
    let mut command = kinora();
    command
        .args(["worker", "--engine", "test-pattern", "--data-dir"])
        .arg(house.data());
    let mut worker = house.start(command);
    let done = house.wait_for(&server, &key, &id, &["COMPLETED"]);
    assert_eq!(done["data"]["video"]["width"], 1280);
    worker.signal("TERM");
    assert!(worker.end().success(), "{}", worker.err());
    house.run(&["doctor"]).expect(0, "");
}

/// A head that never ends does not keep its connection; nor does one that says nothing.
#[test]
fn slow_heads_are_cut_off() {
    let house = House::new();
    let server = house.serve(&[("SERVER__HEADER_TIMEOUT_S", "1")]);
    let address = server.url.strip_prefix("http://").unwrap();
    for head in ["", "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut rest = Vec::new();
        let read = stream.read_to_end(&mut rest);
        let text = String::from_utf8_lossy(&rest);
        assert!(read.is_ok() && !text.contains("200 OK"), "{read:?} {text}");
    }
    assert_eq!(house.get(&server, "/credits", &server.key()).0, 200);
}

/// The next one is answered once a place is free again.
#[test]
fn connections_are_bounded() {
    let house = House::new();
    let server = house.serve(&[
        ("SERVER__CONNECTIONS_MAX", "10"),
        ("SERVER__HEADER_TIMEOUT_S", "2"),
    ]);
    let address = server.url.strip_prefix("http://").unwrap();
    let idle: Vec<TcpStream> = (0..10).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut late = TcpStream::connect(address).unwrap();
    late.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    late.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut answer = [0; 12];
    assert!(
        late.read_exact(&mut answer).is_err(),
        "an eleventh connection was answered"
    );
    late.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    late.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    drop(idle);
}

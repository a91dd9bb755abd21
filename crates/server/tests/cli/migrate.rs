//! `kinora migrate` beside a running server: clients go on, the command is killed and started again, and in the end
//! everything that was answered is on the other database.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use kinora_testbucket::{ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY, TestBucket};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    house::{House, Server},
    postgres_server,
};

const SMALL: fn(&str) -> Value = |prompt| json!({"prompt": prompt, "duration": 2, "resolution": "720p"});

fn file_of(house: &House, server: &Server, generation: &Value) -> usize {
    let url = generation["data"]["video"]["url"].as_str().unwrap();
    let path = url.split_once("/files/").unwrap().1;
    house.bytes(&format!("{}/files/{path}", server.url))
}

#[test]
fn a_living_server_moves_while_the_command_is_killed() {
    let database = postgres_server::Server::start().unwrap();
    let house = House::new();
    let server = house.serve(&[
        ("RATE_LIMITS__CREATE_PER_MINUTE", "100000"),
        // What is being made when it moves is given up soon.
        ("QUEUE__LEASE_MS", "2000"),
    ]);
    let key = server.key();
    let made = house.create(&server, &key, SMALL("the first"));
    let made = house.wait_for(&server, &key, &made, &["COMPLETED"]);
    let endpoint = json!({"url": "https://hooks.example/x"});
    let (status, _) = house.ask(
        Method::POST,
        &format!("{}/api/v1/webhooks", server.url),
        &key,
        Some(endpoint),
    );
    assert_eq!(status, 201);

    // A client that goes on all the while.
    let is_over = Arc::new(AtomicBool::new(false));
    let answered: Arc<Mutex<Vec<(u16, Value)>>> = Arc::default();
    let client = {
        let (is_over, answered, key) = (Arc::clone(&is_over), Arc::clone(&answered), key.clone());
        let url = format!("{}/api/v1/generation/wan/wan-v2.7-video", server.url);
        thread::spawn(move || {
            let house = House::new();
            while !is_over.load(Ordering::Relaxed) {
                let answer = house.ask(Method::POST, &url, &key, Some(SMALL("one more")));
                answered.lock().unwrap().push(answer);
                thread::sleep(Duration::from_millis(5));
            }
        })
    };
    let url = database.url().replace("postgres@", "postgres:hidden-from-all@");
    let to = [("DATA__DATABASE", url.as_str())];
    for ms in [40, 150, 300, 450] {
        let mut moving = house.start(house.command(&to, &["migrate"]));
        thread::sleep(Duration::from_millis(ms));
        moving.signal("KILL");
        moving.end();
    }
    let moved = house.run_with(&to, &["migrate"]).expect(0, "Moved.");
    for part in [
        "every row is the same in both",
        "generations",
        "every invariant holds",
        "default",
    ] {
        assert!(moved.out.contains(part), "{}", moved.out);
    }
    assert!(!format!("{}{}", moved.out, moved.err).contains("hidden-from-all"));
    thread::sleep(Duration::from_millis(300));
    is_over.store(true, Ordering::Relaxed);
    client.join().unwrap();

    // The server that is still on the old database says so, to whoever asks for whatever.
    let (status, told) = house.get(
        &server,
        &format!("/generation/{}", made["id"].as_str().unwrap()),
        &key,
    );
    assert_eq!(
        (status, told["code"].as_str()),
        (503, Some("VIDEO_GENERATION_PROVIDER_UNAVAILABLE"))
    );
    let mut server = server;
    server.process.signal("TERM");
    assert!(server.process.end().success());
    assert!(
        server.process.err().contains("has moved to postgres://"),
        "{}",
        server.process.err()
    );
    house.run(&["key", "list"]).expect(1, "has moved to postgres://");
    house
        .run_with(&to, &["migrate"])
        .expect(2, "has moved to postgres://");

    let server = house.serve(&to);
    assert_eq!(server.key, None, "no first start");
    let answered = answered.lock().unwrap();
    let (accepted, refused): (Vec<_>, Vec<_>) = answered.iter().partition(|(status, _)| *status == 202);
    assert!(refused.iter().all(|(status, _)| *status == 503), "{refused:?}");
    assert!(
        !refused.is_empty() && accepted.len() > 10,
        "{} {}",
        refused.len(),
        accepted.len()
    );
    for (_, generation) in accepted {
        let id = generation["id"].as_str().unwrap();
        let (status, found) = house.get(&server, &format!("/generation/{id}"), &key);
        assert_eq!(status, 200, "{generation} was answered: {found}");
    }
    let again = house.wait_for(&server, &key, made["id"].as_str().unwrap(), &["COMPLETED"]);
    assert_eq!(
        file_of(&house, &server, &again),
        again["data"]["video"]["file_size"].as_u64().unwrap() as usize
    );
    let last = house.create(&server, &key, SMALL("the last"));
    let list = house.get(&server, "/generations?limit=1", &key).1;
    assert_eq!(list["data"][0]["id"], json!(last), "newest first");
    let report = house.run_with(&to, &["doctor"]).expect(0, "").out;
    assert!(report.contains("every invariant holds"), "{report}");
}

#[test]
fn the_bytes_move_into_a_bucket_with_it() {
    let database = postgres_server::Server::start().unwrap();
    let bucket = TestBucket::start();
    let house = House::new();
    let mut server = house.serve(&[]);
    let key = server.key();
    let made = house.create(&server, &key, SMALL("a clip"));
    house.wait_for(&server, &key, &made, &["COMPLETED"]);
    let (url, endpoint, media) = (database.url(), bucket.endpoint(), format!("s3://{BUCKET}/media"));
    let to = [
        ("DATA__DATABASE", url.as_str()),
        ("BLOBS__URL", &media),
        ("BLOBS__ENDPOINT", &endpoint),
        ("BLOBS__ALLOW_HTTP", "true"),
        ("BLOBS__ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("BLOBS__SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
    ];
    // Nobody is told that it has moved as long as there are bytes that nobody would find.
    house
        .run_with(&to, &["migrate"])
        .expect(1, "2 files of uploads and results are not in s3://");
    let (status, _) = house.get(&server, "/credits", &key);
    assert_eq!(status, 200);
    house.create(&server, &key, SMALL("it lives on"));
    house.run_with(&to, &["migrate", "--blobs"]).expect(0, "Moved.");
    server.process.signal("TERM");
    server.process.end();
    std::fs::remove_dir_all(house.data().join("blobs")).unwrap();

    let server = house.serve(&to);
    let again = house.wait_for(&server, &key, &made, &["COMPLETED"]);
    assert_eq!(
        file_of(&house, &server, &again),
        again["data"]["video"]["file_size"].as_u64().unwrap() as usize
    );
}

#[test]
fn what_cannot_move_is_said() {
    let house = House::new();
    house
        .run(&["migrate"])
        .expect(2, "where to? --to takes sqlite:PATH or postgres://");
    let to = house.folder.path().join("new.db");
    let to = format!("sqlite:{}", to.display());
    std::fs::create_dir(house.data()).unwrap();
    house
        .run(&["migrate", "--to", &to])
        .expect(2, "there is no installation in");
    house
        .run(&["migrate", "--to", "mysql://x/y"])
        .expect(2, "--to: mysql: names no database");
    let server = house.serve(&[]);
    house.run(&["migrate", "--to", &to]).expect(0, "Moved.");
    drop(server);
    house.run(&["migrate", "--give-up"]).expect(2, "has moved to");
    let report = house
        .run_with(&[("DATA__DATABASE", &to)], &["doctor"])
        .expect(0, "")
        .out;
    assert!(report.contains("every invariant holds"), "{report}");
}

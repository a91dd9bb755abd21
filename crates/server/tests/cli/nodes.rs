//! An installation of several processes by their roles: what each does, what all of them promise together, and what
//! becomes of that when one of them ends.

use std::{
    fs,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    house::{House, Running, Server, kinora},
    postgres_server,
};

const CREATE: &str = "/api/v1/generation/wan/wan-v2.7-video";

/// Nodes on one PostgreSQL.
struct Fleet {
    house: House,
    url: String,
    _database: postgres_server::Server,
}

impl Fleet {
    fn new() -> Fleet {
        let database = postgres_server::Server::start().unwrap();
        Fleet {
            house: House::new(),
            url: database.url(),
            _database: database,
        }
    }

    /// A node with a data directory of its own, once it is ready.
    fn node(&self, name: &str, role: &str, settings: &[(&str, &str)]) -> Server {
        let folder = self.house.folder.path();
        let ready = folder.join(format!("{name}.json"));
        let _ = fs::remove_file(&ready);
        let mut command = kinora();
        command
            .args([
                "serve",
                "--role",
                role,
                "--listen",
                "127.0.0.1:0",
                "--engine",
                "test-pattern",
            ])
            .arg("--data-dir")
            .arg(folder.join(name))
            .arg("--ready-file")
            .arg(&ready)
            .env("KINORA_DATA__DATABASE", &self.url)
            .env("KINORA_DATA__DATABASE_CONNECTIONS", "3")
            .env("KINORA_WORKER__NAME", name)
            .envs(
                settings
                    .iter()
                    .map(|(key, value)| (format!("KINORA_{key}"), value)),
            );
        let mut process = self.house.start(command);
        process.wait_until("it is ready", |_| ready.exists());
        let note: Value = serde_json::from_slice(&fs::read(&ready).unwrap()).unwrap();
        Server {
            process,
            url: note["url"].as_str().unwrap().to_owned(),
            key: note["api_key"].as_str().map(str::to_owned),
        }
    }

    /// What a command says as JSON.
    fn says(&self, arguments: &[&str]) -> Value {
        let settings = [("DATA__DATABASE", self.url.as_str())];
        self.house.run_with(&settings, arguments).expect(0, "").json()
    }

    fn tell(&self, arguments: &[&str]) {
        let settings = [("DATA__DATABASE", self.url.as_str())];
        self.house.run_with(&settings, arguments).expect(0, "");
    }

    /// The figures of one offer, as scripts read them.
    fn offer(&self, id: &str) -> Value {
        let top = self.says(&["top", "--json"]);
        let offers = top["offers"].as_array().unwrap();
        let found = offers.iter().find(|offer| offer["id"] == id);
        found.unwrap_or_else(|| panic!("no {id} in {top}")).clone()
    }

    /// Waits until the API of a node names exactly these engines.
    fn wait_for_engines(&self, node: &Server, key: &str, names: &[&str]) -> Value {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let (_, models) = self.house.get(node, "/models", key);
            let engines = models["data"][0]["engines"].as_array().unwrap();
            let mut found: Vec<&str> = engines
                .iter()
                .map(|engine| engine["id"].as_str().unwrap())
                .collect();
            found.sort_unstable();
            if found == names {
                return models;
            }
            assert!(Instant::now() < until, "{names:?} are not in {models}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn text(prompt: &str) -> Value {
    json!({"prompt": prompt, "duration": 2, "resolution": "720p"})
}

fn end(mut process: Running) {
    process.signal("TERM");
    assert!(process.end().success(), "{}", process.err());
}

#[test]
fn a_generation_goes_to_a_worker_that_can_run_it() {
    let fleet = Fleet::new();
    let house = &fleet.house;
    let routes = [
        ("ROUTES__TEXT_IMAGE", "engine:pattern-b"),
        ("ROUTES__EDIT_VIDEO", "engine:pattern-a"),
    ];
    let api = fleet.node("api", "api", &routes);
    let key = api.key();
    let create = format!("{}{CREATE}", api.url);
    // Nobody was ever here who could make anything.
    let (status, refused) = house.ask(Method::POST, &create, &key, Some(text("too early")));
    assert_eq!(status, 503, "{refused}");

    let a = fleet.node("a", "worker", &[("ENGINE__OFFER", "pattern-a")]);
    let b = fleet.node("b", "worker", &[("ENGINE__OFFER", "pattern-b")]);
    let models = fleet.wait_for_engines(&api, &key, &["pattern-a", "pattern-b"]);
    let features = models["data"][0]["features"].as_array().unwrap();
    assert_eq!(features.len(), 4, "{models}");

    // Whatever node runs it, the one that was asked holds the answer, and tells the story.
    let waited = house.send(
        Method::POST,
        &create,
        &key,
        &[("prefer", "wait=60")],
        Some(&text("held")),
    );
    assert_eq!(waited.status, 200, "{}", waited.text);
    assert_eq!(waited.json()["status"], "succeeded", "{}", waited.text);
    let stream = format!("{}/api/v1/generation/sse/wan/wan-v2.7-video", api.url);
    let streamed = house.send(Method::POST, &stream, &key, &[], Some(&text("streamed")));
    assert_eq!(streamed.status, 200, "{}", streamed.text);
    for part in ["IN_PROGRESS", "COMPLETED"] {
        assert!(streamed.text.contains(part), "{part} is not in {}", streamed.text);
    }
    let made = fleet.offer("pattern-b");
    assert_eq!(
        (&made["succeeded"], &made["queued"], &made["workers"]),
        (&json!(2), &json!(0), &json!(1))
    );
    assert!(made["work_seconds"].as_f64().unwrap() > 0.0, "{made}");
    assert_eq!(fleet.offer("pattern-a")["succeeded"], 0);

    // A worker answers those who look after it, and nobody else.
    for (path, part) in [
        ("/healthz", "ok"),
        ("/readyz", "ready"),
        ("/metrics", "kinora_queue_seconds{model=\"pattern-b\"} 0"),
        ("/queue", "\"queue_seconds\":0.0"),
    ] {
        let said = house.read(&format!("{}{path}", a.url));
        assert!(said.contains(part), "{path}: {said}");
    }
    assert_eq!(house.get(&a, "/models", &key).0, 404);

    // Scaled to none, its offer stays: what is created waits, and the autoscaler hears of it.
    end(b.process);
    let workers = fleet.says(&["workers", "list", "--json"]);
    assert_eq!(workers["data"].as_array().unwrap().len(), 1, "{workers}");
    assert_eq!(workers["data"][0]["name"], "a");
    let id = house.create(&api, &key, text("nobody is there"));
    let waiting = fleet.offer("pattern-b");
    assert_eq!(
        (&waiting["queued"], &waiting["workers"]),
        (&json!(1), &json!(0)),
        "{waiting}"
    );
    assert_eq!(waiting["queue_seconds"], made["work_seconds"]);
    assert_eq!(
        house.get(&api, &format!("/generation/{id}"), &key).1["status"],
        "IN_QUEUE"
    );
    let table = house
        .run_with(&[("DATA__DATABASE", &fleet.url)], &["top", "--once"])
        .expect(0, "")
        .out;
    assert!(table.contains("queued 1"), "{table}");
    let _b = fleet.node("b", "worker", &[("ENGINE__OFFER", "pattern-b")]);
    house.wait_for(&api, &key, &id, &["COMPLETED"]);
    // The files are on the workers' disks; the books are everybody's.
    let report = house.run_with(&[("DATA__DATABASE", &fleet.url)], &["doctor"]).out;
    assert!(report.contains("every invariant holds"), "{report}");
}

#[test]
fn api_nodes_hold_their_promises_together() {
    let fleet = Fleet::new();
    let house = &fleet.house;
    let settings = [
        ("RATE_LIMITS__CREATE_PER_MINUTE", "6"),
        ("QUEUE__QUEUED_PER_ACCOUNT", "3"),
    ];
    let one = fleet.node("one", "api", &settings);
    let key = one.key();
    let two = fleet.node("two", "api", &settings);
    assert_eq!(two.key, None);
    // Leaves its offer behind, and nobody who would run anything.
    end(fleet.node("gone", "worker", &[]).process);
    for node in [&one, &two] {
        fleet.wait_for_engines(node, &key, &["test-pattern"]);
    }

    let create = |node: &Server, name: &str, body: &Value| {
        let url = format!("{}{CREATE}", node.url);
        let answer = house.send(Method::POST, &url, &key, &[("idempotency-key", name)], Some(body));
        (answer.status, answer.json())
    };
    let (status, first) = create(&one, "first", &text("one"));
    assert_eq!(status, 202, "{first}");
    let (status, again) = create(&two, "first", &text("one"));
    assert_eq!((status, &again["id"]), (202, &first["id"]));
    let (status, refused) = create(&two, "first", &text("another"));
    assert_eq!(
        (status, &refused["code"]),
        (422, &json!("IDEMPOTENCY_KEY_REUSED")),
        "{refused}"
    );
    assert_eq!(create(&one, "second", &text("two")).0, 202);
    assert_eq!(create(&two, "third", &text("three")).0, 202);
    let (status, full) = create(&one, "fourth", &text("four"));
    assert_eq!(status, 429, "{full}");
    assert!(
        full.to_string().contains("are queued, which is the most"),
        "{full}"
    );
    // That were six in this minute.
    for node in [&two, &one] {
        let (status, often) = create(node, "fifth", &text("five"));
        assert_eq!(status, 429, "{often}");
        assert!(often.to_string().contains("6 a minute are taken"), "{often}");
    }
    let page = house.get(&two, "/generations/running", &key).1;
    assert_eq!(page.as_array().unwrap().len(), 3, "{page}");
}

#[test]
fn what_a_worker_leaves_goes_on_elsewhere() {
    const LEASE: Duration = Duration::from_secs(4);
    let fleet = Fleet::new();
    let house = &fleet.house;
    let settings = [("QUEUE__LEASE_MS", "4000"), ("SERVER__DRAIN_S", "600")];
    let api = fleet.node("api", "api", &settings);
    let key = api.key();
    let mut workers = ["left", "right"].map(|name| fleet.node(name, "worker", &settings));
    fleet.wait_for_engines(&api, &key, &["test-pattern"]);
    let long = json!({"prompt": "a long one", "resolution": "1080p", "duration": 15});
    let id = house.create(&api, &key, long);
    let runner = |but: &str| -> Option<String> {
        let list = fleet.says(&["workers", "list", "--json"]);
        let list = list["data"].as_array().unwrap().clone();
        let runs = |worker: &&Value| worker["running"] == json!([id]) && worker["name"] != but;
        list.iter()
            .find(runs)
            .map(|worker| worker["name"].as_str().unwrap().to_owned())
    };
    let wait_for_runner = |but: &str, patience: Duration| {
        let until = Instant::now() + patience;
        loop {
            if let Some(name) = runner(but) {
                return name;
            }
            assert!(Instant::now() < until, "nobody runs {id}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    // Killed, it says nothing more; its lease says it.
    let dead = wait_for_runner("", Duration::from_secs(30));
    let index = usize::from(dead == "right");
    workers[index].process.signal("KILL");
    let heir = wait_for_runner(&dead, 2 * LEASE);
    assert_ne!(heir, dead);
    let seen = house.get(&api, &format!("/generation/{id}"), &key).1;
    assert_eq!(seen["status"], "IN_PROGRESS", "{seen}");

    // Told to drain it takes no more; asked twice to end it hands back what it has.
    fleet.tell(&["workers", "drain", &heir]);
    let short = house.create(&api, &key, text("it waits"));
    let mut heir_process = &mut workers[1 - index].process;
    heir_process.signal("TERM");
    heir_process.wait_until("it drains", |process| process.err().contains("SIGTERM"));
    assert_eq!(runner("").as_deref(), Some(heir.as_str()));
    let asked = Instant::now();
    heir_process.signal("TERM");
    assert_eq!(heir_process.end().code(), Some(130), "{}", heir_process.err());
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
    let waiting = fleet.offer("test-pattern");
    assert_eq!(
        (&waiting["queued"], &waiting["running"]),
        (&json!(2), &json!(0)),
        "{waiting}"
    );

    let cancel = format!("{}/api/v1/generation/{id}/cancel", api.url);
    assert_eq!(house.ask(Method::POST, &cancel, &key, None).0, 200);
    workers[index] = fleet.node("again", "worker", &settings);
    house.wait_for(&api, &key, &short, &["COMPLETED"]);
    fleet.tell(&["workers", "drain", "again"]);
    let last = house.create(&api, &key, text("it waits, too"));
    heir_process = &mut workers[index].process;
    heir_process.wait_until("it hears", |process| process.err().contains("is told to drain"));
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(
        house.get(&api, &format!("/generation/{last}"), &key).1["status"],
        "IN_QUEUE"
    );
    fleet.tell(&["workers", "resume", "again"]);
    house.wait_for(&api, &key, &last, &["COMPLETED"]);
    let refused = house.run_with(&[("DATA__DATABASE", &fleet.url)], &["workers", "drain", "nobody"]);
    refused.expect(2, "there is no worker \"nobody\"");
}

/// One machine, one data directory, one file: an API and its worker.
#[test]
fn roles_share_a_data_directory() {
    let house = House::new();
    let worker = [
        "serve",
        "--role",
        "worker",
        "--listen",
        "127.0.0.1:0",
        "--engine",
        "test-pattern",
    ];
    house.run(&worker).expect(2, "there is no database in");
    house.run(&["serve", "--role", "boss"]).expect(2, "server.role");
    let api = house.serve(&[("SERVER__ROLE", "api")]);
    let key = api.key();
    let working = house.start(house.command(&[], &worker));
    let end_of_patience = Instant::now() + Duration::from_secs(30);
    let id = loop {
        let url = format!("{}{CREATE}", api.url);
        let (status, answer) = house.ask(Method::POST, &url, &key, Some(text("soon")));
        if status == 202 {
            break answer["id"].as_str().unwrap().to_owned();
        }
        assert!(
            status == 503 && Instant::now() < end_of_patience,
            "{status} {answer}"
        );
        std::thread::sleep(Duration::from_millis(50));
    };
    house.wait_for(&api, &key, &id, &["COMPLETED"]);
    end(working);
}

//! A fleet: three API nodes and six workers, each a process of its own, on one PostgreSQL and one bucket. Two of the workers
//! reach both through a network that fails. While clients create, follow and cancel, processes are killed, paused past
//! their leases and cut off, and the database crashes. What was accepted has to come to one end, and the money to be right.
//! And a fleet whose nodes are replaced one by one, by those of another version.

#[path = "../api/bytes.rs"]
mod bytes;
mod node;
#[path = "../../../store/tests/postgres_server/mod.rs"]
mod postgres_server;
mod proxy;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use kinora_domain::{Status, Timestamp};
use kinora_store::Database;
use kinora_testbucket::TestBucket;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use bytes::{assert_nothing_left_over, assert_whole, blobs_in, bucket_settings};
use node::{Node, PROGRAM};
use proxy::{Network, Proxy, Target};

const GENERATIONS: usize = 500;
/// As many while nodes are replaced.
const REPLACED_UNDER: usize = 60;
/// One in so many is canceled: clients do that, too.
const CANCELED_OF: usize = 2;
/// One in so many is followed by an event stream.
const FOLLOWED_OF: usize = 5;
const LEASE: Duration = Duration::from_secs(2);
/// Nothing of this waits for a person: a fleet that has not finished by then never will.
const PATIENCE: Duration = Duration::from_secs(1200);

/// What happens to nodes, the network and the database.
const KINDS: [&str; 6] = ["kill", "pause", "cut", "silence", "kill api", "crash"];

const CREATE: &str = "/generation/wan/wan-v2.7-video";

/// Clients of the fleet, which know its API nodes and no more.
struct Clients {
    http: Client,
    key: String,
    /// Where the API nodes are at the moment.
    nodes: RwLock<Vec<String>>,
    random: Mutex<StdRng>,
    /// Requests that nobody answered, or that were answered by an error of the server's.
    disturbed: AtomicUsize,
}

impl Clients {
    fn of(api: &[Node]) -> Arc<Clients> {
        // The client asks for a provider even where it speaks plain HTTP; a second one is refused, which is well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(30));
        Arc::new(Clients {
            http: http.build().expect("a client"),
            key: api[0].key.clone().expect("the first start's key"),
            nodes: RwLock::new(api.iter().map(|node| node.url.clone()).collect()),
            random: Mutex::new(StdRng::seed_from_u64(7)),
            disturbed: AtomicUsize::new(0),
        })
    }

    /// A request to one of the API nodes.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let node = {
            let nodes = self.nodes.read().expect("no panic");
            nodes[self.below(nodes.len())].clone()
        };
        self.http
            .request(method, format!("{node}/api/v1{path}"))
            .bearer_auth(&self.key)
    }

    fn below(&self, count: usize) -> usize {
        self.random.lock().expect("no panic").random_range(0..count)
    }

    /// Asks until somebody answers: nodes are killed, and the database is away at times. Everything asked so may be repeated.
    async fn insist(&self, what: impl Fn() -> RequestBuilder) -> (u16, Value) {
        loop {
            if let Ok(answer) = what().send().await {
                let status = answer.status().as_u16();
                if status < 500
                    && let Ok(body) = answer.json().await
                {
                    return (status, body);
                }
            }
            self.disturbed.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Creates a generation under a key of its own, twice: on whatever nodes, it is one.
    async fn create(&self, number: usize) -> String {
        let body = json!({"prompt": format!("number {number}"), "duration": 2, "resolution": "720p", "seed": number});
        let mut ids = BTreeSet::new();
        let mut answers = 0;
        while answers < 2 {
            let (status, answer) = self
                .insist(|| {
                    let request = self.request(Method::POST, CREATE).json(&body);
                    request.header("idempotency-key", format!("number-{number}"))
                })
                .await;
            // A repetition that comes while the first is still being carried out is told so.
            if status == 409 {
                continue;
            }
            assert_eq!(status, 202, "{answer}");
            answers += 1;
            ids.insert(answer["id"].as_str().expect("an id").to_owned());
        }
        assert_eq!(ids.len(), 1, "one key, one generation: {ids:?}");
        ids.pop_first().expect("one")
    }

    async fn end_of(&self, id: &str) -> Value {
        loop {
            let (status, generation) = self
                .insist(|| self.request(Method::GET, &format!("/generation/{id}")))
                .await;
            assert_eq!(status, 200, "{generation}");
            if is_end(&generation) {
                return generation;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Follows a generation over connections that end early, each time on another node: the numbers and statuses of its events.
    async fn follow(&self, id: &str) -> BTreeMap<u64, String> {
        let mut seen = BTreeMap::new();
        loop {
            let life = Duration::from_millis(100 + self.below(1500) as u64);
            let last = seen.keys().next_back().copied().unwrap_or(0);
            let done = tokio::time::timeout(life, self.listen(id, last, &mut seen)).await;
            if done == Ok(true) {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Reads events behind `last` into `seen`; true once the last one of all was read.
    async fn listen(&self, id: &str, last: u64, seen: &mut BTreeMap<u64, String>) -> bool {
        let request = self.request(Method::GET, &format!("/generation/{id}/events"));
        let Ok(mut stream) = request.header("last-event-id", last.to_string()).send().await else {
            return false;
        };
        let mut text = String::new();
        while let Ok(Some(chunk)) = stream.chunk().await {
            text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
            while let Some((block, rest)) = text.split_once("\n\n") {
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
                if let (Some(number), Some(data)) = (field("id: "), field("data: ")) {
                    let data: Value = serde_json::from_str(data).expect("JSON");
                    let status = data["status"].as_str().expect("a status").to_owned();
                    let number = number.parse().expect("a number");
                    assert!(number > last, "event {number} of {id} was seen before");
                    seen.insert(number, status);
                    if is_end(&data) {
                        return true;
                    }
                }
                text = rest.to_owned();
            }
        }
        false
    }
}

fn is_end(generation: &Value) -> bool {
    matches!(
        generation["status"].as_str(),
        Some("COMPLETED" | "FAILED" | "CANCELED")
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: cargo nextest run --workspace --run-ignored only -E 'binary(fleet)' --no-capture"]
async fn whatever_happens_to_nodes_every_generation_comes_to_one_end() {
    let mut database = postgres_server::Server::start().expect("a PostgreSQL");
    let bucket = TestBucket::start();
    let socket = database.url().split_once("host=").expect("a folder").1.to_owned() + "/.s.PGSQL.5432";

    let mut api = Vec::new();
    for _ in 0..3 {
        api.push(Node::start("api", settings(&database.url(), &bucket.endpoint())).await);
    }
    let mut workers = Vec::new();
    let mut networks = Vec::new();
    for number in 0..6 {
        let settings = if number < 4 {
            settings(&database.url(), &bucket.endpoint())
        } else {
            let to_database = Proxy::to(Target::Unix(socket.clone().into())).await;
            let to_bucket = Proxy::to(Target::Tcp(bucket.address())).await;
            let settings = settings(
                &format!("postgres://postgres@{}/postgres", to_database.address),
                &format!("http://{}", to_bucket.address),
            );
            networks.push((to_database, to_bucket));
            settings
        };
        workers.push(Node::start("worker", settings).await);
    }

    let clients = Clients::of(&api);
    let load = tokio::spawn(load(Arc::clone(&clients), GENERATIONS));
    let began = Instant::now();
    let mut random = StdRng::seed_from_u64(11);
    let mut happened: BTreeMap<&str, usize> = BTreeMap::new();
    while !load.is_finished() {
        assert!(began.elapsed() < PATIENCE, "not finished after {happened:?}");
        tokio::time::sleep(Duration::from_millis(random.random_range(300..2500))).await;
        // Each once, then as chance has it.
        let count = happened.values().sum::<usize>();
        let what = KINDS
            .get(count)
            .unwrap_or_else(|| &KINDS[random.random_range(0..KINDS.len())]);
        *happened.entry(*what).or_default() += 1;
        let away = LEASE.mul_f64(random.random_range(0.5..2.5));
        let (to_database, to_bucket) = &networks[random.random_range(0..networks.len())];
        let network = if random.random() { to_database } else { to_bucket };
        match *what {
            "kill" => {
                let worker = random.random_range(0..workers.len());
                workers[worker].restart().await;
            }
            "pause" => {
                let worker = &workers[random.random_range(0..workers.len())];
                worker.signal("STOP");
                tokio::time::sleep(away).await;
                worker.signal("CONT");
            }
            "cut" | "silence" => {
                network.set(if *what == "cut" {
                    Network::Cut
                } else {
                    Network::Silent
                });
                tokio::time::sleep(away).await;
                network.set(Network::Open);
            }
            "kill api" => {
                let node = random.random_range(0..api.len());
                api[node].restart().await;
                clients.nodes.write().expect("no panic")[node] = api[node].url.clone();
            }
            _ => database.crash_and_restart().expect("PostgreSQL again"),
        }
    }
    let (ids, followed) = load.await.expect("the load");
    eprintln!("{} generations in {:?}; {happened:?}", ids.len(), began.elapsed());
    for what in KINDS {
        assert!(happened.contains_key(what), "{what} did not happen: {happened:?}");
    }

    // Workers end well when asked to, and only then may what they left be looked at.
    for worker in &mut workers {
        worker.signal("TERM");
    }
    for worker in &mut workers {
        worker.ended().await;
    }
    assert_eq!(ids.len(), GENERATIONS);
    audit(&clients, &database, &bucket, &ids, &followed).await;
}

/// As an upgrade goes: node by node, each ended in good order and replaced, while clients create, follow and cancel. Both versions are at
/// work at a time. Without `KINORA_BEFORE`, the program of the version before, every node is replaced by its like.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_replaced_one_by_one_and_no_client_notices() {
    let before = std::env::var("KINORA_BEFORE").unwrap_or_else(|_| PROGRAM.to_owned());
    let database = postgres_server::Server::start().expect("a PostgreSQL");
    let bucket = TestBucket::start();
    let mut api = Vec::new();
    let mut workers = Vec::new();
    for (role, nodes, count) in [("api", &mut api, 2), ("worker", &mut workers, 2)] {
        for _ in 0..count {
            let settings = settings(&database.url(), &bucket.endpoint());
            nodes.push(Node::start_with(&before, role, settings).await);
        }
    }
    let clients = Clients::of(&api);
    let load = tokio::spawn(load(Arc::clone(&clients), REPLACED_UNDER));
    for node in &mut api {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Whatever stands before the nodes sends no more to it, as it does once `/readyz` says no.
        clients
            .nodes
            .write()
            .expect("no panic")
            .retain(|url| *url != node.url);
        tokio::time::sleep(Duration::from_millis(300)).await;
        node.replace(PROGRAM).await;
        clients.nodes.write().expect("no panic").push(node.url.clone());
    }
    for worker in &mut workers {
        tokio::time::sleep(Duration::from_secs(1)).await;
        worker.replace(PROGRAM).await;
    }
    assert!(
        !load.is_finished(),
        "nothing was left to be done by the new version"
    );
    let (ids, followed) = load.await.expect("the load");
    assert_eq!(ids.len(), REPLACED_UNDER);
    assert_eq!(
        clients.disturbed.load(Ordering::Relaxed),
        0,
        "requests that failed"
    );
    for worker in &mut workers {
        worker.signal("TERM");
        worker.ended().await;
    }
    audit(&clients, &database, &bucket, &ids, &followed).await;
}

/// What all nodes are told.
fn settings(database: &str, bucket: &str) -> Vec<(&'static str, String)> {
    let text = |text: &str| text.to_owned();
    let own = [
        ("DATA__DATABASE", text(database)),
        ("DATA__DATABASE_CONNECTIONS", text("4")),
        ("FIRST_START__PERMANENT_CREDITS", text("1000000")),
        ("QUEUE__LEASE_MS", LEASE.as_millis().to_string()),
        ("QUEUE__ATTEMPTS_MAX", text("100")),
        ("QUEUE__RETRY_DELAY_MS", text("100")),
        ("QUEUE__RUNNING_PER_ACCOUNT", text("6")),
        ("RATE_LIMITS__CREATE_PER_MINUTE", text("100000")),
        ("RATE_LIMITS__GET_PER_MINUTE", text("100000")),
        ("RATE_LIMITS__READ_PER_MINUTE", text("100000")),
        ("MEDIA__ENCODER_PRESET", text("superfast")),
        ("MEDIA__THREADS", text("1")),
    ];
    let of_bucket = bucket_settings(bucket).map(|(name, value)| (name, text(value)));
    own.into_iter().chain(of_bucket).collect()
}

/// Eight clients, until `count` generations have come to their ends: the ids by number, and what was followed.
async fn load(
    clients: Arc<Clients>,
    count: usize,
) -> (HashMap<usize, String>, HashMap<String, BTreeMap<u64, String>>) {
    let tasks = (0..8).map(|client| {
        let clients = Arc::clone(&clients);
        tokio::spawn(async move {
            let mut ids = HashMap::new();
            let mut followed = HashMap::new();
            for number in (client..count).step_by(8) {
                let id = clients.create(number).await;
                if number % CANCELED_OF == 0 {
                    let path = format!("/generation/{id}/cancel");
                    tokio::time::sleep(Duration::from_millis(clients.below(300) as u64)).await;
                    clients
                        .insist(|| clients.request(Method::POST, &path).json(&json!({})))
                        .await;
                }
                if number % FOLLOWED_OF == 0 {
                    let seen = clients.follow(&id).await;
                    followed.insert(id.clone(), seen);
                }
                ids.insert(number, id);
            }
            for id in ids.values() {
                clients.end_of(id).await;
            }
            (ids, followed)
        })
    });
    let (mut ids, mut followed) = (HashMap::new(), HashMap::new());
    for task in tasks.collect::<Vec<_>>() {
        let (some_ids, some_followed) = task.await.expect("a client");
        ids.extend(some_ids);
        followed.extend(some_followed);
    }
    (ids, followed)
}

/// Everything that must be true once all is over.
async fn audit(
    clients: &Clients,
    database: &postgres_server::Server,
    bucket: &TestBucket,
    ids: &HashMap<usize, String>,
    followed: &HashMap<String, BTreeMap<u64, String>>,
) {
    assert_eq!(ids.values().collect::<BTreeSet<_>>().len(), ids.len());
    let url: Database = database.url().parse().expect("a database");
    let store = url.open(2).expect("the store opens");
    assert_eq!(store.audit().await.expect("an audit"), []);

    // One hold for each, and one capture or release of all of it.
    let mut entries: HashMap<String, Vec<String>> = HashMap::new();
    let mut after = String::new();
    loop {
        let (status, page) = clients
            .insist(|| clients.request(Method::GET, &format!("/credits/entries?limit=100{after}")))
            .await;
        assert_eq!(status, 200, "{page}");
        for entry in page["data"].as_array().expect("entries") {
            if let Some(id) = entry["generation_id"].as_str() {
                let kind = entry["type"].as_str().expect("a type").to_owned();
                entries.entry(id.to_owned()).or_default().push(kind);
            }
        }
        match page["next_cursor"].as_str() {
            Some(cursor) => after = format!("&cursor={cursor}"),
            None => break,
        }
    }
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    let cache = tempfile::tempdir().expect("a temporary folder");
    let blobs = blobs_in(bucket, cache.path());
    blobs
        .sweep(&*store, 0, Timestamp(i64::MAX / 2))
        .await
        .expect("a sweep");
    for id in ids.values() {
        let generation = store
            .generation(id.parse().expect("an id"))
            .await
            .expect("an answer")
            .expect("it is there");
        let mut kinds = entries.remove(id).unwrap_or_default();
        kinds.sort();
        let (end, expected) = match &generation.status {
            Status::Succeeded(success) => {
                assert_whole(&blobs, generation.id, &success.artifacts).await;
                ("succeeded", ["capture", "hold"])
            }
            Status::Canceled => ("canceled", ["hold", "release"]),
            other => panic!("{id} has not ended as it should: {other:?}"),
        };
        assert_eq!(kinds, expected, "{id}");
        *ends.entry(end).or_default() += 1;
    }
    assert!(ends["succeeded"] >= ids.len() / CANCELED_OF, "{ends:?}");

    // Who followed has seen every event that is kept.
    for (id, seen) in followed {
        let mut kept = BTreeMap::new();
        assert!(
            clients.listen(id, 0, &mut kept).await,
            "the stream of {id} does not end"
        );
        let missed: Vec<_> = kept
            .iter()
            .filter(|(number, _)| !seen.contains_key(number))
            .collect();
        assert!(
            missed.is_empty(),
            "{id}: {missed:?} of {kept:?} are not in {seen:?}"
        );
    }

    assert_nothing_left_over(bucket, &*store).await;
}

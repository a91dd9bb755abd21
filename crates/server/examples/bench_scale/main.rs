//! Measures what an installation of several nodes is limited by, on SQLite and on PostgreSQL: creates, claims in front of
//! longer and longer queues, and how long an event takes from a worker to a client of another node. Prints a table and writes
//! `target/bench/scale.json`; it asserts nothing, and a part that cannot be measured leaves its places empty.
//!
//! Started by `cargo xtask bench scale`, which builds the server and names it: `bench_scale KINORA [LARGEST BACKLOG]`.
//! Load, servers and databases share the machine, so that the figures are lower bounds.

mod claims;
mod events;
mod place;
mod table;

#[path = "../support/mod.rs"]
mod support;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use kinora_domain::GenerationId;
use kinora_server::compose::first_start::create_key;
use kinora_store::{Scope, Store};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use place::{Kind, Place, postgres_version, sqlite_version};
use support::{Any, CONNECTIONS, Server, Spread, account, at_once, creates, keep, millis, now, submission};
use table::{Table, grouped, rounded};

/// How many times a claim in front of an empty queue a claim in front of a long one may cost.
const CLAIM_RATIO_MAX: f64 = 1.5;

fn main() -> Any<()> {
    let mut arguments = std::env::args().skip(1);
    let kinora = PathBuf::from(
        arguments
            .next()
            .ok_or("the first argument is the path of the kinora binary")?,
    );
    let largest: usize = match arguments.next() {
        Some(rows) => rows
            .parse()
            .map_err(|_| format!("{rows:?} is no number of rows"))?,
        None => 1_000_000,
    };
    let shorter = [0, 10_000, 100_000]
        .into_iter()
        .filter(|backlog| *backlog < largest);
    let backlogs: Vec<usize> = shorter.chain([largest]).collect();

    // Every stream is a connection here.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let runtime = Runtime::new()?;
    let mut table = Table::default();
    let mut failures = Vec::new();
    let mut attempt = |kind: Kind, part: &str, measured: Any<()>| {
        if let Err(error) = measured {
            let failure = format!("{kind}, {part}: {error}");
            eprintln!("{failure}");
            failures.push(failure);
        }
    };
    for kind in Kind::ALL {
        let measured = runtime.block_on(stored(kind, &mut table));
        attempt(kind, "creates through the store", measured);
        let measured = served(kind, &kinora, &runtime, &mut table);
        attempt(kind, "creates over HTTP", measured);
        let measured = events::measure(kind, &kinora, &runtime, &mut table);
        attempt(kind, "events", measured);
    }
    // Last, because filling the queues takes most of the time.
    for kind in Kind::ALL {
        let measured = runtime.block_on(claims::measure(kind, &backlogs, &mut table));
        attempt(kind, "claims", measured);
    }

    let goals: Vec<Value> = Kind::ALL
        .iter()
        .map(|kind| {
            let ratio = table.get(*kind, &claims::ratio_key(largest)).map(rounded);
            json!({
                "goal": format!("{kind}: a claim with {} queued costs at most {CLAIM_RATIO_MAX} times one with none", grouped(largest)),
                "measured": ratio,
                "holds": ratio.map(|ratio| ratio <= CLAIM_RATIO_MAX),
            })
        })
        .collect();
    let machine = machine();
    let versions = json!({
        "kinora": env!("CARGO_PKG_VERSION"),
        "sqlite": sqlite_version(),
        "postgresql": postgres_version(),
    });
    println!("\n{machine}\n{versions}\n\n{table}");
    for goal in &goals {
        let held = match goal["holds"].as_bool() {
            Some(true) => "holds",
            Some(false) => "DOES NOT HOLD",
            None => "not measured",
        };
        println!(
            "{held}: {} ({})",
            goal["goal"].as_str().unwrap_or_default(),
            goal["measured"]
        );
    }
    let mut figures: Map<String, Value> = table.to_json();
    figures.insert("goals".to_owned(), goals.into());
    figures.insert("failures".to_owned(), json!(failures));
    figures.insert("machine".to_owned(), machine);
    figures.insert("versions".to_owned(), versions);
    keep("scale", figures)?;
    match failures.is_empty() {
        true => Ok(()),
        false => Err(format!("{} parts could not be measured", failures.len()).into()),
    }
}

/// Creates through the store, from one caller and from many, each with an account of its own.
async fn stored(kind: Kind, table: &mut Table) -> Any<()> {
    const CREATES: usize = 3200;
    let place = Place::new(kind)?;
    let store = place.open()?;
    table.set(
        kind,
        "fsync_ms",
        "fsync of 4 KB on the database's disk, ms",
        fsync(&place.disk())?,
    );
    table.set(
        kind,
        "read_us",
        "read of one row through the store, µs",
        read(&*store).await?,
    );
    let mut accounts = Vec::new();
    for number in 0..CONNECTIONS {
        accounts.push(account(&*store, number).await?);
    }
    for callers in [1, 16, 64] {
        let creates = if callers == 1 { CREATES / 8 } else { CREATES };
        let (store, accounts) = (Arc::clone(&store), accounts.clone());
        let submit = move |caller: usize| {
            let (store, account) = (Arc::clone(&store), accounts[caller]);
            async move {
                store.submit(submission(account, "bench"), now()).await?;
                Ok(())
            }
        };
        let took = at_once(callers, creates / callers, submit).await?;
        table.set(
            kind,
            &format!("creates_per_s_{callers}_callers"),
            &format!("creates/s through the store, {callers} at once"),
            creates as f64 / took.as_secs_f64(),
        );
    }
    Ok(())
}

/// Creates over HTTP, through one node and, where a database can have more, through two; by one account, for which one create
/// waits for the other, and by many.
fn served(kind: Kind, kinora: &Path, runtime: &Runtime, table: &mut Table) -> Any<()> {
    const ACCOUNTS: usize = 16;
    let place = Place::new(kind)?;
    let mut nodes = vec![place.node(kinora, None)?];
    let mut keys = vec![nodes[0].key.clone()];
    if kind == Kind::Postgres {
        nodes.push(place.node(kinora, Some(&keys[0]))?);
    }
    runtime.block_on(async {
        let store = place.open()?;
        for number in 1..ACCOUNTS {
            let account = account(&*store, number).await?;
            let key = create_key(&*store, account, "bench", Scope::Full).await?;
            keys.push(key.secret);
        }
        Any::Ok(())
    })?;
    for count in 1..=nodes.len() {
        let asked: Vec<&Server> = nodes.iter().take(count).collect();
        let nodes = if count == 1 { "1 API node" } else { "2 API nodes" };
        for accounts in [1, ACCOUNTS] {
            let (rate, Spread { p50, p99 }, _) = creates(&asked, &keys[..accounts])?;
            let whose = if accounts == 1 {
                "one account"
            } else {
                "16 accounts"
            };
            let mut set = |key: &str, label: &str, value| {
                let key = format!("http_{key}_{accounts}_accounts_{count}_nodes");
                table.set(kind, &key, label, value);
            };
            set(
                "creates_per_s",
                &format!("creates/s over HTTP, {nodes}, {whose}"),
                rate,
            );
            set("create_p50_ms", "  p50, ms", p50);
            set("create_p99_ms", "  p99, ms", p99);
        }
    }
    Ok(())
}

/// The time of one question to the store, in microseconds; the median.
async fn read(store: &dyn Store) -> Any<f64> {
    let mut took = Vec::new();
    for number in 0..500 {
        let started = Instant::now();
        store.generation(GenerationId::new(now(), number)).await?;
        took.push(millis(started.elapsed()) * 1000.0);
    }
    Ok(Spread::of(took).ok_or("nothing was read")?.p50)
}

/// What a commit waits for, in a folder; the median.
fn fsync(folder: &Path) -> Any<f64> {
    let mut file = tempfile::tempfile_in(folder)?;
    let mut took = Vec::new();
    for _ in 0..100 {
        file.write_all(&[7; 4096])?;
        let started = Instant::now();
        file.sync_data()?;
        took.push(millis(started.elapsed()));
    }
    Ok(Spread::of(took).ok_or("nothing was written")?.p50)
}

/// What it was measured on, and how busy that was at the end.
fn machine() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (cpus, load) = (read("/proc/cpuinfo"), read("/proc/loadavg"));
    let cpu = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "cpu": cpu.map(|(_, name)| name.trim()),
        "load_15_minutes": load.split_whitespace().nth(2).and_then(|load| load.parse::<f64>().ok()),
    })
}

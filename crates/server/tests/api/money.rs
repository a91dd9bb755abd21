//! Money under pressure: many clients on one balance, and a process that is killed at random moments.

use std::{collections::HashMap, time::Duration};

use kinora_testbucket::TestBucket;
use rand::RngExt;
use serde_json::json;

use crate::{
    bytes::{assert_nothing_left_over, assert_whole, bucket_settings},
    house::House,
    postgres_server::Server,
};

#[tokio::test]
async fn sixty_four_clients_never_overdraw_one_balance() {
    // 10 generations fit into the balance of 200.
    let house = House::with(&[
        ("WORKER__SLOTS", "0"),
        ("FIRST_START__SUBSCRIPTION_CREDITS", "150"),
        ("FIRST_START__PERMANENT_CREDITS", "50"),
    ])
    .await;
    let body = json!({"prompt": "spend", "duration": 2, "resolution": "720p"});
    let posts = (0..64).map(|_| house.post("/generation/wan/wan-v2.7-video", &body));
    let answers = futures_util::future::join_all(posts).await;
    let accepted: Vec<&str> = answers
        .iter()
        .filter(|a| a.status == 202)
        .filter_map(|a| a.body["id"].as_str())
        .collect();
    assert_eq!(accepted.len(), 10);
    assert!(answers.iter().all(|a| a.status == 202 || a.status == 402));
    let credits = house.get("/credits").await.body;
    assert_eq!(credits["total"], 0);
    assert_eq!(
        credits["held"],
        json!({"total": 200, "subscription": 150, "permanent": 50})
    );
    house.sound().await;

    for id in accepted {
        assert_eq!(
            house
                .post(&format!("/generation/{id}/cancel"), &json!({}))
                .await
                .status,
            200
        );
    }
    let credits = house.get("/credits").await.body;
    assert_eq!(
        (credits["subscription"].as_i64(), credits["permanent"].as_i64()),
        (Some(150), Some(50))
    );
    let entries = house.get("/credits/entries?limit=100").await.body;
    let types = entries["data"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|e| e["type"].as_str());
    let mut counts: HashMap<&str, usize> = HashMap::new();
    types.for_each(|entry| *counts.entry(entry).or_default() += 1);
    assert_eq!((counts["hold"], counts["release"]), (10, 10));
    house.sound().await;
}

/// The process is killed again and again while generations are submitted and made: what was accepted reaches an end, the
/// ledger is sound, and no file is left over.
#[tokio::test]
async fn killed_again_and_again() {
    killed(200, 20, None, None).await;
}

/// The same, with the bytes in a bucket: neither there is anything left over, and nothing is missing.
#[tokio::test]
async fn killed_again_and_again_with_a_bucket() {
    killed(60, 10, Some(TestBucket::start()), None).await;
}

/// The same, with the rows in a PostgreSQL that loses its power now and then, too.
#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_with_postgresql() {
    let database = Server::start().expect("a PostgreSQL");
    killed(60, 10, Some(TestBucket::start()), Some(database)).await;
}

async fn killed(generations: usize, kills: usize, bucket: Option<TestBucket>, mut database: Option<Server>) {
    let bucket = bucket.as_ref();
    let url = database.as_ref().map(Server::url);
    let on_a_server = url.as_deref().map(|url| ("DATA__DATABASE", url));
    let own = [
        ("QUEUE__LEASE_MS", "2000"),
        ("QUEUE__ATTEMPTS_MAX", "100"),
        ("QUEUE__RUNNING_PER_ACCOUNT", "4"),
        ("FIRST_START__PERMANENT_CREDITS", "1000000"),
    ];
    let endpoint = bucket.map(TestBucket::endpoint);
    let more = endpoint.as_deref().map(bucket_settings);
    let settings: Vec<_> = own
        .into_iter()
        .chain(more.into_iter().flatten())
        .chain(on_a_server)
        .collect();
    let mut house = House::with(&settings).await;
    let body =
        |i: usize| json!({"prompt": format!("number {i}"), "duration": 2, "resolution": "720p", "seed": i});
    let mut random = rand::rng();
    let mut accepted: HashMap<usize, String> = HashMap::new();
    for round in 0..kills {
        let pause = Duration::from_millis(random.random_range(200..2500));
        let range = round * generations / kills..(round + 1) * generations / kills;
        let submit = async {
            for i in range.clone() {
                // A lost answer is asked for again under the same key, as a client would.
                let request = house.request(reqwest::Method::POST, "/generation/wan/wan-v2.7-video");
                let sent = request
                    .header("idempotency-key", format!("n{i}"))
                    .json(&body(i))
                    .send()
                    .await;
                let answer = match sent {
                    Ok(response) => response.json::<serde_json::Value>().await,
                    Err(error) => Err(error),
                };
                if let Some(id) = answer
                    .ok()
                    .and_then(|answer| answer["id"].as_str().map(str::to_owned))
                {
                    accepted.insert(i, id);
                }
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
        };
        let _ = tokio::time::timeout(pause, submit).await;
        if let Some(database) = &mut database
            && round % 3 == 1
        {
            database.crash_and_restart().expect("PostgreSQL again");
            // The server goes on by itself.
            assert_eq!(house.get("/credits").await.status, 200);
        }
        house.kill_and_restart(&settings).await;
        house.sound().await;
    }
    for i in 0..generations {
        let request = house.request(reqwest::Method::POST, "/generation/wan/wan-v2.7-video");
        let answer =
            crate::house::Answer::to(request.header("idempotency-key", format!("n{i}")).json(&body(i))).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        let id = answer.body["id"].as_str().expect("an id").to_owned();
        if let Some(earlier) = accepted.insert(i, id.clone()) {
            assert_eq!(earlier, id, "one key, one generation");
        }
    }
    // The rest is let go of, so that the test ends: a client may cancel at any moment, too.
    for (i, id) in &accepted {
        if i % 4 != 0 {
            house.post(&format!("/generation/{id}/cancel"), &json!({})).await;
        }
    }
    let mut ends: HashMap<String, usize> = HashMap::new();
    for id in accepted.values() {
        let end = house.finished(id).await;
        *ends
            .entry(end["status"].as_str().expect("a status").to_owned())
            .or_default() += 1;
    }
    assert_eq!(ends.values().sum::<usize>(), generations);
    assert!(!ends.contains_key("FAILED"), "{ends:?}");
    assert!(ends["COMPLETED"] >= generations / 4, "{ends:?}");
    house.sound().await;

    // A blob whose process died before it could say so is an orphan; the sweep takes it, here without its grace time.
    let (store, blobs) = (house.store(), house.blobs(bucket));
    let later = kinora_domain::Timestamp(i64::MAX / 2);
    blobs.sweep(&*store, 0, later).await.expect("a sweep");
    for id in accepted.values() {
        let generation = store
            .generation(id.parse().expect("an id"))
            .await
            .expect("an answer")
            .expect("there");
        if let kinora_domain::Status::Succeeded(success) = generation.status {
            assert_whole(&blobs, generation.id, &success.artifacts).await;
        }
    }
    let mut left_over = Vec::new();
    for file in files_below(&house.data()) {
        let is_blob = ["blobs", "cache"]
            .iter()
            .any(|folder| file.starts_with(house.data().join(folder)));
        let parts: Vec<&str> = file
            .iter()
            .rev()
            .take(2)
            .filter_map(|part| part.to_str())
            .collect();
        let referenced = match format!("{}{}", parts[1], parts[0]).parse() {
            Ok(hash) => store.is_referenced(hash).await.expect("an answer"),
            Err(()) => false,
        };
        // Besides blobs there are the database and the locks of who runs, and nothing that an attempt or an upload has left.
        let is_lock = file.file_name().is_some_and(|name| name == "lock");
        let kept = is_lock
            || if is_blob {
                referenced
            } else {
                file.parent() == Some(&house.data())
            };
        if !kept {
            left_over.push(file);
        }
    }
    assert_eq!(left_over, Vec::<std::path::PathBuf>::new());
    if let Some(bucket) = bucket {
        assert_nothing_left_over(bucket, &*store).await;
    }
}

fn files_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(files_below(&path))
        } else {
            files.push(path)
        }
    }
    files
}

//! Event streams: what they carry, how they end, and how they resume.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::house::House;

const STREAM: &str = "/generation/sse/wan/wan-v2.7-video";

/// One event as a client reads it.
#[derive(Debug, Clone)]
struct Event {
    id: u64,
    data: Value,
}

/// Reads a stream to its end; every block has to be an unnamed event or a comment.
async fn read_all(mut response: Response) -> (Vec<Event>, usize) {
    let mut text = String::new();
    while let Some(chunk) = response.chunk().await.expect("a stream") {
        text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
    }
    let (mut events, mut comments) = (Vec::new(), 0);
    for block in text.split("\n\n").filter(|block| !block.is_empty()) {
        if block.starts_with(':') {
            comments += 1;
            continue;
        }
        let block = block.strip_prefix("retry: 3000\n").unwrap_or(block);
        let lines: Vec<&str> = block.lines().collect();
        assert_eq!(lines.len(), 2, "{block:?}");
        let id = lines[0]
            .strip_prefix("id: ")
            .and_then(|id| id.parse().ok())
            .expect("a number");
        let data = lines[1].strip_prefix("data: ").expect("data");
        events.push(Event {
            id,
            data: serde_json::from_str(data).expect("JSON on one line"),
        });
    }
    (events, comments)
}

#[tokio::test]
async fn a_stream_from_the_first_event_to_the_last() {
    let house = House::start().await;
    let body = json!({"prompt": "follow me", "duration": 2, "resolution": "720p"});
    let started = std::time::Instant::now();
    let response = house
        .request(Method::POST, STREAM)
        .json(&body)
        .send()
        .await
        .expect("an answer");
    assert!(started.elapsed() < Duration::from_secs(1), "C-1");
    assert_eq!(response.status().as_u16(), 200);
    for (name, expected) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(response.headers()[name], expected);
    }
    let location = response.headers()["location"].to_str().expect("ASCII").to_owned();
    let (events, _) = read_all(response).await;
    assert!(events.len() >= 3, "{events:?}");
    assert!(
        events.windows(2).all(|pair| pair[0].id < pair[1].id),
        "numbers increase"
    );
    let progress: Vec<f64> = events
        .iter()
        .map(|e| e.data["progress"].as_f64().expect("a fraction"))
        .collect();
    assert!(progress.windows(2).all(|pair| pair[0] <= pair[1]), "{progress:?}");
    for Event { data, .. } in &events {
        assert!(data["id"].as_str().is_some_and(|id| id.starts_with("gen_")));
        assert!(
            data["status"].as_str().is_some_and(|status| !status.is_empty()),
            "C-2"
        );
        assert!(data["usage"]["total"].is_i64());
    }
    assert_eq!(events[0].data["status"], "IN_QUEUE");
    let last = &events.last().expect("some").data;
    assert_eq!(last["status"], "COMPLETED");
    assert_eq!(last["data"]["type"], "video");
    assert!(
        events[..events.len() - 1]
            .iter()
            .all(|event| event.data["data"].is_null())
    );

    // Subscribing again: everything since, from the beginning, from the end, and from nowhere.
    let id = last["id"].as_str().expect("an id");
    assert_eq!(location, format!("/api/v1/generation/{id}"));
    let again = async |header: Option<String>| {
        let mut request = house.request(Method::GET, &format!("/generation/{id}/events"));
        if let Some(header) = header {
            request = request.header("last-event-id", header);
        }
        read_all(request.send().await.expect("an answer")).await.0
    };
    let replayed = again(Some(events[0].id.to_string())).await;
    let statuses: Vec<&str> = replayed
        .iter()
        .filter_map(|e| e.data["status"].as_str())
        .collect();
    assert_eq!(statuses, ["IN_PROGRESS", "COMPLETED"]);
    assert!(replayed[0].id > events[0].id);
    for header in [
        None,
        Some("999999".to_owned()),
        Some("x".to_owned()),
        Some(events.last().expect("some").id.to_string()),
    ] {
        let events = again(header.clone()).await;
        assert_eq!(events.len(), 1, "{header:?}");
        assert_eq!(events[0].data["status"], "COMPLETED");
    }
}

#[tokio::test]
async fn errors_before_the_stream_are_json() {
    let house = House::start().await;
    let response = house
        .request(Method::POST, STREAM)
        .json(&json!({"duration": 99}))
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status().as_u16(), 422);
    assert_eq!(response.headers()["content-type"], "application/json");
    let body: Value = response.json().await.expect("JSON");
    assert!(body["message"].is_string(), "C-6");
}

#[tokio::test]
async fn silence_is_broken_by_comments_and_shutdown_ends_streams() {
    let house = House::with(&[("WORKER__SLOTS", "0"), ("SERVER__SSE_HEARTBEAT_S", "1")]).await;
    let id = house.create("waits for ever").await;
    let response = house
        .request(Method::GET, &format!("/generation/{id}/events"))
        .send()
        .await
        .expect("an answer");
    let reading = tokio::spawn(read_all(response));
    tokio::time::sleep(Duration::from_millis(2500)).await;
    std::process::Command::new("kill")
        .arg(house.process_id().to_string())
        .status()
        .expect("kill");
    let (events, comments) = tokio::time::timeout(Duration::from_secs(10), reading)
        .await
        .expect("ends")
        .expect("reads");
    assert_eq!(events.len(), 1);
    assert!(comments >= 3, "two heartbeats and a last word: {comments}");
}

#[tokio::test]
async fn a_client_that_leaves_cancels_nothing() {
    let house = House::start().await;
    let body = json!({"prompt": "left alone", "duration": 2, "resolution": "720p"});
    let mut response = house
        .request(Method::POST, STREAM)
        .json(&body)
        .send()
        .await
        .expect("an answer");
    let first = response.chunk().await.expect("a stream").expect("an event");
    let text = std::str::from_utf8(&first).expect("UTF-8").to_owned();
    drop(response);
    let data = text
        .lines()
        .find_map(|line| line.strip_prefix("data: "))
        .expect("data");
    let id: Value = serde_json::from_str(data).expect("JSON");
    // C-9: the id works at once.
    let id = id["id"].as_str().expect("an id");
    assert_eq!(house.get(&format!("/generation/{id}")).await.status, 200);
    assert_eq!(house.finished(id).await["status"], "COMPLETED");
}

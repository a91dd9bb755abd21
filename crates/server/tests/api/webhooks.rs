//! Webhooks, to receivers that behave and to receivers that do not. What is signed is verified by the standard's own
//! implementation.

mod receiver;
mod sender;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use crate::house::{Answer, House};
use receiver::{Reaction, Receiver, Seen};

const CREATE: &str = "/generation/wan/wan-v2.7-video";

/// A server that may tell receivers on this machine.
async fn house() -> House {
    House::with(&[
        ("WEBHOOKS__ALLOW_HOSTS", "127.0.0.1"),
        ("QUEUE__RETRY_DELAY_MS", "10"),
    ])
    .await
}

async fn endpoint(house: &House, body: Value) -> Value {
    let made = house.post("/webhooks", &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.body
}

fn verify(seen: &Seen, secret: &Value) {
    let webhook = Webhook::new(secret.as_str().expect("a secret")).expect("a secret");
    webhook
        .verify(&seen.body, &seen.headers)
        .expect("the signature holds");
}

#[tokio::test]
async fn a_generation_is_told_from_end_to_end() {
    let house = house().await;
    let (of_endpoint, of_request) = (Receiver::start().await, Receiver::start().await);
    let made = endpoint(&house, json!({"url": of_endpoint.url, "description": "the shop"})).await;
    let secret = &made["secret"];
    let signing = house.get("/webhooks/signing-secret").await.body["secret"].clone();
    assert_ne!(*secret, signing);
    let again = house.get("/webhooks/signing-secret").await.body["secret"].clone();
    assert_eq!(signing, again);

    let body =
        json!({"prompt": "A boat", "duration": 2, "resolution": "720p", "webhook_url": of_request.url});
    let created = house.post(CREATE, &body).await;
    assert_eq!(created.status, 202, "{}", created.body);
    assert_eq!(created.body["input"]["webhook_url"], Value::Null, "never echoed");
    let id = created.body["id"].as_str().expect("an id").to_owned();
    let finished = house.finished(&id).await;
    for (receiver, secret) in [(&of_endpoint, secret), (&of_request, &signing)] {
        let seen = receiver.wait_for(3).await;
        let told: Vec<_> = seen
            .iter()
            .map(|seen| {
                (
                    seen.text("type"),
                    seen.prediction("state"),
                    seen.prediction("status"),
                )
            })
            .collect();
        let expected = [
            ("task.created", "queued", "IN_QUEUE"),
            ("task.started", "running", "IN_PROGRESS"),
            ("task.completed", "succeeded", "COMPLETED"),
        ];
        assert_eq!(
            told,
            expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()))
        );
        for seen in &seen {
            verify(seen, secret);
            assert_eq!(seen.headers["content-type"], "application/json");
            let webhook_id = seen.headers["webhook-id"].to_str().expect("ASCII");
            assert!(!webhook_id.contains('.') && seen.body.len() < 20_000);
            assert_eq!(seen.json["prediction"]["id"], json!(id));
            assert_eq!(seen.json["prediction"]["model"], "wan/wan-v2.7-video");
            assert_eq!(seen.json["prediction"]["usage"]["total"], 20);
        }
        let first = &seen[0].json["prediction"];
        assert_eq!(
            (&first["data"], &first["input"]["prompt"]),
            (&Value::Null, &json!("A boat"))
        );
        let last = &seen[2].json["prediction"];
        assert_eq!(last["input"], finished["input"]);
        let url = last["data"]["video"]["url"].as_str().expect("a URL");
        let path = url.strip_prefix(&house.url).expect("this server's");
        let file = Answer::to(house.anonymous(Method::GET, path)).await;
        assert_eq!((file.status, file.header("content-type")), (200, "video/mp4"));
    }

    let list = house.get("/webhooks").await.body;
    let mut hidden = made.clone();
    hidden.as_object_mut().expect("an object").remove("secret");
    assert_eq!(
        list,
        json!({"data": [hidden]}),
        "the URL of a request is no endpoint"
    );
    let path = format!("/webhooks/{}", made["id"].as_str().expect("an id"));
    assert_eq!(house.get(&path).await.body, hidden);
    let log = house.get(&format!("{path}/deliveries?limit=2")).await.body;
    assert_eq!(
        (log["has_more"].clone(), log["data"][0]["status"].clone()),
        (json!(true), json!("delivered"))
    );
    assert_eq!(log["data"][0]["type"], "task.completed");
    assert_eq!(log["data"][0]["generation_id"], json!(id));
    let tried = &log["data"][0]["tries"][0];
    assert_eq!(
        (&tried["status"], &tried["answer"], &tried["error"]),
        (&json!(200), &json!("thanks"), &Value::Null)
    );
    let cursor = log["next_cursor"].as_str().expect("a cursor");
    let rest = house
        .get(&format!("{path}/deliveries?cursor={cursor}"))
        .await
        .body;
    assert_eq!(
        (rest["data"].as_array().map(Vec::len), rest["has_more"].clone()),
        (Some(1), json!(false))
    );

    // Again, by hand.
    let delivery = log["data"][0]["id"].as_str().expect("an id");
    let retried = house
        .post(&format!("{path}/deliveries/{delivery}/retry"), &json!({}))
        .await;
    assert_eq!((retried.status, &retried.body["id"]), (202, &json!(delivery)));
    let seen = of_endpoint.wait_for(4).await;
    assert_eq!(seen[3].headers["webhook-id"], seen[2].headers["webhook-id"]);
    assert_eq!(seen[3].text("type"), "task.completed");
    house.sound().await;
}

#[tokio::test]
async fn failures_and_cancels_are_told_to_who_asked() {
    let house = house().await;
    let receiver = Receiver::start().await;
    let ends = json!(["task.failed", "task.canceled", "task.failed"]);
    let made = endpoint(&house, json!({"url": receiver.url, "events": ends})).await;
    assert_eq!(made["events"], json!(["task.failed", "task.canceled"]));
    let failing = json!({"prompt": "a clip", "duration": 2, "image_url": "https://192.0.2.1/none.png", "resolution": "720p"});
    let refused = house.post(CREATE, &failing).await;
    assert_eq!(refused.status, 422, "documentation addresses are not public");
    let failing = json!({"prompt": "a clip", "duration": 2, "image_url": "https://nowhere.invalid/none.png", "resolution": "720p"});
    let created = house.post(CREATE, &failing).await;
    assert_eq!(created.status, 202, "{}", created.body);
    house.finished(created.body["id"].as_str().expect("an id")).await;
    let seen = receiver.wait_for(1).await;
    let prediction = &seen[0].json["prediction"];
    assert_eq!(
        (seen[0].text("type"), &prediction["state"]),
        ("task.failed".to_owned(), &json!("failed"))
    );
    assert_eq!(prediction["code"], "VIDEO_GENERATION_INVALID_INPUT");
    assert!(
        prediction["message"]
            .as_str()
            .is_some_and(|message| message.contains("image_url"))
    );
    assert_eq!(prediction["usage"]["total"], 0);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(receiver.seen().len(), 1, "the rest was not asked for");
}

/// A long prompt does not fit; the rest does. Nor does it fit where the result says which prompt was used.
#[tokio::test]
async fn payloads_stay_small() {
    let house = house().await;
    let receiver = Receiver::start().await;
    let prompt = "🚢".repeat(5000);
    let body = json!({"prompt": prompt, "duration": 2, "resolution": "720p", "seed": 3, "webhook_url": receiver.url});
    let created = house.post(CREATE, &body).await;
    assert_eq!(created.status, 202, "{}", created.body);
    let told = receiver.wait_for(3).await;
    for seen in &told {
        let event = seen.text("type");
        assert!(seen.body.len() <= 20_000, "{event} has {} bytes", seen.body.len());
        let prediction = &seen.json["prediction"];
        assert_eq!(prediction["input_truncated"], json!(true), "{event}");
        assert_eq!(
            (&prediction["input"]["prompt"], &prediction["input"]["seed"]),
            (&Value::Null, &json!(3)),
            "{event}"
        );
    }
    let data = &told[2].json["prediction"]["data"];
    assert_eq!(data["actual_prompt"], Value::Null);
    assert!(data["video"]["url"].is_string(), "{data}");
}

#[tokio::test]
async fn endpoints_are_tried_rotated_disabled_and_removed() {
    let house = house().await;
    let receiver = Receiver::start().await;
    let made = endpoint(&house, json!({"url": receiver.url})).await;
    let path = format!("/webhooks/{}", made["id"].as_str().expect("an id"));
    let test = house.post(&format!("{path}/test"), &json!({})).await;
    assert_eq!(test.status, 202);
    let seen = receiver.wait_for(1).await;
    verify(&seen[0], &made["secret"]);
    assert_eq!(
        (seen[0].text("type"), &seen[0].json["prediction"]),
        ("webhook.test".to_owned(), &Value::Null)
    );
    assert_eq!(
        seen[0].headers["webhook-id"],
        test.body["id"].as_str().expect("an id")
    );

    // Both secrets sign for a day.
    let rotated = house.post(&format!("{path}/rotate-secret"), &json!({})).await;
    assert_eq!(rotated.status, 200);
    assert_ne!(rotated.body["secret"], made["secret"]);
    house.post(&format!("{path}/test"), &json!({})).await;
    let seen = receiver.wait_for(2).await;
    verify(&seen[1], &made["secret"]);
    verify(&seen[1], &rotated.body["secret"]);

    let patch = async |body: Value| Answer::to(house.request(Method::PATCH, &path).json(&body)).await;
    let disabled = patch(json!({"enabled": false, "description": "later", "events": []})).await;
    assert_eq!(disabled.status, 200, "{}", disabled.body);
    assert_eq!(
        (&disabled.body["enabled"], &disabled.body["description"]),
        (&json!(false), &json!("later"))
    );
    for action in [
        "test",
        &format!("deliveries/{}/retry", test.body["id"].as_str().expect("an id")),
    ] {
        let answer = house.post(&format!("{path}/{action}"), &json!({})).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (409, &json!("WEBHOOK_ENDPOINT_DISABLED"))
        );
    }
    patch(json!({"enabled": true})).await;
    assert_eq!(house.delete(&path).await.status, 204);
    assert_eq!(house.delete(&path).await.status, 404);
    assert_eq!(house.get(&path).await.status, 404);
    assert_eq!(house.get("/webhooks").await.body, json!({"data": []}));
}

#[tokio::test]
async fn what_cannot_be_an_endpoint_is_refused() {
    let house = House::with(&[("WEBHOOKS__ENDPOINTS_PER_ACCOUNT", "1")]).await;
    let check = async |body: Value, status: u16, field: Option<&str>| {
        let answer = house.post("/webhooks", &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        if let Some(field) = field {
            let fields: Vec<_> = answer.body["errors"]
                .as_array()
                .expect("errors")
                .iter()
                .map(|e| e["field"].clone())
                .collect();
            assert!(fields.contains(&json!(field)), "{body}: {fields:?}");
        }
    };
    check(json!({}), 422, Some("url")).await;
    check(json!({"url": ""}), 422, Some("url")).await;
    check(json!({"url": null}), 422, Some("url")).await;
    for url in [
        "hook",
        "ftp://example.com/",
        "http://example.com/",
        "https://localhost/",
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://[::1]/",
        "https://169.254.169.254/latest",
        "https://user@example.com/",
        "https://2130706433/",
    ] {
        check(json!({"url": url}), 422, Some("url")).await;
        let body = json!({"prompt": "a", "webhook_url": url});
        let answer = house.post(CREATE, &body).await;
        assert_eq!(answer.status, 422, "{url}: {}", answer.body);
    }
    let good = "https://example.com/hook";
    check(json!({"url": 5}), 400, Some("url")).await;
    check(json!({"url": good, "events": "task.failed"}), 400, Some("events")).await;
    check(json!({"url": good, "events": [1]}), 400, Some("events[0]")).await;
    check(
        json!({"url": good, "events": ["task.failed", "task.done"]}),
        422,
        Some("events[1]"),
    )
    .await;
    check(json!({"url": good, "enabled": "yes"}), 400, Some("enabled")).await;
    check(json!({"url": good, "secret": "mine"}), 422, Some("secret")).await;
    check(
        json!({"url": good, "description": "x".repeat(501)}),
        422,
        Some("description"),
    )
    .await;
    check(json!([good]), 400, None).await;
    let answer = house.post_text("/webhooks", "{\"url\":").await;
    assert_eq!(answer.status, 400);
    let answer = house.post_text("/webhooks", &"x".repeat(70_000)).await;
    assert_eq!(answer.status, 413);
    let form = house
        .request(Method::POST, "/webhooks")
        .header("content-type", "text/plain")
        .body(good);
    assert_eq!(Answer::to(form).await.status, 415);
    check(json!({"url": good}), 201, None).await;
    let answer = house.post("/webhooks", &json!({"url": good})).await;
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (409, &json!("WEBHOOK_ENDPOINT_LIMIT"))
    );

    let read = house.kinora(&[
        "key",
        "create",
        "--account",
        "default",
        "--name",
        "r",
        "--read-only",
        "--quiet",
    ]);
    let reading = |method, path: &str| {
        let request = house.anonymous(method, &format!("api/v1{path}"));
        request.bearer_auth(read.trim()).json(&json!({"url": good}))
    };
    assert_eq!(Answer::to(reading(Method::GET, "/webhooks")).await.status, 200);
    assert_eq!(Answer::to(reading(Method::POST, "/webhooks")).await.status, 403);
    assert_eq!(
        Answer::to(reading(Method::GET, "/webhooks/signing-secret"))
            .await
            .status,
        403
    );
    for path in [
        "/webhooks/x",
        "/webhooks/whe_00000000000000000000000000",
        "/webhooks/whe_00000000000000000000000000/deliveries",
    ] {
        assert_eq!(house.get(path).await.status, 404, "{path}");
    }
}

/// What was queued before the process died is told by the next one.
#[tokio::test]
async fn a_killed_server_tells_it_later() {
    let settings = [("WEBHOOKS__ALLOW_HOSTS", "127.0.0.1"), ("WORKER__SLOTS", "0")];
    let mut house = House::with(&settings).await;
    let receiver = Receiver::start().await;
    receiver.react([Reaction::Stall]);
    let body = json!({"prompt": "A boat", "duration": 2, "resolution": "720p", "webhook_url": receiver.url});
    let created = house.post(CREATE, &body).await;
    assert_eq!(created.status, 202, "{}", created.body);
    let id = created.body["id"].as_str().expect("an id").to_owned();
    receiver.wait_for(1).await;
    house.kill_and_restart(&settings).await;
    let canceled = house.post(&format!("/generation/{id}/cancel"), &json!({})).await;
    assert_eq!(canceled.status, 200);
    // The first event's lease was the dead process's; the second waits for its first try.
    let store = house.store();
    let due = store.next_delivery_at().await.expect("an answer");
    assert!(due.is_some(), "nothing is lost");
    house.sound().await;
}

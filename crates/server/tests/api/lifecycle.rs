//! The life of a generation as a client sees it: created, polled, listed, cancelled, read, deleted.

use std::time::{Duration, Instant};

use kinora_domain::Timestamp;
use kinora_server::http::files::Signer;
use reqwest::{Method, multipart::Form};
use serde_json::{Value, json};

use crate::house::{Answer, House};

const CREATE: &str = "/generation/wan/wan-v2.7-video";

#[tokio::test]
async fn from_request_to_mp4() {
    let house = House::start().await;
    let body = json!({"prompt": "a paper boat", "duration": 2, "resolution": "720p", "cfg_scale": 7});
    let created = house.post(CREATE, &body).await;
    assert_eq!(created.status, 202, "{}", created.body);
    let id = created.body["id"].as_str().expect("an id").to_owned();
    assert!(id.starts_with("gen_") && id.len() == 30);
    assert_eq!(created.header("location"), format!("/api/v1/generation/{id}"));
    assert_eq!(created.header("cache-control"), "no-store");
    assert!(created.header("x-request-id").starts_with("req_"));
    assert_eq!(created.body["status"], "starting");
    assert_eq!(
        created.body["usage"],
        json!({"total": 20, "subscription": 20, "permanent": 0})
    );
    assert_eq!(
        created.body["urls"]["get"],
        format!("{}/api/v1/generation/{id}", house.url)
    );
    let input = created.body["input"].as_object().expect("an input");
    let names: Vec<&str> = input.keys().map(String::as_str).collect();
    let expected = [
        "feature",
        "prompt",
        "aspect_ratio",
        "resolution",
        "duration",
        "enable_prompt_expansion",
        "multi_shots",
        "audio_setting",
        "seed",
    ];
    assert_eq!(names, expected);
    let keys: Vec<&str> = created
        .body
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys[..3], ["id", "status", "usage"]);

    let done = house.finished(&id).await;
    assert_eq!(done["status"], "COMPLETED", "{done}");
    assert_eq!(done["progress"], 1.0);
    assert_eq!(done["stage"], "done");
    assert_eq!(done["model"], "wan/wan-v2.7-video");
    assert_eq!(done["input"], created.body["input"]);
    assert_eq!(done["usage"], created.body["usage"]);
    let data = &done["data"];
    assert_eq!(data["type"], "video");
    assert_eq!(data["n"], 1);
    assert_eq!(data["seed"], done["input"]["seed"]);
    assert_eq!(data["video"], data["videos"][0]);
    let video = &data["video"];
    assert_eq!(video["file_name"], format!("{id}.mp4"));
    assert_eq!(video["content_type"], "video/mp4");
    for (name, expected) in [("width", 1280), ("height", 720), ("fps", 30), ("num_frames", 60)] {
        assert_eq!(video[name], expected, "{name}");
    }
    assert_eq!(video["duration"], 2.0);

    let file = reqwest_get(&house, video["url"].as_str().expect("a url"), &[]).await;
    assert_eq!(file.status().as_u16(), 200);
    assert_eq!(file.headers()["content-type"], "video/mp4");
    let bytes = file.bytes().await.expect("a body");
    assert_eq!(video["file_size"], bytes.len());
    assert_eq!(&bytes[4..8], b"ftyp");
    let position = |name: &[u8]| bytes.windows(4).position(|window| window == name).expect("a box");
    assert!(position(b"moov") < position(b"mdat"), "the index comes first");
    let poster = reqwest_get(&house, video["poster_url"].as_str().expect("a url"), &[]).await;
    assert_eq!(poster.headers()["content-type"], "image/jpeg");
    assert_eq!(&poster.bytes().await.expect("a body")[..2], [0xff, 0xd8]);
    house.sound().await;
}

async fn reqwest_get(house: &House, url: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    // Without the key: the signature is the capability.
    let path = url.strip_prefix(&house.url).expect("a URL of this server");
    let mut request = house.anonymous(Method::GET, &format!("/{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn files_in_ranges_and_their_signatures() {
    let house = House::start().await;
    let id = house.create("ranges").await;
    let done = house.finished(&id).await;
    let url = done["data"]["video"]["url"].as_str().expect("a url").to_owned();
    let size = done["data"]["video"]["file_size"].as_u64().expect("a size");

    let part = reqwest_get(&house, &url, &[("range", "bytes=4-7")]).await;
    assert_eq!(part.status().as_u16(), 206);
    assert_eq!(part.headers()["content-range"], format!("bytes 4-7/{size}"));
    let etag = part.headers()["etag"].to_str().expect("ASCII").to_owned();
    assert_eq!(&part.bytes().await.expect("a body")[..], b"ftyp");
    let beyond = reqwest_get(&house, &url, &[("range", "bytes=999999999-")]).await;
    assert_eq!(beyond.status().as_u16(), 416);
    assert_eq!(beyond.headers()["content-range"], format!("bytes */{size}"));
    let refusal: Value = beyond.json().await.expect("a body");
    assert_eq!(refusal["code"], "VIDEO_GENERATION_INVALID_INPUT", "{refusal}");
    let same = reqwest_get(&house, &url, &[("if-none-match", &etag)]).await;
    assert_eq!(same.status().as_u16(), 304);
    let weak = reqwest_get(&house, &url, &[("if-none-match", &format!("\"x\", W/{etag}"))]).await;
    assert_eq!(weak.status().as_u16(), 304);
    let stale = reqwest_get(&house, &url, &[("range", "bytes=0-1"), ("if-range", "\"other\"")]).await;
    assert_eq!(stale.status().as_u16(), 200);
    let head = house.anonymous(
        Method::HEAD,
        &format!("/{}", url.strip_prefix(&house.url).expect("ours")),
    );
    let head = head.send().await.expect("an answer");
    assert_eq!(head.headers()["content-length"], size.to_string());

    let forged = |from: &str, to: &str| url.replacen(from, to, 1);
    for url in [
        forged("exp=", "exp=9"),
        forged("&sig=", "&sig=A"),
        forged(&format!("{id}.mp4"), "poster.jpg"),
        forged(&id, "gen_00000000000000000000000000"),
        url.split('?').next().expect("a path").to_owned(),
    ] {
        assert_eq!(
            reqwest_get(&house, &url, &[]).await.status().as_u16(),
            403,
            "{url}"
        );
    }

    assert_eq!(house.delete(&format!("/generation/{id}")).await.status, 204);
    assert_eq!(house.delete(&format!("/generation/{id}")).await.status, 204);
    assert_eq!(reqwest_get(&house, &url, &[]).await.status().as_u16(), 410);
    let gone = house.get(&format!("/generation/{id}")).await;
    assert_eq!(gone.body["data_removed"], true);
    assert_eq!(gone.body["data"], Value::Null);
    assert_eq!(gone.body["status"], "COMPLETED");
    house.sound().await;
}

#[tokio::test]
async fn an_expired_url_is_refused() {
    let house = House::start().await;
    let id = house.create("soon gone").await;
    house.finished(&id).await;
    // Signed with the installation's own secret, for an end that has passed.
    let secret = house
        .store()
        .secret("file URLs", [0; 32])
        .await
        .expect("the secret");
    let (id, now) = (id.parse().expect("an id"), std::time::SystemTime::now());
    let now_ms = now
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_millis() as i64;
    for (end_ms, status) in [(now_ms - 2000, 403), (now_ms + 60_000, 200)] {
        let path = Signer::new(secret).sign(id, "poster.jpg", Timestamp(end_ms));
        let answer = reqwest_get(&house, &format!("{}{path}", house.url), &[]).await;
        assert_eq!(answer.status().as_u16(), status);
    }
}

#[tokio::test]
async fn cancel_in_every_status() {
    let house = House::with(&[("WORKER__SLOTS", "1")]).await;
    let long = json!({"prompt": "long", "duration": 15, "resolution": "1080p"});
    let running = house.post(CREATE, &long).await.body["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let queued = house.post(CREATE, &long).await.body["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    while house.get(&format!("/generation/{running}")).await.body["status"] != "IN_PROGRESS" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let busy = house.delete(&format!("/generation/{running}")).await;
    assert_eq!(
        (busy.status, busy.body["code"].as_str()),
        (409, Some("GENERATION_NOT_FINISHED"))
    );

    let cancel = async |id: &str| house.post(&format!("/generation/{id}/cancel"), &json!({})).await;
    let answer = cancel(&queued).await;
    assert_eq!(
        (answer.status, answer.body["status"].as_str()),
        (200, Some("CANCELED"))
    );
    assert_eq!(answer.body["usage"]["total"], 0);
    assert_eq!(
        cancel(&queued).await.status,
        200,
        "cancelling twice is cancelling once"
    );

    let asked = std::time::Instant::now();
    let answer = cancel(&running).await;
    assert_eq!(
        (answer.status, answer.body["status"].as_str()),
        (202, Some("IN_PROGRESS")),
        "{}",
        answer.body
    );
    assert_eq!(house.finished(&running).await["status"], "CANCELED");
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "took {:?}",
        asked.elapsed()
    );

    let done = house.create("short").await;
    house.finished(&done).await;
    let answer = cancel(&done).await;
    assert_eq!(
        (answer.status, answer.body["code"].as_str()),
        (409, Some("GENERATION_ALREADY_FINISHED"))
    );
    assert_eq!(cancel("gen_00000000000000000000000000").await.status, 404);
    assert_eq!(cancel("nonsense").await.status, 404);
    house.sound().await;
}

#[tokio::test]
async fn prefer_wait() {
    let house = House::start().await;
    let body = json!({"prompt": "wait for me", "duration": 2, "resolution": "720p"});
    let waited = Answer::to(
        house
            .request(Method::POST, CREATE)
            .header("prefer", "wait=60")
            .json(&body),
    )
    .await;
    assert_eq!(waited.status, 200, "{}", waited.body);
    assert_eq!(waited.header("preference-applied"), "wait");
    assert_eq!(waited.body["status"], "succeeded");
    assert_eq!(waited.body["data"]["type"], "video");

    let long = json!({"prompt": "too long", "duration": 15});
    let waited = Answer::to(
        house
            .request(Method::POST, CREATE)
            .header("prefer", "wait=1")
            .json(&long),
    )
    .await;
    assert_eq!(waited.status, 202);
    assert!(
        matches!(waited.body["status"].as_str(), Some("starting")),
        "{}",
        waited.body
    );
}

#[tokio::test]
async fn idempotency() {
    let house = House::start().await;
    let body = json!({"prompt": "once", "duration": 2, "resolution": "720p"});
    let post = async |path: &str, key: &str, body: &Value| {
        Answer::to(
            house
                .request(Method::POST, path)
                .header("idempotency-key", key)
                .json(body),
        )
        .await
    };
    let first = post(CREATE, "k1", &body).await;
    assert_eq!(first.status, 202);
    house.finished(first.body["id"].as_str().expect("an id")).await;
    // The same members in another order and spelling are the same payload.
    let again = post(
        CREATE,
        "\"k1\"",
        &json!({"resolution": "720p", "duration": 2.0, "prompt": "once"}),
    )
    .await;
    assert_eq!(again.status, 202);
    assert_eq!(again.body, first.body, "the answer of then");
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.header("idempotency-replayed"), "true");

    let other = post(
        CREATE,
        "k1",
        &json!({"prompt": "another", "duration": 2, "resolution": "720p"}),
    )
    .await;
    assert_eq!(
        (other.status, other.body["code"].as_str()),
        (422, Some("IDEMPOTENCY_KEY_REUSED"))
    );
    // A refused request leaves its key free, and other paths have keys of their own.
    assert_eq!(post(CREATE, "k2", &json!({})).await.status, 422);
    assert_eq!(post(CREATE, "k2", &body).await.status, 202);
    assert_eq!(post(CREATE, &"k".repeat(256), &body).await.status, 400);
    let credits = house.get("/credits").await.body;
    let answers = futures_util::future::join_all((0..16).map(|_| post(CREATE, "k3", &body))).await;
    let accepted: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 202).collect();
    assert!(!accepted.is_empty());
    assert!(
        accepted
            .iter()
            .all(|answer| answer.body["id"] == accepted[0].body["id"])
    );
    assert!(
        answers
            .iter()
            .all(|a| a.status == 202 || a.body["code"] == "IDEMPOTENCY_IN_FLIGHT")
    );
    house
        .finished(accepted[0].body["id"].as_str().expect("an id"))
        .await;
    let spent = credits["total"].as_i64().expect("credits")
        - house.get("/credits").await.body["total"]
            .as_i64()
            .expect("credits");
    assert_eq!(spent, 20, "sixteen requests under one key are one generation");
    house.sound().await;
}

#[tokio::test]
async fn lists_and_pages() {
    let house = House::with(&[("WORKER__SLOTS", "0")]).await;
    let mut ids = Vec::new();
    for i in 0..5 {
        ids.push(house.create(&format!("number {i}")).await);
    }
    house
        .post(&format!("/generation/{}/cancel", ids[1]), &json!({}))
        .await;
    ids.reverse();

    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = house.get(&format!("/generations?limit=2{cursor}")).await.body;
        for item in page["data"].as_array().expect("a list") {
            seen.push(item["id"].as_str().expect("an id").to_owned());
        }
        if page["has_more"] == false {
            assert_eq!(page["next_cursor"], Value::Null);
            break;
        }
        cursor = format!("&cursor={}", page["next_cursor"].as_str().expect("a cursor"));
    }
    assert_eq!(seen, ids);

    let count = async |query: &str| {
        house.get(&format!("/generations?{query}")).await.body["data"]
            .as_array()
            .map(Vec::len)
    };
    assert_eq!(count("status=CANCELED").await, Some(1));
    assert_eq!(count("status=IN_QUEUE").await, Some(4));
    assert_eq!(count("status=IN_QUEUE,CANCELED").await, Some(5));
    assert_eq!(count("status=FAILED&status=CANCELED").await, Some(1));
    let running = house.get("/generations/running").await;
    let items = running.body.as_array().expect("a bare array").clone();
    assert_eq!(items.len(), 4);
    let names: Vec<&str> = items[0]
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(names, ["id", "status", "usage", "input"]);
    assert_eq!(
        house.get("/generations/running?workspace=default").await.status,
        200
    );
    for (query, status) in [
        ("/generations/running?workspace=other", 403),
        ("/generations/running?limit=0", 422),
        ("/generations?limit=101", 422),
        ("/generations?limit=x", 400),
        ("/generations?status=DONE", 422),
        ("/generations?cursor=nonsense", 422),
        ("/credits/entries?cursor=nonsense", 422),
    ] {
        assert_eq!(house.get(query).await.status, status, "{query}");
    }
}

#[tokio::test]
async fn uploads_take_part_in_every_workflow() {
    let house = House::start().await;
    let media = crate::media::Media::make();
    let text = |form: Form| {
        form.text("duration", "2")
            .text("resolution", "720p")
            .text("seed", "3")
    };
    let cases: Vec<(&str, Form, &str)> = vec![
        (
            "image",
            text(Form::new()).part("image_url", media.part("first.png")),
            "text-image",
        ),
        (
            "frames",
            text(Form::new().text("prompt", "from here to there"))
                .part("image_url", media.part("first.png"))
                .part("end_image_url", media.part("last.jpg"))
                .part("audio_url", media.part("sound.wav")),
            "frames",
        ),
        (
            "continuation",
            Form::new()
                .text("duration", "3")
                .text("resolution", "720p")
                .part("video_url", media.part("clip.mp4")),
            "text-image",
        ),
        (
            "reference",
            text(Form::new().text("prompt", "Image 1 meets Video 1"))
                .part("reference_image_urls", media.part("first.png"))
                .part("reference_image_urls", media.part("last.jpg"))
                .part("video_refs", media.part("clip.mp4")),
            "reference",
        ),
        (
            "edit",
            Form::new()
                .text("prompt", "make it night")
                .text("resolution", "720p")
                .text("audio_setting", "origin")
                .part("video_url", media.part("clip.mp4"))
                .part("reference_image_url", media.part("first.png")),
            "edit-video",
        ),
    ];
    for (case, form, feature) in cases {
        let answer = Answer::to(house.request(Method::POST, CREATE).multipart(form)).await;
        assert_eq!(answer.status, 202, "{case}: {}", answer.body);
        assert_eq!(answer.body["input"]["feature"], feature, "{case}");
        let done = house.finished(answer.body["id"].as_str().expect("an id")).await;
        assert_eq!(done["status"], "COMPLETED", "{case}: {done}");
        let seconds = if case == "continuation" { 3.0 } else { 2.0 };
        let duration = done["data"]["video"]["duration"].as_f64().expect("a duration");
        assert!((duration - seconds).abs() < 0.2, "{case}: {duration}");
    }
    house.sound().await;
}

#[tokio::test]
async fn what_is_uploaded_is_measured_before_the_answer() {
    let house = House::start().await;
    let media = crate::media::Media::make();
    let post = async |form: Form| Answer::to(house.request(Method::POST, CREATE).multipart(form)).await;
    let short = post(
        Form::new()
            .text("duration", "2")
            .part("video_url", media.part("clip.mp4")),
    )
    .await;
    assert_eq!(short.status, 422, "V-21: {}", short.body);
    assert_eq!(short.body["errors"][0]["field"], "duration");
    let wrong = post(Form::new().part("image_url", media.part("sound.wav"))).await;
    assert_eq!(
        (wrong.status, wrong.body["errors"][0]["field"].as_str()),
        (422, Some("image_url")),
        "{}",
        wrong.body
    );
    let tiny = post(Form::new().part("image_url", media.part("tiny.png"))).await;
    assert_eq!(
        (tiny.status, tiny.body["errors"][0]["field"].as_str()),
        (422, Some("image_url")),
        "{}",
        tiny.body
    );

    // An edit of an upload is priced exactly: 2 s in and 2 s out at 10 credits.
    let quote = house
        .request(Method::POST, "/generation/quote/wan/wan-v2.7-video")
        .multipart(
            Form::new()
                .text("prompt", "make it night")
                .text("feature", "edit-video")
                .text("resolution", "720p")
                .part("video_url", media.part("clip.mp4")),
        );
    let quote = Answer::to(quote).await;
    assert_eq!(quote.body["exact"], true, "{}", quote.body);
    assert_eq!(quote.body["usage"]["total"], 40);
    let by_url = json!({"prompt": "x", "feature": "edit-video", "video_url": "https://example.com/a.mp4"});
    let quote = house.post("/generation/quote/wan/wan-v2.7-video", &by_url).await;
    assert_eq!(quote.body["exact"], false);
    assert_eq!(quote.body["usage"]["total"], 300);
    assert_eq!(quote.body["sufficient"], true);
}

#[tokio::test]
async fn who_may_ask() {
    let house = House::start().await;
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
    house.kinora(&["account", "create", "other"]);
    let other = house.kinora(&["key", "create", "--account", "other", "--name", "o", "--quiet"]);
    let id = house.create("mine").await;
    let asked = async |key: &str, method: Method, path: &str| {
        let request = house
            .anonymous(method, &format!("//api/v1{path}"))
            .header("authorization", key);
        Answer::to(request.json(&json!({"prompt": "x"}))).await
    };
    let bearer = |key: &str| format!("Bearer {}", key.trim());
    let one = format!("/generation/{id}");
    for (key, method, path, status) in [
        ("", Method::GET, one.as_str(), 401),
        ("Bearer nonsense", Method::GET, &one, 401),
        ("Basic abc", Method::GET, "/credits", 401),
        (&bearer(&read), Method::GET, &one, 200),
        (&bearer(&read), Method::POST, CREATE, 403),
        (&bearer(&read), Method::DELETE, &one, 403),
        (&bearer(&other), Method::GET, &one, 404),
        (&bearer(&other), Method::DELETE, &one, 404),
        (&bearer(&other), Method::GET, &format!("{one}/events"), 404),
        (&bearer(&other), Method::POST, &format!("{one}/cancel"), 404),
        (&bearer(&other), Method::POST, CREATE, 402),
        (&bearer(&house.key), Method::GET, "/nothing", 404),
        (&bearer(&house.key), Method::PUT, &one, 405),
        (&bearer(&house.key), Method::GET, CREATE, 405),
        (
            &bearer(&house.key),
            Method::POST,
            "/generation/acme/other-model",
            400,
        ),
        (
            &bearer(&house.key),
            Method::POST,
            "/generation/sse/acme/other/model",
            400,
        ),
        (&bearer(&house.key), Method::GET, "/models", 200),
    ] {
        let answer = asked(key, method.clone(), path).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        if status >= 400 {
            assert!(
                answer.body["message"].is_string() && answer.body["code"].is_string(),
                "{}",
                answer.body
            );
        }
        match status {
            401 => assert_eq!(answer.header("www-authenticate"), "Bearer"),
            402 => {
                assert_eq!(answer.body["error"], "INSUFFICIENT_CREDITS");
                assert_eq!(answer.body["code"], "VIDEO_GENERATION_INSUFFICIENT_CREDITS");
                assert!(
                    answer.body["message"]
                        .as_str()
                        .is_some_and(|m| m.contains("Insufficient credits"))
                );
            }
            405 => assert!(!answer.header("allow").is_empty(), "{method} {path} has no Allow"),
            400 => assert_eq!(answer.body["code"], "VIDEO_GENERATION_UNSUPPORTED_MODEL"),
            _ => {}
        }
    }
    let keys = house.kinora(&["key", "list", "--json"]);
    let keys: Value = serde_json::from_str(&keys).expect("JSON");
    let revoked = keys["data"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|key| key["name"] == "r")
        .expect("the key");
    house.kinora(&["key", "revoke", revoked["id"].as_str().expect("an id")]);
    assert_eq!(asked(&bearer(&read), Method::GET, "/credits").await.status, 401);
}

#[tokio::test]
async fn rates_are_told_and_kept() {
    let house = House::with(&[("RATE_LIMITS__CREATE_PER_MINUTE", "2")]).await;
    let quote = async || {
        house
            .post("/generation/quote/wan/wan-v2.7-video", &json!({"prompt": "x"}))
            .await
    };
    let first = quote().await;
    assert_eq!(first.status, 200);
    assert_eq!(first.header("ratelimit-policy"), "\"create\";q=2;w=60");
    assert_eq!(quote().await.status, 200);
    let third = quote().await;
    assert_eq!(
        (third.status, third.body["code"].as_str()),
        (429, Some("VIDEO_GENERATION_RATE_LIMITED"))
    );
    let wait: u64 = third.header("retry-after").parse().expect("seconds");
    assert!((1..=30).contains(&wait), "{wait}");
    assert_eq!(
        house.get("/credits").await.status,
        200,
        "reading has its own bucket"
    );
}

#[tokio::test]
async fn the_queue_has_an_end() {
    let house = House::with(&[("QUEUE__QUEUED_PER_ACCOUNT", "2"), ("WORKER__SLOTS", "0")]).await;
    house.create("one").await;
    house.create("two").await;
    let third = house.post(CREATE, &json!({"prompt": "three"})).await;
    assert_eq!(third.status, 429, "{}", third.body);
    assert!(!third.header("retry-after").is_empty());
}

#[tokio::test]
async fn health_models_and_the_document() {
    let house = House::start().await;
    assert_eq!(house.get("//healthz").await.status, 200);
    assert_eq!(house.get("//readyz").await.status, 200);
    assert_eq!(
        house.get("//metrics").await.status,
        404,
        "only on its own listener"
    );
    let models = house.get("/models").await.body;
    let model = &models["data"][0];
    assert_eq!(model["id"], "wan/wan-v2.7-video");
    let features: Vec<&str> = model["features"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|f| f["feature"].as_str())
        .collect();
    assert_eq!(features, ["text-image", "frames", "reference", "edit-video"]);
    let document = house.get("//openapi.json").await.body;
    assert!(
        document["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.1"))
    );
    assert_eq!(document["servers"][0]["url"], "/api/v1");
    // C-22
    let credits = house.get("/credits").await;
    assert_eq!(credits.status, 200);
    assert_eq!(
        credits.body["held"],
        json!({"total": 0, "subscription": 0, "permanent": 0})
    );
}

/// C-4: members that clients would mistake for a status or an id occur nowhere.
#[tokio::test]
async fn no_member_misleads_a_client() {
    let house = House::start().await;
    let id = house.create("names").await;
    let created = house.finished(&id).await;
    walk(&created, true);
    walk(&house.get("/generations").await.body["data"][0], true);

    fn walk(value: &Value, top: bool) {
        const NEVER: [&str; 10] = [
            "queue_state",
            "queueState",
            "prediction_status",
            "predictionStatus",
            "generationId",
            "prediction_id",
            "predictionId",
            "task_id",
            "taskId",
            "state",
        ];
        if let Some(object) = value.as_object() {
            for (name, value) in object {
                assert!(!NEVER.contains(&name.as_str()), "{name}");
                assert!(top || name != "status", "a nested status");
                assert!(!top || name != "generation_id", "{name}");
                walk(value, false);
            }
        }
        value
            .as_array()
            .into_iter()
            .flatten()
            .for_each(|value| walk(value, false));
    }
}

/// What a clip looks like so far is seen by its own workspace, while it runs.
#[tokio::test]
async fn a_clip_is_seen_while_it_is_made() {
    let house = House::start().await;
    let body = json!({"prompt": "a long way", "duration": 15});
    let created = house.post(CREATE, &body).await;
    let id = created.body["id"].as_str().expect("an id").to_owned();
    let path = format!("/generation/{id}/preview");
    let look = |tag: &'static str| {
        let request = house.request(Method::GET, &path);
        async move {
            request
                .header("if-none-match", tag)
                .send()
                .await
                .expect("an answer")
        }
    };
    let give_up = Instant::now() + Duration::from_secs(120);
    let seen = loop {
        let seen = look("").await;
        match seen.status().as_u16() {
            200 => break seen,
            status => assert_eq!(status, 404),
        }
        let state = house.get(&format!("/generation/{id}")).await.body;
        assert_ne!(state["status"], "COMPLETED", "{state}");
        assert!(Instant::now() < give_up, "{}", house.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let header = |name| seen.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(header("content-type"), "image/jpeg");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("etag"), "\"1\"");
    let jpeg = seen.bytes().await.expect("a body");
    assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.len() <= 48 * 1024);
    assert_eq!(look("*").await.status().as_u16(), 304);
    assert_eq!(look("\"0\"").await.status().as_u16(), 200);

    house.kinora(&["account", "create", "other"]);
    let other = house.kinora(&["key", "create", "--account", "other", "--name", "o", "--quiet"]);
    let anonymous = || house.anonymous(Method::GET, &format!("api/v1{path}"));
    assert_eq!(
        Answer::to(anonymous().bearer_auth(other.trim())).await.status,
        404
    );
    assert_eq!(Answer::to(anonymous()).await.status, 401);

    let canceled = house.post(&format!("/generation/{id}/cancel"), &json!({})).await;
    assert_eq!(canceled.status, 202, "{}", canceled.body);
    assert_eq!(house.finished(&id).await["status"], "CANCELED");
    let gone = house.get(&path).await;
    assert_eq!((gone.status, &gone.body["code"]), (404, &json!("NOT_FOUND")));
    house.sound().await;
}

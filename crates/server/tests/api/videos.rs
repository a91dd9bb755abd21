//! The OpenAI-Videos layer: the same generations in another shape, and errors in that shape whoever made them.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, multipart::Form};
use serde_json::{Value, json};

use crate::{
    house::{Answer, House},
    media::Media,
};

const VIDEOS: &str = "//v1/videos";
const MB: usize = 1 << 20;

async fn create(house: &House, body: &Value) -> Answer {
    house.post(VIDEOS, body).await
}

fn id_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body["id"].as_str().expect("an id").to_owned()
}

/// Polls as the clients of this shape do.
async fn finished(house: &House, id: &str) -> Value {
    let give_up = Instant::now() + Duration::from_secs(120);
    loop {
        let answer = house.get(&format!("{VIDEOS}/{id}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        match answer.body["status"].as_str() {
            Some("completed" | "failed") => {
                assert_eq!(answer.header("openai-poll-after-ms"), "");
                return answer.body;
            }
            Some("queued" | "in_progress") => {
                assert_eq!(answer.header("openai-poll-after-ms"), "3000");
            }
            other => panic!("{other:?}"),
        }
        assert!(Instant::now() < give_up, "{}", answer.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An error of this layer: its status, the member it names, and words of its message.
fn assert_error(case: &str, answer: &Answer, status: u16, param: Option<&str>, words: &[&str]) {
    assert_eq!(answer.status, status, "{case}: {}", answer.text);
    let error = answer.body["error"].as_object().expect("an error");
    let members: Vec<&str> = error.keys().map(String::as_str).collect();
    assert_eq!(members, ["message", "type", "param", "code"], "{case}");
    assert_eq!(error["param"].as_str(), param, "{case}: {}", answer.text);
    assert!(error["code"].is_string() && error["type"].is_string(), "{case}");
    let message = error["message"].as_str().expect("a message");
    assert!(
        words.iter().all(|word| message.contains(word)),
        "{case}: {message}"
    );
    assert!(message.len() < 2000, "{case}: {} characters", message.len());
    // Members are called what they are called here.
    for word in [
        "failed: image_url",
        "duration",
        "aspect_ratio",
        "resolution",
        "/tmp",
        "ffmpeg",
    ] {
        assert!(!message.contains(word), "{case} says {word}: {message}");
    }
}

#[tokio::test]
async fn from_request_to_mp4() {
    let house = House::start().await;
    let body = json!({
        "prompt": "a paper boat", "model": "wan-v2.7-video", "seconds": "2", "size": "720x1280", "seed": 5,
        "unknown": [1],
    });
    let created = create(&house, &body).await;
    let id = id_of(&created);
    assert_eq!(created.header("location"), format!("/api/v1/generation/{id}"));
    assert_eq!(created.header("openai-poll-after-ms"), "3000");
    assert_eq!(created.header("cache-control"), "no-store");
    let members: Vec<&str> = created
        .body
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    let expected = [
        "id",
        "object",
        "model",
        "status",
        "progress",
        "prompt",
        "seconds",
        "size",
        "created_at",
        "completed_at",
        "expires_at",
        "error",
        "remixed_from_video_id",
    ];
    assert_eq!(members, expected);
    assert_eq!(
        [
            &created.body["status"],
            &created.body["seconds"],
            &created.body["size"]
        ],
        ["queued", "2", "720x1280"]
    );

    let video = finished(&house, &id).await;
    assert_eq!(video["status"], "completed", "{video}");
    assert_eq!(video["progress"], 100);
    let at = |member: &str| video[member].as_i64().expect("a moment");
    assert!(at("completed_at") >= at("created_at"));
    assert_eq!(at("expires_at"), at("completed_at") + 30 * 24 * 3600);

    // The other dialect sees the same generation, and the same charge.
    let generation = house.get(&format!("/generation/{id}")).await.body;
    assert_eq!(generation["status"], "COMPLETED");
    assert_eq!(generation["usage"]["total"], 20);
    assert_eq!(generation["input"]["seed"], 5);
    let size = generation["data"]["video"]["file_size"].as_u64().expect("a size");

    let content = |query: &str| house.request(Method::GET, &format!("{VIDEOS}/{id}/content{query}"));
    let whole = content("").send().await.expect("an answer");
    assert_eq!(whole.status().as_u16(), 200);
    assert_eq!(whole.headers()["content-type"], "video/mp4");
    let etag = whole.headers()["etag"].clone();
    let bytes = whole.bytes().await.expect("a body");
    assert_eq!((bytes.len() as u64, &bytes[4..8]), (size, b"ftyp".as_slice()));
    for (range, status, header) in [
        ("bytes=4-7", 206, format!("bytes 4-7/{size}")),
        (
            "bytes=-10",
            206,
            format!("bytes {}-{}/{size}", size - 10, size - 1),
        ),
        ("bytes=99999999-", 416, format!("bytes */{size}")),
    ] {
        let part = Answer::to(content("?variant=video").header("range", range)).await;
        assert_eq!(
            (part.status, part.header("content-range")),
            (status, header.as_str())
        );
    }
    assert_eq!(
        Answer::to(content("").header("if-none-match", etag)).await.status,
        304
    );
    let head = house
        .request(Method::HEAD, &format!("{VIDEOS}/{id}/content"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(head.headers()["content-length"], size.to_string().as_str());
    let thumbnail = content("?variant=thumbnail").send().await.expect("an answer");
    assert_eq!(thumbnail.headers()["content-type"], "image/jpeg");
    assert_eq!(&thumbnail.bytes().await.expect("a body")[..2], [0xff, 0xd8]);
    for variant in ["spritesheet", "", "VIDEO"] {
        let refused = Answer::to(content(&format!("?variant={variant}"))).await;
        assert_error(variant, &refused, 400, Some("variant"), &["video, thumbnail"]);
    }

    let deleted = house.delete(&format!("{VIDEOS}/{id}")).await;
    let gone = json!({"id": id, "object": "video.deleted", "deleted": true});
    assert_eq!((deleted.status, &deleted.body), (200, &gone));
    assert_eq!(house.delete(&format!("{VIDEOS}/{id}")).await.body, gone, "again");
    for path in [format!("{VIDEOS}/{id}"), format!("{VIDEOS}/{id}/content")] {
        assert_error(&path, &house.get(&path).await, 404, None, &["no such video"]);
    }
    assert_eq!(house.get(VIDEOS).await.body["data"], json!([]));
    assert_eq!(
        house.get(&format!("/generation/{id}")).await.body["data_removed"],
        true
    );
    house.sound().await;
}

#[tokio::test]
async fn the_first_frame_comes_as_a_file_or_a_url() {
    let house = House::start().await;
    let media = Media::make();
    let url = {
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        format!(
            "data:image/png;base64,{}",
            BASE64_STANDARD.encode(media.bytes("first.png"))
        )
    };
    let form = || {
        Form::new()
            .text("prompt", "it moves")
            .text("seconds", "2")
            .text("seed", "3")
    };
    let multipart = |form: Form| house.request(Method::POST, VIDEOS).multipart(form);
    let requests: Vec<(&str, RequestBuilder)> = vec![
        ("a file", multipart(form().part("input_reference", media.part("first.png")))),
        ("a URL in a form", multipart(form().text("input_reference[image_url]", url.clone()))),
        (
            "a URL",
            house.request(Method::POST, VIDEOS).json(
                &json!({"prompt": "it moves", "seconds": 2, "seed": 3, "input_reference": {"image_url": url}}),
            ),
        ),
    ];
    let mut first_frames = Vec::new();
    for (case, request) in requests {
        let id = id_of(&Answer::to(request).await);
        let video = finished(&house, &id).await;
        assert_eq!(
            (&video["status"], &video["size"]),
            (&json!("completed"), &json!("1280x720")),
            "{case}"
        );
        let input = house.get(&format!("/generation/{id}")).await.body["input"].clone();
        assert!(input["image_url"].is_string(), "{case}: {input}");
        let thumbnail = house
            .get(&format!("{VIDEOS}/{id}/content?variant=thumbnail"))
            .await;
        first_frames.push(thumbnail.text);
    }
    assert!(
        first_frames.iter().all(|frame| *frame == first_frames[0]),
        "the same picture, the same seed"
    );

    let file = || media.part("first.png");
    let forms: Vec<(&str, Form, u16, &str, &str)> = vec![
        (
            "a sound",
            form().part("input_reference", media.part("sound.wav")),
            422,
            "input_reference",
            "image",
        ),
        (
            "a tiny one",
            form().part("input_reference", media.part("tiny.png")),
            422,
            "input_reference",
            "64",
        ),
        (
            "a text",
            form().text("input_reference", "https://example.com/a.png"),
            400,
            "input_reference",
            "[image_url]",
        ),
        (
            "both",
            form()
                .part("input_reference", file())
                .text("input_reference[image_url]", url.clone()),
            400,
            "input_reference",
            "one is taken",
        ),
        (
            "two files",
            form()
                .part("input_reference", file())
                .part("input_reference", file()),
            400,
            "input_reference",
            "2 times",
        ),
        (
            "an id",
            form().text("input_reference[file_id]", "file_1"),
            400,
            "input_reference",
            "file_id",
        ),
        (
            "another's name",
            Form::new().part("prompt", file()),
            400,
            "prompt",
            "is a file",
        ),
        (
            "no prompt",
            Form::new().text("prompt", ""),
            400,
            "prompt",
            "is required",
        ),
        (
            "words",
            Form::new().text("prompt", "a").text("seconds", "four"),
            400,
            "seconds",
            "four",
        ),
    ];
    for (case, form, status, param, word) in forms {
        assert_error(
            case,
            &Answer::to(multipart(form)).await,
            status,
            Some(param),
            &[word],
        );
    }
    house.sound().await;
}

#[tokio::test]
async fn refusals_name_the_member_as_it_is_called_here() {
    let house = House::with(&[("VIDEOS_API__MODEL_ALIASES", "sora-2, house-model")]).await;
    let cases: Vec<(Value, u16, &str, &[&str])> = vec![
        (json!({}), 400, "prompt", &["is required"]),
        (json!({"prompt": null}), 400, "prompt", &["is required"]),
        (json!({"prompt": " \n"}), 400, "prompt", &["is required"]),
        (json!({"prompt": 5}), 400, "prompt", &["the number 5", "a string"]),
        (
            json!({"prompt": ""}),
            422,
            "prompt",
            &["0 characters", "1 to 5000"],
        ),
        (
            json!({"prompt": "x".repeat(5001)}),
            422,
            "prompt",
            &["5001 characters"],
        ),
        (
            json!({"prompt": "a", "negative_prompt": "x".repeat(501)}),
            422,
            "negative_prompt",
            &["at most 500"],
        ),
        (
            json!({"prompt": "a", "seconds": 1}),
            422,
            "seconds",
            &["1 is out of range", "2 to 15"],
        ),
        (
            json!({"prompt": "a", "seconds": "16"}),
            422,
            "seconds",
            &["16 is out of range"],
        ),
        (
            json!({"prompt": "a", "seconds": "4s"}),
            400,
            "seconds",
            &["4s", "an integer"],
        ),
        (
            json!({"prompt": "a", "seconds": [4]}),
            400,
            "seconds",
            &["an array"],
        ),
        (
            json!({"prompt": "a", "size": "1024x1792"}),
            400,
            "size",
            &["1024x1792", "1280x720", "1248x1648"],
        ),
        (json!({"prompt": "a", "size": "720p"}), 400, "size", &["720p"]),
        (
            json!({"prompt": "a", "size": 720}),
            400,
            "size",
            &["the number 720"],
        ),
        (
            json!({"prompt": "a", "size": "9".repeat(100_000)}),
            400,
            "size",
            &["1280x720"],
        ),
        (
            json!({"prompt": "a", "seed": -1}),
            422,
            "seed",
            &["-1 is out of range"],
        ),
        (json!({"prompt": "a", "seed": "7"}), 400, "seed", &["an integer"]),
        (
            json!({"prompt": "a", "model": "sora-2-pro"}),
            400,
            "model",
            &["sora-2-pro", "wan-v2.7-video", "house-model"],
        ),
        (
            json!({"prompt": "a", "model": "wan/wan-v2.7/edit-video"}),
            400,
            "model",
            &["wan/wan-v2.7-video"],
        ),
        (
            json!({"prompt": "a", "model": "m".repeat(100_000)}),
            400,
            "model",
            &["is not offered"],
        ),
        (json!({"prompt": "a", "model": 2}), 400, "model", &["a string"]),
        (
            json!({"prompt": "a", "input_reference": "https://example.com/a.png"}),
            400,
            "input_reference",
            &["an object"],
        ),
        (
            json!({"prompt": "a", "input_reference": {}}),
            400,
            "input_reference",
            &["has no image_url;"],
        ),
        (
            json!({"prompt": "a", "input_reference": {"file_id": "f"}}),
            400,
            "input_reference",
            &["file_id"],
        ),
        (
            json!({"prompt": "a", "input_reference": {"image_url": 5}}),
            400,
            "input_reference.image_url",
            &["the number 5"],
        ),
        (
            json!({"prompt": "a", "input_reference": {"image_url": "http://127.0.0.1/a.png"}}),
            422,
            "input_reference",
            &["127.0.0.1"],
        ),
        (
            json!({"prompt": "a", "input_reference": {"image_url": "data:image/png;base64,AAAA"}}),
            422,
            "input_reference",
            &[],
        ),
    ];
    for (body, status, param, words) in &cases {
        let shown: String = body.to_string().chars().take(100).collect();
        assert_error(&shown, &create(&house, body).await, *status, Some(param), words);
    }
    // Everything at once; the first is the one that is named.
    let many = create(
        &house,
        &json!({"prompt": 1, "size": 2, "seconds": true, "seed": "x"}),
    )
    .await;
    assert_error(
        "many",
        &many,
        400,
        Some("prompt"),
        &["prompt", "size", "seconds", "seed"],
    );
    for name in [
        "wan-v2.7-video",
        "wan/wan-v2.7-video",
        "sora-2",
        "house-model",
        "",
    ] {
        let taken = create(&house, &json!({"prompt": "a", "seconds": "2", "model": name})).await;
        assert_eq!(
            (taken.status, &taken.body["model"]),
            (200, &json!("wan/wan-v2.7-video")),
            "{name}"
        );
        house.delete(&format!("{VIDEOS}/{}", id_of(&taken))).await;
    }
    assert_eq!(house.get("/credits").await.body["held"]["total"], 0);
    house.sound().await;
}

#[tokio::test]
async fn errors_have_one_shape_whoever_makes_them() {
    let house = House::with(&[
        ("WORKER__SLOTS", "0"),
        ("FIRST_START__SUBSCRIPTION_CREDITS", "50"),
        ("FIRST_START__PERMANENT_CREDITS", "0"),
    ])
    .await;
    let own = id_of(&create(&house, &json!({"prompt": "mine", "seconds": "2"})).await);
    let reader = house.kinora(&[
        "key",
        "create",
        "--account",
        "default",
        "--name",
        "r",
        "--quiet",
        "--read-only",
    ]);
    house.kinora(&["account", "create", "other"]);
    let other = house.kinora(&["key", "create", "--account", "other", "--name", "o", "--quiet"]);
    let with = |key: &str, method: Method, path: &str| {
        house
            .anonymous(method, path.trim_start_matches('/'))
            .bearer_auth(key.trim())
    };
    let json_body = |request: RequestBuilder, body: &str| {
        request
            .header("content-type", "application/json")
            .body(body.to_owned())
    };
    let one = format!("{VIDEOS}/{own}");
    let key = house.key.clone();
    let post = |path: &str| with(&key, Method::POST, path);
    let cases: Vec<(&str, RequestBuilder, u16, &str, &str)> = vec![
        (
            "no key",
            house.anonymous(Method::GET, "v1/videos"),
            401,
            "authentication_error",
            "UNAUTHORIZED",
        ),
        (
            "a wrong key",
            with("nonsense", Method::GET, &one),
            401,
            "authentication_error",
            "UNAUTHORIZED",
        ),
        (
            "a key that may only read",
            json_body(with(&reader, Method::POST, VIDEOS), "{}"),
            403,
            "permission_error",
            "FORBIDDEN",
        ),
        (
            "the same",
            with(&reader, Method::DELETE, &one),
            403,
            "permission_error",
            "FORBIDDEN",
        ),
        (
            "another's",
            with(&other, Method::GET, &one),
            404,
            "invalid_request_error",
            "NOT_FOUND",
        ),
        (
            "another's content",
            with(&other, Method::GET, &format!("{one}/content")),
            404,
            "invalid_request_error",
            "NOT_FOUND",
        ),
        (
            "another's to delete",
            with(&other, Method::DELETE, &one),
            404,
            "invalid_request_error",
            "NOT_FOUND",
        ),
        (
            "no id",
            with(&key, Method::GET, "//v1/videos/video_123"),
            404,
            "invalid_request_error",
            "NOT_FOUND",
        ),
        (
            "not finished",
            with(&key, Method::GET, &format!("{one}/content")),
            404,
            "invalid_request_error",
            "NOT_FOUND",
        ),
        (
            "no path",
            with(&key, Method::GET, "//v1/models"),
            404,
            "invalid_request_error",
            "NOT_FOUND",
        ),
        (
            "no path at all",
            with(&key, Method::GET, "//v1/"),
            404,
            "invalid_request_error",
            "NOT_FOUND",
        ),
        (
            "remix",
            post(&format!("{one}/remix")),
            404,
            "invalid_request_error",
            "NOT_FOUND",
        ),
        (
            "edits",
            post("//v1/videos/edits"),
            404,
            "invalid_request_error",
            "NOT_FOUND",
        ),
        (
            "extensions",
            post("//v1/videos/extensions"),
            404,
            "invalid_request_error",
            "NOT_FOUND",
        ),
        (
            "characters",
            post("//v1/videos/characters"),
            404,
            "invalid_request_error",
            "NOT_FOUND",
        ),
        (
            "a character",
            with(&key, Method::GET, "//v1/videos/characters/c"),
            404,
            "invalid_request_error",
            "NOT_FOUND",
        ),
        (
            "a wrong method",
            with(&key, Method::PUT, VIDEOS),
            405,
            "invalid_request_error",
            "METHOD_NOT_ALLOWED",
        ),
        (
            "another content type",
            post(VIDEOS).header("content-type", "text/plain").body("a"),
            415,
            "invalid_request_error",
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (
            "no JSON",
            json_body(post(VIDEOS), "{\"prompt\": "),
            400,
            "invalid_request_error",
            "VIDEO_GENERATION_INVALID_INPUT",
        ),
        (
            "an array",
            json_body(post(VIDEOS), "[]"),
            400,
            "invalid_request_error",
            "VIDEO_GENERATION_INVALID_INPUT",
        ),
        (
            "deep nesting",
            json_body(post(VIDEOS), &format!("{{\"prompt\":{}", "[".repeat(100_000))),
            400,
            "invalid_request_error",
            "VIDEO_GENERATION_INVALID_INPUT",
        ),
        (
            "too large",
            json_body(
                post(VIDEOS),
                &format!("{{\"prompt\":\"{}\"}}", "x".repeat(33 * MB)),
            ),
            413,
            "invalid_request_error",
            "PAYLOAD_TOO_LARGE",
        ),
        (
            "too dear",
            json_body(post(VIDEOS), "{\"prompt\":\"a\",\"seconds\":\"15\"}"),
            402,
            "insufficient_quota",
            "VIDEO_GENERATION_INSUFFICIENT_CREDITS",
        ),
        (
            "a bad idempotency key",
            json_body(post(VIDEOS), "{}").header("idempotency-key", "é"),
            400,
            "invalid_request_error",
            "VIDEO_GENERATION_INVALID_INPUT",
        ),
    ];
    for (case, request, status, class, code) in cases {
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, status, "{case}: {}", answer.text);
        let error = &answer.body["error"];
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!(class), &json!(code)),
            "{case}: {}",
            answer.text
        );
        assert!(error["message"].is_string(), "{case}");
        assert_eq!(
            answer.body.as_object().map(serde_json::Map::len),
            Some(1),
            "{case}: {}",
            answer.text
        );
        assert!(answer.header("x-request-id").starts_with("req_"), "{case}");
        if status == 401 {
            assert_eq!(answer.header("www-authenticate"), "Bearer", "{case}");
        }
        if status == 405 {
            assert!(
                answer.header("allow").contains("POST"),
                "{case}: {}",
                answer.header("allow")
            );
        }
    }
    // The other dialect keeps its own.
    assert!(house.get("/nonsense").await.body["code"].is_string());
    house.sound().await;
}

#[tokio::test]
async fn lists_in_both_orders() {
    let house = House::with(&[("WORKER__SLOTS", "0")]).await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(id_of(
            &create(&house, &json!({"prompt": format!("n{n}"), "seconds": "2"})).await,
        ));
    }
    // What the other dialect makes is listed too; what was deleted is not.
    ids.push(house.create("platform").await);
    let gone = ids.remove(1);
    house.delete(&format!("{VIDEOS}/{gone}")).await;
    let newest_first: Vec<String> = ids.iter().rev().cloned().collect();
    for (order, expected) in [
        ("&order=asc", &ids),
        ("&order=desc", &newest_first),
        ("", &newest_first),
    ] {
        for limit in [1, 2, 4, 5, 100] {
            let (mut found, mut after) = (Vec::new(), String::new());
            loop {
                let page = house
                    .get(&format!("{VIDEOS}?limit={limit}{order}&after={after}"))
                    .await
                    .body;
                assert_eq!(page["object"], "list");
                let data = page["data"].as_array().expect("a list");
                let names: Vec<&str> = data.iter().filter_map(|video| video["id"].as_str()).collect();
                assert_eq!(page["first_id"].as_str(), names.first().copied());
                assert_eq!(page["last_id"].as_str(), names.last().copied());
                found.extend(names.iter().map(|name| (*name).to_owned()));
                if page["has_more"] == false {
                    break;
                }
                after = page["last_id"].as_str().expect("an id").to_owned();
            }
            assert_eq!(&found, expected, "{order}, {limit} a page");
        }
    }
    let nothing = house.get(&format!("{VIDEOS}?after={}", newest_first[4])).await;
    let expected =
        json!({"object": "list", "data": [], "first_id": null, "last_id": null, "has_more": false});
    assert_eq!(nothing.body, expected);
    for (query, status, param, word) in [
        ("limit=0", 422, "limit", "1 to 100"),
        ("limit=101", 422, "limit", "1 to 100"),
        ("limit=x", 400, "limit", "\"x\""),
        ("order=up", 422, "order", "asc, desc"),
        ("order=", 422, "order", "asc, desc"),
        ("after=video_1", 422, "after", "id of a video"),
    ] {
        let refused = house.get(&format!("{VIDEOS}?{query}")).await;
        assert_error(query, &refused, status, Some(param), &[word]);
    }
}

#[tokio::test]
async fn a_key_makes_two_requests_one() {
    let house = House::start().await;
    let post = async |path: &str, key: &str, body: &Value| {
        let request = house.request(Method::POST, path).header("idempotency-key", key);
        Answer::to(request.json(body)).await
    };
    let body = json!({"prompt": "once", "seconds": "2"});
    let first = post(VIDEOS, "k", &body).await;
    let id = id_of(&first);
    finished(&house, &id).await;
    let again = post(VIDEOS, "k", &json!({"seconds": "2", "prompt": "once"})).await;
    assert_eq!(
        (again.status, &again.body),
        (200, &first.body),
        "the answer of then"
    );
    assert_eq!(again.header("idempotency-replayed"), "true");
    let other = post(VIDEOS, "k", &json!({"prompt": "twice", "seconds": "2"})).await;
    assert_eq!(
        (other.status, &other.body["error"]["code"]),
        (422, &json!("IDEMPOTENCY_KEY_REUSED"))
    );
    // Another path is another scope.
    let elsewhere = post(
        "/generation/wan/wan-v2.7-video",
        "k",
        &json!({"prompt": "once", "duration": 2}),
    )
    .await;
    assert_eq!(elsewhere.status, 202);
    assert_ne!(elsewhere.body["id"], id.as_str());

    let form = || Form::new().text("prompt", "form").text("seconds", "2");
    let send = async |form: Form| {
        let request = house.request(Method::POST, VIDEOS).header("idempotency-key", "f");
        Answer::to(request.multipart(form)).await
    };
    assert_eq!(id_of(&send(form()).await), id_of(&send(form()).await));
    house.sound().await;
}

#[tokio::test]
async fn an_answer_can_be_held_until_the_end() {
    let house = House::start().await;
    let post = |seconds: &str, wait: &str| {
        house
            .request(Method::POST, VIDEOS)
            .header("prefer", wait)
            .json(&json!({"prompt": "wait for me", "seconds": seconds, "size": "1280x720"}))
    };
    let waited = Answer::to(post("2", "wait=60")).await;
    assert_eq!(
        (waited.status, &waited.body["status"]),
        (200, &json!("completed")),
        "{}",
        waited.text
    );
    assert_eq!(waited.header("preference-applied"), "wait");
    assert_eq!(waited.header("openai-poll-after-ms"), "");
}

#[tokio::test]
async fn deleting_ends_what_runs_and_waits_for_it() {
    let house = House::with(&[("WORKER__SLOTS", "1")]).await;
    let long = json!({"prompt": "long", "seconds": "15", "size": "1920x1080"});
    let running = id_of(&create(&house, &long).await);
    let queued = id_of(&create(&house, &long).await);
    let give_up = Instant::now() + Duration::from_secs(30);
    while house.get(&format!("{VIDEOS}/{running}")).await.body["status"] != "in_progress" {
        assert!(Instant::now() < give_up, "it does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let held = house.get("/credits").await.body["held"]["total"].clone();
    assert_eq!(held, 450);
    for id in [&running, &queued] {
        let deleted = house.delete(&format!("{VIDEOS}/{id}")).await;
        assert_eq!(
            (deleted.status, &deleted.body["deleted"]),
            (200, &json!(true)),
            "{}",
            deleted.text
        );
        // The answer came after the end.
        let generation = house.get(&format!("/generation/{id}")).await.body;
        assert_eq!(
            (&generation["status"], &generation["data_removed"]),
            (&json!("CANCELED"), &json!(true))
        );
    }
    assert_eq!(house.get("/credits").await.body["held"]["total"], 0);
    // One that was canceled in the other dialect is told as failed here.
    let id = id_of(&create(&house, &long).await);
    house.post(&format!("/generation/{id}/cancel"), &json!({})).await;
    let video = finished(&house, &id).await;
    assert_eq!(
        (&video["status"], &video["error"]["code"]),
        (&json!("failed"), &json!("canceled"))
    );
    let content = house.get(&format!("{VIDEOS}/{id}/content")).await;
    assert_error("of a canceled one", &content, 404, None, &["canceled"]);
    house.sound().await;
}

#[tokio::test]
async fn rates_are_counted_with_those_of_the_other_dialect() {
    let house = House::with(&[("RATE_LIMITS__CREATE_PER_MINUTE", "2"), ("WORKER__SLOTS", "0")]).await;
    house.create("one").await;
    assert_eq!(create(&house, &json!({"prompt": "two"})).await.status, 200);
    let third = create(&house, &json!({"prompt": "three"})).await;
    assert_error("the third", &third, 429, None, &["2 a minute"]);
    assert_eq!(third.body["error"]["type"], "rate_limit_error");
    assert!(third.header("retry-after").parse::<u64>().is_ok_and(|s| s > 0));
    assert_eq!(third.header("ratelimit-policy"), "\"create\";q=2;w=60");
}

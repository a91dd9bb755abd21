//! A server that has others work: killed with the work half way, asked for what it shows them, and told whom to ask.

use kinora_domain::GenerationId;
use reqwest::{Method, multipart::Form};
use serde_json::{Value, json};

use crate::{
    emulators::{
        self, Fault, Step,
        dashscope::{DashScope, KEY},
    },
    house::{Answer, House},
    media::Media,
};

const CREATE: &str = "/generation/wan/wan-v2.7-video";

async fn hosted(media: &Media) -> std::sync::Arc<DashScope> {
    let clip = media.bytes("clip.mp4");
    emulators::start(|address| DashScope::new(address, clip)).await
}

/// Settings of a server that knows the emulator, and more.
fn settings<'s>(url: &'s str, more: &[(&'s str, &'s str)]) -> Vec<(&'s str, &'s str)> {
    let mut settings = vec![
        ("DASHSCOPE__KEY", KEY),
        ("DASHSCOPE__URL", url),
        ("DASHSCOPE__POLL_INTERVAL_MS", "100"),
        ("MEDIA__ALLOW_HOSTS", "127.0.0.1"),
        ("QUEUE__LEASE_MS", "2000"),
        ("QUEUE__RETRY_DELAY_MS", "100"),
    ];
    settings.extend(more);
    settings
}

/// A process that is killed at a step says nothing more; the next one finds what it noted.
async fn check_killed(step: Step, expected: &str) {
    let media = Media::make();
    let host = hosted(&media).await;
    host.script.order(step, Fault::Silence, 1);
    let url = host.url();
    let settings = settings(&url, &[]);
    let mut house = House::with(&settings).await;
    let id = house.create("Fog over a harbour").await;
    host.script.wait_for(step, 1).await;
    house.kill_and_restart(&settings).await;
    let generation = house.finished(&id).await;
    assert_eq!(generation["status"], expected, "{generation}");
    if expected == "FAILED" {
        assert_eq!(generation["code"], "VIDEO_GENERATION_PROVIDER_UNAVAILABLE");
    } else {
        assert_eq!(generation["usage"]["total"], 20);
    }
    assert_eq!(
        (host.tasks().len(), host.script.asked(Step::Submit)),
        (1, 1),
        "{step:?}"
    );
    let credits = house.get("/credits").await.body;
    let spent = if expected == "FAILED" { 0 } else { 20 };
    assert_eq!(credits["total"], 11_000 - spent, "{credits}");
    house.sound().await;
    let log = house.log();
    for secret in [KEY, "secret-signature"] {
        assert!(!log.contains(secret), "the log tells a secret");
    }
}

#[tokio::test]
async fn killed_while_work_is_handed_over() {
    check_killed(Step::Submit, "FAILED").await;
}

#[tokio::test]
async fn killed_while_others_work() {
    check_killed(Step::Look, "COMPLETED").await;
}

#[tokio::test]
async fn killed_while_a_result_is_copied() {
    check_killed(Step::Result, "COMPLETED").await;
}

#[tokio::test]
async fn an_upstream_reads_inputs_at_our_own_signed_url() {
    let media = Media::make();
    let host = hosted(&media).await;
    let url = host.url();
    let house = House::with(&settings(
        &url,
        &[("SERVER__PUBLIC_URL", "https://public.example")],
    ))
    .await;
    let form = Form::new()
        .text("feature", "edit-video")
        .text("prompt", "make it night")
        .text("resolution", "720p")
        .part("video_url", media.part("clip.mp4"));
    let answer = Answer::to(house.request(Method::POST, CREATE).multipart(form)).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let id = answer.body["id"].as_str().expect("an id").to_owned();
    let generation = house.finished(&id).await;
    assert_eq!(generation["status"], "COMPLETED", "{generation}");

    let body = &host.tasks()[0].body;
    assert_eq!(body["model"], "wan2.7-videoedit");
    let url = body["input"]["media"][0]["url"].as_str().expect("a url");
    let path = url
        .strip_prefix("https://public.example/")
        .expect("our public address");
    let shown = house
        .anonymous(Method::GET, path)
        .send()
        .await
        .expect("an answer");
    assert_eq!(shown.status().as_u16(), 200);
    assert_eq!(shown.headers()["content-type"], "video/mp4");
    assert_eq!(shown.bytes().await.expect("a body"), media.bytes("clip.mp4"));
    let ranged = house.anonymous(Method::GET, path).header("range", "bytes=0-9");
    assert_eq!(Answer::to(ranged).await.status, 206);

    let refused = async |path: &str, expected| {
        assert_eq!(
            Answer::to(house.anonymous(Method::GET, path)).await.status,
            expected
        );
    };
    refused(&path.replace(".mp4", ".mov"), 403).await;
    refused(&path.replace("exp=1", "exp=2"), 403).await;
    let other = GenerationId::new(kinora_domain::Timestamp(1), 1).to_string();
    refused(&path.replace(&id, &other), 403).await;
    assert_eq!(house.delete(&format!("/generation/{id}")).await.status, 204);
    refused(path, 410).await;
    house.sound().await;
}

#[tokio::test]
async fn without_a_public_url_a_clip_is_refused_before_anything_is_held() {
    let media = Media::make();
    let host = hosted(&media).await;
    let url = host.url();
    let house = House::with(&settings(&url, &[("ROUTES__TEXT_IMAGE", "dashscope")])).await;
    let clip = json!({"video_url": "https://example.com/clip.mp4", "prompt": "it goes on", "duration": 8});
    let answer = house.post(CREATE, &clip).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert_eq!(answer.body["errors"][0]["field"], "video_url");
    let sound = json!({"audio_url": "https://example.com/a.mp3", "prompt": "a song"});
    let answer = house.post(CREATE, &sound).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert_eq!(answer.body["errors"][0]["field"], "audio_url");
    assert_eq!(host.script.asked(Step::Submit), 0);
    house.sound().await;
}

#[tokio::test]
async fn routes_say_who_is_asked() {
    let media = Media::make();
    let host = hosted(&media).await;
    let url = host.url();
    let routes = [
        ("ROUTES__TEXT_IMAGE", "engine,dashscope"),
        ("ROUTES__REFERENCE", "dashscope"),
        ("ROUTES__EDIT_VIDEO", "engine"),
    ];
    let house = House::with(&settings(&url, &routes)).await;
    let models = house.get("/models").await.body;
    let engines: Vec<Value> = models["data"][0]["engines"]
        .as_array()
        .expect("engines")
        .iter()
        .map(|engine| json!([engine["id"], engine["features"]]))
        .collect();
    assert_eq!(
        engines,
        [
            json!(["test-pattern", ["text-image", "frames", "edit-video"]]),
            json!(["wan-2.7", ["text-image", "frames", "reference"]]),
        ]
    );
    let reference = &models["data"][0]["features"][2];
    assert_eq!(reference["max_references"], 5);

    let id = house.create("made here").await;
    assert_eq!(house.finished(&id).await["status"], "COMPLETED");
    assert_eq!(host.tasks().len(), 0);
    let form = Form::new()
        .text("prompt", "Image 1 waves")
        .text("resolution", "720p")
        .text("duration", "2")
        .part("reference_image_urls", media.part("first.png"));
    let answer = Answer::to(house.request(Method::POST, CREATE).multipart(form)).await;
    let id = answer.body["id"].as_str().expect("an id").to_owned();
    let generation = house.finished(&id).await;
    assert_eq!(generation["status"], "COMPLETED", "{generation}");
    assert_eq!(
        (host.tasks().len(), host.tasks()[0].body["model"].as_str()),
        (1, Some("wan2.7-r2v"))
    );
    house.sound().await;
}

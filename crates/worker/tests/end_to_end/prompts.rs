//! Prompts expanded on the way: what a chat model is asked, every way in which asking can go wrong, and that a generation is
//! made of the same words whatever dies in between.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kinora_domain::{Draft, Generation, GenerationId, Stage, Status, Success};
use kinora_engine::{
    Chat, ChatOptions, Engine, Expander, Fault as EngineFault, FaultKind, Language, Secret,
    TestPatternOptions, VideosApi, VideosApiOptions,
};
use kinora_worker::{EngineFactory, WorkerOptions};
use serde_json::{Map, json};

use crate::support::{
    World, fetcher,
    fixtures::FIXTURES,
    flaky::Stumbles,
    now, test_pattern, text,
    upstreams::{self, Fault, Step, chat, videos_api},
};

const PROMPT: &str = "A paper boat crosses a rain puddle";

async fn model() -> Arc<chat::Chat> {
    upstreams::start(chat::Chat::new).await
}

fn expander_within(url: &str, timeout: Duration) -> Option<Arc<Expander>> {
    let options = ChatOptions {
        url: url.to_owned(),
        key: Secret::new(chat::KEY.to_owned()),
        model: "qwen3".to_owned(),
        language: Language::Same,
        timeout,
        extra: Map::new(),
    };
    Some(Arc::new(Expander::Chat(Box::new(Chat::open(options).unwrap()))))
}

fn expander(url: &str) -> Option<Arc<Expander>> {
    expander_within(url, Duration::from_secs(2))
}

/// The test pattern, which tells what it was given as the prompt that it used.
fn expanded(url: &str) -> EngineFactory {
    test_pattern(TestPatternOptions::default()).with_expander(expander(url))
}

/// The same, so slow that a test can see it at work.
fn slow(url: &str) -> EngineFactory {
    let options = TestPatternOptions {
        frame_delay: Duration::from_millis(30),
        ..TestPatternOptions::default()
    };
    test_pattern(options).with_expander(expander(url))
}

fn quick(options: &mut WorkerOptions) {
    options.retry_ms = 20;
    options.poll_ms = 50;
    options.heartbeat_ms = 20;
}

fn success(generation: &Generation) -> &Success {
    match &generation.status {
        Status::Succeeded(success) => success,
        status => panic!("{status:?}"),
    }
}

/// The prompt that was used, and whether it is said that it was not expanded.
async fn used(world: &World, id: GenerationId) -> (String, bool) {
    let generation = world.succeeded(id).await;
    let success = success(&generation);
    let failed = success
        .warnings
        .iter()
        .filter(|warning| warning.code == "prompt_expansion_failed")
        .count();
    assert!(failed < 2);
    (success.actual_prompt.clone().unwrap_or_default(), failed == 1)
}

fn told(time: u32) -> String {
    format!("{PROMPT}, told at length for the {time}. time")
}

async fn wait_until_it_is_made(world: &World, id: GenerationId) {
    world
        .wait_for(id, |generation| generation.progress.stage == Stage::Decoding)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_is_given_what_the_model_wrote() {
    let (world, model) = (World::new().await, model().await);
    let work = world.work_with(expanded(&model.url()), quick);
    let id = world.submit(text()).await;
    assert_eq!(used(&world, id).await, (told(1), false));
    let generation = world.generation(id).await;
    assert_eq!(
        generation.spec.prompt.as_deref(),
        Some(PROMPT),
        "what was asked for stays as it was"
    );
    let mut question = model.questions()[0].clone();
    let system = question["messages"][0]["content"].take();
    assert!(system.as_str().unwrap().contains("60 to 120 words"), "{system}");
    let expected = json!({
        "temperature": 0.3, "seed": 7, "max_tokens": 2048, "model": "qwen3", "stream": false,
        "messages": [{"role": "system", "content": null}, {"role": "user", "content": PROMPT}],
    });
    assert_eq!(question, expected);
    work.end().await;
    assert_eq!(world.spent().await, 20, "expanding costs the client nothing");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_start_has_instructions_of_its_own() {
    let (world, model) = (World::new().await, model().await);
    let work = world.work_with(expanded(&model.url()), quick);
    let red = || world.upload(&FIXTURES.red);
    let check = async |draft: Draft, part: &str| {
        let before = model.questions().len();
        let id = world.submit(draft).await;
        let (prompt, failed) = used(&world, id).await;
        assert!(!failed && prompt.contains("told at length"), "{prompt}");
        let system = model.questions()[before]["messages"][0]["content"].to_string();
        assert!(system.contains(part), "{part}: {system}");
    };
    let image = || Draft {
        image: Some(red()),
        ..text()
    };
    check(image(), "begins with a picture that the model sees").await;
    let frames = Draft {
        end_image: Some(red()),
        ..image()
    };
    check(frames, "ends with another").await;
    let clip = Draft {
        video: Some(world.upload(&FIXTURES.silent_clip)),
        duration: Some(3),
        ..text()
    };
    check(clip, "goes on from a clip").await;
    let references = Draft {
        prompt: Some("Image 1 waves".to_owned()),
        reference_images: vec![red()],
        ..text()
    };
    check(references, "Keep every one of these names").await;
    work.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_to_be_expanded_is_not() {
    let (world, model) = (World::new().await, model().await);
    let work = world.work_with(expanded(&model.url()), quick);
    let check = async |draft: Draft| {
        let prompt = draft.prompt.clone().unwrap_or_default();
        let id = world.submit(draft).await;
        assert_eq!(used(&world, id).await, (prompt, false));
    };
    check(Draft {
        prompt_expansion: Some(false),
        ..text()
    })
    .await;
    check(Draft {
        feature: Some("edit-video".to_owned()),
        video: Some(world.upload(&FIXTURES.silent_clip)),
        ..text()
    })
    .await;
    check(Draft {
        image: Some(world.upload(&FIXTURES.red)),
        prompt: None,
        ..text()
    })
    .await;
    check(Draft {
        reference_images: vec![world.upload(&FIXTURES.red)],
        multi_shots: Some(true),
        ..text()
    })
    .await;
    work.end().await;
    assert_eq!(model.script.asked(Step::Chat), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shots_stay_shots() {
    let (world, model) = (World::new().await, model().await);
    let work = world.work_with(expanded(&model.url()), quick);
    let draft = || Draft {
        prompt: Some("Image 1 sleeps. Image 1 wakes.".to_owned()),
        reference_images: vec![world.upload(&FIXTURES.red)],
        multi_shots: Some(true),
        duration: Some(4),
        ..text()
    };
    let marked = "Shot 1 [0-2 seconds] Image 1 sleeps. Shot 2 [2-4 seconds] Image 1 wakes.";
    let written =
        "Shot 1 [0-2 seconds] Image 1 sleeps in the sun. Shot 2 [2-4 seconds] Image 1 wakes and yawns.";
    model.say(written);
    let id = world.submit(draft()).await;
    assert_eq!(used(&world, id).await, (written.to_owned(), false));
    let question = &model.questions()[0];
    assert_eq!(question["messages"][1]["content"], marked);
    assert!(question["messages"][0].to_string().contains("list of shots"));
    model.say("Image 1 sleeps in the sun, wakes and yawns.");
    let id = world.submit(draft()).await;
    let plain = draft().prompt.unwrap();
    assert_eq!(used(&world, id).await, (plain, true));
    work.end().await;
    world.end().await;
}

/// One generation while the model's server does this: the words it is made of, and how often the model was asked.
async fn check_fault(faults: &[(Fault, usize)], expected: Option<u32>, asked: usize) {
    let (world, model) = (World::new().await, model().await);
    for (fault, times) in faults {
        model.script.order(Step::Chat, fault.clone(), *times);
    }
    let engine = test_pattern(TestPatternOptions::default())
        .with_expander(expander_within(&model.url(), Duration::from_millis(1500)));
    let work = world.work_with(engine, quick);
    let id = world.submit(text()).await;
    let expected = match expected {
        Some(time) => (told(time), false),
        None => (PROMPT.to_owned(), true),
    };
    assert_eq!(used(&world, id).await, expected, "{faults:?}");
    work.end().await;
    assert_eq!(model.script.asked(Step::Chat), asked, "{faults:?}");
    assert_eq!(world.spent().await, 20);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_stumbles_once_is_asked_again() {
    let refuse = Fault::refuse;
    check_fault(&[(refuse(429, "rate_limit_exceeded"), 1)], Some(1), 2).await;
    check_fault(&[(refuse(500, "server_error"), 1)], Some(1), 2).await;
    check_fault(&[(Fault::Gateway(503), 1)], Some(1), 2).await;
    // Each of these has been answered, and the answer was lost.
    check_fault(&[(Fault::Cut, 1)], Some(2), 2).await;
    check_fault(&[(Fault::Half, 1)], Some(2), 2).await;
    check_fault(&[(Fault::Endless, 1)], Some(2), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_cannot_be_had_costs_no_generation() {
    let refuse = Fault::refuse;
    let garbage = |body: &[u8]| Fault::Garbage(body.to_vec());
    check_fault(&[(refuse(500, "server_error"), 9)], None, 2).await;
    check_fault(&[(Fault::Cut, 9)], None, 2).await;
    check_fault(&[(refuse(401, "invalid_api_key"), 9)], None, 1).await;
    check_fault(&[(refuse(404, "model_not_found"), 9)], None, 1).await;
    check_fault(&[(refuse(400, "unsupported_parameter"), 9)], None, 2).await;
    check_fault(&[(Fault::Redirect("http://127.0.0.1:1/v1"), 9)], None, 1).await;
    check_fault(&[(garbage(b"<html>all is well</html>"), 9)], None, 1).await;
    check_fault(&[(garbage(b"data: {\"choices\": []}\n\n"), 9)], None, 1).await;
    check_fault(&[(garbage(&vec![b'['; 4 << 20]), 9)], None, 1).await;
    check_fault(
        &[(garbage(b"{\"choices\": [{\"message\": {\"content\": 7}}]}"), 9)],
        None,
        1,
    )
    .await;
    let deeply = format!("{{\"choices\": {}", "[".repeat(100_000));
    check_fault(&[(garbage(deeply.as_bytes()), 9)], None, 1).await;
    let later = Fault::Refuse {
        status: 429,
        code: "rate_limit_exceeded",
        retry_after_s: Some(3600),
    };
    let started = Instant::now();
    check_fault(&[(later, 9)], None, 1).await;
    check_fault(&[(Fault::Silence, 9)], None, 1).await;
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_settings_is_asked_without() {
    let (world, model) = (World::new().await, model().await);
    let fault = Fault::refuse(400, "unsupported_parameter");
    model.script.order(Step::Chat, fault, 1);
    let work = world.work_with(expanded(&model.url()), quick);
    let id = world.submit(text()).await;
    assert_eq!(used(&world, id).await, (told(1), false));
    let question = &model.questions()[0];
    for setting in ["temperature", "seed", "max_tokens"] {
        assert_eq!(question.get(setting), None);
    }
    assert_eq!(question["model"], "qwen3");
    work.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_taken_for_what_it_is() {
    let (world, model) = (World::new().await, model().await);
    let work = world.work_with(expanded(&model.url()), quick);
    let check = async |said: &str, expected: Option<&str>| {
        model.say(said);
        let id = world.submit(text()).await;
        let expected = match expected {
            Some(prompt) => (prompt.to_owned(), false),
            None => (PROMPT.to_owned(), true),
        };
        assert_eq!(used(&world, id).await, expected, "{said}");
    };
    check(
        "<think>A boat, then.</think>\n\"A small paper boat.\"",
        Some("A small paper boat."),
    )
    .await;
    check("<think>A boat, then", None).await;
    check("I'm sorry, but I can't help with that.", None).await;
    check("", None).await;
    check(&"boat ".repeat(2000), None).await;
    check("Image 1 drifts by.", None).await;
    // It has nothing to add, and that is no failure.
    check(PROMPT, Some(PROMPT)).await;
    work.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_clips_of_a_generation_are_made_of_the_same_words() {
    let (world, model) = (World::new().await, model().await);
    let work = world.work_with(expanded(&model.url()), quick);
    let id = world.submit(Draft { n: Some(2), ..text() }).await;
    assert_eq!(used(&world, id).await, (told(1), false));
    assert_eq!(success(&world.generation(id).await).artifacts.len(), 2);
    work.end().await;
    assert_eq!(model.script.asked(Step::Chat), 1);
    world.end().await;
}

/// A worker dies while a clip is made, and another makes it of the words that the first had.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_workers_words_are_used_again() {
    for is_down in [false, true] {
        let (world, model) = (World::new().await, model().await);
        if is_down {
            model
                .script
                .order(Step::Chat, Fault::refuse(500, "server_error"), 2);
        }
        let id = world.submit(text()).await;
        let first = world.work_with(slow(&model.url()), |options| {
            quick(options);
            options.lease_ms = 700;
        });
        wait_until_it_is_made(&world, id).await;
        first.kill().await;
        let asked = model.script.asked(Step::Chat);
        let next = world.work_with(expanded(&model.url()), quick);
        let expected = match is_down {
            false => (told(1), false),
            // The model is there again, but the clip was begun without it.
            true => (PROMPT.to_owned(), true),
        };
        assert_eq!(used(&world, id).await, expected);
        next.end().await;
        assert_eq!(
            model.script.asked(Step::Chat),
            asked,
            "asked once for all attempts"
        );
        world.end().await;
    }
}

/// What was asked, and never heard of, is asked again: nothing was made of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_while_it_asks_has_decided_nothing() {
    let (world, model) = (World::new().await, model().await);
    model.script.order(Step::Chat, Fault::Silence, 1);
    let id = world.submit(text()).await;
    let first = world.work_with(expanded(&model.url()), |options| {
        quick(options);
        options.lease_ms = 700;
    });
    model.script.wait_for(Step::Chat, 1).await;
    first.kill().await;
    let next = world.work_with(expanded(&model.url()), quick);
    assert_eq!(used(&world, id).await, (told(2), false));
    next.end().await;
    assert_eq!(world.spent().await, 20);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_fails_leaves_its_words_to_the_next() {
    let (world, model) = (World::new().await, model().await);
    let options = TestPatternOptions {
        fault: Some(EngineFault::new(FaultKind::Retryable, 5, 1)),
        ..TestPatternOptions::default()
    };
    let engine = test_pattern(options).with_expander(expander(&model.url()));
    let work = world.work_with(engine, quick);
    let id = world.submit(text()).await;
    assert_eq!(used(&world, id).await, (told(1), false));
    work.end().await;
    assert_eq!(model.script.asked(Step::Chat), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_of_words_that_could_not_be_noted() {
    let stumbles = Arc::new(Stumbles::default());
    let (world, model) = (World::with(Some(Arc::clone(&stumbles))).await, model().await);
    let set = |times| stumbles.notes.store(times, std::sync::atomic::Ordering::SeqCst);
    let work = world.work_with(expanded(&model.url()), |options| {
        quick(options);
        options.lease_ms = 900;
        options.attempts_max = 2;
    });
    set(2);
    let id = world.submit(text()).await;
    assert_eq!(used(&world, id).await, (told(1), false));
    set(u32::MAX);
    let id = world.submit(text()).await;
    assert_eq!(world.failed(id).await.0, "engine_failed");
    work.end().await;
    assert_eq!(world.spent().await, 20);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_to_end_is_heard_while_the_model_thinks() {
    let (world, model) = (World::new().await, model().await);
    model.script.order(Step::Chat, Fault::Silence, 9);
    let patient = || {
        test_pattern(TestPatternOptions::default())
            .with_expander(expander_within(&model.url(), Duration::from_secs(60)))
    };
    let work = world.work_with(patient(), quick);
    let id = world.submit(text()).await;
    model.script.wait_for(Step::Chat, 1).await;
    let asked_at = Instant::now();
    world.store.cancel(world.account, id, now()).await.unwrap();
    world
        .wait_for(id, |generation| generation.status == Status::Canceled)
        .await;
    assert!(
        asked_at.elapsed() < Duration::from_secs(2),
        "{:?}",
        asked_at.elapsed()
    );
    work.end().await;

    let id = world.submit(text()).await;
    let work = world.work_with(patient(), |options| {
        quick(options);
        options.drain_ms = 100;
    });
    model.script.wait_for(Step::Chat, 2).await;
    work.end().await;
    let status = world.generation(id).await.status;
    assert!(matches!(status, Status::Queued { attempts: 0, .. }), "{status:?}");
    world.store.cancel(world.account, id, now()).await.unwrap();
    assert_eq!(world.spent().await, 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_there_are_rules() {
    let world = World::new().await;
    let engine =
        || test_pattern(TestPatternOptions::default()).with_expander(Some(Arc::new(Expander::Template)));
    let work = world.work_with(engine(), quick);
    let id = world.submit(text()).await;
    let (prompt, failed) = used(&world, id).await;
    assert!(
        !failed && prompt.starts_with("A paper boat crosses a rain puddle. "),
        "{prompt}"
    );
    let again = world.submit(text()).await;
    assert_eq!(used(&world, again).await.0, prompt);
    work.end().await;
    world.end().await;
}

/// A server that does not expand prompts gets them expanded, and a task that was handed over keeps its prompt.
#[tokio::test(flavor = "multi_thread")]
async fn others_are_sent_what_the_model_wrote() {
    let (world, model) = (World::new().await, model().await);
    let clip = std::fs::read(&FIXTURES.silent_clip.path).unwrap();
    let host = upstreams::start(|address| videos_api::VideosApi::new(address, clip)).await;
    let options = VideosApiOptions {
        name: "videos-api".to_owned(),
        about: "A server.".to_owned(),
        url: host.url(),
        key: Secret::new(String::new()),
        model: String::new(),
        starts: vec![kinora_domain::Start::Text],
        sizes: Vec::new(),
        duration_s_max: 5,
        fps: None,
        poll: Duration::from_millis(30),
        timeout: Duration::from_millis(800),
    };
    let open = move || VideosApi::open(options.clone(), fetcher());
    let offer = open().unwrap().offer().clone();
    let engine = EngineFactory::new(offer, move || Ok(Box::new(open().unwrap())))
        .with_expander(expander(&model.url()));
    host.script.order(Step::Look, Fault::Silence, 1);
    let id = world.submit_for(text(), "videos-api").await;
    let first = world.work_with(engine.clone(), |options| {
        quick(options);
        options.lease_ms = 700;
    });
    host.script.wait_for(Step::Look, 1).await;
    first.kill().await;
    let next = world.work_with(engine, quick);
    assert_eq!(used(&world, id).await, (told(1), false));
    next.end().await;
    let sent = host.videos()[0].form.clone();
    assert!(sent.contains(&("prompt".to_owned(), told(1))), "{sent:?}");
    assert_eq!((host.videos().len(), model.script.asked(Step::Chat)), (1, 1));
    world.end().await;
}

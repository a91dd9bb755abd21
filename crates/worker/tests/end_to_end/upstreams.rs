//! Generations that others make: what they are asked, every way in which asking can go wrong, and what is paid for it.
//!
//! Whatever happens, a client is charged once or not at all, and the upstream is given each clip at most once.

use std::{sync::Arc, time::Duration};

use kinora_domain::{Draft, Generation, GenerationId, Source, Stage, Status, Success};
use kinora_engine::{
    DashScope, DashScopeOptions, Engine, Secret, TestPatternOptions, VideosApi, VideosApiOptions,
    dashscope::DashScopeModels,
};
use kinora_worker::{EngineFactory, WorkerOptions};
use serde_json::{Value, json};

use crate::support::{
    World,
    clips::{ClipFacts, GREEN, close, whole_colour},
    fetcher,
    fixtures::FIXTURES,
    flaky::Stumbles,
    now, test_pattern, text,
    upstreams::{self, Fault, Step, dashscope, videos_api},
};

/// How long a question may take in these tests.
const TIMEOUT: Duration = Duration::from_millis(800);

async fn hosted() -> Arc<dashscope::DashScope> {
    let clip = std::fs::read(&FIXTURES.green_clip.path).unwrap();
    upstreams::start(|address| dashscope::DashScope::new(address, clip)).await
}

fn of_hosted(url: &str) -> EngineFactory {
    let options = DashScopeOptions {
        name: "wan-2.7".to_owned(),
        url: url.to_owned(),
        key: Secret::new(dashscope::KEY.to_owned()),
        models: DashScopeModels {
            text: "wan2.7-t2v".to_owned(),
            image: "wan2.7-i2v".to_owned(),
            reference: "wan2.7-r2v".to_owned(),
            edit: "wan2.7-videoedit".to_owned(),
        },
        poll: Duration::from_millis(30),
        timeout: TIMEOUT,
        is_public: true,
    };
    let open = move || DashScope::open(options.clone(), fetcher());
    let offer = open().unwrap().offer().clone();
    EngineFactory::new(offer, move || Ok(Box::new(open().unwrap()))).with_own_slots(2)
}

async fn server() -> Arc<videos_api::VideosApi> {
    let clip = std::fs::read(&FIXTURES.silent_clip.path).unwrap();
    upstreams::start(|address| videos_api::VideosApi::new(address, clip)).await
}

fn of_server(url: &str) -> EngineFactory {
    use kinora_domain::{FrameSize, Start};
    let options = VideosApiOptions {
        name: "videos-api".to_owned(),
        about: "A server.".to_owned(),
        url: url.to_owned(),
        key: Secret::new(String::new()),
        model: "wan2.2".to_owned(),
        starts: vec![Start::Text, Start::FirstFrame, Start::ClipToEdit],
        sizes: vec![
            FrameSize {
                width: 832,
                height: 480,
            },
            FrameSize {
                width: 480,
                height: 832,
            },
        ],
        duration_s_max: 5,
        fps: Some(16),
        poll: Duration::from_millis(30),
        timeout: TIMEOUT,
    };
    let open = move || VideosApi::open(options.clone(), fetcher());
    let offer = open().unwrap().offer().clone();
    EngineFactory::new(offer, move || Ok(Box::new(open().unwrap())))
}

fn quick(options: &mut WorkerOptions) {
    options.retry_ms = 20;
    options.poll_ms = 50;
}

fn success(generation: &Generation) -> &Success {
    match &generation.status {
        Status::Succeeded(success) => success,
        status => panic!("{status:?}"),
    }
}

/// How a generation ends: well, or with this code.
async fn ended(world: &World, id: GenerationId) -> Result<Generation, (&'static str, String)> {
    let generation = world
        .wait_for(id, |generation| generation.status.is_terminal())
        .await;
    match &generation.status {
        Status::Failed(failure) => Err((failure.code.as_str(), failure.message.clone())),
        Status::Succeeded(_) => Ok(generation),
        status => panic!("{status:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_is_copied_before_it_is_a_success() {
    let (world, host) = (World::new().await, hosted().await);
    let work = world.work_with(of_hosted(&host.url()), quick);
    let id = world.submit_for(text(), "wan-2.7").await;
    let generation = world.succeeded(id).await;
    work.end().await;
    let success = success(&generation);
    assert_eq!(
        success.actual_prompt.as_deref(),
        Some("What the service made of it")
    );
    let codes: Vec<&str> = success
        .warnings
        .iter()
        .map(|warning| warning.code.as_str())
        .collect();
    assert_eq!(
        codes,
        ["upscaled"],
        "the emulator's clip is small; its sound is its own"
    );
    let clip = world.video(&success.artifacts[0]);
    assert_eq!(ClipFacts::of(&clip), ClipFacts::expected(1280, 720, 60));
    assert!(close(whole_colour(&clip, 10), GREEN), "its own pictures");
    assert_eq!(host.tasks().len(), 1);
    let expected = json!({
        "model": "wan2.7-t2v",
        "input": {"prompt": "A paper boat crosses a rain puddle"},
        "parameters": {"resolution": "720P", "ratio": "16:9", "duration": 2, "prompt_extend": true,
                       "watermark": false, "seed": 7},
    });
    assert_eq!(host.tasks()[0].body, expected);
    assert_eq!(world.spent().await, 20);
    let stages: Vec<Stage> = world
        .store
        .status_events(id, 0)
        .await
        .unwrap()
        .iter()
        .map(|event| event.stage)
        .collect();
    assert_eq!(stages.last(), Some(&Stage::Done));
    world.end().await;
}

/// What the hosted models are sent for a draft, with the URLs cut to how they begin.
async fn sent(world: &World, host: &dashscope::DashScope, draft: Draft) -> Value {
    let before = host.tasks().len();
    let id = world.submit_for(draft, "wan-2.7").await;
    world.succeeded(id).await;
    let tasks = host.tasks();
    assert_eq!(tasks.len(), before + 1);
    let mut body = tasks[before].body.clone();
    let cut = |url: &mut Value| {
        let text = url.as_str().unwrap();
        let end = text.find("base64").or_else(|| text.find("/gen_")).unwrap();
        let extension = text
            .rsplit('.')
            .next()
            .filter(|rest| rest.len() < 5)
            .unwrap_or_default();
        *url = json!(format!("{}…{extension}", &text[..end]));
    };
    for medium in body["input"]["media"].as_array_mut().into_iter().flatten() {
        cut(&mut medium["url"]);
    }
    if let Some(url) = body["input"].get_mut("audio_url") {
        cut(url);
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn every_workflow_is_a_model_with_its_media() {
    let (world, host) = (World::new().await, hosted().await);
    let work = world.work_in_public(of_hosted(&host.url()), quick);
    let red = || world.upload(&FIXTURES.red);
    let clip = || world.upload(&FIXTURES.silent_clip);
    let check = async |draft: Draft, expected: Value| {
        let body = sent(&world, &host, draft).await;
        let found = json!([body["model"], body["input"]["media"], body["input"]["audio_url"]]);
        assert_eq!(found, expected);
        body
    };
    let (jpeg, mov, wav) = (
        "data:image/jpeg;…",
        "https://kinora.example/files…mov",
        "https://kinora.example/files…wav",
    );
    let medium = |role: &str, url: &str| json!({"type": role, "url": url});
    let tone = || Some(world.upload(&FIXTURES.tone));

    check(
        Draft {
            audio: tone(),
            ..text()
        },
        json!(["wan2.7-t2v", null, wav]),
    )
    .await;
    let body = check(
        Draft {
            image: Some(red()),
            audio: tone(),
            negative_prompt: Some("rain".to_owned()),
            ..text()
        },
        json!([
            "wan2.7-i2v",
            [medium("first_frame", jpeg), medium("driving_audio", wav)],
            null
        ]),
    )
    .await;
    assert_eq!(body["input"]["negative_prompt"], "rain");
    assert_eq!(body["parameters"].get("ratio"), None);
    check(
        Draft {
            image: Some(red()),
            end_image: Some(red()),
            prompt: None,
            ..text()
        },
        json!([
            "wan2.7-i2v",
            [medium("first_frame", jpeg), medium("last_frame", jpeg)],
            null
        ]),
    )
    .await;
    let body = check(
        Draft {
            video: Some(clip()),
            end_image: Some(red()),
            duration: Some(3),
            ..text()
        },
        json!([
            "wan2.7-i2v",
            [medium("first_clip", mov), medium("last_frame", jpeg)],
            null
        ]),
    )
    .await;
    assert_eq!(body["parameters"]["duration"], 3, "the whole length");
    let body = check(
        Draft {
            prompt: Some("Image 1 meets Video 1. They dance.".to_owned()),
            reference_images: vec![red(), red()],
            video_refs: vec![clip()],
            duration: Some(4),
            multi_shots: Some(true),
            ..text()
        },
        json!([
            "wan2.7-r2v",
            [
                medium("reference_image", jpeg),
                medium("reference_image", jpeg),
                medium("reference_video", mov)
            ],
            null
        ]),
    )
    .await;
    assert_eq!(
        body["input"]["prompt"],
        "Shot 1 [0-2 seconds] Image 1 meets Video 1. Shot 2 [2-4 seconds] They dance."
    );
    let body = check(
        Draft {
            reference_images: vec![red()],
            prompt_expansion: Some(false),
            ..text()
        },
        json!(["wan2.7-r2v", [medium("reference_image", jpeg)], null]),
    )
    .await;
    assert_eq!(
        body["input"]["prompt"],
        "A paper boat crosses a rain puddle. One single continuous shot."
    );
    assert_eq!(body["parameters"]["prompt_extend"], false);
    let edit = || Draft {
        feature: Some("edit-video".to_owned()),
        video: Some(clip()),
        reference_image: Some(red()),
        ..text()
    };
    let media = || [medium("video", mov), medium("reference_image", jpeg)];
    let body = check(edit(), json!(["wan2.7-videoedit", media(), null])).await;
    assert_eq!(body["parameters"].get("ratio"), None);
    let body = check(
        Draft {
            audio_setting: Some("origin".to_owned()),
            aspect_ratio: Some("1:1".to_owned()),
            duration: None,
            ..edit()
        },
        json!(["wan2.7-videoedit", media(), null]),
    )
    .await;
    let parameters = &body["parameters"];
    assert_eq!(
        json!([
            parameters["audio_setting"],
            parameters["ratio"],
            parameters["duration"]
        ]),
        json!(["origin", "1:1", 0])
    );
    work.end().await;
    world.end().await;
}

/// One generation while something goes wrong: how it ends, how many tasks were begun, and how often one was handed over.
async fn check_fault(
    faults: &[(Step, Fault, usize)],
    expected: Result<(), &str>,
    begun: usize,
    submits: usize,
) {
    let (world, host) = (World::new().await, hosted().await);
    for (step, fault, times) in faults {
        host.script.order(*step, fault.clone(), *times);
    }
    let work = world.work_with(of_hosted(&host.url()), quick);
    let id = world.submit_for(text(), "wan-2.7").await;
    let ended = ended(&world, id).await;
    work.end().await;
    match (&ended, expected) {
        (Ok(_), Ok(())) => {}
        (Err((code, message)), Err(expected)) => {
            assert_eq!(*code, expected, "{faults:?}");
            for secret in ["sk-", "127.0.0.1", "secret-signature", "host.example", "ashscope"] {
                assert!(!message.contains(secret), "{message}");
            }
        }
        _ => panic!("{faults:?}: {ended:?}"),
    }
    assert_eq!(host.tasks().len(), begun, "{faults:?}: begun");
    assert_eq!(host.script.asked(Step::Submit), submits, "{faults:?}: submits");
    assert_eq!(world.spent().await, if expected.is_ok() { 20 } else { 0 });
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_begun_is_handed_over_again() {
    let limited = |retry_after_s| Fault::Refuse {
        status: 429,
        code: "Throttling.RateQuota",
        retry_after_s,
    };
    check_fault(&[(Step::Submit, limited(Some(1)), 1)], Ok(()), 1, 2).await;
    check_fault(
        &[(Step::Submit, Fault::refuse(429, "Throttling.AllocationQuota"), 2)],
        Ok(()),
        1,
        3,
    )
    .await;
    check_fault(&[(Step::Submit, limited(None), 3)], Err("rate_limited"), 0, 3).await;
    check_fault(
        &[(Step::Submit, Fault::refuse(500, "InternalError"), 1)],
        Ok(()),
        1,
        2,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_not_handed_over_again() {
    let check = async |status, code, expected| {
        check_fault(
            &[(Step::Submit, Fault::refuse(status, code), 1)],
            Err(expected),
            0,
            1,
        )
        .await;
    };
    check(400, "InvalidParameter", "invalid_input").await;
    check(400, "DataInspectionFailed", "content_rejected").await;
    check(401, "InvalidApiKey", "provider_unavailable").await;
    check(403, "AccessDenied", "provider_unavailable").await;
    check(400, "Arrearage", "provider_unavailable").await;
    check(404, "ModelNotFound", "provider_unavailable").await;
    let elsewhere = Fault::Redirect("http://127.0.0.1:1/");
    check_fault(&[(Step::Submit, elsewhere, 1)], Err("provider_unavailable"), 0, 1).await;
}

/// The answer to a submission that never came: whoever submits again may pay again.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_doubt_is_given_up() {
    let check = async |fault, begun| {
        let faults = [(Step::Submit, fault, 1)];
        check_fault(&faults, Err("provider_unavailable"), begun, 1).await;
    };
    check(Fault::Cut, 1).await;
    check(Fault::Silence, 1).await;
    check(Fault::Half, 1).await;
    check(Fault::Garbage(b"<html>all is well</html>".to_vec()), 1).await;
    check(Fault::Garbage(vec![b'['; 4 << 20]), 1).await;
    check(
        Fault::Garbage(br#"{"output": {"task_id": "../../etc"}}"#.to_vec()),
        1,
    )
    .await;
    check(Fault::Gateway(502), 0).await;
    check(Fault::Gateway(504), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_asked_for_until_it_answers() {
    let faults = [
        (Step::Look, Fault::Cut, 1),
        (Step::Look, Fault::Gateway(502), 1),
        (Step::Look, Fault::refuse(500, "InternalError"), 1),
        (Step::Look, Fault::refuse(401, "InvalidApiKey"), 1),
        (
            Step::Look,
            Fault::Refuse {
                status: 429,
                code: "Throttling",
                retry_after_s: Some(1),
            },
            1,
        ),
        (Step::Look, Fault::Silence, 1),
        (Step::Look, Fault::Garbage(vec![b'{'; 3 << 20]), 1),
        (Step::Look, Fault::Redirect("http://127.0.0.1:1/"), 1),
    ];
    check_fault(&faults, Ok(()), 1, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_ends_badly_is_not_begun_again() {
    let check = async |output: Value, expected: &str| {
        let (world, host) = (World::new().await, hosted().await);
        host.end_with(output);
        let work = world.work_with(of_hosted(&host.url()), quick);
        let id = world.submit_for(text(), "wan-2.7").await;
        let (code, _) = ended(&world, id).await.unwrap_err();
        assert_eq!(code, expected);
        work.end().await;
        assert_eq!((host.tasks().len(), world.spent().await), (1, 0));
        world.end().await;
    };
    let failed = |code| json!({"task_status": "FAILED", "code": code, "message": "It failed."});
    check(failed("InvalidParameter"), "invalid_input").await;
    check(failed("DataInspectionFailed"), "content_rejected").await;
    check(failed("InternalError.Algo"), "engine_failed").await;
    check(json!({"task_status": "CANCELED"}), "engine_failed").await;
    check(json!({"task_status": "UNKNOWN"}), "timeout").await;
    check(json!({"task_status": "SUCCEEDED"}), "engine_failed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_copied_carefully() {
    // A URL that has run out is told anew.
    check_fault(&[(Step::Result, Fault::refuse(403, "Expired"), 2)], Ok(()), 1, 1).await;
    check_fault(&[(Step::Result, Fault::Half, 1)], Ok(()), 1, 1).await;
    check_fault(&[(Step::Result, Fault::Cut, 1)], Ok(()), 1, 1).await;
    // The next attempt asks for the same task, and copies it then.
    check_fault(&[(Step::Result, Fault::Gateway(503), 5)], Ok(()), 1, 1).await;
    // Not a clip, at any attempt.
    let strange = Fault::Garbage(b"this is no clip".to_vec());
    check_fault(&[(Step::Result, strange, 9)], Err("engine_failed"), 1, 1).await;
    check_fault(&[(Step::Result, Fault::Endless, 9)], Err("engine_failed"), 1, 1).await;
    let inside = Fault::Redirect("http://169.254.169.254/latest/meta-data");
    check_fault(&[(Step::Result, inside, 9)], Err("engine_failed"), 1, 1).await;
}

/// A worker dies at a step, and another goes on.
async fn check_death(step: Step, times: usize, expected: Result<(), &str>) {
    let (world, host) = (World::new().await, hosted().await);
    for _ in 1..times {
        // The times before go well.
        host.script.order(step, Fault::refuse(500, "InternalError"), 1);
    }
    host.script.order(step, Fault::Silence, 1);
    let id = world.submit_for(text(), "wan-2.7").await;
    let first = world.work_with(of_hosted(&host.url()), |options| {
        quick(options);
        options.lease_ms = 700;
    });
    host.script.wait_for(step, times).await;
    first.kill().await;
    let next = world.work_with(of_hosted(&host.url()), quick);
    let ended = ended(&world, id).await;
    next.end().await;
    match expected {
        Ok(()) => assert!(ended.is_ok(), "{ended:?}"),
        Err(expected) => assert_eq!(ended.unwrap_err().0, expected),
    }
    assert_eq!(
        (host.tasks().len(), host.script.asked(Step::Submit)),
        (1, 1),
        "{step:?}"
    );
    assert_eq!(world.spent().await, if expected.is_ok() { 20 } else { 0 });
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_workers_task_is_found_by_its_name() {
    check_death(Step::Look, 1, Ok(())).await;
    check_death(Step::Look, 2, Ok(())).await;
    check_death(Step::Result, 1, Ok(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_without_a_name_is_given_up_by_whoever_comes_next() {
    check_death(Step::Submit, 1, Err("provider_unavailable")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_leaves_the_task_to_the_next_worker() {
    let (world, host) = (World::new().await, hosted().await);
    host.script.order(Step::Look, Fault::Gateway(502), 1000);
    let id = world.submit_for(text(), "wan-2.7").await;
    let first = world.work_with(of_hosted(&host.url()), |options| {
        quick(options);
        options.drain_ms = 100;
    });
    host.script.wait_for(Step::Look, 2).await;
    first.end().await;
    assert!(matches!(
        world.generation(id).await.status,
        Status::Queued { attempts: 0, .. }
    ));
    assert_eq!(host.script.asked(Step::Cancel), 0);
    host.script.forget();
    let next = world.work_with(of_hosted(&host.url()), quick);
    world.succeeded(id).await;
    next.end().await;
    assert_eq!((host.tasks().len(), world.spent().await), (1, 20));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_handed_over_that_could_not_be_noted() {
    let stumbles = Arc::new(Stumbles::default());
    let (world, host) = (World::with(Some(Arc::clone(&stumbles))).await, hosted().await);
    let set = |times| stumbles.notes.store(times, std::sync::atomic::Ordering::SeqCst);
    let work = world.work_with(of_hosted(&host.url()), |options| {
        quick(options);
        options.lease_ms = 900;
        options.heartbeat_ms = 50;
    });
    set(2);
    let id = world.submit_for(text(), "wan-2.7").await;
    world.succeeded(id).await;
    assert_eq!(host.tasks().len(), 1);

    set(u32::MAX);
    let id = world.submit_for(text(), "wan-2.7").await;
    let (code, _) = ended(&world, id).await.unwrap_err();
    assert_eq!(code, "engine_failed");
    assert_eq!(host.script.asked(Step::Submit), 1, "only the first");
    work.end().await;
    assert_eq!(world.spent().await, 20);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cancels_has_the_task_ended_where_that_can_be() {
    let check = async |looks: usize, is_ended: bool| {
        let (world, host) = (World::new().await, hosted().await);
        host.end_with(json!({"task_status": "RUNNING"}));
        let work = world.work_with(of_hosted(&host.url()), |options| {
            quick(options);
            options.heartbeat_ms = 20;
        });
        if looks == 1 {
            // Stays where it was after its first answer.
            host.script.order(Step::Look, Fault::Gateway(502), 1000);
        }
        let id = world.submit_for(text(), "wan-2.7").await;
        host.script.wait_for(Step::Look, looks + 1).await;
        world.store.cancel(world.account, id, now()).await.unwrap();
        world
            .wait_for(id, |generation| generation.status == Status::Canceled)
            .await;
        host.script.wait_for(Step::Cancel, 1).await;
        work.end().await;
        assert_eq!(host.tasks()[0].is_canceled, is_ended);
        assert_eq!(world.spent().await, 0);
        world.end().await;
    };
    check(1, true).await;
    check(3, false).await;
}

/// The first engine cannot begin, and the second makes the clip: one hold, one charge, no task.
async fn check_next(first: EngineFactory, is_passed_on: bool) -> (usize, String) {
    let world = World::new().await;
    let engines = vec![first, test_pattern(TestPatternOptions::default())];
    let work = world.work_with_all(engines, quick);
    let id = world.submit_for(text(), "wan-2.7").await;
    let told = match ended(&world, id).await {
        Ok(generation) => {
            assert!(is_passed_on);
            assert_eq!(generation.offer.0, "test-pattern");
            let warnings = &success(&generation).warnings;
            let other = warnings.iter().find(|warning| warning.code == "other_engine");
            other.unwrap().message.clone()
        }
        Err((code, _)) => {
            assert!(!is_passed_on, "{code}");
            code.to_owned()
        }
    };
    work.end().await;
    let entries = world.store.entries(world.account, 100, None).await.unwrap().items;
    assert_eq!(entries.len(), 3, "given, held, settled: {entries:#?}");
    let spent = world.spent().await;
    assert_eq!(spent, if is_passed_on { 20 } else { 0 });
    world.end().await;
    (entries.len(), told)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_engine_takes_over_what_was_not_begun() {
    let expected = "wan-2.7 was not available; test-pattern made the clip.";
    let told = check_next(of_hosted("http://127.0.0.1:1"), true).await.1;
    assert_eq!(told, expected, "nobody is there");
    for (status, code) in [
        (429, "Throttling.RateQuota"),
        (401, "InvalidApiKey"),
        (500, "InternalError"),
    ] {
        let host = hosted().await;
        host.script.order(Step::Submit, Fault::refuse(status, code), 9);
        assert_eq!(
            check_next(of_hosted(&host.url()), true).await.1,
            expected,
            "{code}"
        );
        assert_eq!(
            (host.tasks().len(), host.script.asked(Step::Submit)),
            (0, 1),
            "{code}"
        );
    }
    // What may have been begun is not begun elsewhere, and neither is what is wrong in itself.
    for (fault, code) in [
        (Fault::Cut, "provider_unavailable"),
        (Fault::refuse(400, "InvalidParameter"), "invalid_input"),
    ] {
        let host = hosted().await;
        host.script.order(Step::Submit, fault, 9);
        assert_eq!(check_next(of_hosted(&host.url()), false).await.1, code);
        assert_eq!(host.script.asked(Step::Submit), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_takes_no_slot_of_the_machine() {
    let (world, host) = (World::new().await, hosted().await);
    host.script.order(Step::Look, Fault::Gateway(502), 100_000);
    let engines = vec![
        of_hosted(&host.url()),
        test_pattern(TestPatternOptions::default()),
    ];
    let work = world.work_with_all(engines, |options| {
        quick(options);
        options.slots = 1;
        options.drain_ms = 100;
    });
    let far = [
        world.submit_for(text(), "wan-2.7").await,
        world.submit_for(text(), "wan-2.7").await,
    ];
    host.script.wait_for(Step::Submit, 2).await;
    let near = world.submit(text()).await;
    world.succeeded(near).await;
    work.end().await;
    for id in far {
        world.store.cancel(world.account, id, now()).await.unwrap();
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_server_of_videos_works_as_well() {
    let (world, host) = (World::new().await, server().await);
    let work = world.work_with(of_server(&host.url()), quick);
    let check = async |draft: Draft, expected: &[(&str, &str)]| {
        let before = host.videos().len();
        let id = world.submit_for(draft, "videos-api").await;
        let generation = world.succeeded(id).await;
        let videos = host.videos();
        assert_eq!(videos.len(), before + 1);
        let form: Vec<(&str, &str)> = videos[before]
            .form
            .iter()
            .map(|(name, value)| (name.as_str(), value.split(", ").next().unwrap()))
            .collect();
        assert_eq!(form, expected);
        generation
    };
    let prompt = ("prompt", "A paper boat crosses a rain puddle");
    let rest = |size, file| {
        let mut rest = vec![
            ("model", "wan2.2"),
            prompt,
            ("seconds", "2"),
            ("size", size),
            ("seed", "7"),
            ("fps", "16"),
            ("num_frames", "33"),
        ];
        rest.extend(file);
        rest
    };
    let generation = check(text(), &rest("832x480", None)).await;
    let clip = world.video(&success(&generation).artifacts[0]);
    assert_eq!(ClipFacts::of(&clip), ClipFacts::expected(1280, 720, 60));
    let codes: Vec<&str> = success(&generation)
        .warnings
        .iter()
        .map(|warning| warning.code.as_str())
        .collect();
    assert_eq!(codes, ["silent_audio", "upscaled"]);
    let upright = Draft {
        image: Some(world.upload(&FIXTURES.red)),
        aspect_ratio: Some("9:16".to_owned()),
        ..text()
    };
    check(upright, &rest("480x832", Some(("input_reference", "image/jpeg")))).await;
    let edit = Draft {
        feature: Some("edit-video".to_owned()),
        video: Some(world.upload(&FIXTURES.silent_clip)),
        ..text()
    };
    check(
        edit,
        &rest("832x480", Some(("input_reference", "video/quicktime"))),
    )
    .await;
    work.end().await;
    assert_eq!(world.spent().await, 20 + 20 + 40);
    world.end().await;
}

/// A prompt is a text, whatever it looks like: nobody reaches members that Kinora does not offer by knowing how forms are cut.
#[tokio::test(flavor = "multi_thread")]
async fn no_prompt_ends_its_part_of_the_form() {
    let (world, host) = (World::new().await, server().await);
    let work = world.work_with(of_server(&host.url()), quick);
    let first = world.submit_for(text(), "videos-api").await;
    world.succeeded(first).await;
    let boundary = host.videos()[0].boundary.clone();
    let prompt = format!(
        "A boat\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"num_inference_steps\"\r\n\r\n9999"
    );
    let draft = Draft {
        prompt: Some(prompt.clone()),
        ..text()
    };
    let second = world.submit_for(draft, "videos-api").await;
    world.succeeded(second).await;
    let form = host.videos()[1].form.clone();
    assert!(form.contains(&("prompt".to_owned(), prompt)), "{form:?}");
    assert!(
        form.iter().all(|(name, _)| name != "num_inference_steps"),
        "{form:?}"
    );
    work.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_videos_may_fail_in_all_ways_too() {
    let check = async |faults: &[(Step, Fault, usize)], expected: Result<(), &str>, submits| {
        let (world, host) = (World::new().await, server().await);
        for (step, fault, times) in faults {
            host.script.order(*step, fault.clone(), *times);
        }
        let work = world.work_with(of_server(&host.url()), quick);
        let id = world.submit_for(text(), "videos-api").await;
        let ended = ended(&world, id).await;
        work.end().await;
        match expected {
            Ok(()) => assert!(ended.is_ok(), "{faults:?}: {ended:?}"),
            Err(expected) => assert_eq!(ended.unwrap_err().0, expected, "{faults:?}"),
        }
        assert!(host.videos().len() <= 1);
        assert_eq!(host.script.asked(Step::Submit), submits, "{faults:?}");
        assert_eq!(world.spent().await, if expected.is_ok() { 20 } else { 0 });
        world.end().await;
    };
    let busy = Fault::Refuse {
        status: 503,
        code: "busy",
        retry_after_s: Some(1),
    };
    check(&[(Step::Submit, busy, 1)], Ok(()), 2).await;
    check(
        &[(Step::Submit, Fault::refuse(400, "bad_size"), 1)],
        Err("invalid_input"),
        1,
    )
    .await;
    check(&[(Step::Submit, Fault::Cut, 1)], Err("provider_unavailable"), 1).await;
    check(
        &[
            (Step::Look, Fault::Gateway(502), 2),
            (Step::Result, Fault::Half, 1),
            (Step::Result, Fault::Gateway(500), 1),
        ],
        Ok(()),
        1,
    )
    .await;
    check(&[(Step::Look, Fault::refuse(404, "gone"), 1)], Err("timeout"), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_workers_video_is_found_by_its_name_unless_the_server_forgot_it() {
    for is_forgotten in [false, true] {
        let (world, host) = (World::new().await, server().await);
        host.script.order(Step::Look, Fault::Silence, 1);
        let id = world.submit_for(text(), "videos-api").await;
        let first = world.work_with(of_server(&host.url()), |options| {
            quick(options);
            options.lease_ms = 700;
        });
        host.script.wait_for(Step::Look, 1).await;
        first.kill().await;
        if is_forgotten {
            host.forget_videos();
        }
        let next = world.work_with(of_server(&host.url()), quick);
        let ended = ended(&world, id).await;
        next.end().await;
        match is_forgotten {
            false => assert!(ended.is_ok(), "{ended:?}"),
            true => assert_eq!(ended.unwrap_err().0, "timeout"),
        }
        assert_eq!(host.script.asked(Step::Submit), 1);
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_nobody_wants_is_deleted() {
    let (world, host) = (World::new().await, server().await);
    host.script.order(Step::Look, Fault::Gateway(502), 10_000);
    let work = world.work_with(of_server(&host.url()), |options| {
        quick(options);
        options.heartbeat_ms = 20;
    });
    let id = world.submit_for(text(), "videos-api").await;
    host.script.wait_for(Step::Look, 2).await;
    world.store.cancel(world.account, id, now()).await.unwrap();
    host.script.wait_for(Step::Cancel, 1).await;
    work.end().await;
    assert!(host.videos()[0].is_deleted);
    assert_eq!(world.generation(id).await.status, Status::Canceled);
    world.end().await;
}

/// An input that was given as a URL is shown to the upstream as what was measured, not as whatever is there now.
#[tokio::test(flavor = "multi_thread")]
async fn a_fetched_clip_is_shown_at_our_own_address() {
    let (world, host) = (World::new().await, hosted().await);
    let users = crate::support::http::Host::start().await;
    let work = world.work_in_public(of_hosted(&host.url()), quick);
    let draft = Draft {
        feature: Some("edit-video".to_owned()),
        video: Some(Source::Url(users.url("green.mp4"))),
        duration: None,
        ..text()
    };
    let id = world.submit_for(draft, "wan-2.7").await;
    world.succeeded(id).await;
    work.end().await;
    let url = host.tasks()[0].body["input"]["media"][0]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    let hash = url
        .strip_prefix(&format!("https://kinora.example/files/{id}/"))
        .and_then(|rest| rest.strip_suffix(".mp4"))
        .unwrap();
    let kept = world.blobs.path(hash.parse().unwrap());
    assert_eq!(
        std::fs::read(kept).unwrap(),
        std::fs::read(&FIXTURES.green_clip.path).unwrap()
    );
    world.end().await;
}

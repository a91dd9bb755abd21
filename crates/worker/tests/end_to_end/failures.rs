//! What goes wrong, and what the client hears of it. Nothing of it is charged.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use kinora_domain::{Draft, Source, Stage};
use kinora_engine::{EngineError, Fault, FaultKind, TestPattern, TestPatternOptions};
use kinora_worker::EngineFactory;

use crate::support::{World, fixtures::FIXTURES, http::Host, test_pattern, text};

#[tokio::test(flavor = "multi_thread")]
async fn media_that_turn_out_to_be_wrong() {
    let (world, host) = (World::new().await, Host::start().await);
    let work = world.work();
    let check = async |draft: Draft, expected: &str| {
        let id = world.submit(draft).await;
        let (code, message) = world.failed(id).await;
        assert_eq!((code, message.as_str()), ("invalid_input", expected));
        assert_eq!(world.spent().await, 0);
    };
    let url = |name: &str| Source::Url(host.url(name));
    let image = |name: &str| Draft {
        image: Some(url(name)),
        ..text()
    };
    check(image("missing.png"), "image_url answered with status 404.").await;
    check(
        image("text.png"),
        "image_url is not a JPEG, PNG, BMP or WEBP image.",
    )
    .await;
    check(
        image("green.mp4"),
        "image_url is not a JPEG, PNG, BMP or WEBP image.",
    )
    .await;
    check(
        image("small.png"),
        "image_url is 100×100 pixels; 240 to 8000 pixels per side are accepted.",
    )
    .await;
    check(
        Draft {
            image: Some(Source::Url("http://169.254.169.254/latest".to_owned())),
            ..text()
        },
        "image_url does not point to a public address.",
    )
    .await;
    check(
        Draft {
            reference_images: vec![url("red.png"), url("text.png"), url("missing.png")],
            ..text()
        },
        "reference_image_urls[1] is not a JPEG, PNG, BMP or WEBP image.",
    )
    .await;
    check(
        Draft {
            video: Some(url("green.mp4")),
            ..text()
        },
        "duration 2 is the length of the whole video and must exceed the clip's 2.50 s; send at least 3.",
    )
    .await;
    work.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again() {
    let world = World::new().await;
    let work = world.work_badly(Fault::new(FaultKind::Retryable, 3, 2));
    let id = world.submit(text()).await;
    world.succeeded(id).await;
    work.end().await;
    let events = world.store.status_events(id, 0).await.unwrap();
    let retries = events
        .iter()
        .filter(|event| event.stage == Stage::Retrying)
        .count();
    assert_eq!(retries, 2, "{events:#?}");
    assert_eq!(world.spent().await, 20);
    world.end().await;
}

/// Three requests meet an engine that misbehaves `times` times at frame 3: `outcomes` tells how each ends, and the
/// worker goes on after all of them.
async fn check(kind: FaultKind, times: u32, failures: u32) {
    let world = World::new().await;
    let work = world.work_badly(Fault::new(kind, 3, times));
    for _ in 0..failures {
        let id = world.submit(text()).await;
        let (code, message) = world.failed(id).await;
        assert_eq!(
            (code, message.as_str()),
            ("engine_failed", "The video engine could not make the clip.")
        );
        assert_eq!(world.spent().await, 0);
    }
    let id = world.submit(text()).await;
    world.succeeded(id).await;
    work.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_spent() {
    check(FaultKind::Retryable, 3, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_fail_again_is_not_tried_again() {
    check(FaultKind::Permanent, 2, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_fails_one_generation_and_no_other() {
    check(FaultKind::Panic, 2, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_cannot_be_set_up() {
    let world = World::new().await;
    let built = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&built);
    let offer = test_pattern(TestPatternOptions::default()).offer;
    let factory = EngineFactory::new(offer, move || match count.fetch_add(1, Ordering::SeqCst) {
        0..3 => Err(EngineError::Unavailable {
            detail: "its weights at /secret/place are missing".to_owned(),
        }),
        _ => Ok(Box::new(TestPattern::new(TestPatternOptions::default()))),
    });
    let work = world.work_with(factory, |options| options.retry_ms = 20);
    let first = world.submit(text()).await;
    let (code, message) = world.failed(first).await;
    assert_eq!(
        (code, message.as_str()),
        ("provider_unavailable", "The video engine is not available now.")
    );
    let second = world.submit(text()).await;
    world.succeeded(second).await;
    let third = world.submit(text()).await;
    world.succeeded(third).await;
    work.end().await;
    assert_eq!(
        built.load(Ordering::SeqCst),
        4,
        "an engine that was built is kept"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_gone_is_our_fault() {
    let world = World::new().await;
    let image = world.upload(&FIXTURES.red);
    let Source::Stored(stored) = &image else {
        panic!("an upload is stored")
    };
    std::fs::remove_file(world.blobs.path(stored.blob)).unwrap();
    let work = world.work_with(test_pattern(TestPatternOptions::default()), |options| {
        options.retry_ms = 20
    });
    let id = world
        .submit(Draft {
            image: Some(image),
            ..text()
        })
        .await;
    let (code, message) = world.failed(id).await;
    work.end().await;
    assert_eq!(code, "engine_failed");
    assert_eq!(
        message,
        "image_url could not be read for a fault of this service."
    );
    world.end().await;
}

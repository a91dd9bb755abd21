//! What is charged: the exact price once every length is known, and nothing for what did not succeed.

use kinora_domain::{Draft, Source};

use crate::support::{World, fixtures::FIXTURES, http::Host, text};

/// Holds `held` when it is submitted, and has cost `charged` when it has succeeded.
async fn check(world: &World, draft: Draft, held: i64, charged: u64) {
    let before = world.spent().await;
    let id = world.submit(draft).await;
    assert_eq!(world.generation(id).await.held.total(), held);
    let work = world.work();
    let generation = world.succeeded(id).await;
    work.end().await;
    assert_eq!(generation.usage.total(), i64::try_from(charged).unwrap());
    assert_eq!(world.spent().await - before, charged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_not_known_before_is_charged_exactly() {
    let (world, host) = (World::new().await, Host::start().await);
    let green = || Source::Url(host.url("green.mp4"));
    let edit = || Draft {
        feature: Some("edit-video".to_owned()),
        video: Some(green()),
        duration: None,
        ..text()
    };
    check(&world, edit(), 200, 50).await;
    check(
        &world,
        Draft {
            duration: Some(2),
            ..edit()
        },
        40,
        40,
    )
    .await;
    let uploaded = Draft {
        video: Some(world.upload(&FIXTURES.green_clip)),
        ..edit()
    };
    check(&world, uploaded, 50, 50).await;
    let reference = Draft {
        video_refs: vec![green()],
        ..text()
    };
    check(&world, reference, 320, 45).await;
    world.end().await;
}

//! Pictures of clips that are being made.

use std::sync::Arc;

use kinora_store::{LeaseKey, Noted, Outcome, PREVIEW_BYTES_MAX, Preview, StoreError};

use super::world::{LEASE_MS, World, failed, succeeded};

async fn keep(world: &World, lease: LeaseKey, jpeg: &[u8]) -> Noted {
    world.store.keep_preview(lease, jpeg.to_vec()).await.unwrap()
}

async fn seen(world: &World, lease: LeaseKey) -> Option<(u64, Vec<u8>)> {
    let seen = world.store.preview(lease.generation).await.unwrap();
    seen.map(|Preview { number, jpeg }| (number, jpeg))
}

pub(crate) async fn the_latest_picture_is_seen_until_the_end(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let claimed = world.running(account).await;
    let other = world.running(account).await;
    let events = world.generation(claimed.lease.generation).await.event_seq;
    assert_eq!(seen(&world, claimed.lease).await, None);
    let largest = vec![0xff; PREVIEW_BYTES_MAX];
    for picture in [b"one\0".as_slice(), &largest] {
        assert_eq!(keep(&world, claimed.lease, picture).await, Noted::Kept);
    }
    assert_eq!(seen(&world, claimed.lease).await, Some((2, largest.clone())));
    assert_eq!(seen(&world, other.lease).await, None, "another generation's");
    assert_eq!(
        world.generation(claimed.lease.generation).await.event_seq,
        events,
        "a picture is no event"
    );
    let larger = vec![0xff; PREVIEW_BYTES_MAX + 1];
    let refused = world.store.keep_preview(claimed.lease, larger).await;
    assert!(
        matches!(refused, Err(StoreError::TooLarge { value: 49_153, .. })),
        "{refused:?}"
    );

    // Another attempt goes on with it: the numbers never say twice what is not the same.
    world.finish(claimed.lease, Outcome::GivenBack).await;
    assert_eq!(seen(&world, claimed.lease).await, Some((2, largest)));
    let second = world.claim().await;
    assert_eq!(keep(&world, second.lease, b"three").await, Noted::Kept);
    assert_eq!(seen(&world, second.lease).await, Some((3, b"three".to_vec())));
    world.finish(second.lease, succeeded(1, 50)).await;
    assert_eq!(seen(&world, second.lease).await, None);

    keep(&world, other.lease, b"of a failure").await;
    world.finish(other.lease, failed(None)).await;
    assert_eq!(seen(&world, other.lease).await, None);

    let waiting = world.running(account).await;
    keep(&world, waiting.lease, b"of what is canceled while it waits").await;
    world.finish(waiting.lease, failed(Some(world.now()))).await;
    let id = waiting.lease.generation;
    world.store.cancel(account, id, world.now()).await.unwrap();
    assert_eq!(seen(&world, waiting.lease).await, None);
}

pub(crate) async fn a_picture_needs_the_lease(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let old = world.running(account).await;
    let strange = LeaseKey {
        token: old.lease.token + 1,
        ..old.lease
    };
    assert_eq!(keep(&world, strange, b"strange").await, Noted::LeaseLost);
    world.wait_ms(LEASE_MS);
    world.recover().await;
    assert_eq!(keep(&world, old.lease, b"while it waits").await, Noted::LeaseLost);
    let new = world.claim().await;
    assert_eq!(keep(&world, old.lease, b"late").await, Noted::LeaseLost);
    assert_eq!(seen(&world, new.lease).await, None);
    world.finish(new.lease, succeeded(1, 50)).await;
    assert_eq!(keep(&world, new.lease, b"too late").await, Noted::LeaseLost);
    assert_eq!(seen(&world, new.lease).await, None);
}

//! Who hears of what.

use std::{sync::Arc, time::Duration};

use kinora_domain::{Phase, Stage};
use tokio::{sync::watch, time::timeout};

use super::world::{LEASE_MS, World, failed, succeeded};

/// Far longer than any commit takes.
const SOON: Duration = Duration::from_secs(10);

pub(crate) async fn watchers_hear_of_their_generation_alone(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let other = world.submit_one(account).await.id;
    let mut silent = world.store.watch(other);
    world.store.cancel(account, other, world.now()).await.unwrap();
    hears(&mut silent).await;

    let id = world.submit_one(account).await.id;
    let (mut watcher, mut second) = (world.store.watch(id), world.store.watch(id));
    let lease = world.claim().await.lease;
    hears(&mut watcher).await;
    assert_eq!(
        world.generation(id).await.phase(),
        Phase::Running,
        "who hears, sees"
    );
    world.heartbeat(lease, Stage::Denoising, 0.5).await;
    hears(&mut watcher).await;
    world
        .store
        .heartbeat(lease, None, LEASE_MS, world.now())
        .await
        .unwrap();
    world.finish(lease, failed(Some(world.now()))).await;
    hears(&mut watcher).await;
    assert!(
        !watcher.has_changed().unwrap(),
        "a renewed lease is nothing to see"
    );
    let lease = world.claim().await.lease;
    hears(&mut watcher).await;
    world.store.cancel(account, id, world.now()).await.unwrap();
    hears(&mut watcher).await;
    world.finish(lease, succeeded(1, 50)).await;
    hears(&mut watcher).await;
    world.store.remove_media(account, id, world.now()).await.unwrap();
    hears(&mut watcher).await;
    hears(&mut second).await;
    assert!(!silent.has_changed().unwrap());
}

async fn hears(watcher: &mut watch::Receiver<u64>) {
    timeout(SOON, watcher.changed())
        .await
        .expect("it is told soon")
        .expect("the store is open");
}

pub(crate) async fn the_bell_rings_for_work(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let bell = world.store.queue_bell();
    let rings = async |why: &str| {
        let rung = timeout(SOON, bell.notified()).await;
        assert!(rung.is_ok(), "{why}");
    };
    world.submit_one(account).await;
    rings("a submission").await;
    let lease = world.claim().await.lease;
    world.finish(lease, failed(Some(world.now().plus_ms(5)))).await;
    rings("a slot under the account's cap is free").await;
    world.wait_ms(5);
    world.recover().await;
    rings("a retry is due").await;
    let lease = world.claim().await.lease;
    world.finish(lease, failed(Some(world.now()))).await;
    rings("a retry is due at once").await;
    world.claim().await;
    world.wait_ms(LEASE_MS);
    world.recover().await;
    rings("a lease has expired").await;

    // Everybody who waits is woken.
    let (first, second) = (bell.notified(), bell.notified());
    world.submit_one(account).await;
    let woken = async {
        first.await;
        second.await;
    };
    timeout(SOON, woken).await.expect("both are woken");
}

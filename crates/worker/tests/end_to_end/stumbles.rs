//! A store that does not answer: for a while, and for longer than a lease.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use kinora_domain::Status;

use crate::support::{World, flaky::Stumbles, now, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stumbles_costs_nothing() {
    let stumbles = Arc::new(Stumbles::default());
    let world = World::with(Some(Arc::clone(&stumbles))).await;
    stumbles.claims.store(2, Ordering::SeqCst);
    stumbles.heartbeats.store(3, Ordering::SeqCst);
    stumbles.finishes.store(3, Ordering::SeqCst);
    let work = world.work_slowly(Duration::from_millis(10), |options| {
        options.poll_ms = 20;
        options.heartbeat_ms = 50;
    });
    let id = world.submit(text()).await;
    world.succeeded(id).await;
    work.end().await;
    for left in [&stumbles.claims, &stumbles.heartbeats, &stumbles.finishes] {
        assert_eq!(left.load(Ordering::SeqCst), 0);
    }
    let events = world.store.status_events(id, 0).await.unwrap();
    assert_eq!(events.len(), 3, "queued, running, succeeded: {events:#?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_cut_off_from_the_store_stops_by_itself() {
    let stumbles = Arc::new(Stumbles::default());
    let world = World::with(Some(Arc::clone(&stumbles))).await;
    let work = world.work_slowly(Duration::from_millis(200), |options| {
        options.lease_ms = 600;
        options.heartbeat_ms = 50;
    });
    let id = world.submit(text()).await;
    world
        .wait_for(id, |generation| {
            matches!(generation.status, Status::Running { .. })
        })
        .await;
    stumbles.heartbeats.store(u32::MAX, Ordering::SeqCst);
    stumbles.claims.store(u32::MAX, Ordering::SeqCst);

    // Both sides come to the same view, each by its own clock: the lease is over.
    world
        .wait_for(id, |generation| {
            matches!(generation.status, Status::Queued { attempts: 1, .. })
        })
        .await;
    let folder = world.scratch_of_the_worker();
    let patience = now().plus_ms(3_000);
    while folder.join(id.to_string()).exists() {
        assert!(now() < patience, "still at it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    work.end().await;
    world.store.cancel(world.account, id, now()).await.unwrap();
    world.end().await;
}

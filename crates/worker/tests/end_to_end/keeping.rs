//! The house kept: media whose time is over, blobs that nobody refers to, grants that have ended.

use std::{sync::Arc, time::Duration};

use kinora_domain::{Bucket, Credits, Draft, GrantId, Status, ledger::EntryType};
use kinora_store::NewGrant;
use kinora_worker::{Housekeeping, HousekeepingOptions, system_clock};

use crate::support::{WEALTH, World, fixtures::FIXTURES, now, text};

fn keeping(world: &World, retention_ms: Option<u64>) -> Housekeeping {
    Housekeeping {
        store: Arc::clone(&world.store),
        blobs: Arc::clone(&world.blobs),
        options: HousekeepingOptions {
            retention_ms,
            sweep_grace_ms: 0,
            ..HousekeepingOptions::default()
        },
        clock: system_clock(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn media_go_when_their_time_is_over() {
    let world = World::new().await;
    let image = world.upload(&FIXTURES.red);
    let work = world.work();
    let id = world
        .submit(Draft {
            image: Some(image.clone()),
            ..text()
        })
        .await;
    let generation = world.succeeded(id).await;
    work.end().await;
    let Status::Succeeded(success) = generation.status else {
        panic!("it succeeded")
    };
    let kinora_domain::Source::Stored(input) = image else {
        panic!("an upload is stored")
    };
    let blobs = [
        success.artifacts[0].video,
        success.artifacts[0].poster,
        input.blob,
    ];
    let kept = async |expected: bool| {
        for blob in blobs {
            assert_eq!(world.blobs.exists(blob).await.unwrap(), expected);
        }
        assert_eq!(world.generation(id).await.media_removed, !expected);
    };

    for retention_ms in [None, Some(3_600_000)] {
        let keeping = keeping(&world, retention_ms);
        keeping.remove_old_media().await;
        keeping.sweep().await;
        kept(true).await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let keeping = keeping(&world, Some(1));
    keeping.remove_old_media().await;
    keeping.sweep().await;
    kept(false).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_end() {
    let world = World::new().await;
    let grant = NewGrant {
        account: world.account,
        id: GrantId::new(now(), rand::random()),
        entry_type: EntryType::Grant,
        bucket: Bucket::Subscription,
        credits: Credits(100),
        expires_at: Some(now().plus_ms(50)),
        note: None,
    };
    world.store.grant(grant, now()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(80)).await;
    keeping(&world, None).expire_grants().await;
    let entries = world.store.entries(world.account, 10, None).await.unwrap();
    assert_eq!(entries.items[0].entry_type, EntryType::Expire);
    let balance = world.store.balance(world.account, now()).await.unwrap();
    assert_eq!(balance.available.total(), i64::try_from(WEALTH).unwrap());
    world.end().await;
}

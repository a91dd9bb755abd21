//! Many at once.

use std::{collections::HashSet, sync::Arc};

use kinora_domain::{Bucket, Credits};
use kinora_store::{Submission, Submitted};
use tokio::task::JoinSet;

use super::world::{World, failed, idempotency, succeeded};

const CLIENTS: u64 = 64;

pub(crate) async fn many_clients_never_overdraw_one_balance(world: Arc<World>) {
    let account = world.account("alice").await;
    // Enough for 30 of the 64 at first; what fails comes back and is spent again.
    for n in 0..10 {
        let bucket = [Bucket::Subscription, Bucket::Permanent][n % 2];
        world.grant(account, bucket, 150, None).await;
    }
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let world = Arc::clone(&world);
        clients.spawn(async move {
            let mut spent = 0;
            for _ in 0..8 {
                let submission = Submission {
                    price: Credits(50),
                    ..world.submission(account)
                };
                match world.try_submit(submission).await {
                    Submitted::Created(_) => {}
                    Submitted::Insufficient(short) => assert!(short.available.total() < 50, "{short:?}"),
                    other => panic!("{other:?}"),
                }
                let Some(claimed) = world.try_claim(&["wan"], 1000).await else {
                    continue;
                };
                let fails = (client + claimed.lease.token) % 2 == 0;
                let outcome = if fails { failed(None) } else { succeeded(1, 40) };
                spent += world.finish(claimed.lease, outcome).await.usage.total();
                let balance = world.balance(account).await;
                assert!(balance.iter().all(|credits| *credits >= 0), "{balance:?}");
            }
            spent
        });
    }
    let spent: i64 = clients.join_all().await.into_iter().sum();
    while let Some(claimed) = world.try_claim(&["wan"], 1000).await {
        world.finish(claimed.lease, failed(None)).await;
    }
    let [subscription, permanent, 0, 0] = world.balance(account).await else {
        panic!("something is still held");
    };
    assert_eq!(
        subscription + permanent + spent,
        1500,
        "no credit is lost, and none is made"
    );
    assert!(spent > 0);
}

pub(crate) async fn many_workers_never_share_a_generation(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    for _ in 0..200 {
        world.submit_one(account).await;
    }
    let mut workers = JoinSet::new();
    for _ in 0..CLIENTS {
        let world = Arc::clone(&world);
        workers.spawn(async move {
            let mut claimed = Vec::new();
            while let Some(next) = world.try_claim(&["wan"], 1000).await {
                claimed.push(next.lease.generation);
            }
            claimed
        });
    }
    let claimed: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    let distinct: HashSet<_> = claimed.iter().collect();
    assert_eq!((claimed.len(), distinct.len()), (200, 200));
}

pub(crate) async fn one_idempotency_key_makes_one_generation(world: Arc<World>) {
    one_key_makes_one_generation(&[world]).await;
}

/// The same key from many clients of one or several processes on one database.
pub(crate) async fn one_key_makes_one_generation(worlds: &[Arc<World>]) {
    let account = worlds[0].rich_account("alice").await;
    let mut clients = JoinSet::new();
    for world in worlds.iter().cycle().take(CLIENTS as usize) {
        let world = Arc::clone(world);
        clients.spawn(async move {
            let idempotency = idempotency("POST /x", "same", 1);
            match world
                .try_submit(Submission {
                    idempotency,
                    ..world.submission(account)
                })
                .await
            {
                Submitted::Created(generation) => (1, generation.id),
                Submitted::Replayed(generation) => (0, generation.id),
                other => panic!("{other:?}"),
            }
        });
    }
    let answers = clients.join_all().await;
    assert_eq!(answers.iter().map(|(created, _)| created).sum::<u32>(), 1);
    assert!(answers.iter().all(|(_, id)| *id == answers[0].1));
    assert_eq!(worlds[0].balance(account).await, [0, 999_950, 0, 50]);
}

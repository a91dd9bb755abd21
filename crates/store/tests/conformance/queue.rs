//! Who is next: order, priorities, offers, turns, caps.

use std::{collections::HashMap, sync::Arc};

use kinora_domain::{AccountId, GenerationId, OfferId};
use kinora_store::{Outcome, QueueDepth, Submission};

use super::world::{World, failed};

pub(crate) async fn first_come_first_served_by_priority(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let mut expected = Vec::new();
    for (index, priority) in [0, 5, -1, 5, 0].into_iter().enumerate() {
        let submission = Submission {
            priority,
            ..world.submission(account)
        };
        expected.push((-priority, index, world.submit(submission).await.id));
    }
    expected.sort();
    for (_, _, id) in &expected {
        assert_eq!(world.claim().await.lease.generation, *id);
    }
    assert!(world.try_claim(&["wan"], 1000).await.is_none());
}

pub(crate) async fn workers_get_only_their_offers(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let submit = async |offer: &str| {
        let offer = OfferId(offer.to_owned());
        world
            .submit(Submission {
                offer,
                ..world.submission(account)
            })
            .await
            .id
    };
    let (a, b, c) = (submit("a").await, submit("b").await, submit("c").await);
    let a_too = submit("a").await;
    let claim = async |offers: &[&str]| {
        world
            .try_claim(offers, 1000)
            .await
            .map(|claimed| claimed.lease.generation)
    };
    assert_eq!(claim(&["d"]).await, None);
    assert_eq!(claim(&[]).await, None);
    assert_eq!(claim(&["c", "b"]).await, Some(b), "the older of the two");
    assert_eq!(claim(&["a"]).await, Some(a));
    assert_eq!(claim(&["a", "c", "d"]).await, Some(c));
    assert_eq!(claim(&["c", "b"]).await, None);
    assert_eq!(claim(&["b", "a"]).await, Some(a_too));
}

pub(crate) async fn a_thousand_do_not_starve_one(world: Arc<World>) {
    let (many, one) = (world.rich_account("many").await, world.rich_account("one").await);
    let submissions = (0..1000).map(|_| world.submit_one(many));
    futures_util::future::join_all(submissions).await;
    for _ in 0..3 {
        assert_eq!(world.claim().await.generation.account, many);
    }
    let theirs = world.submit_one(one).await.id;
    let next = [
        world.claim().await.lease.generation,
        world.claim().await.lease.generation,
    ];
    assert!(next.contains(&theirs), "the second at the latest");
}

pub(crate) async fn accounts_take_turns_over_all_offers(world: Arc<World>) {
    let (wide, narrow) = (
        world.rich_account("wide").await,
        world.rich_account("narrow").await,
    );
    for _ in 0..6 {
        for (account, offer) in [(wide, "a"), (wide, "b"), (narrow, "a")] {
            let offer = OfferId(offer.to_owned());
            world
                .submit(Submission {
                    offer,
                    ..world.submission(account)
                })
                .await;
        }
    }
    let mut served: HashMap<AccountId, u32> = HashMap::new();
    for _ in 0..12 {
        let claimed = world.try_claim(&["a", "b"], 1000).await.expect("18 wait");
        *served.entry(claimed.generation.account).or_default() += 1;
    }
    assert_eq!(
        (served[&wide], served[&narrow]),
        (6, 6),
        "two offers are not two turns"
    );
}

pub(crate) async fn a_newcomer_waits_one_round_at_most(world: Arc<World>) {
    let mut regulars = Vec::new();
    for n in 0..10 {
        let account = world.rich_account(&format!("regular {n}")).await;
        regulars.push(account);
        for _ in 0..20 {
            world.submit_one(account).await;
        }
    }
    for round in 0..3 {
        let mut served = Vec::new();
        for _ in &regulars {
            served.push(world.claim().await.generation.account);
        }
        served.sort();
        let mut expected = regulars.clone();
        expected.sort();
        assert_eq!(served, expected, "round {round}: each once");
    }
    let newcomer = world.rich_account("newcomer").await;
    for _ in 0..20 {
        world.submit_one(newcomer).await;
    }
    let mut served = Vec::new();
    for _ in 0..33 {
        served.push(world.claim().await.generation.account);
    }
    let turns: Vec<usize> = (0..served.len())
        .filter(|index| served[*index] == newcomer)
        .collect();
    assert!(turns[0] <= 10, "waits for each of the others once: {turns:?}");
    assert_eq!(turns.len(), 3, "and then takes turns like them: {turns:?}");
}

pub(crate) async fn running_caps_are_kept(world: Arc<World>) {
    let capped = world.account_with_cap("capped", Some(1)).await;
    let barred = world.account_with_cap("barred", Some(0)).await;
    let free = world.account("free").await;
    for account in [barred, capped, free] {
        world
            .grant(account, kinora_domain::Bucket::Permanent, 1000, None)
            .await;
        for _ in 0..4 {
            world.submit_one(account).await;
        }
    }
    let mut leases = Vec::new();
    let mut served = Vec::new();
    while let Some(claimed) = world.try_claim(&["wan"], 2).await {
        served.push(claimed.generation.account);
        leases.push(claimed.lease);
    }
    served.sort();
    assert_eq!(
        served,
        [capped, free, free],
        "one by its own cap, two by the configured one"
    );
    let first = leases
        .iter()
        .zip(&served)
        .next()
        .map(|(lease, _)| *lease)
        .unwrap();
    let freed = world.finish(first, failed(None)).await.account;
    assert_eq!(
        world.try_claim(&["wan"], 2).await.unwrap().generation.account,
        freed
    );
    assert!(world.try_claim(&["wan"], 2).await.is_none());
    // A higher priority does not lift a cap, nor does it block who is below it.
    world
        .submit(Submission {
            priority: 9,
            ..world.submission(barred)
        })
        .await;
    assert_eq!(
        world.try_claim(&["wan"], 3).await.unwrap().generation.account,
        free
    );
}

pub(crate) async fn the_depth_is_what_waits_and_runs(world: Arc<World>) {
    let (alice, bob) = (world.rich_account("alice").await, world.rich_account("bob").await);
    let depth = async || world.store.queue_depth().await.unwrap();
    assert_eq!(depth().await, QueueDepth::default());
    let first = world.now();
    let delayed: GenerationId = world.submit_one(alice).await.id;
    world.wait_ms(1);
    let second = world.now();
    world
        .submit(Submission {
            priority: -3,
            ..world.submission(bob)
        })
        .await;
    world.wait_ms(1);
    world.submit_one(bob).await;
    let expected = |queued, running, oldest| QueueDepth {
        queued,
        running,
        oldest_queued_at: Some(oldest),
    };
    assert_eq!(depth().await, expected(3, 0, first));
    let lease = loop {
        let claimed = world.claim().await;
        if claimed.lease.generation == delayed {
            break claimed.lease;
        }
        world.finish(claimed.lease, Outcome::GivenBack).await;
    };
    assert_eq!(depth().await, expected(2, 1, second));
    world.finish(lease, failed(Some(world.now().plus_ms(1000)))).await;
    assert_eq!(
        depth().await,
        expected(3, 0, first),
        "a retry that is not yet due waits, too"
    );
}

//! Credits: holds, captures, releases, grants and their ends.

use std::sync::Arc;

use kinora_domain::{AccountId, Bucket, Credits, Split, ledger::EntryType};
use kinora_store::{NewGrant, StoreError, Submission, Submitted};

use super::world::{World, failed, idempotency, succeeded};

const SUBSCRIPTION: Bucket = Bucket::Subscription;
const PERMANENT: Bucket = Bucket::Permanent;

pub(crate) async fn a_hold_takes_the_subscription_first(world: Arc<World>) {
    let account = world.account("alice").await;
    world.grant(account, PERMANENT, 100, None).await;
    world.grant(account, SUBSCRIPTION, 30, None).await;
    assert_eq!(world.balance(account).await, [30, 100, 0, 0]);

    let generation = world.submit_one(account).await;
    let held = Split {
        subscription: 30,
        permanent: 20,
    };
    assert_eq!((generation.held, generation.usage), (held, held));
    assert_eq!(world.balance(account).await, [0, 80, 30, 20]);

    let canceled = world
        .store
        .cancel(account, generation.id, world.now())
        .await
        .unwrap();
    assert!(canceled.is_some());
    assert_eq!(world.balance(account).await, [30, 100, 0, 0]);
    let canceled = world.generation(generation.id).await;
    assert_eq!((canceled.held, canceled.usage), (held, Split::ZERO));
    let expected = [
        ("grant", 0, 100),
        ("grant", 30, 0),
        ("hold", -30, -20),
        ("release", 30, 20),
    ];
    assert_eq!(world.entries(account).await, expected);
}

pub(crate) async fn a_refused_submission_writes_nothing(world: Arc<World>) {
    let account = world.account("alice").await;
    world.grant(account, PERMANENT, 120, None).await;
    let first = world.submit_one(account).await;
    let refused = |change: fn(&mut Submission)| {
        let mut submission = world.submission(account);
        submission.idempotency = idempotency("POST /x", "free", 1);
        change(&mut submission);
        submission
    };
    let before = (world.balance(account).await, world.entries(account).await);

    match world
        .try_submit(refused(|submission| submission.price = Credits(71)))
        .await
    {
        Submitted::Insufficient(short) => {
            assert_eq!((short.price, short.available.total()), (Credits(71), 70));
        }
        other => panic!("{other:?}"),
    }
    let full = world
        .try_submit(refused(|submission| submission.queued_max = 1))
        .await;
    assert!(matches!(full, Submitted::QueueFull(1)), "{full:?}");
    let nobody = AccountId::new(world.now(), world.draw());
    let unknown = world.store.submit(world.submission(nobody), world.now()).await;
    assert!(matches!(unknown, Err(StoreError::UnknownAccount(id)) if id == nobody));
    let mut twin = world.submission(account);
    twin.id = first.id;
    assert!(
        world.store.submit(twin, world.now()).await.is_err(),
        "two generations of one id"
    );

    assert_eq!(
        (world.balance(account).await, world.entries(account).await),
        before
    );
    // The key of what was refused is free, and the last credit can be spent.
    world
        .submit(refused(|submission| submission.price = Credits(70)))
        .await;
    assert_eq!(world.balance(account).await, [0, 0, 0, 120]);
}

pub(crate) async fn a_price_of_nothing_is_held_and_settled(world: Arc<World>) {
    let account = world.account("alice").await;
    let mut free = world.submission(account);
    free.price = Credits(0);
    world.submit(free.clone()).await;
    let lease = world.claim().await.lease;
    let done = world.finish(lease, succeeded(1, 10)).await;
    assert_eq!(done.usage, Split::ZERO);
    assert_eq!(world.entries(account).await, [("hold", 0, 0), ("capture", 0, 0)]);
}

pub(crate) async fn ended_grants_are_not_spent(world: Arc<World>) {
    let account = world.account("alice").await;
    let end = world.now().plus_ms(1000);
    world.grant(account, SUBSCRIPTION, 40, Some(end)).await;
    world.grant(account, SUBSCRIPTION, 40, Some(end.plus_ms(1))).await;
    world.grant(account, PERMANENT, 15, None).await;
    world.wait_ms(999);
    assert_eq!(world.balance(account).await, [80, 15, 0, 0]);
    world.wait_ms(1);
    assert_eq!(
        world.balance(account).await,
        [40, 15, 0, 0],
        "before anybody wrote it off"
    );
    let submitted = world.try_submit(Submission {
        price: Credits(56),
        ..world.submission(account)
    });
    assert!(matches!(submitted.await, Submitted::Insufficient(short) if short.available.total() == 55));
    assert_eq!(
        world.entries(account).await.last(),
        Some(&("expire", -40, 0)),
        "by the submission"
    );

    world.wait_ms(1);
    assert_eq!(world.store.expire_grants(world.now()).await.unwrap(), 1);
    assert_eq!(world.store.expire_grants(world.now()).await.unwrap(), 0);
    assert_eq!(world.balance(account).await, [0, 15, 0, 0]);
    let expected = [
        ("grant", 40, 0),
        ("grant", 40, 0),
        ("grant", 0, 15),
        ("expire", -40, 0),
        ("expire", -40, 0),
    ];
    assert_eq!(world.entries(account).await, expected);
}

pub(crate) async fn a_release_to_an_ended_grant_is_lost(world: Arc<World>) {
    let account = world.account("alice").await;
    let end = world.now().plus_ms(1000);
    world.grant(account, SUBSCRIPTION, 80, Some(end)).await;
    world.grant(account, PERMANENT, 40, None).await;
    let lease = world.running(account).await.lease;
    world.submit_one(account).await;
    let second = world.claim().await.lease;
    assert_eq!(world.balance(account).await, [0, 20, 80, 20]);
    world.wait_ms(1000);

    world.finish(lease, failed(None)).await;
    assert_eq!(world.balance(account).await, [0, 20, 30, 20]);
    // 40 of 50 are spent: the surplus comes from what was taken last, which has not ended.
    let done = world.finish(second, succeeded(1, 40)).await;
    let usage = Split {
        subscription: 30,
        permanent: 10,
    };
    assert_eq!(done.usage, usage);
    assert_eq!(world.balance(account).await, [0, 30, 0, 0]);
    let expected = [("release", 50, 0), ("expire", -50, 0), ("capture", 0, 10)];
    assert_eq!(world.entries(account).await[4..], expected);
}

pub(crate) async fn a_capture_is_at_most_the_hold(world: Arc<World>) {
    for (charged, kept) in [(0, 0), (1, 1), (49, 49), (50, 50), (51, 50), (u64::MAX, 50)] {
        let account = world.account(&format!("charged {charged}")).await;
        world.grant(account, PERMANENT, 60, None).await;
        let lease = world.running(account).await.lease;
        let done = world.finish(lease, succeeded(1, charged)).await;
        assert_eq!(done.usage.total(), kept);
        assert_eq!(world.generation(done.id).await, done);
        assert_eq!(world.balance(account).await, [0, 60 - kept, 0, 0]);
        assert_eq!(world.entries(account).await[2], ("capture", 0, 50 - kept));
    }
}

pub(crate) async fn a_grant_is_given_once(world: Arc<World>) {
    let account = world.account("alice").await;
    let grant = world.new_grant(account, SUBSCRIPTION, 100, None);
    let entry = world.store.grant(grant.clone(), world.now()).await.unwrap();
    world.wait_ms(5);
    assert_eq!(
        world.store.grant(grant.clone(), world.now()).await.unwrap(),
        entry
    );
    world.submit_one(account).await;
    assert_eq!(
        world.store.grant(grant.clone(), world.now()).await.unwrap(),
        entry
    );
    for other in [
        NewGrant {
            credits: Credits(101),
            ..grant.clone()
        },
        NewGrant {
            bucket: PERMANENT,
            ..grant.clone()
        },
        NewGrant {
            expires_at: Some(world.now()),
            ..grant.clone()
        },
        NewGrant {
            entry_type: EntryType::Purchase,
            ..grant.clone()
        },
    ] {
        let reused = world.store.grant(other, world.now()).await;
        assert!(matches!(reused, Err(StoreError::GrantReused(id)) if id == grant.id));
    }
    assert_eq!(world.balance(account).await, [50, 0, 50, 0]);
}

pub(crate) async fn grants_of_the_wrong_kind_are_refused(world: Arc<World>) {
    let account = world.account("alice").await;
    for entry_type in EntryType::ALL {
        let grant = NewGrant {
            entry_type,
            ..world.new_grant(account, PERMANENT, 1, None)
        };
        let given = world.store.grant(grant, world.now()).await;
        match entry_type {
            EntryType::Grant | EntryType::Purchase | EntryType::Adjust => assert!(given.is_ok()),
            _ => assert!(matches!(given, Err(StoreError::NotAGrant(kind)) if kind == entry_type)),
        }
    }
    let nobody = AccountId::new(world.now(), world.draw());
    let unknown = world
        .store
        .grant(world.new_grant(nobody, PERMANENT, 1, None), world.now())
        .await;
    assert!(matches!(unknown, Err(StoreError::UnknownAccount(_))));
    let endless = world.new_grant(account, PERMANENT, u64::MAX, None);
    let too_large = world.store.grant(endless, world.now()).await;
    assert!(matches!(
        too_large,
        Err(StoreError::TooLarge { value: u64::MAX, .. })
    ));
    assert_eq!(world.balance(account).await, [0, 3, 0, 0]);
}

pub(crate) async fn entries_are_listed_newest_first(world: Arc<World>) {
    let (alice, bob) = (world.account("alice").await, world.account("bob").await);
    for n in 1..=5 {
        world.grant(alice, PERMANENT, n, None).await;
        world.grant(bob, PERMANENT, 1000, None).await;
        world.wait_ms(1);
    }
    let all = world.store.entries(alice, 5, None).await.unwrap();
    assert!(!all.has_more);
    let amounts: Vec<i64> = all.items.iter().map(|entry| entry.amount.permanent).collect();
    assert_eq!(amounts, [5, 4, 3, 2, 1]);
    let newest = &all.items[0];
    assert_eq!(
        (newest.note.as_deref(), newest.generation),
        (Some("a present"), None)
    );
    assert_eq!(newest.created_at.plus_ms(1), world.now());

    let mut pages = Vec::new();
    let mut before = None;
    loop {
        let page = world.store.entries(alice, 2, before).await.unwrap();
        before = page.items.last().map(|entry| entry.position);
        pages.extend(page.items);
        if !page.has_more {
            break;
        }
    }
    assert_eq!(pages, all.items);
    let generation = world
        .submit(Submission {
            price: Credits(2),
            ..world.submission(alice)
        })
        .await;
    let hold = world.store.entries(alice, 1, None).await.unwrap().items.remove(0);
    assert_eq!(
        (hold.entry_type, hold.generation),
        (EntryType::Hold, Some(generation.id))
    );
}

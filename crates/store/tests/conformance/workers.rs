//! Who works, what is offered because of it, what it adds up to, and requests that all nodes count together.

use std::sync::Arc;

use kinora_domain::{
    AnnouncedOffer, Announcement, Feature, Hardware, KeyId, Offer, OfferFigures, OfferId, Timestamp,
    WorkerId, WorkerState,
};
use kinora_store::{Claim, Claimed, Counted, CountedRequest, OldWorkers, Outcome};

use super::world::{LEASE_MS, START, World, failed, succeeded};

fn announcement(n: u128, name: &str, offers: &[&str]) -> Announcement {
    let offer = |id: &&str| AnnouncedOffer {
        offer: Offer::unlimited(id, "For tests."),
        section: "engine".to_owned(),
    };
    Announcement {
        id: WorkerId::new(START, n),
        name: name.to_owned(),
        version: "1.2.3".to_owned(),
        offers: offers.iter().map(offer).collect(),
        slots: 2,
        hardware: Hardware {
            cores: 8,
            memory_bytes: 1 << 34,
            cpu_features: vec!["avx2".to_owned(), "fma".to_owned()],
        },
        started_at: START,
    }
}

impl World {
    async fn announce(&self, worker: &Announcement, state: WorkerState) -> WorkerState {
        self.store
            .announce(worker.clone(), state, self.now())
            .await
            .unwrap()
    }

    async fn claim_as(&self, worker: WorkerId, offer: &str) -> Claimed {
        let claim = Claim {
            worker,
            offers: vec![OfferId(offer.to_owned())],
            lease_ms: LEASE_MS,
            running_max: 1000,
        };
        self.store
            .claim(claim, self.now())
            .await
            .unwrap()
            .expect("something waits")
    }

    async fn figures(&self, since: Timestamp) -> Vec<OfferFigures> {
        self.store.figures(since).await.unwrap()
    }
}

pub(crate) async fn workers_come_and_go(world: Arc<World>) {
    let (one, two) = (
        announcement(1, "left", &["wan", "mini"]),
        announcement(2, "right", &["wan"]),
    );
    let mut changes = world.store.watch_workers();
    assert_eq!(
        world.announce(&one, WorkerState::Working).await,
        WorkerState::Working
    );
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    world.wait_ms(1000);
    world.announce(&two, WorkerState::Working).await;
    changes.mark_unchanged();
    world.announce(&one, WorkerState::Working).await;
    assert!(!changes.has_changed().unwrap(), "a beat alone is no news");

    let account = world.rich_account("alice").await;
    let waiting = world.submit_one(account).await;
    let claimed = world.claim_as(two.id, "wan").await;
    assert_eq!(claimed.generation.id, waiting.id);
    let seen = world.store.workers().await.unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!((&seen[0].announcement, &seen[1].announcement), (&one, &two));
    assert_eq!(
        (seen[0].seen_at, seen[0].state),
        (world.now(), WorkerState::Working)
    );
    assert_eq!(
        (&seen[0].running[..], &seen[1].running[..]),
        (&[][..], &[waiting.id][..])
    );

    // The last word about an offer outlives its workers.
    world.store.take_leave(two.id).await.unwrap();
    world.store.take_leave(one.id).await.unwrap();
    assert!(changes.has_changed().unwrap());
    assert_eq!(world.store.workers().await.unwrap(), []);
    let offers = world.store.offers().await.unwrap();
    let names: Vec<_> = offers
        .iter()
        .map(|seen| seen.announced.offer.id.to_string())
        .collect();
    assert_eq!(names, ["mini", "wan"]);
    assert_eq!(offers[1].announced, one.offers[0]);
    world.finish(claimed.lease, succeeded(1, 50)).await;
}

pub(crate) async fn workers_are_told_to_drain(world: Arc<World>) {
    let workers = [
        announcement(1, "left", &["wan"]),
        announcement(2, "left", &["wan"]),
        announcement(3, "right", &["wan"]),
    ];
    for worker in &workers {
        world.announce(worker, WorkerState::Working).await;
    }
    let tell = async |name: &str, state| world.store.tell_workers(name, state).await.unwrap();
    let states = async || {
        let mut states = Vec::new();
        for worker in &workers {
            states.push(world.store.worker_state(worker.id).await.unwrap().unwrap());
        }
        states
    };
    use WorkerState::{Draining, Working};
    let changes = world.store.watch_workers();
    assert_eq!(tell("nobody", Draining).await, 0);
    assert!(!changes.has_changed().unwrap());
    assert_eq!(tell("left", Draining).await, 2);
    assert!(changes.has_changed().unwrap());
    assert_eq!(states().await, [Draining, Draining, Working]);
    // It goes on beating, and goes on being told.
    assert_eq!(world.announce(&workers[0], Working).await, Draining);
    assert_eq!(tell(&workers[0].id.to_string(), Working).await, 1);
    assert_eq!(states().await, [Working, Draining, Working]);
    // One that is about to end says so itself.
    assert_eq!(world.announce(&workers[2], Draining).await, Draining);
    assert_eq!(world.announce(&workers[2], Working).await, Draining);
    assert_eq!(
        world.store.worker_state(WorkerId::new(START, 9)).await.unwrap(),
        None
    );
}

pub(crate) async fn the_silent_are_forgotten(world: Arc<World>) {
    let (silent, loud) = (
        announcement(1, "silent", &["old", "both"]),
        announcement(2, "loud", &["both"]),
    );
    world.announce(&silent, WorkerState::Working).await;
    world.wait_ms(120_000);
    world.announce(&loud, WorkerState::Working).await;
    let old = OldWorkers {
        workers: START.plus_ms(1),
        offers: START.plus_ms(1),
        attempts: START,
        requests: START,
    };
    assert_eq!(world.store.forget_workers(old).await.unwrap(), 0);
    let workers = world.store.workers().await.unwrap();
    assert_eq!(workers.len(), 1);
    assert_eq!(workers[0].announcement.name, "loud");
    let offers = world.store.offers().await.unwrap();
    assert_eq!(offers.len(), 1);
    assert_eq!(offers[0].announced.offer.id, OfferId("both".to_owned()));
    assert_eq!(offers[0].seen_at, world.now());
    assert_eq!(offers[0].announced.offer.features.len(), Feature::ALL.len());
}

pub(crate) async fn figures_follow_the_attempts(world: Arc<World>) {
    assert_eq!(world.figures(START).await, []);
    let worker = announcement(1, "left", &["wan", "idle"]);
    world.announce(&worker, WorkerState::Working).await;
    let account = world.rich_account("alice").await;
    let first = world.now();
    for _ in 0..6 {
        world.submit_one(account).await;
        world.wait_ms(10);
    }
    let run = async |ms, outcome: Outcome| {
        let claimed = world.claim_as(worker.id, "wan").await;
        world.wait_ms(ms);
        world.finish(claimed.lease, outcome).await;
        claimed
    };
    let expected = |figures: &[OfferFigures], expected: OfferFigures| {
        assert_eq!(
            figures,
            [OfferFigures::none(OfferId("idle".to_owned())), expected]
        );
    };
    let none = OfferFigures::none(OfferId("wan".to_owned()));
    expected(
        &world.figures(START).await,
        OfferFigures {
            queued: 6,
            oldest_queued_at: Some(first),
            ..none.clone()
        },
    );
    run(3_000, succeeded(1, 50)).await;
    run(9_000, succeeded(3, 50)).await;
    run(5_000, succeeded(5, 50)).await;
    run(60_000, failed(None)).await;
    let between = world.now();
    let retried = run(70_000, failed(Some(world.now().plus_ms(1_000_000)))).await;
    let running = world.claim_as(worker.id, "wan").await;
    let figures = OfferFigures {
        queued: 1,
        oldest_queued_at: Some(retried.generation.created_at),
        running: 1,
        succeeded: 3,
        failed: 1,
        retried: 1,
        work_ms: Some(5_000),
        ..none.clone()
    };
    assert_eq!(figures.queue_ms(), 5_000);
    expected(&world.figures(START).await, figures.clone());
    // What ended longer ago is not counted, but measured still.
    let later = OfferFigures {
        succeeded: 0,
        failed: 0,
        ..figures
    };
    expected(&world.figures(between).await, later.clone());

    let old = OldWorkers {
        workers: START,
        offers: START,
        attempts: between,
        requests: START,
    };
    assert_eq!(world.store.forget_workers(old).await.unwrap(), 3);
    let forgotten = OfferFigures {
        work_ms: None,
        ..later
    };
    expected(&world.figures(between).await, forgotten);
    // A worker that dies has ended its attempt, too.
    world.wait_ms(LEASE_MS + 1);
    world.recover().await;
    let figures = world.figures(between).await;
    assert_eq!((figures[1].running, figures[1].retried), (0, 2));
    let again = world.claim_as(worker.id, "wan").await;
    assert_eq!(again.generation.id, running.generation.id);
    world.finish(again.lease, Outcome::GivenBack).await;
}

pub(crate) async fn an_offer_that_could_not_begin_is_remembered(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let claimed = world.running(account).await;
    assert_eq!(claimed.first_offer, OfferId("wan".to_owned()));
    let passed_on = Outcome::PassedOn {
        failure: kinora_domain::Failure {
            code: kinora_domain::FailureCode::EngineFailed,
            message: "It is overloaded.".to_owned(),
        },
        retry_at: world.now(),
        offer: OfferId("other".to_owned()),
    };
    world.finish(claimed.lease, passed_on).await;
    let again = world.claim_as(WorkerId::new(START, 7), "other").await;
    assert_eq!(again.first_offer, OfferId("wan".to_owned()));
    world.finish(again.lease, succeeded(1, 50)).await;
}

pub(crate) async fn requests_are_counted_by_key_and_kind(world: Arc<World>) {
    let count = async |key: u128, kind, per_minute| {
        let request = CountedRequest {
            key: KeyId::new(START, key),
            kind,
            per_minute,
        };
        world.store.count_request(request, world.now()).await.unwrap()
    };
    assert_eq!(count(1, "create", 3).await, Counted::Within { remaining: 2 });
    assert_eq!(count(1, "create", 3).await, Counted::Within { remaining: 1 });
    assert_eq!(count(1, "create", 3).await, Counted::Within { remaining: 0 });
    assert_eq!(count(1, "create", 3).await, Counted::TooMany { wait_ms: 20_000 });
    assert_eq!(count(1, "read", 3).await, Counted::Within { remaining: 2 });
    assert_eq!(count(2, "create", 3).await, Counted::Within { remaining: 2 });
    world.wait_ms(19_999);
    assert_eq!(count(1, "create", 3).await, Counted::TooMany { wait_ms: 1 });
    world.wait_ms(1);
    assert_eq!(count(1, "create", 3).await, Counted::Within { remaining: 0 });
    // A bucket holds a minute's requests, however long nobody asked.
    world.wait_ms(10_000_000);
    assert_eq!(count(1, "create", 3).await, Counted::Within { remaining: 2 });
    assert_eq!(
        count(3, "get", 100_000_000).await,
        Counted::Within {
            remaining: 59_999_999
        }
    );
}

pub(crate) async fn nodes_count_together(world: Arc<World>) {
    let asking: Vec<_> = (0..40)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let request = CountedRequest {
                    key: KeyId::new(START, 1),
                    kind: "create",
                    per_minute: 17,
                };
                let counted = world.store.count_request(request, world.now()).await.unwrap();
                matches!(counted, Counted::Within { .. })
            })
        })
        .collect();
    let mut within = 0;
    for asked in asking {
        within += u32::from(asked.await.unwrap());
    }
    assert_eq!(within, 17);
}

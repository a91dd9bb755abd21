//! Ends that come from outside: a client that cancels, a lease that is lost, a worker that shuts down.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use kinora_domain::{
    Draft, Failure, FailureCode, GenerationId, GenerationSpec, Offer, OfferId, Source, Stage, Status,
    WorkerId, WorkerState,
};
use kinora_engine::{
    ClipSink, Engine, EngineError, EngineProgress, Halt, Inputs, Made, TestPattern, TestPatternOptions,
};
use kinora_store::{Canceled, Claim, Finished, Outcome};
use kinora_worker::EngineFactory;

use crate::support::{World, http::Host, now, text};

const SLOW: Duration = Duration::from_millis(100);
/// Between a wish to stop and the end of it.
const PROMPTLY: Duration = Duration::from_secs(1);

async fn decoding(world: &World, id: GenerationId) {
    world
        .wait_for(id, |generation| generation.progress.stage == Stage::Decoding)
        .await;
}

/// A client cancels once `wanted` is seen, and the end follows promptly.
async fn check_cancel(world: &World, draft: Draft, wanted: Stage) {
    let work = world.work_slowly(SLOW, |_| {});
    let id = world.submit(draft).await;
    let begun = |generation: &kinora_domain::Generation| {
        matches!(generation.status, Status::Running { .. }) && generation.progress.stage == wanted
    };
    world.wait_for(id, begun).await;
    let asked = Instant::now();
    let canceled = world.store.cancel(world.account, id, now()).await.unwrap();
    assert!(matches!(canceled, Some(Canceled::Requested(_))), "{canceled:?}");
    let generation = world
        .wait_for(id, |generation| generation.status.is_terminal())
        .await;
    assert_eq!(generation.status, Status::Canceled);
    assert!(asked.elapsed() < PROMPTLY, "{:?}", asked.elapsed());
    work.end().await;
    assert_eq!(world.spent().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn canceled_between_frames() {
    let world = World::new().await;
    check_cancel(&world, text(), Stage::Decoding).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn canceled_while_a_host_keeps_silent() {
    let (world, host) = (World::new().await, Host::start().await);
    let draft = Draft {
        image: Some(Source::Url(host.url("never"))),
        ..text()
    };
    check_cancel(&world, draft, Stage::Preparing).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_free_again_after_a_cancel() {
    let world = World::new().await;
    let work = world.work_slowly(Duration::from_millis(10), |_| {});
    let first = world.submit(text()).await;
    decoding(&world, first).await;
    world.store.cancel(world.account, first, now()).await.unwrap();
    let second = world.submit(text()).await;
    world.succeeded(second).await;
    work.end().await;
    assert_eq!(world.generation(first).await.status, Status::Canceled);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_lease_writes_nothing() {
    let world = World::new().await;
    let work = world.work_slowly(SLOW, |options| options.heartbeat_ms = 60_000);
    let id = world.submit(text()).await;
    world
        .wait_for(id, |generation| {
            matches!(generation.status, Status::Running { .. })
        })
        .await;
    let folder = world.scratch_of_the_worker();
    // So that it is not the first worker itself that takes over, once its slot is free.
    work.take_no_more();

    // Time passes for the store alone: the lease runs out, and another worker takes over.
    let later = now().plus_ms(3_600_000);
    let recovered = world.store.recover(3, later).await.unwrap();
    assert_eq!(recovered.requeued, [id]);
    let claim = Claim {
        worker: WorkerId::new(now(), rand::random()),
        offers: vec![OfferId(TestPattern::OFFER.to_owned())],
        lease_ms: 15_000,
        running_max: 4,
    };
    let claimed = world.store.claim(claim, later).await.unwrap().unwrap();
    assert_eq!(claimed.attempts, 2);

    // The first worker hears of it and clears away what it had, long before it could have finished.
    let heard = Instant::now();
    while folder.join(id.to_string()).exists() {
        assert!(heard.elapsed() < 2 * PROMPTLY, "still at it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let generation = world.generation(id).await;
    assert!(
        matches!(&generation.status, Status::Running { lease, .. } if lease.token == claimed.lease.token)
    );

    let failure = Failure {
        code: FailureCode::EngineFailed,
        message: "The other worker fails.".to_owned(),
    };
    let outcome = Outcome::Failed {
        failure,
        retry_at: None,
    };
    let finished = world.store.finish(claimed.lease, outcome, later).await.unwrap();
    assert!(matches!(finished, Finished::Settled(_)));
    work.end().await;
    assert_eq!(world.failed(id).await.1, "The other worker fails.");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_lets_finish_what_can() {
    let world = World::new().await;
    let work = world.work_slowly(Duration::from_millis(5), |_| {});
    let running = world.submit(text()).await;
    let waiting = world.submit(text()).await;
    decoding(&world, running).await;
    work.end().await;
    assert!(matches!(
        world.generation(running).await.status,
        Status::Succeeded(_)
    ));
    assert!(matches!(
        world.generation(waiting).await.status,
        Status::Queued { .. }
    ));
    world.store.cancel(world.account, waiting, now()).await.unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_gives_back_what_cannot() {
    let world = World::new().await;
    let work = world.work_slowly(SLOW, |options| options.drain_ms = 200);
    let id = world.submit(text()).await;
    decoding(&world, id).await;
    let asked = Instant::now();
    work.end().await;
    assert!(
        asked.elapsed() < PROMPTLY + Duration::from_millis(200),
        "{:?}",
        asked.elapsed()
    );
    let generation = world.generation(id).await;
    assert!(
        matches!(generation.status, Status::Queued { attempts: 0, .. }),
        "{:?}",
        generation.status
    );

    let next = world.work();
    world.succeeded(id).await;
    next.end().await;
    assert_eq!(world.spent().await, 20);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_slots_work_at_once() {
    let world = World::new().await;
    let work = world.work_slowly(SLOW, |options| options.slots = 2);
    let ids = [world.submit(text()).await, world.submit(text()).await];
    for id in ids {
        world
            .wait_for(id, |generation| {
                matches!(generation.status, Status::Running { .. })
            })
            .await;
    }
    for id in ids {
        assert!(matches!(
            world.generation(id).await.status,
            Status::Running { .. }
        ));
        world.store.cancel(world.account, id, now()).await.unwrap();
        world
            .wait_for(id, |generation| generation.status.is_terminal())
            .await;
    }
    work.end().await;
    world.end().await;
}

/// An engine that hears nothing for a while, as one in the middle of a long step.
struct Deaf(Offer);

impl Engine for Deaf {
    fn offer(&self) -> &Offer {
        &self.0
    }

    fn generate(
        &mut self,
        spec: &GenerationSpec,
        inputs: &Inputs,
        clip: &mut dyn ClipSink,
        observe: &mut dyn FnMut(EngineProgress) -> ControlFlow<Halt>,
    ) -> Result<Made, EngineError> {
        if spec.seed.get() == 1 {
            let _ = observe(EngineProgress {
                step: None,
                stage: Stage::Decoding,
                fraction: 0.0,
            });
            std::thread::sleep(Duration::from_secs(3));
        }
        TestPattern::new(TestPatternOptions::default()).generate(spec, inputs, clip, observe)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_hears_late_does_not_keep_the_client_waiting() {
    let world = World::new().await;
    let built = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&built);
    let offer = Offer::unlimited("deaf", "Does not hear.");
    let factory = EngineFactory::new(offer.clone(), move || {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Deaf(offer.clone())))
    });
    let work = world.work_with(factory, |_| {});
    let first = world
        .submit_for(
            Draft {
                seed: Some(1),
                ..text()
            },
            "deaf",
        )
        .await;
    decoding(&world, first).await;
    let asked = Instant::now();
    world.store.cancel(world.account, first, now()).await.unwrap();
    world
        .wait_for(first, |generation| generation.status.is_terminal())
        .await;
    assert!(asked.elapsed() < PROMPTLY, "{:?}", asked.elapsed());

    let second = world
        .submit_for(
            Draft {
                seed: Some(2),
                ..text()
            },
            "deaf",
        )
        .await;
    world.succeeded(second).await;
    work.end().await;
    assert_eq!(
        built.load(Ordering::SeqCst),
        1,
        "the engine was waited for, not doubled"
    );
    world.end().await;
}

/// A process that is killed says nothing. Its lease runs out, and the same spec and seed give the same clip.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_workers_generation_is_made_by_another() {
    let world = World::new().await;
    let work = world.work_slowly(SLOW, |options| options.lease_ms = 1_500);
    let id = world.submit(text()).await;
    decoding(&world, id).await;
    work.kill().await;
    let next = world.work();
    let generation = world.succeeded(id).await;
    next.end().await;
    let events = world.store.status_events(id, 0).await.unwrap();
    let stages: Vec<&str> = events.iter().map(|event| event.stage.as_str()).collect();
    assert_eq!(
        stages.iter().filter(|stage| **stage == "retrying").count(),
        1,
        "{stages:?}"
    );
    assert_eq!(generation.usage.total(), 20);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_in_a_hurry_gives_back_at_once() {
    let world = World::new().await;
    let work = world.work_slowly(Duration::from_millis(20), |options| options.drain_ms = 600_000);
    let id = world.submit(text()).await;
    decoding(&world, id).await;
    let asked = Instant::now();
    work.end_in_a_hurry().await;
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    let status = world.generation(id).await.status;
    assert!(matches!(status, Status::Queued { attempts: 0, .. }), "{status:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_drain_finishes_what_it_has() {
    let world = World::new().await;
    let work = world.work_slowly(Duration::from_millis(10), |_| {});
    let running = world.submit(text()).await;
    decoding(&world, running).await;
    let tell = async |state| world.store.tell_workers("worker", state).await.unwrap();
    assert_eq!(tell(WorkerState::Draining).await, 1);
    let waiting = world.submit(text()).await;
    world.succeeded(running).await;
    // Longer than the poll and than any bell takes.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let status = world.generation(waiting).await.status;
    assert!(matches!(status, Status::Queued { attempts: 0, .. }), "{status:?}");
    let workers = world.store.workers().await.unwrap();
    assert_eq!((workers.len(), workers[0].state), (1, WorkerState::Draining));

    assert_eq!(tell(WorkerState::Working).await, 1);
    world.succeeded(waiting).await;
    work.end().await;
    assert_eq!(world.store.workers().await.unwrap(), []);
    let offers = world.store.offers().await.unwrap();
    assert_eq!(offers.len(), 1);
    assert_eq!(offers[0].announced.offer.id.0, TestPattern::OFFER);
    world.end().await;
}

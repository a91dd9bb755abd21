//! The life of a generation: every method that moves it, and every answer they give.

use std::sync::Arc;

use kinora_domain::{
    AccountId, AspectRatio, AudioSetting, Bucket, FailureCode, Feature, Generation, GenerationId,
    GenerationSpec, IllegalTransition, Model, Origin, Phase, Progress, Seed, Source, Split, Stage, Status,
    StoredInput, Workflow,
};
use kinora_store::{
    Canceled, Finished, Heartbeat, IDEMPOTENCY_LIFE_MS, LeaseKey, MediaRemoved, Outcome, StoreError,
    Submission, Submitted,
};

use super::world::{
    ATTEMPTS_MAX, DEADLINE_MS, LEASE_MS, World, blob, failed, idempotency, spec, succeeded, upload,
};

pub(crate) async fn every_spec_reads_back(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let url = || Source::Url("https://example.com/clip.mp4?a=\"b\"".to_owned());
    let data = || {
        Source::Stored(StoredInput {
            blob: blob(9),
            origin: Origin::Data {
                prefix: "data:video/mp4;base64,".to_owned(),
            },
            duration_ms: Some(5020),
        })
    };
    let workflows = [
        Workflow::Text { audio: Some(url()) },
        Workflow::Image {
            image: upload(1),
            audio: None,
        },
        Workflow::FirstLast {
            first: upload(1),
            last: url(),
            audio: Some(upload(2)),
        },
        Workflow::Continuation {
            clip: data(),
            last: Some(upload(1)),
        },
        Workflow::Reference {
            images: vec![upload(1), url()],
            videos: vec![data()],
            multi_shots: true,
        },
        Workflow::Edit {
            clip: data(),
            image: Some(upload(1)),
            audio: AudioSetting::Origin,
        },
    ];
    for (index, workflow) in workflows.into_iter().enumerate() {
        let spec = GenerationSpec {
            feature: Feature::ALL[index % 4],
            negative_prompt: Some("rain \u{1F327}\n".to_owned()),
            aspect_ratio: Some(AspectRatio::ALL[index % 5]),
            seed: Seed::new(i64::from(i32::MAX)).unwrap(),
            n: 4,
            ..spec(workflow)
        };
        let model = Model::ALL[index % 2];
        let submission = Submission {
            spec: spec.clone(),
            model,
            ..world.submission(account)
        };
        let created = world.submit(submission.clone()).await;
        let expected = Generation {
            id: submission.id,
            account,
            model,
            offer: submission.offer,
            spec,
            status: Status::new(world.now()),
            progress: Progress {
                stage: Stage::Queued,
                fraction: 0.0,
            },
            held: Split {
                subscription: 0,
                permanent: 50,
            },
            usage: Split {
                subscription: 0,
                permanent: 50,
            },
            event_seq: 1,
            created_at: world.now(),
            started_at: None,
            finished_at: None,
            deadline: submission.deadline,
            media_removed: false,
        };
        assert_eq!(created, expected);
        assert_eq!(world.generation(created.id).await, expected);
    }
    let nothing = GenerationId::new(world.now(), world.draw());
    assert_eq!(world.store.generation(nothing).await.unwrap(), None);
}

pub(crate) async fn a_success_is_told_from_end_to_end(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let submitted_at = world.now();
    let id = world.submit_one(account).await.id;
    world.wait_ms(10);
    let started_at = world.now();
    let claimed = world.claim().await;
    assert_eq!((claimed.attempts, claimed.lease.generation), (1, id));
    assert_eq!(world.generation(id).await, claimed.generation);
    assert_eq!(claimed.generation.started_at, Some(started_at));
    let Status::Running {
        lease,
        attempts: 1,
        cancel_requested: false,
    } = claimed.generation.status
    else {
        panic!("{:?}", claimed.generation.status);
    };
    assert_eq!(
        (lease.token, lease.expires_at),
        (claimed.lease.token, started_at.plus_ms(LEASE_MS))
    );

    world.wait_ms(10);
    assert_eq!(
        world.heartbeat(claimed.lease, Stage::Denoising, 0.5).await,
        Heartbeat::Renewed
    );
    let Status::Running { lease, .. } = world.generation(id).await.status else {
        panic!("not running")
    };
    assert_eq!(lease.expires_at, world.now().plus_ms(LEASE_MS));
    world.wait_ms(10);
    let outcome = succeeded(1, 50);
    let done = world.finish(claimed.lease, outcome.clone()).await;
    let Outcome::Succeeded { success, .. } = outcome else {
        unreachable!()
    };
    assert_eq!(world.generation(id).await, done);
    assert_eq!(done.status, Status::Succeeded(success));
    assert_eq!(
        done.progress,
        Progress {
            stage: Stage::Done,
            fraction: 1.0
        }
    );
    assert_eq!(
        (done.created_at, done.started_at),
        (submitted_at, Some(started_at))
    );
    assert_eq!((done.finished_at, done.event_seq), (Some(world.now()), 4));

    let again = world
        .store
        .finish(claimed.lease, failed(None), world.now())
        .await
        .unwrap();
    assert!(matches!(again, Finished::LeaseLost));
    let events = world.store.status_events(id, 0).await.unwrap();
    let told: Vec<_> = events
        .iter()
        .map(|e| (e.seq, e.phase, e.stage, e.fraction))
        .collect();
    let expected = [
        (1, Phase::Queued, Stage::Queued, 0.0),
        (2, Phase::Running, Stage::Preparing, 0.0),
        (4, Phase::Succeeded, Stage::Done, 1.0),
    ];
    assert_eq!(told, expected);
}

pub(crate) async fn an_idempotency_key_answers_for_itself(world: Arc<World>) {
    let (alice, bob) = (world.rich_account("alice").await, world.rich_account("bob").await);
    let request = |account: AccountId, scope: &str, key: &str, payload: u8| Submission {
        idempotency: idempotency(scope, key, payload),
        // What would be refused now is still answered, for it was accepted then.
        queued_max: if payload == 9 { 0 } else { 10_000 },
        ..world.submission(account)
    };
    let first = world.submit(request(alice, "POST /a", "key", 1)).await;
    let replayed = world.try_submit(request(alice, "POST /a", "key", 1)).await;
    assert!(matches!(replayed, Submitted::Replayed(generation) if generation == first));
    let reused = world.try_submit(request(alice, "POST /a", "key", 9)).await;
    assert!(
        matches!(reused, Submitted::KeyReused),
        "before the cap is looked at: {reused:?}"
    );
    for (account, scope, key) in [
        (alice, "POST /a", "Key"),
        (alice, "POST /b", "key"),
        (bob, "POST /a", "key"),
    ] {
        world.submit(request(account, scope, key, 1)).await;
    }

    world.store.cancel(alice, first.id, world.now()).await.unwrap();
    let replayed = world
        .try_submit(Submission {
            queued_max: 0,
            ..request(alice, "POST /a", "key", 1)
        })
        .await;
    let Submitted::Replayed(now) = replayed else {
        panic!("{replayed:?}")
    };
    assert_eq!((now.id, now.status), (first.id, Status::Canceled), "as it is now");

    world.wait_ms(IDEMPOTENCY_LIFE_MS - 1);
    assert!(matches!(
        world.try_submit(request(alice, "POST /a", "key", 1)).await,
        Submitted::Replayed(_)
    ));
    world.wait_ms(1);
    let second = world.submit(request(alice, "POST /a", "key", 2)).await;
    assert_ne!(second.id, first.id);
    // Forgetting takes those of the first day, not the one that took its place.
    world.recover().await;
    let replayed = world.try_submit(request(alice, "POST /a", "key", 2)).await;
    assert!(matches!(replayed, Submitted::Replayed(generation) if generation.id == second.id));
    world.submit(request(bob, "POST /a", "key", 3)).await;
}

pub(crate) async fn a_retry_waits_and_goes_on(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let Run { id, lease } = running(&world, account).await;
    world.heartbeat(lease, Stage::Denoising, 0.4).await;
    let retry_at = world.now().plus_ms(5000);
    let waiting = world.finish(lease, failed(Some(retry_at))).await;
    assert_eq!(
        waiting.status,
        Status::Queued {
            attempts: 1,
            not_before: retry_at
        }
    );
    assert_eq!(
        (waiting.phase(), waiting.progress.stage),
        (Phase::Running, Stage::Retrying)
    );
    assert_eq!(waiting.usage, waiting.held);
    assert_eq!(world.generation(id).await, waiting);

    world.wait_ms(4999);
    assert!(world.recover().await.requeued.is_empty());
    assert!(world.try_claim(&["wan"], 9).await.is_none(), "not yet due");
    world.wait_ms(1);
    world.recover().await;
    let second = world.claim().await;
    assert_eq!((second.lease.generation, second.attempts), (id, 2));
    assert!(second.lease.token > lease.token);
    assert_eq!(second.generation.started_at, waiting.started_at);
    let gone = world.finish(second.lease, failed(None)).await;
    assert!(matches!(&gone.status, Status::Failed(failure) if failure.code == FailureCode::EngineFailed));
    assert_eq!((gone.usage, gone.progress.fraction), (Split::ZERO, 0.4));
    assert_eq!(world.balance(account).await, [0, 1_000_000, 0, 0]);

    // A retry that is due at once needs no recovery.
    let Run { id, lease } = running(&world, account).await;
    world.finish(lease, failed(Some(world.now()))).await;
    assert_eq!(world.claim().await.lease.generation, id);
}

pub(crate) async fn a_generation_given_back_loses_no_attempt(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let Run { id, lease } = running(&world, account).await;
    let back = world.finish(lease, Outcome::GivenBack).await;
    assert_eq!(
        back.status,
        Status::Queued {
            attempts: 0,
            not_before: world.now()
        }
    );
    assert_eq!(back.phase(), Phase::Running, "it has been seen running");
    assert_eq!(
        world.store.status_events(id, 0).await.unwrap().len(),
        2,
        "nobody is told"
    );
    let again = world.claim().await;
    assert_eq!((again.lease.generation, again.attempts), (id, 1));
    assert!(again.lease.token > lease.token);
}

pub(crate) async fn progress_never_goes_back(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let Run { id, mut lease } = running(&world, account).await;
    let mut seq = world.generation(id).await.event_seq;
    // What is told, what is shown, and whether clients see a change.
    for (stage, told, shown, changed) in [
        (Stage::Preparing, 0.0, 0.0, false),
        (Stage::Denoising, 0.25, 0.25, true),
        (Stage::Denoising, 0.25, 0.25, false),
        (Stage::Denoising, 0.2, 0.25, false),
        (Stage::Decoding, 0.2, 0.25, true),
        (Stage::Decoding, f32::NAN, 0.25, false),
        (Stage::Decoding, -1.0, 0.25, false),
        (Stage::Finishing, 7.0, 1.0, true),
        (Stage::Finishing, f32::INFINITY, 1.0, false),
    ] {
        assert_eq!(world.heartbeat(lease, stage, told).await, Heartbeat::Renewed);
        let generation = world.generation(id).await;
        seq += u64::from(changed);
        let expected = (
            Progress {
                stage,
                fraction: shown,
            },
            seq,
        );
        assert_eq!(
            (generation.progress, generation.event_seq),
            expected,
            "told {stage} {told}"
        );
    }
    let silent = world
        .store
        .heartbeat(lease, None, LEASE_MS, world.now())
        .await
        .unwrap();
    assert_eq!(
        (silent, world.generation(id).await.event_seq),
        (Heartbeat::Renewed, seq)
    );
    world.finish(lease, failed(Some(world.now()))).await;
    lease = world.claim().await.lease;
    world.heartbeat(lease, Stage::Denoising, 0.1).await;
    assert_eq!(
        world.generation(id).await.progress,
        Progress {
            stage: Stage::Denoising,
            fraction: 1.0
        }
    );
    assert_eq!(
        world.store.status_events(id, 0).await.unwrap().len(),
        4,
        "progress is no event"
    );
}

pub(crate) async fn a_lost_lease_writes_nothing(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let Run { id, lease: old } = running(&world, account).await;
    let strange = LeaseKey {
        token: old.token + 1,
        ..old
    };
    let unknown = LeaseKey {
        generation: GenerationId::new(world.now(), world.draw()),
        ..old
    };
    assert_writes_nothing(&world, id, strange).await;
    assert_writes_nothing(&world, id, unknown).await;
    // Late, but nobody has taken it away yet.
    world.wait_ms(LEASE_MS * 2);
    assert_eq!(
        world.heartbeat(old, Stage::Denoising, 0.1).await,
        Heartbeat::Renewed
    );

    world.wait_ms(LEASE_MS);
    assert_eq!(world.recover().await.requeued, [id]);
    assert_writes_nothing(&world, id, old).await;
    let new = world.claim().await.lease;
    assert_writes_nothing(&world, id, old).await;
    world.finish(new, succeeded(1, 50)).await;
    assert_writes_nothing(&world, id, old).await;
    assert_writes_nothing(&world, id, new).await;
}

async fn assert_writes_nothing(world: &World, id: GenerationId, lease: LeaseKey) {
    let before = world.generation(id).await;
    let entries = world.entries(before.account).await;
    assert_eq!(
        world.heartbeat(lease, Stage::Finishing, 0.9).await,
        Heartbeat::LeaseLost
    );
    let outcomes = [
        succeeded(100, 1),
        failed(None),
        failed(Some(world.now())),
        Outcome::Stopped,
        Outcome::GivenBack,
    ];
    for outcome in outcomes {
        let finished = world.store.finish(lease, outcome, world.now()).await.unwrap();
        assert!(matches!(finished, Finished::LeaseLost));
    }
    assert_eq!(world.generation(id).await, before);
    assert_eq!(world.entries(before.account).await, entries);
    assert!(!world.store.is_referenced(blob(100)).await.unwrap());
}

pub(crate) async fn cancel_ends_what_waits_and_stops_what_runs(world: Arc<World>) {
    let (alice, bob) = (world.rich_account("alice").await, world.rich_account("bob").await);
    let cancel = async |account, id| world.store.cancel(account, id, world.now()).await.unwrap();
    let queued = world.submit_one(alice).await.id;
    assert!(cancel(bob, queued).await.is_none(), "another's");
    assert!(matches!(cancel(alice, queued).await, Some(Canceled::Done(g)) if g.status == Status::Canceled));
    let canceled = world.generation(queued).await;
    assert_eq!(
        (canceled.finished_at, canceled.progress.stage),
        (Some(world.now()), Stage::Done)
    );
    world.wait_ms(1);
    assert!(
        matches!(cancel(alice, queued).await, Some(Canceled::Done(g)) if g == canceled),
        "unchanged"
    );
    assert!(world.try_claim(&["wan"], 9).await.is_none());

    let Run { id, lease } = running(&world, alice).await;
    let early = world.store.finish(lease, Outcome::Stopped, world.now()).await;
    let not_allowed =
        |error: &StoreError| matches!(error, StoreError::Transition(IllegalTransition::NotAllowed(..)));
    assert!(
        early.is_err_and(|error| not_allowed(&error)),
        "stopped, but nobody has asked"
    );
    assert!(
        matches!(cancel(alice, id).await, Some(Canceled::Requested(g)) if g.progress.stage == Stage::Canceling)
    );
    let asked = world.generation(id).await;
    assert!(matches!(
        asked.status,
        Status::Running {
            cancel_requested: true,
            ..
        }
    ));
    assert!(
        matches!(cancel(alice, id).await, Some(Canceled::Requested(g)) if g == asked),
        "asked once"
    );
    assert_eq!(
        world.heartbeat(lease, Stage::Decoding, 0.7).await,
        Heartbeat::CancelRequested
    );
    let progress = Progress {
        stage: Stage::Canceling,
        fraction: 0.7,
    };
    assert_eq!(world.generation(id).await.progress, progress);
    let stopped = world.finish(lease, Outcome::Stopped).await;
    assert_eq!((stopped.status, stopped.usage), (Status::Canceled, Split::ZERO));
    assert_eq!(world.balance(alice).await, [0, 1_000_000, 0, 0]);

    for outcome in [succeeded(1, 50), failed(None)] {
        let Run { id, lease } = running(&world, alice).await;
        let finished = world.finish(lease, outcome).await;
        assert!(matches!(cancel(alice, id).await, Some(Canceled::AlreadyFinished(g)) if g == finished));
    }
    let Run { id, lease } = running(&world, alice).await;
    world.finish(lease, failed(Some(world.now().plus_ms(5)))).await;
    assert!(
        matches!(cancel(alice, id).await, Some(Canceled::Done(_))),
        "while it waits for another try"
    );
}

pub(crate) async fn a_canceled_run_ends_canceled_whatever_its_worker_says(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let outcomes = [
        (succeeded(1, 50), Phase::Succeeded),
        (failed(None), Phase::Canceled),
        (failed(Some(world.now())), Phase::Canceled),
        (Outcome::GivenBack, Phase::Canceled),
        (Outcome::Stopped, Phase::Canceled),
    ];
    for (outcome, expected) in outcomes {
        let Run { id, lease } = running(&world, account).await;
        world.store.cancel(account, id, world.now()).await.unwrap();
        let finished = world.finish(lease, outcome).await;
        assert_eq!(finished.phase(), expected);
    }
    let Run { id, .. } = running(&world, account).await;
    world.store.cancel(account, id, world.now()).await.unwrap();
    // Even a worker that never answers, and even too late.
    world.wait_ms(DEADLINE_MS + LEASE_MS);
    assert_eq!(world.recover().await.ended, [id]);
    assert_eq!(world.generation(id).await.status, Status::Canceled);
}

pub(crate) async fn media_are_kept_until_removed(world: Arc<World>) {
    let (alice, bob) = (world.rich_account("alice").await, world.rich_account("bob").await);
    let with_input = |byte| Submission {
        spec: spec(Workflow::Image {
            image: upload(byte),
            audio: Some(upload(byte)),
        }),
        ..world.submission(alice)
    };
    let remove = async |account, id| world.store.remove_media(account, id, world.now()).await.unwrap();
    let referenced = async |byte| world.store.is_referenced(blob(byte)).await.unwrap();

    let first = world.submit(with_input(1)).await.id;
    assert!(referenced(1).await && !referenced(11).await);
    assert_eq!(remove(alice, first).await, Some(MediaRemoved::NotFinished));
    let lease = world.claim().await.lease;
    assert_eq!(remove(alice, first).await, Some(MediaRemoved::NotFinished));
    let done = world.finish(lease, succeeded(11, 50)).await;
    assert!(referenced(1).await && referenced(11).await && referenced(12).await);
    let finished_at = world.now();
    world.wait_ms(1);
    let second = world.submit(with_input(1)).await.id;
    world.store.cancel(alice, second, world.now()).await.unwrap();
    let bare = world.submit_one(alice).await.id;
    world.store.cancel(alice, bare, world.now()).await.unwrap();

    let old = async |before, limit| {
        let old = world
            .store
            .with_media_finished_before(before, limit)
            .await
            .unwrap();
        old.into_iter()
            .map(|(account, id)| {
                assert_eq!(account, alice);
                id
            })
            .collect::<Vec<_>>()
    };
    assert!(old(finished_at, 9).await.is_empty());
    assert_eq!(old(finished_at.plus_ms(1), 9).await, [first]);
    assert_eq!(old(finished_at.plus_ms(2), 9).await, [first, second]);
    assert_eq!(old(finished_at.plus_ms(2), 1).await, [first]);

    assert_eq!(remove(bob, first).await, None);
    assert_eq!(
        remove(alice, GenerationId::new(world.now(), world.draw())).await,
        None
    );
    assert_eq!(remove(alice, first).await, Some(MediaRemoved::Done));
    assert_eq!(remove(alice, first).await, Some(MediaRemoved::Done));
    assert!(!referenced(11).await && !referenced(12).await);
    assert!(referenced(1).await, "the second still has it");
    let removed = world.generation(first).await;
    let event_seq = done.event_seq + 1;
    assert_eq!(
        removed,
        Generation {
            media_removed: true,
            event_seq,
            ..done
        }
    );
    assert_eq!(old(finished_at.plus_ms(2), 9).await, [second]);
    assert_eq!(remove(alice, second).await, Some(MediaRemoved::Done));
    assert!(!referenced(1).await);
    assert_eq!(remove(alice, bare).await, Some(MediaRemoved::Done));
    assert!(world.generation(bare).await.media_removed);
}

pub(crate) async fn expired_leases_go_back_until_attempts_are_spent(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let id = world.submit_one(account).await.id;
    for attempt in 1..=ATTEMPTS_MAX {
        assert_eq!(world.claim().await.attempts, attempt);
        world.wait_ms(LEASE_MS - 1);
        assert_eq!(world.recover().await, Default::default());
        world.wait_ms(1);
        let recovered = world.recover().await;
        let generation = world.generation(id).await;
        if attempt < ATTEMPTS_MAX {
            assert_eq!(
                (recovered.requeued.as_slice(), recovered.ended.as_slice()),
                ([id].as_slice(), [].as_slice())
            );
            assert_eq!(
                (generation.phase(), generation.progress.stage),
                (Phase::Running, Stage::Retrying)
            );
        } else {
            assert_eq!(
                (recovered.requeued.as_slice(), recovered.ended.as_slice()),
                ([].as_slice(), [id].as_slice())
            );
            assert!(matches!(generation.status, Status::Failed(f) if f.code == FailureCode::EngineFailed));
        }
        assert_eq!(world.recover().await, Default::default());
    }
    assert_eq!(world.balance(account).await, [0, 1_000_000, 0, 0]);
}

pub(crate) async fn passed_deadlines_fail(world: Arc<World>) {
    let account = world.rich_account("alice").await;
    let Run { id: running, lease } = running(&world, account).await;
    let queued = world.submit_one(account).await.id;
    let lasting = world
        .submit(Submission {
            deadline: world.now().plus_ms(DEADLINE_MS + 1),
            ..world.submission(account)
        })
        .await
        .id;
    world.wait_ms(DEADLINE_MS - 1);
    world.heartbeat(lease, Stage::Denoising, 0.5).await;
    assert_eq!(world.recover().await, Default::default());
    world.wait_ms(1);
    let mut ended = world.recover().await.ended;
    ended.sort();
    assert_eq!(ended, [running, queued]);
    for id in ended {
        let generation = world.generation(id).await;
        assert!(matches!(generation.status, Status::Failed(f) if f.code == FailureCode::Timeout));
    }
    assert_writes_nothing(&world, running, lease).await;
    assert_eq!(world.claim().await.lease.generation, lasting);
}

/// A generation under way.
struct Run {
    id: GenerationId,
    lease: LeaseKey,
}

async fn running(world: &World, account: AccountId) -> Run {
    let claimed = world.running(account).await;
    Run {
        id: claimed.generation.id,
        lease: claimed.lease,
    }
}

/// Whatever the contract lets a client make long; characters of four bytes where it takes them, and none that repeat, because
/// databases compress what does.
pub(crate) async fn the_longest_values_are_kept(world: Arc<World>) {
    let wide = |count: usize| -> String {
        (0..count)
            .map(|_| char::from_u32(0x2_0000 + rand::random_range(0..0xA000)).unwrap())
            .collect()
    };
    let ascii = |count: usize| -> String {
        (0..count)
            .map(|_| char::from(rand::random_range(b'!'..=b'~')))
            .collect()
    };
    let account = world.account(&wide(100)).await;
    world.grant(account, Bucket::Permanent, 1_000_000, None).await;
    // Two that begin alike are two.
    let urls = [1, 2].map(|n| {
        let begin = "https://example.com/";
        format!("{begin}{}{n}", ascii(8192 - begin.len() - 1))
    });
    for url in [&urls[0], &urls[1], &urls[0]] {
        let submission = Submission {
            spec: GenerationSpec {
                prompt: Some(wide(5000)),
                negative_prompt: Some(wide(500)),
                ..spec(Workflow::Text { audio: None })
            },
            idempotency: idempotency(&ascii(200), &ascii(255), 1),
            webhook_url: Some(url.clone()),
            ..world.submission(account)
        };
        let made = world.submit(submission.clone()).await;
        assert_eq!(world.generation(made.id).await.spec, submission.spec);
        let again = world.try_submit(submission).await;
        assert!(matches!(again, Submitted::Replayed(_)), "{again:?}");
    }
    let due = world
        .store
        .claim_deliveries(100, LEASE_MS, world.now())
        .await
        .unwrap();
    let mut told: Vec<&str> = due.iter().map(|delivery| delivery.url.as_str()).collect();
    told.sort_unstable();
    let mut expected = [&urls[0], &urls[0], &urls[1]].map(String::as_str);
    expected.sort_unstable();
    assert_eq!(told, expected);
    let endpoints: std::collections::HashSet<_> = due.iter().map(|delivery| delivery.endpoint).collect();
    assert_eq!(endpoints.len(), 2, "one for each URL");
}

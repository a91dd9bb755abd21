//! Random interleavings of everything that moves credits or statuses, against a model in memory.
//!
//! The model is written apart from the domain's ledger, as a person would keep the books on paper: what each grant
//! has left, and who took what from it. After every step the store must say what the model says, and the audit
//! must find nothing.

use std::sync::Arc;

use kinora_domain::{
    AccountId, Bucket, Credits, GenerationId, GrantId, OfferId, Phase, Stage, Status, Timestamp,
};
use kinora_store::{
    Canceled, Finished, Heartbeat, LeaseKey, MediaRemoved, Outcome, Store, Submission, Submitted,
};
use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};

use super::world::{ATTEMPTS_MAX, LEASE_MS, World, failed, idempotency, succeeded};

/// One thing that happens. Indexes are taken modulo how many there are.
#[derive(Debug, Clone)]
enum Step {
    Grant {
        account: usize,
        bucket: Bucket,
        credits: u64,
        life_ms: Option<u64>,
    },
    Submit {
        account: usize,
        price: u64,
        priority: i32,
        key: Option<u8>,
        payload: u8,
    },
    Claim,
    Heartbeat {
        which: usize,
    },
    Succeed {
        which: usize,
        charged: u64,
    },
    Fail {
        which: usize,
        retry_ms: Option<u64>,
    },
    Stop {
        which: usize,
    },
    GiveBack {
        which: usize,
    },
    Cancel {
        which: usize,
    },
    RemoveMedia {
        which: usize,
    },
    Wait {
        ms: u64,
    },
    Recover,
    ExpireGrants,
}

fn step() -> impl Strategy<Value = Step> {
    let account = 0..2usize;
    let which = 0..64usize;
    let bucket = prop_oneof![Just(Bucket::Subscription), Just(Bucket::Permanent)];
    prop_oneof![
        2 => (account.clone(), bucket, 0..150u64, prop::option::of(0..40_000u64))
            .prop_map(|(account, bucket, credits, life_ms)| Step::Grant { account, bucket, credits, life_ms }),
        6 => (account, 0..120u64, -1..2i32, prop::option::weighted(0.3, 0..4u8), 0..2u8)
            .prop_map(|(account, price, priority, key, payload)| Step::Submit { account, price, priority, key, payload }),
        5 => Just(Step::Claim),
        1 => which.clone().prop_map(|which| Step::Heartbeat { which }),
        3 => (which.clone(), 0..130u64).prop_map(|(which, charged)| Step::Succeed { which, charged }),
        3 => (which.clone(), prop::option::of(0..9_000u64)).prop_map(|(which, retry_ms)| Step::Fail { which, retry_ms }),
        1 => which.clone().prop_map(|which| Step::Stop { which }),
        1 => which.clone().prop_map(|which| Step::GiveBack { which }),
        3 => which.clone().prop_map(|which| Step::Cancel { which }),
        1 => which.prop_map(|which| Step::RemoveMedia { which }),
        3 => (0..30_000u64).prop_map(|ms| Step::Wait { ms }),
        2 => Just(Step::Recover),
        1 => Just(Step::ExpireGrants),
    ]
}

/// How long a generation may take here: short enough for some to be too late.
const DEADLINE_MS: u64 = 90_000;

/// How many of one account may run at once here.
const RUNNING_MAX: u32 = 2;

/// How many of one account may wait at once here.
const QUEUED_MAX: u32 = 4;

struct Grant {
    id: GrantId,
    account: usize,
    bucket: Bucket,
    left: u64,
    expires_at: Option<Timestamp>,
}

struct Modelled {
    id: GenerationId,
    account: usize,
    priority: i32,
    deadline: Timestamp,
    phase: State,
    /// What was taken from which grant, in order.
    taken: Vec<(usize, u64)>,
    charged: u64,
    attempts: u32,
    /// The latest, live or not.
    lease: Option<LeaseKey>,
    lease_until: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Queued { due: Timestamp, promoted: bool },
    Running { cancel_requested: bool },
    Ended(Phase),
}

struct Model {
    world: World,
    accounts: Vec<AccountId>,
    grants: Vec<Grant>,
    generations: Vec<Modelled>,
    /// Account, key, payload, generation.
    keys: Vec<(usize, u8, u8, usize)>,
}

/// Runs random interleavings against stores that `make` opens.
pub(crate) fn random_interleavings(make: impl Fn() -> Arc<dyn Store>, cases: u32) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = Config {
        cases,
        failure_persistence: None,
        // The same every time: a failure that comes and goes teaches nobody anything.
        rng_seed: RngSeed::Fixed(20_261_122),
        max_shrink_iters: 400,
        ..Config::default()
    };
    let steps = prop::collection::vec(step(), 1..60);
    TestRunner::new(config)
        .run(&steps, |steps| {
            runtime.block_on(async {
                let mut model = Model::new(make()).await;
                for (index, step) in steps.iter().enumerate() {
                    model.take(step).await;
                    model.check(&format!("step {index}, {step:?}")).await;
                }
            });
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

impl Model {
    async fn new(store: Arc<dyn Store>) -> Model {
        let world = World::new(store);
        let accounts = vec![world.account("alice").await, world.account("bob").await];
        Model {
            world,
            accounts,
            grants: Vec::new(),
            generations: Vec::new(),
            keys: Vec::new(),
        }
    }

    async fn take(&mut self, step: &Step) {
        let now = self.world.now();
        match *step {
            Step::Grant {
                account,
                bucket,
                credits,
                life_ms,
            } => {
                let expires_at = life_ms.map(|life_ms| now.plus_ms(life_ms));
                let grant = self
                    .world
                    .new_grant(self.accounts[account], bucket, credits, expires_at);
                let id = grant.id;
                self.world.store.grant(grant, now).await.unwrap();
                self.grants.push(Grant {
                    id,
                    account,
                    bucket,
                    left: credits,
                    expires_at,
                });
            }
            Step::Submit {
                account,
                price,
                priority,
                key,
                payload,
            } => {
                self.submit(account, price, priority, key, payload).await;
            }
            Step::Claim => self.claim().await,
            Step::Heartbeat { which } => self.heartbeat(which).await,
            Step::Succeed { which, charged } => self.finish(which, succeeded(1, charged)).await,
            Step::Fail { which, retry_ms } => {
                let retry_at = retry_ms.map(|retry_ms| now.plus_ms(retry_ms));
                let outcome = match (failed(retry_at), retry_at) {
                    // Every other one goes on to an offer: the same, so that the model need not tell them apart.
                    (Outcome::Failed { failure, .. }, Some(retry_at)) if which % 2 == 0 => {
                        Outcome::PassedOn {
                            failure,
                            retry_at,
                            offer: OfferId("wan".to_owned()),
                        }
                    }
                    (outcome, _) => outcome,
                };
                self.finish(which, outcome).await;
            }
            Step::Stop { which } => self.finish(which, Outcome::Stopped).await,
            Step::GiveBack { which } => self.finish(which, Outcome::GivenBack).await,
            Step::Cancel { which } => self.cancel(which).await,
            Step::RemoveMedia { which } => self.remove_media(which).await,
            Step::Wait { ms } => self.world.wait_ms(ms),
            Step::Recover => self.recover().await,
            Step::ExpireGrants => {
                self.world.store.expire_grants(now).await.unwrap();
            }
        }
    }

    async fn submit(&mut self, account: usize, price: u64, priority: i32, key: Option<u8>, payload: u8) {
        let now = self.world.now();
        let submission = Submission {
            price: Credits(price),
            priority,
            deadline: now.plus_ms(DEADLINE_MS),
            queued_max: QUEUED_MAX,
            idempotency: key.and_then(|key| idempotency("POST /x", &key.to_string(), payload)),
            ..self.world.submission(self.accounts[account])
        };
        let id = submission.id;
        let submitted = self.world.try_submit(submission).await;
        let known = self
            .keys
            .iter()
            .find(|known| key.is_some_and(|key| (known.0, known.1) == (account, key)));
        if let Some((_, _, first_payload, first)) = known {
            match submitted {
                Submitted::Replayed(generation) if *first_payload == payload => {
                    assert_eq!(generation.id, self.generations[*first].id);
                }
                Submitted::KeyReused => assert_ne!(*first_payload, payload),
                other => panic!("the key is known: {other:?}"),
            }
            return;
        }
        let queued = self.count(account, |state| matches!(state, State::Queued { .. }));
        if queued >= QUEUED_MAX {
            assert!(
                matches!(submitted, Submitted::QueueFull(full) if full == queued),
                "{submitted:?}"
            );
            return;
        }
        let Some(taken) = self.draw(account, price) else {
            let available = self.available(account);
            assert!(
                matches!(submitted, Submitted::Insufficient(short) if short.available.total() == available)
            );
            return;
        };
        assert!(matches!(submitted, Submitted::Created(_)), "{submitted:?}");
        if let Some(key) = key {
            self.keys.push((account, key, payload, self.generations.len()));
        }
        self.generations.push(Modelled {
            id,
            account,
            priority,
            deadline: now.plus_ms(DEADLINE_MS),
            phase: State::Queued {
                due: now,
                promoted: true,
            },
            taken,
            charged: 0,
            attempts: 0,
            lease: None,
            lease_until: now,
        });
    }

    /// Takes `price` out of the grants: of the subscription first, and what ends soonest before what lasts.
    fn draw(&mut self, account: usize, price: u64) -> Option<Vec<(usize, u64)>> {
        let now = self.world.now();
        if self.available(account) < price as i64 {
            return None;
        }
        let mut order: Vec<usize> = (0..self.grants.len())
            .filter(|index| self.grants[*index].account == account && self.grants[*index].is_live(now))
            .collect();
        order.sort_by_key(|index| {
            let grant = &self.grants[*index];
            let end = grant.expires_at.map_or(i64::MAX, |end| end.0);
            (grant.bucket == Bucket::Permanent, end, grant.id)
        });
        let mut missing = price;
        let mut taken = Vec::new();
        for index in order {
            let from_here = missing.min(self.grants[index].left);
            if from_here > 0 {
                self.grants[index].left -= from_here;
                missing -= from_here;
                taken.push((index, from_here));
            }
        }
        Some(taken)
    }

    async fn claim(&mut self) {
        let now = self.world.now();
        let claimed = self.world.try_claim(&["wan"], RUNNING_MAX).await;
        let claimable = |modelled: &&Modelled| {
            matches!(modelled.phase, State::Queued { promoted: true, .. })
                && self.count(modelled.account, |state| matches!(state, State::Running { .. })) < RUNNING_MAX
        };
        let highest = self
            .generations
            .iter()
            .filter(claimable)
            .map(|modelled| modelled.priority)
            .max();
        let Some(claimed) = claimed else {
            assert_eq!(highest, None, "something waits");
            return;
        };
        // Whose turn it is, is another test's; within an account it must be the first that came.
        let id = claimed.generation.id;
        let account = self
            .generations
            .iter()
            .find(|modelled| modelled.id == id)
            .unwrap()
            .account;
        let first = self
            .generations
            .iter()
            .filter(claimable)
            .find(|modelled| modelled.account == account && Some(modelled.priority) == highest);
        assert_eq!(first.map(|modelled| modelled.id), Some(id));
        let modelled = self.find(id);
        modelled.attempts += 1;
        assert_eq!(claimed.attempts, modelled.attempts);
        assert!(modelled.lease.is_none_or(|old| old.token < claimed.lease.token));
        modelled.lease = Some(claimed.lease);
        modelled.lease_until = now.plus_ms(LEASE_MS);
        modelled.phase = State::Running {
            cancel_requested: false,
        };
    }

    async fn heartbeat(&mut self, which: usize) {
        let now = self.world.now();
        let Some((index, lease)) = self.leased(which) else {
            return;
        };
        let heartbeat = self.world.heartbeat(lease, Stage::Denoising, 0.3).await;
        let modelled = &mut self.generations[index];
        let expected = match modelled.phase {
            State::Running {
                cancel_requested: false,
            } => Heartbeat::Renewed,
            State::Running {
                cancel_requested: true,
            } => Heartbeat::CancelRequested,
            State::Queued { .. } | State::Ended(_) => Heartbeat::LeaseLost,
        };
        assert_eq!(heartbeat, expected);
        if expected != Heartbeat::LeaseLost {
            modelled.lease_until = now.plus_ms(LEASE_MS);
        }
    }

    async fn finish(&mut self, which: usize, outcome: Outcome) {
        let now = self.world.now();
        let Some((index, lease)) = self.leased(which) else {
            return;
        };
        let finished = self.world.store.finish(lease, outcome.clone(), now).await;
        let State::Running { cancel_requested } = self.generations[index].phase else {
            assert!(matches!(finished, Ok(Finished::LeaseLost)), "{finished:?}");
            return;
        };
        let attempts = self.generations[index].attempts;
        let next = match outcome {
            Outcome::Succeeded { charged, .. } => {
                self.capture(index, charged.0);
                State::Ended(Phase::Succeeded)
            }
            Outcome::Stopped if !cancel_requested => {
                assert!(finished.is_err(), "nobody has asked");
                return;
            }
            Outcome::Failed { .. } | Outcome::PassedOn { .. } | Outcome::Stopped | Outcome::GivenBack
                if cancel_requested =>
            {
                State::Ended(Phase::Canceled)
            }
            Outcome::Failed {
                retry_at: Some(due), ..
            }
            | Outcome::PassedOn { retry_at: due, .. } => State::Queued {
                due,
                promoted: due <= now,
            },
            Outcome::Failed { retry_at: None, .. } => State::Ended(Phase::Failed),
            Outcome::GivenBack => {
                self.generations[index].attempts = attempts - 1;
                State::Queued {
                    due: now,
                    promoted: true,
                }
            }
            Outcome::Stopped => State::Ended(Phase::Canceled),
        };
        assert!(matches!(finished, Ok(Finished::Settled(_))), "{finished:?}");
        self.lead(index, next);
    }

    async fn cancel(&mut self, which: usize) {
        let now = self.world.now();
        let Some(index) = self.any(which) else { return };
        let Modelled {
            id, account, phase, ..
        } = self.generations[index];
        let stranger = self.accounts[1 - account];
        assert!(
            self.world
                .store
                .cancel(stranger, id, now)
                .await
                .unwrap()
                .is_none()
        );
        let canceled = self
            .world
            .store
            .cancel(self.accounts[account], id, now)
            .await
            .unwrap();
        match (canceled, phase) {
            (Some(Canceled::Done(_)), State::Queued { .. }) => {
                self.lead(index, State::Ended(Phase::Canceled))
            }
            (Some(Canceled::Done(_)), State::Ended(Phase::Canceled)) => {}
            (Some(Canceled::Requested(_)), State::Running { .. }) => {
                self.lead(
                    index,
                    State::Running {
                        cancel_requested: true,
                    },
                );
            }
            (Some(Canceled::AlreadyFinished(_)), State::Ended(Phase::Succeeded | Phase::Failed)) => {}
            (canceled, phase) => panic!("{phase:?} gave {canceled:?}"),
        }
    }

    async fn remove_media(&mut self, which: usize) {
        let now = self.world.now();
        let Some(index) = self.any(which) else { return };
        let Modelled {
            id, account, phase, ..
        } = self.generations[index];
        let removed = self
            .world
            .store
            .remove_media(self.accounts[account], id, now)
            .await
            .unwrap();
        let expected = match phase {
            State::Ended(_) => MediaRemoved::Done,
            State::Queued { .. } | State::Running { .. } => MediaRemoved::NotFinished,
        };
        assert_eq!(removed, Some(expected));
    }

    async fn recover(&mut self) {
        let now = self.world.now();
        let mut recovered = self.world.recover().await;
        let (mut requeued, mut ended) = (Vec::new(), Vec::new());
        for index in 0..self.generations.len() {
            let Modelled {
                id,
                deadline,
                phase,
                attempts,
                lease_until,
                ..
            } = self.generations[index];
            let late = deadline <= now;
            let lost = lease_until <= now;
            let next = match phase {
                State::Running {
                    cancel_requested: true,
                } if lost => State::Ended(Phase::Canceled),
                State::Running { .. } | State::Queued { .. } if late => State::Ended(Phase::Failed),
                State::Running { .. } if lost && attempts >= ATTEMPTS_MAX => State::Ended(Phase::Failed),
                State::Running { .. } if lost => State::Queued {
                    due: now,
                    promoted: true,
                },
                State::Queued { due, .. } if due <= now => {
                    self.lead(index, State::Queued { due, promoted: true });
                    continue;
                }
                State::Running { .. } | State::Queued { .. } | State::Ended(_) => continue,
            };
            match next {
                State::Ended(_) => ended.push(id),
                State::Queued { .. } | State::Running { .. } => requeued.push(id),
            }
            self.lead(index, next);
        }
        recovered.requeued.sort();
        recovered.ended.sort();
        requeued.sort();
        ended.sort();
        assert_eq!((recovered.requeued, recovered.ended), (requeued, ended));
    }

    fn lead(&mut self, index: usize, next: State) {
        self.generations[index].phase = next;
        if matches!(next, State::Ended(Phase::Failed | Phase::Canceled)) {
            for (grant, credits) in self.generations[index].taken.clone() {
                self.grants[grant].left += credits;
            }
        }
    }

    /// Keeps `charged` of what was taken; what was taken last goes back first.
    fn capture(&mut self, index: usize, charged: u64) {
        let taken = self.generations[index].taken.clone();
        let mut rest = charged;
        for (grant, credits) in taken {
            let kept = rest.min(credits);
            rest -= kept;
            self.generations[index].charged += kept;
            self.grants[grant].left += credits - kept;
        }
    }

    /// The store says what the model says.
    async fn check(&self, after: &str) {
        let now = self.world.now();
        self.world.assert_sound(after).await;
        for (index, account) in self.accounts.iter().enumerate() {
            let [subscription, permanent, held_subscription, held_permanent] =
                self.world.balance(*account).await;
            let of = |bucket| {
                let grants = self
                    .grants
                    .iter()
                    .filter(|grant| grant.account == index && grant.bucket == bucket);
                grants
                    .filter(|grant| grant.is_live(now))
                    .map(|grant| grant.left as i64)
                    .sum::<i64>()
            };
            assert_eq!(
                [subscription, permanent],
                [of(Bucket::Subscription), of(Bucket::Permanent)],
                "{after}"
            );
            let live = self
                .generations
                .iter()
                .filter(|modelled| modelled.account == index && !matches!(modelled.phase, State::Ended(_)));
            let held: u64 = live
                .flat_map(|modelled| &modelled.taken)
                .map(|(_, credits)| credits)
                .sum();
            assert_eq!(held_subscription + held_permanent, held as i64, "{after}");
        }
        for modelled in &self.generations {
            let generation = self.world.generation(modelled.id).await;
            let state = match generation.status {
                Status::Queued { not_before, .. } => {
                    let State::Queued { promoted, .. } = modelled.phase else {
                        panic!("{after}: {:?} is queued", modelled.phase);
                    };
                    State::Queued {
                        due: not_before,
                        promoted,
                    }
                }
                Status::Running { cancel_requested, .. } => State::Running { cancel_requested },
                Status::Succeeded(_) | Status::Failed(_) | Status::Canceled => {
                    State::Ended(generation.phase())
                }
            };
            assert_eq!(state, modelled.phase, "{after}");
            if state == State::Ended(Phase::Succeeded) {
                assert_eq!(generation.usage.total(), modelled.charged as i64, "{after}");
            }
        }
    }

    fn available(&self, account: usize) -> i64 {
        let now = self.world.now();
        let grants = self
            .grants
            .iter()
            .filter(|grant| grant.account == account && grant.is_live(now));
        grants.map(|grant| grant.left as i64).sum()
    }

    fn count(&self, account: usize, is: fn(State) -> bool) -> u32 {
        let of_account = self
            .generations
            .iter()
            .filter(|modelled| modelled.account == account);
        of_account.filter(|modelled| is(modelled.phase)).count() as u32
    }

    fn find(&mut self, id: GenerationId) -> &mut Modelled {
        self.generations
            .iter_mut()
            .find(|modelled| modelled.id == id)
            .unwrap()
    }

    fn any(&self, which: usize) -> Option<usize> {
        (!self.generations.is_empty()).then(|| which % self.generations.len())
    }

    /// One that has had a lease, with the latest.
    fn leased(&self, which: usize) -> Option<(usize, LeaseKey)> {
        let leased: Vec<_> = (0..self.generations.len())
            .filter_map(|index| Some((index, self.generations[index].lease?)))
            .collect();
        (!leased.is_empty()).then(|| leased[which % leased.len()])
    }
}

impl Grant {
    fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

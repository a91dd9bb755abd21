//! What a claim costs in front of longer and longer queues.
//!
//! Queues are filled as they fill in earnest: through the store's own submissions, by many callers, in many accounts, for
//! several offers. A machine that others use is faster at one moment than at another; so each claim from a long queue is made
//! beside one from an empty queue in a database of its own, and only what was measured side by side is compared.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use kinora_domain::{AccountId, Failure, FailureCode, OfferId, Progress, Stage, WorkerId};
use kinora_store::{Claim, LeaseKey, Outcome, Store};

use crate::{
    place::{Kind, Place},
    support::{Any, CONNECTIONS, Spread, account, at_once, millis, now, submission},
    table::{Table, grouped},
};

const ACCOUNTS: usize = CONNECTIONS;
const OFFERS: [&str; 4] = ["wan-1.3b", "wan-14b", "wan-ti2v-5b", "wan-hosted"];

/// Claims that are timed one by one, in each of the two databases.
const TIMED: usize = 320;

/// Claims of [`WORKERS`] at once.
const CLAIMED_AT_ONCE: usize = 640;
const WORKERS: usize = 16;

/// Longer than all of it.
pub(crate) const LEASE_MS: u64 = 3_600_000;

/// The name of how many times what it costs with nothing queued a claim costs.
pub(crate) fn ratio_key(backlog: usize) -> String {
    format!("claim_ratio_{backlog}_queued")
}

/// Measures claims with so many queued, from the shortest queue to the longest.
pub(crate) async fn measure(kind: Kind, backlogs: &[usize], table: &mut Table) -> Any<()> {
    let (mut queue, mut empty) = (Queue::new(kind).await?, Queue::new(kind).await?);
    for &backlog in backlogs {
        let before = (queue.queued, queue.place.bytes());
        queue.fill(backlog + TIMED + CLAIMED_AT_ONCE).await?;
        empty.fill(TIMED).await?;
        let filled = (
            queue.queued - before.0,
            queue.place.bytes().saturating_sub(before.1),
        );

        let many = grouped(backlog);
        let mut leases = [Vec::new(), Vec::new()];
        let mut took = [Vec::new(), Vec::new()];
        for round in 0..TIMED {
            for which in [round % 2, 1 - round % 2] {
                let started = Instant::now();
                leases[which].push([&queue, &empty][which].claim(round).await?);
                took[which].push(millis(started.elapsed()) * 1000.0);
            }
        }
        let [Some(full), Some(none)] = took.map(Spread::of) else {
            return Err("nothing was claimed".into());
        };
        let mut set = |key: &str, label: &str, value| table.set(kind, key, label, value);
        set(
            &format!("claim_us_{backlog}_queued"),
            &format!("one claim, {many} queued, µs"),
            full.p50,
        );
        set(
            &format!("claim_us_beside_{backlog}_queued"),
            "  one with none queued, in turn with these, µs",
            none.p50,
        );
        set(&ratio_key(backlog), "  times that", full.p50 / none.p50);
        let [leased, leased_beside] = leases;
        queue.settle(leased).await?;
        empty.settle(leased_beside).await?;

        let (took, leased) = queue.claim_at_once().await?;
        set(
            &format!("claims_per_s_{backlog}_queued"),
            &format!("claims/s by {WORKERS} workers, {many} queued"),
            CLAIMED_AT_ONCE as f64 / took.as_secs_f64(),
        );
        if backlog == 0 {
            set(
                "heartbeats_per_s",
                &format!("heartbeats with progress/s by {WORKERS} workers"),
                queue.beat(&leased).await?,
            );
        }
        queue.settle(leased).await?;
        if Some(&backlog) == backlogs.last() && filled.0 > 0 {
            set(
                "bytes_per_queued",
                "bytes of database for each queued generation",
                filled.1 as f64 / filled.0 as f64,
            );
        }
    }
    Ok(())
}

/// A queue in a database of its own.
struct Queue {
    // In the order in which they are dropped: the store lets go of its database first.
    store: Arc<dyn Store>,
    accounts: Arc<[AccountId]>,
    queued: usize,
    place: Place,
}

impl Queue {
    async fn new(kind: Kind) -> Any<Queue> {
        let place = Place::new(kind)?;
        let store = place.open()?;
        let mut accounts = Vec::new();
        for number in 0..ACCOUNTS {
            accounts.push(account(&*store, number).await?);
        }
        Ok(Queue {
            store,
            accounts: accounts.into(),
            queued: 0,
            place,
        })
    }

    /// Submits until at least so many are queued.
    async fn fill(&mut self, queued: usize) -> Any<()> {
        let each = queued.saturating_sub(self.queued).div_ceil(ACCOUNTS);
        let (goal, done) = (each * ACCOUNTS, Arc::new(AtomicUsize::new(0)));
        let (store, accounts, count) = (
            Arc::clone(&self.store),
            Arc::clone(&self.accounts),
            Arc::clone(&done),
        );
        let submit = move |caller: usize| {
            let (store, account) = (Arc::clone(&store), accounts[caller]);
            let number = count.fetch_add(1, Ordering::Relaxed);
            async move {
                let offer = OFFERS[number % OFFERS.len()];
                store.submit(submission(account, offer), now()).await?;
                Ok(())
            }
        };
        let started = Instant::now();
        let filling = at_once(ACCOUNTS, each, submit);
        tokio::pin!(filling);
        loop {
            tokio::select! {
                filled = &mut filling => {
                    filled?;
                    break;
                }
                () = tokio::time::sleep(Duration::from_secs(10)) => {
                    let done = done.load(Ordering::Relaxed);
                    let rate = done as f64 / started.elapsed().as_secs_f64();
                    let left_s = (goal - done.min(goal)) as f64 / rate.max(1.0);
                    eprintln!(
                        "  {} of {} queued, {rate:.0}/s, {left_s:.0} s to go",
                        grouped(self.queued + done),
                        grouped(self.queued + goal),
                    );
                }
            }
        }
        self.queued += goal;
        Ok(())
    }

    /// One claim, by one worker or another.
    async fn claim(&self, number: usize) -> Any<LeaseKey> {
        claim(&*self.store, number).await
    }

    /// Claims by many workers; how long all took.
    async fn claim_at_once(&self) -> Any<(Duration, Vec<LeaseKey>)> {
        let leases = Arc::new(Mutex::new(Vec::new()));
        let (store, kept) = (Arc::clone(&self.store), Arc::clone(&leases));
        let work = move |worker: usize| {
            let (store, kept) = (Arc::clone(&store), Arc::clone(&kept));
            async move {
                let lease = claim(&*store, worker).await?;
                kept.lock().expect("no thread panics with it").push(lease);
                Ok(())
            }
        };
        let took = at_once(WORKERS, CLAIMED_AT_ONCE / WORKERS, work).await?;
        let leases = std::mem::take(&mut *leases.lock().expect("no thread panics with it"));
        Ok((took, leases))
    }

    /// Heartbeats a second by many workers.
    async fn beat(&self, leases: &[LeaseKey]) -> Any<f64> {
        let (store, leases): (_, Arc<[LeaseKey]>) = (Arc::clone(&self.store), leases.into());
        let (told, each) = (Arc::new(AtomicUsize::new(0)), 2 * leases.len() / WORKERS);
        let work = move |_| {
            let store = Arc::clone(&store);
            let number = told.fetch_add(1, Ordering::Relaxed);
            let lease = leases[number % leases.len()];
            let progress = Progress {
                stage: Stage::Denoising,
                fraction: number as f32 / 10_000.0,
            };
            async move {
                store.heartbeat(lease, Some(progress), LEASE_MS, now()).await?;
                Ok(())
            }
        };
        let took = at_once(WORKERS, each, work).await?;
        Ok((each * WORKERS) as f64 / took.as_secs_f64())
    }

    /// Ends what was claimed.
    async fn settle(&mut self, leases: Vec<LeaseKey>) -> Any<()> {
        self.queued -= leases.len();
        let store = Arc::clone(&self.store);
        let leases = Arc::new(Mutex::new(leases));
        let each = leases
            .lock()
            .expect("no thread panics with it")
            .len()
            .div_ceil(WORKERS);
        let work = move |_| {
            let store = Arc::clone(&store);
            let lease = leases.lock().expect("no thread panics with it").pop();
            async move {
                if let Some(lease) = lease {
                    end(&*store, lease).await?;
                }
                Ok(())
            }
        };
        at_once(WORKERS, each, work).await?;
        Ok(())
    }
}

/// A worker can run one half of the offers or the other, so that all workers together take as much of each.
async fn claim(store: &dyn Store, worker: usize) -> Any<LeaseKey> {
    let half = OFFERS.len() / 2;
    let offers = OFFERS.iter().skip(worker % 2 * half).take(half);
    let claim = Claim {
        worker: WorkerId::new(now(), worker as u128),
        offers: offers.map(|offer| OfferId((*offer).to_owned())).collect(),
        lease_ms: LEASE_MS,
        running_max: u32::MAX,
    };
    let claimed = store.claim(claim, now()).await?.ok_or("nothing was queued")?;
    Ok(claimed.lease)
}

/// Ends an attempt for good.
pub(crate) async fn end(store: &dyn Store, lease: LeaseKey) -> Any<()> {
    let outcome = Outcome::Failed {
        failure: Failure {
            code: FailureCode::EngineFailed,
            message: "It was only measured.".to_owned(),
        },
        retry_at: None,
    };
    store.finish(lease, outcome, now()).await?;
    Ok(())
}

//! What time breaks, repaired: leases that ran out, deadlines that passed, grants that ended, media kept long
//! enough, blobs nobody refers to, old logs. One such loop is enough for any number of workers, and several do no harm.

use std::{sync::Arc, time::Duration};

use kinora_media::chain;
use kinora_store::{OldWorkers, Store, blobs::Blobs};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::Clock;

/// The loop that repairs.
pub struct Housekeeping {
    /// What is repaired.
    pub store: Arc<dyn Store>,
    /// Where blobs are.
    pub blobs: Arc<Blobs>,
    /// How often, and by which rules.
    pub options: HousekeepingOptions,
    /// Tells the time.
    pub clock: Clock,
}

/// How often the house is kept, and by which rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HousekeepingOptions {
    /// How many attempts a generation gets.
    pub attempts_max: u32,
    /// How often leases, deadlines and due retries are looked at.
    pub recover_every: Duration,
    /// How often ended grants and media kept long enough are looked for.
    pub expire_every: Duration,
    /// How long media are kept after their generation has finished; `None` keeps them until they are deleted.
    pub retention_ms: Option<u64>,
    /// How long webhook deliveries that have ended are kept, for their log.
    pub webhook_log_ms: u64,
    /// How long a worker may be silent before it is forgotten.
    pub workers_ms: u64,
    /// How long an offer that no worker announces any more is remembered.
    pub offers_ms: u64,
    /// How often blobs that nobody refers to are looked for.
    pub sweep_every: Duration,
    /// How old such a blob must be: a request may be about to refer to it.
    pub sweep_grace_ms: u64,
}

impl Default for HousekeepingOptions {
    fn default() -> HousekeepingOptions {
        HousekeepingOptions {
            attempts_max: 3,
            recover_every: Duration::from_secs(1),
            expire_every: Duration::from_secs(60),
            retention_ms: None,
            webhook_log_ms: 30 * 24 * 3600 * 1000,
            workers_ms: 60_000,
            offers_ms: 72 * 3600 * 1000,
            sweep_every: Duration::from_secs(3600),
            sweep_grace_ms: 3600 * 1000,
        }
    }
}

/// How long attempts are remembered that have ended: what an offer's work takes is still known after a holiday.
const ATTEMPTS_MS: u64 = 14 * 24 * 3600 * 1000;

/// How many generations' media are removed at one go.
const REMOVE_AT_ONCE: usize = 200;

impl Housekeeping {
    /// Only gives back what dead workers held, until the wish to shut down: what a worker does for the others, so that they
    /// need nobody else for it.
    pub async fn run_recovery(&self, shutdown: CancellationToken) {
        again(&shutdown, self.options.recover_every, || self.recover()).await;
    }

    /// Keeps house until the wish to shut down. Failures are logged; the next round tries again.
    ///
    /// Nothing waits for anything else: a sweep of a large bucket takes longer than leases may lie about. It is also cut
    /// off by a shutdown, as a crash would: the next one finds what is left.
    pub async fn run(&self, shutdown: CancellationToken) {
        let HousekeepingOptions {
            recover_every,
            expire_every,
            sweep_every,
            ..
        } = self.options;
        tokio::join!(
            again(&shutdown, recover_every, || self.recover()),
            again(&shutdown, expire_every, || self.expire()),
            shutdown.run_until_cancelled(again(&shutdown, sweep_every, || self.sweep())),
        );
    }

    /// What has been kept long enough.
    async fn expire(&self) {
        self.expire_grants().await;
        self.remove_old_media().await;
        self.forget_deliveries().await;
        self.forget_workers().await;
    }

    /// Leases, deadlines and retries.
    pub async fn recover(&self) {
        match self
            .store
            .recover(self.options.attempts_max, (self.clock)())
            .await
        {
            Ok(recovered) => {
                for id in recovered.requeued {
                    warn!(generation.id = %id, "The lease on {id} ran out; it waits for another attempt");
                }
                for id in recovered.ended {
                    info!(generation.id = %id, "Generation {id} ended: its time, its attempts or its client's wish");
                }
            }
            Err(error) => warn!("Recovering generations failed: {}", chain(&error)),
        }
    }

    /// Grants that have ended.
    pub async fn expire_grants(&self) {
        match self.store.expire_grants((self.clock)()).await {
            Ok(0) => {}
            Ok(count) => info!("{count} grants of credits have ended"),
            Err(error) => warn!("Writing off ended grants failed: {}", chain(&error)),
        }
    }

    /// Media whose time is over. Their bytes go with a later sweep.
    pub async fn remove_old_media(&self) {
        let Some(retention_ms) = self.options.retention_ms else {
            return;
        };
        let now = (self.clock)();
        let before = now.minus_ms(retention_ms);
        loop {
            let due = match self
                .store
                .with_media_finished_before(before, REMOVE_AT_ONCE)
                .await
            {
                Ok(due) => due,
                Err(error) => return warn!("Looking for media kept long enough failed: {}", chain(&error)),
            };
            let last = due.len() < REMOVE_AT_ONCE;
            for (account, id) in due {
                if let Err(error) = self.store.remove_media(account, id, now).await {
                    return warn!(generation.id = %id, "Removing the media of {id} failed: {}", chain(&error));
                }
                info!(generation.id = %id, "The media of {id} were kept long enough and are removed");
            }
            if last {
                return;
            }
        }
    }

    /// What webhooks were told, once it is old.
    pub async fn forget_deliveries(&self) {
        let before = (self.clock)().minus_ms(self.options.webhook_log_ms);
        if let Err(error) = self.store.forget_deliveries(before).await {
            warn!("Forgetting old webhook deliveries failed: {}", chain(&error));
        }
    }

    /// Workers that are silent, offers that nobody announces any more, attempts that are old.
    pub async fn forget_workers(&self) {
        let now = (self.clock)();
        let old = OldWorkers {
            workers: now.minus_ms(self.options.workers_ms),
            offers: now.minus_ms(self.options.offers_ms),
            attempts: now.minus_ms(ATTEMPTS_MS),
            requests: now,
        };
        if let Err(error) = self.store.forget_workers(old).await {
            warn!("Forgetting old workers failed: {}", chain(&error));
        }
    }

    /// Blobs that nobody refers to.
    pub async fn sweep(&self) {
        let swept = self
            .blobs
            .sweep(&*self.store, self.options.sweep_grace_ms, (self.clock)())
            .await;
        match swept {
            Ok(report) => tracing::debug!("Sweeping blobs: {report:?}"),
            Err(error) => warn!("Sweeping blobs failed: {}", chain(&error)),
        }
    }
}

/// Does something every so often until the wish to shut down, which waits for what is under way.
async fn again<F: Future<Output = ()>>(
    shutdown: &CancellationToken,
    every: Duration,
    mut what: impl FnMut() -> F,
) {
    let mut tick = interval_at(Instant::now(), every.max(Duration::from_millis(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
        what().await;
    }
}

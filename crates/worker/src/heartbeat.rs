//! Keeps a lease alive while an attempt works, carries its progress to the store, and hears there when to stop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kinora_domain::{Progress, Status, Timestamp};
use kinora_media::chain;
use kinora_store::{Heartbeat, LeaseKey, Store};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    Clock,
    progress::Meter,
    stop::{Stop, StopReason},
};

/// Everything a heartbeat needs.
pub(crate) struct Pulse {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) lease: LeaseKey,
    pub(crate) lease_ms: u64,
    pub(crate) heartbeat_ms: u64,
    /// How long an attempt may go on after the wish to shut down.
    pub(crate) drain_ms: u64,
    /// When the lease was last renewed.
    pub(crate) renewed_at: Timestamp,
    pub(crate) clock: Clock,
    pub(crate) meter: Meter,
    pub(crate) stop: Stop,
    pub(crate) shutdown: CancellationToken,
    /// Ends that time at once.
    pub(crate) hurry: CancellationToken,
    /// Set once the attempt tells its end: what the store then says of the lease is that end.
    pub(crate) settling: Arc<AtomicBool>,
}

impl Pulse {
    /// Beats until it is dropped. A wish to stop is passed on and the lease kept all the same, so that the attempt
    /// can settle what it has; only a lost lease ends the beating.
    pub(crate) async fn beat(mut self) {
        let mut watch = self.store.watch(self.lease.generation);
        let mut tick = tokio::time::interval(Duration::from_millis(self.heartbeat_ms.max(10)));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let drained = drained(self.shutdown.clone(), self.hurry.clone(), self.drain_ms);
        tokio::pin!(drained);
        let mut shutting_down = false;
        let mut sent = None;
        let mut watching = true;
        while self.stop.reason() != Some(StopReason::LeaseLost) {
            tokio::select! {
                _ = tick.tick() => self.renew(&mut sent).await,
                changed = watch.changed(), if watching => {
                    watching = changed.is_ok();
                    self.look().await;
                }
                () = &mut drained, if !shutting_down => {
                    shutting_down = true;
                    self.stop.request(StopReason::ShutDown);
                }
            }
        }
    }

    /// A store that does not answer is asked again at the next beat, until the lease must be taken for lost.
    async fn renew(&mut self, sent: &mut Option<Progress>) {
        let now = (self.clock)();
        let progress = self.meter.now();
        let news = (*sent != Some(progress)).then_some(progress);
        match self.store.heartbeat(self.lease, news, self.lease_ms, now).await {
            Ok(answer) => {
                *sent = Some(progress);
                self.hear(answer, now);
            }
            Err(error) if (self.clock)() < self.renewed_at.plus_ms(self.lease_ms) => {
                let id = self.lease.generation;
                warn!(generation.id = %id, "A heartbeat for {id} failed and will be repeated: {}", chain(&error));
            }
            Err(_) => self.lose(),
        }
    }

    fn hear(&mut self, answer: Heartbeat, now: Timestamp) {
        match answer {
            Heartbeat::Renewed => self.renewed_at = now,
            Heartbeat::CancelRequested => {
                self.renewed_at = now;
                self.stop.request(StopReason::Canceled);
            }
            Heartbeat::LeaseLost => self.lose(),
        }
    }

    /// Something visible has changed, perhaps by this heartbeat itself: so this only reads.
    async fn look(&self) {
        // What is wrong with the store shows at the next beat.
        let Ok(Some(generation)) = self.store.generation(self.lease.generation).await else {
            return;
        };
        match generation.status {
            Status::Running {
                lease,
                cancel_requested,
                ..
            } if lease.token == self.lease.token => {
                if cancel_requested {
                    self.stop.request(StopReason::Canceled);
                }
            }
            Status::Queued { .. }
            | Status::Running { .. }
            | Status::Succeeded(_)
            | Status::Failed(_)
            | Status::Canceled => self.lose(),
        }
    }

    fn lose(&self) {
        let id = self.lease.generation;
        if !self.settling.load(Ordering::Acquire) {
            info!(generation.id = %id, "The lease on {id} is lost; this attempt ends without a word");
        }
        self.stop.request(StopReason::LeaseLost);
    }
}

/// Ends when the worker shuts down and the time to finish is over.
async fn drained(shutdown: CancellationToken, hurry: CancellationToken, drain_ms: u64) {
    shutdown.cancelled().await;
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(drain_ms)) => {}
        () = hurry.cancelled() => {}
    }
}

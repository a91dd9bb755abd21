//! Tells everybody else that this worker is there, and hears what it is told: to drain, or to go on.

use std::{sync::Arc, time::Duration};

use kinora_domain::{Announcement, WorkerState};
use kinora_media::chain;
use kinora_store::Store;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::Clock;

/// The longest time between two beats, so that what is told of a worker is of now.
const BEAT_MS_MAX: u64 = 5_000;

/// A worker as it shows itself.
pub(crate) struct Presence {
    store: Arc<dyn Store>,
    announcement: Announcement,
    beat: Duration,
    clock: Clock,
    told: watch::Sender<WorkerState>,
}

impl Presence {
    /// Nothing is announced yet. Who is silent for `lease_ms` is taken for dead, so that it beats three times as often.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        announcement: Announcement,
        lease_ms: u64,
        clock: Clock,
    ) -> Presence {
        Presence {
            store,
            announcement,
            beat: Duration::from_millis((lease_ms / 3).clamp(10, BEAT_MS_MAX)),
            clock,
            told: watch::Sender::new(WorkerState::Working),
        }
    }

    /// What the worker is told to do.
    pub(crate) fn told(&self) -> watch::Receiver<WorkerState> {
        self.told.subscribe()
    }

    /// Announces it again and again, until `ended`, and then takes leave. What goes wrong goes better at the next beat.
    ///
    /// An announcement that is under way is waited for: one that came after the leave would make a ghost.
    pub(crate) async fn keep(&self, shutdown: &CancellationToken, ended: &CancellationToken) {
        let mut changes = self.store.watch_workers();
        let mut tick = interval_at(Instant::now() + self.beat, self.beat);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ending = false;
        loop {
            tokio::select! {
                _ = tick.tick() => self.announce(shutdown).await,
                // Whatever has changed among the workers: this one looks whether it was meant, and writes nothing, for its
                // writing would make the others look.
                changed = changes.changed() => {
                    match changed {
                        Ok(()) => self.look().await,
                        Err(_) => changes = self.store.watch_workers(),
                    }
                }
                () = shutdown.cancelled(), if !ending => {
                    ending = true;
                    self.announce(shutdown).await;
                }
                () = ended.cancelled() => break,
            }
        }
        if let Err(error) = self.store.take_leave(self.announcement.id).await {
            // Its row is removed for its silence.
            warn!("The worker's leave could not be told: {}", chain(&error));
        }
    }

    /// Announces it; draining, once it shuts down.
    pub(crate) async fn announce(&self, shutdown: &CancellationToken) {
        let state = match shutdown.is_cancelled() {
            true => WorkerState::Draining,
            false => WorkerState::Working,
        };
        match self
            .store
            .announce(self.announcement.clone(), state, (self.clock)())
            .await
        {
            Ok(state) => self.hear(state, shutdown.is_cancelled()),
            Err(error) => warn!(
                "Announcing the worker failed and will be repeated: {}",
                chain(&error)
            ),
        }
    }

    async fn look(&self) {
        match self.store.worker_state(self.announcement.id).await {
            Ok(Some(state)) => self.hear(state, false),
            // Somebody took it for dead; the next beat announces it anew.
            Ok(None) => {}
            Err(error) => warn!("The worker's state could not be read: {}", chain(&error)),
        }
    }

    fn hear(&self, state: WorkerState, by_itself: bool) {
        let changed = self
            .told
            .send_if_modified(|told| std::mem::replace(told, state) != state);
        if changed && !by_itself {
            let name = &self.announcement.name;
            match state {
                WorkerState::Working => info!("The worker {name} is told to take work again"),
                WorkerState::Draining => info!("The worker {name} is told to drain: it takes no more work"),
            }
        }
    }
}

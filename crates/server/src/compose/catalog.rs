//! Keeps what this node offers up to date with the workers there are: read when one comes or goes, and now and then;
//! never for a request.

use std::{sync::Arc, time::Duration};

use kinora_domain::{AnnouncedOffer, Published, Silence};
use kinora_media::chain;
use kinora_store::Store;
use kinora_worker::{LiveCatalog, now};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::config::RoutesConfig;

/// How often it is read although nothing was told: workers that die tell nobody.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The least time between two readings: many workers may come at once.
const BREATH: Duration = Duration::from_millis(100);

/// Reads who offers what, and publishes it here. Cheap to clone.
#[derive(Clone)]
pub struct CatalogKeeper {
    /// Where workers announce themselves.
    pub store: Arc<dyn Store>,
    /// What this process knows to be offered without being told.
    pub own: Vec<AnnouncedOffer>,
    /// In which order engines are asked.
    pub routes: RoutesConfig,
    /// How long silence means what.
    pub silence: Silence,
    /// What is kept.
    pub live: LiveCatalog,
}

impl CatalogKeeper {
    /// Reads it once.
    pub async fn read(&self) -> kinora_store::Result<()> {
        let (workers, offers) = (self.store.workers().await?, self.store.offers().await?);
        let route = |feature, offers: &[AnnouncedOffer]| self.routes.order(feature, offers);
        let published = Published::new(&self.own, &workers, &offers, self.silence, now(), route);
        self.live.set(published);
        Ok(())
    }

    /// Goes on reading it until the wish to shut down. Where that fails, what was offered last is offered on.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut changes = self.store.watch_workers();
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = look.tick() => {}
                changed = changes.changed() => if changed.is_err() { changes = self.store.watch_workers() },
            }
            if let Err(error) = self.read().await {
                tracing::warn!("What is offered could not be read: {}", chain(&error));
            }
            sleep(BREATH).await;
        }
    }
}

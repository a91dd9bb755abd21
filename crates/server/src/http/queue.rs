//! What operators and their programs ask: how much waits, who works, how it goes. For people it is `kinora top`, for
//! Prometheus a part of `/metrics`, for an autoscaler JSON.

use std::{
    fmt::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Json, extract::State};
use kinora_domain::{OfferFigures, OfferId, SeenWorker, Timestamp, WorkerState};
use kinora_store::Store;
use tokio::sync::Mutex;

use super::{App, error::ApiResult, wire::QueueView};

/// The window in which ends are counted.
pub const WINDOW_MS: u64 = 10 * 60 * 1000;

/// How old figures may be: however many ask, the database is asked this often.
const FRESH: Duration = Duration::from_secs(2);

/// What there is to tell at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// When it was read.
    pub at: Timestamp,
    /// By offer.
    pub offers: Vec<OfferFigures>,
    /// Who works; the dead left out.
    pub workers: Vec<SeenWorker>,
}

impl Figures {
    /// Reads them.
    pub async fn read(store: &dyn Store, lease_ms: u64, now: Timestamp) -> kinora_store::Result<Figures> {
        let mut workers = store.workers().await?;
        workers.retain(|worker| worker.is_living(now, lease_ms));
        Ok(Figures {
            at: now,
            offers: store.figures(now.minus_ms(WINDOW_MS)).await?,
            workers,
        })
    }

    /// Workers that take work of an offer, and how many generations they run at once.
    pub fn takers(&self, offer: &OfferId) -> (u64, u64) {
        let takers = self.workers.iter().filter(|worker| {
            let mut offers = worker.announcement.offers.iter();
            worker.state == WorkerState::Working && offers.any(|announced| announced.offer.id == *offer)
        });
        takers.fold((0, 0), |(workers, slots), worker| {
            (workers + 1, slots + u64::from(worker.announcement.slots))
        })
    }
}

/// The last figures that were read.
#[derive(Debug, Default)]
pub struct LastFigures(Mutex<Option<(Instant, Arc<Figures>)>>);

impl LastFigures {
    /// Those of the last moments, or new ones. Who comes while they are read waits for them.
    pub async fn get(
        &self,
        store: &dyn Store,
        lease_ms: u64,
        now: Timestamp,
    ) -> kinora_store::Result<Arc<Figures>> {
        let mut last = self.0.lock().await;
        if let Some((read_at, figures)) = &*last
            && read_at.elapsed() < FRESH
        {
            return Ok(Arc::clone(figures));
        }
        let figures = Arc::new(Figures::read(store, lease_ms, now).await?);
        *last = Some((Instant::now(), Arc::clone(&figures)));
        Ok(figures)
    }
}

impl App {
    /// What there is to tell of the queue.
    pub async fn figures(&self) -> kinora_store::Result<Arc<Figures>> {
        self.last_figures
            .get(&*self.store, self.settings.lease_ms, (self.clock)())
            .await
    }
}

/// GET `/queue`, on the listeners of operators.
pub async fn get_queue(State(app): State<App>) -> ApiResult<Json<QueueView>> {
    let figures = app.figures().await?;
    Ok(Json(QueueView::new(&figures)))
}

/// The figures in Prometheus' words. They are of the installation: every node tells the same.
pub fn to_prometheus(figures: &Figures) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, values: Vec<(Option<&str>, f64)>| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (model, value) in values {
            let _ = match model {
                Some(model) => writeln!(text, "{name}{{model=\"{}\"}} {value}", escaped(model)),
                None => writeln!(text, "{name} {value}"),
            };
        }
    };
    let sum = |of: fn(&OfferFigures) -> u64| figures.offers.iter().map(of).sum::<u64>() as f64;
    let age_s = |since: Option<Timestamp>| since.map_or(0.0, |at| figures.at.ms_since(at) as f64 / 1000.0);
    let oldest = figures
        .offers
        .iter()
        .filter_map(|offer| offer.oldest_queued_at)
        .min();
    gauge(
        "kinora_generations_queued",
        "Generations that wait.",
        vec![(None, sum(|offer| offer.queued))],
    );
    gauge(
        "kinora_generations_running",
        "Generations that run.",
        vec![(None, sum(|offer| offer.running))],
    );
    gauge(
        "kinora_oldest_queued_age_seconds",
        "Age of the generation that waits longest.",
        vec![(None, age_s(oldest).floor())],
    );
    gauge(
        "kinora_workers",
        "Workers that live.",
        vec![(None, figures.workers.len() as f64)],
    );
    let each = |of: &dyn Fn(&OfferFigures) -> f64| -> Vec<(Option<&str>, f64)> {
        let offers = figures.offers.iter();
        offers
            .map(|offer| (Some(offer.offer.0.as_str()), of(offer)))
            .collect()
    };
    gauge(
        "kinora_queue_seconds",
        "What waits, as the time that one slot would need for it.",
        each(&|offer| offer.queue_ms() as f64 / 1000.0),
    );
    gauge(
        "kinora_queue_depth",
        "Generations that wait.",
        each(&|offer| offer.queued as f64),
    );
    gauge(
        "kinora_queue_oldest_age_seconds",
        "Age of the generation that waits longest.",
        each(&|offer| age_s(offer.oldest_queued_at)),
    );
    gauge(
        "kinora_queue_running",
        "Generations that run.",
        each(&|offer| offer.running as f64),
    );
    gauge(
        "kinora_queue_workers",
        "Workers that take work.",
        each(&|offer| figures.takers(&offer.offer).0 as f64),
    );
    gauge(
        "kinora_queue_slots",
        "Generations that they run at once, whatever the offer.",
        each(&|offer| figures.takers(&offer.offer).1 as f64),
    );
    gauge(
        "kinora_attempts_succeeded",
        "Attempts of the last 10 minutes that ended well.",
        each(&|offer| offer.succeeded as f64),
    );
    gauge(
        "kinora_attempts_failed",
        "Attempts of the last 10 minutes that ended their generation badly.",
        each(&|offer| offer.failed as f64),
    );
    gauge(
        "kinora_attempts_retried",
        "Attempts of the last 10 minutes after which their generation waits again.",
        each(&|offer| offer.retried as f64),
    );
    let measured = figures.offers.iter().filter_map(|offer| {
        let work_ms = offer.work_ms?;
        Some((Some(offer.offer.0.as_str()), work_ms as f64 / 1000.0))
    });
    gauge(
        "kinora_work_seconds",
        "Median of the latest attempts that ended well, from claim to end.",
        measured.collect(),
    );
    text
}

fn escaped(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_reads_them() {
        let figures = Figures {
            at: Timestamp(20_500),
            offers: vec![
                OfferFigures {
                    queued: 3,
                    oldest_queued_at: Some(Timestamp(10_000)),
                    running: 1,
                    succeeded: 5,
                    work_ms: Some(2_500),
                    ..OfferFigures::none(OfferId("wan-mini".to_owned()))
                },
                OfferFigures {
                    queued: 1,
                    ..OfferFigures::none(OfferId("a\"b".to_owned()))
                },
            ],
            workers: Vec::new(),
        };
        let text = to_prometheus(&figures);
        for line in [
            "kinora_generations_queued 4",
            "kinora_generations_running 1",
            "kinora_oldest_queued_age_seconds 10",
            "kinora_queue_seconds{model=\"wan-mini\"} 7.5",
            "kinora_queue_seconds{model=\"a\\\"b\"} 60",
            "kinora_queue_oldest_age_seconds{model=\"wan-mini\"} 10.5",
            "kinora_attempts_succeeded{model=\"wan-mini\"} 5",
            "kinora_work_seconds{model=\"wan-mini\"} 2.5",
            "# TYPE kinora_work_seconds gauge",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line:?} is not in\n{text}"
            );
        }
        assert!(!text.contains("kinora_work_seconds{model=\"a"), "{text}");
    }
}

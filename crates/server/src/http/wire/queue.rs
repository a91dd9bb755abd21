//! The queue and its workers, for operators' programs.

use kinora_domain::{Announcement, Hardware, OfferFigures, SeenWorker, Timestamp};
use serde::Serialize;

use crate::http::queue::{Figures, WINDOW_MS};

/// The queue and its workers at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueueView {
    /// When.
    pub at: String,
    /// Generations that wait.
    pub queued: u64,
    /// Generations that run.
    pub running: u64,
    /// What waits, as the time that one slot would need for it.
    pub queue_seconds: f64,
    /// The window in which ends are counted.
    pub window_seconds: u64,
    /// By offer.
    pub offers: Vec<OfferView>,
    /// Who works.
    pub workers: Vec<WorkerView>,
}

/// The queue of one offer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OfferView {
    /// Its name.
    pub id: String,
    /// Generations that wait.
    pub queued: u64,
    /// How long the oldest of them has waited; null where none does.
    pub oldest_queued_seconds: Option<f64>,
    /// Generations that run.
    pub running: u64,
    /// What waits, as the time that one slot would need for it.
    pub queue_seconds: f64,
    /// Workers that take work.
    pub workers: u64,
    /// Generations that they run at once, whatever the offer.
    pub slots: u64,
    /// Attempts of the window that ended well.
    pub succeeded: u64,
    /// Attempts of the window that ended their generation badly.
    pub failed: u64,
    /// Attempts of the window after which their generation waits again.
    pub retried: u64,
    /// Median of the latest attempts that ended well; null before the first.
    pub work_seconds: Option<f64>,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerView {
    /// Who it is.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `working` or `draining`.
    pub state: &'static str,
    /// Of its program.
    pub version: String,
    /// What it can run.
    pub offers: Vec<String>,
    /// How many it runs at once.
    pub slots: u32,
    /// What it runs.
    pub running: Vec<String>,
    /// Processors that it may use.
    pub cores: u32,
    /// Memory that it may use; 0 where that is unknown.
    pub memory_bytes: u64,
    /// Instructions that its kernels choose by.
    pub cpu_features: Vec<String>,
    /// When it started.
    pub started_at: String,
    /// When it was last heard of.
    pub seen_at: String,
}

impl QueueView {
    /// What the figures say.
    pub fn new(figures: &Figures) -> QueueView {
        let Figures { at, offers, workers } = figures;
        QueueView {
            at: at.to_string(),
            queued: offers.iter().map(|offer| offer.queued).sum(),
            running: offers.iter().map(|offer| offer.running).sum(),
            queue_seconds: seconds(offers.iter().map(OfferFigures::queue_ms).sum()),
            window_seconds: WINDOW_MS / 1000,
            offers: offers
                .iter()
                .map(|offer| OfferView::new(offer, figures))
                .collect(),
            workers: workers.iter().map(WorkerView::new).collect(),
        }
    }
}

impl OfferView {
    fn new(offer: &OfferFigures, figures: &Figures) -> OfferView {
        let OfferFigures {
            offer: id,
            queued,
            oldest_queued_at,
            running,
            succeeded,
            failed,
            retried,
            work_ms,
        } = offer;
        let (workers, slots) = figures.takers(id);
        let age = |since: &Timestamp| seconds(figures.at.ms_since(*since));
        OfferView {
            id: id.to_string(),
            queued: *queued,
            oldest_queued_seconds: oldest_queued_at.as_ref().map(age),
            running: *running,
            queue_seconds: seconds(offer.queue_ms()),
            workers,
            slots,
            succeeded: *succeeded,
            failed: *failed,
            retried: *retried,
            work_seconds: work_ms.map(seconds),
        }
    }
}

impl WorkerView {
    /// A worker as it was seen.
    pub fn new(worker: &SeenWorker) -> WorkerView {
        let SeenWorker {
            announcement:
                Announcement {
                    id,
                    name,
                    version,
                    offers,
                    slots,
                    hardware:
                        Hardware {
                            cores,
                            memory_bytes,
                            cpu_features,
                        },
                    started_at,
                },
            state,
            seen_at,
            running,
        } = worker;
        WorkerView {
            id: id.to_string(),
            name: name.clone(),
            state: state.as_str(),
            version: version.clone(),
            offers: offers
                .iter()
                .map(|announced| announced.offer.id.to_string())
                .collect(),
            slots: *slots,
            running: running.iter().map(ToString::to_string).collect(),
            cores: *cores,
            memory_bytes: *memory_bytes,
            cpu_features: cpu_features.clone(),
            started_at: started_at.to_string(),
            seen_at: seen_at.to_string(),
        }
    }
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

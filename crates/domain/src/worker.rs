//! Workers as everybody else sees them: what each tells of itself, what is offered because of it, and how much work waits.
//!
//! Nobody keeps a list of workers by hand. A worker announces itself and is taken for living while it goes on doing so;
//! what living workers can do is what an installation offers, and so, for a while, is what the last of them could do.

use std::{fmt, str::FromStr};

use crate::{
    catalog::{Catalog, FeatureOffer, Offer, OfferId},
    feature::Feature,
    ids::{GenerationId, WorkerId},
    time::Timestamp,
};

/// What a worker tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Who it is, from its start to its end.
    pub id: WorkerId,
    /// What people call it. Several may share a name, and are then meant together.
    pub name: String,
    /// Of the program it runs.
    pub version: String,
    /// What it can run.
    pub offers: Vec<AnnouncedOffer>,
    /// How many generations it runs at once.
    pub slots: u32,
    /// What it runs on.
    pub hardware: Hardware,
    /// When it started.
    pub started_at: Timestamp,
}

/// An offer, and how routes name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnouncedOffer {
    /// What can be made.
    pub offer: Offer,
    /// The section of the configuration that describes its engine.
    pub section: String,
}

/// The machine, or the share of one, that a worker has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hardware {
    /// Processors that it may use.
    pub cores: u32,
    /// Memory that it may use; 0 where that is unknown.
    pub memory_bytes: u64,
    /// Instructions that kernels choose by, such as `avx2`.
    pub cpu_features: Vec<String>,
}

/// Whether a worker takes work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// It does.
    Working,
    /// It finishes what it has and takes nothing more.
    Draining,
}

impl WorkerState {
    /// Both.
    pub const ALL: [WorkerState; 2] = [WorkerState::Working, WorkerState::Draining];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            WorkerState::Working => "working",
            WorkerState::Draining => "draining",
        }
    }
}

impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for WorkerState {
    type Err = ();

    fn from_str(text: &str) -> Result<WorkerState, ()> {
        WorkerState::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(())
    }
}

/// A worker that has announced itself and not taken leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenWorker {
    /// What it told.
    pub announcement: Announcement,
    /// Whether it takes work.
    pub state: WorkerState,
    /// When it was last heard of.
    pub seen_at: Timestamp,
    /// What it holds leases on.
    pub running: Vec<GenerationId>,
}

impl SeenWorker {
    /// Whether it is taken for living: heard of within a lease, as its generations are.
    pub fn is_living(&self, now: Timestamp, lease_ms: u64) -> bool {
        now.ms_since(self.seen_at) <= lease_ms
    }
}

/// An offer that was announced at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenOffer {
    /// As it was announced last.
    pub announced: AnnouncedOffer,
    /// When that was.
    pub seen_at: Timestamp,
}

/// How long silence means what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// After this a worker is taken for dead.
    pub lease_ms: u64,
    /// After this what nobody can run any more is not offered either. Until then it waits in the queue: workers may
    /// have been scaled to none, and may come back because of it.
    pub offers_ms: u64,
}

/// What an installation offers at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Published {
    /// All that may be asked for: what can be run at once first, then what waits for a worker to come back.
    pub catalog: Catalog,
    /// Only what living workers can run.
    pub living: Catalog,
}

impl Published {
    /// What follows from the workers and offers that were seen, and from what this process knows of by itself.
    ///
    /// Where several describe an offer of one name, what is published is what all of them can do: any of them may get the
    /// generation. `route` puts those of one feature in order, and may leave some out.
    pub fn new(
        own: &[AnnouncedOffer],
        workers: &[SeenWorker],
        offers: &[SeenOffer],
        silence: Silence,
        now: Timestamp,
        route: impl Fn(Feature, &[AnnouncedOffer]) -> Vec<OfferId>,
    ) -> Published {
        let living = workers
            .iter()
            .filter(|worker| worker.is_living(now, silence.lease_ms));
        let announced = living.flat_map(|worker| &worker.announcement.offers);
        let mut living: Vec<AnnouncedOffer> = Vec::new();
        for AnnouncedOffer { offer, section } in own.iter().chain(announced) {
            match living.iter_mut().find(|known| known.offer.id == offer.id) {
                Some(known) => known.offer = known.offer.narrowed(offer),
                None => living.push(AnnouncedOffer {
                    offer: offer.clone(),
                    section: section.clone(),
                }),
            }
        }
        let is_living = |id: &OfferId| living.iter().any(|known| known.offer.id == *id);
        let mut absent: Vec<AnnouncedOffer> = offers
            .iter()
            .filter(|seen| now.ms_since(seen.seen_at) <= silence.offers_ms)
            .filter(|seen| !is_living(&seen.announced.offer.id))
            .map(|seen| seen.announced.clone())
            .collect();
        absent.sort_by(|a, b| a.offer.id.cmp(&b.offer.id));
        living.sort_by(|a, b| a.offer.id.cmp(&b.offer.id));

        let all = || {
            living
                .iter()
                .chain(&absent)
                .map(|announced| announced.offer.clone())
        };
        Published {
            catalog: Catalog::with_routes(all().collect(), |feature| {
                [route(feature, &living), route(feature, &absent)].concat()
            }),
            living: Catalog::with_routes(
                living.iter().map(|announced| announced.offer.clone()).collect(),
                |feature| route(feature, &living),
            ),
        }
    }
}

impl Offer {
    /// What both can do. The words are this one's.
    pub fn narrowed(&self, other: &Offer) -> Offer {
        let Offer { id, about, features } = self;
        let both = |limits: &FeatureOffer| {
            let narrowed = limits.narrowed(other.feature(limits.feature)?);
            (!narrowed.starts.is_empty()).then_some(narrowed)
        };
        Offer {
            id: id.clone(),
            about: about.clone(),
            features: features.iter().filter_map(both).collect(),
        }
    }
}

impl FeatureOffer {
    /// The limits within which both are.
    fn narrowed(&self, other: &FeatureOffer) -> FeatureOffer {
        fn both<T: Copy + PartialEq>(these: &[T], those: &[T]) -> Vec<T> {
            these.iter().copied().filter(|one| those.contains(one)).collect()
        }
        let FeatureOffer {
            feature,
            starts,
            resolutions,
            aspect_ratios,
            duration_s_max,
            reference_images_max,
            reference_videos_max,
            references_max,
            audio_input,
        } = self;
        FeatureOffer {
            feature: *feature,
            starts: both(starts, &other.starts),
            resolutions: both(resolutions, &other.resolutions),
            aspect_ratios: both(aspect_ratios, &other.aspect_ratios),
            duration_s_max: (*duration_s_max).min(other.duration_s_max),
            reference_images_max: (*reference_images_max).min(other.reference_images_max),
            reference_videos_max: (*reference_videos_max).min(other.reference_videos_max),
            references_max: (*references_max).min(other.references_max),
            audio_input: *audio_input && other.audio_input,
        }
    }
}

/// What waits, runs and has ended lately for one offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferFigures {
    /// Which offer.
    pub offer: OfferId,
    /// Generations that wait, delayed retries included.
    pub queued: u64,
    /// When the one that waits longest was submitted.
    pub oldest_queued_at: Option<Timestamp>,
    /// Generations that run.
    pub running: u64,
    /// Attempts that ended well within the window.
    pub succeeded: u64,
    /// Attempts within the window that ended their generation badly.
    pub failed: u64,
    /// Attempts within the window after which their generation waits again: for a retry, for another offer, because the
    /// worker died or gave it back.
    pub retried: u64,
    /// The median of the latest attempts that ended well, from claim to end; `None` before the first.
    pub work_ms: Option<u64>,
}

/// What a generation is taken to cost that nothing is known of: an autoscaler must hear of the first one, too.
const WORK_MS_UNKNOWN: u64 = 60_000;

impl OfferFigures {
    /// None of everything.
    pub fn none(offer: OfferId) -> OfferFigures {
        OfferFigures {
            offer,
            queued: 0,
            oldest_queued_at: None,
            running: 0,
            succeeded: 0,
            failed: 0,
            retried: 0,
            work_ms: None,
        }
    }

    /// What waits, as the time that one slot would need for it.
    pub fn queue_ms(&self) -> u64 {
        self.queued
            .saturating_mul(self.work_ms.unwrap_or(WORK_MS_UNKNOWN))
    }
}

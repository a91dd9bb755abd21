//! The slots of a worker: each claims a generation, carries it to an end, and claims the next.

use std::{
    io,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::FutureExt;
use kinora_domain::{
    AnnouncedOffer, Announcement, Artifact, Generation, GenerationId, NextOffer, OfferId, PriceTable, Status,
    Success, Warning, WorkerId, WorkerState,
};
use kinora_engine::Publisher;
use kinora_media::{Toolbox, chain, compose::Preset, fetch::Fetcher};
use kinora_store::{Claim, Claimed, Finished, Outcome, Store, blobs::Blobs};
use thiserror::Error;
use tokio::{runtime::Handle, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    Clock,
    attempt::{Product, Task, Workshop, attempt},
    engines::{EngineFactory, Engines, message_of},
    error::AttemptError,
    hardware::hardware,
    heartbeat::Pulse,
    live::LiveCatalog,
    notes::{Notebooks, UnderLease},
    presence::Presence,
    previews::Previews,
    progress::Meter,
    publish::{PublishBlob, publisher},
    scratch::Scratch,
    stop::{Stop, StopReason},
};

/// Everything a worker works with.
pub struct WorkerParts {
    /// Who it is.
    pub identity: Identity,
    /// Where generations come from and go to.
    pub store: Arc<dyn Store>,
    /// Where clips are kept.
    pub blobs: Arc<Blobs>,
    /// Decodes and encodes.
    pub toolbox: Toolbox,
    /// Fetches users' URLs.
    pub fetcher: Fetcher,
    /// The engines it can run; it claims generations of their offers.
    pub engines: Vec<EngineFactory>,
    /// In which order engines are asked, here and elsewhere: where a generation goes that one of them could not begin.
    pub catalog: LiveCatalog,
    /// Gives inputs a public URL, where this installation has one that can be reached.
    pub publish: Option<PublishBlob>,
    /// What generations cost.
    pub prices: PriceTable,
    /// The rest.
    pub options: WorkerOptions,
    /// Tells the time.
    pub clock: Clock,
}

/// Who a worker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who it is in leases and logs.
    pub id: WorkerId,
    /// What people call it.
    pub name: String,
    /// Of its program.
    pub version: String,
}

/// How a worker goes about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerOptions {
    /// How many generations it works on at once.
    pub slots: usize,
    /// How long a lease lasts without a heartbeat.
    pub lease_ms: u64,
    /// How often a heartbeat is sent, and how old the progress is that clients see; more often where a third of
    /// the lease is shorter, so that a late or failed one costs nothing.
    pub heartbeat_ms: u64,
    /// How often it looks for work that no bell announced.
    pub poll_ms: u64,
    /// How many attempts a generation gets.
    pub attempts_max: u32,
    /// The wait before the second attempt; it doubles with each further one.
    pub retry_ms: u64,
    /// The longest such wait.
    pub retry_ms_max: u64,
    /// How long generations may go on after the wish to shut down.
    pub drain_ms: u64,
    /// How many of one account's generations may run at once, where the account has no cap of its own.
    pub running_max: u32,
    /// The encoder's bargain between time and size.
    pub preset: Preset,
    /// Where attempts put their files; on the same file system as the blobs, so that clips need not be copied.
    pub scratch: PathBuf,
}

impl WorkerOptions {
    /// The defaults, with scratch files in this folder.
    pub fn new(scratch: PathBuf) -> WorkerOptions {
        WorkerOptions {
            slots: 1,
            lease_ms: 15_000,
            heartbeat_ms: 500,
            poll_ms: 1_000,
            attempts_max: 3,
            retry_ms: 2_000,
            retry_ms_max: 60_000,
            drain_ms: 30_000,
            running_max: 4,
            preset: Preset::default(),
            scratch,
        }
    }
}

/// Why a worker cannot work.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// Its scratch folder cannot be used.
    #[error("the scratch folder {folder} cannot be used")]
    Scratch {
        /// Which.
        folder: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// Carries generations to an end. Cheap to clone; all clones are the same worker.
#[derive(Clone)]
pub struct Worker {
    shared: Arc<Shared>,
}

struct Shared {
    identity: Identity,
    store: Arc<dyn Store>,
    blobs: Arc<Blobs>,
    workshop: Workshop,
    engines: Arc<[EngineFactory]>,
    catalog: LiveCatalog,
    publish: Option<PublishBlob>,
    prices: PriceTable,
    options: WorkerOptions,
    clock: Clock,
    scratch: Scratch,
}

impl Worker {
    /// Gets ready: makes the scratch folder and clears what a crash left there. Nothing is claimed yet.
    pub fn new(parts: WorkerParts) -> Result<Worker, WorkerError> {
        let WorkerParts {
            identity,
            store,
            blobs,
            toolbox,
            fetcher,
            engines,
            catalog,
            publish,
            prices,
            options,
            clock,
        } = parts;
        let scratch =
            Scratch::open(&options.scratch, identity.id).map_err(|source| WorkerError::Scratch {
                folder: options.scratch.clone(),
                source,
            })?;
        let kept = Arc::clone(&blobs);
        let workshop = Workshop {
            toolbox,
            fetcher,
            preset: options.preset,
            locate: Box::new(move |blob, at| {
                let kept = Arc::clone(&kept);
                Box::pin(async move { kept.locate(blob, &at).await })
            }),
        };
        let engines = engines.into();
        let shared = Shared {
            identity,
            store,
            blobs,
            workshop,
            engines,
            catalog,
            publish,
            prices,
            options,
            clock,
            scratch,
        };
        Ok(Worker {
            shared: Arc::new(shared),
        })
    }

    /// Works until the wish to shut down: then claims nothing more, gives what runs `drain_ms` to finish, gives back
    /// what has not, and returns. The wish to hurry ends that time at once. While it works it is announced.
    pub async fn run(&self, shutdown: CancellationToken, hurry: CancellationToken) {
        let shared = &self.shared;
        let claims = shared.offers_of_slots();
        let presence = shared.presence(claims.len());
        presence.announce(&shutdown).await;
        let mut slots = JoinSet::new();
        for offers in claims {
            let orders = Orders {
                told: presence.told(),
                shutdown: shutdown.clone(),
                hurry: hurry.clone(),
            };
            slots.spawn(Arc::clone(shared).slot(offers, orders));
        }
        // It is announced for as long as a slot works.
        let ended = CancellationToken::new();
        let working = async {
            if slots.is_empty() {
                warn!("There is no engine to work with; the worker waits for its end");
                shutdown.cancelled().await;
            }
            while let Some(ended) = slots.join_next().await {
                if let Err(error) = ended {
                    error!("A slot of the worker ended: {error}");
                }
            }
            ended.cancel();
        };
        tokio::join!(working, presence.keep(&shutdown, &ended));
    }
}

/// What a slot is told, by people and by its process.
struct Orders {
    told: watch::Receiver<WorkerState>,
    shutdown: CancellationToken,
    hurry: CancellationToken,
}

impl Shared {
    /// How it shows itself.
    fn presence(&self, slots: usize) -> Presence {
        let Identity { id, name, version } = self.identity.clone();
        let offer = |factory: &EngineFactory| AnnouncedOffer {
            offer: factory.offer.clone(),
            section: factory.section.to_owned(),
        };
        let announcement = Announcement {
            id,
            name,
            version,
            offers: self.engines.iter().map(offer).collect(),
            slots: u32::try_from(slots).unwrap_or(u32::MAX),
            hardware: hardware(),
            started_at: (self.clock)(),
        };
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        Presence::new(store, announcement, self.options.lease_ms, clock)
    }

    /// What each slot claims: the machine's slots whatever is made on the machine, the others their one offer.
    fn offers_of_slots(&self) -> Vec<Vec<OfferId>> {
        let (others, ours): (Vec<_>, Vec<_>) = self
            .engines
            .iter()
            .partition(|factory| factory.own_slots.is_some());
        let id = |factory: &&EngineFactory| factory.offer.id.clone();
        let mut slots = Vec::new();
        if !ours.is_empty() {
            let offers: Vec<OfferId> = ours.iter().map(id).collect();
            slots.resize(self.options.slots.max(1), offers);
        }
        for factory in others {
            let count = factory.own_slots.unwrap_or(1).max(1);
            slots.extend(std::iter::repeat_n(vec![factory.offer.id.clone()], count));
        }
        slots
    }

    /// One slot: claim, carry, again.
    async fn slot(self: Arc<Self>, offers: Vec<OfferId>, orders: Orders) {
        let Orders {
            mut told,
            shutdown,
            hurry,
        } = orders;
        let mut engines = Engines::new(Arc::clone(&self.engines));
        let bell = self.store.queue_bell();
        while !shutdown.is_cancelled() {
            // Listening starts before the look, so that a ring in between is not missed.
            let ring = bell.notified();
            tokio::pin!(ring);
            ring.as_mut().enable();
            if *told.borrow_and_update() == WorkerState::Draining {
                tokio::select! {
                    // Who tells is there for as long as the slots are.
                    _ = told.changed() => {}
                    () = shutdown.cancelled() => {}
                }
                continue;
            }
            match self.claim(&offers).await {
                Ok(Some(claimed)) => {
                    // There may be more; another slot looks.
                    bell.notify_one();
                    self.carry(claimed, &mut engines, &shutdown, &hurry).await;
                    continue;
                }
                Ok(None) => {}
                Err(error) => warn!("Claiming failed and will be repeated: {}", chain(&error)),
            }
            tokio::select! {
                () = ring => {}
                () = tokio::time::sleep(Duration::from_millis(self.options.poll_ms)) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    async fn claim(&self, offers: &[OfferId]) -> kinora_store::Result<Option<Claimed>> {
        let claim = Claim {
            worker: self.identity.id,
            offers: offers.to_vec(),
            lease_ms: self.options.lease_ms,
            running_max: self.options.running_max,
        };
        self.store.claim(claim, (self.clock)()).await
    }

    /// One generation under one lease: the attempt beside its heartbeat, then the word about how it ended.
    async fn carry(
        &self,
        claimed: Claimed,
        engines: &mut Engines,
        shutdown: &CancellationToken,
        hurry: &CancellationToken,
    ) {
        let Claimed {
            generation,
            lease,
            attempts,
            notes,
            first_offer,
        } = claimed;
        let (id, started) = (generation.id, (self.clock)());
        info!(generation.id = %id, attempt = attempts, "Generation {id} starts, attempt {attempts}");
        let renewed_at = match &generation.status {
            Status::Running { lease, .. } => lease.expires_at.minus_ms(self.options.lease_ms),
            Status::Queued { .. } | Status::Succeeded(_) | Status::Failed(_) | Status::Canceled => started,
        };
        let (meter, stop) = (Meter::new(generation.spec.n), Stop::default());
        let _end_with_this = stop.when_dropped();
        let pulse = Pulse {
            store: Arc::clone(&self.store),
            lease,
            lease_ms: self.options.lease_ms,
            heartbeat_ms: self.options.heartbeat_ms.min(self.options.lease_ms / 3),
            drain_ms: self.options.drain_ms,
            renewed_at,
            clock: Arc::clone(&self.clock),
            meter: meter.clone(),
            stop: stop.clone(),
            shutdown: shutdown.clone(),
            hurry: hurry.clone(),
            settling: Arc::default(),
        };
        let settling = Arc::clone(&pulse.settling);
        let notebooks = Notebooks::new(UnderLease {
            store: Arc::clone(&self.store),
            lease,
            lease_ms: self.options.lease_ms,
            clock: Arc::clone(&self.clock),
            left: notes,
            runtime: Handle::current(),
        });
        let previews = Previews::kept(Arc::clone(&self.store), lease, stop.clone(), Handle::current());
        let name = id.to_string();
        let attempt = async {
            let folder = self.scratch.folder(&name).map_err(AttemptError::Scratch)?;
            let task = Task {
                spec: &generation.spec,
                name: &name,
                offer: &generation.offer,
                folder: folder.path(),
                previews,
                notebooks,
                publisher: self.publisher(id, folder.path()),
                meter: &meter,
                stop: &stop,
            };
            let product = attempt(&self.workshop, engines, task).await?;
            self.keep(&generation, &first_offer, product, &stop).await
        };
        let caught = AssertUnwindSafe(attempt).catch_unwind();
        let word = async {
            let ended = caught.await.unwrap_or_else(|panic| {
                let message = message_of(&*panic);
                Err(AttemptError::Panicked { message })
            });
            let outcome = self.outcome(&generation, ended, attempts, stop.reason())?;
            settling.store(true, Ordering::Release);
            self.finish(lease, outcome).await
        };
        // The beating ends with the word: both are raced, and the beating alone never wins.
        let finished = tokio::select! {
            finished = word => finished,
            never = async { pulse.beat().await; std::future::pending().await } => never,
        };
        if let Some(Finished::Settled(generation)) = finished {
            let seconds = (self.clock)().ms_since(started) as f64 / 1000.0;
            let status = generation.status.as_str();
            info!(generation.id = %id, status, "Generation {id} is {status} after {seconds:.1} s");
        }
    }

    fn publisher(&self, id: GenerationId, folder: &Path) -> Publisher {
        match &self.publish {
            Some(publish) => publisher(Arc::clone(&self.blobs), Arc::clone(publish), id, folder),
            None => Publisher::default(),
        }
    }

    /// The finished files become blobs, and the exact price is worked out.
    async fn keep(
        &self,
        generation: &Generation,
        first_offer: &OfferId,
        product: Product,
        stop: &Stop,
    ) -> Result<Outcome, AttemptError> {
        let Product {
            clips,
            actual_prompt,
            mut warnings,
            lengths,
            cost: _,
        } = product;
        warnings.extend(not_the_first(generation, first_offer));
        let mut artifacts = Vec::with_capacity(clips.len());
        for clip in clips {
            let blobs = Arc::clone(&self.blobs);
            let adopting = tokio::task::spawn_blocking(move || {
                let (video, video_bytes) = blobs.adopt(&clip.video)?;
                let (poster, _) = blobs.adopt(&clip.poster)?;
                Ok(Artifact {
                    video,
                    poster,
                    video_bytes,
                    size: clip.size,
                    num_frames: clip.num_frames,
                    seed: clip.seed,
                })
            });
            let adopted = stop.or(async { Ok(adopting.await) }).await?;
            let adopted = adopted.map_err(|error| AttemptError::Panicked {
                message: error.to_string(),
            })?;
            artifacts.push(adopted.map_err(AttemptError::Keep)?);
        }
        Ok(Outcome::Succeeded {
            success: Success {
                artifacts,
                actual_prompt,
                warnings,
            },
            charged: self.prices.price(&generation.spec, &lengths).credits,
        })
    }

    /// What the store is told of how an attempt ended; nothing, if the lease is lost.
    fn outcome(
        &self,
        generation: &Generation,
        ended: Result<Outcome, AttemptError>,
        attempts: u32,
        stopped: Option<StopReason>,
    ) -> Option<Outcome> {
        let error = match (ended, stopped) {
            (_, Some(StopReason::LeaseLost)) => return None,
            (Ok(outcome), Some(StopReason::Canceled | StopReason::ShutDown) | None) => return Some(outcome),
            // Whatever failed after a wish to stop failed because of it, or no longer matters.
            (Err(_), Some(StopReason::Canceled)) => return Some(Outcome::Stopped),
            (Err(_), Some(StopReason::ShutDown)) => return Some(Outcome::GivenBack),
            // An engine that stops unasked has made no clip, and would do so again.
            (Err(AttemptError::Stopped), None) => AttemptError::NoClip,
            (Err(error), None) => error,
        };
        let id = generation.id;
        let failure = error.failure()?;
        let is_last = attempts >= self.options.attempts_max;
        let next = match is_last || !error.passable() {
            true => None,
            false => self
                .catalog
                .now()
                .living
                .after(&generation.spec, &generation.offer),
        };
        let again = !is_last && (error.retryable() || next.is_some());
        let wait_ms = self.options.retry_after_ms(id, attempts, error.retry_after());
        let what_next = match (again, &next) {
            (true, Some(NextOffer { id, .. })) => format!("{id} tries next"),
            (true, None) => "it will be tried again".to_owned(),
            (false, _) => "it has failed".to_owned(),
        };
        let code = failure.code.as_str();
        match error {
            AttemptError::Refused { .. } => {
                info!(generation.id = %id, code, "Generation {id} is refused: {}", chain(&error));
            }
            _ if again => {
                warn!(generation.id = %id, code, "Attempt {attempts} of {id} failed, {what_next}: {}", chain(&error));
            }
            _ => {
                error!(generation.id = %id, code, "Attempt {attempts} of {id} failed, {what_next}: {}", chain(&error));
            }
        }
        let now = (self.clock)();
        Some(match next {
            Some(NextOffer { id: offer, is_again }) => Outcome::PassedOn {
                failure,
                // Whoever has not been asked yet is asked at once.
                retry_at: if is_again { now.plus_ms(wait_ms) } else { now },
                offer,
            },
            None => Outcome::Failed {
                failure,
                retry_at: again.then(|| now.plus_ms(wait_ms)),
            },
        })
    }

    /// Tells the store, again and again if need be, for as long as the lease can last.
    async fn finish(&self, lease: kinora_store::LeaseKey, outcome: Outcome) -> Option<Finished> {
        let id = lease.generation;
        let give_up = (self.clock)().plus_ms(self.options.lease_ms);
        let mut wait = Duration::from_millis(50);
        loop {
            match self.store.finish(lease, outcome.clone(), (self.clock)()).await {
                Ok(Finished::LeaseLost) => {
                    info!(generation.id = %id, "The lease on {id} was lost before its end; nothing is written");
                    return Some(Finished::LeaseLost);
                }
                Ok(finished) => return Some(finished),
                Err(error) if (self.clock)() < give_up => {
                    warn!(generation.id = %id, "Settling {id} failed and will be repeated: {}", chain(&error));
                }
                Err(error) => {
                    error!(generation.id = %id, "Settling {id} failed; it will be made again: {}", chain(&error));
                    return None;
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(2));
        }
    }
}

/// That another engine made the clip than the one that was asked first.
fn not_the_first(generation: &Generation, first: &OfferId) -> Option<Warning> {
    (*first != generation.offer).then(|| Warning {
        code: "other_engine".to_owned(),
        message: format!("{first} was not available; {} made the clip.", generation.offer),
    })
}

/// The longest wait that an engine may ask for.
const ASKED_MS_MAX: u64 = 10 * 60 * 1000;

impl WorkerOptions {
    /// Doubles with every attempt, and lies up to a quarter beside that, so that what failed together does not come
    /// back together. Who asked for more time is given it, within reason.
    fn retry_after_ms(&self, id: GenerationId, attempts: u32, asked: Option<Duration>) -> u64 {
        let asked_ms = asked.map_or(0, |asked| u64::try_from(asked.as_millis()).unwrap_or(u64::MAX));
        let doubled = self
            .retry_ms
            .saturating_mul(1 << attempts.saturating_sub(1).min(20));
        let wait = doubled.min(self.retry_ms_max);
        let stirred = id
            .to_string()
            .bytes()
            .chain([attempts as u8])
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3_u64)
            });
        (wait - wait / 4 + (stirred >> 16) % (wait / 2 + 1)).max(asked_ms.min(ASKED_MS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use kinora_domain::Timestamp;

    use super::*;

    #[test]
    fn waits_double_and_scatter() {
        let options = WorkerOptions::new(PathBuf::new());
        let ids: Vec<_> = (0..200)
            .map(|entropy| GenerationId::new(Timestamp(1), entropy))
            .collect();
        let check = |attempts, from: u64, to: u64| {
            let waits: Vec<u64> = ids
                .iter()
                .map(|id| options.retry_after_ms(*id, attempts, None))
                .collect();
            assert!(
                waits.iter().all(|wait| (from..=to).contains(wait)),
                "{attempts}: {waits:?}"
            );
            let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            assert!(most - least > (to - from) / 2, "{attempts}: {least} to {most}");
        };
        check(1, 1_500, 2_500);
        check(2, 3_000, 5_000);
        check(5, 24_000, 40_000);
        check(6, 45_000, 75_000);
        check(4_000_000_000, 45_000, 75_000);
        let asked = |seconds| options.retry_after_ms(ids[0], 1, Some(Duration::from_secs(seconds)));
        assert!(asked(1) <= 2_500);
        assert_eq!(asked(30), 30_000);
        assert_eq!(asked(u64::MAX), ASKED_MS_MAX);
    }
}

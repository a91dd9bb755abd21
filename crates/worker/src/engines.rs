//! The engines of one slot: built when they are first needed, kept for the next generation, each call on a thread
//! of its own so that neither a long step nor a panic reaches the rest of the program.

use std::{
    any::Any,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Duration,
};

use kinora_domain::{Offer, OfferId};
use kinora_engine::{Engine, EngineError, Expander};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    error::AttemptError,
    stop::{Stop, StopReason},
};

/// How long an engine that was asked to stop may take to hear it before the attempt is settled without it.
const STOP_HEARD: Duration = Duration::from_millis(400);
/// The same where nobody waits for the end of it: whoever takes the generation next goes on from what this one still
/// writes down, so that an engine in the middle of handing work over is given the time to hear the answer.
const PAUSE_HEARD: Duration = Duration::from_secs(5);
/// How long the next generation waits for an engine that has not yet stopped before another one is built.
const STOP_ENDED: Duration = Duration::from_secs(60);

/// Builds an engine: reads weights, opens connections. May take minutes, and blocks.
pub type BuildEngine = Arc<dyn Fn() -> Result<Box<dyn Engine>, EngineError> + Send + Sync>;

/// An engine that can be had, and what it will be able to do.
#[derive(Clone)]
pub struct EngineFactory {
    /// The offer of the engines it builds, known before one is.
    pub offer: Offer,
    /// Builds one.
    pub build: BuildEngine,
    /// How many of its generations run at once, where that is not a matter of this machine: others work for it, and it
    /// takes none of the worker's own slots.
    pub own_slots: Option<usize>,
    /// The section of the configuration that describes it, by which routes name it.
    pub section: &'static str,
    /// Who expands the prompts of its generations, where somebody does: its engines take them as they are, and who works for
    /// them does not do so either.
    pub expander: Option<Arc<Expander>>,
}

impl EngineFactory {
    /// Engines of this offer, each built by a call of `build`.
    pub fn new(
        offer: Offer,
        build: impl Fn() -> Result<Box<dyn Engine>, EngineError> + Send + Sync + 'static,
    ) -> EngineFactory {
        EngineFactory {
            offer,
            build: Arc::new(build),
            own_slots: None,
            section: "engine",
            expander: None,
        }
    }

    /// The same, with slots of its own.
    pub fn with_own_slots(self, slots: usize) -> EngineFactory {
        EngineFactory {
            own_slots: Some(slots),
            ..self
        }
    }

    /// The same, of another section than `engine`.
    pub fn in_section(self, section: &'static str) -> EngineFactory {
        EngineFactory { section, ..self }
    }

    /// The same, with prompts expanded before its engines see them.
    pub fn with_expander(self, expander: Option<Arc<Expander>>) -> EngineFactory {
        EngineFactory { expander, ..self }
    }
}

/// The engines of one slot.
pub(crate) struct Engines {
    factories: Arc<[EngineFactory]>,
    kept: HashMap<OfferId, Kept>,
}

/// One engine between two calls.
enum Kept {
    Idle(Box<dyn Engine>),
    /// Still at the last call, which nobody waits for any more.
    Stopping(oneshot::Receiver<Option<Box<dyn Engine>>>),
}

impl Engines {
    pub(crate) fn new(factories: Arc<[EngineFactory]>) -> Engines {
        Engines {
            factories,
            kept: HashMap::new(),
        }
    }

    /// Runs `work` with the engine of this offer. Returns when it is done, or soon after a wish to stop.
    pub(crate) async fn with<T: Send + 'static>(
        &mut self,
        offer: &OfferId,
        stop: &Stop,
        work: impl FnOnce(&mut dyn Engine) -> Result<T, AttemptError> + Send + 'static,
    ) -> Result<T, AttemptError> {
        let factory = self.factory(offer).cloned();
        let factory = factory.ok_or_else(|| AttemptError::NoEngine {
            offer: offer.to_string(),
        })?;
        let kept = stop.or(async { Ok(self.take(offer).await) }).await?;
        let (give_result, result) = oneshot::channel();
        let (give_back, mut back) = oneshot::channel();
        let call = move || {
            let (engine, result) = call(kept, &factory, work);
            // Nobody listens after a stop that was not heard in time.
            let _ = give_back.send(engine);
            let _ = give_result.send(result);
        };
        thread::Builder::new()
            .name("engine".to_owned())
            .spawn(call)
            .map_err(AttemptError::Scratch)?;

        let heard = async {
            stop.requested().await;
            let patience = match stop.reason() {
                Some(StopReason::ShutDown) => PAUSE_HEARD,
                Some(StopReason::Canceled | StopReason::LeaseLost) | None => STOP_HEARD,
            };
            tokio::time::sleep(patience).await;
        };
        let result = tokio::select! {
            result = result => result.unwrap_or(Err(AttemptError::NoClip)),
            () = heard => Err(AttemptError::Stopped),
        };
        match back.try_recv() {
            Ok(Some(engine)) => drop(self.kept.insert(offer.clone(), Kept::Idle(engine))),
            Ok(None) | Err(oneshot::error::TryRecvError::Closed) => {}
            Err(oneshot::error::TryRecvError::Empty) => {
                drop(self.kept.insert(offer.clone(), Kept::Stopping(back)));
            }
        }
        result
    }

    /// Who expands the prompts for this offer.
    pub(crate) fn expander(&self, offer: &OfferId) -> Option<Arc<Expander>> {
        self.factory(offer)?.expander.clone()
    }

    fn factory(&self, offer: &OfferId) -> Option<&EngineFactory> {
        self.factories.iter().find(|factory| factory.offer.id == *offer)
    }

    /// The engine kept from the last call, once it has ended that call.
    async fn take(&mut self, offer: &OfferId) -> Option<Box<dyn Engine>> {
        match self.kept.get_mut(offer)? {
            Kept::Idle(_) => {}
            Kept::Stopping(back) => match timeout(STOP_ENDED, &mut *back).await {
                Ok(engine) => {
                    self.kept.remove(offer);
                    return engine.ok().flatten();
                }
                Err(_) => {
                    tracing::error!("The engine {offer} did not stop when asked to; another one is started");
                }
            },
        }
        match self.kept.remove(offer) {
            Some(Kept::Idle(engine)) => Some(engine),
            Some(Kept::Stopping(_)) | None => None,
        }
    }
}

/// The call on its thread. An engine that panicked is in no known state and is not used again.
fn call<T>(
    kept: Option<Box<dyn Engine>>,
    factory: &EngineFactory,
    work: impl FnOnce(&mut dyn Engine) -> Result<T, AttemptError>,
) -> (Option<Box<dyn Engine>>, Result<T, AttemptError>) {
    let called = catch_unwind(AssertUnwindSafe(|| {
        let mut engine = match kept {
            Some(engine) => engine,
            None => match (factory.build)() {
                Ok(engine) => engine,
                Err(error) => return (None, Err(AttemptError::SetUp(error))),
            },
        };
        let result = work(&mut *engine);
        (Some(engine), result)
    }));
    called.unwrap_or_else(|panic| {
        let message = message_of(&*panic);
        (None, Err(AttemptError::Panicked { message }))
    })
}

/// What a panic said.
pub(crate) fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}

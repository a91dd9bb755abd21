//! Carries claimed generations to an end: inputs are fetched, an engine makes the clip, the clip is kept, and the
//! store hears how it went.
//!
//! A worker owns no state that matters. What it works on is leased to it; when it dies the lease runs out and
//! somebody else starts over from the same spec and seed. It keeps its word only while it holds the lease.
//!
//! In reading order:
//! - [`run`]: the loop of a slot, from claim to finish · `heartbeat`: what keeps the lease and hears of its end
//! - `attempt`: from a spec to finished files · `inputs`, `plan`, `wording`, `sound`, `engines`, `produce`: its
//!   steps
//! - [`local`]: the same attempt without a store · [`housekeeping`]: what time breaks, repaired
//! - `presence`, [`hardware`](hardware()): that a worker is there, and on what · [`LiveCatalog`]: what is offered meanwhile
//! - `notes`, `publish`, `previews`: what an engine leaves for the next attempt, shows to others, and to whoever follows
//! - `progress`, `stop`, `scratch`, `error`: the small things they share

mod attempt;
mod engines;
mod error;
mod hardware;
mod heartbeat;
pub mod housekeeping;
mod inputs;
mod live;
pub mod local;
mod notes;
mod plan;
mod presence;
mod previews;
mod produce;
mod progress;
mod publish;
pub mod run;
mod scratch;
mod sound;
mod stop;
mod wording;

use std::sync::Arc;

use kinora_domain::Timestamp;

pub use engines::{BuildEngine, EngineFactory};
pub use error::AttemptError;
pub use hardware::hardware;
pub use housekeeping::{Housekeeping, HousekeepingOptions};
pub use inputs::media_kind;
pub use live::LiveCatalog;
pub use produce::MadeClip;
pub use progress::Standing;
pub use publish::PublishBlob;
pub use run::{Identity, Worker, WorkerError, WorkerOptions, WorkerParts};

/// Tells the time; an argument, so that tests can have their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The machine's clock.
pub fn system_clock() -> Clock {
    Arc::new(now)
}

/// The present.
pub fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // A clock before 1970 counts as 1970; one past the year 292,000,000 does not occur.
    let ms = since_epoch.map_or(0, |duration| duration.as_millis());
    Timestamp(i64::try_from(ms).unwrap_or(i64::MAX))
}

//! What a clip looks like so far, for whoever looks: into a file, or small and now and then into the store, under the
//! attempt's lease.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use kinora_media::{MediaFailure, Toolbox, chain, compose};
use kinora_store::{LeaseKey, PREVIEW_BYTES_MAX, Store};
use tokio::{runtime::Handle, task::spawn_blocking};
use tracing::{debug, warn};

use crate::stop::Stop;

/// The longer side of what is kept, in pixels.
const SIDE_MAX: u32 = 320;
/// Before the first one: what is made sooner needs none.
const FIRST: Duration = Duration::from_secs(1);
/// From when one is kept to the beginning of the next.
const BETWEEN: Duration = Duration::from_millis(1500);

/// Who looks at an attempt's clips while they are made.
#[derive(Clone)]
pub(crate) enum Previews {
    /// Nobody.
    Unseen,
    /// Whoever reads this file: every picture that the engine has, as large as it is.
    File(PathBuf),
    /// Whoever follows the generation.
    Kept(Arc<KeptPreviews>),
}

/// What keeping a preview takes.
pub(crate) struct KeptPreviews {
    store: Arc<dyn Store>,
    lease: LeaseKey,
    stop: Stop,
    /// Where it is done: an engine does not wait for it.
    runtime: Handle,
    /// When the next one is wanted; `None` while one is on its way.
    due: Mutex<Option<Instant>>,
}

impl Previews {
    /// Into the store, for as long as nobody asks to stop.
    pub(crate) fn kept(store: Arc<dyn Store>, lease: LeaseKey, stop: Stop, runtime: Handle) -> Previews {
        let due = Mutex::new(Some(Instant::now() + FIRST));
        Previews::Kept(Arc::new(KeptPreviews {
            store,
            lease,
            stop,
            runtime,
            due,
        }))
    }

    /// Whether one is wanted now, and of how many pixels on its longer side at most.
    pub(crate) fn wanted(&self) -> Option<u32> {
        match self {
            Previews::Unseen => None,
            Previews::File(_) => Some(u32::MAX),
            Previews::Kept(kept) => kept.is_due().then_some(SIDE_MAX),
        }
    }

    /// Takes a picture: rows from the top, each pixel red, green, blue.
    pub(crate) fn show(
        &self,
        toolbox: &Toolbox,
        width: u32,
        height: u32,
        rgb: &[u8],
    ) -> Result<(), MediaFailure> {
        match self {
            Previews::Unseen => Ok(()),
            Previews::File(path) => compose::picture(toolbox, width, height, rgb, path),
            Previews::Kept(kept) => {
                kept.set_due(None);
                let (kept, toolbox, rgb) = (Arc::clone(kept), toolbox.clone(), rgb.to_vec());
                let runtime = kept.runtime.clone();
                runtime.spawn(async move {
                    let encoded =
                        spawn_blocking(move || compose::thumbnail(&toolbox, width, height, rgb, SIDE_MAX));
                    // A panic in there was told by its thread.
                    if let Ok(encoded) = encoded.await {
                        kept.keep(encoded).await;
                    }
                    kept.set_due(Some(Instant::now() + BETWEEN));
                });
                Ok(())
            }
        }
    }
}

impl KeptPreviews {
    fn is_due(&self) -> bool {
        let due = *self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.is_some_and(|due| due <= Instant::now()) && !self.stop.is_requested()
    }

    fn set_due(&self, due: Option<Instant>) {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = due;
    }

    /// A clip does not fail for a picture of it.
    async fn keep(&self, encoded: Result<Vec<u8>, MediaFailure>) {
        let id = self.lease.generation;
        let jpeg = match encoded {
            Ok(jpeg) if jpeg.len() <= PREVIEW_BYTES_MAX => jpeg,
            Ok(jpeg) => {
                let bytes = jpeg.len();
                debug!(generation.id = %id, "A preview of {id} has {bytes} bytes, too many to be kept");
                return;
            }
            Err(error) => {
                warn!(generation.id = %id, "Making a preview of {id} failed: {}", chain(&error));
                return;
            }
        };
        // A lost lease is the heartbeat's to hear of.
        if let Err(error) = self.store.keep_preview(self.lease, jpeg).await {
            warn!(generation.id = %id, "Keeping a preview of {id} failed: {}", chain(&error));
        }
    }
}

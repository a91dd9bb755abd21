//! The notebooks of an attempt: what is written for its clips and its prompt is kept by the store, under the attempt's lease.

use std::{sync::Arc, thread, time::Duration};

use kinora_engine::{NoteError, Notebook};
use kinora_media::chain;
use kinora_store::{LeaseKey, Note, Noted, Store};
use tokio::runtime::Handle;
use tracing::warn;

use crate::Clock;

/// Where the note about the prompt stands among those about clips: no generation has so many.
const OF_PROMPT: u8 = u8::MAX;

/// Makes the notebook of each clip, and of what its clips have in common. The default keeps nothing.
#[derive(Clone, Default)]
pub(crate) struct Notebooks(Option<Arc<UnderLease>>);

/// What writing a note takes.
pub(crate) struct UnderLease {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) lease: LeaseKey,
    /// How long a store that does not answer is asked again.
    pub(crate) lease_ms: u64,
    pub(crate) clock: Clock,
    /// What earlier attempts have left.
    pub(crate) left: Vec<Note>,
    /// Where the store's futures run: engines have threads of their own.
    pub(crate) runtime: Handle,
}

impl Notebooks {
    pub(crate) fn new(under: UnderLease) -> Notebooks {
        Notebooks(Some(Arc::new(under)))
    }

    /// The notebook of the prompt, which all clips are made from.
    pub(crate) fn of_prompt(&self) -> Notebook {
        self.of_clip(OF_PROMPT)
    }

    /// The notebook of the clip with this index.
    pub(crate) fn of_clip(&self, clip: u8) -> Notebook {
        let Some(under) = self.0.clone() else {
            return Notebook::default();
        };
        let left = under.left.iter().find(|note| note.clip == clip);
        let left = left.map(|note| note.text.clone());
        Notebook::new(left, move |text| under.write(clip, text))
    }
}

impl UnderLease {
    /// Blocks until the note is kept, the lease is lost, or it must be taken for lost.
    fn write(&self, clip: u8, text: &str) -> Result<(), NoteError> {
        let id = self.lease.generation;
        let give_up = (self.clock)().plus_ms(self.lease_ms);
        let mut wait = Duration::from_millis(20);
        loop {
            let note = Note {
                clip,
                text: text.to_owned(),
            };
            let now = (self.clock)();
            match self.runtime.block_on(self.store.note(self.lease, note, now)) {
                Ok(Noted::Kept) => return Ok(()),
                Ok(Noted::LeaseLost) => return Err(NoteError::LeaseLost),
                Err(error) if (self.clock)() < give_up => {
                    warn!(generation.id = %id, "Keeping a note about {id} failed and will be repeated: {}", chain(&error));
                }
                Err(error) => return Err(NoteError::Write(Box::new(error))),
            }
            thread::sleep(wait);
            wait = (wait * 2).min(Duration::from_secs(1));
        }
    }
}

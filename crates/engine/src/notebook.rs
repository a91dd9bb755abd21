//! What one attempt leaves behind for the next: a note that survives the process.
//!
//! Our own engine needs none: the same spec and seed give the same clip. An engine that has others work for it does,
//! because what they work on is paid for and has a name: who loses the name pays twice.

use std::{error::Error, fmt, sync::Arc};

use thiserror::Error;

/// Keeps a note; durable when it returns.
type Keep = Arc<dyn Fn(&str) -> Result<(), NoteError> + Send + Sync>;

/// The notes about one clip.
#[derive(Clone, Default)]
pub struct Notebook {
    left: Option<String>,
    keep: Option<Keep>,
}

/// Why a note is not kept.
#[derive(Debug, Error)]
pub enum NoteError {
    /// The attempt has no right to the generation any more: it is another's, or it has ended.
    #[error("the lease was lost")]
    LeaseLost,
    /// It could not be written.
    #[error("the note could not be kept")]
    Write(#[source] Box<dyn Error + Send + Sync>),
}

impl Notebook {
    /// With the note that an earlier attempt left, and the way to keep the next one.
    pub fn new(
        left: Option<String>,
        keep: impl Fn(&str) -> Result<(), NoteError> + Send + Sync + 'static,
    ) -> Notebook {
        Notebook {
            left,
            keep: Some(Arc::new(keep)),
        }
    }

    /// What an earlier attempt with the same engine left behind, if there was one that did.
    pub fn left(&self) -> Option<&str> {
        self.left.as_deref()
    }

    /// Keeps `note` in place of the last one. It is there for the next attempt when this returns. A default notebook
    /// keeps nothing: then there is no next attempt.
    pub fn write(&self, note: &str) -> Result<(), NoteError> {
        self.keep.as_ref().map_or(Ok(()), |keep| keep(note))
    }
}

impl fmt::Debug for Notebook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notebook")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

//! The words that an engine is given: the spec's prompt, or what an expander has made of it.
//!
//! Whatever was decided is noted before an engine sees it, so that every attempt makes its clips of the same words, whether or
//! not the expander would say the same again, or answers at all.

use std::sync::Arc;

use kinora_domain::Warning;
use kinora_engine::{Brief, EngineError, Expander, Expansion, NoteError, Notebook};
use kinora_media::chain;
use tracing::{info, warn};

use crate::{error::AttemptError, stop::Stop};

/// What an attempt goes by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wording {
    /// The prompt, where it is not the spec's.
    pub(crate) prompt: Option<String>,
    /// What the client should know of it.
    pub(crate) warning: Option<Warning>,
}

/// Decides on the words: those that an earlier attempt has noted, else what the expander says now. `name` is what the log calls
/// the generation.
pub(crate) async fn word(
    expander: Option<Arc<Expander>>,
    brief: Option<Brief>,
    notebook: Notebook,
    name: &str,
    stop: &Stop,
) -> Result<Wording, AttemptError> {
    let (Some(expander), Some(brief)) = (expander, brief) else {
        return Ok(Note::Plain.wording());
    };
    if let Some(note) = notebook.left().and_then(Note::read) {
        return Ok(note.wording());
    }
    let note = match stop.or(async { Ok(expander.expand(&brief).await) }).await? {
        Expansion::Enough => Note::Plain,
        Expansion::Expanded(prompt) => Note::Expanded(prompt),
        Expansion::Failed(error) => {
            warn!(
                generation.id = name,
                "The prompt of {name} is used as it is: {}",
                chain(&error)
            );
            Note::Failed
        }
    };
    if let Note::Expanded(prompt) = &note {
        let characters = prompt.chars().count();
        info!(
            generation.id = name,
            "The prompt of {name} was expanded to {characters} characters"
        );
    }
    let text = note.text();
    // Writing waits for the disk, and for a store that does not answer.
    let written = tokio::task::spawn_blocking(move || notebook.write(&text)).await;
    match written {
        Ok(Ok(())) => Ok(note.wording()),
        Ok(Err(NoteError::LeaseLost)) => Err(AttemptError::Stopped),
        Ok(Err(error @ NoteError::Write(_))) => Err(AttemptError::Engine(EngineError::Interrupted {
            detail: chain(&error).to_string(),
        })),
        Err(panic) => Err(AttemptError::Panicked {
            message: panic.to_string(),
        }),
    }
}

/// What stands in the notebook of the prompt.
#[derive(Debug, PartialEq, Eq)]
enum Note {
    /// The spec's prompt is used: it says enough.
    Plain,
    /// The spec's prompt is used: it could not be expanded.
    Failed,
    /// This one is used.
    Expanded(String),
}

impl Note {
    const PLAIN: &str = "plain";
    const FAILED: &str = "failed";
    const EXPANDED: &str = "expanded\n";

    /// What cannot be read was written by another version; then it is decided anew.
    fn read(text: &str) -> Option<Note> {
        match text {
            Note::PLAIN => Some(Note::Plain),
            Note::FAILED => Some(Note::Failed),
            text => {
                let prompt = text.strip_prefix(Note::EXPANDED)?;
                Some(Note::Expanded(prompt.to_owned()))
            }
        }
    }

    fn text(&self) -> String {
        match self {
            Note::Plain => Note::PLAIN.to_owned(),
            Note::Failed => Note::FAILED.to_owned(),
            Note::Expanded(prompt) => format!("{}{prompt}", Note::EXPANDED),
        }
    }

    fn wording(self) -> Wording {
        let (prompt, warning) = match self {
            Note::Plain => (None, None),
            Note::Expanded(prompt) => (Some(prompt), None),
            Note::Failed => {
                let warning = Warning {
                    code: "prompt_expansion_failed".to_owned(),
                    message: "The prompt could not be expanded; it was used as it is.".to_owned(),
                };
                (None, Some(warning))
            }
        };
        Wording { prompt, warning }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_read_back() {
        let expanded = Note::Expanded("A boat.\nplain".to_owned());
        for note in [Note::Plain, Note::Failed, expanded] {
            assert_eq!(Note::read(&note.text()), Some(note));
        }
        for strange in ["", "expanded", "Plain", "task 7"] {
            assert_eq!(Note::read(strange), None, "{strange}");
        }
    }
}

//! How an attempt fails: whether another one may help, and what the client is told.

use std::{io, time::Duration};

use kinora_domain::{BlobHash, Failure, FailureCode, Member};
use kinora_engine::EngineError;
use kinora_media::{MediaFailure, fetch::FetchError};
use kinora_store::StoreError;
use thiserror::Error;

/// Why an attempt has no result.
#[derive(Debug, Error)]
pub enum AttemptError {
    /// It was asked to stop.
    #[error("the attempt was stopped")]
    Stopped,
    /// A member turned out to be wrong. The message is the rest of a sentence that starts with its name.
    #[error("{field} {message}")]
    Refused {
        /// The member's name, with an index for array items.
        field: String,
        /// What was found and what would be taken.
        message: String,
    },
    /// A medium could not be fetched, for our own fault.
    #[error("fetching {member} failed")]
    Fetch {
        /// Which.
        member: Member,
        /// What went wrong.
        #[source]
        source: FetchError,
    },
    /// An upload could not be brought here.
    #[error("bringing {member} failed")]
    Bring {
        /// Which.
        member: Member,
        /// What went wrong.
        #[source]
        source: StoreError,
    },
    /// An upload is not where it is kept.
    #[error("{member} is missing: blob {blob}")]
    Lost {
        /// Which.
        member: Member,
        /// Its bytes.
        blob: BlobHash,
    },
    /// A medium could not be measured, for our own fault.
    #[error("inspecting {member} failed")]
    Inspect {
        /// Which.
        member: Member,
        /// What went wrong.
        #[source]
        source: MediaFailure,
    },
    /// The engine has made no clip.
    #[error("making the clip failed")]
    Engine(#[source] EngineError),
    /// The engine could not be set up.
    #[error("setting up the engine failed")]
    SetUp(#[source] EngineError),
    /// The engine, or something it called, panicked.
    #[error("the engine panicked: {message}")]
    Panicked {
        /// What it said.
        message: String,
    },
    /// No engine of that name is here.
    #[error("there is no engine for offer {offer}")]
    NoEngine {
        /// The offer.
        offer: String,
    },
    /// The engine returned without a clip, and without saying why.
    #[error("the engine returned without a clip")]
    NoClip,
    /// The clip or its poster could not be written.
    #[error("encoding the clip failed")]
    Encode(#[source] MediaFailure),
    /// A file of the attempt could not be made.
    #[error("preparing files failed")]
    Scratch(#[source] io::Error),
    /// The finished clip could not be kept.
    #[error("keeping the clip failed")]
    Keep(#[source] StoreError),
}

impl AttemptError {
    /// Whether another attempt may end better.
    pub fn retryable(&self) -> bool {
        match self {
            AttemptError::Engine(error) | AttemptError::SetUp(error) => error.retryable(),
            AttemptError::Fetch { .. }
            | AttemptError::Bring { .. }
            | AttemptError::Lost { .. }
            | AttemptError::Inspect { .. }
            | AttemptError::Encode(_)
            | AttemptError::Scratch(_)
            | AttemptError::Keep(_) => true,
            // A panic is a mistake in a program; the same spec and seed would meet it again.
            AttemptError::Stopped
            | AttemptError::Refused { .. }
            | AttemptError::Panicked { .. }
            | AttemptError::NoEngine { .. }
            | AttemptError::NoClip => false,
        }
    }

    /// Whether another engine may take the request over.
    pub fn passable(&self) -> bool {
        match self {
            AttemptError::Engine(error) | AttemptError::SetUp(error) => error.passable(),
            AttemptError::Stopped
            | AttemptError::Refused { .. }
            | AttemptError::Fetch { .. }
            | AttemptError::Bring { .. }
            | AttemptError::Lost { .. }
            | AttemptError::Inspect { .. }
            | AttemptError::Panicked { .. }
            | AttemptError::NoEngine { .. }
            | AttemptError::NoClip
            | AttemptError::Encode(_)
            | AttemptError::Scratch(_)
            | AttemptError::Keep(_) => false,
        }
    }

    /// How long the engine wants to be left alone, if it said so.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            AttemptError::Engine(error) | AttemptError::SetUp(error) => error.retry_after(),
            AttemptError::Stopped
            | AttemptError::Refused { .. }
            | AttemptError::Fetch { .. }
            | AttemptError::Bring { .. }
            | AttemptError::Lost { .. }
            | AttemptError::Inspect { .. }
            | AttemptError::Panicked { .. }
            | AttemptError::NoEngine { .. }
            | AttemptError::NoClip
            | AttemptError::Encode(_)
            | AttemptError::Scratch(_)
            | AttemptError::Keep(_) => None,
        }
    }

    /// What the client is told; `None` where an end was asked for. Names no vendor, host or path.
    pub fn failure(&self) -> Option<Failure> {
        let (code, message) = match self {
            AttemptError::Stopped => return None,
            AttemptError::Engine(error) | AttemptError::SetUp(error) => return error.failure(),
            AttemptError::Refused { field, message } => {
                (FailureCode::InvalidInput, format!("{field} {message}."))
            }
            AttemptError::NoEngine { .. } => (
                FailureCode::ProviderUnavailable,
                "The video engine is not available now.".to_owned(),
            ),
            AttemptError::Fetch { member, .. }
            | AttemptError::Bring { member, .. }
            | AttemptError::Lost { member, .. }
            | AttemptError::Inspect { member, .. } => (
                FailureCode::EngineFailed,
                format!("{member} could not be read for a fault of this service."),
            ),
            AttemptError::Panicked { .. } | AttemptError::NoClip => (
                FailureCode::EngineFailed,
                "The video engine could not make the clip.".to_owned(),
            ),
            AttemptError::Encode(_) | AttemptError::Scratch(_) | AttemptError::Keep(_) => (
                FailureCode::EngineFailed,
                "The finished clip could not be written.".to_owned(),
            ),
        };
        Some(Failure { code, message })
    }
}

impl From<EngineError> for AttemptError {
    fn from(error: EngineError) -> AttemptError {
        match error {
            EngineError::Stopped => AttemptError::Stopped,
            error => AttemptError::Engine(error),
        }
    }
}

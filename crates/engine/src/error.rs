//! How an engine fails, and what follows from it: whether another try may help, and what the client is told.

use std::{error::Error, time::Duration};

use kinora_domain::{Failure, FailureCode, Member};
use kinora_media::{MediaDefect, MediaFailure, MediaProblem};
use thiserror::Error;

use crate::clip::SinkError;

/// Why an engine has made no clip.
#[derive(Debug, Error)]
pub enum EngineError {
    /// It was asked to stop, and did.
    #[error("the engine was stopped")]
    Stopped,
    /// A medium is wrong. The message is the rest of a sentence that starts with the member's name.
    #[error("{member} {message}")]
    InvalidInput {
        /// Which medium.
        member: Member,
        /// What is wrong with it.
        message: String,
    },
    /// The prompt or a medium is refused for what it shows or asks for.
    #[error("the content was rejected")]
    ContentRejected {
        /// What the client may know of it, a sentence.
        message: String,
    },
    /// The request as a whole is beyond the engine, and it cannot be said by which member.
    #[error("the engine refused the request: {detail}")]
    Refused {
        /// For the log.
        detail: String,
    },
    /// The engine cannot work now; nothing is wrong with the request, and nothing of it was begun.
    #[error("the engine is unavailable: {detail}")]
    Unavailable {
        /// For the log.
        detail: String,
    },
    /// The engine cannot work before somebody has repaired it; nothing of the request was begun.
    #[error("the engine is out of order: {detail}")]
    OutOfOrder {
        /// For the log.
        detail: String,
    },
    /// The engine has too much to do; nothing of the request was begun.
    #[error("the engine is overloaded: {detail}")]
    Overloaded {
        /// For the log.
        detail: String,
        /// When it wants to be asked again, if it said so.
        retry_after: Option<Duration>,
    },
    /// The work was handed to somebody else, and whether they have it cannot be told. A second try may be paid for twice.
    #[error("it cannot be told whether the work was begun: {detail}")]
    InDoubt {
        /// For the log.
        detail: String,
    },
    /// Whoever worked on it has lost it, for the time that has passed.
    #[error("the work is lost: {detail}")]
    Lost {
        /// For the log.
        detail: String,
    },
    /// Decoding a medium failed on our side.
    #[error("decoding {member} failed")]
    DecodeInput {
        /// Which medium.
        member: Member,
        /// What went wrong.
        #[source]
        source: MediaFailure,
    },
    /// The clip could not be handed over.
    #[error("handing over the clip failed")]
    HandOver(#[source] Box<dyn Error + Send + Sync>),
    /// Making the clip failed in a way that may pass.
    #[error("the engine was interrupted: {detail}")]
    Interrupted {
        /// For the log.
        detail: String,
    },
    /// Making the clip failed, and would fail again.
    #[error("the engine failed: {detail}")]
    Failed {
        /// For the log.
        detail: String,
    },
}

impl EngineError {
    /// What a problem with one medium means.
    pub fn of_medium(member: Member, problem: MediaProblem) -> EngineError {
        match problem {
            MediaProblem::Defect(defect) => EngineError::invalid(member, &defect),
            MediaProblem::Failure(source) => EngineError::DecodeInput { member, source },
        }
    }

    fn invalid(member: Member, defect: &MediaDefect) -> EngineError {
        EngineError::InvalidInput {
            member,
            message: defect.to_string(),
        }
    }

    /// Whether another attempt may end better.
    pub fn retryable(&self) -> bool {
        match self {
            EngineError::Unavailable { .. }
            | EngineError::Overloaded { .. }
            | EngineError::DecodeInput { .. }
            | EngineError::HandOver(_)
            | EngineError::Interrupted { .. } => true,
            EngineError::Stopped
            | EngineError::InvalidInput { .. }
            | EngineError::ContentRejected { .. }
            | EngineError::Refused { .. }
            | EngineError::OutOfOrder { .. }
            | EngineError::InDoubt { .. }
            | EngineError::Lost { .. }
            | EngineError::Failed { .. } => false,
        }
    }

    /// Whether another engine may take the request over: this one has begun nothing, and nothing is wrong with it.
    pub fn passable(&self) -> bool {
        match self {
            EngineError::Unavailable { .. }
            | EngineError::OutOfOrder { .. }
            | EngineError::Overloaded { .. } => true,
            EngineError::Stopped
            | EngineError::InvalidInput { .. }
            | EngineError::ContentRejected { .. }
            | EngineError::Refused { .. }
            | EngineError::InDoubt { .. }
            | EngineError::Lost { .. }
            | EngineError::DecodeInput { .. }
            | EngineError::HandOver(_)
            | EngineError::Interrupted { .. }
            | EngineError::Failed { .. } => false,
        }
    }

    /// How long the engine wants to be left alone, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            EngineError::Overloaded { retry_after, .. } => *retry_after,
            EngineError::Unavailable { .. }
            | EngineError::OutOfOrder { .. }
            | EngineError::Stopped
            | EngineError::InvalidInput { .. }
            | EngineError::ContentRejected { .. }
            | EngineError::Refused { .. }
            | EngineError::InDoubt { .. }
            | EngineError::Lost { .. }
            | EngineError::DecodeInput { .. }
            | EngineError::HandOver(_)
            | EngineError::Interrupted { .. }
            | EngineError::Failed { .. } => None,
        }
    }

    /// What the client is told; `None` where an end was asked for. Names no vendor, host or path.
    pub fn failure(&self) -> Option<Failure> {
        let (code, message) = match self {
            EngineError::Stopped => return None,
            EngineError::InvalidInput { member, message } => {
                (FailureCode::InvalidInput, format!("{member} {message}."))
            }
            EngineError::ContentRejected { message } => (FailureCode::ContentRejected, message.clone()),
            EngineError::Refused { .. } => (
                FailureCode::InvalidInput,
                "The video engine did not take the request: a member, or the way they go together, is beyond it."
                    .to_owned(),
            ),
            EngineError::Unavailable { .. } | EngineError::OutOfOrder { .. } => (
                FailureCode::ProviderUnavailable,
                "The video engine is not available now.".to_owned(),
            ),
            EngineError::InDoubt { .. } => (
                FailureCode::ProviderUnavailable,
                "The connection to the video engine was lost while the work was handed over. It is not handed over \
                 a second time; nothing is charged."
                    .to_owned(),
            ),
            EngineError::Lost { .. } => (
                FailureCode::Timeout,
                "The video engine did not finish in time.".to_owned(),
            ),
            EngineError::Overloaded { .. } => (
                FailureCode::RateLimited,
                "The video engine is overloaded.".to_owned(),
            ),
            EngineError::DecodeInput { .. }
            | EngineError::HandOver(_)
            | EngineError::Interrupted { .. }
            | EngineError::Failed { .. } => (
                FailureCode::EngineFailed,
                "The video engine could not make the clip.".to_owned(),
            ),
        };
        Some(Failure { code, message })
    }
}

impl From<SinkError> for EngineError {
    fn from(error: SinkError) -> EngineError {
        match error {
            SinkError::Stopped => EngineError::Stopped,
            SinkError::Write(source) => EngineError::HandOver(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_from_each_error() {
        let secret = || "https://vendor.example/v1 refused key in /var/lib".to_owned();
        let check = |error: EngineError, retryable: bool, expected: Option<(FailureCode, &str)>| {
            assert_eq!(error.retryable(), retryable, "{error:?}");
            let failure = error.failure();
            let found = failure
                .as_ref()
                .map(|failure| (failure.code, failure.message.as_str()));
            assert_eq!(found, expected);
        };
        let failed = "The video engine could not make the clip.";
        let missing = MediaFailure::Read {
            path: "/var/lib/kinora/clip".into(),
            source: std::io::ErrorKind::NotFound.into(),
        };
        check(EngineError::Stopped, false, None);
        check(
            EngineError::of_medium(Member::VideoRefs(2), MediaDefect::Empty.into()),
            false,
            Some((FailureCode::InvalidInput, "video_refs[2] is empty.")),
        );
        check(
            EngineError::of_medium(Member::Video, missing.into()),
            true,
            Some((FailureCode::EngineFailed, failed)),
        );
        check(
            EngineError::ContentRejected {
                message: "The prompt was rejected.".to_owned(),
            },
            false,
            Some((FailureCode::ContentRejected, "The prompt was rejected.")),
        );
        check(
            EngineError::Unavailable { detail: secret() },
            true,
            Some((
                FailureCode::ProviderUnavailable,
                "The video engine is not available now.",
            )),
        );
        check(
            EngineError::Overloaded {
                detail: secret(),
                retry_after: None,
            },
            true,
            Some((FailureCode::RateLimited, "The video engine is overloaded.")),
        );
        check(
            EngineError::OutOfOrder { detail: secret() },
            false,
            Some((
                FailureCode::ProviderUnavailable,
                "The video engine is not available now.",
            )),
        );
        check(
            EngineError::Refused { detail: secret() },
            false,
            Some((
                FailureCode::InvalidInput,
                "The video engine did not take the request: a member, or the way they go together, is beyond it.",
            )),
        );
        check(
            EngineError::InDoubt { detail: secret() },
            false,
            Some((
                FailureCode::ProviderUnavailable,
                "The connection to the video engine was lost while the work was handed over. It is not handed over \
                 a second time; nothing is charged.",
            )),
        );
        check(
            EngineError::Lost { detail: secret() },
            false,
            Some((FailureCode::Timeout, "The video engine did not finish in time.")),
        );
        check(
            SinkError::Write(secret().into()).into(),
            true,
            Some((FailureCode::EngineFailed, failed)),
        );
        check(SinkError::Stopped.into(), false, None);
        check(
            EngineError::Interrupted { detail: secret() },
            true,
            Some((FailureCode::EngineFailed, failed)),
        );
        check(
            EngineError::Failed { detail: secret() },
            false,
            Some((FailureCode::EngineFailed, failed)),
        );
    }
}

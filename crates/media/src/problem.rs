//! What can be wrong with a medium, and the difference that matters most: is it the user's medium, or is it us?

use std::{io, path::PathBuf};

use crate::{limits::LimitViolation, toolbox::ToolboxError};

/// Why a medium could not be used.
#[derive(Debug, thiserror::Error)]
pub enum MediaProblem {
    /// The medium itself is at fault; the message is for the user and follows the medium's name.
    #[error("{0}")]
    Defect(#[from] MediaDefect),
    /// We are; the medium may be fine, and a retry may help.
    #[error("{0}")]
    Failure(#[from] MediaFailure),
}

impl MediaProblem {
    /// The user's side of the problem, if it is theirs.
    pub fn defect(&self) -> Option<&MediaDefect> {
        match self {
            Self::Defect(defect) => Some(defect),
            Self::Failure(_) => None,
        }
    }
}

/// What is wrong with a user's medium. Messages follow the medium's name, as in "video_url is empty".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaDefect {
    /// No bytes at all.
    #[error("is empty")]
    Empty,
    /// Not one of the formats taken, whatever its name says.
    #[error("is not {expected}")]
    Format {
        /// The formats taken.
        expected: &'static str,
    },
    /// A limit is broken.
    #[error("{0}")]
    Limit(#[from] LimitViolation),
    /// It ends before its own header says.
    #[error("is truncated or damaged")]
    Truncated,
    /// It is a container without the stream that is needed.
    #[error("has no {stream}")]
    NoStream {
        /// "picture" or "sound".
        stream: &'static str,
    },
    /// It points at other files instead of holding its data.
    #[error("refers to data outside the file")]
    ExternalData,
    /// A legal variant of the format that is not taken.
    #[error("uses {what}, which is not supported")]
    Unsupported {
        /// The variant.
        what: &'static str,
    },
    /// The decoder gave up.
    #[error("cannot be decoded")]
    Undecodable,
    /// Decoding it would take more time or memory than any honest medium of this kind.
    #[error("takes too much time or memory to decode")]
    TooExpensive,
}

/// What went wrong on our side. Goes to the log, not to the user.
#[derive(Debug, thiserror::Error)]
pub enum MediaFailure {
    /// The child could not be started or confined.
    #[error("running ffmpeg failed")]
    Toolbox(#[from] ToolboxError),
    /// A file of ours could not be read.
    #[error("reading {} failed", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A file of ours could not be written.
    #[error("writing {} failed", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The child broke off for no fault of the medium.
    #[error("ffmpeg failed: {detail}")]
    Child {
        /// Its last words, or how it was ended.
        detail: String,
    },
    /// The caller handed over something that cannot be encoded.
    #[error("{detail}")]
    Usage {
        /// What was wrong.
        detail: String,
    },
}

impl MediaFailure {
    pub(crate) fn read(path: &std::path::Path, source: io::Error) -> Self {
        Self::Read {
            path: path.to_path_buf(),
            source,
        }
    }

    pub(crate) fn write(path: &std::path::Path, source: io::Error) -> Self {
        Self::Write {
            path: path.to_path_buf(),
            source,
        }
    }
}

/// An error and everything behind it, for one line of the log.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

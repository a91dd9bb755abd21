//! How a verb fails: a sentence for the person, and an exit code for the script.

use std::{error::Error, fmt, process::ExitCode};

use kinora_media::chain;

use crate::config::ConfigError;

/// A result of a verb.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a verb has not done what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    sentence: String,
}

#[derive(Debug, Clone, Copy)]
enum Exit {
    Failed = 1,
    Refused = 2,
    // What shells report of a program that Ctrl-C has ended.
    Interrupted = 130,
}

impl Failure {
    /// It was tried, and failed.
    pub(crate) fn failed(sentence: impl fmt::Display) -> Failure {
        Failure {
            exit: Exit::Failed,
            sentence: sentence.to_string(),
        }
    }

    /// It was not tried: the command line, the configuration or the request is wrong.
    pub(crate) fn refused(sentence: impl fmt::Display) -> Failure {
        Failure {
            exit: Exit::Refused,
            sentence: sentence.to_string(),
        }
    }

    /// The person asked for an end.
    pub(crate) fn interrupted(sentence: impl fmt::Display) -> Failure {
        Failure {
            exit: Exit::Interrupted,
            sentence: sentence.to_string(),
        }
    }

    /// What is to be said about it.
    pub(crate) fn sentence(&self) -> &str {
        &self.sentence
    }

    /// Prints the sentence, if there is one, and gives the exit code.
    pub(super) fn tell(&self) -> ExitCode {
        if !self.sentence.is_empty() {
            super::print::tell(format_args!("kinora: {}", self.sentence));
        }
        ExitCode::from(self.exit as u8)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::refused(chain(&error))
    }
}

/// For `map_err`: what failed is said first, the causes after it.
pub(crate) fn failed<E: Error>(what: impl fmt::Display) -> impl FnOnce(E) -> Failure {
    move |error| Failure::failed(format!("{what}: {}", chain(&error)))
}

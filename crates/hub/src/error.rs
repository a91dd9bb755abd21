//! Why a checkpoint could not be fetched, in words for whoever asked for it.

use std::{io, path::PathBuf, time::Duration};

use thiserror::Error;

use crate::{cache::CacheError, choose::ChooseError, pull::size};

/// See the file's head.
#[derive(Debug, Error)]
pub enum HubError {
    /// The Hub's address is none.
    #[error("{url:?} is no http or https address of a Hub (HF_ENDPOINT)")]
    Endpoint {
        /// As configured.
        url: String,
    },
    /// The token cannot be sent.
    #[error("the token (HF_TOKEN) has characters that no token has")]
    Token,
    /// The HTTP client.
    #[error("the HTTP client could not be built")]
    Client(#[source] reqwest::Error),
    /// The Hub does not give what was asked for.
    #[error("{host} refuses {subject}: {said}{advice}")]
    Refused {
        /// Who refuses.
        host: String,
        /// What.
        subject: String,
        /// In the Hub's own words.
        said: String,
        /// What can be done, behind a line break; or nothing.
        advice: String,
    },
    /// It answers, but not as a Hub does.
    #[error("{host} answers for {subject} as no Hub does: {what}")]
    Strange {
        /// Who.
        host: String,
        /// What was asked for.
        subject: String,
        /// What is wrong with the answer.
        what: String,
    },
    /// It was asked as often as made sense.
    #[error("{subject} cannot be had: {why}")]
    GivenUp {
        /// What was asked for.
        subject: String,
        /// What happened the last time.
        why: String,
    },
    /// It wants to be asked again, but not soon.
    #[error("{host} wants to be asked again in {} s only, for {subject}", after.as_secs())]
    Later {
        /// Who.
        host: String,
        /// What was asked for.
        subject: String,
        /// From now on.
        after: Duration,
    },
    /// The bytes are not those that the Hub names.
    #[error("{file} arrived damaged, {times} times: it should hash to {expected}, and hashes to {found}")]
    Damaged {
        /// Its name in the repository.
        file: String,
        /// How often it was fetched.
        times: u32,
        /// By the Hub.
        expected: String,
        /// The last time.
        found: String,
    },
    /// A file that becomes another while it is fetched.
    #[error("{file} changes on the Hub again and again while it is fetched")]
    Changing {
        /// Its name in the repository.
        file: String,
    },
    /// The disk is too small.
    #[error(
        "{} are to be fetched, and {} are free where {} is: make room, or set HF_HUB_CACHE to a folder elsewhere",
        size(*missing),
        size(*free),
        cache.display()
    )]
    NoRoom {
        /// Bytes.
        missing: u64,
        /// Bytes.
        free: u64,
        /// The cache.
        cache: PathBuf,
    },
    /// Which files are wanted.
    #[error(transparent)]
    Choose(#[from] ChooseError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A file on its way.
    #[error("{} cannot be written", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

//! A user's URL, to a file: bounded in bytes, time and redirects, and never from an address that is not public.
//!
//! Redirects are followed here, not by the HTTP client, so that each hop passes the [guard](guard) again. What the
//! bytes are is decided later, by looking at them.

use std::{future::Future, path::Path, time::Duration};

use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use sha2::{Digest, Sha256};
use tokio::{fs::File, io::AsyncWriteExt, time};
use url::Url;

pub mod address;
pub mod guard;

pub use guard::{AllowedHosts, GuardedClient, UrlProblem, check_url_syntax};

/// What a fetch may do.
#[derive(Clone, Debug)]
pub struct FetchPolicy {
    /// Hosts the operator allowed by name although they are not public.
    pub allow_hosts: AllowedHosts,
    /// For the whole fetch, redirects included.
    pub timeout: Duration,
    /// How many redirects are followed.
    pub max_redirects: u32,
}

impl Default for FetchPolicy {
    fn default() -> Self {
        Self {
            allow_hosts: AllowedHosts::default(),
            timeout: Duration::from_secs(30),
            max_redirects: 5,
        }
    }
}

/// Fetches users' URLs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: GuardedClient,
    timeout: Duration,
    max_redirects: u32,
}

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// How many bytes.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

impl Fetcher {
    /// A fetcher under this policy.
    pub fn new(policy: FetchPolicy) -> Result<Self, FetchError> {
        let FetchPolicy {
            allow_hosts,
            timeout,
            max_redirects,
        } = policy;
        let client = GuardedClient::new(allow_hosts).map_err(FetchError::Client)?;
        Ok(Self {
            client,
            timeout,
            max_redirects,
        })
    }

    /// Fetches a URL into a file, replacing what is there. After an error the file is gone.
    pub async fn fetch(&self, url: &str, max_bytes: u64, into: &Path) -> Result<Fetched, FetchError> {
        let fetching = async { copy(self.follow(url).await?, max_bytes, into).await };
        self.in_time(fetching, into).await
    }

    /// Copies the answer to a request of the caller's own into a file, within the same bounds. Where it goes is the
    /// caller's business; it is not redirected.
    pub async fn download(
        &self,
        request: RequestBuilder,
        max_bytes: u64,
        into: &Path,
    ) -> Result<Fetched, FetchError> {
        let downloading = async {
            let response = request.send().await.map_err(|_| FetchError::Unreachable)?;
            copy(succeeded(response)?, max_bytes, into).await
        };
        self.in_time(downloading, into).await
    }

    async fn in_time(
        &self,
        work: impl Future<Output = Result<Fetched, FetchError>>,
        into: &Path,
    ) -> Result<Fetched, FetchError> {
        let outcome = time::timeout(self.timeout, work).await;
        let outcome = outcome.unwrap_or(Err(FetchError::Timeout {
            seconds: self.timeout.as_secs(),
        }));
        if outcome.is_err() {
            // It may never have been created.
            let _ = tokio::fs::remove_file(into).await;
        }
        outcome
    }

    /// The first answer that is not a redirect; every hop is checked like the first.
    async fn follow(&self, url: &str) -> Result<Response, FetchError> {
        let mut url = guard::parse(url)?;
        for _ in 0..=self.max_redirects {
            let request = self.client.request(Method::GET, &url)?;
            // What is stored is what was sent: no encoding is asked for, and none is undone.
            let request = request.header(header::ACCEPT_ENCODING, "identity");
            let response = self.client.send(request).await?;
            match redirect(&response, &url)? {
                Some(next) => url = next,
                None => return succeeded(response),
            }
        }
        Err(FetchError::TooManyRedirects {
            max: self.max_redirects,
        })
    }
}

/// Streams a body into a file; no more than `max_bytes` of it.
async fn copy(mut response: Response, max_bytes: u64, into: &Path) -> Result<Fetched, FetchError> {
    if response.content_length().is_some_and(|length| length > max_bytes) {
        return Err(FetchError::TooLarge { max_bytes });
    }
    let write_failed = |source| FetchError::Write { source };
    let mut file = File::create(into).await.map_err(write_failed)?;
    let mut hash = Sha256::new();
    let mut bytes = 0;
    while let Some(chunk) = response.chunk().await.map_err(|_| FetchError::Interrupted)? {
        bytes += chunk.len() as u64;
        if bytes > max_bytes {
            return Err(FetchError::TooLarge { max_bytes });
        }
        hash.update(&chunk);
        file.write_all(&chunk).await.map_err(write_failed)?;
    }
    file.flush().await.map_err(write_failed)?;
    Ok(Fetched {
        bytes,
        sha256: hash.finalize().into(),
    })
}

fn succeeded(response: Response) -> Result<Response, FetchError> {
    match response.status().is_success() {
        true => Ok(response),
        false => Err(FetchError::Status {
            status: response.status().as_u16(),
        }),
    }
}

fn redirect(response: &Response, from: &Url) -> Result<Option<Url>, FetchError> {
    let followed = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    if !followed.contains(&response.status()) {
        return Ok(None);
    }
    let location = response
        .headers()
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok());
    let next = location
        .and_then(|location| from.join(location).ok())
        .ok_or(UrlProblem::Malformed)?;
    // Judged as strictly as if the user had written it.
    Ok(Some(guard::parse(next.as_str())?))
}

/// Why a URL could not be fetched. Messages follow the member's name and say nothing of what lies behind a refused or
/// silent address.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL, or one it redirects to, is not taken.
    #[error("{0}")]
    Url(#[from] UrlProblem),
    /// No answer: no such host, no connection, no valid certificate.
    #[error("could not be reached")]
    Unreachable,
    /// An answer that is not a success.
    #[error("answered with status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// Too many redirects.
    #[error("redirects more than {max} times")]
    TooManyRedirects {
        /// How many are followed.
        max: u32,
    },
    /// More bytes than taken.
    #[error("has more than {max_bytes} bytes ({} MB)", max_bytes / crate::limits::MB)]
    TooLarge {
        /// How many are taken.
        max_bytes: u64,
    },
    /// Too slow.
    #[error("could not be fetched within {seconds} s")]
    Timeout {
        /// The time given.
        seconds: u64,
    },
    /// The body ended before its announced length.
    #[error("broke off before its end")]
    Interrupted,
    /// Ours: the client could not be built.
    #[error("building the HTTP client failed")]
    Client(#[source] guard::ClientError),
    /// Ours: the file could not be written.
    #[error("writing the fetched file failed")]
    Write {
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
}

impl FetchError {
    /// Whether the user's URL is at fault, rather than this machine.
    pub fn is_users(&self) -> bool {
        match self {
            Self::Url(_)
            | Self::Unreachable
            | Self::Status { .. }
            | Self::TooManyRedirects { .. }
            | Self::TooLarge { .. }
            | Self::Timeout { .. }
            | Self::Interrupted => true,
            Self::Client(_) | Self::Write { .. } => false,
        }
    }
}

//! One question to an upstream server and its answer: bounded in time and bytes, never redirected.
//!
//! What matters most about a question that failed is whether it may have arrived: [`CallError`] tells these apart.

use std::{future::Future, ops::ControlFlow, path::Path, pin::pin, time::Duration};

use kinora_media::fetch::{
    AllowedHosts, FetchError, Fetcher, GuardedClient,
    guard::{self, ClientError},
};
use reqwest::{Method, RequestBuilder, header};
use serde_json::Value;
use thiserror::Error;
use tokio::{runtime::Runtime, time};
use url::Url;

use super::Secret;
use crate::Halt;

/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A server that others run: where it is, and the key there.
pub(crate) struct Endpoint {
    client: GuardedClient,
    base: Url,
    key: Secret,
}

/// Such a server, and the thread's own runtime to ask it from.
pub(crate) struct Caller {
    endpoint: Endpoint,
    timeout: Duration,
    fetcher: Fetcher,
    runtime: Option<Runtime>,
}

/// An upstream engine that cannot be set up.
#[derive(Debug, Error)]
pub enum OpenUpstreamError {
    /// Its address is none.
    #[error("{url:?} is no http or https address")]
    Address {
        /// As configured.
        url: String,
    },
    /// The HTTP client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The runtime.
    #[error("the runtime could not be started")]
    Runtime(#[source] std::io::Error),
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// When the server wants to be asked again.
    pub(crate) retry_after: Option<Duration>,
    /// Null where it is no JSON, or too long to be one that we expect.
    pub(crate) json: Value,
}

/// A question without an answer.
#[derive(Debug)]
pub(crate) enum CallError {
    /// It never left: no connection came about.
    NotSent(String),
    /// It may have arrived.
    Unanswered(String),
}

impl CallError {
    pub(crate) fn detail(self) -> String {
        match self {
            CallError::NotSent(detail) | CallError::Unanswered(detail) => detail,
        }
    }
}

impl Answer {
    /// A text in the answer, by its path.
    pub(crate) fn text(&self, pointer: &str) -> Option<&str> {
        self.json
            .pointer(pointer)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    }
}

impl Endpoint {
    /// The server at `url`, which the operator has named: it may be anywhere.
    pub(crate) fn new(url: &str, key: Secret) -> Result<Endpoint, OpenUpstreamError> {
        let address = || OpenUpstreamError::Address { url: url.to_owned() };
        let mut base = guard::parse(url).map_err(|_| address())?;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let host = base.host_str().ok_or_else(address)?;
        let allowed = AllowedHosts::parse([host]).map_err(|_| address())?;
        Ok(Endpoint {
            client: GuardedClient::new(allowed)?,
            base,
            key,
        })
    }

    /// A question at this path, relative to the server's address.
    pub(crate) fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, CallError> {
        let url = self
            .base
            .join(path)
            .map_err(|_| CallError::NotSent(format!("{path:?} is no path")))?;
        let request = self
            .client
            .request(method, &url)
            .map_err(|problem| CallError::NotSent(format!("the server's address {problem}")))?;
        Ok(match self.key.expose() {
            "" => request,
            key => request.bearer_auth(key),
        })
    }
}

impl Caller {
    /// Asks the server at `url`, each time for no longer than `timeout`.
    pub(crate) fn new(
        url: &str,
        key: Secret,
        timeout: Duration,
        fetcher: Fetcher,
    ) -> Result<Caller, OpenUpstreamError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(OpenUpstreamError::Runtime)?;
        Ok(Caller {
            endpoint: Endpoint::new(url, key)?,
            timeout,
            fetcher,
            runtime: Some(runtime),
        })
    }

    /// The key there.
    pub(crate) fn key(&self) -> &Secret {
        &self.endpoint.key
    }

    /// A question at this path, relative to the server's address.
    pub(crate) fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, CallError> {
        self.endpoint.request(method, path)
    }

    /// Asks once.
    pub(crate) async fn ask(&self, request: RequestBuilder) -> Result<Answer, CallError> {
        let timeout = self.timeout;
        match time::timeout(timeout, ask(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(CallError::Unanswered(format!("no answer within {timeout:?}"))),
        }
    }

    /// Copies what lies at a user's or a server's URL into a file, behind the guard of addresses.
    pub(crate) async fn fetch(&self, url: &str, bytes_max: u64, into: &Path) -> Result<(), FetchError> {
        self.fetcher.fetch(url, bytes_max, into).await.map(drop)
    }

    /// Copies the answer to a question into a file.
    pub(crate) async fn download(
        &self,
        request: RequestBuilder,
        bytes_max: u64,
        into: &Path,
    ) -> Result<(), FetchError> {
        self.fetcher.download(request, bytes_max, into).await.map(drop)
    }

    /// Runs `work` to its end, whatever is wished meanwhile.
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime().block_on(work)
    }

    /// Runs `work`, and drops it when `go_on` says so.
    pub(crate) fn run_unless<T>(
        &self,
        work: impl Future<Output = T>,
        go_on: &mut dyn FnMut() -> ControlFlow<Halt>,
    ) -> ControlFlow<Halt, T> {
        const TICK: Duration = Duration::from_millis(100);
        self.runtime().block_on(async {
            let mut work = pin!(work);
            loop {
                tokio::select! {
                    biased;
                    done = &mut work => return ControlFlow::Continue(done),
                    () = time::sleep(TICK) => go_on()?,
                }
            }
        })
    }

    fn runtime(&self) -> &Runtime {
        self.runtime
            .as_ref()
            .expect("it is taken when the caller is dropped")
    }
}

impl Drop for Caller {
    /// A runtime may not be waited for where futures run, and engines are dropped there.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Asks once, for as long as it takes: whoever asks bounds it.
pub(crate) async fn ask(request: RequestBuilder) -> Result<Answer, CallError> {
    let mut response = request.send().await.map_err(|error| {
        // The address may hold what must not be seen, and the log knows which server was asked.
        let error = error.without_url();
        let detail = kinora_media::chain(&error).to_string();
        match error.is_connect() || error.is_builder() {
            true => CallError::NotSent(detail),
            false => CallError::Unanswered(detail),
        }
    })?;
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let mut body = Vec::new();
    let broken = |error: reqwest::Error| CallError::Unanswered(error.without_url().to_string());
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            body.clear();
            break;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status,
        retry_after,
        json: serde_json::from_slice(&body).unwrap_or(Value::Null),
    })
}

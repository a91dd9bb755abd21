//! The Hub asked over HTTP: which files a repository has, what a file is called and how long it is, its bytes from a point on.
//!
//! Redirects are followed here and not by the HTTP client, for two reasons: the token goes to the Hub's own host and to no other, and
//! what the Hub says about a file stands in its first answer, not in that of the store behind it.

use std::{fmt, future::Future, time::Duration};

use reqwest::{
    Method, Response, StatusCode,
    header::{self, HeaderMap},
    redirect::Policy,
};
use serde_json::Value;
use tokio::time::sleep;
use url::Url;

use crate::{
    digest::Digest,
    error::HubError,
    name::{Repository, Revision, is_commit, relative},
};

/// Where the Hub is, and how it is asked.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// Its address: `https://huggingface.co`, or a mirror's.
    pub endpoint: String,
    /// What it knows us by.
    pub token: Option<Token>,
    /// How long a connection may be silent before it is given up.
    pub silence: Duration,
    /// How long to wait before something is asked a second time; doubled for each further time.
    pub first_wait: Duration,
}

/// The right to read what is not public. It is shown nowhere but to the Hub.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// As it was given.
    pub fn new(text: String) -> Token {
        Token(text)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[token]")
    }
}

/// A Hub that can be asked.
pub struct Hub {
    http: reqwest::Client,
    /// With a slash at the end.
    endpoint: Url,
    token: Option<Token>,
    first_wait: Duration,
}

/// The files of a repository at one commit.
pub(crate) struct Listing {
    pub(crate) commit: String,
    pub(crate) files: Vec<Listed>,
}

/// A file as the list of a repository has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its path below the repository, with slashes.
    pub name: String,
    /// How long it is, where the Hub says so.
    pub bytes: Option<u64>,
    /// What its content is called, where the Hub says so.
    pub(crate) digest: Option<Digest>,
}

/// What the Hub says about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// By which its content is called, in the cache too.
    pub(crate) etag: String,
    pub(crate) bytes: u64,
    /// What its bytes must hash to, where its name or the list says it.
    pub(crate) digest: Option<Digest>,
}

/// A question that was not answered as it should be.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The next time it may go well.
    Passing {
        host: String,
        why: String,
        /// When the server wants to be asked again.
        after: Option<Duration>,
    },
    Lasting(HubError),
}

/// An answer with the bytes of a file.
pub(crate) struct Body {
    pub(crate) response: Response,
    pub(crate) host: String,
    /// What the Hub calls the content now, where it says so.
    pub(crate) etag: Option<String>,
}

/// Which redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follow {
    /// Those within the Hub, as where a repository has got another name.
    AtHome,
    All,
}

/// How often something is tried without coming any further.
const ATTEMPTS: u32 = 6;
/// Who wants a longer wait than this is not waited for.
const WAIT_MAX: Duration = Duration::from_secs(600);
const REDIRECTS_MAX: usize = 8;
/// A list of files is far shorter.
const LIST_BYTES_MAX: usize = 64 << 20;
/// An error's words are far shorter.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

const LINKED_ETAG: &str = "x-linked-etag";
const LINKED_SIZE: &str = "x-linked-size";
const ERROR_CODE: &str = "x-error-code";
const ERROR_MESSAGE: &str = "x-error-message";

impl Listed {
    /// A file of which nothing is known but its name.
    pub(crate) fn named(name: &str) -> Listed {
        Listed {
            name: name.to_owned(),
            bytes: None,
            digest: None,
        }
    }
}

impl Hub {
    /// The Hub of these options. Nothing is asked yet.
    pub fn new(options: HubOptions) -> Result<Hub, HubError> {
        let HubOptions {
            endpoint,
            token,
            silence,
            first_wait,
        } = options;
        let address = || HubError::Endpoint {
            url: endpoint.clone(),
        };
        let mut url = Url::parse(&endpoint).map_err(|_| address())?;
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || !url.has_host() {
            return Err(address());
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let is_sendable = |token: &Token| token.0.bytes().all(|byte| byte.is_ascii_graphic());
        if !token.as_ref().is_none_or(is_sendable) {
            return Err(HubError::Token);
        }
        // Without a provider of its own the client takes the process's; a second start finds it there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(concat!("kinora/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(silence)
            .read_timeout(silence)
            .redirect(Policy::none())
            // One stream for each connection: the windows of HTTP/2 would have them wait for each other.
            .http1_only()
            .build()
            .map_err(HubError::Client)?;
        Ok(Hub {
            http,
            endpoint: url,
            token,
            first_wait,
        })
    }

    /// The files of a repository.
    pub(crate) async fn list(
        &self,
        repository: &Repository,
        revision: &Revision,
    ) -> Result<Listing, HubError> {
        let subject = format!("{repository}@{revision}");
        let mut url = self.at(&["api", "models"], repository, &["revision", revision.as_str()]);
        url.set_query(Some("blobs=true"));
        let answer = self
            .patiently(&subject, || async {
                let (response, _) = self
                    .send(Method::GET, url.clone(), None, Follow::AtHome, &subject)
                    .await?;
                let response = self.accept(response, repository, &subject).await?;
                self.json(response).await
            })
            .await?;
        let strange = |what: &str| self.strange(&subject, what);
        let commit = answer["sha"].as_str().filter(|commit| is_commit(commit));
        let commit = commit.ok_or_else(|| strange("it names no commit"))?;
        let files = answer["siblings"]
            .as_array()
            .ok_or_else(|| strange("it lists no files"))?;
        let listed = |file: &Value| -> Option<Listed> {
            let name = file["rfilename"].as_str()?;
            // What cannot lie in a folder cannot be chosen either.
            relative(name)?;
            let names = [file["lfs"]["sha256"].as_str(), file["blobId"].as_str()];
            Some(Listed {
                name: name.to_owned(),
                bytes: file["size"].as_u64(),
                digest: names.into_iter().flatten().next().and_then(Digest::of_name),
            })
        };
        Ok(Listing {
            commit: commit.to_owned(),
            files: files.iter().filter_map(listed).collect(),
        })
    }

    /// What a file is called by its content, and how long it is.
    pub(crate) async fn metadata(
        &self,
        repository: &Repository,
        commit: &str,
        file: &Listed,
    ) -> Result<Metadata, HubError> {
        let subject = format!("{} of {repository}", file.name);
        let url = self.file_url(repository, commit, &file.name);
        let headers = self
            .patiently(&subject, || async {
                let (response, _) = self
                    .send(Method::HEAD, url.clone(), None, Follow::AtHome, &subject)
                    .await?;
                if response.status().is_redirection() {
                    return Ok(response.headers().clone());
                }
                let response = self.accept(response, repository, &subject).await?;
                Ok(response.headers().clone())
            })
            .await?;
        let strange = |what: &str| self.strange(&subject, what);
        let etag = named(&headers).ok_or_else(|| strange("it gives its content no name (ETag)"))?;
        let is_redirect = headers.contains_key(header::LOCATION);
        let length = headers.get(header::CONTENT_LENGTH).filter(|_| !is_redirect);
        let length = headers.get(LINKED_SIZE).or(length);
        let bytes = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let bytes = bytes.or(file.bytes);
        Ok(Metadata {
            digest: Digest::of_name(&etag).or_else(|| file.digest.clone()),
            etag,
            bytes: bytes.ok_or_else(|| strange("it does not say how long it is"))?,
        })
    }

    /// The bytes of a file from `from` on, as far as the server heeds that.
    pub(crate) async fn bytes(
        &self,
        repository: &Repository,
        commit: &str,
        file: &str,
        from: u64,
    ) -> Result<Body, Trouble> {
        let subject = format!("{file} of {repository}");
        let url = self.file_url(repository, commit, file);
        let (response, etag) = self
            .send(Method::GET, url, Some(from), Follow::All, &subject)
            .await?;
        let host = host(response.url());
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(Body { response, host, etag });
        }
        let response = self.accept(response, repository, &subject).await?;
        Ok(Body { response, host, etag })
    }

    /// One question, its redirects followed as far as they may be. Answers with what the Hub calls the content, too.
    async fn send(
        &self,
        method: Method,
        url: Url,
        from: Option<u64>,
        follow: Follow,
        subject: &str,
    ) -> Result<(Response, Option<String>), Trouble> {
        let mut url = url;
        let mut etag = None;
        for _ in 0..=REDIRECTS_MAX {
            let is_home = self.is_home(&url);
            let mut request = self
                .http
                .request(method.clone(), url.clone())
                // A compressed answer would be of another length, and of other ranges.
                .header(header::ACCEPT_ENCODING, "identity");
            if let Some(from) = from.filter(|from| *from > 0) {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            if let Some(Token(token)) = self.token.as_ref().filter(|_| is_home) {
                request = request.bearer_auth(token);
            }
            let response = request
                .send()
                .await
                .map_err(|error| passing(host(&url), &error))?;
            if is_home && etag.is_none() {
                etag = named(response.headers());
            }
            if !response.status().is_redirection() {
                return Ok((response, etag));
            }
            let strange = |what: &str| Trouble::Lasting(self.strange(subject, what));
            let target = response.headers().get(header::LOCATION);
            let target = target.and_then(|target| url.join(target.to_str().ok()?).ok());
            let target = target.ok_or_else(|| strange("it sends us on to nowhere"))?;
            if follow == Follow::AtHome && !self.is_home(&target) {
                return Ok((response, etag));
            }
            let is_open = target.scheme() == "http";
            if !(target.scheme() == "https" || is_open && url.scheme() == "http") {
                return Err(strange("it sends us on to where others could listen in"));
            }
            url = target;
        }
        Err(Trouble::Lasting(
            self.strange(subject, "it sends us on again and again"),
        ))
    }

    /// The answer, where it is one.
    async fn accept(
        &self,
        response: Response,
        repository: &Repository,
        subject: &str,
    ) -> Result<Response, Trouble> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let host = host(response.url());
        let is_home = self.is_home(response.url());
        let after = retry_after(response.headers());
        let headers = response.headers().clone();
        let said = self.said(status, &headers, response).await;
        let is_passing = status.is_server_error()
            || [
                StatusCode::REQUEST_TIMEOUT,
                StatusCode::TOO_EARLY,
                StatusCode::TOO_MANY_REQUESTS,
            ]
            .contains(&status)
            // A store behind the Hub refuses what was signed too long ago; the Hub signs anew.
            || !is_home;
        if is_passing {
            return Err(Trouble::Passing {
                host,
                why: said,
                after,
            });
        }
        let code = text(&headers, ERROR_CODE).unwrap_or_default();
        let page = self.endpoint.join(repository.as_str());
        let page = page.map_or_else(|_| repository.to_string(), |page| page.to_string());
        let is_denied = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let advice = match (code.as_str(), &self.token) {
            ("RevisionNotFound" | "EntryNotFound", _) => String::new(),
            ("GatedRepo", None) => {
                format!("\nAccept its conditions at {page}, and set HF_TOKEN to a token of that account.")
            }
            ("GatedRepo", Some(_)) => {
                format!("\nAccept its conditions at {page} with the account of the token (HF_TOKEN).")
            }
            (_, None) if is_denied || status == StatusCode::NOT_FOUND => {
                "\nIf there is such a repository it is private: set HF_TOKEN to a token that may read it."
                    .to_owned()
            }
            (_, Some(_)) if is_denied || status == StatusCode::NOT_FOUND => {
                "\nIf there is such a repository, the token (HF_TOKEN) may not read it, or is no longer good."
                    .to_owned()
            }
            _ => String::new(),
        };
        Err(Trouble::Lasting(HubError::Refused {
            host,
            subject: subject.to_owned(),
            said,
            advice,
        }))
    }

    /// Why something was refused, in the server's words where it has any.
    async fn said(&self, status: StatusCode, headers: &HeaderMap, response: Response) -> String {
        let words = match text(headers, ERROR_MESSAGE) {
            Some(words) => Some(words),
            None => {
                let body = read(response, REFUSAL_BYTES_MAX).await.unwrap_or_default();
                let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                body["error"].as_str().map(str::to_owned)
            }
        };
        let Some(words) = words else {
            return status.to_string();
        };
        let mut words: String = words.replace(char::is_control, " ").chars().take(300).collect();
        if let Some(Token(token)) = self.token.as_ref().filter(|token| !token.0.is_empty()) {
            words = words.replace(token, "[token]");
        }
        format!("{words} ({})", status.as_u16())
    }

    async fn json(&self, response: Response) -> Result<Value, Trouble> {
        let host = host(response.url());
        let broken = |why: String| Trouble::Passing {
            host: host.clone(),
            why,
            after: None,
        };
        let body = read(response, LIST_BYTES_MAX).await.map_err(&broken)?;
        serde_json::from_slice(&body).map_err(|error| broken(format!("its answer is no JSON: {error}")))
    }

    /// Asks until there is an answer, or no hope of one.
    async fn patiently<T, F: Future<Output = Result<T, Trouble>>>(
        &self,
        subject: &str,
        ask: impl Fn() -> F,
    ) -> Result<T, HubError> {
        let mut patience = self.patience();
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(trouble) => {
                    let (wait, why) = patience.wait(subject, trouble)?;
                    tracing::debug!("{subject}: {why}; asked again in {wait:?}");
                    sleep(wait).await;
                }
            }
        }
    }

    pub(crate) fn patience(&self) -> Patience {
        Patience {
            first_wait: self.first_wait,
            failures: 0,
        }
    }

    fn is_home(&self, url: &Url) -> bool {
        url.origin() == self.endpoint.origin()
    }

    fn file_url(&self, repository: &Repository, commit: &str, file: &str) -> Url {
        let path: Vec<&str> = ["resolve", commit].into_iter().chain(file.split('/')).collect();
        self.at(&[], repository, &path)
    }

    fn at(&self, before: &[&str], repository: &Repository, behind: &[&str]) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty()
                .extend(before)
                .extend(repository.as_str().split('/'))
                .extend(behind);
        }
        url
    }

    fn strange(&self, subject: &str, what: &str) -> HubError {
        HubError::Strange {
            host: host(&self.endpoint),
            subject: subject.to_owned(),
            what: what.to_owned(),
        }
    }
}

/// How often, and after which waits, something is tried again.
pub(crate) struct Patience {
    first_wait: Duration,
    /// Since something was achieved.
    failures: u32,
}

impl Patience {
    /// Something was achieved: what failed before does not count any more.
    pub(crate) fn renew(&mut self) {
        self.failures = 0;
    }

    /// How long to wait before the next attempt, and why there has to be one; an error where there is none.
    pub(crate) fn wait(&mut self, subject: &str, trouble: Trouble) -> Result<(Duration, String), HubError> {
        let (host, why, after) = match trouble {
            Trouble::Lasting(error) => return Err(error),
            Trouble::Passing { host, why, after } => (host, why, after),
        };
        self.failures += 1;
        let subject = subject.to_owned();
        if self.failures >= ATTEMPTS {
            let why = format!("{host}: {why}");
            return Err(HubError::GivenUp { subject, why });
        }
        let wait = self.first_wait * (1 << (self.failures - 1));
        match after {
            Some(after) if after > WAIT_MAX => Err(HubError::Later { host, subject, after }),
            Some(after) => Ok((wait.max(after), format!("{host}: {why}"))),
            None => Ok((wait, format!("{host}: {why}"))),
        }
    }
}

/// A question that was lost on the way. Addresses may be signed: they are not told.
pub(crate) fn passing(host: String, error: &reqwest::Error) -> Trouble {
    let why = if error.is_timeout() {
        "it has been silent for too long".to_owned()
    } else {
        let mut why = String::new();
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
        while let Some(error) = cause {
            // The innermost says what happened, the others where.
            why = error.to_string();
            cause = error.source();
        }
        if why.is_empty() {
            "the connection broke off".to_owned()
        } else {
            why
        }
    };
    Trouble::Passing {
        host,
        why,
        after: None,
    }
}

/// What the content of a file is called: a name that is fit for a file in the cache.
fn named(headers: &HeaderMap) -> Option<String> {
    let etag = text(headers, LINKED_ETAG).or_else(|| text(headers, header::ETAG.as_str()))?;
    let etag = etag.trim_start_matches("W/").trim_matches('"');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_name = (1..=128).contains(&etag.len()) && etag.chars().all(is_plain) && !etag.starts_with('.');
    is_name.then(|| etag.to_owned())
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// When a server wants to be asked again: seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = text(headers, header::RETRY_AFTER.as_str())?;
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(&text).ok()?;
    Some(
        date.duration_since(std::time::SystemTime::now())
            .unwrap_or_default(),
    )
}

async fn read(response: Response, bytes_max: usize) -> Result<Vec<u8>, String> {
    let mut response = response;
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= bytes_max => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err("its answer does not end".to_owned()),
            Ok(None) => return Ok(body),
            Err(error) => return Err(error.without_url().to_string()),
        }
    }
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

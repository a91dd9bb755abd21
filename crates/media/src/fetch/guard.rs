//! The guard that every request to a user's URL passes, a fetch or a webhook alike: the URL's form, the host as
//! written, the addresses its name resolves to, and the address that finally answered.
//!
//! Filtering the resolver alone is not enough (a literal address is never resolved), nor is checking the URL alone (a
//! name can resolve to anything). So both, and the connected address once more afterwards.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use reqwest::{
    Client, Method, RequestBuilder, Response,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use rustls::{ClientConfig, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;
use url::{Host, Url};

use super::{FetchError, address::is_public};

/// The longest URL taken, in characters.
pub const MAX_URL_CHARS: usize = 8192;

/// Whether a URL can be taken at all, without asking the network: absolute http or https, no user info, not too long,
/// not a literal address or name that is never public.
pub fn check_url_syntax(url: &str, allowed: &AllowedHosts) -> Result<(), UrlProblem> {
    allowed.judge(&parse(url)?).map(drop)
}

/// Parses a URL as strictly as the contract words it; a browser would repair more.
pub fn parse(text: &str) -> Result<Url, UrlProblem> {
    if text.chars().count() > MAX_URL_CHARS {
        return Err(UrlProblem::TooLong);
    }
    let scheme_end = text.find("://").ok_or(UrlProblem::NotHttp)?;
    if !["http", "https"]
        .iter()
        .any(|scheme| text[..scheme_end].eq_ignore_ascii_case(scheme))
    {
        return Err(UrlProblem::NotHttp);
    }
    // These are silently dropped or turned by the parser, which would hide the host from other readers.
    if text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(UrlProblem::Malformed);
    }
    let url = Url::parse(text).map_err(|_| UrlProblem::Malformed)?;
    if text[scheme_end + 3..].starts_with('/') || url.host().is_none() {
        return Err(UrlProblem::Malformed);
    }
    if !url.username().is_empty()
        || url.password().is_some()
        || authority(&text[scheme_end + 3..]).contains('@')
    {
        return Err(UrlProblem::UserInfo);
    }
    Ok(url)
}

/// Hosts that the operator allowed by name although they are not public: `host` for every port, `host:port` for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    entries: BTreeSet<(String, Option<u16>)>,
}

impl AllowedHosts {
    /// From entries such as `localhost`, `127.0.0.1:8080`, `[::1]:9000`, `media.internal`.
    pub fn parse<S: AsRef<str>>(entries: impl IntoIterator<Item = S>) -> Result<Self, AllowedHostError> {
        let entries = entries
            .into_iter()
            .map(|entry| Self::entry(entry.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }

    fn entry(entry: &str) -> Result<(String, Option<u16>), AllowedHostError> {
        let error = || AllowedHostError {
            entry: entry.to_owned(),
        };
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, Some(port.parse().map_err(|_| error())?))
            }
            Some(_) | None => (entry, None),
        };
        let host = Host::parse(host).map_err(|_| error())?;
        Ok((host.to_string(), port))
    }

    /// Whether the operator allowed the host of this URL by name.
    pub fn has(&self, url: &str) -> bool {
        parse(url).is_ok_and(|url| matches!(self.judge(&url), Ok(Trust::Allowed)))
    }

    fn contains(&self, host: &Host<&str>, port: Option<u16>) -> bool {
        let host = host.to_string();
        self.entries.contains(&(host.clone(), None)) || port.is_some() && self.entries.contains(&(host, port))
    }

    /// Whether the URL's host may be asked, and under which scrutiny.
    fn judge(&self, url: &Url) -> Result<Trust, UrlProblem> {
        let host = url.host().ok_or(UrlProblem::Malformed)?;
        if self.contains(&host, url.port_or_known_default()) {
            return Ok(Trust::Allowed);
        }
        let refused = match host {
            Host::Ipv4(address) => !is_public(address.into()),
            Host::Ipv6(address) => !is_public(address.into()),
            Host::Domain(name) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                name.is_empty()
                    || name == "localhost"
                    || name.ends_with(".localhost")
                    || IpAddr::from_str(&name).is_ok_and(|address| !is_public(address))
            }
        };
        if refused {
            Err(UrlProblem::NotPublic)
        } else {
            Ok(Trust::Public)
        }
    }
}

/// An entry of the operator's list that is no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{entry}\" is neither a host nor host:port")]
pub struct AllowedHostError {
    entry: String,
}

/// How a host may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// At public addresses only.
    Public,
    /// Wherever it is.
    Allowed,
}

/// Why a URL is not taken. Messages follow the member's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlProblem {
    /// Too long.
    #[error("is longer than {MAX_URL_CHARS} characters")]
    TooLong,
    /// Relative, or another scheme.
    #[error("is not an absolute http or https URL")]
    NotHttp,
    /// It names a user or a password.
    #[error("contains user information")]
    UserInfo,
    /// Not a URL.
    #[error("is not a valid URL")]
    Malformed,
    /// Its host is not on the public Internet, or has no address there.
    #[error("does not point to a public address")]
    NotPublic,
}

/// An HTTP client that asks only hosts the guard lets through. Sends what it is given, once: no redirects, no proxy,
/// no decompression.
#[derive(Clone, Debug)]
pub struct GuardedClient {
    allowed: AllowedHosts,
    public: Client,
    trusting: Client,
}

/// The HTTP client could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Its TLS settings.
    #[error("setting up TLS failed")]
    Tls(#[source] rustls::Error),
    /// The rest.
    #[error("setting up HTTP failed")]
    Http(#[source] reqwest::Error),
}

impl GuardedClient {
    /// A client that may also reach the hosts the operator allowed.
    pub fn new(allowed: AllowedHosts) -> Result<Self, ClientError> {
        let provider = Arc::new(ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_platform_verifier())
            .map_err(ClientError::Tls)?
            .with_no_client_auth();
        let builder = || {
            Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .redirect(redirect::Policy::none())
                .no_proxy()
                .referer(false)
                .user_agent(concat!("kinora/", env!("CARGO_PKG_VERSION")))
        };
        // An allowed name may resolve to anything, but only for the ports it is allowed for: so two clients, and the
        // judgement of each URL chooses.
        let public = builder()
            .dns_resolver(PublicResolver)
            .build()
            .map_err(ClientError::Http)?;
        let trusting = builder().build().map_err(ClientError::Http)?;
        Ok(Self {
            allowed,
            public,
            trusting,
        })
    }

    /// A request to this URL, if its host may be asked.
    pub fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder, UrlProblem> {
        let client = match self.allowed.judge(url)? {
            Trust::Public => &self.public,
            Trust::Allowed => &self.trusting,
        };
        Ok(client.request(method, url.clone()))
    }

    /// Sends a request made by [`GuardedClient::request`] and checks who answered.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, FetchError> {
        let response = request.send().await.map_err(|error| match is_refusal(&error) {
            true => FetchError::Url(UrlProblem::NotPublic),
            false => FetchError::Unreachable,
        })?;
        let answered = response
            .remote_addr()
            .is_some_and(|remote| is_public(remote.ip()));
        match self.allowed.judge(response.url())? {
            Trust::Public if !answered => Err(FetchError::Url(UrlProblem::NotPublic)),
            Trust::Public | Trust::Allowed => Ok(response),
        }
    }
}

/// Resolves names to their public addresses; a name without any is refused, as is one that does not exist: whether a
/// name exists inside the operator's network is none of the user's business.
struct PublicResolver;

#[derive(Debug, thiserror::Error)]
#[error("no public address")]
struct NoPublicAddress;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let public: Vec<SocketAddr> = found
                .into_iter()
                .flatten()
                .filter(|address| is_public(address.ip()))
                .collect();
            if public.is_empty() {
                return Err(NoPublicAddress.into());
            }
            let addresses: Addrs = Box::new(public.into_iter());
            Ok(addresses)
        })
    }
}

fn is_refusal(error: &reqwest::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.is::<NoPublicAddress>() {
            return true;
        }
        source = cause.source();
    }
    false
}

fn authority(after_scheme: &str) -> &str {
    after_scheme.split(['/', '?', '#']).next().unwrap_or_default()
}

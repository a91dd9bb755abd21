//! Speaks HTTP: the wire contract, and nothing else.
//!
//! A request walks through [`auth`] (who asks), [`wire`] (what was sent), the domain (what it means) and the
//! store (what is kept); [`error`] is the one place where a failure becomes a status code. No handler runs an
//! engine or fetches a user's URL: the worker does both.

use std::{net::SocketAddr, sync::Arc};

use axum::http::HeaderValue;
use kinora_domain::{PriceTable, Timestamp};
use kinora_media::{Toolbox, fetch::AllowedHosts};
use kinora_store::{Store, blobs::Blobs};
use kinora_worker::LiveCatalog;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub mod auth;
pub mod create;
pub mod credits;
pub mod error;
pub mod events;
pub mod files;
pub mod first_visit;
pub mod generations;
pub mod health;
pub mod idempotency;
pub mod keys;
pub mod linger;
pub mod models;
pub mod openapi;
pub mod queue;
pub mod rate;
pub mod router;
mod studio;
pub mod videos_api;
pub mod webhooks;
pub mod wire;

pub use router::router;

use crate::webhooks::WebhookTargets;

/// What every answer with a user's data says to caches.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Everything the handlers share.
#[derive(Clone)]
pub struct App(Arc<AppParts>);

impl std::ops::Deref for App {
    type Target = AppParts;

    fn deref(&self) -> &AppParts {
        &self.0
    }
}

impl App {
    /// The parts, ready to be handed to a router.
    pub fn new(parts: AppParts) -> App {
        App(Arc::new(parts))
    }
}

/// What the handlers work with.
pub struct AppParts {
    /// Generations, ledger, keys.
    pub store: Arc<dyn Store>,
    /// Uploads and results.
    pub blobs: Arc<Blobs>,
    /// Measures uploads in the sandboxed child.
    pub toolbox: Arc<Toolbox>,
    /// Places for these children: each may take as much memory as one is allowed, and requests come as they like.
    pub measuring: Arc<Semaphore>,
    /// Hosts the operator allowed by name, for judging the URLs of requests before anything is accepted.
    pub allowed_hosts: AllowedHosts,
    /// Which URLs may be webhooks.
    pub webhook_targets: WebhookTargets,
    /// What the engines behind this server can do, and in which order they are asked.
    pub catalog: LiveCatalog,
    /// How much waits, and who works.
    pub last_figures: queue::LastFigures,
    /// What it costs.
    pub prices: PriceTable,
    /// Requests per key and minute.
    pub rates: rate::Rates,
    /// Keys of requests that are being accepted right now.
    pub in_flight: idempotency::InFlight,
    /// The key of the first start, for the link that opens the Studio.
    pub first_visit: first_visit::FirstVisit,
    /// Signs the URLs of results.
    pub signer: files::Signer,
    /// Numbers, from the configuration.
    pub settings: HttpSettings,
    /// Cancelled when the server shuts down: streams end, readiness turns away.
    pub drain: CancellationToken,
    /// Renders what `/metrics` shows.
    pub metrics: metrics_exporter_prometheus::PrometheusHandle,
    /// The present.
    pub clock: fn() -> Timestamp,
}

/// Numbers of the wire that the operator sets.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// What URLs in answers start with; without it, the address that is listened on.
    pub public_url: String,
    /// Life of a signed URL, in milliseconds.
    pub url_life_ms: u64,
    /// How long a generation may take from submission to its end, in milliseconds.
    pub deadline_ms: u64,
    /// How long a worker may be silent before it is taken for dead, in milliseconds.
    pub lease_ms: u64,
    /// How many of an account's generations may be queued at once.
    pub queued_max: u32,
    /// How many webhook endpoints an account may have.
    pub endpoints_max: u32,
    /// How long the secret before a rotated one goes on signing, in milliseconds.
    pub secret_overlap_ms: u64,
    /// Largest JSON body, in bytes.
    pub json_bytes_max: u64,
    /// Largest multipart body, in bytes.
    pub multipart_bytes_max: u64,
    /// How long a request's body may take to arrive, in milliseconds.
    pub body_timeout_ms: u64,
    /// How long the media of a finished generation are kept, in milliseconds; `None` is for ever.
    pub retention_ms: Option<u64>,
    /// Names by which `/v1/videos` takes its model, besides its own.
    pub model_aliases: Vec<String>,
    /// Silence on an event stream after which a comment is sent, in milliseconds.
    pub sse_heartbeat_ms: u64,
    /// The listener that `/metrics` is served on; `None` serves it nowhere.
    pub metrics_listen: Option<SocketAddr>,
}

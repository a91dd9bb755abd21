//! The parts, opened and joined: from a configuration to a server that answers.
//!
//! [`Node`] is what every process has that makes or serves videos; [`Server`] is the one that also listens, keeps
//! house and drains. Which settings apply is decided in [`config`](crate::config), what requests mean in
//! [`http`](crate::http).

use std::{fs, io, net::SocketAddr, sync::Arc, thread::available_parallelism, time::Duration};

use kinora_domain::{Silence, WorkerId};
use kinora_media::{
    ChildLimits, Toolbox, ToolboxError, ToolboxOptions,
    fetch::{FetchError, FetchPolicy, Fetcher, GuardedClient},
    sandbox::Launcher,
};
use kinora_store::{
    Database, Store, StoreError,
    blobs::{Blobs, BlobsOptions},
};
use kinora_worker::{
    Housekeeping, HousekeepingOptions, Identity, LiveCatalog, PublishBlob, Worker, WorkerError,
    WorkerOptions, WorkerParts, system_clock,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use thiserror::Error;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{BlobsConfig, Config, DataConfig, MediaConfig, Role, ServerConfig},
    http::{
        App, AppParts, HttpSettings, files, files::Signer, first_visit::FirstVisit, idempotency::InFlight,
        queue::LastFigures, rate::Rates,
    },
    webhooks::{Sender, SenderParts, TRY_TIMEOUT},
};

mod catalog;
mod checkpoint;
mod data_dir;
mod engines;
pub mod first_start;
mod listener;
mod memory;
mod server;

pub use catalog::CatalogKeeper;
pub use checkpoint::{Located, NotHere, locate};
pub use data_dir::{DataDir, DataDirError, ServerLock};
pub use engines::{Engines, OpenEnginesError, open_engines, wan_options};
pub use first_start::FreshKey;
pub use kinora_worker::now;
pub use server::Server;

/// What a process that makes or serves videos works with.
#[derive(Clone)]
pub struct Node {
    /// Generations, ledger, keys.
    pub store: Arc<dyn Store>,
    /// Uploads and results.
    pub blobs: Arc<Blobs>,
    /// ffmpeg in its sandbox.
    pub toolbox: Toolbox,
    /// Users' URLs.
    pub fetcher: Fetcher,
    /// What makes videos in this process.
    pub engines: Engines,
    /// What is offered, by this process and all others.
    pub catalog: CatalogKeeper,
    /// What signs the URLs of files.
    url_secret: [u8; 32],
    webhook_client: GuardedClient,
    dir: DataDir,
}

/// The sockets of a server, bound before anything else is opened: a port that is taken fails at once. A worker may have
/// none.
#[derive(Default)]
pub struct Listeners {
    main: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

/// Why the parts cannot be opened or joined.
#[derive(Debug, Error)]
pub enum ComposeError {
    /// A port is taken, or an address is not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database or the blobs.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// ffmpeg or its sandbox.
    #[error(transparent)]
    Toolbox(#[from] ToolboxError),
    /// This executable, which starts the children, cannot be found.
    #[error("the path of this program cannot be found")]
    Launcher(#[source] io::Error),
    /// The client for users' URLs.
    #[error(transparent)]
    Fetcher(#[from] FetchError),
    /// The engines.
    #[error(transparent)]
    Engines(#[from] OpenEnginesError),
    /// The worker.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A part panicked while it was opened.
    #[error("opening a part failed")]
    Panicked(#[from] tokio::task::JoinError),
}

impl Node {
    /// Opens the parts, the slow ones beside each other.
    pub async fn open(config: &Config, dir: &DataDir) -> Result<Node, ComposeError> {
        let media = config.media.clone();
        let finding = tokio::task::spawn_blocking(move || open_toolbox(&media));
        let media = config.media.clone();
        let fetching = tokio::task::spawn_blocking(move || open_fetcher(&media));
        let hosts = config.webhooks.targets.allow_hosts.clone();
        let telling = tokio::task::spawn_blocking(move || {
            GuardedClient::new(hosts).map_err(|error| ComposeError::Fetcher(FetchError::Client(error)))
        });
        let engines = config.clone();
        let checking = tokio::task::spawn_blocking(move || match engines.role {
            Role::Api => Ok(Engines::default()),
            Role::Worker | Role::All => open_engines(&engines, true),
        });
        let opening = tokio::task::spawn_blocking({
            let dir = dir.clone();
            let (data, blobs) = (config.data.clone(), config.blobs.clone());
            move || Ok::<_, StoreError>((open_store(&data, &dir)?, open_blobs(&blobs, &dir)?))
        });
        let (store, blobs) = opening.await??;
        // A bucket that does not let us in is told at the start, not by the first upload.
        blobs.reach_bucket().await?;
        let url_secret = store.secret("file URLs", rand::random()).await?;
        let engines = checking.await??;
        let catalog = CatalogKeeper {
            store: Arc::clone(&store),
            own: engines.offers(),
            routes: config.routes.clone(),
            silence: Silence {
                lease_ms: config.queue.lease_ms,
                offers_ms: match config.role {
                    Role::Api => config.queue.offers_ms,
                    // Who works itself is not scaled to none, and refuses what nobody can make, as one process alone does.
                    Role::Worker | Role::All => 0,
                },
            },
            live: LiveCatalog::default(),
        };
        catalog.read().await?;
        Ok(Node {
            store,
            blobs: Arc::new(blobs),
            toolbox: finding.await??,
            fetcher: fetching.await??,
            engines,
            catalog,
            url_secret,
            webhook_client: telling.await??,
            dir: dir.clone(),
        })
    }

    /// What the handlers share. `address` is where the server is reached unless the configuration knows better.
    pub async fn app(
        &self,
        config: &Config,
        address: &str,
        drain: CancellationToken,
        metrics: PrometheusHandle,
    ) -> Result<App, ComposeError> {
        let ServerConfig {
            listen: _,
            public_url,
            metrics_listen,
            connections_max: _,
            header_timeout_ms: _,
            body_timeout_ms,
            json_bytes_max,
            multipart_bytes_max,
            sse_heartbeat_ms,
            drain_ms: _,
        } = config.server.clone();
        let settings = HttpSettings {
            public_url: public_url.unwrap_or_else(|| address.to_owned()),
            url_life_ms: config.url_life_ms,
            deadline_ms: config.queue.deadline_ms,
            lease_ms: config.queue.lease_ms,
            queued_max: config.queue.queued_per_account,
            endpoints_max: config.webhooks.endpoints_max,
            secret_overlap_ms: config.webhooks.secret_overlap_ms,
            json_bytes_max,
            multipart_bytes_max,
            body_timeout_ms,
            retention_ms: config.data.retention_ms,
            model_aliases: config.model_aliases.clone(),
            sse_heartbeat_ms,
            metrics_listen,
        };
        Ok(App::new(AppParts {
            store: Arc::clone(&self.store),
            blobs: Arc::clone(&self.blobs),
            toolbox: Arc::new(self.toolbox.clone()),
            measuring: Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from))),
            allowed_hosts: config.media.allow_hosts.clone(),
            webhook_targets: config.webhooks.targets.clone(),
            catalog: self.catalog.live.clone(),
            last_figures: LastFigures::default(),
            prices: config.prices.clone(),
            rates: match self.dir.database(&config.data) {
                Database::Sqlite(_) => Rates::own(config.rates),
                Database::Postgres(_) => Rates::shared(config.rates, Arc::clone(&self.store)),
            },
            in_flight: InFlight::default(),
            first_visit: FirstVisit::default(),
            signer: Signer::new(self.url_secret),
            settings,
            drain,
            metrics,
            clock: now,
        }))
    }

    /// The worker of this process.
    pub fn worker(&self, config: &Config) -> Result<Worker, ComposeError> {
        let defaults = WorkerOptions::new(self.dir.scratch());
        let options = WorkerOptions {
            slots: config.slots,
            lease_ms: config.queue.lease_ms,
            heartbeat_ms: config.queue.heartbeat_ms,
            attempts_max: config.queue.attempts_max,
            retry_ms: config.queue.retry_delay_ms,
            retry_ms_max: defaults.retry_ms_max.max(config.queue.retry_delay_ms),
            drain_ms: config.server.drain_ms,
            running_max: config.queue.running_per_account,
            preset: config.media.preset,
            ..defaults
        };
        Ok(Worker::new(WorkerParts {
            identity: Identity {
                id: WorkerId::new(now(), rand::random()),
                name: config.worker_name.clone().unwrap_or_else(machine_name),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            store: Arc::clone(&self.store),
            blobs: Arc::clone(&self.blobs),
            toolbox: self.toolbox.clone(),
            fetcher: self.fetcher.clone(),
            engines: self.engines.factories.clone(),
            catalog: self.catalog.live.clone(),
            publish: self.publish(config),
            prices: config.prices.clone(),
            options,
            clock: system_clock(),
        })?)
    }

    /// What tells clients of their generations.
    pub fn webhooks(&self, config: &Config, app: &App) -> Sender {
        Sender::new(SenderParts {
            store: Arc::clone(&self.store),
            client: self.webhook_client.clone(),
            targets: config.webhooks.targets.clone(),
            public_url: app.settings.public_url.clone(),
            signer: app.signer.clone(),
            url_life_ms: app.settings.url_life_ms,
            timeout: TRY_TIMEOUT,
            clock: system_clock(),
        })
    }

    /// How inputs are shown to those who work for us: at the public URL, for as long as a generation may take.
    fn publish(&self, config: &Config) -> Option<PublishBlob> {
        let public_url = config.server.public_url.clone()?;
        let signer = Signer::new(self.url_secret);
        let life_ms = config.queue.deadline_ms;
        Some(Arc::new(move |id, blob, extension| {
            let path = files::sign_blob(&signer, id, blob, extension, now().plus_ms(life_ms));
            format!("{public_url}{path}")
        }))
    }

    /// The loop that repairs what time breaks.
    pub fn housekeeping(&self, config: &Config) -> Housekeeping {
        let defaults = HousekeepingOptions::default();
        let options = HousekeepingOptions {
            attempts_max: config.queue.attempts_max,
            retention_ms: config.data.retention_ms,
            sweep_grace_ms: config.data.orphan_grace_ms,
            webhook_log_ms: config.webhooks.log_ms,
            workers_ms: config.queue.lease_ms.saturating_mul(4),
            offers_ms: config.queue.offers_ms,
            recover_every: match config.role {
                // A worker looks only for the case that nobody else does: a lease and a half is within two.
                Role::Worker => Duration::from_millis(config.queue.lease_ms / 2),
                Role::Api | Role::All => defaults.recover_every,
            },
            ..defaults
        };
        Housekeeping {
            store: Arc::clone(&self.store),
            blobs: Arc::clone(&self.blobs),
            options,
            clock: system_clock(),
        }
    }
}

impl Listeners {
    /// Binds what the configuration names.
    pub async fn bind(config: &ServerConfig) -> Result<Listeners, ComposeError> {
        let main = bind(config.listen).await?;
        let metrics = match config.metrics_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        Ok(Listeners {
            main: Some(main),
            metrics,
        })
    }

    /// Where clients on this machine reach it; `None` where nothing listens.
    pub fn url(&self) -> Option<String> {
        Some(url_of(self.main.as_ref()?.local_addr().ok()?))
    }

    /// Where the figures are read.
    pub fn metrics_url(&self) -> Option<String> {
        let address = self.metrics.as_ref()?.local_addr().ok()?;
        Some(format!("{}/metrics", url_of(address)))
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ComposeError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ComposeError::Listen { address, source })
}

/// "Every address of this machine" is none that a client could ask; loopback is one of them.
fn url_of(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        let loopback = match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(loopback);
    }
    format!("http://{address}")
}

/// The machine's name, which in a pod is the pod's; what workers are called by default.
fn machine_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "worker".to_owned(),
        name => name.to_owned(),
    }
}

/// The installation's database. Blocks.
pub fn open_store(config: &DataConfig, dir: &DataDir) -> kinora_store::Result<Arc<dyn Store>> {
    dir.database(config).open(config.database_connections)
}

/// The bytes of a data directory, or of the bucket that it has a cache of. Within a runtime.
pub fn open_blobs(config: &BlobsConfig, dir: &DataDir) -> kinora_store::Result<Blobs> {
    let BlobsConfig { bucket, cache_bytes } = config.clone();
    let folder = if bucket.is_some() {
        dir.cache()
    } else {
        dir.blobs()
    };
    let options = BlobsOptions {
        crash: None,
        bucket,
        cache_bytes,
    };
    Blobs::open_with(&folder, options)
}

/// ffmpeg, found and tried in its sandbox. Blocks.
pub fn open_toolbox(config: &MediaConfig) -> Result<Toolbox, ComposeError> {
    let MediaConfig {
        ffmpeg,
        sandbox,
        memory_bytes,
        threads,
        preset: _,
        allow_hosts: _,
        fetch_timeout_ms: _,
    } = config.clone();
    let launcher = Launcher::current().map_err(ComposeError::Launcher)?;
    let defaults = ChildLimits::default();
    let limits = ChildLimits {
        memory_bytes,
        threads: threads.unwrap_or(defaults.threads),
        ..defaults
    };
    Ok(Toolbox::find(ToolboxOptions {
        ffmpeg,
        launcher,
        limits,
        policy: sandbox,
    })?)
}

/// What fetches users' URLs. Blocks: the machine's certificates are read.
pub fn open_fetcher(config: &MediaConfig) -> Result<Fetcher, ComposeError> {
    let policy = FetchPolicy {
        allow_hosts: config.allow_hosts.clone(),
        timeout: Duration::from_millis(config.fetch_timeout_ms),
        ..FetchPolicy::default()
    };
    Ok(Fetcher::new(policy)?)
}

/// Bounds of the time to an answer, in seconds: from one out of memory to one that waited for a video. Buckets, for those
/// of several nodes can be added up; quantiles cannot.
const ANSWER_SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0,
];

/// The recorder of this process's figures. Only the first one records; a test may make more.
fn record_metrics() -> PrometheusHandle {
    let answers = Matcher::Full("kinora_http_request_seconds".to_owned());
    let builder = PrometheusBuilder::new().set_buckets_for_metric(answers, &ANSWER_SECONDS);
    // Only no bounds at all would be refused.
    let recorder = builder.unwrap_or_default().build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::debug!("Figures are recorded already");
    }
    metrics::describe_histogram!(
        "kinora_http_request_seconds",
        "Time from a request to its answer."
    );
    metrics::describe_counter!(
        "kinora_webhook_tries_total",
        "Tries to tell receivers, by how they ended."
    );
    handle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_can_be_asked() {
        let check = |address: &str, expected: &str| {
            assert_eq!(url_of(address.parse().unwrap()), expected);
        };
        check("127.0.0.1:8080", "http://127.0.0.1:8080");
        check("0.0.0.0:80", "http://127.0.0.1:80");
        check("[::]:8080", "http://[::1]:8080");
        check("192.0.2.7:1", "http://192.0.2.7:1");
    }
}

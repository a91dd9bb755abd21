//! A node that listens, keeps house, and drains in good order.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::{JoinError, JoinSet},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    ComposeError, FreshKey, Listeners, Node,
    listener::{self, ConnectionLimits},
    record_metrics,
};
use crate::{
    config::{Config, Role},
    http::{
        App,
        first_visit::names_loopback,
        router,
        router::{metrics_router, worker_router},
    },
};

/// How often figures are folded together and idle keys forgotten.
const UPKEEP_EVERY: Duration = Duration::from_secs(30);

/// A server that answers. Dropping it cuts everything off; [`Server::stop`] ends it well.
pub struct Server {
    url: Option<String>,
    metrics_url: Option<String>,
    app: App,
    /// Told first: nothing new is started.
    drain: CancellationToken,
    /// Told where there is no time: what runs is handed back at once.
    hurry: CancellationToken,
    /// Told last: nothing more is answered.
    close: CancellationToken,
    /// The worker's slots. Empty where other processes work.
    working: JoinSet<()>,
    /// Everything that ends when the listeners do.
    serving: JoinSet<()>,
}

impl Server {
    /// Starts everything. Requests are answered from now on.
    pub async fn start(config: &Config, node: Node, listeners: Listeners) -> Result<Server, ComposeError> {
        let [drain, hurry, close] = [(); 3].map(|()| CancellationToken::new());
        let (url, metrics_url) = (listeners.url(), listeners.metrics_url());
        let address = url.as_deref().unwrap_or_default();
        let app = node.app(config, address, drain.clone(), record_metrics()).await?;
        let works = match config.role {
            Role::Api => false,
            Role::Worker | Role::All => config.slots > 0,
        };
        let mut working = JoinSet::new();
        if works {
            let worker = node.worker(config)?;
            let (shutdown, hurry) = (drain.clone(), hurry.clone());
            working.spawn(async move { worker.run(shutdown, hurry).await });
        }

        let mut serving = JoinSet::new();
        let housekeeping = Arc::new(node.housekeeping(config));
        let shutdown = close.clone();
        match config.role {
            Role::Worker => {
                serving.spawn(async move { housekeeping.run_recovery(shutdown).await });
            }
            Role::Api | Role::All => {
                serving.spawn(async move { housekeeping.run(shutdown).await });
                let webhooks = node.webhooks(config, &app);
                let shutdown = close.clone();
                serving.spawn(async move { webhooks.run(shutdown).await });
            }
        }
        serving.spawn(upkeep(app.clone(), close.clone()));
        let (catalog, shutdown) = (node.catalog.clone(), close.clone());
        serving.spawn(async move { catalog.run(shutdown).await });
        let limits = ConnectionLimits {
            connections_max: config.server.connections_max,
            header_timeout: Duration::from_millis(config.server.header_timeout_ms),
        };
        let Listeners { main, metrics } = listeners;
        if let Some(metrics) = metrics {
            serving.spawn(listener::serve(
                metrics,
                metrics_router(app.clone()),
                limits,
                close.clone(),
            ));
        }
        if let Some(main) = main {
            let router = match config.role {
                Role::Worker => worker_router(app.clone()),
                Role::Api | Role::All => router(app.clone()),
            };
            serving.spawn(listener::serve(main, router, limits, close.clone()));
        }
        Ok(Server {
            url,
            metrics_url,
            app,
            drain,
            hurry,
            close,
            working,
            serving,
        })
    }

    /// Where clients on this machine reach it; `None` where nothing listens.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// The link that opens the Studio and signs in with the key of the first start, once and from this machine only.
    /// There is none where the server does not listen on loopback.
    pub fn invite(&self, fresh: &FreshKey) -> Option<String> {
        let url = self.url()?;
        if !names_loopback(url.strip_prefix("http://")?) {
            return None;
        }
        let code = hex::encode(rand::random::<[u8; 16]>());
        self.app
            .first_visit
            .invite(&code, &fresh.secret, (self.app.clock)());
        Some(format!("{url}/studio#start={code}"))
    }

    /// Where its figures are read, if they are.
    pub fn metrics_url(&self) -> Option<&str> {
        self.metrics_url.as_deref()
    }

    /// Waits until a part ends that should not have: what it was.
    pub async fn broken(&mut self) -> String {
        let (part, ended) = tokio::select! {
            Some(ended) = self.working.join_next() => ("the worker", ended),
            Some(ended) = self.serving.join_next() => ("a listener, the housekeeping, the catalogue or the webhooks", ended),
        };
        format!("{part} ended by itself{}", reason(ended))
    }

    /// Gives what runs no more time: it is handed back.
    pub fn hurry(&self) {
        self.hurry.cancel();
    }

    /// Takes no more work, lets what runs finish for as long as the configuration allows, then closes.
    ///
    /// Until the work is done the sockets stay open: clients are told that the server is not ready, and those that
    /// poll still hear how their generations end.
    pub async fn stop(&mut self) {
        self.drain.cancel();
        while let Some(ended) = self.working.join_next().await {
            log_panic(ended);
        }
        self.close.cancel();
        while let Some(ended) = self.serving.join_next().await {
            log_panic(ended);
        }
    }
}

async fn upkeep(app: App, close: CancellationToken) {
    let mut tick = interval(UPKEEP_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {
                app.metrics.run_upkeep();
                app.rates.forget_idle();
            }
            () = close.cancelled() => return,
        }
    }
}

fn reason(ended: Result<(), JoinError>) -> String {
    ended.err().map(|error| format!(": {error}")).unwrap_or_default()
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!("A part of the server ended badly: {error}");
    }
}

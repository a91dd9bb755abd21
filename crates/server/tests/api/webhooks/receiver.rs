//! A receiver of webhooks on this machine, which does what a test tells it to.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

/// How the next request is answered.
#[derive(Debug, Clone)]
pub(crate) enum Reaction {
    /// With a status.
    Status(u16),
    /// With a status and `Retry-After`.
    Later(u16, String),
    /// With a redirect to there.
    Redirect(String),
    /// With 200 and a body of many megabytes.
    Flood,
    /// Not at all.
    Stall,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) json: Value,
}

impl Seen {
    pub(crate) fn text(&self, name: &str) -> String {
        self.json[name].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn prediction(&self, name: &str) -> String {
        self.json["prediction"][name]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    pub(crate) fn id(&self) -> String {
        self.headers["webhook-id"].to_str().expect("ASCII").to_owned()
    }
}

#[derive(Default)]
struct Notebook {
    reactions: VecDeque<Reaction>,
    seen: Vec<Seen>,
}

/// The receiver; it goes when dropped.
pub(crate) struct Receiver {
    pub(crate) url: String,
    notebook: Arc<Mutex<Notebook>>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    pub(crate) async fn start() -> Receiver {
        Receiver::start_at(0).await
    }

    /// At a port of this machine, where one was before.
    pub(crate) async fn start_at(port: u16) -> Receiver {
        let notebook = Arc::new(Mutex::new(Notebook::default()));
        let router = Router::new()
            .route("/hook", post(take))
            .with_state(Arc::clone(&notebook));
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Receiver { url, notebook, task }
    }

    pub(crate) fn port(&self) -> u16 {
        let port = self.url.trim_end_matches("/hook").rsplit(':').next();
        port.and_then(|port| port.parse().ok()).expect("a port")
    }

    /// How the next requests are answered; those behind them with 200.
    pub(crate) fn react(&self, reactions: impl IntoIterator<Item = Reaction>) {
        self.notebook.lock().unwrap().reactions.extend(reactions);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.notebook.lock().unwrap().seen.clone()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Seen> {
        let give_up = Instant::now() + Duration::from_secs(60);
        loop {
            let seen = self.seen();
            if seen.len() >= count {
                return seen;
            }
            assert!(Instant::now() < give_up, "{} of {count} came", seen.len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn take(State(notebook): State<Arc<Mutex<Notebook>>>, headers: HeaderMap, body: Bytes) -> Response {
    let reaction = {
        let mut notebook = notebook.lock().unwrap();
        notebook.seen.push(Seen {
            headers,
            json: serde_json::from_slice(&body).unwrap_or_default(),
            body: body.to_vec(),
        });
        notebook.reactions.pop_front()
    };
    match reaction {
        None => "thanks".into_response(),
        Some(Reaction::Status(status)) => StatusCode::from_u16(status).unwrap().into_response(),
        Some(Reaction::Later(status, when)) => (
            StatusCode::from_u16(status).unwrap(),
            [(header::RETRY_AFTER, when)],
        )
            .into_response(),
        Some(Reaction::Redirect(url)) => (StatusCode::FOUND, [(header::LOCATION, url)]).into_response(),
        Some(Reaction::Flood) => vec![b'x'; 20 << 20].into_response(),
        Some(Reaction::Stall) => std::future::pending().await,
    }
}

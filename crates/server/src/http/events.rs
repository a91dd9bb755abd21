//! Streams of a generation's events, for clients that would rather be told than ask.
//!
//! A stream reads the generation whenever the store says that it has changed, and sends what is new: changes of
//! status one by one, progress as it is. The number of an event is the generation's own counter, so that a client
//! that comes back with the last number it saw misses no change of status, on whatever node it asks.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use kinora_domain::{Generation, GenerationId};
use tokio::sync::watch;

use super::{
    App,
    auth::Caller,
    error::{ApiError, ApiResult},
    generations::{self, PathId},
    wire::EventData,
};

/// GET `/generation/{id}/events`
pub async fn stream_events(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let generation = generations::own(&app, caller.account, id).await?;
    let last = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok()?.trim().parse().ok());
    follow(&app, generation, last).await
}

/// The stream of a generation, from event `last` on; from the state given here where that is absent or unknown.
pub async fn follow(app: &App, generation: Generation, last: Option<u64>) -> ApiResult<Response> {
    // It may have changed since it was read: the first thing to be done is to read it again.
    let mut changes = app.store.watch(generation.id);
    changes.mark_changed();
    let mut follower = Follower {
        app: app.clone(),
        id: generation.id,
        changes,
        sent: last.filter(|last| *last <= generation.event_seq),
        lines: VecDeque::from(["retry: 3000\n".to_owned()]),
        ended: false,
    };
    follower.take(generation).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((
        headers,
        Body::from_stream(stream::unfold(follower, Follower::next)),
    )
        .into_response())
}

struct Follower {
    app: App,
    id: GenerationId,
    changes: watch::Receiver<u64>,
    /// Number of the last event the client has; `None` before the first.
    sent: Option<u64>,
    lines: VecDeque<String>,
    ended: bool,
}

impl Follower {
    async fn next(mut self) -> Option<(Result<String, Infallible>, Follower)> {
        loop {
            if !self.lines.is_empty() {
                let text: String = self.lines.drain(..).collect();
                return Some((Ok(text), self));
            }
            if self.ended {
                return None;
            }
            self.wait().await;
        }
    }

    /// Waits for something to send and puts it in line.
    async fn wait(&mut self) {
        let heartbeat = Duration::from_millis(self.app.settings.sse_heartbeat_ms);
        let changed = tokio::select! {
            changed = self.changes.changed() => changed.is_ok(),
            () = tokio::time::sleep(heartbeat) => {
                self.lines.push_back(": ping\n\n".to_owned());
                return;
            }
            () = self.app.drain.cancelled() => return self.end(": the server is shutting down\n\n"),
        };
        if !changed {
            self.changes = self.app.store.watch(self.id);
        }
        let taken = match self.app.store.generation(self.id).await {
            Ok(Some(generation)) => self.take(generation).await,
            Ok(None) => return self.end(": the generation is gone\n\n"),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = taken {
            // The status line is long gone: the client comes back with Last-Event-ID or polls.
            tracing::warn!(generation.id = %self.id, "An event stream ends for an error: {error:?}");
            self.end(": interrupted\n\n");
        }
    }

    /// Puts everything in line that the client does not have yet.
    async fn take(&mut self, generation: Generation) -> Result<(), ApiError> {
        let terminal = generation.phase().is_terminal();
        if let Some(sent) = self.sent {
            if sent >= generation.event_seq && !terminal {
                return Ok(());
            }
            if generation.event_seq > sent + 1 {
                let missed = self.app.store.status_events(self.id, sent).await?;
                for event in missed.iter().filter(|event| event.seq < generation.event_seq) {
                    self.push(event.seq, &EventData::of_status_event(&generation, event));
                }
            }
        }
        self.push(
            generation.event_seq,
            &EventData::new(&generation, &self.app.links()),
        );
        self.sent = Some(generation.event_seq);
        self.ended = terminal;
        Ok(())
    }

    fn push(&mut self, seq: u64, data: &EventData) {
        // Values of our own types always serialise.
        let data = serde_json::to_string(data).unwrap_or_default();
        self.lines.push_back(format!("id: {seq}\ndata: {data}\n\n"));
    }

    fn end(&mut self, comment: &str) {
        self.lines.push_back(comment.to_owned());
        self.ended = true;
    }
}

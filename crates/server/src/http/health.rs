//! Whether the process lives, whether it takes work, and its numbers.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    App,
    error::{ApiError, ApiResult},
};

/// GET `/healthz`: the process runs and answers.
pub async fn get_health() -> &'static str {
    "ok\n"
}

/// GET `/readyz`: requests are taken and the database answers; else 503.
pub async fn get_readiness(State(app): State<App>) -> ApiResult<&'static str> {
    if app.drain.is_cancelled() {
        return Err(ApiError::unavailable("The server is shutting down.", 5));
    }
    if let Err(error) = app.store.ping().await {
        tracing::warn!("The database does not answer: {}", kinora_media::chain(&error));
        return Err(ApiError::unavailable("The database does not answer.", 5));
    }
    Ok("ready\n")
}

/// GET `/metrics`, on the listener that the configuration names.
pub async fn get_metrics(State(app): State<App>) -> Response {
    if let Ok(depth) = app.store.queue_depth().await {
        let age_s = depth
            .oldest_queued_at
            .map_or(0, |since| (app.clock)().ms_since(since) / 1000);
        metrics::gauge!("kinora_generations_queued").set(depth.queued as f64);
        metrics::gauge!("kinora_generations_running").set(depth.running as f64);
        metrics::gauge!("kinora_oldest_queued_age_seconds").set(age_s as f64);
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (StatusCode::OK, kind, app.metrics.render()).into_response()
}

//! Whether the process lives, whether it takes work, and its numbers.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    App,
    error::{ApiError, ApiResult},
    queue,
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
    let mut text = app.metrics.render();
    match app.figures().await {
        Ok(figures) => text += &queue::to_prometheus(&figures),
        Err(error) => tracing::warn!("The queue cannot be measured: {}", kinora_media::chain(&error)),
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (StatusCode::OK, kind, text).into_response()
}

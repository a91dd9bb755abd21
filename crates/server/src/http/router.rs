//! Which path leads where.

use std::panic::AssertUnwindSafe;

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, delete, get, patch, post},
};
use futures_util::FutureExt;
use tracing::Instrument;

use super::{
    App,
    auth::{self, Access},
    create, credits,
    error::ApiError,
    events, files, generations, health, keys,
    linger::linger,
    models, openapi, queue,
    rate::RateKind,
    studio, videos_api, webhooks,
};

/// Every route of the API, for the check that the document names them all.
pub const ROUTES: &[(&str, &str)] = &[
    ("post", "/generation/wan/wan-v2.7-video"),
    ("post", "/generation/sse/wan/wan-v2.7-video"),
    ("post", "/generation/wan/wan-v2.7/edit-video"),
    ("post", "/generation/sse/wan/wan-v2.7/edit-video"),
    ("post", "/generation/quote/wan/wan-v2.7-video"),
    ("get", "/generation/{id}"),
    ("delete", "/generation/{id}"),
    ("post", "/generation/{id}/cancel"),
    ("get", "/generation/{id}/events"),
    ("get", "/generation/{id}/preview"),
    ("get", "/generations"),
    ("get", "/generations/running"),
    ("get", "/credits"),
    ("get", "/credits/entries"),
    ("get", "/models"),
    ("get", "/keys"),
    ("post", "/keys"),
    ("delete", "/keys/{id}"),
    ("get", "/webhooks"),
    ("post", "/webhooks"),
    ("get", "/webhooks/signing-secret"),
    ("get", "/webhooks/{id}"),
    ("patch", "/webhooks/{id}"),
    ("delete", "/webhooks/{id}"),
    ("post", "/webhooks/{id}/test"),
    ("post", "/webhooks/{id}/rotate-secret"),
    ("get", "/webhooks/{id}/deliveries"),
    ("post", "/webhooks/{id}/deliveries/{delivery_id}/retry"),
];

/// Every route outside of its base, for the same check.
pub const ROOT_ROUTES: &[(&str, &str)] = &[
    ("post", "/v1/videos"),
    ("get", "/v1/videos"),
    ("get", "/v1/videos/{id}"),
    ("delete", "/v1/videos/{id}"),
    ("get", "/v1/videos/{id}/content"),
    ("head", "/v1/videos/{id}/content"),
    ("get", "/files/{generation_id}/{file_name}"),
    ("head", "/files/{generation_id}/{file_name}"),
    ("get", "/openapi.json"),
    ("get", "/healthz"),
    ("get", "/readyz"),
];

/// Where the API begins.
pub const BASE: &str = "/api/v1";

/// All of the server's paths but `/metrics`.
pub fn router(app: App) -> Router {
    let guarded =
        |rate, writes| middleware::from_fn_with_state((app.clone(), Access { rate, writes }), auth::admit);
    // Literal routes stand beside `/generation/{id}`; ids start with `gen_`, which no provider does.
    let creating = Router::new()
        .route("/generation/wan/wan-v2.7-video", post(create::create_generation))
        .route(
            "/generation/sse/wan/wan-v2.7-video",
            post(create::stream_generation),
        )
        .route("/generation/wan/wan-v2.7/edit-video", post(create::create_edit))
        .route(
            "/generation/sse/wan/wan-v2.7/edit-video",
            post(create::stream_edit),
        )
        .route_layer(guarded(RateKind::Create, true));
    let quoting = Router::new()
        .route(
            "/generation/quote/wan/wan-v2.7-video",
            post(create::quote_generation),
        )
        .route_layer(guarded(RateKind::Create, false));
    let polling = Router::new()
        .route("/generation/{id}", get(generations::get_generation))
        .route("/generation/{id}/events", get(events::stream_events))
        .route("/generation/{id}/preview", get(generations::get_preview))
        .route_layer(guarded(RateKind::Get, false));
    let ending = Router::new()
        .route("/generation/{id}", delete(generations::delete_generation))
        .route("/generation/{id}/cancel", post(generations::cancel_generation))
        .route_layer(guarded(RateKind::Read, true));
    let reading = Router::new()
        .route("/generations", get(generations::list_generations))
        .route("/generations/running", get(generations::list_running_generations))
        .route("/credits", get(credits::get_credits))
        .route("/credits/entries", get(credits::list_credit_entries))
        .route("/models", get(models::list_models))
        .route("/keys", get(keys::list_keys))
        .route("/webhooks", get(webhooks::list_webhooks))
        .route("/webhooks/{id}", get(webhooks::get_webhook))
        .route(
            "/webhooks/{id}/deliveries",
            get(webhooks::list_webhook_deliveries),
        )
        .route_layer(guarded(RateKind::Read, false));
    // A secret is more than a look: with it a stranger could make a receiver believe him.
    let managing = Router::new()
        .route("/keys", post(keys::create_key))
        .route("/keys/{id}", delete(keys::revoke_key))
        .route("/webhooks", post(webhooks::create_webhook))
        .route("/webhooks/signing-secret", get(webhooks::get_signing_secret))
        .route(
            "/webhooks/{id}",
            patch(webhooks::change_webhook).delete(webhooks::delete_webhook),
        )
        .route("/webhooks/{id}/test", post(webhooks::test_webhook))
        .route(
            "/webhooks/{id}/rotate-secret",
            post(webhooks::rotate_webhook_secret),
        )
        .route(
            "/webhooks/{id}/deliveries/{delivery_id}/retry",
            post(webhooks::retry_webhook_delivery),
        )
        .route_layer(guarded(RateKind::Read, true));

    let videos = Router::new()
        .route("/v1/videos", post(videos_api::create_video))
        .route_layer(guarded(RateKind::Create, true))
        .merge(
            Router::new()
                .route("/v1/videos/{id}", get(videos_api::get_video))
                .route("/v1/videos/{id}/content", get(videos_api::get_video_content))
                .route_layer(guarded(RateKind::Get, false)),
        )
        .merge(
            Router::new()
                .route("/v1/videos/{id}", delete(videos_api::delete_video))
                .route_layer(guarded(RateKind::Read, true)),
        )
        .merge(
            Router::new()
                .route("/v1/videos", get(videos_api::list_videos))
                .route_layer(guarded(RateKind::Read, false)),
        )
        .route("/v1/videos/edits", any(videos_api::not_offered))
        .route("/v1/videos/extensions", any(videos_api::not_offered))
        .route("/v1/videos/characters", any(videos_api::not_offered));

    let api = creating
        .merge(quoting)
        .merge(polling)
        .merge(ending)
        .merge(reading)
        .merge(managing);
    Router::new()
        .nest(BASE, api)
        .merge(videos)
        .route("/files/{generation_id}/{file_name}", get(files::get_file))
        .route("/openapi.json", get(openapi::get_openapi))
        .route("/healthz", get(health::get_health))
        .route("/readyz", get(health::get_readiness))
        .merge(studio::routes())
        .fallback(unknown_path)
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(middleware::from_fn(linger))
        .layer(middleware::from_fn(observe))
        .layer(middleware::from_fn(videos_api::errors::in_openai_shape))
        .with_state(app)
}

/// The router of the metrics listener: for operators and their programs.
pub fn metrics_router(app: App) -> Router {
    Router::new()
        .route("/metrics", get(health::get_metrics))
        .route("/queue", get(queue::get_queue))
        .with_state(app)
}

/// All that a node answers which only works: probes, and what operators ask.
pub fn worker_router(app: App) -> Router {
    Router::new()
        .route("/healthz", get(health::get_health))
        .route("/readyz", get(health::get_readiness))
        .with_state(app.clone())
        .merge(metrics_router(app))
}

/// A POST to a model that is not offered is told so; everything else is unknown.
async fn unknown_path(State(app): State<App>, request: Request) -> Response {
    let model = request.uri().path().strip_prefix("/api/v1/generation/");
    match model {
        Some(model) if request.method() == Method::POST && model.contains('/') => {
            match auth::authenticate(&app, request.headers()).await {
                Ok(_) => {
                    ApiError::unsupported_model(model.strip_prefix("sse/").unwrap_or(model)).into_response()
                }
                Err(error) => error.into_response(),
            }
        }
        Some(_) | None => ApiError::not_found("path").into_response(),
    }
}

/// Names, measures and logs every request.
async fn observe(request: Request, next: Next) -> Response {
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    let started = std::time::Instant::now();
    let id = request_id();
    let method = method_label(request.method());
    // The pattern, not the path: metrics stay few, and signed URLs stay out of the log.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unknown".to_owned(), |path| path.as_str().to_owned());

    let span = tracing::info_span!("request", id = %id);
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    let mut response = match answer.instrument(span.clone()).await {
        Ok(response) => response,
        // Without this the client would see its connection break, and take the server for gone.
        Err(_) => span.in_scope(|| ApiError::internal("the handler panicked").into_response()),
    };

    let (status, seconds) = (response.status().as_u16(), started.elapsed().as_secs_f64());
    let labels = [
        ("method", method.to_owned()),
        ("route", route.clone()),
        ("status", status.to_string()),
    ];
    metrics::histogram!("kinora_http_request_seconds", &labels).record(seconds);
    span.in_scope(|| {
        tracing::debug!(
            method,
            route,
            status,
            seconds,
            "{method} {route} answered {status}"
        )
    });
    response
        .headers_mut()
        .insert(REQUEST_ID, HeaderValue::from_str(&id).expect("ids are ASCII"));
    response
}

/// The method as a label. Clients can make up others without end, and each label is kept for ever.
fn method_label(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let known = KNOWN.into_iter().find(|known| *known == method.as_str());
    known.unwrap_or("other")
}

fn request_id() -> String {
    format!("req_{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::StatusCode};
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    #[test]
    fn methods_that_are_made_up_share_a_label() {
        let check = |method: &str, expected| {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            assert_eq!(method_label(&method), expected);
        };
        check("GET", "GET");
        check("DELETE", "DELETE");
        check("get", "other");
        check("M1", "other");
        check("M2", "other");
    }

    #[tokio::test]
    async fn a_panic_is_answered() {
        let router: Router = Router::new()
            .route("/", get(async || -> &'static str { panic!("a bug") }))
            .layer(middleware::from_fn(observe));
        let request = Request::builder()
            .uri("/")
            .body(Body::empty())
            .expect("a request");
        let answering = TowerToHyperService::new(router).call(request);
        let response = answering.await.expect("an answer");
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(response.headers().contains_key("x-request-id"));
    }
}

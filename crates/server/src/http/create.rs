//! Accepting a generation: the one path that all four creating routes and the quote share.
//!
//! read the body → keep its uploads → judge it → price it → submit it (one transaction) → answer. Nothing is
//! answered with a 2xx before the generation and its hold are committed.

use std::time::Duration;

use axum::{
    Extension, Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use kinora_domain::{
    ClipLengths, Feature, Generation, GenerationId, GenerationSpec, OfferId, Seed, Violation,
};
use kinora_media::fetch::check_url_syntax;
use kinora_store::{Idempotency, Submission, Submitted};

use super::{
    App,
    auth::Caller,
    error::{ApiError, ApiResult},
    events, idempotency,
    wire::{
        self, CreatedGeneration, QuoteView,
        request::{BodyLimits, Endpoint},
        video::MODEL_NAMES,
    },
};

/// POST `/generation/wan/wan-v2.7-video`
pub async fn create_generation(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> ApiResult<Response> {
    create(&app, caller, Endpoint::WanVideo, request).await
}

/// POST `/generation/wan/wan-v2.7/edit-video`
pub async fn create_edit(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> ApiResult<Response> {
    create(&app, caller, Endpoint::WanEdit, request).await
}

/// POST `/generation/sse/wan/wan-v2.7-video`
pub async fn stream_generation(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> ApiResult<Response> {
    stream(&app, caller, Endpoint::WanVideo, request).await
}

/// POST `/generation/sse/wan/wan-v2.7/edit-video`
pub async fn stream_edit(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> ApiResult<Response> {
    stream(&app, caller, Endpoint::WanEdit, request).await
}

/// POST `/generation/quote/wan/wan-v2.7-video`: judges and prices; keeps and charges nothing.
pub async fn quote_generation(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> ApiResult<Json<QuoteView>> {
    let wanted = judge(&app, Endpoint::WanVideo, request).await?;
    let billable = app.prices.price(&wanted.spec, &ClipLengths::of(&wanted.spec));
    let balance = app.store.balance(caller.account, (app.clock)()).await?;
    Ok(Json(QuoteView::new(
        Endpoint::WanVideo.model(),
        &wanted.spec,
        &billable,
        balance.available,
    )))
}

async fn create(app: &App, caller: Caller, endpoint: Endpoint, request: Request) -> ApiResult<Response> {
    let wait = preferred_wait(request.headers());
    let (generation, replayed) = accept(app, caller, endpoint, request).await?;
    let links = app.links();

    let settled = match wait {
        Some(wait) => wait_for_end(app, generation.id, wait).await?,
        None => None,
    };
    let (status, body) = match &settled {
        Some(settled) => (StatusCode::OK, CreatedGeneration::settled(settled, &links)),
        None => (StatusCode::ACCEPTED, CreatedGeneration::new(&generation, &links)),
    };
    let mut response = (status, Json(body)).into_response();
    mark_accepted(response.headers_mut(), generation.id, replayed, wait);
    Ok(response)
}

async fn stream(app: &App, caller: Caller, endpoint: Endpoint, request: Request) -> ApiResult<Response> {
    let (generation, replayed) = accept(app, caller, endpoint, request).await?;
    let id = generation.id;
    let mut response = events::follow(app, generation, None).await?;
    mark_accepted(response.headers_mut(), id, replayed, None);
    Ok(response)
}

/// Says where the generation is, whether it is that of an earlier request, and whether the answer was held for it.
pub fn mark_accepted(headers: &mut HeaderMap, id: GenerationId, replayed: bool, wait: Option<Duration>) {
    let location = format!("/api/v1/generation/{id}");
    headers.insert(
        header::LOCATION,
        HeaderValue::from_str(&location).expect("ids are ASCII"),
    );
    if replayed {
        headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    if wait.is_some() {
        headers.insert("preference-applied", HeaderValue::from_static("wait"));
    }
}

/// Accepts a request; true when an earlier request under the same key was accepted instead.
pub async fn accept(
    app: &App,
    caller: Caller,
    endpoint: Endpoint,
    request: Request,
) -> ApiResult<(Generation, bool)> {
    if app.drain.is_cancelled() {
        return Err(ApiError::unavailable(
            "The server is shutting down; try again shortly.",
            5,
        ));
    }
    let scope = format!("POST {}", request.uri().path());
    let key = idempotency::key(request.headers())?;
    // Held until the answer is ready, so that a second request under the key hears of the first.
    let _flight = match &key {
        Some(key) => Some(app.in_flight.enter(caller.account, &scope, key)?),
        None => None,
    };
    let Wanted {
        spec,
        offer,
        webhook_url,
        payload,
    } = judge(app, endpoint, request).await?;
    let price = app.prices.price(&spec, &ClipLengths::of(&spec)).credits;
    let now = (app.clock)();
    let submission = Submission {
        id: GenerationId::new(now, rand::random()),
        account: caller.account,
        model: endpoint.model(),
        offer,
        spec,
        price,
        priority: 0,
        deadline: now.plus_ms(app.settings.deadline_ms),
        queued_max: app.settings.queued_max,
        idempotency: key.map(|key| Idempotency { scope, key, payload }),
        webhook_url,
    };
    match app.store.submit(submission, now).await? {
        Submitted::Created(generation) => {
            tracing::info!(
                generation.id = %generation.id,
                "Generation {} accepted: {} for {price} credits",
                generation.id,
                generation.spec.feature
            );
            Ok((generation, false))
        }
        Submitted::Replayed(generation) => Ok((generation, true)),
        Submitted::KeyReused => Err(ApiError::idempotency_key_reused()),
        Submitted::Insufficient(insufficient) => Err(ApiError::insufficient_credits(insufficient)),
        Submitted::QueueFull(cap) => Err(ApiError::rate_limited(
            format!(
                "{cap} generations of this workspace are queued, which is the most; wait for one to start."
            ),
            5,
        )),
    }
}

/// A request that may be submitted.
struct Wanted {
    spec: GenerationSpec,
    offer: OfferId,
    webhook_url: Option<String>,
    payload: [u8; 32],
}

/// Reads and judges a request; what it uploads is kept on the way, and swept if nothing comes of it.
async fn judge(app: &App, endpoint: Endpoint, request: Request) -> ApiResult<Wanted> {
    let limits = BodyLimits {
        json_bytes_max: app.settings.json_bytes_max,
        multipart_bytes_max: app.settings.multipart_bytes_max,
        timeout: Duration::from_millis(app.settings.body_timeout_ms),
    };
    let body = wire::request::read(endpoint, request, &limits, &app.blobs).await?;
    if let Some(name) = &body.model_name {
        check_model_name(app, name)?;
    }
    let (webhook_url, payload) = (body.webhook_url.clone(), body.payload_hash);
    let (draft, mut violations) = wire::inputs::keep(&app.toolbox, &app.measuring, &app.blobs, body).await?;

    let url_problem = |url: &str| Some(check_url_syntax(url, &app.allowed_hosts).err()?.to_string());
    if let Some(message) = webhook_url
        .as_deref()
        .and_then(|url| app.webhook_targets.problem(url))
    {
        violations.push(Violation {
            rule: "V-27",
            field: "webhook_url".to_owned(),
            message,
        });
    }
    let seed = Seed::from_entropy(rand::random());
    let (spec, offer) = match app.catalog.now().catalog.judge(&draft, &url_problem, seed) {
        Ok(judged) if violations.is_empty() => judged,
        Ok(_) => return Err(ApiError::violations(violations)),
        Err(found) => {
            violations.extend(found);
            return Err(ApiError::violations(violations));
        }
    };
    let offer = offer.ok_or_else(|| no_offer(app, spec.feature))?;
    Ok(Wanted {
        spec,
        offer,
        webhook_url,
        payload,
    })
}

/// Whether a name that a body gives is one of the model's.
fn check_model_name(app: &App, name: &str) -> ApiResult<()> {
    let aliases = app.settings.model_aliases.iter().map(String::as_str);
    let taken: Vec<&str> = MODEL_NAMES.into_iter().chain(aliases).collect();
    if taken.contains(&name) {
        return Ok(());
    }
    Err(ApiError::unsupported_model_name(name, &taken.join(", ")))
}

fn no_offer(app: &App, feature: Feature) -> ApiError {
    match app.catalog.now().catalog.offers().is_empty() {
        true => ApiError::unavailable("No engine is connected to this server at the moment.", 30),
        false => ApiError::unsupported_feature(feature),
    }
}

/// How long `Prefer: wait` asks to hold the answer: 1 to 60 seconds, a bare `wait` 60.
pub fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    const LONGEST_S: u64 = 60;
    let values = headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split(',')).map(str::trim);
    preferences.find_map(|preference| {
        let preference = preference.split(';').next().unwrap_or_default().trim();
        let (name, value) = match preference.split_once('=') {
            Some((name, value)) => (name.trim(), value.trim().trim_matches('"')),
            None => (preference, "60"),
        };
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        // More than a number can hold is more than the longest, too.
        let seconds = digits
            .then(|| value.parse().unwrap_or(u64::MAX))
            .filter(|s| *s > 0)?;
        name.eq_ignore_ascii_case("wait")
            .then(|| Duration::from_secs(seconds.min(LONGEST_S)))
    })
}

/// The generation once it is terminal, or `None` if it is not by the end of `wait`.
pub async fn wait_for_end(app: &App, id: GenerationId, wait: Duration) -> ApiResult<Option<Generation>> {
    let mut changes = app.store.watch(id);
    let end = tokio::time::Instant::now() + wait;
    loop {
        match app.store.generation(id).await? {
            Some(generation) if generation.phase().is_terminal() => return Ok(Some(generation)),
            Some(_) => {}
            None => return Ok(None),
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { changes = app.store.watch(id) },
            () = tokio::time::sleep_until(end) => return Ok(None),
            () = app.drain.cancelled() => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_wait_preference() {
        let check = |values: &[&'static str], expected: Option<u64>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", HeaderValue::from_static(value));
            }
            assert_eq!(
                preferred_wait(&headers),
                expected.map(Duration::from_secs),
                "{values:?}"
            );
        };
        check(&[], None);
        check(&["wait"], Some(60));
        check(&["wait=5"], Some(5));
        check(&["Wait = 5"], Some(5));
        check(&["wait=3600"], Some(60));
        check(&["wait=99999999999999999999999"], Some(60));
        check(&["wait=+5"], None);
        check(&["respond-async, wait=10"], Some(10));
        check(&["respond-async", "wait=10; foo"], Some(10));
        check(&["wait=0"], None);
        check(&["wait=-1"], None);
        check(&["wait=soon"], None);
        check(&["respond-async"], None);
    }
}

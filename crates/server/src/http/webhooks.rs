//! Webhook endpoints: made, changed, tried, and their log read. What they are told is sent by
//! [`webhooks`](crate::webhooks).

use std::time::Duration;

use axum::{
    Extension, Json,
    extract::{FromRequestParts, Path, Query, Request, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use kinora_domain::{AccountId, DeliveryId, EndpointId};
use kinora_store::{Endpoint, EndpointChange, Secrets, Store};

use super::{
    App,
    auth::Caller,
    error::{ApiError, ApiResult},
    generations::{Parameters, cursor, limit},
    wire::{
        self, DeliveryList, EndpointList, EndpointView, FieldError, QueuedDelivery, SigningSecretView,
        endpoint_change,
    },
};

const ENDPOINT: &str = "webhook endpoint";

/// The id of an endpoint in a path. What is no id is as unknown as an id nobody has.
pub struct EndpointPath(EndpointId);

impl FromRequestParts<App> for EndpointPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<EndpointPath> {
        let text = Path::<String>::from_request_parts(parts, app).await.ok();
        let id = text.and_then(|Path(text)| text.parse().ok());
        id.map(EndpointPath).ok_or_else(|| ApiError::not_found(ENDPOINT))
    }
}

/// GET `/webhooks`
pub async fn list_webhooks(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> ApiResult<Json<EndpointList>> {
    let endpoints = app.store.endpoints(caller.account).await?;
    Ok(Json(EndpointList {
        data: endpoints.iter().map(EndpointView::new).collect(),
    }))
}

/// POST `/webhooks`: the one answer but that of a rotation that shows the secret.
pub async fn create_webhook(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> ApiResult<Response> {
    let EndpointChange {
        url,
        events,
        description,
        enabled,
        secret: _,
    } = read(&app, request, true).await?;
    let now = (app.clock)();
    let endpoint = Endpoint {
        id: EndpointId::new(now, rand::random()),
        account: caller.account,
        url: url.unwrap_or_default(),
        events: events.unwrap_or_default(),
        description: description.unwrap_or_default(),
        enabled: enabled.unwrap_or(true),
        gone: false,
        secrets: Secrets {
            current: rand::random(),
            previous: None,
        },
        created_at: now,
    };
    let endpoints_max = app.settings.endpoints_max;
    if !app.store.create_endpoint(endpoint.clone(), endpoints_max).await? {
        return Err(ApiError::endpoint_limit(endpoints_max));
    }
    let view = EndpointView::with_secret(&endpoint);
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

/// GET `/webhooks/{id}`
pub async fn get_webhook(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    EndpointPath(id): EndpointPath,
) -> ApiResult<Json<EndpointView>> {
    Ok(Json(EndpointView::new(&own(&app, caller.account, id).await?)))
}

/// PATCH `/webhooks/{id}`
pub async fn change_webhook(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    EndpointPath(id): EndpointPath,
    request: Request,
) -> ApiResult<Json<EndpointView>> {
    let change = read(&app, request, false).await?;
    let changed = app.store.change_endpoint(caller.account, id, change).await?;
    let endpoint = changed.ok_or_else(|| ApiError::not_found(ENDPOINT))?;
    Ok(Json(EndpointView::new(&endpoint)))
}

/// DELETE `/webhooks/{id}`
pub async fn delete_webhook(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    EndpointPath(id): EndpointPath,
) -> ApiResult<StatusCode> {
    match app
        .store
        .remove_endpoint(caller.account, id, (app.clock)())
        .await?
    {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found(ENDPOINT)),
    }
}

/// POST `/webhooks/{id}/test`
pub async fn test_webhook(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    EndpointPath(id): EndpointPath,
) -> ApiResult<Response> {
    own_enabled(&app, caller.account, id).await?;
    let queued = app.store.test_endpoint(caller.account, id, (app.clock)()).await?;
    let delivery = queued.ok_or_else(|| ApiError::not_found(ENDPOINT))?;
    Ok(queued_answer(delivery))
}

/// POST `/webhooks/{id}/rotate-secret`
pub async fn rotate_webhook_secret(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    EndpointPath(id): EndpointPath,
) -> ApiResult<Json<EndpointView>> {
    let until = (app.clock)().plus_ms(app.settings.secret_overlap_ms);
    let change = EndpointChange {
        secret: Some((rand::random(), until)),
        ..EndpointChange::default()
    };
    let changed = app.store.change_endpoint(caller.account, id, change).await?;
    let endpoint = changed.ok_or_else(|| ApiError::not_found(ENDPOINT))?;
    Ok(Json(EndpointView::with_secret(&endpoint)))
}

/// GET `/webhooks/{id}/deliveries`
pub async fn list_webhook_deliveries(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    EndpointPath(id): EndpointPath,
    Query(parameters): Parameters,
) -> ApiResult<Json<DeliveryList>> {
    let before = cursor(&parameters)?;
    let page = app
        .store
        .deliveries(caller.account, id, limit(&parameters)?, before)
        .await?;
    let page = page.ok_or_else(|| ApiError::not_found(ENDPOINT))?;
    Ok(Json(DeliveryList::new(&page)))
}

/// POST `/webhooks/{id}/deliveries/{delivery_id}/retry`
pub async fn retry_webhook_delivery(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path((endpoint, delivery)): Path<(String, String)>,
) -> ApiResult<Response> {
    let id = endpoint.parse().map_err(|_| ApiError::not_found(ENDPOINT))?;
    own_enabled(&app, caller.account, id).await?;
    let delivery: DeliveryId = delivery
        .parse()
        .map_err(|_| ApiError::not_found("webhook delivery"))?;
    match app
        .store
        .replay_delivery(caller.account, id, delivery, (app.clock)())
        .await?
    {
        true => Ok(queued_answer(delivery)),
        false => Err(ApiError::not_found("webhook delivery")),
    }
}

/// GET `/webhooks/signing-secret`
pub async fn get_signing_secret(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> ApiResult<Json<SigningSecretView>> {
    let secret = signing_secret(&*app.store, caller.account).await?;
    Ok(Json(SigningSecretView::new(secret)))
}

/// What signs the deliveries to the `webhook_url` of an account's requests.
pub async fn signing_secret(store: &dyn Store, account: AccountId) -> kinora_store::Result<[u8; 32]> {
    store
        .secret(&format!("webhooks of {account}"), rand::random())
        .await
}

fn queued_answer(delivery: DeliveryId) -> Response {
    let body = QueuedDelivery {
        id: delivery.to_string(),
    };
    (StatusCode::ACCEPTED, Json(body)).into_response()
}

async fn own(app: &App, account: AccountId, id: EndpointId) -> ApiResult<Endpoint> {
    let endpoint = app.store.endpoint(account, id).await?;
    endpoint.ok_or_else(|| ApiError::not_found(ENDPOINT))
}

/// A delivery to an endpoint that is disabled would wait without a word.
async fn own_enabled(app: &App, account: AccountId, id: EndpointId) -> ApiResult<()> {
    match own(app, account, id).await?.enabled {
        true => Ok(()),
        false => Err(ApiError::endpoint_disabled()),
    }
}

/// Reads and judges the body of a request about an endpoint.
async fn read(app: &App, request: Request, is_new: bool) -> ApiResult<EndpointChange> {
    let timeout = Duration::from_millis(app.settings.body_timeout_ms);
    let mut members = wire::request::read_object(request, timeout).await?;
    let (change, mut problems) = endpoint_change(&mut members);
    members.finish()?;
    let mut refuse = |message: String| {
        problems.push(FieldError {
            field: "url".to_owned(),
            message,
        });
    };
    match &change.url {
        Some(url) => {
            if let Some(problem) = app.webhook_targets.problem(url) {
                refuse(problem);
            }
        }
        None if is_new => refuse("is missing; an https URL is taken".to_owned()),
        None => {}
    }
    match problems.is_empty() {
        true => Ok(change),
        false => Err(ApiError::invalid_values(problems)),
    }
}

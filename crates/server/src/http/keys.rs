//! API keys: made, listed, revoked by whoever has one that may do everything.

use std::time::Duration;

use axum::{
    Extension, Json,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use kinora_domain::KeyId;

use super::{
    App,
    auth::Caller,
    error::{ApiError, ApiResult},
    wire::{self, KeyList, KeyView, new_key},
};
use crate::compose::first_start;

/// The most keys of a workspace that are good at one time: enough for every program and person, not for a loop.
const KEYS_MAX: usize = 100;

/// GET `/keys`
pub async fn list_keys(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> ApiResult<Json<KeyList>> {
    let keys = app.store.keys(Some(caller.account)).await?;
    Ok(Json(KeyList {
        data: keys.iter().map(|key| KeyView::new(key, caller.key)).collect(),
    }))
}

/// POST `/keys`: the one answer that shows the secret.
pub async fn create_key(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> ApiResult<Response> {
    let timeout = Duration::from_millis(app.settings.body_timeout_ms);
    let mut members = wire::request::read_object(request, timeout).await?;
    let (name, scope, problems) = new_key(&mut members);
    members.finish()?;
    if !problems.is_empty() {
        return Err(ApiError::invalid_values(problems));
    }
    let keys = app.store.keys(Some(caller.account)).await?;
    if keys.iter().filter(|key| key.revoked_at.is_none()).count() >= KEYS_MAX {
        return Err(ApiError::key_limit(KEYS_MAX));
    }
    let fresh = first_start::create_key(&*app.store, caller.account, &name, scope).await?;
    let view = KeyView {
        key: Some(fresh.secret),
        ..KeyView::new(&fresh.key, caller.key)
    };
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

/// DELETE `/keys/{id}`: at once, and whoever still uses it is turned away. One that is revoked already stays so. Not the
/// key that asks: a workspace must not lock itself out by a slip.
pub async fn revoke_key(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    let unknown = || ApiError::not_found("key");
    let id: KeyId = id.parse().map_err(|_| unknown())?;
    let keys = app.store.keys(Some(caller.account)).await?;
    if !keys.iter().any(|key| key.id == id) {
        return Err(unknown());
    }
    if id == caller.key {
        return Err(ApiError::key_in_use());
    }
    app.store.revoke_key(id, (app.clock)()).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! What an account can spend, and the ledger behind it.

use axum::{
    Extension, Json,
    extract::{Query, State},
};

use super::{
    App,
    auth::Caller,
    error::ApiResult,
    generations::{Parameters, cursor, limit},
    wire::{CreditsView, EntryList},
};

/// GET `/credits`
pub async fn get_credits(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> ApiResult<Json<CreditsView>> {
    let balance = app.store.balance(caller.account, (app.clock)()).await?;
    Ok(Json(CreditsView::new(balance)))
}

/// GET `/credits/entries`: newest first.
pub async fn list_credit_entries(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(parameters): Parameters,
) -> ApiResult<Json<EntryList>> {
    let before = cursor(&parameters)?;
    let page = app
        .store
        .entries(caller.account, limit(&parameters)?, before)
        .await?;
    Ok(Json(EntryList::new(page)))
}

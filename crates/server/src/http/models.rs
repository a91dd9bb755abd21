//! What this server offers: features, limits and prices.

use axum::{Json, extract::State};

use super::{App, wire::ModelsView};

/// GET `/models`
pub async fn list_models(State(app): State<App>) -> Json<ModelsView> {
    Json(ModelsView::new(&app.catalog, &app.prices))
}

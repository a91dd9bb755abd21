//! What this server offers: features, limits and prices, and how busy it is.

use axum::{Json, extract::State};

use super::{App, wire::ModelsView};

/// GET `/models`
pub async fn list_models(State(app): State<App>) -> Json<ModelsView> {
    let figures = app.figures().await;
    if let Err(error) = &figures {
        tracing::warn!("The queue cannot be measured: {}", kinora_media::chain(error));
    }
    let figures = figures.ok();
    Json(ModelsView::new(
        &app.catalog.now().catalog,
        &app.prices,
        figures.as_deref(),
    ))
}

//! The OpenAI-Videos layer: the same generations, keys and credits, in the shape of another API.
//!
//! OpenAI has given its Videos API up; its shape lives on in open servers and in the clients that were written for
//! it. What it has no word for is done in the platform's dialect. Errors below `/v1/` are told in its shape,
//! whoever made them ([`errors`]).

use std::time::Duration;

use axum::{
    Extension, Json,
    extract::{FromRequestParts, Path, Query, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, request::Parts},
    response::{IntoResponse, Response},
};
use kinora_domain::{AccountId, Generation, GenerationId, Status};
use kinora_store::{Canceled, GenerationPage, MediaRemoved, Order, Removed};

use super::{
    App,
    auth::Caller,
    create,
    error::{ApiError, ApiResult},
    files,
    generations::{self, Parameters, value_of},
    wire::{
        request::Endpoint,
        video::{Video, VideoDeleted, VideoList},
    },
};

pub mod errors;

/// When a client should look again, in milliseconds.
const POLL_AFTER: (HeaderName, HeaderValue) = (
    HeaderName::from_static("openai-poll-after-ms"),
    HeaderValue::from_static("3000"),
);
/// How long a DELETE waits for an engine to stop: as long as the clients of this shape wait for an answer.
const STOP_PATIENCE: Duration = Duration::from_secs(600);

/// The id in a path. What is no id is as unknown as an id nobody has.
pub struct VideoId(GenerationId);

impl FromRequestParts<App> for VideoId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<VideoId> {
        let text = Path::<String>::from_request_parts(parts, app).await.ok();
        let id = text.and_then(|Path(text)| text.parse().ok());
        id.map(VideoId).ok_or_else(unknown)
    }
}

/// POST `/v1/videos`
pub async fn create_video(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> ApiResult<Response> {
    let wait = create::preferred_wait(request.headers());
    let accepted = create::accept(&app, caller, Endpoint::OpenAiVideos, request).await;
    let (generation, replayed) = accepted.map_err(|error| error.renamed(member_of_this_layer))?;
    let settled = match wait {
        Some(wait) => create::wait_for_end(&app, generation.id, wait).await?,
        None => None,
    };
    let mut response = match &settled {
        Some(settled) => show(&app, settled),
        None => {
            let mut response = Json(Video::submitted(&generation)).into_response();
            response.headers_mut().extend([POLL_AFTER]);
            response
        }
    };
    create::mark_accepted(response.headers_mut(), generation.id, replayed, wait);
    Ok(response)
}

/// GET `/v1/videos/{id}`
pub async fn get_video(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    VideoId(id): VideoId,
) -> ApiResult<Response> {
    let generation = own(&app, caller.account, id).await?;
    Ok(show(&app, &generation))
}

/// GET `/v1/videos`
pub async fn list_videos(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(parameters): Parameters,
) -> ApiResult<Json<VideoList>> {
    let order = match value_of(&parameters, "order") {
        None | Some("desc") => Order::NewestFirst,
        Some("asc") => Order::OldestFirst,
        Some(other) => return Err(not_one_of("order", other, "asc, desc")),
    };
    let behind = match value_of(&parameters, "after").filter(|id| !id.is_empty()) {
        Some(id) => Some(id.parse().map_err(|_| {
            ApiError::invalid_value("after", "is not the id of a video; leave it out to start anew")
        })?),
        None => None,
    };
    let page = GenerationPage {
        phases: Vec::new(),
        limit: generations::limit_or(&parameters, 20)?,
        order,
        behind,
        removed: Removed::LeftOut,
    };
    let page = app.store.generations(caller.account, page).await?;
    let retention_ms = app.settings.retention_ms;
    let data = page
        .items
        .iter()
        .map(|generation| Video::new(generation, retention_ms));
    Ok(Json(VideoList::new(data.collect(), page.has_more)))
}

/// GET and HEAD `/v1/videos/{id}/content`
pub async fn get_video_content(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    VideoId(id): VideoId,
    Query(parameters): Parameters,
    headers: HeaderMap,
) -> ApiResult<Response> {
    const TAKEN: &str = "video, thumbnail";
    let variant = value_of(&parameters, "variant").unwrap_or("video");
    if !matches!(variant, "video" | "thumbnail") {
        let shown: String = variant.chars().take(40).collect();
        return Err(ApiError::malformed(
            "variant",
            format!("{shown:?} is not one of {TAKEN}"),
        ));
    }
    let generation = own(&app, caller.account, id).await?;
    let artifact = match &generation.status {
        Status::Succeeded(success) => success.artifacts.first(),
        Status::Queued { .. } | Status::Running { .. } | Status::Failed(_) | Status::Canceled => None,
    };
    let Some(artifact) = artifact else {
        let phase = generation.phase().as_str();
        return Err(ApiError::nothing_there(format!(
            "The video is {phase}: it has no content."
        )));
    };
    let (blob, content_type) = match variant {
        "thumbnail" => (artifact.poster, "image/jpeg"),
        _ => (artifact.video, "video/mp4"),
    };
    // Through us: the request carries a key, which no other host is to see.
    files::serve(&app, blob, content_type, &headers, files::Way::Direct).await
}

/// DELETE `/v1/videos/{id}`: ends what still runs, waits until its engine has stopped, removes the media.
pub async fn delete_video(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    VideoId(id): VideoId,
) -> ApiResult<Json<VideoDeleted>> {
    match app.store.cancel(caller.account, id, (app.clock)()).await? {
        None => return Err(unknown()),
        Some(Canceled::Done(_) | Canceled::AlreadyFinished(_)) => {}
        Some(Canceled::Requested(_)) => {
            if create::wait_for_end(&app, id, STOP_PATIENCE).await?.is_none() {
                return Err(still_stopping());
            }
        }
    }
    match app.store.remove_media(caller.account, id, (app.clock)()).await? {
        None => Err(unknown()),
        Some(MediaRemoved::NotFinished) => Err(still_stopping()),
        Some(MediaRemoved::Done) => Ok(Json(VideoDeleted {
            id: id.to_string(),
            object: "video.deleted",
            deleted: true,
        })),
    }
}

/// What OpenAI's API had below `/v1/videos` and Kinora has not. Named, because `/v1/videos/{id}` would take them.
pub async fn not_offered() -> ApiError {
    ApiError::nothing_there("This part of the Videos API is not offered.".to_owned())
}

fn show(app: &App, generation: &Generation) -> Response {
    let mut response = Json(Video::new(generation, app.settings.retention_ms)).into_response();
    if !generation.phase().is_terminal() {
        response.headers_mut().extend([POLL_AFTER]);
    }
    response
}

/// The video of that id. One that was deleted, or whose time was up, is as unknown here as one that never was.
async fn own(app: &App, account: AccountId, id: GenerationId) -> ApiResult<Generation> {
    let generation = app.store.generation(id).await?;
    generation
        .filter(|generation| generation.account == account && !generation.media_removed)
        .ok_or_else(unknown)
}

fn unknown() -> ApiError {
    ApiError::not_found("video")
}

fn still_stopping() -> ApiError {
    ApiError::unavailable(
        "The video is canceled, and its engine has still to stop; delete it again shortly.",
        5,
    )
}

fn not_one_of(field: &str, given: &str, taken: &str) -> ApiError {
    let shown: String = given.chars().take(40).collect();
    ApiError::invalid_value(field, format!("{shown:?} is not one of {taken}"))
}

/// What this layer calls a member of the platform's dialect.
fn member_of_this_layer(field: &str) -> &str {
    match field {
        "image_url" => "input_reference",
        "duration" => "seconds",
        "aspect_ratio" | "resolution" => "size",
        other => other,
    }
}

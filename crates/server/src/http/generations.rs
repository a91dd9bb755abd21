//! Generations after they were accepted: read, listed, cancelled, deleted.

use std::str::FromStr;

use axum::{
    Extension, Json,
    extract::{FromRequestParts, Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use kinora_domain::{AccountId, Generation, GenerationId, Phase};
use kinora_store::{Canceled, GenerationPage, MediaRemoved, Preview};

use super::{
    App,
    auth::Caller,
    error::{ApiError, ApiResult},
    wire::{GenerationList, GenerationView, QueueState, RunningItem},
};

/// The id in a path. What is no id is as unknown as an id nobody has.
pub struct PathId(pub GenerationId);

impl FromRequestParts<App> for PathId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<PathId> {
        let text = Path::<String>::from_request_parts(parts, app).await.ok();
        let id = text.and_then(|Path(text)| text.parse().ok());
        id.map(PathId).ok_or_else(|| ApiError::not_found("generation"))
    }
}

/// Query parameters as they come, repeatable ones included.
pub type Parameters = Query<Vec<(String, String)>>;

/// GET `/generation/{id}`
pub async fn get_generation(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId,
) -> ApiResult<Json<GenerationView>> {
    let generation = own(&app, caller.account, id).await?;
    Ok(Json(GenerationView::new(&generation, &app.links())))
}

/// GET `/generation/{id}/preview`: what its clip looks like so far. It changes while the generation runs, and nobody keeps it.
pub async fn get_preview(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId,
    headers: HeaderMap,
) -> ApiResult<Response> {
    own(&app, caller.account, id).await?;
    let Preview { number, jpeg } = app
        .store
        .preview(id)
        .await?
        .ok_or_else(|| ApiError::not_found("preview"))?;
    let tag = format!("\"{number}\"");
    let fixed = [(
        header::ETAG,
        HeaderValue::from_str(&tag).expect("a number is ASCII"),
    )];
    if has_already(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, fixed).into_response());
    }
    let jpeg_type = [(header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"))];
    Ok((fixed, jpeg_type, jpeg).into_response())
}

/// Whether a client names `tag` as what it has. A cache on the way may have made it a weak one: that is the same all the same.
pub fn has_already(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get(header::IF_NONE_MATCH);
    let known = known.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut tags = known.split(',').map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// GET `/generations/running`: a bare array of what is queued or in progress.
pub async fn list_running_generations(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(parameters): Parameters,
) -> ApiResult<Json<Vec<RunningItem>>> {
    if let Some(workspace) = value_of(&parameters, "workspace").filter(|name| !name.is_empty()) {
        let account = app.store.account(caller.account).await?;
        if !account.is_some_and(|account| account.name == workspace || account.id.to_string() == workspace) {
            return Err(ApiError::forbidden("This key belongs to another workspace."));
        }
    }
    let page = GenerationPage {
        phases: vec![Phase::Queued, Phase::Running],
        limit: limit(&parameters)?,
        ..GenerationPage::default()
    };
    let page = app.store.generations(caller.account, page).await?;
    let links = app.links();
    Ok(Json(
        page.items
            .iter()
            .map(|generation| RunningItem::new(generation, &links))
            .collect(),
    ))
}

/// GET `/generations`: history, newest first.
pub async fn list_generations(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(parameters): Parameters,
) -> ApiResult<Json<GenerationList>> {
    let behind = cursor(&parameters)?;
    let page = GenerationPage {
        phases: phases(&parameters)?,
        limit: limit(&parameters)?,
        behind,
        ..GenerationPage::default()
    };
    let page = app.store.generations(caller.account, page).await?;
    let next_cursor = page
        .items
        .last()
        .filter(|_| page.has_more)
        .map(|last| last.id.to_string());
    let links = app.links();
    let data = page
        .items
        .iter()
        .map(|generation| GenerationView::new(generation, &links))
        .collect();
    Ok(Json(GenerationList {
        data,
        has_more: page.has_more,
        next_cursor,
    }))
}

/// POST `/generation/{id}/cancel`
pub async fn cancel_generation(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId,
) -> ApiResult<Response> {
    let canceled = app.store.cancel(caller.account, id, (app.clock)()).await?;
    let (status, generation) = match canceled {
        None => return Err(ApiError::not_found("generation")),
        Some(Canceled::AlreadyFinished(generation)) => {
            return Err(ApiError::already_finished(generation.phase().as_str()));
        }
        Some(Canceled::Done(generation)) => (StatusCode::OK, generation),
        Some(Canceled::Requested(generation)) => (StatusCode::ACCEPTED, generation),
    };
    Ok((status, Json(GenerationView::new(&generation, &app.links()))).into_response())
}

/// DELETE `/generation/{id}`: the media go, the ledger and the metadata stay.
pub async fn delete_generation(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId,
) -> ApiResult<StatusCode> {
    match app.store.remove_media(caller.account, id, (app.clock)()).await? {
        None => Err(ApiError::not_found("generation")),
        Some(MediaRemoved::NotFinished) => Err(ApiError::not_finished()),
        Some(MediaRemoved::Done) => Ok(StatusCode::NO_CONTENT),
    }
}

/// The generation of that id, if it is the account's: others' ids are not told apart from unknown ones.
pub async fn own(app: &App, account: AccountId, id: GenerationId) -> ApiResult<Generation> {
    let generation = app.store.generation(id).await?;
    generation
        .filter(|generation| generation.account == account)
        .ok_or_else(|| ApiError::not_found("generation"))
}

/// The last value of a query parameter.
pub fn value_of<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters
        .iter()
        .rev()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// The page size: 1 to 100, 50 when absent.
pub fn limit(parameters: &[(String, String)]) -> ApiResult<usize> {
    limit_or(parameters, 50)
}

/// The page size: 1 to 100, `default` when absent.
pub fn limit_or(parameters: &[(String, String)], default: usize) -> ApiResult<usize> {
    const RANGE: std::ops::RangeInclusive<i64> = 1..=100;
    let Some(text) = value_of(parameters, "limit").filter(|text| !text.is_empty()) else {
        return Ok(default);
    };
    let shown: String = text.chars().take(40).collect();
    let number: i64 = text
        .parse()
        .map_err(|_| ApiError::malformed("limit", format!("{shown:?} is not an integer")))?;
    if !RANGE.contains(&number) {
        return Err(ApiError::invalid_value(
            "limit",
            format!("{number} is out of range; 1 to 100 are taken"),
        ));
    }
    Ok(usize::try_from(number).expect("in range"))
}

/// Where a page begins: what a list has returned, or the start when absent.
pub fn cursor<T: FromStr>(parameters: &[(String, String)]) -> ApiResult<Option<T>> {
    let given = value_of(parameters, "cursor").filter(|cursor| !cursor.is_empty());
    let read = given.map(str::parse).transpose();
    read.map_err(|_| {
        ApiError::invalid_value(
            "cursor",
            "is not one that a list has returned; leave it out to start anew",
        )
    })
}

/// The `status` filter: QueueState words, repeated or separated by commas.
fn phases(parameters: &[(String, String)]) -> ApiResult<Vec<Phase>> {
    let values = parameters
        .iter()
        .filter(|(key, _)| key == "status")
        .flat_map(|(_, value)| value.split(','));
    values
        .map(str::trim)
        .map(|word| {
            QueueState::parse(word).ok_or_else(|| {
                let shown: String = word.chars().take(40).collect();
                let taken = "IN_QUEUE, IN_PROGRESS, COMPLETED, FAILED, CANCELED";
                ApiError::invalid_value("status", format!("{shown:?} is not one of {taken}"))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Vec<(String, String)> {
        text.split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (k.into(), v.into()))
            .collect()
    }

    #[test]
    fn page_sizes() {
        let check = |text, expected: Result<usize, ()>| {
            assert_eq!(limit(&query(text)).map_err(|_| ()), expected, "{text}");
        };
        check("", Ok(50));
        check("limit=", Ok(50));
        check("limit=1", Ok(1));
        check("limit=100", Ok(100));
        check("limit=0", Err(()));
        check("limit=101", Err(()));
        check("limit=-5", Err(()));
        check("limit=ten", Err(()));
        check("limit=99999999999999999999", Err(()));
    }

    #[test]
    fn tags_that_a_client_has() {
        let check = |known: &'static str, expected| {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(known))]);
            assert_eq!(has_already(&headers, "\"2\""), expected, "{known}");
        };
        check("\"2\"", true);
        check("\"1\", W/\"2\"", true);
        check("*", true);
        check("\"22\"", false);
        check("2", false);
        check("", false);
        assert!(!has_already(&HeaderMap::new(), "\"2\""));
    }

    #[test]
    fn status_filters() {
        let check = |text, expected: Result<&[Phase], ()>| {
            let found = phases(&query(text)).map_err(|_| ());
            assert_eq!(found, expected.map(<[Phase]>::to_vec), "{text}");
        };
        check("", Ok(&[]));
        check("status=", Err(()));
        check("status=FAILED,", Err(()));
        check("status=FAILED", Ok(&[Phase::Failed]));
        check("status=FAILED,CANCELED", Ok(&[Phase::Failed, Phase::Canceled]));
        check(
            "status=IN_QUEUE&status=IN_PROGRESS",
            Ok(&[Phase::Queued, Phase::Running]),
        );
        check("status=DONE", Err(()));
    }
}

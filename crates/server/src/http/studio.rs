//! The pages for people: `/studio` and `/docs`. Static files, built from `studio/` and part of this program.
//!
//! They ask the API with a key like everybody else; nothing here knows one. What the pages may load and do is said by
//! [`POLICY`]. `assets.rs` is written by the build of `studio/`, which also packs every file.

mod assets;

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};

use super::{
    App,
    error::{ApiError, ApiResult},
    first_visit,
};

/// Nothing but this server's own files: no other host, nothing inline, no frame around it. Media the person has just
/// chosen are shown from `blob:` addresses.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; \
     connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'",
);
/// Names of these files change with their bytes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Pages are asked for anew each time, and mostly answered with 304.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");
const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");

/// A file of the pages.
struct Asset {
    /// As built: `studio.html`, `assets/studio-1a2b3c4d.js`.
    path: &'static str,
    content_type: &'static str,
    /// Of the bytes; weak, because it is the same for every coding.
    etag: &'static str,
    plain: &'static [u8],
    /// Packed, where that makes it smaller; a very small file only grows.
    gzip: Option<&'static [u8]>,
    brotli: Option<&'static [u8]>,
}

/// The routes of the pages.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route(
            "/studio",
            get(async |headers: HeaderMap| page("studio.html", &headers)),
        )
        .route(
            "/docs",
            get(async |headers: HeaderMap| page("docs.html", &headers)),
        )
        .route("/studio/", get(async || Redirect::permanent("/studio")))
        .route("/docs/", get(async || Redirect::permanent("/docs")))
        .route("/studio/assets/{name}", get(get_asset))
        .route("/studio/sign-in", post(first_visit::sign_in))
}

fn page(path: &str, headers: &HeaderMap) -> ApiResult<Response> {
    answer(path, ASK_AGAIN, headers)
}

/// GET `/studio/assets/{name}`
async fn get_asset(
    State(_): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    answer(&format!("assets/{name}"), FOR_EVER, &headers)
}

fn answer(path: &str, caching: HeaderValue, headers: &HeaderMap) -> ApiResult<Response> {
    let asset = assets::ASSETS
        .iter()
        .find(|asset| asset.path == path)
        .ok_or_else(|| ApiError::not_found("file"))?;
    let fixed = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type)),
        (header::ETAG, HeaderValue::from_static(asset.etag)),
        (header::CACHE_CONTROL, caching),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    let sent = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let mut known = sent(header::IF_NONE_MATCH).split(',').map(str::trim);
    if known.any(|tag| tag == asset.etag) {
        return Ok((StatusCode::NOT_MODIFIED, fixed).into_response());
    }
    let packed = match Coding::of(sent(header::ACCEPT_ENCODING)) {
        Coding::Plain => None,
        Coding::Gzip => asset.gzip.map(|bytes| ("gzip", bytes)),
        Coding::Brotli => asset.brotli.map(|bytes| ("br", bytes)),
    };
    Ok(match packed {
        None => (fixed, asset.plain).into_response(),
        Some((coding, bytes)) => (fixed, [(header::CONTENT_ENCODING, coding)], bytes).into_response(),
    })
}

/// How a file is packed.
#[derive(Debug, PartialEq, Eq)]
enum Coding {
    Plain,
    Gzip,
    Brotli,
}

impl Coding {
    /// The smallest that an `Accept-Encoding` header takes.
    fn of(accepted: &str) -> Coding {
        let takes = |coding: &str| {
            accepted.split(',').any(|item| {
                let mut parts = item.split(';').map(str::trim);
                let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
                let refused = parts
                    .filter_map(|part| part.strip_prefix("q="))
                    .any(|q| q.parse().is_ok_and(|q: f32| q <= 0.0));
                named && !refused
            })
        };
        if takes("br") {
            Coding::Brotli
        } else if takes("gzip") {
            Coding::Gzip
        } else {
            Coding::Plain
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_coding_that_is_taken() {
        let check = |accepted, expected| assert_eq!(Coding::of(accepted), expected, "{accepted}");
        check("", Coding::Plain);
        check("identity", Coding::Plain);
        check("gzip", Coding::Gzip);
        check("gzip, deflate, br, zstd", Coding::Brotli);
        check("br;q=0, gzip;q=0.5", Coding::Gzip);
        check("BR", Coding::Brotli);
        check("gzip;q=0", Coding::Plain);
        check("brotli", Coding::Plain);
    }

    #[test]
    fn pages_name_only_files_that_are_there() {
        let paths: Vec<&str> = assets::ASSETS.iter().map(|asset| asset.path).collect();
        for page in assets::ASSETS
            .iter()
            .filter(|asset| asset.path.ends_with(".html"))
        {
            let text = std::str::from_utf8(page.plain).expect("UTF-8");
            let named: Vec<&str> = text
                .split('"')
                .filter_map(|part| part.strip_prefix("/studio/"))
                .collect();
            assert!(named.len() >= 2, "{} names a script and a style", page.path);
            for name in named {
                assert!(paths.contains(&name), "{} names {name}", page.path);
            }
            assert!(
                !text.contains("<style") && !text.contains(" style="),
                "{}",
                page.path
            );
        }
    }

    #[test]
    fn packed_files_are_smaller() {
        for asset in assets::ASSETS {
            for packed in [asset.gzip, asset.brotli].into_iter().flatten() {
                assert!(packed.len() < asset.plain.len(), "{}", asset.path);
            }
            // Beyond a packet it is worth it, and would be missed.
            let large = asset.plain.len() > 1400;
            assert!(
                !large || (asset.gzip.is_some() && asset.brotli.is_some()),
                "{}",
                asset.path
            );
            assert!(asset.etag.starts_with("W/\"") && asset.etag.ends_with('"') && asset.etag.len() > 10);
        }
    }
}

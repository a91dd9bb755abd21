//! Results, behind URLs that are signed and expire. The signature is the capability: no key is asked for.
//!
//! What is not on this machine but in a bucket is answered with a redirect to there, where that is wanted, or passed on from
//! there as it is read.

use std::{io::SeekFrom, time::Duration};

use axum::{
    body::Body,
    extract::{Path, Query, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::TryStreamExt;
use hmac::{Hmac, KeyInit, Mac};
use kinora_domain::{BlobHash, Generation, GenerationId, Status, Timestamp};
use kinora_store::blobs::{Found, Remote};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::{
    App,
    error::{ApiError, ApiResult},
    generations::{Parameters, has_already, value_of},
    wire::{FileKind, Links},
};

/// Signs and verifies the URLs of files.
#[derive(Clone)]
pub struct Signer {
    secret: [u8; 32],
}

impl Signer {
    /// A signer with the installation's own secret.
    pub fn new(secret: [u8; 32]) -> Signer {
        Signer { secret }
    }

    /// Path and query of a file that can be read until `expires`.
    pub fn sign(&self, id: GenerationId, file_name: &str, expires: Timestamp) -> String {
        let exp = expires.unix_seconds();
        let signature =
            BASE64_URL_SAFE_NO_PAD.encode(self.mac(&id.to_string(), file_name, exp).finalize().into_bytes());
        format!("/files/{id}/{file_name}?exp={exp}&sig={signature}")
    }

    fn verify(&self, id: &str, file_name: &str, exp: i64, signature: &str) -> bool {
        let Ok(signature) = BASE64_URL_SAFE_NO_PAD.decode(signature) else {
            return false;
        };
        // Compared in constant time.
        self.mac(id, file_name, exp).verify_slice(&signature).is_ok()
    }

    fn mac(&self, id: &str, file_name: &str, exp: i64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        mac.update(format!("{id}/{file_name}\n{exp}").as_bytes());
        mac
    }
}

impl App {
    /// Makes the URLs that answers carry, good from now on.
    pub fn links(&self) -> Links<'_> {
        Links {
            public_url: &self.settings.public_url,
            signer: &self.signer,
            expires: (self.clock)().plus_ms(self.settings.url_life_ms),
        }
    }
}

/// Path and query at which a blob of a generation, an input mostly, can be read until `expires`. The name says which blob:
/// the signature shows that this installation has named it.
pub fn sign_blob(
    signer: &Signer,
    id: GenerationId,
    blob: BlobHash,
    extension: &str,
    expires: Timestamp,
) -> String {
    signer.sign(id, &format!("{BLOB_PREFIX}{blob}.{extension}"), expires)
}

/// How the names of such files begin; no result is called like that.
const BLOB_PREFIX: &str = "input-";

/// The blob that a file name of [`sign_blob`] names.
fn named_blob(file_name: &str) -> Option<(BlobHash, &'static str)> {
    let (hash, extension) = file_name.strip_prefix(BLOB_PREFIX)?.split_once('.')?;
    let content_type = match extension {
        "jpg" => "image/jpeg",
        "mp4" => "video/mp4",
        "mov" => "video/quicktime",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        _ => return None,
    };
    Some((hash.parse().ok()?, content_type))
}

/// GET and HEAD `/files/{generation_id}/{file_name}`
pub async fn get_file(
    State(app): State<App>,
    path: Result<Path<(String, String)>, PathRejection>,
    Query(parameters): Parameters,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let Path((id, file_name)) = path.map_err(|_| ApiError::not_found("file"))?;
    let exp: i64 = value_of(&parameters, "exp")
        .and_then(|exp| exp.parse().ok())
        .unwrap_or(0);
    let signature = value_of(&parameters, "sig").unwrap_or_default();
    if !app.signer.verify(&id, &file_name, exp, signature) {
        return Err(ApiError::forbidden(
            "The signature of this URL is wrong; read the generation for a fresh URL.",
        ));
    }
    if exp <= (app.clock)().unix_seconds() {
        return Err(ApiError::forbidden(
            "This URL has expired; read the generation for a fresh one.",
        ));
    }
    let id: GenerationId = id.parse().map_err(|_| ApiError::not_found("file"))?;
    let generation = app
        .store
        .generation(id)
        .await?
        .ok_or_else(|| ApiError::not_found("file"))?;
    if generation.media_removed {
        return Err(ApiError::media_removed());
    }
    if let Some((blob, content_type)) = find(&generation, &file_name) {
        let life_s = exp - (app.clock)().unix_seconds();
        let way = match may_redirect(&method, &headers) {
            true => Way::MayRedirect(Duration::from_secs(u64::try_from(life_s).unwrap_or(0))),
            false => Way::Direct,
        };
        return serve(&app, blob, content_type, &headers, way).await;
    }
    // Whoever works for us gets an input from us: not all of them follow redirects, or reach the bucket.
    let (blob, content_type) = named_blob(&file_name).ok_or_else(|| ApiError::not_found("file"))?;
    serve(&app, blob, content_type, &headers, Way::Direct).await
}

/// How bytes that are elsewhere may reach the client.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    /// Through this server.
    Direct,
    /// From where they are, if that is wanted, by a URL that is good for so long at most.
    MayRedirect(Duration),
}

/// A redirect signed for GET is of no use to HEAD, which costs nothing here anyway. And our own pages show nothing from
/// other hosts.
fn may_redirect(method: &Method, headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    method == Method::GET && site != Some(b"same-origin")
}

/// The blob behind a file name of a finished generation.
fn find(generation: &Generation, file_name: &str) -> Option<(BlobHash, &'static str)> {
    let Status::Succeeded(success) = &generation.status else {
        return None;
    };
    success
        .artifacts
        .iter()
        .enumerate()
        .find_map(|(index, artifact)| {
            if file_name == FileKind::Video.name(generation.id, index) {
                Some((artifact.video, "video/mp4"))
            } else if file_name == FileKind::Poster.name(generation.id, index) {
                Some((artifact.poster, "image/jpeg"))
            } else {
                None
            }
        })
}

/// The bytes of a file, whole or in the range that the headers ask for.
pub async fn serve(
    app: &App,
    blob: BlobHash,
    content_type: &'static str,
    headers: &HeaderMap,
    way: Way,
) -> ApiResult<Response> {
    let missing = || ApiError::internal(format!("blob {blob} is missing"));
    let etag = format!("\"{blob}\"");
    let names = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let fixed = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (
            header::ETAG,
            HeaderValue::from_str(&etag).expect("hexadecimal is ASCII"),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, max-age=3600"),
        ),
    ];
    let found = app.blobs.find(blob)?.ok_or_else(missing)?;
    if has_already(headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, fixed).into_response());
    }
    let (source, length) = match (found, way) {
        (Found::File { file, bytes }, Way::Direct | Way::MayRedirect(_)) => (Source::File(file), bytes),
        (Found::Remote(remote), way) => {
            if let Way::MayRedirect(life) = way
                && let Some(url) = remote.signed_url(life).await?
            {
                return Ok(redirect(&url));
            }
            let bytes = remote.length().await?.ok_or_else(missing)?;
            (Source::Remote(remote), bytes)
        }
    };
    // A range of an older file would be spliced into this one.
    let if_range = names(header::IF_RANGE);
    let range = if if_range.is_empty() || if_range == etag {
        names(header::RANGE)
    } else {
        ""
    };
    match Range::parse(range, length) {
        Range::Whole => {
            let whole = [(header::CONTENT_LENGTH, HeaderValue::from(length))];
            let body = source.read(0..length, length).await?;
            Ok((StatusCode::OK, fixed, whole, body).into_response())
        }
        Range::Unsatisfiable => {
            let range = [(header::CONTENT_RANGE, text(format!("bytes */{length}")))];
            Ok((range, ApiError::range_not_satisfiable(length)).into_response())
        }
        Range::Part { first, last } => {
            let range = [
                (header::CONTENT_LENGTH, HeaderValue::from(last - first + 1)),
                (
                    header::CONTENT_RANGE,
                    text(format!("bytes {first}-{last}/{length}")),
                ),
            ];
            let body = source.read(first..last + 1, length).await?;
            Ok((StatusCode::PARTIAL_CONTENT, fixed, range, body).into_response())
        }
    }
}

/// To the bucket, this once: the next request for the file gets another URL.
fn redirect(url: &str) -> Response {
    match HeaderValue::from_str(url) {
        Ok(url) => {
            let headers = [
                (header::LOCATION, url),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            (StatusCode::TEMPORARY_REDIRECT, headers).into_response()
        }
        // The URL itself is a key, and stays out of the log.
        Err(_) => ApiError::internal("a signed URL is no header").into_response(),
    }
}

/// Where bytes are read from.
enum Source {
    File(std::fs::File),
    Remote(Remote),
}

impl Source {
    /// The bytes in a range of the `length` that there are. Nothing is read before the body is.
    async fn read(self, range: std::ops::Range<u64>, length: u64) -> ApiResult<Body> {
        match self {
            Source::File(file) => {
                let mut file = tokio::fs::File::from_std(file);
                file.seek(SeekFrom::Start(range.start))
                    .await
                    .map_err(ApiError::internal)?;
                let part = file.take(range.end - range.start);
                Ok(Body::from_stream(ReaderStream::with_capacity(part, CHUNK)))
            }
            Source::Remote(remote) => {
                let pieces = remote.stream(range, length).inspect_err(|error| {
                    tracing::error!("A download broke off: {}", kinora_media::chain(error));
                });
                Ok(Body::from_stream(pieces))
            }
        }
    }
}

/// Bytes read from a file at a time.
const CHUNK: usize = 64 * 1024;

fn text(value: String) -> HeaderValue {
    HeaderValue::from_str(&value).expect("digits are ASCII")
}

/// What a `Range` header asks of a file. Several ranges at once are answered with the whole.
#[derive(Debug, PartialEq, Eq)]
enum Range {
    Whole,
    Part { first: u64, last: u64 },
    Unsatisfiable,
}

impl Range {
    fn parse(header: &str, length: u64) -> Range {
        let Some((first, last)) = header
            .strip_prefix("bytes=")
            .and_then(|spec| spec.trim().split_once('-'))
        else {
            return Range::Whole;
        };
        let end = length.saturating_sub(1);
        let (first, last) = match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) if first <= last => (first, last.min(end)),
            (Ok(first), Err(_)) if last.is_empty() => (first, end),
            (Err(_), Ok(0)) if first.is_empty() => return Range::Unsatisfiable,
            (Err(_), Ok(suffix)) if first.is_empty() => (length.saturating_sub(suffix), end),
            // Not a range this server understands: the header is ignored, as the standard says.
            _ => return Range::Whole,
        };
        if first >= length {
            Range::Unsatisfiable
        } else {
            Range::Part { first, last }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let check = |header, expected| assert_eq!(Range::parse(header, 100), expected, "{header}");
        let part = |first, last| Range::Part { first, last };
        check("", Range::Whole);
        check("bytes=0-0", part(0, 0));
        check("bytes=0-99", part(0, 99));
        check("bytes=10-", part(10, 99));
        check("bytes=90-200", part(90, 99));
        check("bytes=-10", part(90, 99));
        check("bytes=-1000", part(0, 99));
        check("bytes=-0", Range::Unsatisfiable);
        check("bytes=100-", Range::Unsatisfiable);
        check("bytes=5-2", Range::Whole);
        check("bytes=0-1,5-6", Range::Whole);
        check("bytes=a-b", Range::Whole);
        check("items=0-1", Range::Whole);
        assert_eq!(Range::parse("bytes=0-", 0), Range::Unsatisfiable);
    }

    #[test]
    fn a_blob_is_named_by_its_hash() {
        let blob = BlobHash([0xab; 32]);
        let signer = Signer::new([7; 32]);
        let id = GenerationId::new(Timestamp(1), 1);
        let url = sign_blob(&signer, id, blob, "mov", Timestamp(5_000));
        let name = url
            .strip_prefix(&format!("/files/{id}/"))
            .and_then(|rest| rest.split('?').next())
            .expect("a path");
        assert_eq!(named_blob(name), Some((blob, "video/quicktime")));
        assert_eq!(named_blob(&name.replace("mov", "html")), None);
        assert_eq!(named_blob(&name.replace("ab", "g")), None);
        assert_eq!(named_blob("poster.jpg"), None);
    }

    #[test]
    fn a_signature_covers_id_name_and_end() {
        let signer = Signer::new([7; 32]);
        let id = GenerationId::new(Timestamp(1), 1);
        let url = signer.sign(id, "poster.jpg", Timestamp(5_000));
        let (_, signature) = url.split_once("&sig=").expect("signed");
        let id = id.to_string();
        assert!(signer.verify(&id, "poster.jpg", 5, signature));
        assert!(!signer.verify(&id, "poster.jpg", 6, signature));
        assert!(!signer.verify(&id, "poster2.jpg", 5, signature));
        assert!(!signer.verify("gen_x", "poster.jpg", 5, signature));
        assert!(!signer.verify(&id, "poster.jpg", 5, "AAAA"));
        assert!(!signer.verify(&id, "poster.jpg", 5, "§"));
        assert!(!Signer::new([8; 32]).verify(&id, "poster.jpg", 5, signature));
    }
}

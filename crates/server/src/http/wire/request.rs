//! A create body as it was sent, read into a draft.
//!
//! Both forms, JSON and multipart, end in the same [`ParsedBody`]. This layer refuses what cannot be read: a body
//! that is malformed, too large, too slow or of another content type, and members of the wrong type, all of them
//! together. Whether the values make sense is for the domain to say.

use std::time::Duration;

use axum::{
    extract::Request,
    http::{HeaderMap, header},
};
use kinora_domain::{BlobHash, Draft, Member, Model};
use kinora_store::blobs::Blobs;
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use super::{json, json::JsonMembers, multipart};

/// Where a body was posted to, which decides its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// The endpoint that has all four workflows, its stream and its quote.
    WanVideo,
    /// The edit endpoint and its stream.
    WanEdit,
    /// `/v1/videos`.
    OpenAiVideos,
}

impl Endpoint {
    /// The model that a generation posted there is of.
    pub fn model(self) -> Model {
        match self {
            Endpoint::WanVideo | Endpoint::OpenAiVideos => Model::WanVideo,
            Endpoint::WanEdit => Model::WanEdit,
        }
    }
}

/// A create body, right in its types.
#[derive(Debug)]
pub struct ParsedBody {
    /// The request. Its uploads stand in it as stored inputs of unknown length.
    pub draft: Draft,
    /// Files that came with it, kept and not yet measured.
    pub uploads: Vec<Upload>,
    /// Where the client wants to be told.
    pub webhook_url: Option<String>,
    /// The model it names, on the endpoint whose path does not.
    pub model_name: Option<String>,
    /// By which two requests under one idempotency key are compared.
    pub payload_hash: [u8; 32],
}

/// A file that came as a part of the body.
#[derive(Debug)]
pub struct Upload {
    /// The member it was sent under.
    pub member: Member,
    /// Its bytes.
    pub blob: BlobHash,
}

/// How much of a body is read, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// The largest JSON body.
    pub json_bytes_max: u64,
    /// The largest multipart body.
    pub multipart_bytes_max: u64,
    /// How long the whole body may take to arrive.
    pub timeout: Duration,
}

/// Why a body could not be read.
#[derive(Debug, Error)]
pub enum WireError {
    /// It is not what its content type says: the rest of a sentence that starts with "Request validation failed".
    #[error("{0}")]
    Malformed(String),
    /// Members of the wrong type, all of them.
    #[error("{} members have the wrong type", .0.len())]
    WrongTypes(Vec<FieldError>),
    /// The body or a part of it is over its limit; a sentence.
    #[error("{0}")]
    TooLarge(String),
    /// A content type that is not taken; a sentence.
    #[error("{0}")]
    UnsupportedMediaType(String),
    /// The server's own trouble, for the log.
    #[error("{0}")]
    Internal(String),
}

/// What is wrong with one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The member, with an index for array items.
    #[schema(example = "video_refs[2]")]
    pub field: String,
    /// The rest of a sentence that starts with the member.
    pub message: String,
}

/// Reads the body of a creating request.
pub async fn read(
    endpoint: Endpoint,
    request: Request,
    limits: &BodyLimits,
    blobs: &Blobs,
) -> Result<ParsedBody, WireError> {
    let (parts, body) = request.into_parts();
    let form = Form::of(&parts.headers)?;
    let bytes_max = match form {
        Form::Json => limits.json_bytes_max,
        Form::Multipart => limits.multipart_bytes_max,
    };
    // Said before anything is read, so that a client that waits for "100 Continue" does not send it in vain.
    if content_length(&parts.headers).is_some_and(|length| length > bytes_max) {
        return Err(too_large(bytes_max));
    }
    let reading = async {
        match form {
            Form::Json => json::read(endpoint, body, bytes_max).await,
            Form::Multipart => {
                multipart::read(endpoint, Request::from_parts(parts, body), bytes_max, blobs).await
            }
        }
    };
    match tokio::time::timeout(limits.timeout, reading).await {
        Ok(read) => read,
        Err(_) => Err(too_slow(limits.timeout)),
    }
}

fn too_slow(timeout: Duration) -> WireError {
    let seconds = timeout.as_secs_f64();
    WireError::Malformed(format!("the body did not arrive within {seconds} s"))
}

/// The largest body that is not a creating one: an endpoint's URL and description, several times over.
const SMALL_BYTES_MAX: u64 = 64 * 1024;

/// Reads the JSON body of a request that creates no generation.
pub async fn read_object(request: Request, timeout: Duration) -> Result<JsonMembers, WireError> {
    let (parts, body) = request.into_parts();
    if Form::of(&parts.headers)? != Form::Json {
        return Err(WireError::UnsupportedMediaType(
            "Only application/json is taken here.".to_owned(),
        ));
    }
    if content_length(&parts.headers).is_some_and(|length| length > SMALL_BYTES_MAX) {
        return Err(too_large(SMALL_BYTES_MAX));
    }
    let reading = json::read_object(body, SMALL_BYTES_MAX);
    match tokio::time::timeout(timeout, reading).await {
        Ok(read) => read,
        Err(_) => Err(too_slow(timeout)),
    }
}

/// The two forms of a create body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Multipart,
}

impl Form {
    fn of(headers: &HeaderMap) -> Result<Form, WireError> {
        let value = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let essence = value.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") {
            Ok(Form::Json)
        } else if essence.eq_ignore_ascii_case("multipart/form-data") {
            Ok(Form::Multipart)
        } else {
            let shown: String = essence.chars().take(80).collect();
            Err(WireError::UnsupportedMediaType(format!(
                "The Content-Type {shown:?} is not taken; send application/json or multipart/form-data."
            )))
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

pub(super) fn too_large(bytes_max: u64) -> WireError {
    WireError::TooLarge(format!(
        "The body is larger than {bytes_max} bytes, which is the most for its form."
    ))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn content_types() {
        let check = |value: Option<&'static str>, expected: Option<Form>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            }
            let found = Form::of(&headers);
            assert_eq!(found.as_ref().ok(), expected.as_ref(), "{value:?}");
            assert!(found.is_ok() || matches!(found, Err(WireError::UnsupportedMediaType(_))));
        };
        check(Some("application/json"), Some(Form::Json));
        check(Some("Application/JSON; charset=utf-8"), Some(Form::Json));
        check(Some("multipart/form-data; boundary=x"), Some(Form::Multipart));
        check(None, None);
        check(Some(""), None);
        check(Some("text/plain"), None);
        check(Some("application/jsonx"), None);
        check(Some("application/x-www-form-urlencoded"), None);
        check(Some("multipart/mixed; boundary=x"), None);
    }
}

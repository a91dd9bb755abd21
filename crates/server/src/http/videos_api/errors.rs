//! Errors below `/v1/`, in the shape that the clients of this layer read.
//!
//! Who refuses a request need not know where it was going: the gate, the limits, an unknown path and a panic answer
//! as they always do, and their answers are told again here on the way out.

use axum::{
    Json,
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::super::{
    error::Told,
    wire::video::{VideosError, VideosErrorBody},
};

/// Tells errors of paths below `/v1/` in the layer's shape.
pub async fn in_openai_shape(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let ours = path == "/v1" || path.starts_with("/v1/");
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Told>() {
        Some(told) if ours => again(response, told),
        Some(_) | None => response,
    }
}

fn again(response: Response, told: Told) -> Response {
    let (mut parts, _) = response.into_parts();
    let Told {
        code,
        message,
        mut errors,
    } = told;
    let param = (!errors.is_empty()).then(|| errors.swap_remove(0).field);
    let error = VideosError {
        message,
        error_type: error_type(parts.status),
        param,
        code,
    };
    let (fresh, body) = Json(VideosErrorBody { error }).into_response().into_parts();
    // What was said of the other body does not hold for this one.
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(fresh.headers);
    Response::from_parts(parts, body)
}

/// The class of an error: the clients' own exceptions follow the status.
fn error_type(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::PAYMENT_REQUIRED => "insufficient_quota",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    }
}

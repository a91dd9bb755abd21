//! Where a failure becomes a status code. Every error of the API is an [`ApiError`], and every body has the same
//! shape; what only the operator may know goes to the log, once, here.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use kinora_domain::{FailureCode, Feature, Violation, ledger::Insufficient};
use kinora_media::chain;
use kinora_store::StoreError;

use super::wire::{ErrorBody, FieldError, WireError};

/// A result of a handler.
pub type ApiResult<T> = Result<T, ApiError>;

/// A refusal or a failure, as the client hears of it.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    errors: Vec<FieldError>,
    /// Seconds after which another try may help.
    retry_after_s: Option<u64>,
    /// For the log only.
    internal: Option<String>,
}

/// What an error said, left with its answer for a layer that tells errors in another shape.
#[derive(Debug, Clone)]
pub struct Told {
    /// What to branch on.
    pub code: &'static str,
    /// A sentence.
    pub message: String,
    /// Every member that is at fault, where members are.
    pub errors: Vec<FieldError>,
}

/// Seconds after which a database that cannot be reached is asked again. Restarts take less; clients that poll come by anyway.
const ABSENCE_RETRY_S: u64 = 5;

/// The codes a client can branch on.
pub mod code {
    /// A member is malformed or out of its limits.
    pub const INVALID_INPUT: &str = "VIDEO_GENERATION_INVALID_INPUT";
    /// The model or the workflow is not offered.
    pub const UNSUPPORTED_MODEL: &str = "VIDEO_GENERATION_UNSUPPORTED_MODEL";
    /// No valid key.
    pub const UNAUTHORIZED: &str = "UNAUTHORIZED";
    /// The balance does not cover the price.
    pub const INSUFFICIENT_CREDITS: &str = "VIDEO_GENERATION_INSUFFICIENT_CREDITS";
    /// The key may not do this.
    pub const FORBIDDEN: &str = "FORBIDDEN";
    /// Unknown path or id.
    pub const NOT_FOUND: &str = "NOT_FOUND";
    /// Known path, wrong method.
    pub const METHOD_NOT_ALLOWED: &str = "METHOD_NOT_ALLOWED";
    /// The first request under this idempotency key is still being accepted.
    pub const IDEMPOTENCY_IN_FLIGHT: &str = "IDEMPOTENCY_IN_FLIGHT";
    /// This idempotency key was used for another payload.
    pub const IDEMPOTENCY_KEY_REUSED: &str = "IDEMPOTENCY_KEY_REUSED";
    /// Too late to cancel.
    pub const ALREADY_FINISHED: &str = "GENERATION_ALREADY_FINISHED";
    /// Too early to delete.
    pub const NOT_FINISHED: &str = "GENERATION_NOT_FINISHED";
    /// The file is gone.
    pub const MEDIA_REMOVED: &str = "MEDIA_REMOVED";
    /// A body or a part is over its limit.
    pub const PAYLOAD_TOO_LARGE: &str = "PAYLOAD_TOO_LARGE";
    /// A request's content type is not taken.
    pub const UNSUPPORTED_MEDIA_TYPE: &str = "UNSUPPORTED_MEDIA_TYPE";
    /// Over a rate or a cap.
    pub const RATE_LIMITED: &str = "VIDEO_GENERATION_RATE_LIMITED";
    /// A bug.
    pub const INTERNAL: &str = "INTERNAL_ERROR";
    /// No engine, starting, draining.
    pub const PROVIDER_UNAVAILABLE: &str = "VIDEO_GENERATION_PROVIDER_UNAVAILABLE";
    /// Moderation.
    pub const CONTENT_REJECTED: &str = "VIDEO_GENERATION_CONTENT_REJECTED";
    /// The key that asks.
    pub const KEY_IN_USE: &str = "KEY_IN_USE";
    /// As many keys as there may be.
    pub const KEY_LIMIT: &str = "KEY_LIMIT";
    /// A webhook endpoint that is told nothing.
    pub const ENDPOINT_DISABLED: &str = "WEBHOOK_ENDPOINT_DISABLED";
    /// As many webhook endpoints as there may be.
    pub const ENDPOINT_LIMIT: &str = "WEBHOOK_ENDPOINT_LIMIT";
    /// A deadline.
    pub const TIMEOUT: &str = "VIDEO_GENERATION_TIMEOUT";
    /// The engine failed.
    pub const FAILED: &str = "VIDEO_GENERATION_FAILED";
}

/// The code that a failed generation carries.
pub fn failure_code(failure: FailureCode) -> &'static str {
    match failure {
        FailureCode::InvalidInput => code::INVALID_INPUT,
        FailureCode::ContentRejected => code::CONTENT_REJECTED,
        FailureCode::Timeout => code::TIMEOUT,
        FailureCode::ProviderUnavailable => code::PROVIDER_UNAVAILABLE,
        FailureCode::RateLimited => code::RATE_LIMITED,
        FailureCode::EngineFailed => code::FAILED,
    }
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError {
            status,
            code,
            message: message.into(),
            errors: Vec::new(),
            retry_after_s: None,
            internal: None,
        }
    }

    /// 401: no key, or one that is unknown or revoked.
    pub fn unauthorized(message: &str) -> ApiError {
        ApiError::new(StatusCode::UNAUTHORIZED, code::UNAUTHORIZED, message)
    }

    /// 403
    pub fn forbidden(message: &str) -> ApiError {
        ApiError::new(StatusCode::FORBIDDEN, code::FORBIDDEN, message)
    }

    /// 404: an unknown path, or an id that is not the caller's.
    pub fn not_found(what: &str) -> ApiError {
        ApiError::new(
            StatusCode::NOT_FOUND,
            code::NOT_FOUND,
            format!("There is no such {what}."),
        )
    }

    /// 404: something that is not there, or not there yet; a sentence.
    pub fn nothing_there(message: String) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, code::NOT_FOUND, message)
    }

    /// 405
    pub fn method_not_allowed() -> ApiError {
        ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            code::METHOD_NOT_ALLOWED,
            "This path does not take this method; see the Allow header.",
        )
    }

    /// 416: nothing of the file lies in the range.
    pub fn range_not_satisfiable(length: u64) -> ApiError {
        ApiError::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            code::INVALID_INPUT,
            format!("The range lies outside of the file, which has {length} bytes."),
        )
    }

    /// 410: the file was removed.
    pub fn media_removed() -> ApiError {
        ApiError::new(
            StatusCode::GONE,
            code::MEDIA_REMOVED,
            "The media of this generation have been removed.",
        )
    }

    /// 409: too late to cancel.
    pub fn already_finished(status: &str) -> ApiError {
        ApiError::new(
            StatusCode::CONFLICT,
            code::ALREADY_FINISHED,
            format!("The generation has already {status} and cannot be canceled."),
        )
    }

    /// 409: too early to delete.
    pub fn not_finished() -> ApiError {
        ApiError::new(
            StatusCode::CONFLICT,
            code::NOT_FINISHED,
            "The generation is still queued or running; cancel it before deleting it.",
        )
    }

    /// 409: the first request under this key has not been answered yet.
    pub fn idempotency_in_flight() -> ApiError {
        let error = ApiError::new(
            StatusCode::CONFLICT,
            code::IDEMPOTENCY_IN_FLIGHT,
            "The first request under this Idempotency-Key is still being accepted; try again.",
        );
        ApiError {
            retry_after_s: Some(1),
            ..error
        }
    }

    /// 409: what is to be sent would not be.
    pub fn endpoint_disabled() -> ApiError {
        ApiError::new(
            StatusCode::CONFLICT,
            code::ENDPOINT_DISABLED,
            "The webhook endpoint is disabled; enable it first.",
        )
    }

    /// 409: one more is too many.
    pub fn endpoint_limit(endpoints_max: u32) -> ApiError {
        ApiError::new(
            StatusCode::CONFLICT,
            code::ENDPOINT_LIMIT,
            format!(
                "The workspace has {endpoints_max} webhook endpoints, which is the most; delete one first."
            ),
        )
    }

    /// 409: whoever revokes the key that asks would have none.
    pub fn key_in_use() -> ApiError {
        ApiError::new(
            StatusCode::CONFLICT,
            code::KEY_IN_USE,
            "This is the key that asks; revoke it with another one.",
        )
    }

    /// 409: one more is too many.
    pub fn key_limit(keys_max: usize) -> ApiError {
        ApiError::new(
            StatusCode::CONFLICT,
            code::KEY_LIMIT,
            format!("The workspace has {keys_max} keys that are good, which is the most; revoke one first."),
        )
    }

    /// 422: the same key for another payload.
    pub fn idempotency_key_reused() -> ApiError {
        ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            code::IDEMPOTENCY_KEY_REUSED,
            "This Idempotency-Key was used for a different payload; send a new key.",
        )
    }

    /// 402
    pub fn insufficient_credits(insufficient: Insufficient) -> ApiError {
        ApiError::new(
            StatusCode::PAYMENT_REQUIRED,
            code::INSUFFICIENT_CREDITS,
            format!(
                "Insufficient credits: {} are needed, {} are available.",
                insufficient.price,
                insufficient.available.total()
            ),
        )
    }

    /// 429, with the seconds to wait.
    pub fn rate_limited(message: String, retry_after_s: u64) -> ApiError {
        let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, code::RATE_LIMITED, message);
        ApiError {
            retry_after_s: Some(retry_after_s),
            ..error
        }
    }

    /// 503, with the seconds to wait.
    pub fn unavailable(message: &str, retry_after_s: u64) -> ApiError {
        let error = ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            code::PROVIDER_UNAVAILABLE,
            message,
        );
        ApiError {
            retry_after_s: Some(retry_after_s),
            ..error
        }
    }

    /// 400: a model that is not offered.
    pub fn unsupported_model(path: &str) -> ApiError {
        let shown: String = path.chars().take(80).collect();
        ApiError::new(
            StatusCode::BAD_REQUEST,
            code::UNSUPPORTED_MODEL,
            format!("The model {shown:?} is not offered; GET /api/v1/models lists what is."),
        )
    }

    /// 400: a name of a model that is none of those that are taken.
    pub fn unsupported_model_name(name: &str, taken: &str) -> ApiError {
        let shown: String = name.chars().take(80).collect();
        let message = format!("{shown:?} is not offered; {taken} are taken");
        let errors = vec![FieldError {
            field: "model".to_owned(),
            message: message.clone(),
        }];
        let message = format!("The model {message}.");
        ApiError {
            errors,
            ..ApiError::new(StatusCode::BAD_REQUEST, code::UNSUPPORTED_MODEL, message)
        }
    }

    /// 400: a workflow that no engine here has.
    pub fn unsupported_feature(feature: Feature) -> ApiError {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            code::UNSUPPORTED_MODEL,
            format!("The workflow {feature} is not offered by the engines of this server."),
        )
    }

    /// 400: something of the request line or headers cannot be read.
    pub fn malformed(field: &str, message: impl Into<String>) -> ApiError {
        let errors = vec![FieldError {
            field: field.to_owned(),
            message: message.into(),
        }];
        ApiError::invalid(StatusCode::BAD_REQUEST, errors)
    }

    /// 422: a value that is well-formed and not taken.
    pub fn invalid_value(field: &str, message: impl Into<String>) -> ApiError {
        ApiError::invalid_values(vec![FieldError {
            field: field.to_owned(),
            message: message.into(),
        }])
    }

    /// 422: several of them.
    pub fn invalid_values(errors: Vec<FieldError>) -> ApiError {
        ApiError::invalid(StatusCode::UNPROCESSABLE_ENTITY, errors)
    }

    /// 422: every rule the request breaks.
    pub fn violations(violations: Vec<Violation>) -> ApiError {
        let errors = violations
            .into_iter()
            .map(
                |Violation {
                     rule: _,
                     field,
                     message,
                 }| FieldError { field, message },
            )
            .collect();
        ApiError::invalid(StatusCode::UNPROCESSABLE_ENTITY, errors)
    }

    /// The same with other names for its members, for a layer that calls them something else.
    pub fn renamed(self, name: fn(&str) -> &str) -> ApiError {
        if self.code != code::INVALID_INPUT || self.errors.is_empty() {
            return self;
        }
        let rename = |FieldError { field, message }| FieldError {
            field: name(&field).to_owned(),
            message,
        };
        ApiError::invalid(self.status, self.errors.into_iter().map(rename).collect())
    }

    /// The word "validation" is part of the contract: clients class errors by it.
    fn invalid(status: StatusCode, errors: Vec<FieldError>) -> ApiError {
        let sentence: Vec<String> = errors
            .iter()
            .map(|e| format!("{} {}", e.field, e.message))
            .collect();
        let message = format!("Request validation failed: {}.", sentence.join("; "));
        ApiError {
            errors,
            ..ApiError::new(status, code::INVALID_INPUT, message)
        }
    }

    /// 500: the client is told nothing more.
    pub fn internal(cause: impl std::fmt::Display) -> ApiError {
        let error = ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            code::INTERNAL,
            "Something went wrong in the server; the request id helps to find it in the log.",
        );
        ApiError {
            internal: Some(cause.to_string()),
            ..error
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        if !error.is_absence() {
            return ApiError::internal(chain(&error));
        }
        let absence = ApiError::unavailable(
            "The database cannot be reached, or is being moved; try again.",
            ABSENCE_RETRY_S,
        );
        ApiError {
            internal: Some(chain(&error)),
            ..absence
        }
    }
}

impl From<WireError> for ApiError {
    fn from(error: WireError) -> ApiError {
        match error {
            WireError::Malformed(message) => {
                let message = format!("Request validation failed: {message}.");
                ApiError::new(StatusCode::BAD_REQUEST, code::INVALID_INPUT, message)
            }
            WireError::WrongTypes(problems) => ApiError::invalid(StatusCode::BAD_REQUEST, problems),
            WireError::TooLarge(message) => {
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, code::PAYLOAD_TOO_LARGE, message)
            }
            WireError::UnsupportedMediaType(message) => ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                code::UNSUPPORTED_MEDIA_TYPE,
                message,
            ),
            WireError::Internal(cause) => ApiError::internal(cause),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let ApiError {
            status,
            code,
            message,
            errors,
            retry_after_s,
            internal,
        } = self;
        if let Some(internal) = internal {
            tracing::error!(error = %internal, "A request failed inside the server: {internal}");
        }
        // The published example of a 402 shows the unprefixed word in the legacy alias.
        let error = if code == code::INSUFFICIENT_CREDITS {
            "INSUFFICIENT_CREDITS"
        } else {
            code
        };
        let told = Told {
            code,
            message: message.clone(),
            errors: errors.clone(),
        };
        let body = ErrorBody {
            error: error.to_owned(),
            code: code.to_owned(),
            message,
            errors: (!errors.is_empty()).then_some(errors),
        };
        let mut response = (status, Json(body)).into_response();
        response.extensions_mut().insert(told);
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

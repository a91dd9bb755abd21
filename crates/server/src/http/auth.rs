//! Who asks: a bearer key becomes a [`Caller`], and every request of it is counted against its rates.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use kinora_domain::{AccountId, KeyId};
use kinora_store::Scope;
use sha2::{Digest, Sha256};

use super::{
    App,
    error::{ApiError, ApiResult},
    rate::RateKind,
};

/// The account behind a request.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// Whose generations and credits it sees.
    pub account: AccountId,
    /// The key it came with.
    pub key: KeyId,
    /// What the key may do.
    pub scope: Scope,
}

/// What a group of routes needs of a caller.
#[derive(Debug, Clone, Copy)]
pub struct Access {
    /// The rate its requests are counted against.
    pub rate: RateKind,
    /// Whether a key that may only look is turned away.
    pub writes: bool,
}

/// Lets a request through with its [`Caller`], or answers for the handler.
pub async fn admit(State((app, access)): State<(App, Access)>, mut request: Request, next: Next) -> Response {
    let caller = match authenticate(&app, request.headers()).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    if access.writes && caller.scope == Scope::Read {
        return ApiError::forbidden("This key may only read.").into_response();
    }
    let counted = app.rates.check(access.rate, caller.key, (app.clock)()).await;
    let (verdict, headers) = match counted {
        Ok(counted) => counted,
        Err(error) => return error.into_response(),
    };
    let mut response = match verdict {
        Ok(()) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    };
    response.headers_mut().extend(headers);
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(super::NO_STORE);
    response
}

/// The caller behind an `Authorization` header.
pub async fn authenticate(app: &App, headers: &HeaderMap) -> ApiResult<Caller> {
    let secret = bearer(headers).ok_or_else(|| {
        ApiError::unauthorized("Send an API key in the header Authorization: Bearer <api key>.")
    })?;
    let hash = hash_secret(secret);
    match app.store.key_by_hash(hash).await? {
        Some(key) if key.revoked_at.is_none() => Ok(Caller {
            account: key.account,
            key: key.id,
            scope: key.scope,
        }),
        Some(_) | None => Err(ApiError::unauthorized("The API key is unknown or revoked.")),
    }
}

/// The hash by which a key is found. Keys are 32 random bytes, so that a plain hash cannot be searched.
pub fn hash_secret(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    let secret = secret.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !secret.is_empty()).then_some(secret)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn reads_bearer_tokens_only() {
        let check = |value: &'static str, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(bearer(&headers), expected, "{value}");
        };
        check("Bearer abc", Some("abc"));
        check("bearer  abc ", Some("abc"));
        check("Bearer ", None);
        check("Bearer", None);
        check("Basic abc", None);
        check("abc", None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}

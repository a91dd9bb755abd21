//! Keys by which a client says that two requests are one.
//!
//! The durable half is the store's: a key and the hash of its payload are kept in the transaction that accepts the
//! generation. This half covers the time before that commit, when a second request under the same key finds the
//! first still in flight.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use axum::http::HeaderMap;
use kinora_domain::AccountId;

use super::error::{ApiError, ApiResult};

/// Keys of requests that are being accepted.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Mutex<HashSet<Slot>>>);

type Slot = (AccountId, String, String);

/// A key taken for as long as this lives.
#[derive(Debug)]
pub struct Flight {
    all: InFlight,
    slot: Slot,
}

impl InFlight {
    /// Takes the key for one request; refused while another one has it.
    pub fn enter(&self, account: AccountId, scope: &str, key: &str) -> ApiResult<Flight> {
        let slot = (account, scope.to_owned(), key.to_owned());
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !slots.insert(slot.clone()) {
            return Err(ApiError::idempotency_in_flight());
        }
        Ok(Flight {
            all: self.clone(),
            slot,
        })
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.all
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.slot);
    }
}

/// The key of a request: bare or quoted, 1 to 255 visible ASCII characters.
pub fn key(headers: &HeaderMap) -> ApiResult<Option<String>> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    let bare = text
        .strip_prefix('"')
        .and_then(|t| t.strip_suffix('"'))
        .unwrap_or(text);
    let visible = bare.bytes().all(|byte| byte.is_ascii_graphic());
    if values.next().is_some() || bare.is_empty() || bare.len() > 255 || !visible {
        return Err(ApiError::malformed(
            "Idempotency-Key",
            "takes one value of 1 to 255 visible ASCII characters, such as a UUID",
        ));
    }
    Ok(Some(bare.to_owned()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use kinora_domain::Timestamp;

    use super::*;

    #[test]
    fn reads_bare_and_quoted_keys() {
        let check = |values: &[&[u8]], expected: Result<Option<&str>, ()>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(
                    "idempotency-key",
                    HeaderValue::from_bytes(value).expect("a header value"),
                );
            }
            assert_eq!(
                key(&headers).map_err(|_| ()),
                expected.map(|k| k.map(str::to_owned)),
                "{values:?}"
            );
        };
        check(&[], Ok(None));
        check(&[b"abc"], Ok(Some("abc")));
        check(&[b"\"abc\""], Ok(Some("abc")));
        check(&[&[b'k'; 255]], Ok(Some(&"k".repeat(255))));
        check(&[&[b'k'; 256]], Err(()));
        check(&[b""], Err(()));
        check(&[b"\"\""], Err(()));
        check(&[b"a b"], Err(()));
        check(&["é".as_bytes()], Err(()));
        check(&[b"a", b"b"], Err(()));
    }

    #[test]
    fn a_key_is_taken_once_at_a_time() {
        let all = InFlight::default();
        let account = AccountId::new(Timestamp(1), 1);
        let first = all.enter(account, "POST /x", "k").expect("free");
        assert!(all.enter(account, "POST /x", "k").is_err());
        assert!(all.enter(account, "POST /y", "k").is_ok());
        drop(first);
        assert!(all.enter(account, "POST /x", "k").is_ok());
    }
}

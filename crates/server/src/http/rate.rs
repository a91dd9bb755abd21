//! Requests per key and minute, in three buckets: creating, polling one generation, and all other reading. A
//! client that polls hard cannot starve its own submissions.

use std::num::NonZeroU32;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::StateInformationMiddleware,
    state::keyed::HashMapStateStore,
};
use kinora_domain::KeyId;

use super::error::{ApiError, ApiResult};

/// What a request counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateKind {
    /// A POST that creates, or a quote.
    Create,
    /// One generation, by id.
    Get,
    /// Lists, credits, models, cancel, delete.
    Read,
}

/// Requests a minute for each key.
#[derive(Debug, Clone, Copy)]
pub struct RateSettings {
    /// Of [`RateKind::Create`].
    pub create_per_minute: NonZeroU32,
    /// Of [`RateKind::Get`].
    pub get_per_minute: NonZeroU32,
    /// Of [`RateKind::Read`].
    pub read_per_minute: NonZeroU32,
}

type Limiter = RateLimiter<KeyId, HashMapStateStore<KeyId>, MonotonicClock, StateInformationMiddleware>;

/// The counters of all keys.
pub struct Rates {
    create: Bucket,
    get: Bucket,
    read: Bucket,
}

struct Bucket {
    per_minute: NonZeroU32,
    limiter: Limiter,
}

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

impl Rates {
    /// Counters at zero.
    pub fn new(settings: RateSettings) -> Rates {
        Rates {
            create: Bucket::new(settings.create_per_minute),
            get: Bucket::new(settings.get_per_minute),
            read: Bucket::new(settings.read_per_minute),
        }
    }

    /// Counts one request of `key`. The headers go on the answer either way.
    pub fn check(&self, kind: RateKind, key: KeyId) -> (ApiResult<()>, HeaderMap) {
        match kind {
            RateKind::Create => self.create.check("create", key),
            RateKind::Get => self.get.check("get", key),
            RateKind::Read => self.read.check("read", key),
        }
    }

    /// Forgets keys whose buckets are full again; called now and then.
    pub fn forget_idle(&self) {
        for bucket in [&self.create, &self.get, &self.read] {
            bucket.limiter.retain_recent();
        }
    }
}

impl Bucket {
    fn new(per_minute: NonZeroU32) -> Bucket {
        let counters = HashMapStateStore::default();
        let limiter: Limiter = RateLimiter::new(Quota::per_minute(per_minute), counters, MonotonicClock);
        Bucket { per_minute, limiter }
    }

    fn check(&self, name: &str, key: KeyId) -> (ApiResult<()>, HeaderMap) {
        let quota = self.per_minute.get();
        let (verdict, remaining, wait_s) = match self.limiter.check_key(&key) {
            // One more request becomes possible every 60 / quota seconds.
            Ok(state) => (
                Ok(()),
                state.remaining_burst_capacity(),
                u64::from(60_u32.div_ceil(quota)),
            ),
            Err(not_until) => {
                let wait = not_until.wait_time_from(MonotonicClock.now());
                let wait_s = wait.as_millis().div_ceil(1000).max(1) as u64;
                let message = format!("Too many requests: {quota} a minute are taken; wait {wait_s} s.");
                (Err(ApiError::rate_limited(message, wait_s)), 0, wait_s)
            }
        };
        let mut headers = HeaderMap::new();
        insert(&mut headers, POLICY, format!("\"{name}\";q={quota};w=60"));
        insert(
            &mut headers,
            LIMIT,
            format!("\"{name}\";r={remaining};t={wait_s}"),
        );
        (verdict, headers)
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    headers.insert(
        name,
        HeaderValue::from_str(&value).expect("digits and names are valid in a header"),
    );
}

#[cfg(test)]
mod tests {
    use kinora_domain::Timestamp;

    use super::*;

    #[test]
    fn counts_each_key_and_kind_alone() {
        let limit = |n| NonZeroU32::new(n).expect("not zero");
        let rates = Rates::new(RateSettings {
            create_per_minute: limit(2),
            get_per_minute: limit(100),
            read_per_minute: limit(1),
        });
        let (a, b) = (KeyId::new(Timestamp(1), 1), KeyId::new(Timestamp(1), 2));
        assert!(rates.check(RateKind::Create, a).0.is_ok());
        let (verdict, headers) = rates.check(RateKind::Create, a);
        assert!(verdict.is_ok());
        assert_eq!(headers["ratelimit-policy"], "\"create\";q=2;w=60");
        assert_eq!(headers["ratelimit"], "\"create\";r=0;t=30");
        assert!(rates.check(RateKind::Create, a).0.is_err());
        assert!(rates.check(RateKind::Create, b).0.is_ok());
        assert!(rates.check(RateKind::Get, a).0.is_ok());
    }
}

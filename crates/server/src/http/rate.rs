//! Requests per key and minute, in three buckets: creating, polling one generation, and all other reading. A
//! client that polls hard cannot starve its own submissions.
//!
//! Where the database is a file, one server has it, and counts in its memory. Where it is on a server there may be any
//! number of nodes, which count together in the database.

use std::{num::NonZeroU32, sync::Arc};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::StateInformationMiddleware,
    state::keyed::HashMapStateStore,
};
use kinora_domain::{KeyId, Timestamp};
use kinora_store::{Counted, CountedRequest, Store};

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

impl RateKind {
    fn as_str(self) -> &'static str {
        match self {
            RateKind::Create => "create",
            RateKind::Get => "get",
            RateKind::Read => "read",
        }
    }
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

impl RateSettings {
    fn of(&self, kind: RateKind) -> NonZeroU32 {
        match kind {
            RateKind::Create => self.create_per_minute,
            RateKind::Get => self.get_per_minute,
            RateKind::Read => self.read_per_minute,
        }
    }
}

type Limiter = RateLimiter<KeyId, HashMapStateStore<KeyId>, MonotonicClock, StateInformationMiddleware>;

/// The counters of all keys.
pub struct Rates {
    settings: RateSettings,
    counters: Counters,
}

enum Counters {
    /// Of this process, which is the only one.
    Own(Box<Limiters>),
    /// Of all nodes.
    Shared(Arc<dyn Store>),
}

struct Limiters {
    create: Limiter,
    get: Limiter,
    read: Limiter,
}

impl Limiters {
    fn of(&self, kind: RateKind) -> &Limiter {
        match kind {
            RateKind::Create => &self.create,
            RateKind::Get => &self.get,
            RateKind::Read => &self.read,
        }
    }
}

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

impl Rates {
    /// Counters of this process alone, at zero.
    pub fn own(settings: RateSettings) -> Rates {
        let limiter = |kind| {
            let counters = HashMapStateStore::default();
            let limiter: Limiter =
                RateLimiter::new(Quota::per_minute(settings.of(kind)), counters, MonotonicClock);
            limiter
        };
        Rates {
            settings,
            counters: Counters::Own(Box::new(Limiters {
                create: limiter(RateKind::Create),
                get: limiter(RateKind::Get),
                read: limiter(RateKind::Read),
            })),
        }
    }

    /// Counters that all nodes share.
    pub fn shared(settings: RateSettings, store: Arc<dyn Store>) -> Rates {
        Rates {
            settings,
            counters: Counters::Shared(store),
        }
    }

    /// Counts one request of `key`. The headers go on the answer either way.
    pub async fn check(
        &self,
        kind: RateKind,
        key: KeyId,
        now: Timestamp,
    ) -> ApiResult<(ApiResult<()>, HeaderMap)> {
        let per_minute = self.settings.of(kind).get();
        let counted = match &self.counters {
            Counters::Own(limiters) => count(limiters.of(kind), key),
            Counters::Shared(store) => {
                let request = CountedRequest {
                    key,
                    kind: kind.as_str(),
                    per_minute,
                };
                store.count_request(request, now).await?
            }
        };
        Ok(answer(kind, per_minute, counted))
    }

    /// Forgets keys whose buckets are full again; called now and then. What nodes share is forgotten by the housekeeping.
    pub fn forget_idle(&self) {
        match &self.counters {
            Counters::Own(limiters) => {
                let Limiters { create, get, read } = &**limiters;
                [create, get, read].into_iter().for_each(Limiter::retain_recent);
            }
            Counters::Shared(_) => {}
        }
    }
}

fn count(limiter: &Limiter, key: KeyId) -> Counted {
    match limiter.check_key(&key) {
        Ok(state) => Counted::Within {
            remaining: state.remaining_burst_capacity(),
        },
        Err(not_until) => {
            let wait = not_until.wait_time_from(MonotonicClock.now());
            Counted::TooMany {
                wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            }
        }
    }
}

fn answer(kind: RateKind, per_minute: u32, counted: Counted) -> (ApiResult<()>, HeaderMap) {
    let (verdict, remaining, wait_s) = match counted {
        // One more request becomes possible every 60 / quota seconds.
        Counted::Within { remaining } => (Ok(()), remaining, u64::from(60_u32.div_ceil(per_minute))),
        Counted::TooMany { wait_ms } => {
            let wait_s = wait_ms.div_ceil(1000).max(1);
            let message = format!("Too many requests: {per_minute} a minute are taken; wait {wait_s} s.");
            (Err(ApiError::rate_limited(message, wait_s)), 0, wait_s)
        }
    };
    let name = kind.as_str();
    let mut headers = HeaderMap::new();
    insert(&mut headers, POLICY, format!("\"{name}\";q={per_minute};w=60"));
    insert(
        &mut headers,
        LIMIT,
        format!("\"{name}\";r={remaining};t={wait_s}"),
    );
    (verdict, headers)
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    headers.insert(
        name,
        HeaderValue::from_str(&value).expect("digits and names are valid in a header"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn counts_each_key_and_kind_alone() {
        let limit = |n| NonZeroU32::new(n).expect("not zero");
        let rates = Rates::own(RateSettings {
            create_per_minute: limit(2),
            get_per_minute: limit(100),
            read_per_minute: limit(1),
        });
        let (a, b) = (KeyId::new(Timestamp(1), 1), KeyId::new(Timestamp(1), 2));
        let check = async |kind, key| rates.check(kind, key, Timestamp(1)).await.expect("counted");
        assert!(check(RateKind::Create, a).await.0.is_ok());
        let (verdict, headers) = check(RateKind::Create, a).await;
        assert!(verdict.is_ok());
        assert_eq!(headers["ratelimit-policy"], "\"create\";q=2;w=60");
        assert_eq!(headers["ratelimit"], "\"create\";r=0;t=30");
        assert!(check(RateKind::Create, a).await.0.is_err());
        assert!(check(RateKind::Create, b).await.0.is_ok());
        assert!(check(RateKind::Get, a).await.0.is_ok());
    }
}

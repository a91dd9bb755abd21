//! The contract, held against the real binary over real sockets. One integration binary; each file a part of the
//! contract, each test a Kinora of its own, and the ledger audited at its end.

mod bytes;
mod house;
mod media;
#[path = "../../../store/tests/postgres_server/mod.rs"]
mod postgres_server;

/// The same servers that the worker is tested with.
#[path = "../../../worker/tests/end_to_end/support/upstreams/mod.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared with other tests, which use what these do not; a test that fails may panic"
)]
mod emulators;

mod buckets;
mod hostile;
mod keys;
mod lifecycle;
mod money;
mod outage;
mod pages;
mod prompts;
mod rules;
mod streams;
mod upstreams;
mod videos;
mod webhooks;
mod words;

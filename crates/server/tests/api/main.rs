//! The contract, held against the real binary over real sockets. One integration binary; each file a part of the
//! contract, each test a Kinora of its own, and the ledger audited at its end.

mod house;
mod media;
#[path = "../../../store/tests/postgres_server/mod.rs"]
mod postgres_server;

mod buckets;
mod hostile;
mod keys;
mod lifecycle;
mod money;
mod pages;
mod rules;
mod streams;
mod upstreams;
mod videos;
mod webhooks;
mod words;

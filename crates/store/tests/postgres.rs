//! The back end for many nodes does what every back end must do, on a real server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod conformance;
mod schemas;

use std::sync::Arc;

use kinora_store::{
    Store,
    postgres::{PostgresOptions, PostgresStore, PostgresUrl},
};

use schemas::Schemas;

fn open(url: &PostgresUrl) -> Arc<dyn Store> {
    Arc::new(PostgresStore::open(url, PostgresOptions::default()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let schemas = Schemas::default();
    conformance::conformance(|| open(&schemas.fresh())).await;
}

#[test]
fn survives_random_interleavings() {
    let schemas = Schemas::default();
    conformance::random_interleavings(|| open(&schemas.fresh()), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_a_database() {
    let schemas = Schemas::default();
    conformance::two_processes(|| {
        let url = schemas.fresh();
        [open(&url), open(&url)]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_processes_start_on_an_empty_database() {
    let url = Schemas::default().fresh();
    // As many connections as there are processes are enough for a server that other tests use, too.
    let options = PostgresOptions {
        connections: 1,
        ..PostgresOptions::default()
    };
    conformance::many_starts(move || Arc::new(PostgresStore::open(&url, options.clone()).unwrap())).await;
}

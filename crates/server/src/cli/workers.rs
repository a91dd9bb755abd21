//! `kinora workers`: who makes videos, and who is to stop taking more.

use clap::Subcommand;
use kinora_domain::{Announcement, Hardware, SeenWorker, WorkerState};
use kinora_store::Store;
use serde_json::json;

use super::{
    CommonArguments,
    accounts::with_store,
    failure::{Failure, Outcome, failed},
    print::{print, print_line},
    table::Table,
};
use crate::{compose::now, http::wire::WorkerView};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List the workers that have announced themselves.
    List {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Let workers finish what they have, and take nothing more until they are told to.
    Drain {
        /// A worker's name or id; all of the name are meant
        worker: String,
    },
    /// Let workers that drain take work again.
    Resume {
        /// A worker's name or id; all of the name are meant
        worker: String,
    },
}

pub(super) fn run(common: &CommonArguments, verb: Verb) -> Outcome {
    with_store(common, async |store, config| match verb {
        Verb::List { json } => list(&*store, config.queue.lease_ms, json).await,
        Verb::Drain { worker } => tell(&*store, &worker, WorkerState::Draining).await,
        Verb::Resume { worker } => tell(&*store, &worker, WorkerState::Working).await,
    })
}

async fn list(store: &dyn Store, lease_ms: u64, for_programs: bool) -> Outcome {
    let workers = store
        .workers()
        .await
        .map_err(failed("the workers cannot be read"))?;
    if for_programs {
        let list: Vec<WorkerView> = workers.iter().map(WorkerView::new).collect();
        return print_line(json!({ "data": list }));
    }
    let head = [
        "name", "id", "state", "seen", "slots", "running", "cores", "memory", "version", "offers",
    ];
    let mut table = Table::new(head);
    for worker in &workers {
        table.row(row(worker, lease_ms));
    }
    print(&table.render())
}

/// A worker as a row for people: name, id, state, silence, slots, what runs, its hardware, version and offers.
pub(super) fn row(worker: &SeenWorker, lease_ms: u64) -> [String; 10] {
    let SeenWorker {
        announcement:
            Announcement {
                id,
                name,
                version,
                offers,
                slots,
                hardware:
                    Hardware {
                        cores,
                        memory_bytes,
                        cpu_features: _,
                    },
                started_at: _,
            },
        state,
        seen_at,
        running,
    } = worker;
    let state = match worker.is_living(now(), lease_ms) {
        true => state.as_str(),
        false => "silent",
    };
    let offers: Vec<&str> = offers
        .iter()
        .map(|announced| announced.offer.id.0.as_str())
        .collect();
    [
        name.clone(),
        id.to_string(),
        state.to_owned(),
        format!("{} s ago", now().ms_since(*seen_at) / 1000),
        slots.to_string(),
        running.len().to_string(),
        cores.to_string(),
        format!("{} GiB", memory_bytes >> 30),
        version.clone(),
        offers.join(", "),
    ]
}

async fn tell(store: &dyn Store, name: &str, state: WorkerState) -> Outcome {
    let told = store.tell_workers(name, state).await;
    let told = told.map_err(failed("the workers could not be told"))?;
    let what = match state {
        WorkerState::Draining => "finish what they have and take no more",
        WorkerState::Working => "take work",
    };
    match told {
        0 => Err(Failure::refused(format!(
            "there is no worker {name:?}: `kinora workers list` shows those there are"
        ))),
        1 => print_line(format_args!(
            "1 worker is told to {}.",
            what.replace("they have", "it has")
        )),
        told => print_line(format_args!("{told} workers are told to {what}.")),
    }
}

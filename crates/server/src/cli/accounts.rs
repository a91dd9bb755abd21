//! `kinora account`: whose generations, keys and credits there are.

use std::sync::Arc;

use clap::Subcommand;
use kinora_domain::Timestamp;
use kinora_store::{Account, Store, StoreError};
use serde_json::json;

use super::{
    CommonArguments,
    failure::{Failure, Outcome, failed},
    print::{print, print_line},
    table::Table,
};
use crate::{
    compose::{self, DataDir, first_start},
    config::Config,
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make an account; it starts without credits and keys.
    Create {
        /// Its name
        name: String,
        /// How many of its generations may run at once [default: queue.running_per_account]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        running_max: Option<u32>,
    },
    /// List the accounts.
    List {
        /// For programs
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(common: &CommonArguments, verb: Verb) -> Outcome {
    with_store(common, async |store, _| match verb {
        Verb::Create { name, running_max } => create(&*store, &name, running_max).await,
        Verb::List { json } => list(&*store, json).await,
    })
}

async fn create(store: &dyn Store, name: &str, running_max: Option<u32>) -> Outcome {
    let name = checked_name(name)?;
    match first_start::create_account(store, name, running_max).await {
        Ok(account) => print_line(format_args!(
            "Account {name} ({}) is made. Its next steps:\n  \
                 kinora credits grant --account {name} --credits 1000\n  \
                 kinora key create --account {name} --name first",
            account.id
        )),
        Err(error @ StoreError::NameTaken(_)) => Err(Failure::refused(error)),
        Err(error) => Err(failed("the account could not be made")(error)),
    }
}

async fn list(store: &dyn Store, for_programs: bool) -> Outcome {
    let accounts = store
        .accounts()
        .await
        .map_err(failed("the accounts cannot be read"))?;
    if for_programs {
        let list: Vec<_> = accounts.iter().map(to_json).collect();
        return print_line(json!({ "data": list }));
    }
    let mut table = Table::new(["name", "id", "created", "running at once"]);
    for Account {
        id,
        name,
        running_max,
        created_at,
    } in accounts
    {
        let running = running_max.map_or_else(|| "default".to_owned(), |max| max.to_string());
        table.row([name, id.to_string(), created_at.to_string(), running]);
    }
    print(&table.render())
}

fn to_json(account: &Account) -> serde_json::Value {
    let Account {
        id,
        name,
        running_max,
        created_at,
    } = account;
    json!({
        "id": id.to_string(),
        "name": name,
        "running_max": running_max,
        "created_at": created_at.to_string(),
    })
}

/// Runs `work` with the store of a data directory that a server has used before, whether one runs on it or not.
pub(super) fn with_store(
    common: &CommonArguments,
    work: impl AsyncFnOnce(Arc<dyn Store>, Config) -> Outcome,
) -> Outcome {
    let config = common.load([])?;
    let dir = DataDir::existing(&config.data).map_err(Failure::refused)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .map_err(failed("the runtime could not be started"))?
        .block_on(async {
            let store =
                compose::open_store(&config.data, &dir).map_err(failed("the store could not be opened"))?;
            work(store, config).await
        })
}

/// The account of that name, or a refusal that says how to get one.
pub(super) async fn named(store: &dyn Store, name: &str) -> Outcome<Account> {
    let found = store
        .account_by_name(name)
        .await
        .map_err(failed("the accounts cannot be read"))?;
    found.ok_or_else(|| {
        Failure::refused(format!(
            "there is no account {name:?}: `kinora account list` shows those there are, `kinora account create \
             {name}` makes it"
        ))
    })
}

/// Names are for people and for shells: visible, and not long.
pub(super) fn checked_name(name: &str) -> Outcome<&str> {
    let fits = (1..=100).contains(&name.chars().count());
    if fits && name == name.trim() && !name.contains(char::is_control) {
        return Ok(name);
    }
    Err(Failure::refused(format!(
        "the name {name:?} is not taken: 1 to 100 visible characters, without spaces at its ends"
    )))
}

/// The moment, or a dash.
pub(super) fn moment(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.to_string())
}

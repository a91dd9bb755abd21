//! `kinora key`: who may ask. A key's secret is shown once, here, and kept nowhere.

use clap::Subcommand;
use kinora_domain::KeyId;
use kinora_store::{Account, Key, Scope, Store};
use serde_json::json;

use super::{
    CommonArguments,
    accounts::{checked_name, moment, named, with_store},
    failure::{Failure, Outcome, failed},
    print::{print, print_line},
    table::Table,
};
use crate::compose::{first_start, first_start::DEFAULT_ACCOUNT, now};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a key and show its secret, once.
    Create {
        /// Whose it is
        #[arg(long, default_value = DEFAULT_ACCOUNT)]
        account: String,
        /// What people call it
        #[arg(long)]
        name: String,
        /// It may look, but neither create, cancel nor delete
        #[arg(long)]
        read_only: bool,
        /// Print the secret and nothing else
        #[arg(long)]
        quiet: bool,
    },
    /// List the keys, without their secrets.
    List {
        /// Of this account only
        #[arg(long)]
        account: Option<String>,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// End a key, at once and for good.
    Revoke {
        /// Its id, as the list shows it
        id: String,
    },
}

pub(super) fn run(common: &CommonArguments, verb: Verb) -> Outcome {
    with_store(common, async |store, _| match verb {
        Verb::Create {
            account,
            name,
            read_only,
            quiet,
        } => {
            let scope = if read_only { Scope::Read } else { Scope::Full };
            create(&*store, &account, &name, scope, quiet).await
        }
        Verb::List { account, json } => list(&*store, account.as_deref(), json).await,
        Verb::Revoke { id } => revoke(&*store, &id).await,
    })
}

async fn create(store: &dyn Store, account: &str, name: &str, scope: Scope, quiet: bool) -> Outcome {
    let name = checked_name(name)?;
    let account = named(store, account).await?;
    let fresh = first_start::create_key(store, account.id, name, scope).await;
    let fresh = fresh.map_err(failed("the key could not be made"))?;
    if quiet {
        return print_line(fresh.secret);
    }
    print_line(format_args!(
        "Key {name} ({}) of account {} is made. Its secret, shown this once:\n  {}",
        fresh.key.id, account.name, fresh.secret
    ))
}

async fn list(store: &dyn Store, account: Option<&str>, for_programs: bool) -> Outcome {
    let only = match account {
        Some(name) => Some(named(store, name).await?.id),
        None => None,
    };
    let accounts = store
        .accounts()
        .await
        .map_err(failed("the accounts cannot be read"))?;
    let keys = store
        .keys(only)
        .await
        .map_err(failed("the keys cannot be read"))?;
    if for_programs {
        let list: Vec<_> = keys
            .iter()
            .map(|key| to_json(key, name_of(&accounts, key)))
            .collect();
        return print_line(json!({ "data": list }));
    }
    let mut table = Table::new(["id", "account", "name", "may", "created", "revoked"]);
    for key in &keys {
        let account = name_of(&accounts, key).to_owned();
        let Key {
            id,
            account: _,
            name,
            hash: _,
            scope,
            created_at,
            revoked_at,
        } = key;
        let cells = [
            id.to_string(),
            account,
            name.clone(),
            scope_name(*scope).to_owned(),
            created_at.to_string(),
        ];
        let [id, account, name, scope, created] = cells;
        table.row([id, account, name, scope, created, moment(*revoked_at)]);
    }
    print(&table.render())
}

async fn revoke(store: &dyn Store, id: &str) -> Outcome {
    let id: KeyId = id.parse().map_err(Failure::refused)?;
    match store
        .revoke_key(id, now())
        .await
        .map_err(failed("the key could not be revoked"))?
    {
        true => print_line(format_args!("Key {id} is revoked.")),
        false => Err(Failure::refused(format!(
            "there is no key {id} that is not revoked already"
        ))),
    }
}

fn name_of<'a>(accounts: &'a [Account], key: &Key) -> &'a str {
    accounts
        .iter()
        .find(|account| account.id == key.account)
        .map_or("-", |account| &account.name)
}

fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Full => "everything",
        Scope::Read => "read",
    }
}

fn to_json(key: &Key, account_name: &str) -> serde_json::Value {
    let Key {
        id,
        account: _,
        name,
        hash: _,
        scope,
        created_at,
        revoked_at,
    } = key;
    json!({
        "id": id.to_string(),
        "account": account_name,
        "name": name,
        "read_only": *scope == Scope::Read,
        "created_at": created_at.to_string(),
        "revoked_at": revoked_at.map(|at| at.to_string()),
    })
}

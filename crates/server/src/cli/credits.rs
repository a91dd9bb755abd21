//! `kinora credits`: what accounts have, what they are given, and every entry of their ledgers.

use clap::{Subcommand, ValueEnum};
use kinora_domain::{Bucket, Credits, Split};
use kinora_store::{Balance, Entry, Store};
use serde_json::{Value, json};

use super::{
    CommonArguments,
    accounts::{named, with_store},
    failure::{Outcome, failed},
    print::{print, print_line},
    table::Table,
};
use crate::compose::{first_start, first_start::DEFAULT_ACCOUNT, now};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Give credits to an account.
    Grant {
        /// To whom
        #[arg(long, default_value = DEFAULT_ACCOUNT)]
        account: String,
        /// How many
        #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
        credits: u64,
        /// Subscription credits are spent first
        #[arg(long, value_enum, default_value = "permanent")]
        bucket: BucketName,
        /// When what is left of them is lost, from now: 12h, 30d, 4w
        #[arg(long, value_name = "TIME", value_parser = milliseconds)]
        expires: Option<u64>,
        /// Why, for whoever reads the ledger
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Show what an account can spend and what it has set aside.
    Show {
        /// Whose; without it, all accounts
        #[arg(long)]
        account: Option<String>,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// List an account's entries, newest first.
    Entries {
        /// Whose
        #[arg(long, default_value = DEFAULT_ACCOUNT)]
        account: String,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        /// For programs
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum BucketName {
    Subscription,
    Permanent,
}

pub(super) fn run(common: &CommonArguments, verb: Verb) -> Outcome {
    with_store(common, async |store, _| match verb {
        Verb::Grant {
            account,
            credits,
            bucket,
            expires,
            note,
        } => {
            let bucket = match bucket {
                BucketName::Subscription => Bucket::Subscription,
                BucketName::Permanent => Bucket::Permanent,
            };
            grant(&*store, &account, bucket, Credits(credits), expires, &note).await
        }
        Verb::Show { account, json } => show(&*store, account.as_deref(), json).await,
        Verb::Entries { account, limit, json } => entries(&*store, &account, limit as usize, json).await,
    })
}

async fn grant(
    store: &dyn Store,
    account: &str,
    bucket: Bucket,
    credits: Credits,
    expires_ms: Option<u64>,
    note: &str,
) -> Outcome {
    let account = named(store, account).await?;
    let ends = expires_ms.map(|ms| now().plus_ms(ms));
    let grant = first_start::new_grant(account.id, bucket, credits, ends, note);
    let entry = store
        .grant(grant, now())
        .await
        .map_err(failed("the credits could not be granted"))?;
    let balance = store
        .balance(account.id, now())
        .await
        .map_err(failed("the balance cannot be read"))?;
    let until = ends.map(|end| format!(" until {end}")).unwrap_or_default();
    print_line(format_args!(
        "{credits} {} credits are granted to {}{until} ({entry}).\nIt can spend {} now.",
        bucket.as_str(),
        account.name,
        balance.available.total()
    ))
}

async fn show(store: &dyn Store, account: Option<&str>, for_programs: bool) -> Outcome {
    let accounts = match account {
        Some(name) => vec![named(store, name).await?],
        None => store
            .accounts()
            .await
            .map_err(failed("the accounts cannot be read"))?,
    };
    let mut table = Table::new(["account", "can spend", "subscription", "permanent", "set aside"]);
    let mut list = Vec::new();
    for account in accounts {
        let balance = store
            .balance(account.id, now())
            .await
            .map_err(failed("the balance cannot be read"))?;
        let Balance { available, held } = balance;
        list.push(json!({ "account": account.name, "available": split(available), "held": split(held) }));
        let figures = [
            available.total(),
            available.subscription,
            available.permanent,
            held.total(),
        ];
        let [total, subscription, permanent, held] = figures.map(|figure| figure.to_string());
        table.row([account.name, total, subscription, permanent, held]);
    }
    if for_programs {
        print_line(json!({ "data": list }))
    } else {
        print(&table.render())
    }
}

async fn entries(store: &dyn Store, account: &str, limit: usize, for_programs: bool) -> Outcome {
    let account = named(store, account).await?;
    let page = store
        .entries(account.id, limit, None)
        .await
        .map_err(failed("the entries cannot be read"))?;
    if for_programs {
        let list: Vec<Value> = page.items.iter().map(to_json).collect();
        return print_line(json!({ "data": list, "has_more": page.has_more }));
    }
    let mut table = Table::new([
        "when",
        "type",
        "credits",
        "subscription",
        "permanent",
        "generation",
        "note",
    ]);
    for entry in page.items {
        let Entry {
            id: _,
            position: _,
            entry_type,
            generation,
            amount,
            note,
            created_at,
        } = entry;
        table.row([
            created_at.to_string(),
            entry_type.as_str().to_owned(),
            amount.total().to_string(),
            amount.subscription.to_string(),
            amount.permanent.to_string(),
            generation.map_or_else(|| "-".to_owned(), |id| id.to_string()),
            note.unwrap_or_default(),
        ]);
    }
    let older = if page.has_more {
        "There are older ones; --limit shows more.\n"
    } else {
        ""
    };
    print(&(table.render() + older))
}

fn to_json(entry: &Entry) -> Value {
    let Entry {
        id,
        position: _,
        entry_type,
        generation,
        amount,
        note,
        created_at,
    } = entry;
    json!({
        "id": id.to_string(),
        "created_at": created_at.to_string(),
        "type": entry_type.as_str(),
        "generation_id": generation.map(|id| id.to_string()),
        "amount": split(*amount),
        "note": note,
    })
}

fn split(split: Split) -> Value {
    json!({ "total": split.total(), "subscription": split.subscription, "permanent": split.permanent })
}

/// A span of time: a number and its unit.
fn milliseconds(text: &str) -> Result<u64, String> {
    const TAKEN: &str = "takes a number and a unit: 90m, 12h, 30d, 4w";
    let digits = text.trim_end_matches(char::is_alphabetic);
    let number: u64 = digits.parse().ok().filter(|number| *number > 0).ok_or(TAKEN)?;
    let unit_ms = match &text[digits.len()..] {
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 24 * 3_600_000,
        "w" => 7 * 24 * 3_600_000,
        _ => return Err(TAKEN.to_owned()),
    };
    number
        .checked_mul(unit_ms)
        .filter(|ms| *ms < 1 << 46)
        .ok_or_else(|| TAKEN.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time() {
        let check = |text, expected| assert_eq!(milliseconds(text).ok(), expected, "{text}");
        check("90m", Some(5_400_000));
        check("12h", Some(43_200_000));
        check("30d", Some(2_592_000_000));
        check("4w", Some(2_419_200_000));
        for text in [
            "",
            "30",
            "d",
            "0d",
            "-1d",
            "1.5d",
            "30 d",
            "30y",
            "99999999999999999999d",
            "999999999999w",
        ] {
            check(text, None);
        }
    }
}

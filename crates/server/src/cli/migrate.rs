//! `kinora migrate`: moves an installation to another database, while its servers run.
//!
//! What it goes through stands in [`moving`]. Here it is said how far it is, what came of it, and it is seen to that those who
//! start on the new database find every byte that its rows refer to.

use std::{
    cell::RefCell,
    collections::HashSet,
    fmt::Write,
    io::{self, Read},
    time::{Duration, Instant},
};

use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use kinora_domain::BlobHash;
use kinora_media::chain;
use kinora_store::{
    Database, StoreError,
    blobs::Blobs,
    moving::{self, AccountBooks, Books, Move, MoveError, Moved, Progress, Step, TableRows},
};

use super::{
    CommonArguments,
    failure::{Failure, Outcome, failed},
    print::{print, tell},
    table::Table,
};
use crate::{
    compose::{self, DataDir},
    config::Config,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The database that the installation is in: sqlite:PATH or postgres://… [default: kinora.db in data.dir]
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// A new, empty one that it moves to [default: data.database]
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Copy uploads and results that are not in the bucket of [blobs] into it, from the data directory
    #[arg(long)]
    blobs: bool,
    /// Move although files of uploads or results are missing
    #[arg(long)]
    allow_missing: bool,
    /// Go back on a move that was interrupted: let the installation in --from live on
    #[arg(long, conflicts_with_all = ["to", "blobs", "allow_missing"])]
    give_up: bool,
}

/// How many files are looked for at once, and copied at once.
const AT_ONCE: usize = 16;

/// How many names of what is missing are told.
const TOLD_MAX: usize = 5;

/// How often it is said how far a table is.
const TELL_EVERY: Duration = Duration::from_secs(2);

pub(super) fn run(common: &CommonArguments, arguments: Arguments) -> Outcome {
    let config = common.load([])?;
    let Arguments {
        from,
        to,
        blobs,
        allow_missing,
        give_up,
    } = arguments;
    let from = match from {
        Some(text) => named("--from", &text)?,
        None => Database::Sqlite(config.data.dir.join("kinora.db")),
    };
    if give_up {
        moving::give_up(&from).map_err(refused)?;
        tell(format_args!("The installation in {from} lives on."));
        return Ok(());
    }
    let to = match (to, &config.data.database) {
        (Some(text), _) => named("--to", &text)?,
        (None, Some(database)) => database.clone(),
        (None, None) => {
            return Err(Failure::refused(
                "where to? --to takes sqlite:PATH or postgres://user:password@host:port/database; without it \
                 data.database says where",
            ));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed("the runtime could not be started"))?;
    let files = {
        let _within = runtime.enter();
        Files::open(&config, blobs)?
    };

    let moving = Move::begin(&from, &to).map_err(refused)?;
    tell(format_args!("{from} → {to}"));
    let teller = Teller::default();
    let progress = |progress: Progress| teller.tell(progress);
    let copied = moving.copy(&progress).map_err(refused)?;
    tell(format_args!(
        "{copied} rows are copied; the installation still lives in {from}"
    ));
    // The long part of looking, too, is done while it lives there.
    let seen = RefCell::default();
    let look = |moving: &Move| runtime.block_on(files.look_for_all(moving, &seen, allow_missing));
    look(&moving).map_err(Failure::failed)?;
    tell("From now on nothing is written to it; the rest is copied, and both are compared");
    let standstill = Instant::now();
    let moved = moving.finish(&progress, &look).map_err(refused)?;
    let standstill_s = standstill.elapsed().as_secs_f64();
    print(&report(&moved, &from, &to, seen.borrow().len()))?;
    tell(format_args!(
        "Moved. Nothing could be written for {standstill_s:.1} s. Servers and workers start on it with data.database; \
         those that still run on {from} refuse what they are asked."
    ));
    Ok(())
}

fn named(flag: &str, text: &str) -> Outcome<Database> {
    text.parse::<Database>()
        .map_err(|error| Failure::refused(format!("{flag}: {error}")))
}

/// Databases that do not fit each other are the operator's business; what has failed is told with its causes.
fn refused(error: MoveError) -> Failure {
    match error {
        MoveError::Store(_) | MoveError::Differ(_) | MoveError::Interfered(_) | MoveError::Refused(_) => {
            Failure::failed(chain(&error))
        }
        MoveError::NothingThere(_)
        | MoveError::Same(_)
        | MoveError::NotEmpty { .. }
        | MoveError::OtherVersion { .. }
        | MoveError::Elsewhere { .. }
        | MoveError::Unsound { .. }
        | MoveError::Foreign { .. } => Failure::refused(chain(&error)),
    }
}

/// Says how far it is, once in a while.
struct Teller(RefCell<Instant>);

impl Default for Teller {
    fn default() -> Teller {
        Teller(RefCell::new(Instant::now()))
    }
}

impl Teller {
    fn tell(&self, progress: Progress) {
        let Progress {
            step,
            table,
            rows,
            of,
        } = progress;
        let mut last = self.0.borrow_mut();
        if last.elapsed() < TELL_EVERY {
            return;
        }
        *last = Instant::now();
        let word = match step {
            Step::Copy => "copy",
            Step::Compare => "compare",
        };
        tell(format_args!("  {word} {table}: {rows} of {of}"));
    }
}

/// Where those who start on the new database look for bytes, and where they may still be.
struct Files {
    blobs: Blobs,
    /// The data directory's own, to copy what is missing from.
    own: Option<Blobs>,
    place: String,
}

impl Files {
    fn open(config: &Config, copy: bool) -> Outcome<Files> {
        const FAILED: &str = "the uploads and results cannot be looked for";
        if copy && config.blobs.bucket.is_none() {
            return Err(Failure::refused(
                "--blobs copies into a bucket, and the configuration has none: [blobs]",
            ));
        }
        let path = &config.data.dir;
        if !path.is_dir() {
            return Err(Failure::refused(format!(
                "there is no data directory {}: name that of your server with --data-dir",
                path.display()
            )));
        }
        let dir = DataDir::create(path).map_err(failed(FAILED))?;
        let own = match copy {
            true => Some(Blobs::open(&dir.blobs()).map_err(failed(FAILED))?),
            false => None,
        };
        let blobs = compose::open_blobs(&config.blobs, &dir).map_err(failed(FAILED))?;
        Ok(Files {
            place: blobs
                .bucket_url()
                .unwrap_or_else(|| dir.blobs().display().to_string()),
            blobs,
            own,
        })
    }

    /// Looks for everything that rows refer to and that was not seen before, and copies what may be copied.
    async fn look_for_all(
        &self,
        moving: &Move,
        seen: &RefCell<HashSet<BlobHash>>,
        allow_missing: bool,
    ) -> Result<(), String> {
        let mut missing = Vec::new();
        let mut behind = None;
        loop {
            let page = moving.blobs(behind, 1000).map_err(|error| chain(&error))?;
            let Some(last) = page.last() else { break };
            behind = Some(*last);
            let unseen: Vec<BlobHash> = page
                .into_iter()
                .filter(|hash| !seen.borrow().contains(hash))
                .collect();
            let looks = unseen.into_iter().map(|hash| async move {
                let is_there = self.blobs.exists(hash).await? || self.copy(hash).await?;
                Ok::<_, StoreError>((hash, is_there))
            });
            let mut looked = stream::iter(looks).buffer_unordered(AT_ONCE);
            while let Some((hash, is_there)) = looked.try_next().await.map_err(|error| chain(&error))? {
                match is_there {
                    true => _ = seen.borrow_mut().insert(hash),
                    false => missing.push(hash),
                }
            }
        }
        match missing.is_empty() || allow_missing {
            true => Ok(()),
            false => Err(self.tell_of(&missing)),
        }
    }

    fn tell_of(&self, missing: &[BlobHash]) -> String {
        let names: Vec<String> = missing.iter().take(TOLD_MAX).map(BlobHash::to_string).collect();
        format!(
            "{} files of uploads and results are not in {}, among them {}: bring them there (`--blobs` copies them into a \
             bucket), or leave them with --allow-missing; nothing has moved",
            missing.len(),
            self.place,
            names.join(", ")
        )
    }

    /// Copies a file into the bucket, if it is in the data directory; false if not.
    async fn copy(&self, hash: BlobHash) -> kinora_store::Result<bool> {
        let Some(own) = &self.own else {
            return Ok(false);
        };
        let Some((mut file, _)) = own.open_blob(hash).await? else {
            return Ok(false);
        };
        let mut staging = self.blobs.stage()?;
        let mut chunk = vec![0; 1 << 20];
        loop {
            let read = file
                .read(&mut chunk)
                .map_err(|source| unreadable(own, hash, source))?;
            if read == 0 {
                break;
            }
            staging.append(&chunk[..read]).await?;
        }
        let (copied, bytes) = staging.commit().await?;
        match copied == hash {
            true => Ok(true),
            false => Err(StoreError::CorruptBlob { hash, bytes }),
        }
    }
}

fn unreadable(blobs: &Blobs, hash: BlobHash, source: io::Error) -> StoreError {
    StoreError::Blob {
        operation: "read",
        path: blobs.path(hash),
        source,
    }
}

/// What was counted and summed in both.
fn report(moved: &Moved, from: &Database, to: &Database, files: usize) -> String {
    let Moved {
        books: Books { tables, accounts },
        caught_up,
    } = moved;
    let mut text = String::new();
    let mut rows_of = Table::new(["table", "rows", "moved"]);
    for TableRows { table, rows } in tables {
        rows_of.row([(*table).to_owned(), rows.to_string(), rows.to_string()]);
    }
    text += &rows_of.render();
    let mut ledger = Table::new(["account", "bucket", "lines", "given", "balance"]);
    for AccountBooks {
        account,
        bucket,
        lines,
        given,
        balance,
    } in accounts
    {
        ledger.row([
            account.clone(),
            bucket.clone(),
            lines.to_string(),
            given.to_string(),
            balance.to_string(),
        ]);
    }
    write!(
        text,
        "\n{}\nevery row is the same in both, {caught_up} of them changed or made since the first copy\n\
         the ledger's sums above are the same in both\n{files} files of uploads and results are where they are looked for\n\
         audit of {from}: every invariant holds\naudit of {to}: every invariant holds\n",
        ledger.render()
    )
    .expect("writing to a string succeeds");
    text
}

//! `kinora serve`: the API, the worker and the housekeeping in one process, from an empty folder if need be; or, by
//! `--role`, a part of them for an installation of several nodes.
//!
//! 1. read the configuration
//! 2. take the data directory, listen, open the parts; make account, key and credits on the first start
//! 3. tell where the server is, on standard output and then in the ready file: whoever sees the file finds both
//! 4. on a signal drain: no more work is taken, what runs may finish, then the answers in flight; a second signal
//!    hands back what runs, a third one ends it at once

use std::{
    fs::{File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use serde_json::json;
use tempfile::NamedTempFile;

use super::{
    CommonArguments,
    failure::{Failure, Outcome, failed},
    flag, flags,
    signals::StopSignals,
};
use crate::{
    compose::{DataDir, FreshKey, Listeners, Node, Server, first_start},
    config::{Config, Role},
    logging,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What this process does: `api`, `worker` or `all` [server.role]
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// The address of the API; port 0 takes a free one [server.listen]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// What URLs in answers start with [server.public_url]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Which engine makes the videos [engine.name]
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    /// The folder of a Wan checkpoint, its transformer, or its name on the Hub [engine.checkpoint]
    #[arg(long, value_name = "PATH|REPO")]
    checkpoint: Option<String>,
    /// A LoRA to merge into it: PATH, PATH:SCALE, or PATH:SCALE:high_noise; may be repeated [engine.loras]
    #[arg(long, value_name = "LORA")]
    lora: Vec<String>,
    /// What may be left out: exact, balanced or fast [engine.quality]
    #[arg(long, value_name = "TIER")]
    quality: Option<String>,
    /// Videos made at once; 0 leaves them to `kinora worker` [worker.slots]
    #[arg(long, value_name = "N")]
    slots: Option<String>,
    /// A file that appears once requests are answered: JSON with `url`, `studio_url` and, on the first start, `api_key`
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

pub(super) fn run(common: &CommonArguments, arguments: Arguments) -> Outcome {
    let config = common.load([
        flag("--role", "server.role", arguments.role.as_deref()),
        flag("--listen", "server.listen", arguments.listen.as_deref()),
        flag(
            "--public-url",
            "server.public_url",
            arguments.public_url.as_deref(),
        ),
        flag("--engine", "engine.name", arguments.engine.as_deref()),
        flag(
            "--checkpoint",
            "engine.checkpoint",
            arguments.checkpoint.as_deref(),
        ),
        flags("--lora", "engine.loras", &arguments.lora),
        flag("--quality", "engine.quality", arguments.quality.as_deref()),
        flag("--slots", "worker.slots", arguments.slots.as_deref()),
    ])?;
    start(&config, true, arguments.ready_file.as_deref())
}

/// Runs what the configuration says until it is asked to stop. `listens` is whether anything can be asked of it.
pub(super) fn start(config: &Config, listens: bool, ready_file: Option<&Path>) -> Outcome {
    if config.role == Role::Worker && config.slots == 0 {
        return Err(Failure::refused(
            "a worker without slots would do nothing: worker.slots or --slots takes 1 to 64",
        ));
    }
    logging::start(&config.log);
    raise_open_files();
    // Held until the process ends.
    let (dir, _lock) = match config.role {
        Role::Api | Role::All => {
            let dir = DataDir::create(&config.data.dir).map_err(failed("the server cannot start"))?;
            let lock = dir.lock_for_server().map_err(Failure::failed)?;
            (dir, Some(lock))
        }
        // Any number of workers may have a directory, and none of them makes a new installation.
        Role::Worker => (DataDir::existing(&config.data).map_err(Failure::refused)?, None),
    };

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(failed("the runtime could not be started"))?;
    let done = runtime.block_on(serve(config, &dir, listens, ready_file));
    match &done {
        // The store closes when the last task that knows it is gone.
        Ok(()) => runtime.shutdown_timeout(Duration::from_secs(2)),
        Err(_) => runtime.shutdown_background(),
    }
    done
}

async fn serve(config: &Config, dir: &DataDir, listens: bool, ready_file: Option<&Path>) -> Outcome {
    let start = match config.role {
        Role::Api | Role::All => "the server cannot start",
        Role::Worker => "the worker cannot start",
    };
    let mut signals = StopSignals::catch().map_err(failed("signals cannot be caught"))?;
    let listeners = match listens {
        true => Listeners::bind(&config.server).await.map_err(failed(start))?,
        false => Listeners::default(),
    };
    let node = Node::open(config, dir).await.map_err(failed(start))?;
    let fresh = match config.role {
        Role::Api | Role::All => first_start::prepare(&*node.store, config.first_start)
            .await
            .map_err(failed("the first account could not be made"))?,
        Role::Worker => None,
    };
    let engines = node.engines.names();
    let mut server = Server::start(config, node, listeners)
        .await
        .map_err(failed(start))?;

    let url = server.url().unwrap_or_default().to_owned();
    let note = match config.role {
        Role::Api | Role::All => {
            let invitation = fresh.as_ref().and_then(|fresh| server.invite(fresh));
            let studio_url = invitation.unwrap_or_else(|| format!("{url}/studio"));
            greet(&server, &studio_url, dir, &engines, config, fresh.as_ref());
            let mut note = json!({ "url": url, "studio_url": studio_url });
            if let Some(FreshKey { key: _, secret }) = &fresh {
                note["api_key"] = secret.as_str().into();
            }
            note
        }
        Role::Worker => {
            greet_worker(&url, dir, &engines);
            json!({ "url": url })
        }
    };
    if let Some(path) = ready_file {
        write_ready_file(path, &note).map_err(failed(format!(
            "the ready file {} cannot be written",
            path.display()
        )))?;
    }
    drop(fresh);

    tokio::select! {
        signal = signals.next() => {
            tracing::info!("{signal}: no more work is taken, what runs may finish");
        }
        reason = server.broken() => {
            return Err(Failure::failed(format!("it stopped by itself: {reason}")));
        }
    }
    tokio::select! {
        () = server.stop() => {
            tracing::info!("It has stopped in good order");
            return Ok(());
        }
        signal = signals.next() => {
            tracing::info!("A second {signal}: what runs is handed back");
            server.hurry();
        }
    }
    tokio::select! {
        () = server.stop() => Err(Failure::interrupted("what ran was handed back")),
        signal = signals.next() => Err(Failure::interrupted(format!("a third {signal}: stopped at once"))),
    }
}

/// Every connection and every child needs some; the usual soft limit of 1,024 is for programs that use `select`.
fn raise_open_files() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit < 4096 => {
            tracing::warn!("Only {limit} files can be open at once; raise `ulimit -n`")
        }
        Ok(_) => {}
        Err(error) => tracing::warn!("The limit of open files could not be raised: {error}"),
    }
}

/// Appears whole: whoever sees the file can read it. Only the owner can, for the key in it.
fn write_ready_file(path: &Path, note: &serde_json::Value) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| *folder != Path::new(""))
        .unwrap_or(Path::new("."));
    let mut file: NamedTempFile<File> = tempfile::Builder::new()
        .prefix(".kinora-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    writeln!(file, "{note}")?;
    file.persist(path)?;
    Ok(())
}

/// The same of a worker.
fn greet_worker(url: &str, dir: &DataDir, engines: &str) {
    let data = dir.root().display();
    let mut text = format!("A worker makes videos with {engines} for the data in {data}\n");
    if !url.is_empty() {
        text += &format!("  probes  {url}/healthz, /readyz\n  figures {url}/metrics, /queue\n");
    }
    let _ = io::stdout().write_all(text.as_bytes());
}

/// What a person wants to know now. A standard output that nobody reads is no reason to stop.
fn greet(
    server: &Server,
    studio_url: &str,
    dir: &DataDir,
    engine: &str,
    config: &Config,
    fresh: Option<&FreshKey>,
) {
    let url = server.url().unwrap_or_default();
    let engine = match config.role {
        Role::Api => "those of the workers",
        Role::Worker | Role::All => engine,
    };
    let mut text = format!(
        "Kinora answers at {url}\n  engine  {engine}\n  data    {}\n",
        dir.root().display()
    );
    if let Some(metrics) = server.metrics_url() {
        text += &format!("  metrics {metrics}\n");
    }
    match fresh {
        Some(FreshKey { key: _, secret }) => {
            let credits = config.first_start.subscription.0 + config.first_start.permanent.0;
            text += &format!(
                "\nThis is its first start. The account `{}` has {credits} credits and this key, shown only now:\n\n  \
                 {secret}\n\nThe Studio; a link with a code signs in with this key, once, within the hour, on this machine:\n\n  \
                 {studio_url}\n\nA first video at the command line, and the answer when it is ready:\n\n  \
                 curl {url}/api/v1/generation/wan/wan-v2.7-video -H 'Authorization: Bearer {secret}' \
                 -H 'Content-Type: application/json' -H 'Prefer: wait' \
                 -d '{{\"prompt\": \"A red ball bounces at sunset\", \"resolution\": \"720p\"}}'\n",
                first_start::DEFAULT_ACCOUNT
            );
        }
        None => {
            text += &format!("  studio  {studio_url}\n");
            text += "\nKeys: `kinora key list`, `kinora key create`. Is something wrong: `kinora doctor`.\n"
        }
    }
    let _ = io::stdout().write_all(text.as_bytes());
}

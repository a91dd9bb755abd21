//! `kinora doctor`: whether everything a server needs is there and sound, tried rather than assumed.
//!
//! It looks at what is; it repairs nothing. Exit code 1 tells that something is wrong.

use std::{path::Path, sync::Arc, time::Duration};

use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use kinora_domain::{Generation, Phase, Status};
use kinora_media::{Toolbox, chain, sandbox::SandboxReport};
use kinora_store::{GenerationPage, Store, StoreError, blobs::Blobs};
use serde_json::{Value, json};

use super::{
    CommonArguments,
    failure::{Failure, Outcome, failed},
    print::{print, print_line},
};
use crate::{
    compose::{self, DataDir, DataDirError},
    config::{BlobsConfig, Config, DataConfig, EngineName, Role},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// For programs
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
struct Finding {
    subject: &'static str,
    verdict: Verdict,
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// Worth knowing, nothing to repair.
    Note,
    Bad,
}

/// Below this a video may not find room.
const FREE_BYTES_MIN: u64 = 1 << 30;
/// How long the bucket is asked before it is said not to answer.
const BUCKET_PATIENCE: Duration = Duration::from_secs(10);
/// Generations whose files are looked for at once.
const LOOKED_AT_ONCE: usize = 16;
/// So many contradictions are shown; where there are more, they have one cause.
const SHOWN_MAX: usize = 10;

pub(super) fn run(common: &CommonArguments, arguments: Arguments) -> Outcome {
    let config = common.load([])?;
    let mut findings = vec![look_at_engine(&config)];
    findings.extend(look_at_media(&config));
    findings.extend(look_at_data(&config)?);
    if arguments.json {
        print_line(to_json(&findings))?;
    } else {
        print(&to_text(&findings))?;
    }
    match findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Bad)
        .count()
    {
        0 => Ok(()),
        1 => Err(Failure::failed("one thing is wrong")),
        wrong => Err(Failure::failed(format!("{wrong} things are wrong"))),
    }
}

/// The checkpoint is checked as at a start.
fn look_at_engine(config: &Config) -> Finding {
    if config.role == Role::Api {
        return good("engine", "none here: workers have them");
    }
    match compose::open_engines(config, true) {
        Ok(engines) if engines.factories.is_empty() => bad("engine", "none is configured"),
        Ok(engines) => {
            let quality = match config.engine.name {
                EngineName::Wan => format!("; quality {}", config.engine.quality.as_str()),
                EngineName::TestPattern | EngineName::None => String::new(),
            };
            good("engine", format!("{}{quality}", engines.names()))
        }
        Err(error) => bad("engine", chain(&error)),
    }
}

/// ffmpeg and the sandbox, both really started.
fn look_at_media(config: &Config) -> Vec<Finding> {
    let toolbox = match compose::open_toolbox(&config.media) {
        Ok(toolbox) => toolbox,
        Err(error) => return vec![bad("ffmpeg", chain(&error))],
    };
    let found = match toolbox.version() {
        Ok(version) => good("ffmpeg", format!("{}, {version}", toolbox.ffmpeg().display())),
        Err(error) => bad("ffmpeg", chain(&error)),
    };
    vec![found, look_at_sandbox(&toolbox)]
}

fn look_at_sandbox(toolbox: &Toolbox) -> Finding {
    let report = match toolbox.sandbox_report() {
        Ok(report) => report,
        Err(error) => return bad("sandbox", chain(&error)),
    };
    let complete = report.is_complete();
    let SandboxReport {
        landlock_abi,
        files_denied,
        writes_denied,
        network_denied,
        processes_denied,
        resources_limited,
    } = report;
    let parts = [
        ("reading files", files_denied),
        ("writing files", writes_denied),
        ("the network", network_denied),
        ("starting processes", processes_denied),
        ("memory and time without limit", resources_limited),
    ];
    let list = |wanted| {
        let names: Vec<&str> = parts
            .iter()
            .filter(|(_, denied)| *denied == wanted)
            .map(|(name, _)| *name)
            .collect();
        names.join(", ")
    };
    let landlock = landlock_abi.map_or_else(|| "no Landlock".to_owned(), |abi| format!("Landlock ABI {abi}"));
    if complete {
        good(
            "sandbox",
            format!("{landlock}; a child that tried was denied {}", list(true)),
        )
    } else {
        let open = list(false);
        let open = if open.is_empty() {
            String::new()
        } else {
            format!("; a child that tried was NOT denied {open}")
        };
        bad("sandbox", format!("{landlock}{open}"))
    }
}

/// The data directory and everything in it. None yet is no fault: the first start makes it.
fn look_at_data(config: &Config) -> Outcome<Vec<Finding>> {
    let path = &config.data.dir;
    let dir = match DataDir::existing(&config.data) {
        Ok(dir) => dir,
        Err(DataDirError::Empty { .. }) if path.is_dir() => {
            let fresh = note(
                "data",
                format!("{} has no database yet; the first start makes it", path.display()),
            );
            return Ok(vec![fresh, look_at_writing(path), look_at_disk(path)]);
        }
        Err(_) if path.exists() => {
            return Ok(vec![bad("data", format!("{} is no directory", path.display()))]);
        }
        Err(_) => {
            return Ok(vec![note(
                "data",
                format!("{} is not there yet; the first start makes it", path.display()),
            )]);
        }
    };
    let mut findings = vec![
        look_at_writing(dir.root()),
        look_at_disk(dir.root()),
        look_at_server(&dir),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed("the runtime could not be started"))?;
    let mut blobs = config.blobs.clone();
    if let Some(bucket) = &mut blobs.bucket {
        // Somebody is waiting for the answer.
        bucket.patience = bucket.patience.min(BUCKET_PATIENCE);
    }
    findings.extend(runtime.block_on(look_at_database(&config.data, &dir, &blobs)));
    Ok(findings)
}

fn look_at_writing(path: &Path) -> Finding {
    match tempfile::tempfile_in(path) {
        Ok(_) => good("data", format!("{} can be written to", path.display())),
        Err(error) => bad(
            "data",
            format!("{} cannot be written to: {error}", path.display()),
        ),
    }
}

fn look_at_disk(path: &Path) -> Finding {
    let stat = match rustix::fs::statvfs(path) {
        Ok(stat) => stat,
        Err(error) => return bad("disk", format!("its free space cannot be read: {error}")),
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let text = format!("{:.1} GiB are free", free as f64 / (1u64 << 30) as f64);
    if free < FREE_BYTES_MIN {
        bad("disk", format!("only {text}"))
    } else {
        good("disk", text)
    }
}

fn look_at_server(dir: &DataDir) -> Finding {
    match dir.look_for_server() {
        Ok(()) => note("server", "none runs on this data directory"),
        Err(DataDirError::Locked {
            holder: Some(process),
            ..
        }) => good("server", format!("process {process} runs")),
        Err(DataDirError::Locked { holder: None, .. }) => good("server", "one runs"),
        Err(error) => bad("server", chain(&error)),
    }
}

/// The database, the ledger in it, and the files it refers to.
async fn look_at_database(data: &DataConfig, dir: &DataDir, blobs: &BlobsConfig) -> Vec<Finding> {
    let store = match compose::open_store(data, dir) {
        Ok(store) => store,
        Err(error) => return vec![bad("database", chain(&error))],
    };
    let mut findings = vec![look_at_depth(&*store).await];
    findings.extend(look_at_books(&*store).await);
    match compose::open_blobs(blobs, dir) {
        Ok(blobs) => {
            findings.extend(look_at_bucket(&blobs).await);
            let results = look_at_results(&store, &blobs).await;
            findings.push(results.unwrap_or_else(|error| bad("media", chain(&error))));
        }
        Err(error) => findings.push(bad("media", chain(&error))),
    }
    findings
}

/// The bucket, where there is one: an object is written, read, listed and removed.
async fn look_at_bucket(blobs: &Blobs) -> Option<Finding> {
    let url = blobs.bucket_url()?;
    Some(match blobs.probe_bucket().await {
        Ok(()) => good("bucket", format!("{url} takes, gives, lists and removes")),
        Err(error) => bad("bucket", format!("{url}: {}", chain(&error))),
    })
}

async fn look_at_depth(store: &dyn Store) -> Finding {
    match store.queue_depth().await {
        Ok(depth) => good(
            "database",
            format!("opens; {} queued, {} running", depth.queued, depth.running),
        ),
        Err(error) => bad("database", chain(&error)),
    }
}

async fn look_at_books(store: &dyn Store) -> Vec<Finding> {
    let contradictions = match store.audit().await {
        Ok(contradictions) => contradictions,
        Err(error) => return vec![bad("ledger", chain(&error))],
    };
    if contradictions.is_empty() {
        return vec![good("ledger", "every invariant holds")];
    }
    let hidden = contradictions.len().saturating_sub(SHOWN_MAX);
    let mut findings: Vec<Finding> = contradictions
        .into_iter()
        .take(SHOWN_MAX)
        .map(|found| {
            bad(
                "ledger",
                format!("{}: {} {}", found.invariant, found.subject, found.detail),
            )
        })
        .collect();
    if hidden > 0 {
        findings.push(bad("ledger", format!("and {hidden} contradictions more")));
    }
    findings
}

/// Every result that can be asked for has its file, whole.
async fn look_at_results(store: &Arc<dyn Store>, blobs: &Blobs) -> kinora_store::Result<Finding> {
    let (mut whole, mut missing) = (0u64, Vec::new());
    for account in store.accounts().await? {
        let mut behind = None;
        loop {
            let page = GenerationPage {
                phases: vec![Phase::Succeeded],
                limit: 500,
                behind,
                ..GenerationPage::default()
            };
            let page = store.generations(account.id, page).await?;
            behind = page.items.last().map(|generation| generation.id);
            let looks = page.items.iter().map(|generation| async move {
                let is_whole = files_are_whole(generation, blobs).await?;
                Ok::<_, StoreError>((generation, is_whole))
            });
            let mut looked = stream::iter(looks).buffered(LOOKED_AT_ONCE);
            while let Some((generation, is_whole)) = looked.try_next().await? {
                if is_whole {
                    whole += 1;
                } else {
                    missing.push(generation.id.to_string());
                }
            }
            if !page.has_more {
                break;
            }
        }
    }
    let lost = missing.len();
    missing.truncate(SHOWN_MAX);
    Ok(match lost {
        0 => good(
            "media",
            format!("the files of {whole} finished generations are there"),
        ),
        _ => bad(
            "media",
            format!(
                "files of {lost} finished generations are missing or cut: {}",
                missing.join(", ")
            ),
        ),
    })
}

async fn files_are_whole(generation: &Generation, blobs: &Blobs) -> kinora_store::Result<bool> {
    let Status::Succeeded(success) = &generation.status else {
        return Ok(true);
    };
    if generation.media_removed {
        return Ok(true);
    }
    for artifact in &success.artifacts {
        let video = blobs.length(artifact.video).await?;
        if video != Some(artifact.video_bytes) || !blobs.exists(artifact.poster).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn good(subject: &'static str, detail: impl Into<String>) -> Finding {
    Finding {
        subject,
        verdict: Verdict::Good,
        detail: detail.into(),
    }
}

fn note(subject: &'static str, detail: impl Into<String>) -> Finding {
    Finding {
        subject,
        verdict: Verdict::Note,
        detail: detail.into(),
    }
}

fn bad(subject: &'static str, detail: impl Into<String>) -> Finding {
    Finding {
        subject,
        verdict: Verdict::Bad,
        detail: detail.into(),
    }
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Good => "ok",
            Verdict::Note => "note",
            Verdict::Bad => "WRONG",
        }
    }
}

fn to_text(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let Finding {
            subject,
            verdict,
            detail,
        } = finding;
        format!("{:<6}{subject:<10}{detail}\n", verdict.word())
    };
    findings.iter().map(line).collect()
}

fn to_json(findings: &[Finding]) -> Value {
    let list: Vec<_> = findings
        .iter()
        .map(
            |Finding {
                 subject,
                 verdict,
                 detail,
             }| {
                json!({ "subject": subject, "verdict": verdict.word().to_lowercase(), "detail": detail })
            },
        )
        .collect();
    let sound = findings.iter().all(|finding| finding.verdict != Verdict::Bad);
    json!({ "sound": sound, "findings": list })
}

//! `kinora models pull`: a checkpoint from the Hub into the cache, told beforehand, shown while it comes, checked afterwards.

use std::path::{Path, PathBuf};

use clap::Args;
use glob::Pattern;
use kinora_hub::{Cache, Choice, Hub, HubError, Plan, Reference, size};
use kinora_media::chain;

use super::{check_numbers, open, progress::PullDisplay, reference};
use crate::{
    cli::{
        failure::{Failure, Outcome, failed},
        print::{print_line, tell},
        signals::StopSignals,
    },
    config::Config,
    logging,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// OWNER/NAME[@REVISION][/FILE] on the Hub, or a short name such as wan2.1-t2v-1.3b
    checkpoint: String,
    /// Fetch this file of it instead of what an engine needs; may be repeated
    #[arg(long, value_name = "NAME")]
    file: Vec<String>,
    /// Fetch what matches this instead, as "*fp16*"; `*` goes across folders; may be repeated
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
}

pub(super) fn run(config: &Config, arguments: Arguments) -> Outcome {
    let Arguments {
        checkpoint,
        file,
        include,
    } = arguments;
    let reference = reference(&checkpoint)?;
    let choice = choice(file, &include)?;
    if config.hub.is_offline {
        return Err(Failure::refused("HF_HUB_OFFLINE is set: nothing is fetched"));
    }
    logging::start(&config.log);
    let cache = config.hub.cache();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.map_err(failed("the runtime could not be started"))?;
    let fetched = runtime.block_on(async {
        let mut signals = StopSignals::catch().map_err(failed("signals cannot be caught"))?;
        tokio::select! {
            fetched = fetch(config, &cache, &reference, &choice) => fetched,
            _ = signals.next() => Err(Failure::interrupted(format!(
                "interrupted; what has arrived stays, and `kinora models pull {checkpoint}` goes on from there"
            ))),
        }
    });
    runtime.shutdown_background();
    let (plan, snapshot) = fetched?;

    let wants_all = matches!(choice, Choice::Engine) && reference.path.is_none();
    match runnable(config, &plan, &snapshot, wants_all) {
        Ok(named) => {
            let engine = open(config, Some(&named)).map_err(failed("it cannot be run"))?;
            tell(format_args!("kinora: {}", check_numbers(&engine)?));
            tell(format_args!(
                "kinora: try it: kinora generate \"a red fox runs through fresh snow\" --checkpoint {}",
                named.display()
            ));
        }
        Err(why) if wants_all => {
            return Err(Failure::failed(format!("it is here, and cannot be run: {why}")));
        }
        // What goes with the files may lie elsewhere.
        Err(why) => tell(format_args!(
            "kinora: by themselves these files cannot be run: {why}"
        )),
    }
    print_line(snapshot.display())
}

fn choice(files: Vec<String>, include: &[String]) -> Outcome<Choice> {
    if files.is_empty() && include.is_empty() {
        return Ok(Choice::Engine);
    }
    let pattern = |text: &String| {
        Pattern::new(text)
            .map_err(|error| Failure::refused(format!("--include {text:?} is no pattern: {error}")))
    };
    Ok(Choice::Named {
        files,
        patterns: include.iter().map(pattern).collect::<Outcome<_>>()?,
    })
}

/// Tells what there is to fetch, and fetches it.
async fn fetch(
    config: &Config,
    cache: &Cache,
    reference: &Reference,
    choice: &Choice,
) -> Outcome<(Plan, PathBuf)> {
    let hub = Hub::new(config.hub.options()).map_err(refusal)?;
    let plan = hub.plan(cache, reference, choice).await.map_err(refusal)?;
    let (missing, all) = (plan.missing_bytes(), plan.bytes());
    let free = cache.free_bytes().map_or("?".to_owned(), size);
    tell(format_args!(
        "kinora: {}, commit {}: {} files, {}; {} to fetch, {free} free where {} is",
        plan.reference,
        &plan.commit[..8],
        plan.files.len(),
        size(all),
        size(missing),
        cache.root().display(),
    ));
    plan.check_room(cache).map_err(refusal)?;
    let display = PullDisplay::start(&plan);
    let fetched = hub.pull(cache, &plan, &|event| display.show(event)).await;
    drop(display);
    let snapshot = fetched.map_err(refusal)?;
    Ok((plan, snapshot))
}

/// As what the files that were fetched can be run, or why they cannot.
fn runnable(config: &Config, plan: &Plan, snapshot: &Path, wants_all: bool) -> Result<PathBuf, String> {
    let whole = Reference {
        path: None,
        ..plan.reference.clone()
    };
    let whole = PathBuf::from(whole.to_string());
    let mut candidates = vec![whole.clone()];
    if !wants_all {
        // A folder of several versions can be run by the name of one of them.
        candidates.extend(plan.files.iter().map(|file| whole.join(&file.name)));
    }
    let mut why = format!("{} is empty", snapshot.display());
    for (index, named) in candidates.into_iter().enumerate() {
        match open(config, Some(&named)) {
            Ok(_) => return Ok(named),
            Err(error) if index == 0 => why = chain(&error).to_string(),
            Err(_) => {}
        }
    }
    Err(why)
}

/// What was asked for is wrong, or cannot be had.
fn refusal(error: HubError) -> Failure {
    let sentence = chain(&error);
    match error {
        HubError::Endpoint { .. }
        | HubError::Token
        | HubError::Refused { .. }
        | HubError::NoRoom { .. }
        | HubError::Choose(_) => Failure::refused(sentence),
        HubError::Client(_)
        | HubError::Strange { .. }
        | HubError::GivenUp { .. }
        | HubError::Later { .. }
        | HubError::Damaged { .. }
        | HubError::Changing { .. }
        | HubError::Cache(_)
        | HubError::Write { .. } => Failure::failed(sentence),
    }
}

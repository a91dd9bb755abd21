//! `kinora worker`: makes videos for a server that has its data directory on the same machine, in a process of its
//! own. The server keeps house for both.

use std::{
    io::{Write, stdout},
    time::Duration,
};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{
    CommonArguments,
    failure::{Failure, Outcome, failed},
    flag, flags,
    serve::raise_open_files,
    signals::StopSignals,
};
use crate::{
    compose::{DataDir, Node},
    config::Config,
    logging,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
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
    /// Videos made at once [worker.slots]
    #[arg(long, value_name = "N")]
    slots: Option<String>,
}

pub(super) fn run(common: &CommonArguments, arguments: Arguments) -> Outcome {
    let config = common.load([
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
    if config.slots == 0 {
        return Err(Failure::refused(
            "a worker without slots would do nothing: worker.slots or --slots takes 1 to 64",
        ));
    }
    logging::start(&config.log);
    raise_open_files();
    let dir = DataDir::existing(&config.data).map_err(Failure::refused)?;

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(failed("the runtime could not be started"))?;
    let done = runtime.block_on(work(&config, &dir));
    match &done {
        Ok(()) => runtime.shutdown_timeout(Duration::from_secs(2)),
        Err(_) => runtime.shutdown_background(),
    }
    done
}

async fn work(config: &Config, dir: &DataDir) -> Outcome {
    let mut signals = StopSignals::catch().map_err(failed("signals cannot be caught"))?;
    let node = Node::open(config, dir)
        .await
        .map_err(failed("the worker cannot start"))?;
    let worker = node.worker(config).map_err(failed("the worker cannot start"))?;
    let shutdown = CancellationToken::new();
    let mut running = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { worker.run(shutdown).await }
    });
    // A standard output that nobody reads is no reason to stop.
    let _ = writeln!(
        stdout(),
        "A worker makes videos with {} for the data in {}",
        node.engine_names(),
        dir.root().display()
    );

    tokio::select! {
        signal = signals.next() => tracing::info!("{signal}: no more work is taken, what runs may finish"),
        ended = &mut running => return Err(Failure::failed(format!("the worker stopped by itself: {ended:?}"))),
    }
    shutdown.cancel();
    tokio::select! {
        ended = running => ended.map_err(failed("the worker did not stop in good order")).map(|_| ()),
        signal = signals.next() => Err(Failure::interrupted(format!("a second {signal}: stopped at once"))),
    }
}

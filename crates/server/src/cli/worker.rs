//! `kinora worker`: what `kinora serve --role worker` is, without a listener unless one is asked for, so that any number of
//! them fits beside a server on one machine.

use clap::Args;

use super::{CommonArguments, failure::Outcome, flag, flags, serve};

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
    /// What it is called; without it as the machine is [worker.name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where probes and figures are answered; nothing listens without it [server.listen]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

pub(super) fn run(common: &CommonArguments, arguments: Arguments) -> Outcome {
    let config = common.load([
        flag("kinora worker", "server.role", Some("worker")),
        flag("--engine", "engine.name", arguments.engine.as_deref()),
        flag(
            "--checkpoint",
            "engine.checkpoint",
            arguments.checkpoint.as_deref(),
        ),
        flags("--lora", "engine.loras", &arguments.lora),
        flag("--quality", "engine.quality", arguments.quality.as_deref()),
        flag("--slots", "worker.slots", arguments.slots.as_deref()),
        flag("--name", "worker.name", arguments.name.as_deref()),
        flag("--listen", "server.listen", arguments.listen.as_deref()),
    ])?;
    serve::start(&config, arguments.listen.is_some(), None)
}

//! A video made by a server: asked for, watched, canceled when the person asks for it, downloaded.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use kinora_domain::Seed;
use reqwest::StatusCode;
use serde_json::Value;
use tokio::time::sleep;

use super::{Request, output::Output, progress::ProgressDisplay, refusal};
use crate::cli::{
    client::{AskError, Client, Members, member},
    failure::{Failure, Outcome, failed},
    signals::StopSignals,
};

const BETWEEN_POLLS: Duration = Duration::from_secs(1);
/// How long a server may be away while it works for us.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a canceled generation may take to end.
const CANCEL_PATIENCE: Duration = Duration::from_secs(10);

/// Has the server at `url` make the video; the path it lies at in the end.
pub(super) async fn generate(
    url: &str,
    key: &str,
    request: Request,
    output: Option<PathBuf>,
) -> Outcome<PathBuf> {
    let client = Client::new(url, key)?;
    let mut signals = StopSignals::catch().map_err(failed("signals cannot be caught"))?;
    let generation = tokio::select! {
        created = client.create(members(request)) => created.map_err(told)?,
        _ = signals.next() => return Err(Failure::interrupted("canceled")),
    };
    let id = member(&generation, "id")?.to_owned();
    let ended = tokio::select! {
        ended = follow(&client, &id) => ended?,
        _ = signals.next() => return Err(cancel(&client, &id).await),
    };
    let video = &ended["data"]["video"];
    let seed = ended["data"]["seed"].as_i64().and_then(Seed::new);
    let output = Output::create(output, seed.unwrap_or(Seed::from_entropy(0)))?;
    let (part, file_size) = (output.part(), video["file_size"].as_u64());
    tokio::select! {
        downloaded = client.download(member(video, "url")?, file_size, &part) => downloaded?,
        _ = signals.next() => {
            return Err(Failure::interrupted(format!("the download of {id} was interrupted; the server keeps it")));
        }
    }
    output.keep()
}

/// Asks until the generation has ended well, and shows how far it is.
async fn follow(client: &Client, id: &str) -> Outcome<Value> {
    let progress = ProgressDisplay::start();
    let mut last_heard = Instant::now();
    loop {
        match client.read(id).await {
            Ok(generation) => {
                last_heard = Instant::now();
                match member(&generation, "status")? {
                    "COMPLETED" => return Ok(generation),
                    "FAILED" | "CANCELED" => {
                        let status = member(&generation, "status")?.to_lowercase();
                        let why = generation["message"].as_str().unwrap_or("it was ended elsewhere");
                        return Err(Failure::failed(format!("generation {id} {status}: {why}")));
                    }
                    _ => progress.show(
                        generation["stage"].as_str().unwrap_or("working"),
                        generation["progress"].as_f64().unwrap_or(0.0) as f32,
                    ),
                }
            }
            Err(error) if error.passes() && last_heard.elapsed() < PATIENCE => {}
            Err(error) => return Err(told(error)),
        }
        sleep(BETWEEN_POLLS).await;
    }
}

/// Ends the generation, and says what became of it.
async fn cancel(client: &Client, id: &str) -> Failure {
    if let Err(error) = client.cancel(id).await {
        return match error {
            AskError::Refused {
                status: StatusCode::CONFLICT,
                ..
            } => Failure::interrupted(format!("generation {id} had ended before it could be canceled")),
            error => told(error),
        };
    }
    let asked = Instant::now();
    while asked.elapsed() < CANCEL_PATIENCE {
        if let Ok(generation) = client.read(id).await
            && generation["status"] == "CANCELED"
        {
            return Failure::interrupted(format!("generation {id} is canceled"));
        }
        sleep(BETWEEN_POLLS / 4).await;
    }
    Failure::interrupted(format!(
        "generation {id} will be canceled as soon as its engine stops"
    ))
}

/// What a server has against a request, with the flags beside the members.
fn told(error: AskError) -> Failure {
    if error.fields().is_empty() {
        return error.into_failure();
    }
    refusal(error.fields())
}

/// The members that were given.
fn members(request: Request) -> Members {
    let Request {
        prompt,
        negative_prompt,
        feature,
        aspect_ratio,
        resolution,
        audio_setting,
        duration,
        seed,
        multi_shots,
        prompt_expansion,
        media,
    } = request;
    let scalars = [
        ("prompt", prompt.map(Value::from)),
        ("negative_prompt", negative_prompt.map(Value::from)),
        ("feature", feature.map(Value::from)),
        ("aspect_ratio", aspect_ratio.map(Value::from)),
        ("resolution", resolution.map(Value::from)),
        ("audio_setting", audio_setting.map(Value::from)),
        ("duration", duration.map(Value::from)),
        ("seed", seed.map(Value::from)),
        ("multi_shots", multi_shots.map(Value::from)),
        ("enable_prompt_expansion", prompt_expansion.map(Value::from)),
    ];
    Members {
        scalars: scalars
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
        media,
    }
}

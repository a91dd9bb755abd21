//! What the tools do: ask the server, wait, tell how far it is, save what comes out of it.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use kinora_domain::{Feature, GenerationId, Seed};
use rmcp::{
    RoleServer,
    model::{JsonObject, ProgressNotificationParam},
    service::RequestContext,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    Done, Refused,
    arguments::{Arguments, named},
    tools::ToolName,
};
use crate::cli::{
    client::{AskError, Client, Medium, Members, member},
    generate::output::Output,
};

const BETWEEN_POLLS: Duration = Duration::from_secs(1);
/// How long a server may be away while it works for us.
const PATIENCE: Duration = Duration::from_secs(120);

type Context = RequestContext<RoleServer>;

/// Does what a tool is asked for.
pub(super) async fn call(
    client: &Client,
    tool: ToolName,
    given: JsonObject,
    context: &Context,
) -> Result<Done, Refused> {
    let mut arguments = Arguments::new(tool, given)?;
    match tool {
        ToolName::Generate | ToolName::Edit | ToolName::Continue => {
            let members = members(tool, &mut arguments)?;
            let wait = arguments.flag("wait")?.unwrap_or(true);
            let save_to = arguments.text("save_to")?;
            make(client, members, wait, save_to, context).await
        }
        ToolName::Status => {
            let id = id(&mut arguments)?;
            let output = output(arguments.text("save_to")?)?;
            let generation = client.read(&id).await.map_err(told)?;
            match (output, generation["status"].as_str()) {
                (Some(output), Some("COMPLETED")) => finish(client, generation, Some(output)).await,
                (None, Some("COMPLETED")) => finish(client, generation, None).await,
                (_, _) => state_of(&generation),
            }
        }
        ToolName::Cancel => {
            let id = id(&mut arguments)?;
            let generation = client.cancel(&id).await.map_err(told)?;
            state_of(&generation)
        }
        ToolName::List => {
            let mut query = vec![("limit", arguments.integer("limit")?.unwrap_or(10).to_string())];
            query.extend(arguments.text("status")?.map(|status| ("status", status)));
            let page = client.list(&query).await.map_err(told)?;
            list(&page)
        }
        ToolName::Credits => {
            let credits = client.credits().await.map_err(told)?;
            let text = format!(
                "{} credits can be spent; {} are held.",
                credits["total"], credits["held"]["total"]
            );
            Ok(Done { text, facts: credits })
        }
    }
}

/// The id that a call names. It becomes part of a path, so that nothing else is let through.
fn id(arguments: &mut Arguments) -> Result<String, Refused> {
    let given = arguments.required("id")?;
    let parsed: Result<GenerationId, _> = given.parse();
    parsed
        .map(|id| id.to_string())
        .map_err(|error| Refused(format!("id {error}")))
}

/// The request that a tool's arguments stand for.
fn members(tool: ToolName, arguments: &mut Arguments) -> Result<Members, Refused> {
    let mut members = Members::default();
    let mut scalar = |name: &str, value: Option<Value>| {
        members
            .scalars
            .extend(value.map(|value| (name.to_owned(), value)));
    };
    match tool {
        ToolName::Edit => {
            scalar("prompt", Some(arguments.required("prompt")?.into()));
            // A clip and a prompt alone would be a continuation.
            scalar("feature", Some(Feature::EditVideo.as_str().into()));
        }
        ToolName::Continue => scalar("prompt", arguments.text("prompt")?.map(Value::from)),
        _ => {
            scalar("prompt", arguments.text("prompt")?.map(Value::from));
            scalar("feature", arguments.text("feature")?.map(Value::from));
        }
    }
    for name in ["negative_prompt", "aspect_ratio", "resolution", "audio_setting"] {
        scalar(name, arguments.text(name)?.map(Value::from));
    }
    for name in ["duration", "seed"] {
        scalar(name, arguments.integer(name)?.map(Value::from));
    }
    scalar("multi_shots", arguments.flag("multi_shots")?.map(Value::from));
    scalar(
        "enable_prompt_expansion",
        arguments.flag("prompt_expansion")?.map(Value::from),
    );

    if matches!(tool, ToolName::Edit | ToolName::Continue) {
        let clip = arguments.medium("video")?;
        let clip = clip.ok_or_else(|| Refused("video is required".to_owned()))?;
        members.media.push(("video_url", clip));
    }
    let mut add = |member, media: Vec<Medium>| {
        members
            .media
            .extend(media.into_iter().map(|medium| (member, medium)));
    };
    for (argument, member) in [
        ("image", "image_url"),
        ("end_image", "end_image_url"),
        ("reference_image", "reference_image_url"),
        ("audio", "audio_url"),
    ] {
        add(member, arguments.medium(argument)?.into_iter().collect());
    }
    add("reference_image_urls", arguments.media("reference_images")?);
    add("video_refs", arguments.media("reference_videos")?);
    Ok(members)
}

/// Has a video made and, where that is wanted, waits for it. A call that is canceled cancels it.
async fn make(
    client: &Client,
    members: Members,
    wait: bool,
    save_to: Option<String>,
    context: &Context,
) -> Result<Done, Refused> {
    if !wait && save_to.is_some() {
        let message = "save_to is for calls that wait; ask status to save the video once it has finished";
        return Err(Refused(message.to_owned()));
    }
    // Better now than after minutes of work.
    let output = output(save_to)?;
    let created = client.create(members).await.map_err(told)?;
    if !wait {
        let id = member(&created, "id")?;
        let text = format!("Generation {id} is queued; ask status for it. {}", held(&created));
        let mut facts = facts_of(&created)?;
        // The answer to a create has a vocabulary of its own; the tools have one for all.
        facts["status"] = "IN_QUEUE".into();
        return Ok(Done { text, facts });
    }
    let id = member(&created, "id")?;
    let ended = tokio::select! {
        ended = follow(client, id, context) => ended?,
        () = context.ct.cancelled() => {
            // Nobody is left to hear what becomes of this.
            let _ = client.cancel(id).await;
            return Err(Refused(format!("generation {id} is canceled")));
        }
    };
    finish(client, ended, output).await
}

/// Asks until the generation has ended well, and notifies of how far it is.
async fn follow(client: &Client, id: &str, context: &Context) -> Result<Value, Refused> {
    let token = context.meta.get_progress_token();
    let (mut last_heard, mut last_told) = (Instant::now(), -1.0);
    loop {
        match client.read(id).await {
            Ok(generation) => {
                last_heard = Instant::now();
                let fraction = generation["progress"].as_f64().unwrap_or(0.0);
                // The protocol wants every notification to be further than the one before.
                if let Some(token) = token.as_ref().filter(|_| fraction > last_told) {
                    last_told = fraction;
                    let stage = generation["stage"].as_str().unwrap_or("working");
                    let progress = ProgressNotificationParam::new(token.clone(), fraction)
                        .with_total(1.0)
                        .with_message(stage);
                    // A client that does not listen is no reason to stop.
                    let _ = context.peer.notify_progress(progress).await;
                }
                match member(&generation, "status")? {
                    "COMPLETED" => return Ok(generation),
                    "FAILED" | "CANCELED" => return Err(Refused(ending(&generation))),
                    _ => {}
                }
            }
            Err(error) if error.passes() && last_heard.elapsed() < PATIENCE => {}
            Err(error) => return Err(told(error)),
        }
        sleep(BETWEEN_POLLS).await;
    }
}

/// The place of a video, checked before there is one.
fn output(save_to: Option<String>) -> Result<Option<Output>, Refused> {
    let Some(path) = save_to.map(PathBuf::from) else {
        return Ok(None);
    };
    if path.is_dir() {
        return Err(Refused(format!(
            "save_to {} is a folder; the name of a file is taken",
            path.display()
        )));
    }
    let output = Output::create(Some(path), Seed::from_entropy(0));
    output
        .map(Some)
        .map_err(|failure| Refused(format!("save_to: {}", failure.sentence())))
}

/// Tells of a finished generation, saved where that is wanted.
async fn finish(client: &Client, generation: Value, output: Option<Output>) -> Result<Done, Refused> {
    let mut facts = facts_of(&generation)?;
    let video = &generation["data"]["video"];
    let mut text = format!("{} {}", ending(&generation), held(&generation));
    if let Some(output) = output {
        let (part, length) = (output.part(), video["file_size"].as_u64());
        client.download(member(video, "url")?, length, &part).await?;
        let path = output.keep()?;
        let path = path.canonicalize().unwrap_or(path);
        text += &format!(" Saved to {}.", path.display());
        facts["path"] = path.display().to_string().into();
    } else if let Some(url) = video["url"].as_str() {
        text += &format!(" It can be read for a while at {url}");
    }
    Ok(Done { text, facts })
}

fn state_of(generation: &Value) -> Result<Done, Refused> {
    Ok(Done {
        text: ending(generation),
        facts: facts_of(generation)?,
    })
}

/// What a generation is, in a sentence.
fn ending(generation: &Value) -> String {
    let id = generation["id"].as_str().unwrap_or_default();
    let status = generation["status"].as_str().unwrap_or_default();
    let stage = generation["stage"].as_str().unwrap_or_default();
    match status {
        "COMPLETED" => {
            let video = &generation["data"]["video"];
            match video["duration"].as_f64() {
                Some(seconds) => format!(
                    "Generation {id} is finished: {seconds} s at {}x{}, seed {}.",
                    video["width"], video["height"], generation["data"]["seed"]
                ),
                None => format!("Generation {id} is finished, and its media were removed."),
            }
        }
        "FAILED" => {
            let why = generation["message"].as_str().unwrap_or("without a reason");
            format!("Generation {id} failed: {why}")
        }
        "CANCELED" => format!("Generation {id} is canceled."),
        _ => {
            let percent = generation["progress"].as_f64().unwrap_or(0.0) * 100.0;
            format!("Generation {id} is {stage}: {percent:.0} %.")
        }
    }
}

fn held(generation: &Value) -> String {
    format!("It costs {} credits.", generation["usage"]["total"])
}

/// What a program wants to know of a generation.
fn facts_of(generation: &Value) -> Result<Value, Refused> {
    let video = &generation["data"]["video"];
    let mut facts = json!({
        "id": member(generation, "id")?,
        "status": member(generation, "status")?,
        "credits": generation["usage"]["total"],
    });
    let more = [
        ("progress", &generation["progress"]),
        ("stage", &generation["stage"]),
        ("code", &generation["code"]),
        ("message", &generation["message"]),
        ("prompt", &generation["input"]["prompt"]),
        ("feature", &generation["input"]["feature"]),
        ("seed", &generation["input"]["seed"]),
        ("url", &video["url"]),
        ("width", &video["width"]),
        ("height", &video["height"]),
        ("duration", &video["duration"]),
        ("file_size", &video["file_size"]),
        ("warnings", &generation["data"]["warnings"]),
    ];
    for (name, value) in more {
        if !value.is_null() {
            facts[name] = value.clone();
        }
    }
    Ok(facts)
}

fn list(page: &Value) -> Result<Done, Refused> {
    let generations = page["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let facts: Result<Vec<Value>, Refused> = generations.iter().map(facts_of).collect();
    let lines: Vec<String> = generations
        .iter()
        .map(|generation| {
            let prompt: String = generation["input"]["prompt"]
                .as_str()
                .unwrap_or_default()
                .chars()
                .take(80)
                .collect();
            format!("{} {prompt:?}", ending(generation))
        })
        .collect();
    let text = if lines.is_empty() {
        "There are no generations.".to_owned()
    } else {
        lines.join("\n")
    };
    Ok(Done {
        text,
        facts: json!({"generations": facts?, "has_more": page["has_more"]}),
    })
}

/// What a server has against a request, with the names of the arguments.
fn told(error: AskError) -> Refused {
    let fields = error.fields();
    if fields.is_empty() {
        return error.into_failure().into();
    }
    let lines: Vec<String> = fields
        .into_iter()
        .map(|(field, message)| format!("{} {message}", named(field)))
        .collect();
    Refused(lines.join("\n"))
}

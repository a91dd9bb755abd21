//! `kinora generate`: one video, by the rules of the API, here or on a server.
//!
//! The flags become the members of a request ([`Request`]); what is wrong with it is told with the flag's name beside
//! the member's. The work is done by [`local`] or asked for by [`remote`]; both report to [`progress`]. What it took here is
//! told by [`stats`].

use std::path::{Path, PathBuf};

use clap::Args;
use kinora_domain::Violation;
use serde_json::json;

use self::stats::Stats;
use super::{
    CommonArguments,
    client::Medium,
    failure::{Failure, Outcome, failed},
    flag, flags,
    print::{print_line, tell},
};
use crate::{config, logging};

mod local;
pub(super) mod output;
mod progress;
mod remote;
mod stats;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What is to be seen, or what is to be changed
    prompt: Option<String>,
    /// First frame: a file or a URL
    #[arg(long, value_name = "FILE|URL")]
    image: Option<String>,
    /// Last frame
    #[arg(long, value_name = "FILE|URL")]
    end_image: Option<String>,
    /// A clip to go on with, or to edit with --feature edit-video
    #[arg(long, value_name = "FILE|URL")]
    video: Option<String>,
    /// A subject, "Image 1" of the prompt; repeat it for "Image 2" …
    #[arg(long, value_name = "FILE|URL")]
    reference_image: Vec<String>,
    /// A subject, "Video 1" of the prompt; repeat it for "Video 2" …
    #[arg(long, value_name = "FILE|URL")]
    video_ref: Vec<String>,
    /// Sound to go with the clip
    #[arg(long, value_name = "FILE|URL")]
    audio: Option<String>,
    /// text-image, frames, reference or edit-video [default: inferred from the media]
    #[arg(long)]
    feature: Option<String>,
    /// 16:9, 9:16, 1:1, 4:3 or 3:4 [default: as the input, else 16:9]
    #[arg(long)]
    aspect_ratio: Option<String>,
    /// 720p or 1080p [default: 1080p]
    #[arg(long)]
    resolution: Option<String>,
    /// Seconds [default: 5; for edit-video the clip's]
    #[arg(long, allow_negative_numbers = true)]
    duration: Option<i64>,
    /// 0 to 2147483647; the same one makes the same video [default: drawn]
    #[arg(long, allow_negative_numbers = true)]
    seed: Option<i64>,
    /// What is not to be seen
    #[arg(long)]
    negative_prompt: Option<String>,
    /// Several shots, cut together; for reference
    #[arg(long)]
    multi_shots: bool,
    /// auto or origin: what becomes of the sound of a clip that is edited
    #[arg(long)]
    audio_setting: Option<String>,
    /// Use the prompt as it is
    #[arg(long)]
    no_prompt_expansion: bool,
    /// Where the video goes; what is there is replaced [default: kinora-SEED.mp4, never replaced]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The engine that makes it here [engine.name]
    #[arg(long, value_name = "NAME", conflicts_with = "server")]
    engine: Option<String>,
    /// The folder of a Wan checkpoint, its transformer, or its name on the Hub [engine.checkpoint]
    #[arg(long, value_name = "PATH|REPO", conflicts_with = "server")]
    checkpoint: Option<String>,
    /// A LoRA to merge into it: PATH, PATH:SCALE, or PATH:SCALE:high_noise; may be repeated [engine.loras]
    #[arg(long, value_name = "LORA", conflicts_with = "server")]
    lora: Vec<String>,
    /// What may be left out: exact, balanced or fast [engine.quality]
    #[arg(long, value_name = "TIER", conflicts_with = "server")]
    quality: Option<String>,
    /// Steps of the model [engine.steps]
    #[arg(long, value_name = "N", conflicts_with = "server")]
    steps: Option<String>,
    /// How far to lean towards the prompt [engine.guidance]
    #[arg(long, value_name = "SCALE", conflicts_with = "server")]
    guidance: Option<String>,
    /// A JPEG that shows how it comes along, written anew a few times
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    preview: Option<PathBuf>,
    /// Tell what it took: seconds, processors and memory, stage by stage
    #[arg(long, conflicts_with = "server")]
    stats: bool,
    /// For programs: where the video is, and the stats, as JSON
    #[arg(long)]
    json: bool,
    /// Have a server make it
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The key for that server [KINORA_API_KEY]
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
}

/// A request by its members, each with the flag that it came by.
#[derive(Debug)]
pub(super) struct Request {
    prompt: Option<String>,
    negative_prompt: Option<String>,
    feature: Option<String>,
    aspect_ratio: Option<String>,
    resolution: Option<String>,
    audio_setting: Option<String>,
    duration: Option<i64>,
    seed: Option<i64>,
    /// Left out where the flag was not given, so that the default is the server's.
    multi_shots: Option<bool>,
    prompt_expansion: Option<bool>,
    /// In the order of the flags; those of a list stand together.
    media: Vec<(&'static str, Medium)>,
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
        flag("--steps", "engine.steps", arguments.steps.as_deref()),
        flag("--guidance", "engine.guidance", arguments.guidance.as_deref()),
    ])?;
    logging::start(&config.log);
    if arguments.api_key.is_some() && arguments.server.is_none() {
        return Err(Failure::refused(
            "--api-key is for --server: a video made here needs no key",
        ));
    }
    let server = arguments.server.clone();
    let api_key = arguments.api_key.clone();
    let output = arguments.output.clone();
    let preview = arguments.preview.clone();
    let (wants_stats, is_for_programs) = (arguments.stats, arguments.json);
    let request = Request::read(arguments)?;
    for (flag, path) in [("--output", &output), ("--preview", &preview)] {
        if let Some(path) = path {
            check_folder(flag, path)?;
        }
    }

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.map_err(failed("the runtime could not be started"))?;
    let done: Outcome<(PathBuf, Option<Stats>)> = runtime.block_on(async {
        match server {
            Some(url) => {
                let key = api_key.or_else(config::api_key_of_environment).ok_or_else(|| {
                    Failure::refused("--server needs a key: give --api-key or set KINORA_API_KEY")
                })?;
                let video = remote::generate(&url, &key, request, output).await?;
                Ok((video, None))
            }
            None => {
                let (video, stats) = local::generate(&config, request, output, preview).await?;
                Ok((video, Some(stats).filter(|_| wants_stats)))
            }
        }
    });
    // A thread that waits for something outside has nothing left to say.
    runtime.shutdown_background();
    let (video, stats) = done?;
    if is_for_programs {
        let mut told = json!({ "video": video });
        if let Some(stats) = stats {
            told["stats"] = stats.to_json();
        }
        return print_line(told);
    }
    if let Some(stats) = stats {
        tell(stats.to_text().trim_end());
    }
    print_line(video.display())
}

impl Request {
    fn read(arguments: Arguments) -> Outcome<Request> {
        let Arguments {
            prompt,
            image,
            end_image,
            video,
            reference_image,
            video_ref,
            audio,
            feature,
            aspect_ratio,
            resolution,
            duration,
            seed,
            negative_prompt,
            multi_shots,
            audio_setting,
            no_prompt_expansion,
            output: _,
            engine: _,
            checkpoint: _,
            lora: _,
            quality: _,
            steps: _,
            guidance: _,
            preview: _,
            stats: _,
            json: _,
            server: _,
            api_key: _,
        } = arguments;
        let mut media = Vec::new();
        let mut add = |member: &'static str, given: Vec<String>| -> Outcome {
            for text in given {
                media.push((member, read_medium(member, &text)?));
            }
            Ok(())
        };
        add("image_url", image.into_iter().collect())?;
        add("end_image_url", end_image.into_iter().collect())?;
        add("video_url", video.into_iter().collect())?;
        add("reference_image_urls", reference_image)?;
        add("video_refs", video_ref)?;
        add("audio_url", audio.into_iter().collect())?;
        Ok(Request {
            prompt,
            negative_prompt,
            feature,
            aspect_ratio,
            resolution,
            audio_setting,
            duration,
            seed,
            multi_shots: multi_shots.then_some(true),
            prompt_expansion: no_prompt_expansion.then_some(false),
            media,
        })
    }
}

/// The medium that a flag names.
fn read_medium(member: &'static str, text: &str) -> Outcome<Medium> {
    Medium::parse(text).ok_or_else(|| {
        Failure::refused(format!(
            "{} {text:?} is neither a file nor an http or https URL",
            named(member)
        ))
    })
}

/// Which flag stands for which member.
const FLAGS: &[(&str, &str)] = &[
    ("prompt", "PROMPT"),
    ("image_url", "--image"),
    ("end_image_url", "--end-image"),
    ("video_url", "--video"),
    ("reference_image_urls", "--reference-image"),
    ("reference_image_url", "--reference-image"),
    ("video_refs", "--video-ref"),
    ("audio_url", "--audio"),
    ("feature", "--feature"),
    ("aspect_ratio", "--aspect-ratio"),
    ("resolution", "--resolution"),
    ("duration", "--duration"),
    ("seed", "--seed"),
    ("negative_prompt", "--negative-prompt"),
    ("multi_shots", "--multi-shots"),
    ("audio_setting", "--audio-setting"),
    ("enable_prompt_expansion", "--no-prompt-expansion"),
];

/// A member by its flag and its name: `--duration (duration)`. Members without a flag keep their name alone.
fn named(field: &str) -> String {
    let member = field.split('[').next().unwrap_or(field);
    match FLAGS.iter().find(|(name, _)| *name == member) {
        Some((_, flag)) => format!("{flag} ({field})"),
        None => field.to_owned(),
    }
}

/// What is wrong with a request, a line for each.
fn refusal<'a>(problems: impl IntoIterator<Item = (&'a str, &'a str)>) -> Failure {
    let lines: Vec<String> = problems
        .into_iter()
        .map(|(field, message)| format!("{} {message}", named(field)))
        .collect();
    Failure::refused(lines.join("\nkinora: "))
}

fn refusal_of(violations: &[Violation]) -> Failure {
    refusal(
        violations
            .iter()
            .map(|violation| (violation.field.as_str(), violation.message.as_str())),
    )
}

/// Better now than after minutes of work.
fn check_folder(flag: &str, output: &Path) -> Outcome {
    let folder = output::folder_of(output);
    if folder.is_dir() && !output.is_dir() {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "{flag} {} names no file in a folder that exists",
        output.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_told_by_their_flags() {
        let check = |field, expected: &str| assert_eq!(named(field), expected);
        check("duration", "--duration (duration)");
        check("video_refs[2]", "--video-ref (video_refs[2])");
        check("prompt", "PROMPT (prompt)");
        check("webhook_url", "webhook_url");
    }

    #[test]
    fn media_are_urls_or_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.png");
        std::fs::write(&file, "x").unwrap();
        assert_eq!(
            read_medium("image_url", file.to_str().unwrap()).unwrap(),
            Medium::File(file)
        );
        let url = "HTTPS://example.com/a.png";
        assert_eq!(
            read_medium("image_url", url).unwrap(),
            Medium::Url(url.to_owned())
        );
        for wrong in [
            "",
            "/nowhere.png",
            "ftp://example.com/a.png",
            folder.path().to_str().unwrap(),
        ] {
            assert!(read_medium("image_url", wrong).is_err(), "{wrong}");
        }
    }
}

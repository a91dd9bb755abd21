//! A video made here, without a server, an account or credits: the same rules, the same attempt.

use std::path::PathBuf;

use kinora_domain::{Draft, Member, Seed, Source};
use kinora_engine::Step;
use kinora_media::fetch::check_url_syntax;
use kinora_worker::{
    Standing,
    local::{self, LocalError, LocalFiles, LocalParts},
};
use tokio_util::sync::CancellationToken;

use super::{
    Medium, Request, named,
    output::Output,
    progress::ProgressDisplay,
    refusal_of,
    stats::{Clock, Stats},
};
use crate::{
    cli::{
        failure::{Failure, Outcome, failed},
        print::tell,
        signals::StopSignals,
    },
    compose::{Engines, open_engines, open_fetcher, open_toolbox},
    config::Config,
};

/// Makes the video in this process; the path it lies at in the end, and what it took.
pub(super) async fn generate(
    config: &Config,
    request: Request,
    output: Option<PathBuf>,
    preview: Option<PathBuf>,
) -> Outcome<(PathBuf, Stats)> {
    let clock = Clock::start();
    let engines = open_engines(config, false).map_err(failed("the video cannot be made"))?;
    let mut signals = StopSignals::catch().map_err(failed("signals cannot be caught"))?;
    let toolbox = open_toolbox(&config.media).map_err(failed("media cannot be made"))?;
    let fetcher = open_fetcher(&config.media).map_err(failed("media cannot be made"))?;

    let mut files = LocalFiles::default();
    let draft = draft(request, |member, path| {
        files
            .add(&toolbox, member, &path)
            .map_err(|error| failure_of(&error))
    })?;
    let url_problem = |url: &str| {
        Some(
            check_url_syntax(url, &config.media.allow_hosts)
                .err()?
                .to_string(),
        )
    };
    let catalog = engines.catalog(&config.routes);
    let Engines { factories } = engines;
    let (spec, offer) = catalog
        .judge(&draft, &url_problem, Seed::from_entropy(rand::random()))
        .map_err(|violations| refusal_of(&violations))?;
    let engine = factories
        .into_iter()
        .find(|factory| Some(&factory.offer.id) == offer.as_ref())
        .ok_or_else(|| Failure::refused(format!("no engine here does {}", spec.feature)))?;

    let output = Output::create(output, spec.seed)?;
    let progress = ProgressDisplay::start();
    let parts = LocalParts {
        toolbox,
        fetcher,
        engine,
        preset: config.media.preset,
        scratch: output.scratch().to_owned(),
        preview,
    };
    let stop = CancellationToken::new();
    let part = output.part();
    let mut show = |Standing { progress: now, step }| match step {
        Some(Step { number, of }) => progress.show(&format!("{} {number}/{of}", now.stage), now.fraction),
        None => progress.show(now.stage.as_str(), now.fraction),
    };
    let made = {
        let attempt = local::generate(parts, &spec, files, &part, &mut show, stop.clone());
        let mut attempt = std::pin::pin!(attempt);
        tokio::select! {
            made = &mut attempt => made.map_err(|error| failure_of(&error)),
            _ = signals.next() => {
                // The attempt is heard out, so that its child and its files are gone when we are.
                stop.cancel();
                match attempt.await {
                    Ok(_) | Err(_) => Err(Failure::interrupted("canceled")),
                }
            }
        }
    }?;
    drop(progress);
    if let Some(prompt) = made.actual_prompt
        && spec.prompt.as_ref() != Some(&prompt)
    {
        tell(format_args!("kinora: the prompt became: {prompt}"));
    }
    for warning in made.warnings {
        tell(format_args!("kinora: {} ({})", warning.message, warning.code));
    }
    Ok((output.keep()?, clock.stop(made.cost)))
}

/// The draft of a request. `keep` takes in the files.
fn draft(request: Request, mut keep: impl FnMut(Member, PathBuf) -> Outcome<Source>) -> Outcome<Draft> {
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
    let mut draft = Draft {
        feature,
        prompt,
        negative_prompt,
        aspect_ratio,
        resolution,
        duration,
        prompt_expansion,
        multi_shots,
        audio_setting,
        seed,
        ..Draft::default()
    };
    for (member, medium) in media {
        let source = |member| match medium {
            Medium::Url(url) => Ok(Source::Url(url)),
            Medium::File(path) => keep(member, path),
        };
        match member {
            "image_url" => draft.image = Some(source(Member::Image)?),
            "end_image_url" => draft.end_image = Some(source(Member::EndImage)?),
            "video_url" => draft.video = Some(source(Member::Video)?),
            "reference_image_urls" => {
                let index = draft.reference_images.len();
                draft
                    .reference_images
                    .push(source(Member::ReferenceImages(index))?);
            }
            "video_refs" => {
                let index = draft.video_refs.len();
                draft.video_refs.push(source(Member::VideoRefs(index))?);
            }
            "audio_url" => draft.audio = Some(source(Member::Audio)?),
            other => unreachable!("{other} has no flag"),
        }
    }
    Ok(draft)
}

/// What is the request's fault is told by the flag; what is ours, with its causes.
fn failure_of(error: &LocalError) -> Failure {
    match error {
        LocalError::Input { member, problem } if problem.defect().is_some() => {
            Failure::refused(format!("{} {problem}", named(&member.to_string())))
        }
        LocalError::Attempt(kinora_worker::AttemptError::Refused { field, message }) => {
            Failure::refused(format!("{} {message}", named(field)))
        }
        error => failed("the video could not be made")(error),
    }
}

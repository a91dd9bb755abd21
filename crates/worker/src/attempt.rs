//! One attempt, from a spec to finished files. It knows no store: what becomes of the files is the caller's business.

use std::path::Path;

use kinora_domain::{ClipLengths, GenerationSpec, OfferId, Stage, Warning};
use kinora_engine::{Brief, Cost, Inputs, Publisher};
use kinora_media::{Toolbox, compose::Preset, fetch::Fetcher};

use crate::{
    engines::Engines,
    error::AttemptError,
    inputs::{self, Locate, Shelf},
    notes::Notebooks,
    plan::Plan,
    previews::Previews,
    produce::{MadeClip, Order, produce},
    progress::Meter,
    stop::Stop,
    wording::{self, Wording},
};

/// What every attempt works with.
pub(crate) struct Workshop {
    pub(crate) toolbox: Toolbox,
    pub(crate) fetcher: Fetcher,
    pub(crate) preset: Preset,
    /// Where a blob lies.
    pub(crate) locate: Box<Locate>,
}

/// What one attempt is about, and who watches it.
pub(crate) struct Task<'a> {
    pub(crate) spec: &'a GenerationSpec,
    /// What the log calls it.
    pub(crate) name: &'a str,
    pub(crate) offer: &'a OfferId,
    /// Where its files go.
    pub(crate) folder: &'a Path,
    /// Who looks at it while it is made.
    pub(crate) previews: Previews,
    /// What earlier attempts have left, and where this one leaves something.
    pub(crate) notebooks: Notebooks,
    /// Shows files to others.
    pub(crate) publisher: Publisher,
    pub(crate) meter: &'a Meter,
    pub(crate) stop: &'a Stop,
}

/// What an attempt has made.
pub(crate) struct Product {
    pub(crate) clips: Vec<MadeClip>,
    pub(crate) actual_prompt: Option<String>,
    pub(crate) warnings: Vec<Warning>,
    /// What the price depends on.
    pub(crate) lengths: ClipLengths,
    /// What it has taken.
    pub(crate) cost: Cost,
}

/// Makes what the spec says:
/// 1. its inputs are laid out as measured files,
/// 2. what had to wait for them is decided,
/// 3. the prompt is expanded, where that is wanted,
/// 4. the engine makes the clips, each with its poster.
///
/// A wish to stop ends any of these steps within a second.
pub(crate) async fn attempt(
    workshop: &Workshop,
    engines: &mut Engines,
    task: Task<'_>,
) -> Result<Product, AttemptError> {
    let Task {
        spec,
        name,
        offer,
        folder,
        previews,
        notebooks,
        publisher,
        meter,
        stop,
    } = task;
    let shelf = Shelf {
        toolbox: &workshop.toolbox,
        fetcher: &workshop.fetcher,
        locate: &*workshop.locate,
    };
    let prepared = |done, of| meter.report(Stage::Preparing, done as f32 / of as f32);
    let media = stop.or(inputs::lay_out(shelf, spec, folder, &prepared)).await?;

    let Plan {
        size,
        duration_ms,
        lengths,
    } = Plan::new(spec, &media)?;

    let expander = engines.expander(offer);
    let Wording {
        prompt: expanded,
        warning,
    } = wording::word(
        expander,
        Brief::of(spec, duration_ms),
        notebooks.of_prompt(),
        name,
        stop,
    )
    .await?;
    let prompt = expanded.clone().or_else(|| spec.prompt.clone());

    let order = Order {
        spec: GenerationSpec {
            prompt,
            ..spec.clone()
        },
        inputs: Inputs {
            size,
            duration_ms,
            seed: spec.seed,
            media,
            toolbox: workshop.toolbox.clone(),
            notebook: notebooks.of_clip(0),
            publisher,
            folder: folder.to_owned(),
        },
        notebooks,
        preset: workshop.preset,
        folder: folder.to_owned(),
        previews,
        meter: meter.clone(),
        stop: stop.clone(),
    };
    let made = engines
        .with(offer, stop, move |engine| produce(engine, &order))
        .await?;
    Ok(Product {
        clips: made.clips,
        actual_prompt: made.actual_prompt.or(expanded),
        warnings: warning.into_iter().chain(made.warnings).collect(),
        lengths,
        cost: made.cost,
    })
}

//! The one call that decides whether a file is taken: size, format, measure, limits, in the order of their cost.

use std::path::Path;

use crate::{
    limits::{Facts, MediaKind},
    probe::{self, file_bytes},
    problem::{MediaDefect, MediaProblem},
    toolbox::Toolbox,
};

/// Measures a file and checks it against the limits of its kind.
pub fn inspect(toolbox: &Toolbox, kind: MediaKind, path: &Path) -> Result<Facts, MediaProblem> {
    kind.check_bytes(file_bytes(path)?).map_err(MediaDefect::from)?;
    let facts = match kind {
        MediaKind::Image => Facts::Image(probe::probe_image(toolbox, path)?),
        MediaKind::Clip | MediaKind::ReferenceVideo => Facts::Video(probe::probe_video(toolbox, path)?),
        MediaKind::Audio => Facts::Audio(probe::probe_audio(toolbox, path)?),
    };
    kind.check(&facts).map_err(MediaDefect::from)?;
    Ok(facts)
}

//! What is refused before any work is done: sizes, counts and conditionings that the checkpoint cannot take as they are. Nothing is
//! rounded, cropped or scaled to fit.

use crate::capabilities::Capabilities;
use crate::capabilities::Family;
use crate::error::GenerateError;
use crate::frame::FrameRgb;
use crate::request::Conditioning;
use crate::request::Request;
use crate::request::Sampling;

/// Refuses what cannot be carried out, naming the field and what would be taken.
pub(super) fn check(request: &Request, capabilities: &Capabilities) -> Result<(), GenerateError> {
    let multiple = capabilities.size_multiple;
    for (field, extent) in [("width", request.width), ("height", request.height)] {
        if extent == 0 || !extent.is_multiple_of(multiple) {
            return refuse(field, format!("{extent} is not a multiple of {multiple}"));
        }
    }
    let frames = capabilities.frame_multiple;
    if request.num_frames % frames != 1 {
        return refuse(
            "num_frames",
            format!("{} is not a multiple of {frames} plus one", request.num_frames),
        );
    }
    let steps = match &request.sampling {
        Sampling::Checkpoint { steps } | Sampling::Custom { steps, .. } => *steps,
        Sampling::Distilled { timesteps, .. } => timesteps.len(),
    };
    if steps == 0 {
        return refuse("sampling", "there must be a step at least".into());
    }
    if let Sampling::Distilled { timesteps, .. } = &request.sampling {
        let falls = timesteps.windows(2).all(|pair| pair[0] > pair[1]);
        if !falls
            || !timesteps
                .iter()
                .all(|timestep| *timestep > 0.0 && *timestep <= 1000.0)
        {
            return refuse("sampling", "timesteps must fall within 1000 and 0".into());
        }
    }
    if !capabilities.takes(&request.conditioning) {
        let known = capabilities.conditionings.join(", ");
        return refuse(
            "conditioning",
            format!(
                "this checkpoint does not do {}; it does: {known}",
                request.conditioning.name()
            ),
        );
    }
    check_conditioning(request)?;
    match capabilities.family {
        Family::Sources => check_sources(request, multiple),
        Family::Text | Family::Inpaint { .. } | Family::KnownTokens | Family::Vace => Ok(()),
    }
}

/// Sources keep their own size, which must suit the VAE and the transformer.
fn check_sources(request: &Request, multiple: usize) -> Result<(), GenerateError> {
    let (pictures, videos) = match &request.conditioning {
        Conditioning::References { images, videos } => (images.as_slice(), videos.as_slice()),
        Conditioning::Edit { references, .. } => (references.as_slice(), [].as_slice()),
        Conditioning::Text
        | Conditioning::FirstFrame(_)
        | Conditioning::FirstAndLast { .. }
        | Conditioning::Continue { .. }
        | Conditioning::Vace(_) => return Ok(()),
    };
    let misfit =
        |frame: &&FrameRgb| !frame.width.is_multiple_of(multiple) || !frame.height.is_multiple_of(multiple);
    match pictures.iter().chain(videos.iter().flatten()).find(misfit) {
        Some(FrameRgb { width, height, .. }) => refuse(
            "conditioning",
            format!("a source of {width}×{height} is not a multiple of {multiple} each way"),
        ),
        None => Ok(()),
    }
}

fn check_conditioning(request: &Request) -> Result<(), GenerateError> {
    let whole = |frames: &[FrameRgb]| frames.iter().try_for_each(|frame| check_frame(frame, request));
    match &request.conditioning {
        Conditioning::Text => Ok(()),
        Conditioning::FirstFrame(first) => check_frame(first, request),
        Conditioning::FirstAndLast { first, last } => {
            if request.num_frames == 1 {
                return refuse("num_frames", "a first and a last frame need more than one".into());
            }
            check_frame(first, request).and_then(|()| check_frame(last, request))
        }
        Conditioning::Continue { frames } if frames.is_empty() => {
            refuse("conditioning", "there is no frame to go on from".into())
        }
        Conditioning::Continue { frames } => whole(frames),
        Conditioning::Vace(control) => {
            check_pictures(&control.references)?;
            if !control.frames.is_empty() && control.frames.len() != request.num_frames {
                return refuse(
                    "conditioning",
                    format!(
                        "a control clip needs {} frames and has {}",
                        request.num_frames,
                        control.frames.len()
                    ),
                );
            }
            let pixels = request.width * request.height;
            let fits = control.masks.iter().all(|mask| mask.data.len() == pixels);
            if control.masks.len() != control.frames.len() || !fits {
                return refuse(
                    "conditioning",
                    "a control clip needs a mask of its size for every frame".into(),
                );
            }
            whole(&control.frames)
        }
        Conditioning::References { images, videos } => {
            if images.is_empty() && videos.is_empty() {
                return refuse("conditioning", "there is no reference".into());
            }
            check_pictures(images)?;
            videos.iter().try_for_each(|video| check_clip(video))
        }
        Conditioning::Edit { frames, references } => {
            check_pictures(references)?;
            check_clip(frames)?;
            whole(frames)
        }
    }
}

fn check_frame(frame: &FrameRgb, request: &Request) -> Result<(), GenerateError> {
    let FrameRgb { width, height, .. } = frame;
    if (*width, *height) != (request.width, request.height) {
        let (columns, rows) = (request.width, request.height);
        return refuse(
            "conditioning",
            format!("a frame is {width}×{height} where {columns}×{rows} are generated"),
        );
    }
    check_pictures(std::slice::from_ref(frame))
}

fn check_pictures(pictures: &[FrameRgb]) -> Result<(), GenerateError> {
    match pictures.iter().find(|picture| !picture.is_sound()) {
        Some(FrameRgb { width, height, data }) => refuse(
            "conditioning",
            format!("a picture of {width}×{height} has {} bytes", data.len()),
        ),
        None => Ok(()),
    }
}

fn check_clip(frames: &[FrameRgb]) -> Result<(), GenerateError> {
    check_pictures(frames)?;
    if frames.len() % 4 != 1 {
        return refuse(
            "conditioning",
            format!(
                "a clip of {} frames is not a multiple of 4 plus one",
                frames.len()
            ),
        );
    }
    let is_uniform = frames
        .windows(2)
        .all(|pair| (pair[0].width, pair[0].height) == (pair[1].width, pair[1].height));
    if is_uniform {
        Ok(())
    } else {
        refuse("conditioning", "the frames of a clip differ in size".into())
    }
}

fn refuse(field: &'static str, reason: String) -> Result<(), GenerateError> {
    Err(GenerateError::Refused { field, reason })
}

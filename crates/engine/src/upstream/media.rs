//! Inputs in a form that others can read: pictures inside of the request, everything longer at a URL.

use std::fs;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kinora_domain::{FrameSize, Member};
use kinora_media::{compose, frames::Fit, sniff::Format};

use crate::{EngineError, InputMedium, Inputs};

/// The longest side of a picture that is sent: beyond what any model looks at.
const SIDE_MAX: u32 = 4096;

/// A picture as a JPEG, the way we see it: upright, transparency on white, no larger than anybody looks at.
pub(crate) fn jpeg(inputs: &Inputs, medium: &InputMedium) -> Result<Vec<u8>, EngineError> {
    let (width, height) = medium
        .facts
        .size()
        .ok_or_else(|| ours(format!("{} has no size", medium.member)))?;
    let size = within(width, height);
    let frame = medium.image(&inputs.toolbox, size, Fit::Cover)?;
    let file = inputs
        .folder
        .join(format!("sent-{}.jpg", file_name(medium.member)));
    let written = compose::picture(&inputs.toolbox, frame.width, frame.height, &frame.rgb, &file);
    written.map_err(|failure| ours(kinora_media::chain(&failure).to_string()))?;
    fs::read(&file).map_err(|error| ours(error.to_string()))
}

/// The same, as a URL that carries it.
pub(crate) fn data_url(inputs: &Inputs, medium: &InputMedium) -> Result<String, EngineError> {
    let bytes = jpeg(inputs, medium)?;
    Ok(format!(
        "data:image/jpeg;base64,{}",
        BASE64_STANDARD.encode(bytes)
    ))
}

/// A clip's or a sound's URL at this installation, for as long as the work may take.
pub(crate) fn public_url(inputs: &Inputs, medium: &InputMedium) -> Result<String, EngineError> {
    let format = Format::of_file(&medium.path).map_err(|error| ours(error.to_string()))?;
    let extension = match format {
        Some(Format::Mp4) => "mp4",
        Some(Format::Mov) => "mov",
        Some(Format::Wav) => "wav",
        Some(Format::Mp3) => "mp3",
        Some(Format::Jpeg | Format::Png | Format::Bmp | Format::Webp) | None => {
            return Err(ours(format!("{} is neither a clip nor a sound", medium.member)));
        }
    };
    let published = inputs.publisher.publish(&medium.path, extension);
    published.map_err(|error| ours(kinora_media::chain(&*error).to_string()))
}

/// The medium of a member that the workflow has.
pub(crate) fn of(inputs: &Inputs, member: Member) -> Result<&InputMedium, EngineError> {
    inputs
        .medium(member)
        .ok_or_else(|| ours(format!("{member} was not laid out")))
}

fn within(width: u32, height: u32) -> FrameSize {
    let longest = width.max(height);
    if longest <= SIDE_MAX {
        return FrameSize { width, height };
    }
    let scaled = |side: u32| (u64::from(side) * u64::from(SIDE_MAX) / u64::from(longest)).max(1);
    let side = |side| u32::try_from(scaled(side)).unwrap_or(SIDE_MAX);
    FrameSize {
        width: side(width),
        height: side(height),
    }
}

fn file_name(member: Member) -> String {
    member.to_string().replace(['[', ']'], "-")
}

/// A fault of ours, which may pass.
fn ours(detail: String) -> EngineError {
    EngineError::Interrupted { detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_pictures_become_smaller() {
        let check = |size: (u32, u32), expected: (u32, u32)| {
            let FrameSize { width, height } = within(size.0, size.1);
            assert_eq!((width, height), expected);
        };
        check((1280, 720), (1280, 720));
        check((4096, 300), (4096, 300));
        check((8000, 4000), (4096, 2048));
        check((240, 8000), (122, 4096));
    }
}

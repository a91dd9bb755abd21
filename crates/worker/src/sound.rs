//! Which sound a clip gets, and what is said about it.
//!
//! Engines make pictures. So the track is sound that came with the request, or silence, or, where an engine hands
//! over a finished file, that file's own:
//!
//! | workflow | track of frames | warning |
//! |---|---|---|
//! | from text or images, with `audio_url` | that sound, from the start | `audio_muxed`: it does not drive the picture |
//! | from text or images, or of references | silence | `silent_audio` |
//! | continuation | the clip's own, then silence | `silent_audio`, for the part that is new |
//! | edit, `origin` or `auto` | the clip's own, or silence where it has none | none: it is what was there |
//!
//! An edit's `auto` would replace the sound if the prompt described another. Nothing here makes sound, so it keeps
//! it, which is what `auto` does for every other prompt. Of a finished file the track is its own where it has one,
//! except that `origin` takes the clip's.

use std::path::Path;

use kinora_domain::{AudioSetting, GenerationSpec, Member, Warning, Workflow};
use kinora_engine::InputMedium;
use kinora_media::{Facts, compose::Sound};

/// A clip's sound track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Track {
    pub(crate) sound: Sound,
    pub(crate) warning: Option<Warning>,
}

impl Track {
    /// The track of a clip that is made of frames.
    pub(crate) fn of_frames(spec: &GenerationSpec, media: &[InputMedium]) -> Track {
        let from = |member| {
            let medium = media.iter().find(|medium| medium.member == member)?;
            has_sound(&medium.facts).then(|| from_start(&medium.path))
        };
        match &spec.workflow {
            Workflow::Text { .. } | Workflow::Image { .. } | Workflow::FirstLast { .. } => {
                match from(Member::Audio) {
                    Some(sound) => Track::new(sound, Some(audio_muxed())),
                    None => Track::new(Sound::Silent, Some(silent("The clip is silent."))),
                }
            }
            Workflow::Reference { .. } => Track::new(Sound::Silent, Some(silent("The clip is silent."))),
            Workflow::Continuation { .. } => {
                let warning = silent("The part that continues the clip is silent.");
                Track::new(from(Member::Video).unwrap_or(Sound::Silent), Some(warning))
            }
            Workflow::Edit { .. } => Track::new(from(Member::Video).unwrap_or(Sound::Silent), None),
        }
    }

    /// The track of a clip that came as a file with sound in it; `frames` is what it would get without.
    pub(crate) fn of_file(spec: &GenerationSpec, frames: Track, file: &Path) -> Track {
        match &spec.workflow {
            Workflow::Edit {
                audio: AudioSetting::Origin,
                ..
            } => frames,
            Workflow::Text { .. }
            | Workflow::Image { .. }
            | Workflow::FirstLast { .. }
            | Workflow::Reference { .. }
            | Workflow::Continuation { .. }
            | Workflow::Edit { .. } => Track::new(from_start(file), None),
        }
    }

    fn new(sound: Sound, warning: Option<Warning>) -> Track {
        Track { sound, warning }
    }
}

fn has_sound(facts: &Facts) -> bool {
    match facts {
        Facts::Image(_) => false,
        Facts::Video(facts) => facts.has_audio,
        Facts::Audio(_) => true,
    }
}

fn from_start(path: &Path) -> Sound {
    Sound::From {
        path: path.to_owned(),
        start_ms: 0,
    }
}

fn audio_muxed() -> Warning {
    Warning {
        code: "audio_muxed".to_owned(),
        message: "The sound was attached to the clip; it did not drive the picture.".to_owned(),
    }
}

fn silent(message: &str) -> Warning {
    Warning {
        code: "silent_audio".to_owned(),
        message: message.to_owned(),
    }
}

//! What media is accepted, as one table: formats, bytes, seconds, pixels, ratios. The contract's section on media
//! inputs is its source; whoever refuses a medium asks here.

use std::fmt;

use crate::{
    probe::{AudioFacts, ImageFacts, VideoFacts},
    sniff::Format,
};

/// A role a medium can play in a request, each with its own limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// A still: a first or last frame, or a reference.
    Image,
    /// A clip to continue or to edit.
    Clip,
    /// A clip that shows who or what is to appear.
    ReferenceVideo,
    /// A sound track that drives the picture.
    Audio,
}

impl MediaKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Image, Self::Clip, Self::ReferenceVideo, Self::Audio];

    /// The row of the table for this kind.
    pub const fn limits(self) -> &'static Limits {
        match self {
            Self::Image => &IMAGE,
            Self::Clip => &CLIP,
            Self::ReferenceVideo => &REFERENCE_VIDEO,
            Self::Audio => &AUDIO,
        }
    }

    /// The largest file of this kind, in bytes: the cap for fetches and uploads.
    pub const fn max_bytes(self) -> u64 {
        self.limits().max_bytes
    }

    /// Whether a file of this size is taken.
    pub fn check_bytes(self, bytes: u64) -> Result<(), LimitViolation> {
        let max = self.max_bytes();
        if bytes > max {
            Err(LimitViolation::Bytes { bytes, max })
        } else {
            Ok(())
        }
    }

    /// Whether a measured medium is taken as this kind; the first limit it breaks otherwise.
    pub fn check(self, facts: &Facts) -> Result<(), LimitViolation> {
        self.check_bytes(facts.bytes())?;
        if let Some((width, height)) = facts.size() {
            self.check_size(width, height)?;
        }
        match facts.duration_ms() {
            Some(duration_ms) => self.check_duration(duration_ms),
            None => Ok(()),
        }
    }

    /// Whether a picture of this size is taken.
    pub fn check_size(self, width: u32, height: u32) -> Result<(), LimitViolation> {
        let Some(Sides { min, max }) = self.limits().sides else {
            return Ok(());
        };
        if [width, height].iter().any(|side| !(min..=max).contains(side)) {
            return Err(LimitViolation::Size {
                width,
                height,
                min,
                max,
            });
        }
        if width > height.saturating_mul(MAX_RATIO) || height > width.saturating_mul(MAX_RATIO) {
            return Err(LimitViolation::Ratio { width, height });
        }
        Ok(())
    }

    /// Whether a medium of this length is taken.
    pub fn check_duration(self, duration_ms: u64) -> Result<(), LimitViolation> {
        match self.limits().seconds {
            Some(Seconds { min, max }) if !(min * 1000..=max * 1000).contains(&duration_ms) => {
                Err(LimitViolation::Duration {
                    duration_ms,
                    min_s: min,
                    max_s: max,
                })
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What the formats are called in messages.
    pub format_names: &'static str,
    /// The formats, recognised by their bytes.
    pub formats: &'static [Format],
    /// The largest file, in bytes.
    pub max_bytes: u64,
    /// The shortest and longest duration.
    pub seconds: Option<Seconds>,
    /// The smallest and largest side of the picture.
    pub sides: Option<Sides>,
}

/// Accepted durations, in seconds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds {
    /// The shortest.
    pub min: u64,
    /// The longest.
    pub max: u64,
}

/// Accepted sides, in pixels, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    /// The smallest.
    pub min: u32,
    /// The largest.
    pub max: u32,
}

/// One mebibyte: what the contract calls 1 MB.
pub const MB: u64 = 1_048_576;
/// The longer side is at most this many times the shorter.
pub const MAX_RATIO: u32 = 8;

const IMAGE: Limits = Limits {
    format_names: "a JPEG, PNG, BMP or WEBP image",
    formats: &[Format::Jpeg, Format::Png, Format::Bmp, Format::Webp],
    max_bytes: 20 * MB,
    seconds: None,
    sides: Some(Sides { min: 240, max: 8000 }),
};
const CLIP: Limits = Limits {
    format_names: "an MP4 or MOV video",
    formats: &[Format::Mp4, Format::Mov],
    max_bytes: 100 * MB,
    seconds: Some(Seconds { min: 2, max: 10 }),
    sides: Some(Sides { min: 240, max: 4096 }),
};
const REFERENCE_VIDEO: Limits = Limits {
    seconds: Some(Seconds { min: 1, max: 30 }),
    ..CLIP
};
const AUDIO: Limits = Limits {
    format_names: "a WAV or MP3 file",
    formats: &[Format::Wav, Format::Mp3],
    max_bytes: 15 * MB,
    seconds: Some(Seconds { min: 2, max: 30 }),
    sides: None,
};

/// What was measured about a medium.
#[derive(Clone, Debug, PartialEq)]
pub enum Facts {
    /// About a still.
    Image(ImageFacts),
    /// About a clip.
    Video(VideoFacts),
    /// About a sound track.
    Audio(AudioFacts),
}

impl Facts {
    /// The file's size.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Image(facts) => facts.bytes,
            Self::Video(facts) => facts.bytes,
            Self::Audio(facts) => facts.bytes,
        }
    }

    /// The picture's width and height as shown, if there is a picture.
    pub fn size(&self) -> Option<(u32, u32)> {
        match self {
            Self::Image(facts) => Some((facts.width, facts.height)),
            Self::Video(facts) => Some((facts.width, facts.height)),
            Self::Audio(_) => None,
        }
    }

    /// The measured length, if it has one.
    pub fn duration_ms(&self) -> Option<u64> {
        match self {
            Self::Image(_) => None,
            Self::Video(facts) => Some(facts.duration_ms),
            Self::Audio(facts) => Some(facts.duration_ms),
        }
    }
}

/// A limit that a medium breaks. Its message follows the medium's name: the value found, then what is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitViolation {
    /// Too large a file.
    Bytes {
        /// Its size.
        bytes: u64,
        /// The largest taken.
        max: u64,
    },
    /// Too short or too long.
    Duration {
        /// Its length.
        duration_ms: u64,
        /// The shortest taken.
        min_s: u64,
        /// The longest taken.
        max_s: u64,
    },
    /// A side too small or too large.
    Size {
        /// Its width as shown.
        width: u32,
        /// Its height as shown.
        height: u32,
        /// The smallest side taken.
        min: u32,
        /// The largest side taken.
        max: u32,
    },
    /// Too wide or too tall.
    Ratio {
        /// Its width as shown.
        width: u32,
        /// Its height as shown.
        height: u32,
    },
}

impl fmt::Display for LimitViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bytes { bytes, max } => {
                write!(
                    f,
                    "has {bytes} bytes or more; at most {max} bytes ({} MB) are accepted",
                    max / MB
                )
            }
            Self::Duration {
                duration_ms,
                min_s,
                max_s,
            } => {
                write!(
                    f,
                    "is {} s long; {min_s} to {max_s} s are accepted",
                    SecondsText(duration_ms)
                )
            }
            Self::Size {
                width,
                height,
                min,
                max,
            } => {
                write!(
                    f,
                    "is {width}×{height} pixels; {min} to {max} pixels per side are accepted"
                )
            }
            Self::Ratio { width, height } => {
                write!(
                    f,
                    "is {width}×{height} pixels; ratios of 1:{MAX_RATIO} to {MAX_RATIO}:1 are accepted"
                )
            }
        }
    }
}

impl std::error::Error for LimitViolation {}

/// Milliseconds as seconds: two decimals, a third only where it matters.
struct SecondsText(u64);

impl fmt::Display for SecondsText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ms) = (self.0 / 1000, self.0 % 1000);
        if ms % 10 == 0 {
            write!(f, "{seconds}.{:02}", ms / 10)
        } else {
            write!(f, "{seconds}.{ms:03}")
        }
    }
}

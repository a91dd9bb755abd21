//! What an engine is given besides the spec: everything that is known only when the work begins.

use std::path::PathBuf;

use kinora_domain::{FrameSize, Member, OUTPUT_FPS, Seed};
use kinora_media::{
    Facts, Toolbox,
    frames::{Fit, Fps, Frame, FrameReader, ReadOptions, decode_image},
};

use crate::{error::EngineError, notebook::Notebook, publish::Publisher};

/// The inputs of one clip, resolved: sizes and lengths are exact, media are measured local files.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The size of the finished clip's frames. An engine may make frames of another size, of this ratio.
    pub size: FrameSize,
    /// The length of the finished clip: in a continuation with the clip that it continues, in an edit the part
    /// of the clip that is used.
    pub duration_ms: u64,
    /// The seed of this clip, which differs from the spec's where one generation makes several.
    pub seed: Seed,
    /// The media, in the order of [`kinora_domain::Workflow::sources`].
    pub media: Vec<InputMedium>,
    /// Decodes them.
    pub toolbox: Toolbox,
    /// What an earlier attempt at this clip has left behind, and where this one leaves something.
    pub notebook: Notebook,
    /// Shows media to others, for an engine that has others work for it.
    pub publisher: Publisher,
    /// A folder for files on the way; gone after the attempt.
    pub folder: PathBuf,
}

impl Inputs {
    /// The medium of that member, if there is one.
    pub fn medium(&self, member: Member) -> Option<&InputMedium> {
        self.media.iter().find(|medium| medium.member == member)
    }

    /// How many frames the finished clip has.
    pub fn num_frames(&self) -> u32 {
        frames_in(self.duration_ms)
    }
}

/// How many frames of a finished clip fill so many milliseconds, rounded to the nearest.
pub fn frames_in(duration_ms: u64) -> u32 {
    u32::try_from((duration_ms * u64::from(OUTPUT_FPS) + 500) / 1000).unwrap_or(u32::MAX)
}

/// One medium: measured, and within the limits of its kind.
#[derive(Debug, Clone, PartialEq)]
pub struct InputMedium {
    /// The request member it came in.
    pub member: Member,
    /// Where it lies, readable for as long as the engine works.
    pub path: PathBuf,
    /// What was measured.
    pub facts: Facts,
}

impl InputMedium {
    /// Decodes a still to this size.
    pub fn image(&self, toolbox: &Toolbox, size: FrameSize, fit: Fit) -> Result<Frame, EngineError> {
        let FrameSize { width, height } = size;
        decode_image(toolbox, &self.path, width, height, fit).map_err(|problem| self.problem(problem))
    }

    /// Begins to decode a clip.
    pub fn frames(&self, toolbox: &Toolbox, part: Part) -> Result<ClipReader<'_>, EngineError> {
        let Part {
            size,
            fit,
            fps,
            start_ms,
            max_frames,
        } = part;
        let options = ReadOptions {
            width: size.width,
            height: size.height,
            fps: Fps::new(fps),
            start_ms,
            max_frames,
            fit,
        };
        let reader =
            FrameReader::open(toolbox, &self.path, options).map_err(|problem| self.problem(problem))?;
        Ok(ClipReader { medium: self, reader })
    }

    fn problem(&self, problem: kinora_media::MediaProblem) -> EngineError {
        EngineError::of_medium(self.member, problem)
    }
}

/// What of a clip is decoded, and to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The frames' size.
    pub size: FrameSize,
    /// How the clip's ratio becomes theirs.
    pub fit: Fit,
    /// Frames a second, whatever the clip has.
    pub fps: u32,
    /// Where to begin.
    pub start_ms: u64,
    /// At most so many frames come.
    pub max_frames: u32,
}

/// The frames of a clip, decoded as they are asked for.
pub struct ClipReader<'a> {
    medium: &'a InputMedium,
    reader: FrameReader,
}

impl ClipReader<'_> {
    /// The next frame; `None` after the last.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, EngineError> {
        self.reader
            .next()
            .transpose()
            .map_err(|problem| self.medium.problem(problem))
    }
}

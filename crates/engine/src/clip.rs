//! Where an engine puts what it makes: frame by frame, or as a file that somebody else has finished.

use std::{error::Error, path::Path};

use kinora_media::frames::Fit;
use thiserror::Error;

/// Takes a clip from an engine. Calls block while the other end is busy, so that frames never pile up.
pub trait ClipSink {
    /// Says what the frames will be; once, before the first.
    fn begin(&mut self, format: FrameFormat) -> Result<(), SinkError>;

    /// The next frame: rows from the top, three bytes (red, green, blue) for each pixel.
    fn frame(&mut self, rgb: &[u8]) -> Result<(), SinkError>;

    /// Whether a preview is wanted now, and how many pixels its longer side has at most when it is looked at; a larger one is
    /// scaled. To be asked before each, as an engine that has no picture at hand makes it for this alone.
    fn wants_preview(&mut self) -> Option<u32> {
        None
    }

    /// What the clip looks like so far: a picture of this size, as rows of red, green and blue. Each replaces the last.
    fn preview(&mut self, _width: u32, _height: u32, _rgb: &[u8]) -> Result<(), SinkError> {
        Ok(())
    }

    /// Instead of frames: a finished video file. It is read before this returns and not kept.
    fn file(&mut self, path: &Path) -> Result<(), SinkError>;
}

/// Frames as an engine makes them. The clip is scaled and retimed from here to what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameFormat {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Frames for each second.
    pub fps: u32,
    /// How they become the clip's ratio: cut, or stretched where they show inputs that were stretched to them.
    pub fit: Fit,
}

impl FrameFormat {
    /// Bytes of one frame.
    pub fn frame_bytes(self) -> usize {
        self.width as usize * self.height as usize * 3
    }
}

/// Why a clip is not taken.
#[derive(Debug, Error)]
pub enum SinkError {
    /// An end was asked for.
    #[error("the clip is no longer wanted")]
    Stopped,
    /// Writing it failed.
    #[error("writing the clip failed")]
    Write(#[source] Box<dyn Error + Send + Sync>),
}

//! The inputs of a clip as frames of the model's own size and rate.

use std::collections::VecDeque;

use kinora_domain::{FrameSize, Member, OUTPUT_FPS};
use kinora_media::frames::{Fit, Frame};
use kinora_wan::{Capabilities, Conditioning, FrameRgb, capabilities::Family};

use super::{narrow, round_up};
use crate::{
    ClipSink, EngineError,
    inputs::{ClipReader, InputMedium, Inputs, Part, frames_in},
};

/// Decodes inputs for a model.
pub(super) struct Footage<'a> {
    pub(super) inputs: &'a Inputs,
    /// Of the model's frames.
    pub(super) size: FrameSize,
    /// Of the model's frames.
    pub(super) fps: u32,
}

/// What should appear.
#[derive(Default)]
pub(super) struct References {
    pub(super) images: Vec<FrameRgb>,
    pub(super) videos: Vec<Vec<FrameRgb>>,
}

impl References {
    pub(super) fn is_empty(&self) -> bool {
        self.images.is_empty() && self.videos.is_empty()
    }

    pub(super) fn conditioning(&self) -> Conditioning {
        Conditioning::References {
            images: self.images.clone(),
            videos: self.videos.clone(),
        }
    }
}

impl<'a> Footage<'a> {
    /// A picture that fills the frame: cut to the finished clip's ratio, then stretched to the model's, which differs a little.
    pub(super) fn picture(&self, member: Member) -> Result<FrameRgb, EngineError> {
        let medium = self.medium(member)?;
        Ok(rgb(medium.image(&self.inputs.toolbox, self.size, self.cut())?))
    }

    /// A clip from its start, likewise; at most `max_frames` come.
    pub(super) fn clip(&self, max_frames: usize) -> Result<ClipReader<'a>, EngineError> {
        let part = Part {
            size: self.size,
            fit: self.cut(),
            fps: self.fps,
            start_ms: 0,
            max_frames: narrow(max_frames),
        };
        self.medium(Member::Video)?.frames(&self.inputs.toolbox, part)
    }

    /// The last frames of the clip, at most `most`, and how many it has in all, at the model's rate.
    pub(super) fn end_of_clip(&self, most: usize) -> Result<(VecDeque<FrameRgb>, usize), EngineError> {
        let length_ms = self.medium(Member::Video)?.facts.duration_ms().unwrap_or(0);
        let count = (length_ms as usize * self.fps as usize).div_ceil(1000).max(1);
        let mut reader = self.clip(count)?;
        let mut frames = VecDeque::new();
        let mut count = 0;
        while let Some(frame) = reader.next_frame()? {
            if frames.len() == most {
                frames.pop_front();
            }
            frames.push_back(rgb(frame));
            count += 1;
        }
        if count == 0 {
            return Err(EngineError::InvalidInput {
                member: Member::Video,
                message: "has no pictures".to_owned(),
            });
        }
        Ok((frames, count))
    }

    /// Shows the clip's own pictures, at the finished clip's size and rate; how many there were.
    pub(super) fn show_clip(&self, clip: &mut dyn ClipSink) -> Result<u32, EngineError> {
        let medium = self.medium(Member::Video)?;
        let most = frames_in(medium.facts.duration_ms().unwrap_or(0));
        let part = Part {
            size: self.inputs.size,
            fit: Fit::Cover,
            fps: OUTPUT_FPS,
            start_ms: 0,
            max_frames: most.min(self.inputs.num_frames()),
        };
        let mut reader = medium.frames(&self.inputs.toolbox, part)?;
        let mut shown = 0;
        while let Some(frame) = reader.next_frame()? {
            clip.frame(&frame.rgb)?;
            shown += 1;
        }
        Ok(shown)
    }

    /// Reference pictures and clips, in their order.
    pub(super) fn references(&self, capabilities: &Capabilities) -> Result<References, EngineError> {
        let mut references = References::default();
        for medium in &self.inputs.media {
            let size = || self.size_of(medium, capabilities);
            match medium.member {
                Member::ReferenceImages(_) | Member::ReferenceImage => {
                    let picture = medium.image(&self.inputs.toolbox, size(), Fit::Stretch)?;
                    references.images.push(rgb(picture));
                }
                Member::VideoRefs(_) => {
                    references
                        .videos
                        .push(self.reference(medium, size(), capabilities)?)
                }
                Member::Image | Member::EndImage | Member::Video | Member::Audio => {}
            }
        }
        Ok(references)
    }

    /// A source model is shown the clip, others one frame out of its middle.
    fn reference(
        &self,
        medium: &InputMedium,
        size: FrameSize,
        capabilities: &Capabilities,
    ) -> Result<Vec<FrameRgb>, EngineError> {
        let length_ms = medium.facts.duration_ms().unwrap_or(0);
        let (start_ms, max_frames) = match capabilities.family {
            Family::Sources => (0, capabilities.defaults.num_frames),
            Family::Text | Family::Inpaint { .. } | Family::KnownTokens | Family::Vace => (length_ms / 2, 1),
        };
        let part = Part {
            size,
            fit: Fit::Stretch,
            fps: self.fps,
            start_ms,
            max_frames: narrow(max_frames),
        };
        let mut reader = medium.frames(&self.inputs.toolbox, part)?;
        let mut frames = take(&mut reader, max_frames)?;
        let last = frames.last().cloned().ok_or_else(|| EngineError::InvalidInput {
            member: medium.member,
            message: "has no pictures".to_owned(),
        })?;
        frames.resize(round_up(frames.len()), last);
        Ok(frames)
    }

    /// A reference keeps its ratio: within the model's frame, or, for models that take sources as they are, at its area.
    fn size_of(&self, medium: &InputMedium, capabilities: &Capabilities) -> FrameSize {
        let (width, height) = medium.facts.size().unwrap_or((1, 1));
        let ratio = f64::from(width) / f64::from(height.max(1));
        let FrameSize {
            width: columns,
            height: rows,
        } = self.size;
        let [width, height] = match capabilities.family {
            Family::Sources => capabilities.size_for(ratio, (columns * rows) as usize),
            Family::Text | Family::Inpaint { .. } | Family::KnownTokens | Family::Vace => {
                let within = f64::from(columns).min(f64::from(rows) * ratio);
                [within, within / ratio].map(|extent| (extent.round() as usize).max(1))
            }
        };
        FrameSize {
            width: narrow(width),
            height: narrow(height),
        }
    }

    fn cut(&self) -> Fit {
        let FrameSize { width, height } = self.inputs.size;
        Fit::CutTo { width, height }
    }

    fn medium(&self, member: Member) -> Result<&'a InputMedium, EngineError> {
        self.inputs.medium(member).ok_or_else(|| EngineError::Failed {
            detail: format!("{member} is not among the inputs"),
        })
    }
}

/// The next frames of a clip, at most `most`.
pub(super) fn take(reader: &mut ClipReader<'_>, most: usize) -> Result<Vec<FrameRgb>, EngineError> {
    let mut frames = Vec::new();
    while frames.len() < most {
        match reader.next_frame()? {
            Some(frame) => frames.push(rgb(frame)),
            None => break,
        }
    }
    Ok(frames)
}

fn rgb(frame: Frame) -> FrameRgb {
    FrameRgb {
        width: frame.width as usize,
        height: frame.height as usize,
        data: frame.rgb,
    }
}

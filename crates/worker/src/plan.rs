//! What is decided once the inputs are measured: the size, the length, and the rules that had to wait for them.

use kinora_domain::{ClipLengths, FrameSize, GenerationSpec, Member, Workflow, spec::clip_too_long};
use kinora_engine::InputMedium;

use crate::error::AttemptError;

/// A clip as it will be made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// The frames' size.
    pub(crate) size: FrameSize,
    /// The whole length.
    pub(crate) duration_ms: u64,
    /// Lengths of the inputs, for the exact price.
    pub(crate) lengths: ClipLengths,
}

impl Plan {
    /// Decides, or tells which member the measured inputs contradict.
    pub(crate) fn new(spec: &GenerationSpec, media: &[InputMedium]) -> Result<Plan, AttemptError> {
        let lengths = lengths(media);
        Ok(Plan {
            size: size(spec, media)?,
            duration_ms: duration_ms(spec, &lengths)?,
            lengths,
        })
    }
}

fn lengths(media: &[InputMedium]) -> ClipLengths {
    let mut lengths = ClipLengths::default();
    for medium in media {
        match medium.member {
            Member::Video => lengths.clip_ms = medium.facts.duration_ms(),
            Member::VideoRefs(_) => lengths.reference_ms.push(medium.facts.duration_ms()),
            Member::Image
            | Member::EndImage
            | Member::ReferenceImages(_)
            | Member::ReferenceImage
            | Member::Audio => {}
        }
    }
    lengths
}

/// A given ratio has its published size; else the first frame or the clip decides.
fn size(spec: &GenerationSpec, media: &[InputMedium]) -> Result<FrameSize, AttemptError> {
    if let Some(aspect_ratio) = spec.aspect_ratio {
        return Ok(FrameSize::named(spec.resolution, aspect_ratio));
    }
    let decides = |medium: &&InputMedium| matches!(medium.member, Member::Image | Member::Video);
    let measured = media.iter().find(decides).and_then(|medium| medium.facts.size());
    let (width, height) = measured.ok_or_else(|| AttemptError::Refused {
        field: "aspect_ratio".to_owned(),
        message: "is required where no input has a ratio to follow".to_owned(),
    })?;
    Ok(FrameSize::following(spec.resolution, width, height))
}

fn duration_ms(spec: &GenerationSpec, lengths: &ClipLengths) -> Result<u64, AttemptError> {
    let asked_ms = u64::from(spec.duration_s) * 1000;
    match &spec.workflow {
        Workflow::Text { .. }
        | Workflow::Image { .. }
        | Workflow::FirstLast { .. }
        | Workflow::Reference { .. } => Ok(asked_ms),
        Workflow::Continuation { .. } => {
            let too_long = lengths
                .clip_ms
                .and_then(|clip_ms| clip_too_long(clip_ms, spec.duration_s));
            too_long.map_or(Ok(asked_ms), |message| {
                Err(AttemptError::Refused {
                    field: "duration".to_owned(),
                    message,
                })
            })
        }
        Workflow::Edit { .. } => {
            let clip_ms = lengths.clip_ms.unwrap_or(asked_ms);
            Ok(if asked_ms == 0 {
                clip_ms
            } else {
                clip_ms.min(asked_ms)
            })
        }
    }
}

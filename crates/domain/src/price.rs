//! What a generation costs: seconds made (and, for some features, seconds read) times a configured rate.

use crate::{
    credits::Credits,
    frame_size::Resolution,
    spec::{GenerationSpec, Workflow},
};

/// The longest clip an edit may be asked to read, in milliseconds: the bound used while its length is unknown.
pub const EDIT_CLIP_MS_MAX: u64 = 10_000;
/// The longest reference video, in milliseconds: the bound used while its length is unknown.
pub const REFERENCE_VIDEO_MS_MAX: u64 = 30_000;

/// Rates, from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceTable {
    /// Credits for each second at 720p.
    pub credits_per_second_720p: u64,
    /// Credits for each second at 1080p.
    pub credits_per_second_1080p: u64,
    /// At most so much input is billed, in milliseconds; `None` bills all of it.
    pub billed_input_ms_max: Option<u64>,
}

/// Lengths of a generation's clips as far as they are known, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClipLengths {
    /// Of the clip to edit or to continue.
    pub clip_ms: Option<u64>,
    /// Of each reference video, in order.
    pub reference_ms: Vec<Option<u64>>,
}

impl ClipLengths {
    /// What the spec alone knows: uploads are measured, URLs are not.
    pub fn of(spec: &GenerationSpec) -> ClipLengths {
        match &spec.workflow {
            Workflow::Text { .. } | Workflow::Image { .. } | Workflow::FirstLast { .. } => {
                ClipLengths::default()
            }
            Workflow::Continuation { clip, .. } | Workflow::Edit { clip, .. } => ClipLengths {
                clip_ms: clip.duration_ms(),
                reference_ms: Vec::new(),
            },
            Workflow::Reference { videos, .. } => ClipLengths {
                clip_ms: None,
                reference_ms: videos.iter().map(|video| video.duration_ms()).collect(),
            },
        }
    }
}

/// The time that is billed for one clip, and its price for all `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Billable {
    /// Input, in milliseconds, after the configured cap.
    pub input_ms: u64,
    /// Output, in milliseconds.
    pub output_ms: u64,
    /// The rate that applies.
    pub credits_per_second: u64,
    /// Price for all clips of the generation.
    pub credits: Credits,
    /// False when an unknown length was counted at its upper bound.
    pub exact: bool,
}

impl PriceTable {
    /// Credits for each second at `resolution`.
    pub fn rate(&self, resolution: Resolution) -> u64 {
        match resolution {
            Resolution::P720 => self.credits_per_second_720p,
            Resolution::P1080 => self.credits_per_second_1080p,
        }
    }

    /// The price of a spec whose clips are as long as `lengths` says; unknown lengths count at their bound.
    pub fn price(&self, spec: &GenerationSpec, lengths: &ClipLengths) -> Billable {
        let (input_ms, output_ms, exact) = billable_ms(spec, lengths);
        let input_ms = self.billed_input_ms_max.map_or(input_ms, |cap| input_ms.min(cap));
        let credits_per_second = self.rate(spec.resolution);
        let each = (credits_per_second * (input_ms + output_ms)).div_ceil(1000);
        Billable {
            input_ms,
            output_ms,
            credits_per_second,
            credits: Credits(u64::from(spec.n) * each),
            exact,
        }
    }
}

/// Input and output in milliseconds, and whether both are known for sure.
fn billable_ms(spec: &GenerationSpec, lengths: &ClipLengths) -> (u64, u64, bool) {
    let asked_ms = u64::from(spec.duration_s) * 1000;
    match &spec.workflow {
        Workflow::Text { .. }
        | Workflow::Image { .. }
        | Workflow::FirstLast { .. }
        | Workflow::Continuation { .. } => (0, asked_ms, true),
        Workflow::Reference { videos, .. } => {
            let length = |i: usize| lengths.reference_ms.get(i).copied().flatten();
            let input = (0..videos.len())
                .map(|i| length(i).unwrap_or(REFERENCE_VIDEO_MS_MAX))
                .sum();
            (input, asked_ms, (0..videos.len()).all(|i| length(i).is_some()))
        }
        Workflow::Edit { .. } => {
            let limit = if asked_ms == 0 { EDIT_CLIP_MS_MAX } else { asked_ms };
            let used = match lengths.clip_ms {
                Some(clip_ms) if asked_ms == 0 => clip_ms,
                Some(clip_ms) => clip_ms.min(asked_ms),
                None => limit,
            };
            (used, used, lengths.clip_ms.is_some())
        }
    }
}

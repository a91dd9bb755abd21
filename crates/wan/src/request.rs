//! What a generation is asked for.

use kinora_tensor::Tensor;

use crate::frame::FrameRgb;
use crate::sampling::SolverKind;
use crate::sampling::StepCache;
use crate::sampling::guidance::Guidance;

/// One generation, complete: nothing is filled in later.
#[derive(Debug, Clone)]
pub struct Request {
    /// What should be seen.
    pub prompt: String,
    /// What should not; matters only where guidance is on.
    pub negative_prompt: String,
    /// Columns of the frames.
    pub width: usize,
    /// Rows of the frames.
    pub height: usize,
    /// How many frames come out, 4n + 1.
    pub num_frames: usize,
    /// What the walk starts from.
    pub noise: Noise,
    /// How the noise is walked away from.
    pub sampling: Sampling,
    /// Which steps may be spared by caching; `None` computes them all, as the reference does.
    pub step_cache: Option<StepCache>,
    /// How far to lean from the negative prompt to the prompt.
    pub guidance: Guidance,
    /// What is known beside the prompt.
    pub conditioning: Conditioning,
}

/// Where the first latents come from.
#[derive(Debug, Clone)]
pub enum Noise {
    /// Drawn from this seed as PyTorch draws on a CPU: the same on every device and at every attempt.
    Seed(u64),
    /// These latents, `[F, H, W, Z]`.
    Given(Tensor),
}

/// Which sigmas to walk, and how.
#[derive(Debug, Clone, PartialEq)]
pub enum Sampling {
    /// As the checkpoint's own configuration has it.
    Checkpoint {
        /// How many steps.
        steps: usize,
    },
    /// Another solver or shift.
    Custom {
        /// The update rule.
        solver: SolverKind,
        /// How many steps.
        steps: usize,
        /// How far the sigmas bend towards noise.
        shift: f64,
    },
    /// The fixed list of a few-step distilled checkpoint, walked by Euler.
    Distilled {
        /// Timesteps before shifting, falling.
        timesteps: Vec<f64>,
        /// How far they bend towards noise.
        shift: f64,
    },
}

/// What is known of a clip before it is generated. Frames have the size of the request; reference pictures any size.
#[derive(Debug, Clone, PartialEq)]
pub enum Conditioning {
    /// Nothing but the prompt.
    Text,
    /// How it starts.
    FirstFrame(FrameRgb),
    /// How it starts and ends.
    FirstAndLast {
        /// The first frame.
        first: FrameRgb,
        /// The last frame.
        last: FrameRgb,
    },
    /// A clip to go on from. Its last frames come out again as the first of the result, as many as
    /// [`Outcome::known_frames`](crate::Outcome) says.
    Continue {
        /// The frames so far, oldest first.
        frames: Vec<FrameRgb>,
    },
    /// A control clip: frames, which of their pixels are to be made anew, and pictures of what should appear.
    Vace(VaceControl),
    /// Pictures and clips of what should appear.
    References {
        /// Pictures, in the order in which the prompt counts them.
        images: Vec<FrameRgb>,
        /// Clips, likewise.
        videos: Vec<Vec<FrameRgb>>,
    },
    /// A clip to change as the prompt says, with pictures of what should appear in it.
    Edit {
        /// The frames to change.
        frames: Vec<FrameRgb>,
        /// Pictures, in the order in which the prompt counts them.
        references: Vec<FrameRgb>,
    },
}

/// What VACE is controlled by.
#[derive(Debug, Clone, PartialEq)]
pub struct VaceControl {
    /// As many frames as are generated; empty for none.
    pub frames: Vec<FrameRgb>,
    /// For each frame, which pixels are made anew.
    pub masks: Vec<Mask>,
    /// Pictures of what should appear.
    pub references: Vec<FrameRgb>,
    /// How strongly the control clip acts; 1 as trained.
    pub scale: f32,
}

/// One value per pixel of a frame: from 128 on the pixel is made anew, below it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// Row by row.
    pub data: Vec<u8>,
}

impl Conditioning {
    /// For messages and offers.
    pub fn name(&self) -> &'static str {
        match self {
            Conditioning::Text => "text",
            Conditioning::FirstFrame(_) => "first frame",
            Conditioning::FirstAndLast { .. } => "first and last frame",
            Conditioning::Continue { .. } => "continuation",
            Conditioning::Vace(_) => "VACE control",
            Conditioning::References { .. } => "references",
            Conditioning::Edit { .. } => "edit",
        }
    }
}

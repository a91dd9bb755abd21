//! What a loaded checkpoint can do, and what it was made for: derived from its configuration alone.

use crate::config::DitConfig;
use crate::config::PipelineConfig;
use crate::config::SamplingConfig;
use crate::config::VaeConfig;
use crate::request::Conditioning;
use crate::sampling::guidance::Guidance;

/// How known frames reach the DiT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Not at all: the prompt is all there is.
    Text,
    /// Beside the noise, as channels: a mask and the known frames' latents.
    Inpaint {
        /// Whether an image encoder's states are attended to as well.
        image: ImageBranch,
    },
    /// In place of the noise: known tokens have a timestep of 0.
    KnownTokens,
    /// Through hints of a second stack.
    Vace,
    /// As further clips beside the generated one, attended to.
    Sources,
}

/// What the picture branch of an inpainting model attends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageBranch {
    /// There is none.
    Absent,
    /// Any number of pictures; one as trained.
    Pictures,
    /// Exactly two, told apart by position.
    FirstAndLast,
}

/// What a checkpoint can do.
#[derive(Debug, Clone, PartialEq)]
pub struct Capabilities {
    /// How known frames reach the DiT.
    pub family: Family,
    /// Kinds of conditioning it takes, by [`Conditioning::name`].
    pub conditionings: Vec<&'static str>,
    /// Width and height are multiples of this.
    pub size_multiple: usize,
    /// Frames come in this number plus one.
    pub frame_multiple: usize,
    /// What it was made for.
    pub defaults: Defaults,
}

/// What a checkpoint was made for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Defaults {
    /// Frames.
    pub num_frames: usize,
    /// Frames per second.
    pub fps: usize,
    /// Steps.
    pub steps: usize,
    /// How far the sigmas bend towards noise, as the checkpoint's files say.
    pub shift: f64,
    /// Guidance.
    pub guidance: Guidance,
    /// The negative prompt that the models were tuned with.
    pub negative_prompt: &'static str,
}

/// The negative prompt of the original configuration (`wan/configs/shared_config.py`), character for character: it was trained
/// against, so quality depends on its very tokens.
pub const NEGATIVE_PROMPT: &str = "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，\
JPEG压缩残留，丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，\
杂乱的背景，三条腿，背景人很多，倒着走";

impl Family {
    /// What the parts of a checkpoint amount to; None where they amount to nothing known.
    pub fn of(pipeline: &PipelineConfig, dit: &DitConfig, vae: &VaeConfig) -> Option<Self> {
        let z = vae.z_dim;
        let has_known_tokens = pipeline.has_known_tokens;
        // A mask with an entry per frame of a latent, and the known frames' latents.
        let inpainting = 2 * z + vae.scale_factor_temporal;
        let image = match (dit.image_dim, dit.pos_embed_tokens) {
            (None, _) => ImageBranch::Absent,
            (Some(_), None) => ImageBranch::Pictures,
            (Some(_), Some(_)) => ImageBranch::FirstAndLast,
        };
        if dit.out_channels != z {
            return None;
        }
        match (&dit.vace, image) {
            (Some(vace), ImageBranch::Absent) if dit.in_channels == z => {
                let folded = vae.scale_factor_spatial * vae.scale_factor_spatial;
                (vace.channels == 2 * z + folded).then_some(Family::Vace)
            }
            (Some(_), _) => None,
            (None, _) if dit.in_channels == inpainting && !has_known_tokens => {
                Some(Family::Inpaint { image })
            }
            (None, ImageBranch::Absent) if dit.in_channels == z => Some(if has_known_tokens {
                Family::KnownTokens
            } else if pipeline.class_name.starts_with("Bernini") {
                Family::Sources
            } else {
                Family::Text
            }),
            (None, _) => None,
        }
    }

    /// Whether a kind of conditioning can be carried out, not approximated.
    pub fn takes(self, conditioning: &Conditioning) -> bool {
        use Conditioning as C;
        match self {
            Family::Text => matches!(conditioning, C::Text),
            Family::Inpaint {
                image: ImageBranch::FirstAndLast,
            } => matches!(conditioning, C::FirstAndLast { .. }),
            Family::Inpaint { .. } => {
                matches!(
                    conditioning,
                    C::FirstFrame(_) | C::FirstAndLast { .. } | C::Continue { .. }
                )
            }
            Family::KnownTokens => matches!(conditioning, C::Text | C::FirstFrame(_) | C::Continue { .. }),
            Family::Vace => match conditioning {
                C::References { videos, .. } => videos.is_empty(),
                C::Edit { .. } => false,
                _ => true,
            },
            Family::Sources => matches!(conditioning, C::Text | C::References { .. } | C::Edit { .. }),
        }
    }

    fn conditionings(self) -> Vec<&'static str> {
        match self {
            Family::Text => vec!["text"],
            Family::Inpaint {
                image: ImageBranch::FirstAndLast,
            } => vec!["first and last frame"],
            Family::Inpaint { .. } => vec!["first frame", "first and last frame", "continuation"],
            Family::KnownTokens => vec!["text", "first frame", "continuation"],
            Family::Vace => {
                vec![
                    "text",
                    "first frame",
                    "first and last frame",
                    "continuation",
                    "VACE control",
                    "references",
                ]
            }
            Family::Sources => vec!["text", "references", "edit"],
        }
    }
}

impl Capabilities {
    /// Those of a checkpoint. Defaults are those of the original configurations.
    pub(crate) fn of(
        family: Family,
        pipeline: &PipelineConfig,
        sampling: &SamplingConfig,
        dit: &DitConfig,
        vae: &VaeConfig,
    ) -> Self {
        let guidance = |low_noise, high_noise| Guidance {
            low_noise,
            high_noise,
        };
        let (num_frames, fps, steps, guidance) = match (family, pipeline.boundary_ratio) {
            (Family::KnownTokens, _) => (121, 24, 50, guidance(5.0, 5.0)),
            (Family::Text, Some(_)) => (81, 16, 40, guidance(3.0, 4.0)),
            (Family::Inpaint { .. }, Some(_)) => (81, 16, 40, guidance(3.5, 3.5)),
            (
                Family::Inpaint {
                    image: ImageBranch::FirstAndLast,
                },
                None,
            ) => (81, 16, 50, guidance(5.0, 5.0)),
            (Family::Inpaint { .. }, None) => (81, 16, 40, guidance(5.0, 5.0)),
            (Family::Sources, _) => (81, 16, 40, guidance(4.0, 4.0)),
            (Family::Text | Family::Vace, _) => (81, 16, 50, guidance(5.0, 5.0)),
        };
        Self {
            family,
            conditionings: family.conditionings(),
            size_multiple: vae.scale_factor_spatial * dit.patch[1].max(dit.patch[2]),
            frame_multiple: vae.scale_factor_temporal,
            defaults: Defaults {
                num_frames,
                fps,
                steps,
                shift: sampling.shift,
                guidance,
                negative_prompt: NEGATIVE_PROMPT,
            },
        }
    }
}

//! What a loaded checkpoint can do, and what it was made for: derived from its configuration, and from its [`Card`] where it has
//! one.

use std::path::PathBuf;

use serde::Deserialize;

use crate::conditioning;
use crate::config::DitConfig;
use crate::config::PipelineConfig;
use crate::config::SamplingConfig;
use crate::config::VaeConfig;
use crate::error::LoadError;
use crate::files::Files;
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
    /// What it calls itself.
    pub name: Option<String>,
    /// What it is good for, sentences for people.
    pub about: Option<String>,
    /// How known frames reach the DiT.
    pub family: Family,
    /// Kinds of conditioning it takes, by [`Conditioning::name`].
    pub conditionings: Vec<&'static str>,
    /// The words of its prompts, where it knows few; empty where it takes any.
    pub words: Vec<String>,
    /// Whether it gains by prompts that say more than their author did.
    pub prompt_expansion: bool,
    /// Whether a clip can stand where a reference picture does: a frame of it is taken.
    pub takes_reference_videos: bool,
    /// Width and height are multiples of this.
    pub size_multiple: usize,
    /// Frames come in this number plus one.
    pub frame_multiple: usize,
    /// What it was made for.
    pub defaults: Defaults,
}

/// What a checkpoint was made for.
#[derive(Debug, Clone, PartialEq)]
pub struct Defaults {
    /// Frame sizes `[width, height]`; empty for any size of about `area`.
    pub sizes: Vec<[usize; 2]>,
    /// Pixels of a frame.
    pub area: usize,
    /// Frames.
    pub num_frames: usize,
    /// Frames per second.
    pub fps: usize,
    /// Steps.
    pub steps: usize,
    /// How far the sigmas bend towards noise, as the checkpoint's files say.
    pub shift: f64,
    /// The timesteps of a few-step distilled checkpoint, before shifting; empty for others.
    pub timesteps: Vec<f64>,
    /// Guidance.
    pub guidance: Guidance,
    /// The negative prompt that the models were tuned with.
    pub negative_prompt: String,
    /// Reference pictures, at most.
    pub references: usize,
}

/// `kinora.json`: what a checkpoint says of itself beyond its other files. Most have none; every key is optional.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Card {
    name: Option<String>,
    about: Option<String>,
    /// Which of several files are its parts, where it is made of loose ones: paths, from the card's folder on.
    pub(crate) transformer: Option<PathBuf>,
    pub(crate) transformer_low_noise: Option<PathBuf>,
    pub(crate) text_encoder: Option<PathBuf>,
    pub(crate) vae: Option<PathBuf>,
    pub(crate) image_encoder: Option<PathBuf>,
    pub(crate) tokenizer: Option<PathBuf>,
    /// Attention heads of the transformer, and of the image encoder, which their shapes do not tell.
    pub(crate) heads: Option<usize>,
    pub(crate) image_heads: Option<usize>,
    /// How far the sigmas bend towards noise.
    pub(crate) shift: Option<f64>,
    /// From which share of the timesteps on the high-noise expert is asked.
    pub(crate) boundary: Option<f64>,
    /// The timesteps of a few-step distilled checkpoint, before shifting.
    timesteps: Vec<f64>,
    sizes: Vec<[usize; 2]>,
    num_frames: Option<usize>,
    fps: Option<usize>,
    steps: Option<usize>,
    guidance: Option<f32>,
    negative_prompt: Option<String>,
    references: Option<usize>,
    words: Vec<String>,
    /// Whether prompts should be expanded for it; those of a checkpoint that knows few words should not.
    prompt_expansion: Option<bool>,
    /// A VACE checkpoint that changes a clip as its prompt says: the clip is its control, all of it to be made anew.
    instruction_edit: bool,
    /// A VACE checkpoint that takes a frame of a clip for a reference picture.
    reference_videos: bool,
}

impl Card {
    /// That of a checkpoint; the default where it has none.
    pub(crate) fn of(files: &Files) -> Result<Self, LoadError> {
        match files.optional_document("kinora.json")? {
            Some(document) => document.parse(),
            None => Ok(Self::default()),
        }
    }

    /// The key of the first part that it names.
    pub(crate) fn first_part(&self) -> Option<&'static str> {
        let named = [
            ("transformer", &self.transformer),
            ("transformer_low_noise", &self.transformer_low_noise),
            ("text_encoder", &self.text_encoder),
            ("vae", &self.vae),
            ("image_encoder", &self.image_encoder),
            ("tokenizer", &self.tokenizer),
        ];
        let mut named = named.into_iter().filter(|(_, path)| path.is_some());
        named.next().map(|(key, _)| key)
    }
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
        card: Card,
    ) -> Self {
        let Card {
            name,
            about,
            transformer: _,
            transformer_low_noise: _,
            text_encoder: _,
            vae: _,
            image_encoder: _,
            tokenizer: _,
            heads: _,
            image_heads: _,
            shift: _,
            boundary: _,
            timesteps,
            sizes,
            num_frames,
            fps,
            steps,
            guidance,
            negative_prompt,
            references,
            words,
            prompt_expansion,
            instruction_edit,
            reference_videos,
        } = card;
        let defaults = Defaults::of(family, pipeline, sampling.shift);
        let is_vace = family == Family::Vace;
        let mut conditionings = family.conditionings();
        if is_vace && instruction_edit {
            conditionings.push("edit");
        }
        Self {
            name,
            about,
            family,
            conditionings,
            prompt_expansion: prompt_expansion.unwrap_or(words.is_empty()),
            words,
            takes_reference_videos: family == Family::Sources || (is_vace && reference_videos),
            size_multiple: vae.scale_factor_spatial * dit.patch[1].max(dit.patch[2]),
            frame_multiple: vae.scale_factor_temporal,
            defaults: Defaults {
                sizes,
                num_frames: num_frames.unwrap_or(defaults.num_frames),
                fps: fps.unwrap_or(defaults.fps),
                steps: match timesteps.len() {
                    0 => steps.unwrap_or(defaults.steps),
                    distilled => distilled,
                },
                // Distilled models have learnt what guidance does.
                guidance: match (guidance, timesteps.is_empty()) {
                    (Some(guidance), _) => Guidance::uniform(guidance),
                    (None, true) => defaults.guidance,
                    (None, false) => Guidance::off(),
                },
                timesteps,
                negative_prompt: negative_prompt.unwrap_or(defaults.negative_prompt),
                references: references.unwrap_or(defaults.references),
                ..defaults
            },
        }
    }

    /// Whether a kind of conditioning can be carried out, not approximated.
    pub fn takes(&self, conditioning: &Conditioning) -> bool {
        let has_videos =
            matches!(conditioning, Conditioning::References { videos, .. } if !videos.is_empty());
        self.conditionings.contains(&conditioning.name()) && (!has_videos || self.takes_reference_videos)
    }

    /// How many frames of a clip of `given` frames a run of `num_frames` goes on from: they come out again as its first ones.
    pub fn continued_frames(&self, given: usize, num_frames: usize) -> usize {
        match self.family {
            Family::Vace => conditioning::continued_frames(given, num_frames),
            Family::Text | Family::Inpaint { .. } | Family::KnownTokens | Family::Sources => 1,
        }
    }

    /// The size `[width, height]` at which frames of `ratio` (width over height) are best made.
    pub fn size_for(&self, ratio: f64, area: usize) -> [usize; 2] {
        let off = |width: usize, height: usize| (width as f64 / height as f64 / ratio).ln().abs();
        if let Some(size) =
            (self.defaults.sizes.iter()).min_by(|a, b| off(a[0], a[1]).total_cmp(&off(b[0], b[1])))
        {
            return *size;
        }
        let multiple = self.size_multiple;
        let ideal = (area as f64 * ratio).sqrt() / multiple as f64;
        // A stretched picture is worse than one of another size.
        let cost = |[width, height]: [usize; 2]| {
            4.0 * off(width, height) + ((width * height) as f64 / area as f64).ln().abs()
        };
        let columns = (ideal * 0.8) as usize..=(ideal * 1.25).ceil() as usize;
        let sizes = columns.filter(|columns| *columns > 0).map(|columns| {
            let rows = (columns as f64 / ratio).round().max(1.0) as usize;
            [columns * multiple, rows * multiple]
        });
        sizes
            .min_by(|a, b| cost(*a).total_cmp(&cost(*b)))
            .unwrap_or([multiple; 2])
    }
}

impl Defaults {
    /// Those of the original configurations (`wan/configs/*.py`) for a family.
    fn of(family: Family, pipeline: &PipelineConfig, shift: f64) -> Self {
        const AREA_480P: usize = 832 * 480;
        const AREA_720P: usize = 1280 * 704;
        let guidance = |low_noise, high_noise| Guidance {
            low_noise,
            high_noise,
        };
        let first_and_last = Family::Inpaint {
            image: ImageBranch::FirstAndLast,
        };
        let (num_frames, fps, steps, guidance) = match (family, pipeline.boundary_ratio) {
            (Family::KnownTokens, _) => (121, 24, 50, guidance(5.0, 5.0)),
            (Family::Text, Some(_)) => (81, 16, 40, guidance(3.0, 4.0)),
            (Family::Inpaint { .. }, Some(_)) => (81, 16, 40, guidance(3.5, 3.5)),
            (family, None) if family == first_and_last => (81, 16, 50, guidance(5.0, 5.0)),
            (Family::Inpaint { .. }, None) => (81, 16, 40, guidance(5.0, 5.0)),
            (Family::Sources, _) => (81, 16, 40, guidance(4.0, 4.0)),
            (Family::Text | Family::Vace, _) => (81, 16, 50, guidance(5.0, 5.0)),
        };
        let is_large = family == Family::KnownTokens || family == first_and_last;
        Self {
            sizes: Vec::new(),
            area: if is_large { AREA_720P } else { AREA_480P },
            num_frames,
            fps,
            steps,
            shift,
            timesteps: Vec::new(),
            guidance,
            negative_prompt: NEGATIVE_PROMPT.into(),
            references: match family {
                Family::Sources | Family::Vace => 8,
                Family::Text | Family::Inpaint { .. } | Family::KnownTokens => 0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities(sizes: &[[usize; 2]]) -> Capabilities {
        let pipeline = PipelineConfig {
            class_name: String::new(),
            boundary_ratio: None,
            has_known_tokens: false,
        };
        let defaults = Defaults::of(Family::Text, &pipeline, 3.0);
        Capabilities {
            name: None,
            about: None,
            family: Family::Text,
            conditionings: Family::Text.conditionings(),
            words: Vec::new(),
            prompt_expansion: true,
            takes_reference_videos: false,
            size_multiple: 16,
            frame_multiple: 4,
            defaults: Defaults {
                sizes: sizes.into(),
                ..defaults
            },
        }
    }

    #[test]
    fn sizes_keep_the_ratio_and_then_the_area() {
        let check = |sizes: &[[usize; 2]], ratio, area, expected| {
            assert_eq!(capabilities(sizes).size_for(ratio, area), expected, "{ratio}");
        };
        check(&[], 16.0 / 9.0, 832 * 480, [848, 480]);
        check(&[], 9.0 / 16.0, 832 * 480, [480, 848]);
        check(&[], 1.0, 832 * 480, [640, 640]);
        check(&[], 4.0 / 3.0, 832 * 480, [720, 544]);
        check(&[], 16.0 / 9.0, 1280 * 720, [1280, 720]);
        check(&[], 8.0, 832 * 480, [1792, 224]);
        let made_for = [[112, 64], [64, 112], [80, 80]];
        check(&made_for, 16.0 / 9.0, 0, [112, 64]);
        check(&made_for, 0.9, 0, [80, 80]);
        check(&made_for, 0.5, 0, [64, 112]);
    }
}

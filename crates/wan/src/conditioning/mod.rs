//! What is known of a clip, as the DiT takes it: for each family of checkpoints, from frames to latents, masks and states.
//!
//! Reference: diffusers `pipeline_wan_i2v.py`, `prepare_latents`. Frames are encoded by an [`Encode`], which is all that is known
//! here of VAE and CLIP.

mod vace;

pub(crate) use self::vace::continued_frames;

use kinora_tensor::Device;
use kinora_tensor::Result;
use kinora_tensor::Tensor;

use crate::capabilities::Family;
use crate::capabilities::ImageBranch;
use crate::error::GenerateError;
use crate::error::Halt;
use crate::frame;
use crate::frame::FrameRgb;
use crate::progress::Stage;
use crate::request::Conditioning;
use crate::request::Request;
use crate::vace::Control;

/// What a walk from noise to latents is held to.
#[derive(Default)]
pub(crate) struct Known {
    /// `[F, H, W, 4 + Z]`: mask and latents, joined to the noise as channels.
    pub(crate) channels: Option<Tensor>,
    /// `[1, H, W, Z]`: stands in place of the first latent frame, at timestep 0.
    pub(crate) first: Option<Tensor>,
    /// VACE's control clip.
    pub(crate) control: Option<Control>,
    /// `[images · tokens, image_dim]`.
    pub(crate) image: Option<Tensor>,
    /// Clips `[F, H, W, Z]` beside the generated one, videos before images.
    pub(crate) sources: Sources,
    /// How many latent frames before the clip hold references, and are not decoded.
    pub(crate) leading: usize,
    /// How many of the result's first frames were given.
    pub(crate) frames: usize,
    /// What was done differently from what one might expect.
    pub(crate) warnings: Vec<Warning>,
}

/// Latents of source clips.
#[derive(Default)]
pub(crate) struct Sources {
    pub(crate) videos: Vec<Tensor>,
    pub(crate) images: Vec<Tensor>,
}

/// What was done differently from what one might expect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A prompt is longer than the models read; its end was left out.
    LongPrompt {
        /// Which one: `prompt` or `negative_prompt`.
        field: &'static str,
    },
    /// Of the clip to go on from, only the last frame is seen: its motion is not carried on.
    OnlyLastFrame,
    /// The checkpoint was trained for the first frame alone; it follows the last one without having learned to.
    UntrainedLastFrame,
    /// Of every reference clip, one frame was taken as a picture.
    VideosAsPictures,
    /// More sources than the checkpoint was trained on.
    ManySources {
        /// How many there are.
        count: usize,
    },
}

/// Frames to latents and states.
pub(crate) trait Encode {
    /// A clip `[T, Y, X, 3]` in −1…1 to latents `[F, H, W, Z]` as the DiT knows them.
    fn latents(&mut self, clip: &Tensor) -> std::result::Result<Tensor, GenerateError>;
    /// Pictures to states `[images · tokens, image_dim]`.
    fn states(&mut self, pictures: &[&FrameRgb]) -> std::result::Result<Tensor, GenerateError>;
}

/// Turns a request's conditioning into what the family takes. The caller has checked that it takes it.
pub(crate) fn prepare(
    device: &Device,
    family: Family,
    request: &Request,
    scale: VaeScale,
    encode: &mut dyn Encode,
) -> std::result::Result<Known, GenerateError> {
    match family {
        Family::Text => Ok(Known::default()),
        Family::Inpaint { image } => inpaint(device, request, image, encode),
        Family::KnownTokens => known_tokens(device, request, encode),
        Family::Vace => vace::prepare(device, request, scale, encode),
        Family::Sources => sources(device, request, encode),
    }
}

/// Pixels per latent.
#[derive(Clone, Copy)]
pub(crate) struct VaeScale {
    pub(crate) space: usize,
    pub(crate) time: usize,
}

/// Known frames at the ends of a clip.
struct Ends<'a> {
    first: Option<&'a FrameRgb>,
    last: Option<&'a FrameRgb>,
}

impl<'a> Ends<'a> {
    fn of(conditioning: &'a Conditioning) -> Self {
        match conditioning {
            Conditioning::FirstFrame(first) => Self {
                first: Some(first),
                last: None,
            },
            Conditioning::FirstAndLast { first, last } => Self {
                first: Some(first),
                last: Some(last),
            },
            Conditioning::Continue { frames } => Self {
                first: frames.last(),
                last: None,
            },
            Conditioning::Text
            | Conditioning::Vace(_)
            | Conditioning::References { .. }
            | Conditioning::Edit { .. } => Self {
                first: None,
                last: None,
            },
        }
    }
}

fn inpaint(
    device: &Device,
    request: &Request,
    image: ImageBranch,
    encode: &mut dyn Encode,
) -> std::result::Result<Known, GenerateError> {
    let ends = Ends::of(&request.conditioning);
    let pictures: Vec<&FrameRgb> = [ends.first, ends.last].into_iter().flatten().collect();
    let clip = compute(clip_of_ends(device, &ends, request))?;
    let latents = encode.latents(&clip)?;
    let mask = compute(inpaint_mask(&latents, ends.last.is_some()))?;
    let mut warnings = Vec::new();
    if matches!(request.conditioning, Conditioning::Continue { .. }) {
        warnings.push(Warning::OnlyLastFrame);
    }
    if ends.last.is_some() && image == ImageBranch::Pictures {
        warnings.push(Warning::UntrainedLastFrame);
    }
    Ok(Known {
        channels: Some(compute(Tensor::concat(&[&mask, &latents], 3))?),
        image: if image == ImageBranch::Absent {
            None
        } else {
            Some(encode.states(&pictures)?)
        },
        frames: 1,
        warnings,
        ..Known::default()
    })
}

/// The known frames in their places, mid grey between them.
fn clip_of_ends(device: &Device, ends: &Ends<'_>, request: &Request) -> Result<Tensor> {
    let picture = |picture: Option<&FrameRgb>| {
        picture
            .map(|picture| frame::to_clip(device, std::slice::from_ref(picture)))
            .transpose()
    };
    let (first, last) = (picture(ends.first)?, picture(ends.last)?);
    let known = usize::from(first.is_some()) + usize::from(last.is_some());
    let missing = [
        request.num_frames.saturating_sub(known),
        request.height,
        request.width,
        3,
    ];
    let grey = if missing[0] > 0 {
        Some(Tensor::zeros(device, missing)?)
    } else {
        None
    };
    let parts: Vec<&Tensor> = [&first, &grey, &last]
        .into_iter()
        .filter_map(Option::as_ref)
        .collect();
    Tensor::concat(&parts, 0)
}

/// `[F, H, W, 4]`: for each frame of pixels that a latent frame stands for, 1 where it is known. The first latent frame stands for
/// one frame, counted four times.
fn inpaint_mask(latents: &Tensor, is_last_known: bool) -> Result<Tensor> {
    const FRAMES: usize = 4;
    let [frames, rows, columns, _] = *latents.dims() else {
        unreachable!("latents are [F, H, W, Z]");
    };
    let is_known = |frame: usize, part: usize| {
        frame == 0 || (is_last_known && frame + 1 == frames && part + 1 == FRAMES)
    };
    let latent = |frame: usize| (0..FRAMES).map(move |part| if is_known(frame, part) { 1.0 } else { 0.0 });
    let numbers = (0..frames)
        .flat_map(|frame| (0..rows * columns).flat_map(move |_| latent(frame)))
        .collect();
    Tensor::from_vec(latents.device(), [frames, rows, columns, FRAMES], numbers)
}

fn known_tokens(
    device: &Device,
    request: &Request,
    encode: &mut dyn Encode,
) -> std::result::Result<Known, GenerateError> {
    let Some(first) = Ends::of(&request.conditioning).first else {
        return Ok(Known::default());
    };
    let clip = compute(frame::to_clip(device, std::slice::from_ref(first)))?;
    let is_continued = matches!(request.conditioning, Conditioning::Continue { .. });
    Ok(Known {
        first: Some(encode.latents(&clip)?),
        frames: 1,
        warnings: if is_continued {
            vec![Warning::OnlyLastFrame]
        } else {
            Vec::new()
        },
        ..Known::default()
    })
}

fn sources(
    device: &Device,
    request: &Request,
    encode: &mut dyn Encode,
) -> std::result::Result<Known, GenerateError> {
    let (videos, images): (Vec<&[FrameRgb]>, &[FrameRgb]) = match &request.conditioning {
        Conditioning::Edit { frames, references } => (vec![frames], references),
        Conditioning::References { images, videos } => (videos.iter().map(Vec::as_slice).collect(), images),
        Conditioning::Text
        | Conditioning::FirstFrame(_)
        | Conditioning::FirstAndLast { .. }
        | Conditioning::Continue { .. }
        | Conditioning::Vace(_) => (Vec::new(), &[]),
    };
    let mut sources = Sources::default();
    for frames in videos {
        sources
            .videos
            .push(encode.latents(&compute(frame::to_clip(device, frames))?)?);
    }
    for image in images {
        sources
            .images
            .push(encode.latents(&compute(frame::to_clip(device, std::slice::from_ref(image)))?)?);
    }
    let count = sources.videos.len() + sources.images.len();
    let warnings = if count > SOURCES_TRAINED {
        vec![Warning::ManySources { count }]
    } else {
        Vec::new()
    };
    Ok(Known {
        sources,
        warnings,
        ..Known::default()
    })
}

/// As many sources as source models were trained on.
pub(crate) const SOURCES_TRAINED: usize = 5;

fn compute<T>(result: Result<T>) -> std::result::Result<T, GenerateError> {
    result.map_err(|error| Halt::Tensor(error).at(Stage::EncodeFrames))
}

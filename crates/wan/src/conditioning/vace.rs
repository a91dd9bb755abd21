//! A control clip for VACE: what is kept, what is made anew, and pictures of what should appear.
//!
//! Reference: Wan2.1 `wan/vace.py`; diffusers `pipeline_wan_vace.py`, `prepare_video_latents`, `prepare_masks`.

use kinora_tensor::Device;
use kinora_tensor::Result;
use kinora_tensor::Tensor;

use super::Encode;
use super::Known;
use super::VaeScale;
use super::Warning;
use super::compute;
use crate::error::GenerateError;
use crate::frame;
use crate::frame::FrameRgb;
use crate::frame::resize;
use crate::request::Conditioning;
use crate::request::Request;
use crate::request::VaceControl;
use crate::vace::Control;

/// Frames, masks and references to a control clip.
pub(super) fn prepare(
    device: &Device,
    request: &Request,
    scale: VaeScale,
    encode: &mut dyn Encode,
) -> std::result::Result<Known, GenerateError> {
    let plan = compute(VacePlan::of(device, request))?;
    let (keep, renew) = compute(split(&plan.clip, &plan.mask))?;
    let (keep, renew) = (encode.latents(&keep)?, encode.latents(&renew)?);
    let mask = compute(folded_mask(&plan.mask, scale))?;
    let mut latents = compute(Tensor::concat(&[&keep, &renew, &mask], 3))?;
    for reference in plan.references.iter().rev() {
        let clip = compute(letterboxed(device, reference, request.height, request.width))?;
        let reference = encode.latents(&clip)?; // [1, H, W, Z]
        let rest = latents.shape().last() - reference.shape().last();
        let [_, rows, columns, _] = *reference.dims() else {
            unreachable!("latents are [F, H, W, Z]");
        };
        let blank = compute(Tensor::zeros(device, [1, rows, columns, rest]))?;
        let reference = compute(Tensor::concat(&[&reference, &blank], 3))?;
        latents = compute(Tensor::concat(&[&reference, &latents], 0))?;
    }
    let scales = vec![plan.scale];
    Ok(Known {
        control: Some(Control { latents, scales }),
        leading: plan.references.len(),
        frames: plan.known_frames,
        warnings: plan.warnings,
        ..Known::default()
    })
}

/// A control clip before it is encoded.
struct VacePlan<'a> {
    /// `[T, Y, X, 3]`.
    clip: Tensor,
    /// `[T, Y, X, 1]`: 1 where pixels are made anew.
    mask: Tensor,
    references: Vec<&'a FrameRgb>,
    scale: f32,
    known_frames: usize,
    warnings: Vec<Warning>,
}

impl<'a> VacePlan<'a> {
    fn of(device: &Device, request: &'a Request) -> Result<Self> {
        let (frames, rows, columns) = (request.num_frames, request.height, request.width);
        let blank = |references: &'a [FrameRgb]| -> Result<Self> {
            Ok(Self {
                clip: Tensor::zeros(device, [frames, rows, columns, 3])?,
                mask: Tensor::full(device, [frames, rows, columns, 1], 1.0)?,
                references: references.iter().collect(),
                scale: 1.0,
                known_frames: 0,
                warnings: Vec::new(),
            })
        };
        match &request.conditioning {
            Conditioning::Vace(control) => Self::of_control(device, control, blank(&control.references)?),
            Conditioning::References { images, videos } => Ok(blank(images)?.with_videos(videos)),
            Conditioning::FirstFrame(first) => blank(&[])?.with_known(std::slice::from_ref(first), 0),
            Conditioning::FirstAndLast { first, last } => blank(&[])?
                .with_known(std::slice::from_ref(first), 0)?
                .with_known(std::slice::from_ref(last), frames - 1),
            Conditioning::Continue { frames: before } => {
                let known = continued_frames(before.len(), frames);
                blank(&[])?.with_known(&before[before.len() - known..], 0)
            }
            // The clip is the control, and all of it is made anew.
            Conditioning::Edit { frames, references } => Ok(Self {
                clip: frame::to_clip(device, frames)?,
                ..blank(references)?
            }),
            Conditioning::Text => blank(&[]),
        }
    }

    fn of_control(device: &Device, control: &VaceControl, blank: Self) -> Result<Self> {
        let plan = Self {
            scale: control.scale,
            ..blank
        };
        if control.frames.is_empty() {
            return Ok(plan);
        }
        let values = control.masks.iter().flat_map(|mask| &mask.data);
        let numbers = values
            .map(|&value| if value >= 128 { 1.0 } else { 0.0 })
            .collect();
        let mask = Tensor::from_vec(device, plan.mask.shape(), numbers)?;
        Ok(Self {
            clip: frame::to_clip(device, &control.frames)?,
            mask,
            ..plan
        })
    }

    /// Of each clip the middle frame, as a picture of what should appear.
    fn with_videos(mut self, videos: &'a [Vec<FrameRgb>]) -> Self {
        let middles = videos.iter().filter_map(|video| video.get(video.len() / 2));
        self.references.extend(middles);
        if !videos.is_empty() {
            self.warnings.push(Warning::VideosAsPictures);
        }
        self
    }

    /// Puts known frames at `start`; they count as such if they are the first.
    fn with_known(self, frames: &[FrameRgb], start: usize) -> Result<Self> {
        let known = frame::to_clip(self.clip.device(), frames)?;
        let end = start + frames.len();
        let [total, rows, columns, _] = *self.clip.dims() else {
            unreachable!("clips are [T, Y, X, C]");
        };
        let around = |x: &Tensor, middle: &Tensor| {
            Tensor::concat(&[&x.slice(0, 0..start)?, middle, &x.slice(0, end..total)?], 0)
        };
        let kept = Tensor::zeros(self.clip.device(), [frames.len(), rows, columns, 1])?;
        Ok(Self {
            clip: around(&self.clip, &known)?,
            mask: around(&self.mask, &kept)?,
            known_frames: if start == 0 {
                frames.len()
            } else {
                self.known_frames
            },
            ..self
        })
    }
}

/// How many frames of a clip are carried over when it is gone on from: whole latent frames, at most 17, and less than half.
pub(crate) fn continued_frames(given: usize, num_frames: usize) -> usize {
    const FRAMES_MAX: usize = 17;
    const PER_LATENT: usize = 4;
    let most = given.min(FRAMES_MAX).min((num_frames / 2).max(1));
    (most - 1) / PER_LATENT * PER_LATENT + 1
}

/// A clip's kept and its changing pixels, the others mid grey.
fn split(clip: &Tensor, mask: &Tensor) -> Result<(Tensor, Tensor)> {
    let renewed = Tensor::concat(&[mask; 3], 3)?;
    let renew = clip.mul(&renewed)?;
    let keep = clip.mul(&renewed.affine(-1.0, 1.0)?)?;
    Ok((keep, renew))
}

/// `[T, Y, X, 1] → [F, H, W, s·s]`: squares of pixels folded into channels, row before column; in time the nearest frame.
fn folded_mask(mask: &Tensor, scale: VaeScale) -> Result<Tensor> {
    let side = scale.space;
    let [frames, rows, columns, _] = *mask.dims() else {
        unreachable!("masks are [T, Y, X, 1]");
    };
    let [y, x] = [rows / side, columns / side];
    let folded = mask
        .reshape([frames, y, side, x, side])?
        .permute(&[0, 1, 3, 2, 4])? // [T, H, W, s, s]
        .reshape([frames, y, x, side * side])?;
    let latent_frames = frames.div_ceil(scale.time);
    let nearest = |latent: usize| (2 * latent + 1) * frames / (2 * latent_frames);
    let picked = (0..latent_frames)
        .map(|latent| folded.slice(0, nearest(latent)..nearest(latent) + 1))
        .collect::<Result<Vec<Tensor>>>()?;
    Tensor::concat(&picked.iter().collect::<Vec<_>>(), 0)
}

/// A picture scaled to fit, centred on white: `[1, rows, columns, 3]`.
fn letterboxed(device: &Device, picture: &FrameRgb, rows: usize, columns: usize) -> Result<Tensor> {
    let scale = (rows as f64 / picture.height as f64).min(columns as f64 / picture.width as f64);
    let inner = [picture.height, picture.width].map(|extent| ((extent as f64 * scale) as usize).max(1));
    let pixels = frame::to_clip(device, std::slice::from_ref(picture))?;
    let pixels = pixels.reshape([picture.height, picture.width, 3])?;
    let scaled = resize::bilinear(&pixels, inner[0], inner[1])?;
    let (top, left) = ((rows - inner[0]) / 2, (columns - inner[1]) / 2);
    let mut canvas = vec![1.0f32; rows * columns * 3];
    for (row, line) in scaled.data()?.chunks(inner[1] * 3).enumerate() {
        let start = ((top + row) * columns + left) * 3;
        canvas[start..start + line.len()].copy_from_slice(line);
    }
    Tensor::from_vec(device, [1, rows, columns, 3], canvas)
}

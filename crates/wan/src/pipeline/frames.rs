//! Between frames and latents: what a pipeline's VAE and image encoder do for a generation, within its memory budget.

use std::ops::ControlFlow;

use kinora_tensor::Device;
use kinora_tensor::Tensor;

use super::observer::Observer;
use super::parts::Part;
use crate::conditioning::Encode;
use crate::error::GenerateError;
use crate::error::Halt;
use crate::frame;
use crate::frame::FrameRgb;
use crate::image_context::ImageEncoder;
use crate::progress::Stage;
use crate::vae::Statistics;
use crate::vae::Tiling;
use crate::vae::VaeDecoder;
use crate::vae::VaeEncoder;
use crate::vae::Watch;
use crate::vae::encode_tiled;
use crate::vae::tiling;

/// Frames and pictures to what the DiT takes.
pub(super) struct Encoders<'a, 'o> {
    pub(super) device: &'a Device,
    pub(super) vae: &'a mut Part<VaeEncoder>,
    pub(super) image: Option<&'a mut Part<ImageEncoder>>,
    pub(super) statistics: &'a Statistics,
    /// Pixels per latent.
    pub(super) scale: usize,
    pub(super) budget: Option<u64>,
    pub(super) observer: &'a mut Observer<'o>,
}

impl Encode for Encoders<'_, '_> {
    fn latents(&mut self, clip: &Tensor) -> Result<Tensor, GenerateError> {
        let encoder = self.vae.get(self.device).map_err(GenerateError::Load)?;
        let mut go_on = || self.observer.within(Stage::EncodeFrames, 0, 1, 0.0);
        let [_, rows, columns, _] = *clip.dims() else {
            unreachable!("clips are [T, Y, X, 3]");
        };
        let bytes = |rows, columns| encoder.bytes(rows, columns);
        let watch = &mut Watch(&mut go_on);
        let encoded = match Tiling::within(bytes, rows / self.scale, columns / self.scale, self.budget) {
            Some(tiling) => encode_tiled(encoder, clip, self.scale, tiling, watch),
            None => encoder.encode(clip, watch),
        };
        encoded
            .and_then(|latents| Ok(self.statistics.normalize(&latents)?))
            .map_err(|halt| halt.at(Stage::EncodeFrames))
    }

    fn states(&mut self, pictures: &[&FrameRgb]) -> Result<Tensor, GenerateError> {
        let part = self
            .image
            .as_mut()
            .expect("models with a picture branch are loaded with an image encoder");
        let encoder = part.get(self.device).map_err(GenerateError::Load)?;
        let states: Result<Vec<Tensor>, _> =
            pictures.iter().map(|picture| encoder.forward(picture)).collect();
        states
            .and_then(|states| Tensor::concat(&states.iter().collect::<Vec<_>>(), 0))
            .map_err(|error| Halt::Tensor(error).at(Stage::EncodeFrames))
    }
}

/// Latents to frames: as they come where memory allows it, in tiles otherwise.
pub(super) struct Decode<'a> {
    pub(super) decoder: &'a VaeDecoder,
    pub(super) statistics: &'a Statistics,
    pub(super) budget: Option<u64>,
}

impl Decode<'_> {
    /// Hands the frames over; an answer of stop ends it between two layers.
    pub(super) fn run(
        &self,
        latents: &Tensor,
        frames: &mut dyn FnMut(FrameRgb),
        observer: &mut Observer<'_>,
    ) -> Result<(), Halt> {
        let latents = self.statistics.denormalize(latents)?;
        let [steps, rows, columns, _] = *latents.dims() else {
            unreachable!("latents are [F, H, W, Z]");
        };
        if let Some(tiling) = Tiling::within(
            |rows, columns| self.decoder.bytes(rows, columns),
            rows,
            columns,
            self.budget,
        ) {
            let share = std::cell::Cell::new(0.0);
            let mut go_on = || observer.within(Stage::Decode, 0, 1, share.get());
            let clip = tiling::decode(
                self.decoder,
                &latents,
                tiling,
                &mut Watch(&mut go_on),
                &mut |done| share.set(done),
            )?;
            frame::from_clip(&clip)?.into_iter().for_each(frames);
            return Ok(());
        }
        let mut decoding = self.decoder.start();
        for step in 0..steps {
            let mut go_on = || observer.within(Stage::Decode, step, steps, 0.0);
            let clip = decoding.push(&latents.slice(0, step..step + 1)?, &mut Watch(&mut go_on))?;
            frame::from_clip(&clip)?.into_iter().for_each(&mut *frames);
        }
        Ok(())
    }
}

/// One latent frame of a clip as a picture by itself: rougher than its place in the clip, and much quicker.
pub(super) fn picture(
    decoder: &VaeDecoder,
    statistics: &Statistics,
    latents: &Tensor,
    frame: usize,
) -> Result<FrameRgb, Halt> {
    let latents = statistics.denormalize(&latents.slice(0, frame..frame + 1)?)?;
    let mut go_on = || ControlFlow::Continue(());
    let clip = decoder.start().push(&latents, &mut Watch(&mut go_on))?;
    let mut frames = frame::from_clip(&clip)?;
    Ok(frames.remove(0))
}

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

/// One latent frame of a clip, `[1, H, W, Z]`, as a picture by itself: rougher than its place in the clip, and much quicker.
pub(super) fn picture(
    decoder: &VaeDecoder,
    statistics: &Statistics,
    latents: &Tensor,
) -> Result<FrameRgb, Halt> {
    let latents = statistics.denormalize(latents)?;
    let mut go_on = || ControlFlow::Continue(());
    let clip = decoder.start().push(&latents, &mut Watch(&mut go_on))?;
    let mut frames = frame::from_clip(&clip)?;
    Ok(frames.remove(0))
}

/// Latents `[1, H, W, Z]` of which the longer side has at most `side_max`: each the mean of a square of those that are given.
/// A VAE reads the mean of neighbours as their colours without what is fine, so that a small picture costs what is small.
pub(super) fn shrunk(latents: &Tensor, side_max: usize) -> kinora_tensor::Result<Tensor> {
    let [_, rows, columns, channels] = *latents.dims() else {
        unreachable!("latents are [F, H, W, Z]");
    };
    let square = rows.max(columns).div_ceil(side_max.max(1));
    // What does not fill a square at the right and the bottom is left out; without a single square there is no picture.
    let (high, wide) = (rows / square, columns / square);
    if square == 1 || high == 0 || wide == 0 {
        return Ok(latents.clone());
    }
    let numbers = latents.to_vec()?;
    let mut means = vec![0.0; high * wide * channels];
    for row in 0..high * square {
        for column in 0..wide * square {
            let from = (row * columns + column) * channels;
            let to = (row / square * wide + column / square) * channels;
            for channel in 0..channels {
                means[to + channel] += numbers[from + channel];
            }
        }
    }
    let share = 1.0 / (square * square) as f32;
    means.iter_mut().for_each(|mean| *mean *= share);
    Tensor::from_vec(latents.device(), [1, high, wide, channels], means)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latents_shrink_to_means() {
        let device = Device::cpu();
        // Two channels: the number of the latent, and its negative.
        let numbers = (0..4 * 5)
            .flat_map(|number| [number as f32, -(number as f32)])
            .collect();
        let latents = Tensor::from_vec(&device, [1, 4, 5, 2], numbers).unwrap();
        let check = |side_max, expected: &[f32]| {
            let small = shrunk(&latents, side_max).unwrap();
            let first: Vec<f32> = small.to_vec().unwrap().into_iter().step_by(2).collect();
            let second: Vec<f32> = small.to_vec().unwrap().into_iter().skip(1).step_by(2).collect();
            assert_eq!(first, expected, "{side_max}");
            assert_eq!(second, expected.iter().map(|mean| -mean).collect::<Vec<_>>());
        };
        let all: Vec<f32> = (0..20).map(|number| number as f32).collect();
        check(5, &all);
        check(100, &all);
        check(3, &[3.0, 5.0, 13.0, 15.0]);
        check(2, &[6.0]);
        // No square is so large: as it is.
        check(1, &all);
        check(0, &all);
    }
}

//! The pictures of a continued clip: first the clip's own, untouched, then what the model makes, brought to the same size and rate.
//! So nothing of the user's clip passes through the model's VAE.

use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer, images::Image};
use kinora_domain::FrameSize;

use crate::{ClipSink, SinkError};

/// Pushes frames of one rate into a clip of another; each is held until the next one is due.
pub(super) struct Timeline {
    size: FrameSize,
    /// Frames a second of the clip.
    clip_fps: u64,
    /// Frames a second of what is pushed.
    fps: u64,
    /// Frames that the clip has so far.
    written: u64,
    /// Frames that it will have.
    needed: u64,
    resizer: Resizer,
}

impl Timeline {
    /// A clip of `needed` frames of which `written` are there.
    pub(super) fn new(size: FrameSize, clip_fps: u32, fps: u32, written: u32, needed: u32) -> Timeline {
        Timeline {
            size,
            clip_fps: clip_fps.into(),
            fps: fps.into(),
            written: written.into(),
            needed: needed.into(),
            resizer: Resizer::new(),
        }
    }

    /// Shows the frame with this number, counted from the clip's start at the model's rate, until the next one is due.
    pub(super) fn push(
        &mut self,
        number: usize,
        (width, height): (usize, usize),
        rgb: Vec<u8>,
        clip: &mut dyn ClipSink,
    ) -> Result<(), SinkError> {
        let until = ((number as u64 + 1) * self.clip_fps)
            .div_ceil(self.fps)
            .min(self.needed);
        if self.written >= until {
            return Ok(());
        }
        let scaled = self.scaled(width, height, rgb)?;
        while self.written < until {
            clip.frame(&scaled)?;
            self.written += 1;
        }
        Ok(())
    }

    fn scaled(&mut self, width: usize, height: usize, rgb: Vec<u8>) -> Result<Vec<u8>, SinkError> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| SinkError::Write(error);
        let side = |extent: usize| u32::try_from(extent).unwrap_or(u32::MAX);
        let from = Image::from_vec_u8(side(width), side(height), rgb, PixelType::U8x3)
            .map_err(|error| failed(Box::new(error)))?;
        let mut to = Image::new(self.size.width, self.size.height, PixelType::U8x3);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
        self.resizer
            .resize(&from, &mut to, &options)
            .map_err(|error| failed(Box::new(error)))?;
        Ok(to.into_vec())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::FrameFormat;

    #[derive(Default)]
    struct Reds(Vec<u8>);

    impl ClipSink for Reds {
        fn begin(&mut self, _: FrameFormat) -> Result<(), SinkError> {
            Ok(())
        }

        fn frame(&mut self, rgb: &[u8]) -> Result<(), SinkError> {
            assert_eq!(rgb.len(), 8 * 4 * 3);
            self.0.push(rgb[0]);
            Ok(())
        }

        fn file(&mut self, _: &Path) -> Result<(), SinkError> {
            Ok(())
        }
    }

    #[test]
    fn frames_are_held_until_the_next_is_due() {
        let size = FrameSize { width: 8, height: 4 };
        let mut timeline = Timeline::new(size, 30, 8, 6, 15);
        let mut reds = Reds::default();
        for number in 0..9 {
            let rgb = vec![number as u8; 4 * 2 * 3];
            timeline.push(number, (4, 2), rgb, &mut reds).unwrap();
        }
        // Frame 1 is shown from 125 ms to 250 ms, of which the first 200 ms were there already.
        assert_eq!(reds.0, [1, 1, 2, 2, 2, 2, 3, 3, 3]);
    }
}

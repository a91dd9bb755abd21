//! Pictures as bytes and as numbers: what comes in from outside and goes out to it.

pub mod resize;

use kinora_tensor::Device;
use kinora_tensor::Result;
use kinora_tensor::Tensor;

/// One picture, 8 bits a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameRgb {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green and blue of each pixel, row by row: `height · width · 3` bytes.
    pub data: Vec<u8>,
}

impl FrameRgb {
    /// Whether there are as many bytes as the extents ask for.
    pub fn is_sound(&self) -> bool {
        self.width > 0 && self.height > 0 && self.data.len() == self.width * self.height * 3
    }
}

/// Frames of one size to `[T, Y, X, 3]` in −1…1.
pub(crate) fn to_clip(device: &Device, frames: &[FrameRgb]) -> Result<Tensor> {
    let (rows, columns) = frames.first().map_or((0, 0), |first| (first.height, first.width));
    let numbers = frames
        .iter()
        .flat_map(|frame| &frame.data)
        .map(|&byte| f32::from(byte) / 127.5 - 1.0);
    Tensor::from_vec(device, [frames.len(), rows, columns, 3], numbers.collect())
}

/// `[T, Y, X, 3]` in −1…1 to frames, rounded to the nearest byte.
pub(crate) fn from_clip(clip: &Tensor) -> Result<Vec<FrameRgb>> {
    let [_, height, width, _] = *clip.dims() else {
        unreachable!("clips are [T, Y, X, 3]");
    };
    let byte = |number: &f32| ((number * 0.5 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8;
    let bytes: Vec<u8> = clip.data()?.iter().map(byte).collect();
    Ok(bytes
        .chunks(height * width * 3)
        .map(|data| FrameRgb {
            width,
            height,
            data: data.to_vec(),
        })
        .collect())
}

//! Doubling and halving of space, and of time with it where the level asks for it.
//!
//! Reference: Wan2.1 `wan/modules/vae.py`, `Resample`; Wan2.2 `wan/modules/vae2_2.py`, `AvgDown3D`, `DupUp3D`; diffusers
//! `WanResample`, `AvgDown3D`, `DupUp3D`.

use kinora_tensor::Conv3d;
use kinora_tensor::Epilogue;
use kinora_tensor::Result;
use kinora_tensor::Tensor;
use kinora_tensor::ops::Padding;

use super::cache::DownsamplePast;
use super::cache::Past;
use super::cache::UpsamplePast;
use super::cache::last;
use crate::weights::ConvShape;
use crate::weights::Weights;
use crate::weights::WeightsError;

/// What a level does to time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Time {
    /// Leaves it.
    Kept,
    /// Doubles or halves it.
    Scaled,
}

impl Time {
    /// By how much.
    pub(crate) fn factor(self) -> usize {
        match self {
            Time::Kept => 1,
            Time::Scaled => 2,
        }
    }
}

impl From<bool> for Time {
    fn from(scaled: bool) -> Self {
        if scaled { Time::Scaled } else { Time::Kept }
    }
}

/// Space doubled, time as the level asks.
pub(crate) struct Upsample {
    conv: Conv3d,
    /// Makes two frames out of one, side by side in the channels.
    time_conv: Option<Conv3d>,
}

impl Upsample {
    pub(crate) fn load(
        w: &Weights,
        inputs: usize,
        outputs: usize,
        time: Time,
    ) -> std::result::Result<Self, WeightsError> {
        let space = ConvShape {
            kernel: &[3, 3],
            stride: [1; 3],
            padding: Padding::causal(0, 1),
        };
        let causal = ConvShape {
            kernel: &[3, 1, 1],
            stride: [1; 3],
            padding: Padding::causal(2, 0),
        };
        Ok(Self {
            conv: w.conv("resample.1", inputs, outputs, space)?,
            time_conv: match time {
                Time::Kept => None,
                Time::Scaled => Some(w.conv("time_conv", inputs, 2 * inputs, causal)?),
            },
        })
    }

    /// `[T, Y, X, C_in] → [T or 2T, 2Y, 2X, C_out]`.
    pub(crate) fn forward(&self, mut x: Tensor, past: &mut UpsamplePast) -> Result<Tensor> {
        if let Some(conv) = &self.time_conv {
            x = double_time(x, conv, past)?;
        }
        x = x.upsample_nearest()?;
        x.conv3d(&self.conv, None, Epilogue::None)
    }
}

fn double_time(x: Tensor, conv: &Conv3d, past: &mut UpsamplePast) -> Result<Tensor> {
    if let UpsamplePast::Empty = past {
        *past = UpsamplePast::Replicated;
        return Ok(x);
    }
    if let UpsamplePast::Replicated = past {
        *past = UpsamplePast::Frames(Past::default());
    }
    let UpsamplePast::Frames(frames) = past else {
        unreachable!("the two other states were just left");
    };
    let [time, rows, columns, channels] = *x.dims() else {
        unreachable!("clips are [T, Y, X, C]");
    };
    frames
        .conv3d(&x, conv, Epilogue::None)? // [T, Y, X, 2C]
        .reshape([time, rows, columns, 2, channels])?
        .permute(&[0, 3, 1, 2, 4])? // [T, 2, Y, X, C]
        .reshape([2 * time, rows, columns, channels])
}

/// Space halved, time as the level asks.
pub(crate) struct Downsample {
    conv: Conv3d,
    /// Makes one frame out of the two and the one before them.
    time_conv: Option<Conv3d>,
}

impl Downsample {
    pub(crate) fn load(w: &Weights, channels: usize, time: Time) -> std::result::Result<Self, WeightsError> {
        let aside = Padding {
            before: 0,
            top: 0,
            bottom: 1,
            left: 0,
            right: 1,
        };
        let space = ConvShape {
            kernel: &[3, 3],
            stride: [1, 2, 2],
            padding: aside,
        };
        let causal = ConvShape {
            kernel: &[3, 1, 1],
            stride: [2, 1, 1],
            padding: Padding::causal(1, 0),
        };
        Ok(Self {
            conv: w.conv("resample.1", channels, channels, space)?,
            time_conv: match time {
                Time::Kept => None,
                Time::Scaled => Some(w.conv("time_conv", channels, channels, causal)?),
            },
        })
    }

    /// Whether time is halved.
    pub(crate) fn halves_time(&self) -> bool {
        self.time_conv.is_some()
    }

    /// `[T, Y, X, C] → [T or T/2, Y/2, X/2, C]`; the first chunk is a single frame and stays one.
    pub(crate) fn forward(&self, mut x: Tensor, past: &mut DownsamplePast) -> Result<Tensor> {
        x = x.conv3d(&self.conv, None, Epilogue::None)?;
        let Some(conv) = &self.time_conv else { return Ok(x) };
        let before = past.0.replace(last(&x, 1)?);
        match before {
            Some(before) => x.conv3d(conv, Some(&before), Epilogue::None),
            None => Ok(x),
        }
    }
}

/// A halving without weights: time and space are folded into the channels, and groups of those averaged.
#[derive(Clone, Copy)]
pub(crate) struct AverageDown {
    pub(crate) outputs: usize,
    pub(crate) time: usize,
    pub(crate) space: usize,
}

impl AverageDown {
    /// `[T, Y, X, C] → [⌈T/t⌉, Y/s, X/s, outputs]`; missing frames are zeros before the first.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let Self { outputs, time, space } = *self;
        let [frames, rows, columns, channels] = *x.dims() else {
            unreachable!("clips are [T, Y, X, C]");
        };
        let padded = match frames.next_multiple_of(time) - frames {
            0 => x.clone(),
            missing => Tensor::concat(
                &[&Tensor::zeros(x.device(), [missing, rows, columns, channels])?, x],
                0,
            )?,
        };
        let [t, y, x] = [frames.div_ceil(time), rows / space, columns / space];
        padded
            .reshape([t, time, y, space, x, space, channels])?
            .permute(&[0, 2, 4, 6, 1, 3, 5])? // [T', Y', X', C, t, s, s]
            .reshape([t, y, x, outputs, channels * time * space * space / outputs])?
            .mean_last()
    }
}

/// A doubling without weights: channels are repeated, and unfolded into time and space.
#[derive(Clone, Copy)]
pub(crate) struct DuplicateUp {
    pub(crate) outputs: usize,
    pub(crate) time: usize,
    pub(crate) space: usize,
}

impl DuplicateUp {
    /// `[T, Y, X, C] → [t·T, s·Y, s·X, outputs]`; the first chunk loses the frames that the main path does not make.
    pub(crate) fn forward(&self, x: &Tensor, is_first_chunk: bool) -> Result<Tensor> {
        let Self { outputs, time, space } = *self;
        let [frames, rows, columns, channels] = *x.dims() else {
            unreachable!("clips are [T, Y, X, C]");
        };
        let repeats = outputs * time * space * space / channels;
        let column = x.reshape([frames, rows, columns, channels, 1])?;
        let y = Tensor::concat(&vec![&column; repeats], 4)? // [T, Y, X, C, repeats]
            .reshape([frames, rows, columns, outputs, time, space, space])?
            .permute(&[0, 4, 1, 5, 2, 6, 3])? // [T, t, Y, s, X, s, outputs]
            .reshape([frames * time, rows * space, columns * space, outputs])?;
        if is_first_chunk {
            y.slice(0, time - 1..frames * time)
        } else {
            Ok(y)
        }
    }
}

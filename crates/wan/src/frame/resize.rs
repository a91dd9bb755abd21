//! Resizing as the reference does it: PyTorch's `interpolate` without corner alignment and without antialiasing.

use kinora_tensor::Result;
use kinora_tensor::Tensor;

/// Where one output number comes from: neighbouring inputs and their weights.
type Taps = Vec<(usize, f32)>;

/// `[Y, X, C] → [rows, columns, C]`, cubic in both directions (Keys, a = −0.75).
pub fn bicubic(picture: &Tensor, rows: usize, columns: usize) -> Result<Tensor> {
    resample(picture, rows, columns, cubic_taps)
}

/// `[Y, X, C] → [rows, columns, C]`, linear in both directions.
pub fn bilinear(picture: &Tensor, rows: usize, columns: usize) -> Result<Tensor> {
    resample(picture, rows, columns, linear_taps)
}

fn resample(
    picture: &Tensor,
    rows: usize,
    columns: usize,
    taps: fn(usize, usize) -> Vec<Taps>,
) -> Result<Tensor> {
    let [height, width, channels] = *picture.dims() else {
        unreachable!("pictures are [Y, X, C]");
    };
    let data = picture.data()?;
    let (across, down) = (taps(width, columns), taps(height, rows));
    let mut wide = vec![0.0f32; height * columns * channels];
    for (row, out) in wide.chunks_mut(columns * channels).enumerate() {
        let line = &data[row * width * channels..][..width * channels];
        for (pixel, taps) in out.chunks_mut(channels).zip(&across) {
            accumulate(pixel, taps, |at| &line[at * channels..][..channels]);
        }
    }
    let mut out = vec![0.0f32; rows * columns * channels];
    for (line, taps) in out.chunks_mut(columns * channels).zip(&down) {
        accumulate(line, taps, |at| {
            &wide[at * columns * channels..][..columns * channels]
        });
    }
    Tensor::from_vec(picture.device(), [rows, columns, channels], out)
}

fn accumulate<'a>(out: &mut [f32], taps: &Taps, source: impl Fn(usize) -> &'a [f32]) {
    for &(at, weight) in taps {
        out.iter_mut()
            .zip(source(at))
            .for_each(|(out, number)| *out += weight * number);
    }
}

/// The place in the input that the middle of an output pixel falls on.
fn place(index: usize, from: usize, to: usize) -> f32 {
    from as f32 / to as f32 * (index as f32 + 0.5) - 0.5
}

fn linear_taps(from: usize, to: usize) -> Vec<Taps> {
    let taps = |index| {
        let place = place(index, from, to).max(0.0);
        let first = (place as usize).min(from - 1);
        let share = place - first as f32;
        vec![(first, 1.0 - share), ((first + 1).min(from - 1), share)]
    };
    (0..to).map(taps).collect()
}

fn cubic_taps(from: usize, to: usize) -> Vec<Taps> {
    let taps = |index| {
        let place = place(index, from, to);
        let first = place.floor();
        let share = place - first;
        let weights = [
            outer(share + 1.0),
            inner(share),
            inner(1.0 - share),
            outer(2.0 - share),
        ];
        let at = |offset: usize| (first as i64 + offset as i64 - 1).clamp(0, from as i64 - 1) as usize;
        weights
            .into_iter()
            .enumerate()
            .map(|(offset, weight)| (at(offset), weight))
            .collect()
    };
    (0..to).map(taps).collect()
}

const A: f32 = -0.75;

/// The cubic within a pixel of its middle.
fn inner(x: f32) -> f32 {
    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
}

/// The cubic from one to two pixels off.
fn outer(x: f32) -> f32 {
    ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
}

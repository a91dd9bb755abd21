//! Tiles in space: a clip decoded in overlapping squares, one square at a time from its first frame to its last, so that only one
//! square's features are remembered. Overlaps fade linearly into each other.
//!
//! The price is that frames come out when the last square is done, and that the result differs a little from the whole: features
//! do not reach over a border, and the narrowest level's attention sees one square. Reference: diffusers
//! `AutoencoderKLWan.tiled_decode`.

use kinora_tensor::Tensor;

use super::Watch;
use super::decoder::VaeDecoder;
use super::patch::unpatchify;
use crate::error::Halt;

/// Side of a square and the distance to the next, in latents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiling {
    /// Side of a square.
    pub side: usize,
    /// From one square's edge to the next one's; smaller than the side.
    pub stride: usize,
}

impl Tiling {
    /// The smallest square that still looks like its surroundings.
    const SIDE_MIN: usize = 16;

    /// Squares that decode within `budget_bytes`; None where the whole does, or where none is asked for.
    pub fn within(
        decoder: &VaeDecoder,
        rows: usize,
        columns: usize,
        budget_bytes: Option<u64>,
    ) -> Option<Self> {
        let budget = usize::try_from(budget_bytes?).unwrap_or(usize::MAX);
        if decoder.bytes(rows, columns) <= budget {
            return None;
        }
        let fits = |side: &usize| decoder.bytes(*side, *side) <= budget;
        let side = (Self::SIDE_MIN..rows.max(columns))
            .rev()
            .find(fits)
            .unwrap_or(Self::SIDE_MIN);
        Some(Self {
            side,
            stride: side * 3 / 4,
        })
    }
}

/// Pixels `[T, Y, X, C]` on the host, where tiles are faded together.
struct Canvas {
    frames: usize,
    rows: usize,
    columns: usize,
    channels: usize,
    numbers: Vec<f32>,
}

/// Decodes latents `[F, H, W, Z]` to frames `[T, Y, X, 3]`, not clamped. `observe` hears the share that is done.
pub(crate) fn decode(
    decoder: &VaeDecoder,
    latents: &Tensor,
    tiling: Tiling,
    watch: &mut Watch<'_>,
    observe: &mut dyn FnMut(f32),
) -> Result<Tensor, Halt> {
    let [_, height, width, _] = *latents.dims() else {
        unreachable!("latents are [F, H, W, Z]");
    };
    let starts = |extent: usize| (0..extent).step_by(tiling.stride).collect::<Vec<usize>>();
    let (tops, lefts) = (starts(height), starts(width));
    let mut above: Vec<Canvas> = Vec::new();
    let mut whole: Option<Canvas> = None;
    for (i, &top) in tops.iter().enumerate() {
        let mut row: Vec<Canvas> = Vec::new();
        for (j, &left) in lefts.iter().enumerate() {
            let square = latents
                .slice(1, top..height.min(top + tiling.side))?
                .slice(2, left..width.min(left + tiling.side))?;
            let mut tile = Canvas::decode(decoder, &square, watch)?;
            let scale = tile.rows / square.dims()[1];
            let overlap = (tiling.side - tiling.stride) * scale;
            if i > 0 {
                tile.fade_from_above(&above[j], overlap);
            }
            if j > 0 {
                tile.fade_from_left(&row[j - 1], overlap);
            }
            let whole = whole.get_or_insert_with(|| Canvas::blank(&tile, height * scale, width * scale));
            whole.paste(&tile, top * scale, left * scale, tiling.stride * scale);
            row.push(tile);
            observe((i * lefts.len() + j + 1) as f32 / (tops.len() * lefts.len()) as f32);
        }
        above = row;
    }
    let whole = whole.expect("there is a tile at the origin");
    let dims = [whole.frames, whole.rows, whole.columns, whole.channels];
    Ok(unpatchify(
        &Tensor::from_vec(latents.device(), dims, whole.numbers)?,
        decoder.patch(),
    )?)
}

impl Canvas {
    fn decode(decoder: &VaeDecoder, latents: &Tensor, watch: &mut Watch<'_>) -> Result<Self, Halt> {
        let mut decoding = decoder.start();
        let mut numbers = Vec::new();
        let (mut frames, mut pixels) = (0, [0, 0, 0]);
        for frame in 0..latents.dims()[0] {
            let chunk = decoding.push_patches(&latents.slice(0, frame..frame + 1)?, watch)?;
            let [count, rows, columns, channels] = *chunk.dims() else {
                unreachable!("clips are [T, Y, X, C]");
            };
            frames += count;
            pixels = [rows, columns, channels];
            numbers.extend_from_slice(&chunk.data()?);
        }
        let [rows, columns, channels] = pixels;
        Ok(Self {
            frames,
            rows,
            columns,
            channels,
            numbers,
        })
    }

    fn blank(like: &Canvas, rows: usize, columns: usize) -> Self {
        let numbers = vec![0.0; like.frames * rows * columns * like.channels];
        Self {
            frames: like.frames,
            rows,
            columns,
            channels: like.channels,
            numbers,
        }
    }

    /// Where a pixel's channels are.
    fn at(&self, frame: usize, row: usize, column: usize) -> std::ops::Range<usize> {
        let start = ((frame * self.rows + row) * self.columns + column) * self.channels;
        start..start + self.channels
    }

    fn fade_from_above(&mut self, above: &Canvas, overlap: usize) {
        let overlap = overlap.min(self.rows).min(above.rows);
        for frame in 0..self.frames {
            for row in 0..overlap {
                for column in 0..self.columns {
                    let from = above.at(frame, above.rows - overlap + row, column);
                    self.fade(
                        self.at(frame, row, column),
                        &above.numbers[from],
                        row as f32 / overlap as f32,
                    );
                }
            }
        }
    }

    fn fade_from_left(&mut self, left: &Canvas, overlap: usize) {
        let overlap = overlap.min(self.columns).min(left.columns);
        for frame in 0..self.frames {
            for row in 0..self.rows {
                for column in 0..overlap {
                    let from = left.at(frame, row, left.columns - overlap + column);
                    self.fade(
                        self.at(frame, row, column),
                        &left.numbers[from],
                        column as f32 / overlap as f32,
                    );
                }
            }
        }
    }

    fn fade(&mut self, pixel: std::ops::Range<usize>, from: &[f32], share: f32) {
        for (here, there) in self.numbers[pixel].iter_mut().zip(from) {
            *here = there * (1.0 - share) + *here * share;
        }
    }

    /// Writes the part of `tile` that no later tile will overlap.
    fn paste(&mut self, tile: &Canvas, top: usize, left: usize, stride: usize) {
        let rows = stride.min(tile.rows).min(self.rows - top);
        let columns = stride.min(tile.columns).min(self.columns - left);
        for frame in 0..self.frames {
            for row in 0..rows {
                let to = self.at(frame, top + row, left).start;
                let from = tile.at(frame, row, 0).start;
                let count = columns * self.channels;
                self.numbers[to..to + count].copy_from_slice(&tile.numbers[from..from + count]);
            }
        }
    }
}

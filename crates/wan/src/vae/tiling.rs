//! Tiles in space: a clip decoded or encoded in overlapping squares, one square at a time from its first frame to its last, so that only one
//! square's features are remembered. Overlaps fade linearly into each other.
//!
//! The price is that frames come out when the last square is done, and that the result differs a little from the whole: features
//! do not reach over a border, and the narrowest level's attention sees one square. Reference: diffusers
//! `AutoencoderKLWan.tiled_decode`, `tiled_encode`.

use kinora_tensor::Tensor;

use super::Watch;
use super::decoder::VaeDecoder;
use super::encoder::VaeEncoder;
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

    /// Squares that a network of `bytes(rows, columns)` works on within `budget_bytes`; None where it takes the whole, or where there
    /// is no budget.
    pub fn within(
        bytes: impl Fn(usize, usize) -> usize,
        rows: usize,
        columns: usize,
        budget_bytes: Option<u64>,
    ) -> Option<Self> {
        let budget = usize::try_from(budget_bytes?).unwrap_or(usize::MAX);
        if bytes(rows, columns) <= budget {
            return None;
        }
        let fits = |side: &usize| bytes(*side, *side) <= budget;
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

/// Decodes latents `[F, H, W, Z]` to frames `[T, Y, X, 3]`, not clamped. `observe` hears the share that is done.
pub(crate) fn decode(
    decoder: &VaeDecoder,
    latents: &Tensor,
    tiling: Tiling,
    watch: &mut Watch<'_>,
    observe: &mut dyn FnMut(f32),
) -> Result<Tensor, Halt> {
    let patches = fade_together(latents, tiling.side, tiling.stride, observe, &mut |square| {
        let mut decoding = decoder.start();
        let chunks = (0..square.dims()[0])
            .map(|frame| decoding.push_patches(&square.slice(0, frame..frame + 1)?, watch))
            .collect::<Result<Vec<Tensor>, Halt>>()?;
        Ok(Tensor::concat(&chunks.iter().collect::<Vec<_>>(), 0)?)
    })?;
    Ok(unpatchify(&patches, decoder.patch())?)
}

/// Encodes a clip `[T, Y, X, 3]` to latents `[F, H, W, Z]`. `scale` is how many pixels a latent is wide.
pub(crate) fn encode(
    encoder: &VaeEncoder,
    clip: &Tensor,
    scale: usize,
    tiling: Tiling,
    watch: &mut Watch<'_>,
    observe: &mut dyn FnMut(f32),
) -> Result<Tensor, Halt> {
    let (side, stride) = (tiling.side * scale, tiling.stride * scale);
    fade_together(clip, side, stride, observe, &mut |square| {
        encoder.encode(square, watch)
    })
}

/// Runs every square of `whole` `[T, Y, X, C]` through `run`, which scales all of them alike, and fades the results together.
fn fade_together(
    whole: &Tensor,
    side: usize,
    stride: usize,
    observe: &mut dyn FnMut(f32),
    run: &mut dyn FnMut(&Tensor) -> Result<Tensor, Halt>,
) -> Result<Tensor, Halt> {
    let [_, height, width, _] = *whole.dims() else {
        unreachable!("clips are [T, Y, X, C]");
    };
    let starts = |extent: usize| (0..extent).step_by(stride).collect::<Vec<usize>>();
    let (tops, lefts) = (starts(height), starts(width));
    let mut above: Vec<Canvas> = Vec::new();
    let mut canvas: Option<Canvas> = None;
    for (i, &top) in tops.iter().enumerate() {
        let mut row: Vec<Canvas> = Vec::new();
        for (j, &left) in lefts.iter().enumerate() {
            let square = whole
                .slice(1, top..height.min(top + side))?
                .slice(2, left..width.min(left + side))?;
            let mut tile = Canvas::of(&run(&square)?)?;
            let scale = Scale {
                from: square.dims()[1],
                to: tile.rows,
            };
            let overlap = scale.of(side - stride);
            if i > 0 {
                tile.fade_from_above(&above[j], overlap);
            }
            if j > 0 {
                tile.fade_from_left(&row[j - 1], overlap);
            }
            let canvas =
                canvas.get_or_insert_with(|| Canvas::blank(&tile, scale.of(height), scale.of(width)));
            canvas.paste(&tile, scale.of(top), scale.of(left), scale.of(stride));
            row.push(tile);
            observe((i * lefts.len() + j + 1) as f32 / (tops.len() * lefts.len()) as f32);
        }
        above = row;
    }
    let canvas = canvas.expect("there is a tile at the origin");
    let dims = [canvas.frames, canvas.rows, canvas.columns, canvas.channels];
    Ok(Tensor::from_vec(whole.device(), dims, canvas.numbers)?)
}

/// How many rows come out for how many that go in.
#[derive(Clone, Copy)]
struct Scale {
    from: usize,
    to: usize,
}

impl Scale {
    fn of(self, extent: usize) -> usize {
        extent * self.to / self.from
    }
}

/// Numbers `[T, Y, X, C]` on the host, where tiles are faded together.
struct Canvas {
    frames: usize,
    rows: usize,
    columns: usize,
    channels: usize,
    numbers: Vec<f32>,
}

impl Canvas {
    fn of(tile: &Tensor) -> Result<Self, Halt> {
        let [frames, rows, columns, channels] = *tile.dims() else {
            unreachable!("clips are [T, Y, X, C]");
        };
        Ok(Self {
            frames,
            rows,
            columns,
            channels,
            numbers: tile.to_vec()?,
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

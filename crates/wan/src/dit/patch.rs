//! Patches: latents `[F, H, W, Z]` cut into tokens, and velocities put together from them.
//!
//! Reference: Wan2.1 `wan/modules/model.py`, `patch_embedding` and `unpatchify`.

use kinora_tensor::Result;
use kinora_tensor::Tensor;

/// Extents of a patch along time, rows and columns: (1, 2, 2) in every published model.
pub(crate) type Patch = [usize; 3];

/// How many tokens there are along time, rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Token frames.
    pub frames: usize,
    /// Token rows.
    pub rows: usize,
    /// Token columns.
    pub columns: usize,
}

impl Grid {
    /// The grid of latents `[F, H, W, ..]`.
    pub(crate) fn of(latents: &Tensor, patch: Patch) -> Self {
        let dims = latents.dims();
        Self {
            frames: dims[0] / patch[0],
            rows: dims[1] / patch[1],
            columns: dims[2] / patch[2],
        }
    }

    /// `L`.
    pub fn tokens(&self) -> usize {
        self.frames * self.rows * self.columns
    }

    /// Frame, row and column of every token, in their order.
    pub(crate) fn positions(self) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..self.frames).flat_map(move |frame| {
            (0..self.rows).flat_map(move |row| (0..self.columns).map(move |column| (frame, row, column)))
        })
    }
}

/// `[F, H, W, C] → [L, C·p·q·r]`: the channel varies slowest, as in the kernel of the reference's convolution.
pub(crate) fn patchify(latents: &Tensor, [p, q, r]: Patch) -> Result<Tensor> {
    let grid = Grid::of(latents, [p, q, r]);
    let channels = latents.shape().last();
    latents
        .reshape([grid.frames, p, grid.rows, q, grid.columns, r, channels])?
        .permute(&[0, 2, 4, 6, 1, 3, 5])? // [F', H', W', C, p, q, r]
        .reshape([grid.tokens(), channels * p * q * r])
}

/// `[L, p·q·r·C] → [F, H, W, C]`: here the channel varies fastest.
pub(crate) fn unpatchify(tokens: &Tensor, grid: Grid, [p, q, r]: Patch) -> Result<Tensor> {
    let channels = tokens.shape().last() / (p * q * r);
    tokens
        .reshape([grid.frames, grid.rows, grid.columns, p, q, r, channels])?
        .permute(&[0, 3, 1, 4, 2, 5, 6])? // [F', p, H', q, W', r, C]
        .reshape([grid.frames * p, grid.rows * q, grid.columns * r, channels])
}

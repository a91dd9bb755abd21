//! Rotary positions of the latent grid: the tables that turn queries and keys by where their token is.
//!
//! Reference: Wan2.1 `wan/modules/model.py`, `rope_params` and `rope_apply`; diffusers `WanRotaryPosEmbed`.

use kinora_tensor::Device;
use kinora_tensor::Result;
use kinora_tensor::Tensor;

use super::Grid;
use crate::precision;

/// Cosines and sines `[L, d/2]`, one column per complex pair: first the pairs of time, then of rows, then of columns.
#[derive(Clone)]
pub(crate) struct Rope {
    cos: Tensor,
    sin: Tensor,
}

impl Rope {
    /// The tables of `grid` for heads of width `head`.
    pub(crate) fn new(device: &Device, grid: Grid, head: usize) -> Result<Self> {
        Self::of_source(device, grid, head, 0.0)
    }

    /// The tables of a clip that stands beside the generated one under a number of its own: every pair turns by an extra
    /// `source · 10000^(−2k/d)`. Number 0 is the generated clip.
    pub(crate) fn of_source(device: &Device, grid: Grid, head: usize, source: f64) -> Result<Self> {
        // Rows and columns get a sixth of the width each, rounded down to whole pairs; time gets what is left.
        let side = head / 6;
        let pairs = [head / 2 - 2 * side, side, side];
        let ladders = pairs.map(|pairs| precision::rotary_frequencies(pairs).collect::<Vec<f64>>());
        let extra: Vec<f64> = precision::rotary_frequencies(head / 2)
            .map(|frequency| source * frequency)
            .collect();
        let mut angles = Vec::with_capacity(grid.tokens() * head / 2);
        for (frame, row, column) in grid.positions() {
            let turned = [frame, row, column].into_iter().zip(&ladders);
            let axes = turned.flat_map(|(position, ladder)| ladder.iter().map(move |f| position as f64 * f));
            angles.extend(axes.zip(&extra).map(|(angle, extra)| angle + extra));
        }
        let table = |f: fn(f64) -> f64| {
            let numbers = angles.iter().map(|&angle| f(angle) as f32).collect();
            Tensor::from_vec(device, [grid.tokens(), head / 2], numbers)
        };
        Ok(Self {
            cos: table(f64::cos)?,
            sin: table(f64::sin)?,
        })
    }

    /// The tables of several clips whose tokens follow one another.
    pub(crate) fn concat(parts: &[Rope]) -> Result<Self> {
        let join =
            |pick: fn(&Rope) -> &Tensor| Tensor::concat(&parts.iter().map(pick).collect::<Vec<_>>(), 0);
        Ok(Self {
            cos: join(|rope| &rope.cos)?,
            sin: join(|rope| &rope.sin)?,
        })
    }

    /// `[L, N·d] → [L, N·d]`.
    pub(crate) fn apply(&self, x: &Tensor) -> Result<Tensor> {
        x.rope(&self.cos, &self.sin)
    }
}

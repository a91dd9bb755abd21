//! VACE: a second, thinner stack of blocks that reads a control clip and hints to the main one.
//!
//! Reference: Wan2.1 `wan/modules/vace_model.py`, `VaceWanAttentionBlock`; diffusers `WanVACETransformerBlock`.
//! How a control clip is made out of frames, masks and reference pictures is in [`crate::conditioning`].

use kinora_tensor::Epilogue;
use kinora_tensor::Linear;
use kinora_tensor::PerRow;
use kinora_tensor::Result;
use kinora_tensor::Tensor;

use crate::blocks::Blocks;
use crate::config::DitConfig;
use crate::config::VaceConfig;
use crate::dit::attention::CrossKeys;
use crate::dit::block::Block;
use crate::dit::embed::Context;
use crate::dit::embed::Times;
use crate::dit::patch::patchify;
use crate::dit::rope::Rope;
use crate::weights::Weights;
use crate::weights::WeightsError;

/// What a control clip asks for, and how strongly.
#[derive(Clone)]
pub struct Control {
    /// `[F, H, W, 96]`: known, changing and mask channels.
    pub latents: Tensor,
    /// One factor for all hints, or one for each.
    pub scales: Vec<f32>,
}

/// The hinting stack.
pub(crate) struct Vace {
    config: VaceConfig,
    patch_embedding: Linear,
    proj_in: Linear,
    blocks: Blocks<Block>,
    proj_out: Vec<Linear>,
}

/// A walk through the stack, one block ahead of the main stack's demand, so that a single hint is in memory at a time.
pub(crate) struct Hints<'a> {
    vace: &'a Vace,
    control: &'a Control,
    keys: &'a [CrossKeys],
    state: Tensor,
    next: usize,
}

impl Vace {
    pub(crate) fn load(
        w: &Weights,
        config: &DitConfig,
        vace: &VaceConfig,
    ) -> std::result::Result<Self, WeightsError> {
        let width = config.width();
        let at = |block: usize| w.at(&format!("vace_blocks.{block}"));
        let count = vace.layers.len();
        Ok(Self {
            config: vace.clone(),
            patch_embedding: w.patch_embedding("vace_patch_embedding", vace.channels, width, config.patch)?,
            proj_in: at(0).linear("proj_in", width, width)?,
            blocks: Blocks::load(w, "vace_blocks", count, |w| Block::load(w, config))?,
            proj_out: (0..count)
                .map(|block| at(block).linear("proj_out", width, width))
                .collect::<std::result::Result<_, _>>()?,
        })
    }

    pub(crate) fn keys(&self, context: &Context) -> Result<Vec<CrossKeys>> {
        self.blocks.each().map(|block| block.keys(context)).collect()
    }

    /// Starts the walk: `c = proj_in(control tokens) + x`, with `x` `[L, D]` the embedded noisy tokens.
    pub(crate) fn hints<'a>(
        &'a self,
        control: &'a Control,
        keys: &'a [CrossKeys],
        x: &Tensor,
        patch: [usize; 3],
    ) -> Result<Hints<'a>> {
        let state = patchify(&control.latents, patch)?
            .linear(&self.patch_embedding, Epilogue::None)?
            .linear(&self.proj_in, Epilogue::Residual(x))?;
        Ok(Hints {
            vace: self,
            control,
            keys,
            state,
            next: 0,
        })
    }
}

impl Hints<'_> {
    /// After main block `layer`: adds the hint that belongs there, if any.
    pub(crate) fn after(
        &mut self,
        layer: usize,
        x: Tensor,
        times: &Times<'_>,
        rope: &Rope,
    ) -> Result<Tensor> {
        let hint = self.next;
        if self.vace.config.layers.get(hint) != Some(&layer) {
            return Ok(x);
        }
        self.next += 1;
        let block = self.vace.blocks.enter(hint);
        self.state = block.forward(&self.state, times, &self.keys[hint], rope)?;
        drop(block);
        let scale = match self.control.scales.as_slice() {
            [all] => *all,
            each => each[hint],
        };
        let out = &self.vace.proj_out[hint];
        if scale == 1.0 {
            return self.state.linear(out, Epilogue::Residual(&x));
        }
        let gate = Tensor::full(x.device(), [x.shape().last()], scale)?;
        self.state.linear(
            out,
            Epilogue::GatedResidual {
                residual: &x,
                gate: PerRow::from(&gate),
            },
        )
    }
}

//! The diffusion transformer: from noisy latents, a timestep and a context to the velocity. One model for every variant; what
//! varies is in [`DitConfig`].
//!
//! Reference: Wan2.1 and Wan2.2 `wan/modules/model.py`, `WanModel`; diffusers `WanTransformer3DModel`,
//! `WanVACETransformer3DModel`.

pub(crate) mod patch;

pub(crate) mod rope;

pub(crate) mod embed;

pub(crate) mod attention;

pub(crate) mod block;

use std::ops::ControlFlow;

use kinora_tensor::Epilogue;
use kinora_tensor::Linear;
use kinora_tensor::Tensor;

pub use self::embed::Timestep;
pub use self::patch::Grid;

use self::attention::CrossKeys;
use self::block::Block;
use self::embed::Context;
use self::embed::ImageEmbedder;
use self::embed::Modulation;
use self::embed::TextEmbedder;
use self::embed::TimeEmbedder;
use self::embed::Times;
use self::rope::Rope;
use crate::blocks::Blocks;
use crate::config::DitConfig;
use crate::error::Halt;
use crate::vace::Control;
use crate::vace::Vace;
use crate::weights::Weights;
use crate::weights::WeightsError;

/// See the file's head.
pub struct Dit {
    config: DitConfig,
    patch_embedding: Linear,
    time: TimeEmbedder,
    text: TextEmbedder,
    image: Option<ImageEmbedder>,
    blocks: Blocks<Block>,
    vace: Option<Vace>,
    /// `[1, 2, D]`: shift and scale of the head.
    scale_shift_table: Tensor,
    proj_out: Linear,
}

/// A branch of guidance as this model sees it: keys and values of every block, computed once per generation.
pub struct Branch {
    blocks: Vec<CrossKeys>,
    vace: Vec<CrossKeys>,
}

/// One clip's place in the token sequence, and what stands beside it: constant over the steps of a generation.
pub struct Layout {
    grid: Grid,
    rope: Rope,
    /// Tokens of source clips that are attended to and dropped before the head.
    sources: Option<Tensor>,
}

/// What changes from step to step.
pub struct Step<'a> {
    /// `[F, H, W, C]`, with whatever channels the variant wants beside the noisy ones.
    pub latents: &'a Tensor,
    /// How noisy they are.
    pub timestep: &'a Timestep,
    /// VACE's control clip.
    pub control: Option<&'a Control>,
}

impl Dit {
    /// Builds the model; every tensor's name and shape is checked on the way.
    pub fn load(w: &Weights, config: &DitConfig) -> Result<Self, WeightsError> {
        let width = config.width();
        let embedder = w.at("condition_embedder");
        Ok(Self {
            patch_embedding: w.patch_embedding("patch_embedding", config.in_channels, width, config.patch)?,
            time: TimeEmbedder::load(&embedder, config)?,
            text: TextEmbedder::load(&embedder, config)?,
            image: config
                .image_dim
                .map(|dim| ImageEmbedder::load(&embedder, config, dim))
                .transpose()?,
            blocks: Blocks::load(w, "blocks", config.layers, |w| Block::load(w, config))?,
            vace: config
                .vace
                .as_ref()
                .map(|vace| Vace::load(w, config, vace))
                .transpose()?,
            scale_shift_table: w.tensor("scale_shift_table", &[1, 2, width])?,
            proj_out: w.linear(
                "proj_out",
                width,
                config.out_channels * config.patch.iter().product::<usize>(),
            )?,
            config: config.clone(),
        })
    }

    /// What the model is.
    pub fn config(&self) -> &DitConfig {
        &self.config
    }

    /// Prepares a branch from the text encoder's output `[L, text_dim]` and, for models with a picture branch, the image
    /// encoder's `[images · tokens, image_dim]`.
    pub fn branch(&self, text: &Tensor, image: Option<&Tensor>) -> kinora_tensor::Result<Branch> {
        let (text, text_bias) = self.text.forward(text)?;
        let image = match (&self.image, image) {
            (Some(embedder), Some(states)) => Some(embedder.forward(states)?),
            _ => None,
        };
        let context = Context {
            text,
            text_bias,
            image,
        };
        Ok(Branch {
            blocks: self
                .blocks
                .each()
                .map(|block| block.keys(&context))
                .collect::<Result<_, _>>()?,
            vace: self
                .vace
                .as_ref()
                .map(|vace| vace.keys(&context))
                .transpose()?
                .unwrap_or_default(),
        })
    }

    /// The layout of latents `[F, H, W, ..]` by themselves.
    pub fn layout(&self, latents: &Tensor) -> kinora_tensor::Result<Layout> {
        let grid = Grid::of(latents, self.config.patch);
        let rope = Rope::new(latents.device(), grid, self.config.head_dim)?;
        Ok(Layout {
            grid,
            rope,
            sources: None,
        })
    }

    /// The layout with source clips beside the generated one, each under its number (see [`Rope::of_source`]).
    pub fn layout_with_sources(
        &self,
        latents: &Tensor,
        sources: &[(f64, Tensor)],
    ) -> kinora_tensor::Result<Layout> {
        let mut layout = self.layout(latents)?;
        let mut ropes = vec![layout.rope.clone()];
        let mut tokens = Vec::new();
        for (number, clip) in sources {
            let grid = Grid::of(clip, self.config.patch);
            ropes.push(Rope::of_source(
                clip.device(),
                grid,
                self.config.head_dim,
                *number,
            )?);
            tokens.push(self.tokens(clip)?);
        }
        if !tokens.is_empty() {
            layout.rope = Rope::concat(&ropes)?;
            layout.sources = Some(Tensor::concat(&tokens.iter().collect::<Vec<_>>(), 0)?);
        }
        Ok(layout)
    }

    /// The velocity `[F, H, W, out_channels]`. `observe` is called before every block with the share of blocks done, and may stop.
    pub fn forward(
        &self,
        step: &Step<'_>,
        layout: &Layout,
        branch: &Branch,
        observe: &mut dyn FnMut(f32) -> ControlFlow<()>,
    ) -> Result<Tensor, Halt> {
        self.run(step, layout, branch, observe, &mut |_| {})
    }

    /// As [`Dit::forward`], showing what leaves every block; what the tests compare.
    pub fn forward_traced(
        &self,
        step: &Step<'_>,
        layout: &Layout,
        branch: &Branch,
        trace: &mut dyn FnMut(&Tensor),
    ) -> Result<Tensor, Halt> {
        self.run(step, layout, branch, &mut |_| ControlFlow::Continue(()), trace)
    }

    fn run(
        &self,
        step: &Step<'_>,
        layout: &Layout,
        branch: &Branch,
        observe: &mut dyn FnMut(f32) -> ControlFlow<()>,
        trace: &mut dyn FnMut(&Tensor),
    ) -> Result<Tensor, Halt> {
        let times = self.time.forward(step.timestep)?;
        let tokens = self.tokens(step.latents)?; // [L, D]
        let mut hints = match (&self.vace, step.control) {
            (Some(vace), Some(control)) => {
                Some(vace.hints(control, &branch.vace, &tokens, self.config.patch)?)
            }
            _ => None,
        };
        let mut x = match &layout.sources {
            Some(sources) => Tensor::concat(&[&tokens, sources], 0)?,
            None => tokens,
        };
        for layer in 0..self.blocks.len() {
            if observe(layer as f32 / self.blocks.len() as f32).is_break() {
                return Err(Halt::Stopped);
            }
            let block = self.blocks.enter(layer);
            x = block.forward(&x, &times, &branch.blocks[layer], &layout.rope)?;
            drop(block);
            trace(&x);
            if let Some(hints) = &mut hints {
                x = hints.after(layer, x, &times, &layout.rope)?;
            }
        }
        Ok(self.head(&x, &times, layout.grid)?)
    }

    /// `[F, H, W, C] → [L, D]`.
    fn tokens(&self, latents: &Tensor) -> kinora_tensor::Result<Tensor> {
        patch::patchify(latents, self.config.patch)?.linear(&self.patch_embedding, Epilogue::None)
    }

    /// `[L, D] → [F, H, W, out_channels]`; the tokens of sources are dropped. Modulated by the timestep's embedding itself, not by
    /// its projection.
    fn head(&self, x: &Tensor, times: &Times<'_>, grid: Grid) -> kinora_tensor::Result<Tensor> {
        let [rows, width] = *times.head.dims() else {
            unreachable!("the embedded timesteps are [R, D]");
        };
        let embedded = times.head.reshape([rows, 1, width])?;
        let table = Tensor::concat(&[&embedded, &embedded], 1)?.add(&self.scale_shift_table)?; // [R, 2, D]
        let tokens = Modulation::pick(&table, 0, times.index)?
            .enter(&x.slice(0, 0..grid.tokens())?, self.config.eps)?
            .linear(&self.proj_out, Epilogue::None)?;
        patch::unpatchify(&tokens, grid, self.config.patch)
    }
}

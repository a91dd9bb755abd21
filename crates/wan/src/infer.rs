//! What a network is, told by its tensors' shapes: for files that come without a configuration. What shapes do not tell, the
//! [`Hints`] of a configuration or a card do, or the published models' habit.
//!
//! All names here are ours: see [`names`](crate::names).

use std::collections::BTreeSet;

use kinora_tensor::Checkpoint;

use crate::config::DitConfig;
use crate::config::ImageConfig;
use crate::config::TextConfig;
use crate::config::VaceConfig;
use crate::config::VaeConfig;
use crate::error::LoadError;

/// What shapes do not tell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hints {
    /// Heads of the transformer; in all published ones they are 128 wide.
    pub(crate) heads: Option<usize>,
    /// Heads of the image encoder; in the published one they are 80 wide.
    pub(crate) image_heads: Option<usize>,
    /// Inside the root of the transformer's norms.
    pub(crate) eps: Option<f32>,
    /// The main blocks that take a hint; in published models they are evenly spread.
    pub(crate) vace_layers: Option<Vec<usize>>,
}

type Result<T> = std::result::Result<T, LoadError>;

/// A transformer.
pub(crate) fn dit(checkpoint: &Checkpoint, hints: &Hints) -> Result<DitConfig> {
    const HEAD_DIM: usize = 128;
    let shapes = Shapes(checkpoint);
    let [width, in_channels, p, q, r] = shapes.dims("patch_embedding.weight")?;
    let heads = hints.heads.unwrap_or(width / HEAD_DIM);
    if heads == 0 || !width.is_multiple_of(heads) || hints.heads.is_none() && !width.is_multiple_of(HEAD_DIM)
    {
        return Err(shapes.unsupported(format!(
            "a width of {width}, which is not {} heads (kinora.json may say how many `heads` there are)",
            hints
                .heads
                .map_or("a number of 128 wide".into(), |heads| heads.to_string())
        )));
    }
    let folded = p * q * r;
    let [out, _] = shapes.dims("proj_out.weight")?;
    let [_, freq_dim] = shapes.dims("condition_embedder.time_embedder.linear_1.weight")?;
    let [_, text_dim] = shapes.dims("condition_embedder.text_embedder.linear_1.weight")?;
    let [ffn_dim, _] = shapes.dims("blocks.0.ffn.net.0.proj.weight")?;
    let layers = shapes.count("blocks.", ".scale_shift_table");
    let pos_embed = "condition_embedder.image_embedder.pos_embed";
    let pos_embed_tokens = match shapes.has(pos_embed) {
        true => Some(shapes.inner(pos_embed)?[0]),
        false => None,
    };
    let norm1 = "condition_embedder.image_embedder.norm1.weight";
    let image_dim = match shapes.has(norm1) {
        true => Some(shapes.dims::<1>(norm1)?[0]),
        false => None,
    };
    let hinted = shapes.count("vace_blocks.", ".proj_out.weight");
    let vace = match hinted {
        0 => None,
        hinted => {
            let [_, channels, ..] = shapes.dims::<5>("vace_patch_embedding.weight")?;
            let spread = || (0..hinted).map(|block| block * layers / hinted).collect();
            let layers = hints.vace_layers.clone().unwrap_or_else(spread);
            Some(VaceConfig { layers, channels })
        }
    };
    let config = DitConfig {
        patch: [p, q, r],
        heads,
        head_dim: width / heads,
        in_channels,
        out_channels: out.checked_div(folded).unwrap_or(0),
        text_dim,
        freq_dim,
        ffn_dim,
        layers,
        cross_attn_norm: shapes.has("blocks.0.norm2.weight"),
        eps: hints.eps.unwrap_or(1e-6),
        image_dim,
        pos_embed_tokens,
        vace,
    };
    config.checked(checkpoint.path())
}

/// A text encoder.
pub(crate) fn text(checkpoint: &Checkpoint) -> Result<TextConfig> {
    let shapes = Shapes(checkpoint);
    let block = |name: &str| format!("encoder.block.0.layer.{name}.weight");
    let [vocab_size, d_model] = shapes.dims("shared.weight")?;
    let [buckets, num_heads] = shapes.dims(&block("0.SelfAttention.relative_attention_bias"))?;
    let [inner, _] = shapes.dims(&block("0.SelfAttention.q"))?;
    let [d_ff, _] = shapes.dims(&block("1.DenseReluDense.wi_0"))?;
    Ok(TextConfig {
        vocab_size,
        d_model,
        d_kv: inner.checked_div(num_heads).unwrap_or(0),
        d_ff,
        num_layers: shapes.count("encoder.block.", ".layer.0.layer_norm.weight"),
        num_heads,
        relative_attention_num_buckets: buckets,
        ..TextConfig::default()
    })
}

/// An image encoder.
pub(crate) fn image(checkpoint: &Checkpoint, hints: &Hints) -> Result<ImageConfig> {
    const HEAD_DIM: usize = 80;
    let shapes = Shapes(checkpoint);
    // Whole CLIP models keep the tower one level down.
    let tower = match shapes.has("embeddings.patch_embedding.weight") {
        true => "",
        false => "vision_model.",
    };
    let name = |name: &str| format!("{tower}{name}.weight");
    let [hidden_size, _, patch_size, _] = shapes.dims(&name("embeddings.patch_embedding"))?;
    let [tokens, _] = shapes.inner(&name("embeddings.position_embedding"))?;
    let [intermediate_size, _] = shapes.dims(&name("encoder.layers.0.mlp.fc1"))?;
    let num_attention_heads = hints.image_heads.unwrap_or(hidden_size / HEAD_DIM).max(1);
    if !hidden_size.is_multiple_of(num_attention_heads) {
        return Err(shapes.unsupported(format!(
            "an image encoder of {hidden_size}, which is not {num_attention_heads} heads (kinora.json may say `image_heads`)"
        )));
    }
    Ok(ImageConfig {
        hidden_size,
        intermediate_size,
        num_hidden_layers: shapes.count(&format!("{tower}encoder.layers."), ".layer_norm1.weight"),
        num_attention_heads,
        image_size: tokens.saturating_sub(1).isqrt() * patch_size,
        patch_size,
        layer_norm_eps: 1e-5,
        hidden_act: "gelu".into(),
    })
}

/// A VAE.
pub(crate) fn vae(checkpoint: &Checkpoint) -> Result<VaeConfig> {
    let shapes = Shapes(checkpoint);
    let [base_dim, in_channels, ..] = shapes.dims::<5>("encoder.conv_in.weight")?;
    let [z_dim, ..] = shapes.dims::<5>("post_quant_conv.weight")?;
    let [out_channels, leaving, ..] = shapes.dims::<5>("decoder.conv_out.weight")?;
    let is_residual = shapes.has("encoder.down_blocks.0.resnets.0.conv1.weight");
    let levels = match is_residual {
        true => nested_levels(&shapes)?,
        false => flat_levels(&shapes)?,
    };
    let multiple = |level: &Level| level.width.checked_div(base_dim).unwrap_or(0);
    let dim_mult: Vec<usize> = levels.iter().map(multiple).collect();
    let flags = levels.iter().map_while(|level| level.halves_time);
    let temporal_downsample: Vec<bool> = flags.collect();
    let decoder_base_dim = leaving
        .checked_div(dim_mult.first().copied().unwrap_or(1))
        .unwrap_or(0);
    let patch_size = match in_channels {
        3 => None,
        channels => Some((channels / 3).isqrt()),
    };
    let (latents_mean, latents_std) = VaeConfig::published_statistics(z_dim)
        .ok_or_else(|| shapes.unsupported(format!("a VAE of {z_dim} channels without a configuration")))?;
    let config = VaeConfig {
        base_dim,
        decoder_base_dim: (decoder_base_dim != base_dim).then_some(decoder_base_dim),
        z_dim,
        scale_factor_temporal: 1
            << temporal_downsample
                .iter()
                .filter(|&&halves| halves)
                .count()
                .min(8),
        scale_factor_spatial: (1 << dim_mult.len().saturating_sub(1).min(16)) * patch_size.unwrap_or(1),
        dim_mult,
        num_res_blocks: levels.first().map_or(0, |level| level.blocks),
        temporal_downsample,
        latents_mean,
        latents_std,
        is_residual,
        in_channels,
        out_channels,
        patch_size,
    };
    config.checked(checkpoint.path())
}

/// A level of a VAE's encoder.
struct Level {
    width: usize,
    blocks: usize,
    /// None where nothing is halved, which is so in the last.
    halves_time: Option<bool>,
}

/// 2.2: `down_blocks.level.resnets.block`.
fn nested_levels(shapes: &Shapes<'_>) -> Result<Vec<Level>> {
    let mut levels = Vec::new();
    loop {
        let level = format!("encoder.down_blocks.{}", levels.len());
        let first = format!("{level}.resnets.0.conv1.weight");
        if !shapes.has(&first) {
            return Ok(levels);
        }
        let [width, ..] = shapes.dims::<5>(&first)?;
        let halves = shapes.has(&format!("{level}.downsampler.resample.1.weight"));
        levels.push(Level {
            width,
            blocks: shapes.count(&format!("{level}.resnets."), ".conv1.weight"),
            halves_time: halves.then(|| shapes.has(&format!("{level}.downsampler.time_conv.weight"))),
        });
    }
}

/// 2.1: `down_blocks.layer`, residual blocks and halvings in one list.
fn flat_levels(shapes: &Shapes<'_>) -> Result<Vec<Level>> {
    let (mut levels, mut blocks, mut width) = (Vec::new(), 0, 0);
    for layer in 0.. {
        let layer = format!("encoder.down_blocks.{layer}");
        let block = format!("{layer}.conv1.weight");
        if shapes.has(&block) {
            [width, ..] = shapes.dims::<5>(&block)?;
            blocks += 1;
            continue;
        }
        let halves = shapes.has(&format!("{layer}.resample.1.weight"));
        levels.push(Level {
            width,
            blocks,
            halves_time: halves.then(|| shapes.has(&format!("{layer}.time_conv.weight"))),
        });
        if !halves {
            break;
        }
        blocks = 0;
    }
    Ok(levels)
}

struct Shapes<'a>(&'a Checkpoint);

impl Shapes<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.entry(name).is_some()
    }

    /// The extents of a tensor that must be there and have so many.
    fn dims<const R: usize>(&self, name: &str) -> Result<[usize; R]> {
        let dims = self.extents(name)?;
        dims.try_into()
            .map_err(|_| self.unsupported(format!("{name:?} of {} extents in place of {R}", dims.len())))
    }

    /// The two innermost extents, whatever stands before them.
    fn inner(&self, name: &str) -> Result<[usize; 2]> {
        let dims = self.extents(name)?;
        dims.last_chunk()
            .copied()
            .ok_or_else(|| self.unsupported(format!("{name:?} of {} extents", dims.len())))
    }

    fn extents(&self, name: &str) -> Result<&[usize]> {
        match self.0.entry(name) {
            Some(entry) => Ok(entry.shape.dims()),
            None => Err(LoadError::Checkpoint {
                path: self.0.path().into(),
                source: self.0.missing(name),
            }),
        }
    }

    /// How many different parts stand between `before` and `after` in the names.
    fn count(&self, before: &str, after: &str) -> usize {
        let middle = |name| str::strip_suffix(str::strip_prefix(name, before)?, after);
        let parts: BTreeSet<&str> = self.0.entries().filter_map(|(name, _)| middle(name)).collect();
        parts.iter().filter(|part| !part.contains('.')).count()
    }

    fn unsupported(&self, what: String) -> LoadError {
        LoadError::Unsupported {
            path: self.0.path().into(),
            what,
        }
    }
}

//! Making networks of the parts of a checkpoint, and refusing parts that do not fit each other.

use std::path::Path;

use super::experts::Experts;
use super::parts::Part;
use crate::assembly;
use crate::assembly::Source;
use crate::config::DitConfig;
use crate::config::ImageConfig;
use crate::config::PipelineConfig;
use crate::config::TextConfig;
use crate::dit::Dit;
use crate::error::LoadError;
use crate::image_context::ImageEncoder;
use crate::lora::ExpertName;
use crate::lora::LoraOptions;
use crate::lora::Loras;
use crate::sampling::TIMESTEPS;
use crate::tokenizer::Tokenizer;
use crate::weights::Weights;
use crate::weights::WeightsError;

/// A network of its files.
pub(super) fn part<M: 'static, C: Send + 'static>(
    source: &Source,
    config: C,
    load: fn(&Weights, &C) -> Result<M, WeightsError>,
) -> Part<M> {
    Part::new(source, move |weights| load(weights, &config))
}

/// The image encoder, where the transformer attends to pictures.
pub(super) fn load_image_encoder(
    root: &Path,
    image: Option<assembly::Part<ImageConfig>>,
    dit: &DitConfig,
) -> Result<Option<Part<ImageEncoder>>, LoadError> {
    let Some(assembly::Part { source, config }) = image else {
        return Ok(None);
    };
    let tokens = (config.image_size / config.patch_size.max(1)).pow(2) + 1;
    let mismatch = |what: String| {
        Err(LoadError::Mismatch {
            path: root.into(),
            what,
        })
    };
    if dit.image_dim != Some(config.hidden_size) {
        return mismatch(format!(
            "the image encoder is {} wide, the transformer wants {:?}",
            config.hidden_size, dit.image_dim
        ));
    }
    if dit
        .pos_embed_tokens
        .is_some_and(|positions| positions != 2 * tokens)
    {
        return mismatch(format!(
            "two pictures are {} tokens, the transformer has positions for {:?}",
            2 * tokens,
            dit.pos_embed_tokens
        ));
    }
    Ok(Some(part(&source, config, ImageEncoder::load)))
}

/// The one transformer, or the two, each with its LoRAs.
pub(super) fn load_experts(
    root: &Path,
    pipeline: &PipelineConfig,
    dit: assembly::Part<DitConfig>,
    low: Option<assembly::Part<DitConfig>>,
    loras: &[LoraOptions],
) -> Result<Experts, LoadError> {
    if let (None, Some(lora)) = (
        &low,
        loras
            .iter()
            .find(|lora| lora.expert == Some(ExpertName::LowNoise)),
    ) {
        let what = format!(
            "{} is for a low-noise expert, and there is one transformer",
            lora.path.display()
        );
        return Err(LoadError::Mismatch {
            path: root.into(),
            what,
        });
    }
    let has_experts = low.is_some();
    let with_loras = |part: &assembly::Part<DitConfig>, expert| -> Result<Part<Dit>, LoadError> {
        let network = self::part(&part.source, part.config.clone(), Dit::load);
        if loras.is_empty() {
            return Ok(network);
        }
        let loras = Loras::open(loras, expert, has_experts, &part.source.open()?)?;
        Ok(network.with_loras(loras))
    };
    let high = with_loras(&dit, ExpertName::HighNoise)?;
    let Some(low) = low else {
        return Ok(Experts::Single(high));
    };
    if low.config != dit.config {
        let what = "the two experts are of different shapes".into();
        return Err(LoadError::Mismatch {
            path: root.into(),
            what,
        });
    }
    Ok(Experts::HighLow {
        high,
        low: with_loras(&low, ExpertName::LowNoise)?,
        boundary: pipeline.boundary_ratio.unwrap_or(0.0) * TIMESTEPS,
    })
}

/// Refuses a tokenizer, a text encoder and a transformer that do not speak of the same thing.
pub(super) fn check_text(
    root: &Path,
    tokenizer: &Tokenizer,
    text: &TextConfig,
    dit: &DitConfig,
) -> Result<(), LoadError> {
    let mismatch = |what: String| {
        Err(LoadError::Mismatch {
            path: root.into(),
            what,
        })
    };
    if tokenizer.vocabulary() > text.vocab_size {
        return mismatch(format!(
            "the tokenizer knows {} tokens, the text encoder {}",
            tokenizer.vocabulary(),
            text.vocab_size
        ));
    }
    if text.d_model != dit.text_dim {
        return mismatch(format!(
            "the text encoder is {} wide, the transformer wants {}",
            text.d_model, dit.text_dim
        ));
    }
    Ok(())
}

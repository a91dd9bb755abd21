//! Putting the parts of a checkpoint together, and refusing parts that do not fit each other.

use super::experts::Experts;
use super::parts::Part;
use crate::capabilities::Family;
use crate::capabilities::ImageBranch;
use crate::config::DitConfig;
use crate::config::ImageConfig;
use crate::config::PipelineConfig;
use crate::config::TextConfig;
use crate::dit::Dit;
use crate::error::LoadError;
use crate::files::Files;
use crate::image_context::ImageEncoder;
use crate::sampling::TIMESTEPS;
use crate::tokenizer::Tokenizer;
use crate::weights::Weights;
use crate::weights::WeightsError;

/// A part in its folder.
pub(super) fn part<M: 'static, C: Send + 'static>(
    files: &Files,
    name: &'static str,
    config: C,
    load: fn(&Weights, &C) -> Result<M, WeightsError>,
) -> Part<M> {
    Part::new(files, name, move |weights| load(weights, &config))
}

/// The image encoder, where the family attends to pictures.
pub(super) fn load_image_encoder(
    files: &Files,
    family: Family,
    dit: &DitConfig,
) -> Result<Option<Part<ImageEncoder>>, LoadError> {
    let Family::Inpaint {
        image: ImageBranch::Pictures | ImageBranch::FirstAndLast,
    } = family
    else {
        return Ok(None);
    };
    let document = files.document("image_encoder/config.json")?;
    let config: ImageConfig = document.parse()?;
    if config.hidden_act != "gelu" {
        let what = format!("the activation {}", config.hidden_act);
        let path = document.path().into();
        return Err(LoadError::Unsupported { path, what });
    }
    let tokens = (config.image_size / config.patch_size.max(1)).pow(2) + 1;
    let mismatch = |what: String| {
        Err(LoadError::Mismatch {
            path: files.root(),
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
    Ok(Some(part(files, "image_encoder", config, ImageEncoder::load)))
}

/// The one transformer, or the two.
pub(super) fn load_experts(
    files: &Files,
    pipeline: &PipelineConfig,
    dit: &DitConfig,
) -> Result<Experts, LoadError> {
    let high = part(files, "transformer", dit.clone(), Dit::load);
    match pipeline.boundary_ratio {
        None => Ok(Experts::Single(high)),
        Some(ratio) => {
            let low = DitConfig::parse(&files.document("transformer_2/config.json")?)?;
            if low != *dit {
                let what = "the two experts are of different shapes".into();
                return Err(LoadError::Mismatch {
                    path: files.root(),
                    what,
                });
            }
            let boundary = ratio * TIMESTEPS;
            Ok(Experts::HighLow {
                high,
                low: part(files, "transformer_2", low, Dit::load),
                boundary,
            })
        }
    }
}

/// Refuses a tokenizer, a text encoder and a transformer that do not speak of the same thing.
pub(super) fn check_text(
    files: &Files,
    tokenizer: &Tokenizer,
    text: &TextConfig,
    dit: &DitConfig,
) -> Result<(), LoadError> {
    let mismatch = |what: String| {
        Err(LoadError::Mismatch {
            path: files.root(),
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

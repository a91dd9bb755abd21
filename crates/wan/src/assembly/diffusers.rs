//! diffusers' layout: `model_index.json`, and a folder with a configuration for each part.

use super::Assembly;
use super::Part;
use super::Source;
use super::family;
use crate::capabilities::Card;
use crate::config::DitConfig;
use crate::config::ImageConfig;
use crate::config::PipelineConfig;
use crate::config::SamplingConfig;
use crate::config::VaeConfig;
use crate::error::LoadError;
use crate::files::Files;
use crate::tokenizer::Tokenizer;

pub(super) fn assemble(files: &Files) -> Result<Assembly, LoadError> {
    let pipeline = PipelineConfig::parse(&files.document("model_index.json")?)?;
    let mut sampling = SamplingConfig::parse(&files.document("scheduler/scheduler_config.json")?)?;
    let vae = VaeConfig::parse(&files.document("vae/config.json")?)?;
    let dit = DitConfig::parse(&files.document("transformer/config.json")?)?;
    let card = Card::of(files)?;
    if let Some(key) = card.first_part() {
        return Err(LoadError::Unsupported {
            path: files.path("kinora.json"),
            what: format!("`{key}` beside model_index.json, which says where the parts are"),
        });
    }
    sampling.shift = card.shift.unwrap_or(sampling.shift);
    let family = family(files.root(), &pipeline, &dit, &vae)?;
    let low = match pipeline.boundary_ratio {
        Some(_) => {
            let config = DitConfig::parse(&files.document("transformer_2/config.json")?)?;
            Some(part(files, "transformer_2", config))
        }
        None => None,
    };
    let image = match dit.image_dim {
        Some(_) => {
            let document = files.document("image_encoder/config.json")?;
            let config: ImageConfig = document.parse()?;
            if config.hidden_act != "gelu" {
                let what = format!("the activation {}", config.hidden_act);
                let path = document.path().into();
                return Err(LoadError::Unsupported { path, what });
            }
            Some(part(files, "image_encoder", config))
        }
        None => None,
    };
    let text = files.document("text_encoder/config.json")?.parse()?;
    let name = "tokenizer/tokenizer.json";
    Ok(Assembly {
        root: files.root(),
        family,
        tokenizer: Tokenizer::parse(&files.path(name), &files.read(name)?)?,
        text: part(files, "text_encoder", text),
        vae: part(files, "vae", vae),
        dit: part(files, "transformer", dit),
        pipeline,
        sampling,
        card,
        low,
        image,
    })
}

fn part<C>(files: &Files, name: &'static str, config: C) -> Part<C> {
    Part {
        source: Source::Part(files.clone(), name),
        config,
    }
}

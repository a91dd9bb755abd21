//! A spec as the body of a request to the service: which model, which media in which roles, which parameters.

use kinora_domain::{AudioSetting, GenerationSpec, Member, Resolution, Workflow, spec::PROMPT_CHARS_MAX};
use serde_json::{Map, Value, json};

use super::DashScopeModels;
use crate::{
    EngineError, Inputs,
    prompt::{self, shots},
    upstream::media::{data_url, of, public_url},
};

/// A request, ready to be sent.
pub(super) struct Order {
    pub(super) body: Value,
    /// The prompt in it, where it is not the spec's.
    pub(super) rewritten: Option<String>,
}

/// Writes the body. Pictures are read into it, and clips get their URLs.
pub(super) fn prepare(
    models: &DashScopeModels,
    spec: &GenerationSpec,
    inputs: &Inputs,
) -> Result<Order, EngineError> {
    let mut input = Map::new();
    let rewritten = rewritten(spec, inputs.duration_ms);
    if let Some(prompt) = rewritten.as_ref().or(spec.prompt.as_ref()) {
        input.insert("prompt".to_owned(), json!(prompt));
    }
    if let Some(negative_prompt) = &spec.negative_prompt {
        input.insert("negative_prompt".to_owned(), json!(negative_prompt));
    }
    let picture = |role: &str, member| -> Result<Value, EngineError> {
        Ok(json!({"type": role, "url": data_url(inputs, of(inputs, member)?)?}))
    };
    let url = |member| public_url(inputs, of(inputs, member)?);
    let longer =
        |role: &str, member| -> Result<Value, EngineError> { Ok(json!({"type": role, "url": url(member)?})) };
    let mut media = Vec::new();
    match &spec.workflow {
        Workflow::Text { audio } => {
            if audio.is_some() {
                input.insert("audio_url".to_owned(), json!(url(Member::Audio)?));
            }
        }
        Workflow::Image { image: _, audio } => {
            media.push(picture("first_frame", Member::Image)?);
            if audio.is_some() {
                media.push(longer("driving_audio", Member::Audio)?);
            }
        }
        Workflow::FirstLast {
            first: _,
            last: _,
            audio,
        } => {
            media.push(picture("first_frame", Member::Image)?);
            media.push(picture("last_frame", Member::EndImage)?);
            if audio.is_some() {
                media.push(longer("driving_audio", Member::Audio)?);
            }
        }
        Workflow::Continuation { clip: _, last } => {
            media.push(longer("first_clip", Member::Video)?);
            if last.is_some() {
                media.push(picture("last_frame", Member::EndImage)?);
            }
        }
        Workflow::Reference {
            images,
            videos,
            multi_shots: _,
        } => {
            for index in 0..images.len() {
                media.push(picture("reference_image", Member::ReferenceImages(index))?);
            }
            for index in 0..videos.len() {
                media.push(longer("reference_video", Member::VideoRefs(index))?);
            }
        }
        Workflow::Edit {
            clip: _,
            image,
            audio: _,
        } => {
            media.push(longer("video", Member::Video)?);
            if image.is_some() {
                media.push(picture("reference_image", Member::ReferenceImage)?);
            }
        }
    }
    if !media.is_empty() {
        input.insert("media".to_owned(), Value::Array(media));
    }
    let model = model(models, &spec.workflow);
    Ok(Order {
        body: json!({"model": model, "input": input, "parameters": parameters(spec, inputs)}),
        rewritten,
    })
}

fn model<'m>(models: &'m DashScopeModels, workflow: &Workflow) -> &'m str {
    match workflow {
        Workflow::Text { .. } => &models.text,
        Workflow::Image { .. } | Workflow::FirstLast { .. } | Workflow::Continuation { .. } => &models.image,
        Workflow::Reference { .. } => &models.reference,
        Workflow::Edit { .. } => &models.edit,
    }
}

/// Geometry is a tier and a ratio. Image models have no ratio: they follow what they are given, and a ratio that was asked
/// for is cut from the result.
fn parameters(spec: &GenerationSpec, inputs: &Inputs) -> Map<String, Value> {
    let GenerationSpec {
        feature: _,
        workflow,
        prompt: _,
        negative_prompt: _,
        aspect_ratio,
        resolution,
        duration_s,
        prompt_expansion,
        // Each of several clips has a seed of its own.
        seed: _,
        n: _,
    } = spec;
    let resolution = match resolution {
        Resolution::P720 => "720P",
        Resolution::P1080 => "1080P",
    };
    let mut parameters = Map::new();
    let mut set = |name: &str, value: Value| drop(parameters.insert(name.to_owned(), value));
    set("resolution", json!(resolution));
    set("duration", json!(duration_s));
    set("prompt_extend", json!(prompt_expansion));
    set("watermark", json!(false));
    set("seed", json!(inputs.seed.get()));
    let ratio = aspect_ratio.map(|ratio| json!(ratio.as_str()));
    match workflow {
        Workflow::Text { .. } | Workflow::Reference { .. } => {
            ratio.into_iter().for_each(|ratio| set("ratio", ratio));
        }
        Workflow::Edit { audio, .. } => {
            ratio.into_iter().for_each(|ratio| set("ratio", ratio));
            let audio = match audio {
                AudioSetting::Auto => "auto",
                AudioSetting::Origin => "origin",
            };
            set("audio_setting", json!(audio));
        }
        Workflow::Image { .. } | Workflow::FirstLast { .. } | Workflow::Continuation { .. } => {}
    }
    parameters
}

/// The models have no parameter for shots: they read them in the prompt. Where the prompt would grow beyond what they
/// read, it stays as it is.
fn rewritten(spec: &GenerationSpec, duration_ms: u64) -> Option<String> {
    let Workflow::Reference { multi_shots, .. } = &spec.workflow else {
        return None;
    };
    let prompt = spec.prompt.as_ref()?;
    let rewritten = match multi_shots {
        true => shots::write(prompt, duration_ms),
        false if shots::are_written(prompt) => return None,
        false => format!("{} One single continuous shot.", prompt::ended(prompt)),
    };
    (rewritten != *prompt && rewritten.chars().count() <= PROMPT_CHARS_MAX).then_some(rewritten)
}

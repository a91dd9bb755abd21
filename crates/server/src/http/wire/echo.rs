//! The input of a generation as it is shown back: normalised, defaults resolved, without what was not asked for.

use kinora_domain::{
    AspectRatio, AudioSetting, Feature, GenerationSpec, Member, Model, Origin, Source, Workflow,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::schema;

/// The input as it was understood. Absent and inapplicable members are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Input {
    /// Given or inferred.
    #[schema(schema_with = schema::features)]
    pub feature: &'static str,
    /// The prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub prompt: Option<String>,
    /// What the clip should not show.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub negative_prompt: Option<String>,
    /// The first frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub image_url: Option<String>,
    /// The last frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub end_image_url: Option<String>,
    /// The clip that is continued or edited.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub video_url: Option<String>,
    /// "Image 1", "Image 2" … of the prompt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub reference_image_urls: Vec<String>,
    /// The image that an edit refers to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reference_image_url: Option<String>,
    /// "Video 1", "Video 2" … of the prompt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub video_refs: Vec<String>,
    /// The sound that drives or goes with the clip.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub audio_url: Option<String>,
    /// Left out where the clip follows the ratio of its input.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::aspect_ratios)]
    pub aspect_ratio: Option<&'static str>,
    /// The tier of the result.
    #[schema(schema_with = schema::resolutions)]
    pub resolution: &'static str,
    /// Seconds; 0 keeps the length of the clip that is edited.
    #[schema(minimum = 0, maximum = 15, value_type = i32)]
    pub duration: u8,
    /// Whether the prompt may be expanded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub enable_prompt_expansion: Option<bool>,
    /// Whether the clip has several shots.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub multi_shots: Option<bool>,
    /// What happens to the sound of the clip that is edited.
    #[schema(schema_with = schema::audio_settings)]
    pub audio_setting: &'static str,
    /// Given or drawn.
    #[schema(minimum = 0, maximum = 2147483647, value_type = i32)]
    pub seed: u32,
    /// How many clips are made, on the endpoint that asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 4, value_type = i32, required = false)]
    pub n: Option<u8>,
}

impl Input {
    /// The echo of a spec that was posted to `model`, with the members that endpoint has.
    pub fn new(model: Model, spec: &GenerationSpec) -> Input {
        let GenerationSpec {
            feature,
            workflow,
            prompt,
            negative_prompt,
            aspect_ratio,
            resolution,
            duration_s,
            prompt_expansion,
            seed,
            n,
        } = spec;
        let full = model == Model::WanVideo;
        let mut input = Input {
            feature: Feature::as_str(*feature),
            prompt: prompt.clone(),
            negative_prompt: negative_prompt.clone(),
            image_url: None,
            end_image_url: None,
            video_url: None,
            reference_image_urls: Vec::new(),
            reference_image_url: None,
            video_refs: Vec::new(),
            audio_url: None,
            aspect_ratio: aspect_ratio.map(AspectRatio::as_str),
            resolution: resolution.as_str(),
            duration: *duration_s,
            enable_prompt_expansion: full.then_some(*prompt_expansion),
            multi_shots: full.then_some(multi_shots(workflow)),
            audio_setting: audio_setting(workflow).as_str(),
            seed: seed.get(),
            n: (!full).then_some(*n),
        };
        for (member, source) in workflow.sources() {
            input.show(member, shown(source));
        }
        input
    }

    fn show(&mut self, member: Member, url: String) {
        match member {
            Member::Image => self.image_url = Some(url),
            Member::EndImage => self.end_image_url = Some(url),
            Member::Video => self.video_url = Some(url),
            Member::ReferenceImages(_) => self.reference_image_urls.push(url),
            Member::ReferenceImage => self.reference_image_url = Some(url),
            Member::VideoRefs(_) => self.video_refs.push(url),
            Member::Audio => self.audio_url = Some(url),
        }
    }
}

fn multi_shots(workflow: &Workflow) -> bool {
    match workflow {
        Workflow::Reference { multi_shots, .. } => *multi_shots,
        Workflow::Text { .. }
        | Workflow::Image { .. }
        | Workflow::FirstLast { .. }
        | Workflow::Continuation { .. }
        | Workflow::Edit { .. } => false,
    }
}

fn audio_setting(workflow: &Workflow) -> AudioSetting {
    match workflow {
        Workflow::Edit { audio, .. } => *audio,
        Workflow::Text { .. }
        | Workflow::Image { .. }
        | Workflow::FirstLast { .. }
        | Workflow::Continuation { .. }
        | Workflow::Reference { .. } => AudioSetting::Auto,
    }
}

/// A medium as a URL: what was fetched or uploaded is named, its bytes are not repeated.
fn shown(source: &Source) -> String {
    match source {
        Source::Url(url) => url.clone(),
        Source::Stored(stored) => match &stored.origin {
            Origin::Upload { file_name } => format!("upload://{file_name}"),
            Origin::Data { prefix } => prefix.clone(),
        },
    }
}

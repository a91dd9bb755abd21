//! The objects of the OpenAI-Videos layer: what it is sent, and what it answers.
//!
//! The layer is another view of the same generations. What a generation of the platform dialect has and this shape
//! has no word for is left out; what is not known yet is null.

use std::borrow::Cow;

use kinora_domain::{
    Artifact, AspectRatio, Failure, FrameSize, Generation, GenerationSpec, OUTPUT_FPS, Phase, Resolution,
    Source, Status, Success, Workflow,
};
use serde::Serialize;
use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{AdditionalProperties, AnyOfBuilder, ObjectBuilder, Schema, SchemaFormat, Type},
    },
};

use super::{super::error::failure_code, schema};

/// The code of a video whose generation was canceled: this shape has no status of its own for it.
const CANCELED: &str = "canceled";

/// The names by which the one model of this layer goes.
pub const MODEL_NAMES: [&str; 2] = ["wan-v2.7-video", "wan/wan-v2.7-video"];

/// One video.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Video {
    /// Its id, which is that of the generation.
    #[schema(schema_with = schema::generation_id)]
    pub id: String,
    /// Always `video`.
    #[schema(schema_with = schema::video_type)]
    pub object: &'static str,
    /// The model that makes it.
    pub model: &'static str,
    /// Where it stands.
    pub status: VideoStatus,
    /// Percent of it that are behind.
    #[schema(minimum = 0, maximum = 100, value_type = i32)]
    pub progress: u8,
    /// The prompt.
    #[schema(schema_with = schema::nullable_text, required = true)]
    pub prompt: Option<String>,
    /// Its length; null while it depends on a clip that was not measured yet.
    #[schema(schema_with = schema::nullable_text, required = true)]
    pub seconds: Option<String>,
    /// Its columns and rows; null while they follow an input that was not measured yet.
    #[schema(schema_with = schema::nullable_text, required = true)]
    pub size: Option<String>,
    /// When it was asked for, in seconds since 1970.
    #[schema(minimum = 0, value_type = i64)]
    pub created_at: i64,
    /// When it was finished.
    #[schema(schema_with = schema::nullable_unix_seconds, required = true)]
    pub completed_at: Option<i64>,
    /// When its media will be removed.
    #[schema(schema_with = schema::nullable_unix_seconds, required = true)]
    pub expires_at: Option<i64>,
    /// Why there is none.
    #[schema(schema_with = nullable_failure, required = true)]
    pub error: Option<VideoFailure>,
    /// Always null: videos are not made from videos in this layer.
    #[schema(schema_with = schema::null, required = true)]
    pub remixed_from_video_id: Option<String>,
}

/// Where a video stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VideoStatus {
    /// Waiting.
    Queued,
    /// Being made.
    InProgress,
    /// Finished.
    Completed,
    /// Ended without a result, by a failure or by the client.
    Failed,
}

/// Why there is no video.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct VideoFailure {
    /// What to branch on.
    #[schema(example = "VIDEO_GENERATION_FAILED")]
    pub code: String,
    /// The same for people.
    pub message: String,
}

impl Video {
    /// The answer at submission, whatever has become of the generation since: a replay says what was said first.
    pub fn submitted(generation: &Generation) -> Video {
        Video {
            status: VideoStatus::Queued,
            progress: 0,
            seconds: seconds(generation, None),
            size: size(generation, None),
            completed_at: None,
            expires_at: None,
            error: None,
            ..Video::new(generation, None)
        }
    }

    /// A generation, as shown. `retention_ms` is how long its media are kept once it has finished.
    pub fn new(generation: &Generation, retention_ms: Option<u64>) -> Video {
        let Generation {
            id,
            account: _,
            model,
            offer: _,
            spec,
            status,
            progress,
            held: _,
            usage: _,
            event_seq: _,
            created_at,
            started_at: _,
            finished_at,
            deadline: _,
            media_removed: _,
        } = generation;
        let artifact = match status {
            Status::Succeeded(Success { artifacts, .. }) => artifacts.first(),
            Status::Queued { .. } | Status::Running { .. } | Status::Failed(_) | Status::Canceled => None,
        };
        let completed_at = finished_at.filter(|_| artifact.is_some());
        Video {
            id: id.to_string(),
            object: "video",
            model: model.as_str(),
            status: generation.phase().into(),
            progress: match artifact {
                Some(_) => 100,
                // The cast saturates, and takes what is no number for nothing.
                None => (progress.fraction * 100.0).clamp(0.0, 100.0) as u8,
            },
            prompt: spec.prompt.clone(),
            seconds: seconds(generation, artifact),
            size: size(generation, artifact),
            created_at: created_at.unix_seconds(),
            completed_at: completed_at.map(|at| at.unix_seconds()),
            expires_at: completed_at
                .zip(retention_ms)
                .map(|(at, kept_ms)| at.plus_ms(kept_ms).unix_seconds()),
            error: VideoFailure::of(status),
            remixed_from_video_id: None,
        }
    }
}

impl VideoFailure {
    fn of(status: &Status) -> Option<VideoFailure> {
        match status {
            Status::Failed(Failure { code, message }) => Some(VideoFailure {
                code: failure_code(*code).to_owned(),
                message: message.clone(),
            }),
            Status::Canceled => Some(VideoFailure {
                code: CANCELED.to_owned(),
                message: "The generation was canceled.".to_owned(),
            }),
            Status::Queued { .. } | Status::Running { .. } | Status::Succeeded(_) => None,
        }
    }
}

/// The length of the clip, or the one that was asked for; whole seconds are told as such.
fn seconds(generation: &Generation, artifact: Option<&Artifact>) -> Option<String> {
    if let Some(artifact) = artifact {
        let seconds = f64::from(artifact.num_frames) / f64::from(OUTPUT_FPS);
        return Some(((seconds * 1000.0).round() / 1000.0).to_string());
    }
    match (&generation.spec.workflow, generation.spec.duration_s) {
        (Workflow::Edit { clip, .. }, 0) => match clip {
            Source::Stored(stored) => stored.duration_ms.map(|ms| (ms as f64 / 1000.0).to_string()),
            Source::Url(_) => None,
        },
        (_, seconds) => Some(seconds.to_string()),
    }
}

/// The size of the clip, or the one that was asked for; where the ratio follows an input there is none yet.
fn size(generation: &Generation, artifact: Option<&Artifact>) -> Option<String> {
    let GenerationSpec {
        aspect_ratio,
        resolution,
        ..
    } = &generation.spec;
    let size = match artifact {
        Some(artifact) => artifact.size,
        None => FrameSize::named(*resolution, (*aspect_ratio)?),
    };
    Some(size.to_string())
}

impl From<Phase> for VideoStatus {
    fn from(phase: Phase) -> VideoStatus {
        match phase {
            Phase::Queued => VideoStatus::Queued,
            Phase::Running => VideoStatus::InProgress,
            Phase::Succeeded => VideoStatus::Completed,
            Phase::Failed | Phase::Canceled => VideoStatus::Failed,
        }
    }
}

/// One page of a workspace's videos.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct VideoList {
    /// Always `list`.
    #[schema(schema_with = list_type)]
    pub object: &'static str,
    /// The videos.
    pub data: Vec<Video>,
    /// The id of the first of them.
    #[schema(schema_with = schema::nullable_text, required = true)]
    pub first_id: Option<String>,
    /// The id of the last of them: the `after` of the next page.
    #[schema(schema_with = schema::nullable_text, required = true)]
    pub last_id: Option<String>,
    /// Whether there are more behind them.
    pub has_more: bool,
}

impl VideoList {
    /// A page, as shown.
    pub fn new(data: Vec<Video>, has_more: bool) -> VideoList {
        VideoList {
            object: "list",
            first_id: data.first().map(|video| video.id.clone()),
            last_id: data.last().map(|video| video.id.clone()),
            data,
            has_more,
        }
    }
}

/// A video that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct VideoDeleted {
    /// Its id.
    #[schema(schema_with = schema::generation_id)]
    pub id: String,
    /// Always `video.deleted`.
    #[schema(schema_with = deleted_type)]
    pub object: &'static str,
    /// Always true.
    pub deleted: bool,
}

/// The body of every error below `/v1/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct VideosErrorBody {
    /// The error.
    pub error: VideosError,
}

/// An error, as this layer tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct VideosError {
    /// A sentence.
    pub message: String,
    /// Its class.
    #[serde(rename = "type")]
    #[schema(example = "invalid_request_error")]
    pub error_type: &'static str,
    /// The first member at fault, where members are.
    #[schema(schema_with = schema::nullable_text, required = true)]
    pub param: Option<String>,
    /// What to branch on; the codes of the other dialect.
    #[schema(example = "VIDEO_GENERATION_INVALID_INPUT")]
    pub code: &'static str,
}

// ---- what is sent --------------------------------------------------------------------------------------------

/// The sizes this layer takes, as they are spelled.
pub fn sizes() -> impl Iterator<Item = (String, Resolution, AspectRatio)> {
    let of = |resolution| {
        AspectRatio::ALL.map(|aspect| {
            (
                FrameSize::named(resolution, aspect).to_string(),
                resolution,
                aspect,
            )
        })
    };
    Resolution::ALL.into_iter().flat_map(of)
}

/// The JSON body of POST `/v1/videos`.
pub struct CreateVideo;
/// Its multipart body.
pub struct CreateVideoForm;

impl PartialSchema for CreateVideo {
    fn schema() -> RefOr<Schema> {
        let reference = ObjectBuilder::new()
            .property("image_url", image_url())
            .required("image_url")
            .description(Some(format!(
                "{FIRST_FRAME} To upload a file, send the body as multipart."
            )));
        body("A video to be made.")
            .property("input_reference", Schema::from(reference))
            .into()
    }
}

impl PartialSchema for CreateVideoForm {
    fn schema() -> RefOr<Schema> {
        let file = string()
            .format(Some(SchemaFormat::Custom("binary".to_owned())))
            .description(Some(FIRST_FRAME));
        body("A video to be made, with its first frame as a file or a URL.")
            .property("input_reference", Schema::from(file))
            .property("input_reference[image_url]", image_url())
            .into()
    }
}

impl ToSchema for CreateVideo {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("CreateVideo")
    }
}

impl ToSchema for CreateVideoForm {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("CreateVideoForm")
    }
}

const FIRST_FRAME: &str = "The first frame, cropped to the size: JPEG, PNG, BMP or WEBP, 240 to 8000 pixels per side, \
                           at most 20 MB.";

fn body(doc: &str) -> ObjectBuilder {
    let prompt = string()
        .min_length(Some(1))
        .max_length(Some(kinora_domain::spec::PROMPT_CHARS_MAX))
        .description(Some("What the video shows."));
    let model = string()
        .default(Some(json!(MODEL_NAMES[0])))
        .examples([json!(MODEL_NAMES[0])])
        .description(Some(format!(
            "{} or {}, or a name that this server's configuration takes for it.",
            MODEL_NAMES[0], MODEL_NAMES[1]
        )));
    let seconds = AnyOfBuilder::new()
        .item(Schema::from(string().pattern(Some("^([2-9]|1[0-5])$"))))
        .item(Schema::from(
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(2))
                .maximum(Some(15)),
        ))
        .default(Some(json!("5")))
        .description(Some("Its length: 2 to 15."));
    let size = string()
        .enum_values(Some(sizes().map(|(name, ..)| name).collect::<Vec<_>>()))
        .default(Some(json!("1280x720")))
        .description(Some("Columns and rows."));
    let negative_prompt = string()
        .max_length(Some(kinora_domain::spec::NEGATIVE_PROMPT_CHARS_MAX))
        .description(Some("What it should not show."));
    let seed = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(0))
        .maximum(Some(f64::from(kinora_domain::spec::SEED_MAX)))
        .description(Some("Fixes the noise it is made from; drawn when absent."));
    ObjectBuilder::new()
        .description(Some(doc))
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)))
        .property("prompt", Schema::from(prompt))
        .required("prompt")
        .property("model", Schema::from(model))
        .property("seconds", Schema::from(seconds))
        .property("size", Schema::from(size))
        .property("negative_prompt", Schema::from(negative_prompt))
        .property("seed", Schema::from(seed))
}

fn image_url() -> Schema {
    string()
        .format(Some(SchemaFormat::Custom("uri".to_owned())))
        .description(Some("An http, https or `data:` URL."))
        .into()
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn list_type() -> Schema {
    string().enum_values(Some(["list"])).into()
}

fn deleted_type() -> Schema {
    string().enum_values(Some(["video.deleted"])).into()
}

fn nullable_failure() -> Schema {
    schema::or_null(RefOr::Ref(utoipa::openapi::Ref::from_schema_name("VideoFailure"))).into()
}

#[cfg(test)]
mod tests;

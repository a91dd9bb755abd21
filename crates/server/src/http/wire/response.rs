//! The answers about generations. Every one is built from domain values by a pure constructor.

use kinora_domain::{
    Artifact, Billable, Failure, Generation, GenerationId, GenerationSpec, Model, OUTPUT_FPS, Phase, Split,
    Stage, Status, Success, Timestamp, Warning,
};
use kinora_store::StatusEvent;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::{error::failure_code, files::Signer},
    account::Usage,
    echo::Input,
    request::FieldError,
    schema,
    status::{CreatedStatus, PredictionStatus, QueueState},
};

/// Makes the URLs that answers carry.
pub struct Links<'a> {
    /// What every URL starts with.
    pub public_url: &'a str,
    /// Signs the URLs of files.
    pub signer: &'a Signer,
    /// When these URLs of files end.
    pub expires: Timestamp,
}

impl Links<'_> {
    /// Where a generation is read, cancelled and followed.
    pub fn urls(&self, id: GenerationId) -> Urls {
        let get = format!("{}/api/v1/generation/{id}", self.base());
        Urls {
            cancel: format!("{get}/cancel"),
            events: format!("{get}/events"),
            get,
        }
    }

    /// Where a file of a generation is read.
    fn file(&self, id: GenerationId, file_name: &str) -> String {
        format!("{}{}", self.base(), self.signer.sign(id, file_name, self.expires))
    }

    fn base(&self) -> &str {
        self.public_url.trim_end_matches('/')
    }
}

/// The files of a finished clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// The MP4.
    Video,
    /// The JPEG of its first frame.
    Poster,
}

impl FileKind {
    /// The name of this file of a generation's `index`th clip.
    pub fn name(self, id: GenerationId, index: usize) -> String {
        let number = if index == 0 {
            String::new()
        } else {
            format!("-{}", index + 1)
        };
        match self {
            FileKind::Video => format!("{id}{number}.mp4"),
            FileKind::Poster => format!("poster{number}.jpg"),
        }
    }
}

/// The answer to a creating request.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(title = "Generation status")]
pub struct CreatedGeneration {
    /// Its id.
    #[schema(schema_with = schema::generation_id)]
    pub id: String,
    /// Where it stands.
    #[schema(value_type = PredictionStatus)]
    pub status: CreatedStatus,
    /// The credits it holds, or has cost.
    pub usage: Usage,
    /// The input as it was understood.
    pub input: Input,
    /// Where to go from here.
    pub urls: Urls,
    /// The result, once the answer was held until the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::nullable_video_data)]
    pub data: Option<Option<VideoData>>,
    /// Why there is no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::failure_codes)]
    pub code: Option<&'static str>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub message: Option<String>,
}

impl CreatedGeneration {
    /// The answer at submission, whatever has become of the generation since: a replay says what was said first.
    pub fn new(generation: &Generation, links: &Links<'_>) -> CreatedGeneration {
        CreatedGeneration {
            id: generation.id.to_string(),
            status: CreatedStatus::new(generation.model, Phase::Queued),
            usage: generation.held.into(),
            input: Input::new(generation.model, &generation.spec),
            urls: links.urls(generation.id),
            data: None,
            code: None,
            message: None,
        }
    }

    /// The answer that was held until the end.
    pub fn settled(generation: &Generation, links: &Links<'_>) -> CreatedGeneration {
        let End { data, code, message } = End::of(generation, links);
        CreatedGeneration {
            status: CreatedStatus::new(generation.model, generation.phase()),
            usage: generation.usage.into(),
            data: Some(data),
            code,
            message,
            ..CreatedGeneration::new(generation, links)
        }
    }
}

/// One generation.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct GenerationView {
    /// Its id.
    #[schema(schema_with = schema::generation_id)]
    pub id: String,
    /// Where it stands.
    pub status: QueueState,
    /// The input as it was understood.
    pub input: Input,
    /// The result; null until there is one, and after its media were removed.
    #[schema(schema_with = schema::nullable_video_data, required = true)]
    pub data: Option<VideoData>,
    /// Present and true once its media were removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub data_removed: Option<bool>,
    /// The credits it holds, or has cost.
    pub usage: Usage,
    /// Why there is no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::failure_codes)]
    pub code: Option<&'static str>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub message: Option<String>,
    /// How much of it is behind; never decreases.
    #[schema(minimum = 0, maximum = 1)]
    pub progress: f32,
    /// What is being done. An open set.
    #[schema(example = "denoising")]
    pub stage: &'static str,
    /// The model it was posted to.
    #[schema(example = "wan/wan-v2.7-video")]
    pub model: &'static str,
    /// When it was submitted.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When work on it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    pub started_at: Option<String>,
    /// When it came to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    pub completed_at: Option<String>,
    /// Where to go from here.
    pub urls: Urls,
}

impl GenerationView {
    /// A generation, as shown.
    pub fn new(generation: &Generation, links: &Links<'_>) -> GenerationView {
        let Generation {
            id,
            account: _,
            model,
            offer: _,
            spec,
            status: _,
            progress: _,
            held: _,
            usage,
            event_seq: _,
            created_at,
            started_at,
            finished_at,
            deadline: _,
            media_removed,
        } = generation;
        let End { data, code, message } = End::of(generation, links);
        GenerationView {
            id: id.to_string(),
            status: generation.phase().into(),
            input: Input::new(*model, spec),
            data,
            data_removed: media_removed.then_some(true),
            usage: (*usage).into(),
            code,
            message,
            progress: shown_progress(generation),
            stage: shown_stage(generation).as_str(),
            model: model.as_str(),
            created_at: created_at.to_string(),
            started_at: started_at.map(|at| at.to_string()),
            completed_at: finished_at.map(|at| at.to_string()),
            urls: links.urls(*id),
        }
    }
}

/// One page of a workspace's generations, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct GenerationList {
    /// The generations.
    pub data: Vec<GenerationView>,
    /// Whether there are older ones.
    pub has_more: bool,
    /// What to send as `cursor` for the next page.
    #[schema(schema_with = schema::nullable_text, required = true)]
    pub next_cursor: Option<String>,
}

/// A generation that is queued or in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RunningItem {
    /// Its id.
    #[schema(schema_with = schema::generation_id)]
    pub id: String,
    /// Where it stands.
    pub status: QueueState,
    /// The credits it holds.
    pub usage: Usage,
    /// The input as it was understood.
    pub input: Input,
}

impl RunningItem {
    /// A generation, as listed.
    pub fn new(generation: &Generation, _links: &Links<'_>) -> RunningItem {
        RunningItem {
            id: generation.id.to_string(),
            status: generation.phase().into(),
            usage: generation.usage.into(),
            input: Input::new(generation.model, &generation.spec),
        }
    }
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EventData {
    /// The generation's id.
    #[schema(schema_with = schema::generation_id)]
    pub id: String,
    /// Where it stands.
    pub status: QueueState,
    /// The result; null until there is one.
    #[schema(schema_with = schema::nullable_video_data, required = true)]
    pub data: Option<VideoData>,
    /// The credits it holds, or has cost.
    pub usage: Usage,
    /// How much of it is behind; never decreases.
    #[schema(minimum = 0, maximum = 1)]
    pub progress: f32,
    /// What is being done. An open set.
    #[schema(example = "denoising")]
    pub stage: &'static str,
    /// Why there is no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::failure_codes)]
    pub code: Option<&'static str>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub message: Option<String>,
}

impl EventData {
    /// The present state of a generation.
    pub fn new(generation: &Generation, links: &Links<'_>) -> EventData {
        let End { data, code, message } = End::of(generation, links);
        EventData {
            id: generation.id.to_string(),
            status: generation.phase().into(),
            data,
            usage: generation.usage.into(),
            progress: shown_progress(generation),
            stage: shown_stage(generation).as_str(),
            code,
            message,
        }
    }

    /// An earlier change of a generation, for a client that missed it. The end of a generation is told by
    /// [`EventData::new`], which has the result.
    pub fn of_status_event(generation: &Generation, event: &StatusEvent) -> EventData {
        let StatusEvent {
            seq: _,
            phase,
            stage,
            fraction,
            at: _,
        } = event;
        let usage = if phase.is_terminal() {
            generation.usage
        } else {
            generation.held
        };
        let (code, message) = match &generation.status {
            Status::Failed(failure) if *phase == Phase::Failed => failed(failure),
            Status::Queued { .. }
            | Status::Running { .. }
            | Status::Succeeded(_)
            | Status::Failed(_)
            | Status::Canceled => (None, None),
        };
        EventData {
            id: generation.id.to_string(),
            status: (*phase).into(),
            data: None,
            usage: usage.into(),
            progress: within_one(*fraction),
            stage: stage.as_str(),
            code,
            message,
        }
    }
}

/// What a terminal generation has besides its status.
#[derive(Default)]
pub(super) struct End {
    pub(super) data: Option<VideoData>,
    pub(super) code: Option<&'static str>,
    pub(super) message: Option<String>,
}

impl End {
    pub(super) fn of(generation: &Generation, links: &Links<'_>) -> End {
        let nothing = End::default();
        match &generation.status {
            Status::Succeeded(success) if !generation.media_removed => End {
                data: VideoData::new(generation, success, links),
                ..nothing
            },
            Status::Failed(failure) => {
                let (code, message) = failed(failure);
                End {
                    code,
                    message,
                    ..nothing
                }
            }
            Status::Queued { .. } | Status::Running { .. } | Status::Succeeded(_) | Status::Canceled => {
                nothing
            }
        }
    }
}

fn failed(failure: &Failure) -> (Option<&'static str>, Option<String>) {
    let Failure { code, message } = failure;
    (Some(failure_code(*code)), Some(message.clone()))
}

/// The stage that goes with the phase, whatever was last reported.
fn shown_stage(generation: &Generation) -> Stage {
    match &generation.status {
        Status::Succeeded(_) | Status::Failed(_) | Status::Canceled => Stage::Done,
        Status::Queued { .. } if generation.phase() == Phase::Queued => Stage::Queued,
        Status::Queued { .. } => Stage::Retrying,
        Status::Running {
            cancel_requested: true,
            ..
        } => Stage::Canceling,
        Status::Running { .. } => generation.progress.stage,
    }
}

fn shown_progress(generation: &Generation) -> f32 {
    match &generation.status {
        Status::Succeeded(_) => 1.0,
        Status::Queued { .. } | Status::Running { .. } | Status::Failed(_) | Status::Canceled => {
            within_one(generation.progress.fraction)
        }
    }
}

/// A fraction that JSON can carry: no NaN, nothing below 0 or above 1.
fn within_one(fraction: f32) -> f32 {
    if fraction.is_nan() {
        0.0
    } else {
        // A thousandth is more than anybody watches, and keeps what is shown short.
        (fraction.clamp(0.0, 1.0) * 1000.0).round() / 1000.0
    }
}

/// The result of a generation.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct VideoData {
    /// Always `video`.
    #[serde(rename = "type")]
    #[schema(schema_with = schema::video_type)]
    pub data_type: &'static str,
    /// How many clips there are.
    #[schema(minimum = 1, maximum = 4, value_type = i32)]
    pub n: usize,
    /// The prompt that was really used.
    #[schema(schema_with = schema::nullable_text, required = true)]
    pub actual_prompt: Option<String>,
    /// The seed of the first clip.
    #[schema(minimum = 0, maximum = 2147483647, value_type = i32)]
    pub seed: u32,
    /// The clips.
    #[schema(min_items = 1, max_items = 4)]
    pub videos: Vec<VideoFile>,
    /// The first clip.
    pub video: VideoFile,
    /// What was done differently from what was asked.
    pub warnings: Vec<WarningView>,
}

/// One clip.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct VideoFile {
    /// Where to read it, for a while.
    #[schema(format = "uri")]
    pub url: String,
    /// Its name.
    pub file_name: String,
    /// Always `video/mp4`.
    #[schema(example = "video/mp4")]
    pub content_type: &'static str,
    /// Columns.
    #[schema(minimum = 1, value_type = i32)]
    pub width: u32,
    /// Rows.
    #[schema(minimum = 1, value_type = i32)]
    pub height: u32,
    /// Seconds.
    #[schema(minimum = 0)]
    pub duration: f64,
    /// Frames a second.
    #[schema(minimum = 1, value_type = i32)]
    pub fps: u32,
    /// Frames.
    #[schema(minimum = 1, value_type = i32)]
    pub num_frames: u32,
    /// Bytes.
    #[schema(minimum = 0, value_type = i64)]
    pub file_size: u64,
    /// Where to read the JPEG of its first frame, for a while.
    #[schema(format = "uri")]
    pub poster_url: String,
}

/// Something that was done differently from what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WarningView {
    /// A stable word.
    #[schema(example = "silent_audio")]
    pub code: String,
    /// A sentence.
    pub message: String,
}

impl VideoData {
    /// A result; `None` if there is no clip in it.
    fn new(generation: &Generation, success: &Success, links: &Links<'_>) -> Option<VideoData> {
        let Success {
            artifacts,
            actual_prompt,
            warnings,
        } = success;
        let file = |(index, artifact)| VideoFile::new(generation.id, index, artifact, links);
        let videos: Vec<VideoFile> = artifacts.iter().enumerate().map(file).collect();
        let warning = |Warning { code, message }: &Warning| WarningView {
            code: code.clone(),
            message: message.clone(),
        };
        Some(VideoData {
            data_type: "video",
            n: videos.len(),
            // An engine that changed nothing has used the prompt as it is.
            actual_prompt: actual_prompt.clone().or_else(|| generation.spec.prompt.clone()),
            seed: artifacts.first()?.seed.get(),
            video: videos.first()?.clone(),
            videos,
            warnings: warnings.iter().map(warning).collect(),
        })
    }
}

impl VideoFile {
    fn new(id: GenerationId, index: usize, artifact: &Artifact, links: &Links<'_>) -> VideoFile {
        let Artifact {
            video: _,
            poster: _,
            video_bytes,
            size,
            num_frames,
            seed: _,
        } = artifact;
        let file_name = FileKind::Video.name(id, index);
        VideoFile {
            url: links.file(id, &file_name),
            file_name,
            content_type: "video/mp4",
            width: size.width,
            height: size.height,
            duration: f64::from(*num_frames) / f64::from(OUTPUT_FPS),
            fps: OUTPUT_FPS,
            num_frames: *num_frames,
            file_size: *video_bytes,
            poster_url: links.file(id, &FileKind::Poster.name(id, index)),
        }
    }
}

/// Where to go from a generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Urls {
    /// Reads it.
    #[schema(format = "uri")]
    pub get: String,
    /// Cancels it.
    #[schema(format = "uri")]
    pub cancel: String,
    /// Follows it.
    #[schema(format = "uri")]
    pub events: String,
}

/// What a request would cost.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct QuoteView {
    /// Given or inferred.
    #[schema(schema_with = schema::features)]
    pub feature: &'static str,
    /// The input as it was understood.
    pub input: Input,
    /// `total` is the price. It is divided as a hold would divide it now; where the balance does not suffice, the
    /// pools show what is there.
    pub usage: Usage,
    /// How the price comes about.
    pub breakdown: Breakdown,
    /// False where the length of an input is not known yet: the price is then the upper bound.
    pub exact: bool,
    /// Whether the balance suffices.
    pub sufficient: bool,
}

/// How a price comes about: rate × (input + output) for each clip.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Breakdown {
    /// The rate.
    #[schema(minimum = 0, value_type = i64)]
    pub credits_per_second: u64,
    /// Seconds of input that are billed.
    #[schema(minimum = 0)]
    pub input_seconds: f64,
    /// Seconds of output.
    #[schema(minimum = 0)]
    pub output_seconds: f64,
    /// Clips.
    #[schema(minimum = 1, maximum = 4, value_type = i32)]
    pub n: u8,
}

impl QuoteView {
    /// The quote of a spec, for an account that has so much to spend.
    pub fn new(model: Model, spec: &GenerationSpec, billable: &Billable, available: Split) -> QuoteView {
        let Billable {
            input_ms,
            output_ms,
            credits_per_second,
            credits,
            exact,
        } = *billable;
        let price = i64::try_from(credits.0).unwrap_or(i64::MAX);
        let subscription = price.min(available.subscription);
        let permanent = (price - subscription).min(available.permanent);
        QuoteView {
            feature: spec.feature.as_str(),
            input: Input::new(model, spec),
            usage: Usage {
                total: price,
                subscription,
                permanent,
            },
            breakdown: Breakdown {
                credits_per_second,
                input_seconds: input_ms as f64 / 1000.0,
                output_seconds: output_ms as f64 / 1000.0,
                n: spec.n,
            },
            exact,
            sufficient: subscription + permanent == price,
        }
    }
}

/// The body of every error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErrorBody {
    /// An older alias of `code`.
    pub error: String,
    /// What to branch on.
    #[schema(example = "VIDEO_GENERATION_INVALID_INPUT")]
    pub code: String,
    /// The same for people.
    pub message: String,
    /// Every member that is at fault, where members are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub errors: Option<Vec<FieldError>>,
}

#[cfg(test)]
mod tests;

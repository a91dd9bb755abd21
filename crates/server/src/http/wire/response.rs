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
struct End {
    data: Option<VideoData>,
    code: Option<&'static str>,
    message: Option<String>,
}

impl End {
    fn of(generation: &Generation, links: &Links<'_>) -> End {
        let nothing = End {
            data: None,
            code: None,
            message: None,
        };
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
        fraction.clamp(0.0, 1.0)
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
mod tests {
    use kinora_domain::{
        AccountId, AspectRatio, AudioSetting, BlobHash, Credits, EntryId, FailureCode, Feature, FrameSize,
        Lease, Offer, OfferId, Origin, PriceTable, Progress, Resolution, Seed, Source, StoredInput, WorkerId,
        Workflow, ledger::EntryType,
    };
    use kinora_store::{Balance, Entry, Page};
    use serde_json::{Value, json};

    use super::*;
    use crate::http::wire::{CreditsView, EntryList, ModelsView};

    const NOW: Timestamp = Timestamp(1_795_376_411_120);

    fn links(signer: &Signer) -> Links<'_> {
        Links {
            public_url: "https://kinora.example/",
            signer,
            expires: Timestamp(1_795_348_800_000),
        }
    }

    fn url(text: &str) -> Source {
        Source::Url(text.to_owned())
    }

    fn spec(feature: Feature, workflow: Workflow) -> GenerationSpec {
        GenerationSpec {
            feature,
            workflow,
            prompt: Some("A paper boat".to_owned()),
            negative_prompt: None,
            aspect_ratio: Some(AspectRatio::Wide),
            resolution: Resolution::P1080,
            duration_s: 5,
            prompt_expansion: true,
            seed: Seed::new(1_311_768_467).expect("in range"),
            n: 1,
        }
    }

    fn text() -> GenerationSpec {
        spec(Feature::TextImage, Workflow::Text { audio: None })
    }

    fn edit() -> GenerationSpec {
        let workflow = Workflow::Edit {
            clip: url("https://example.com/c.mp4"),
            image: None,
            audio: AudioSetting::Origin,
        };
        GenerationSpec {
            aspect_ratio: None,
            duration_s: 0,
            n: 2,
            ..spec(Feature::EditVideo, workflow)
        }
    }

    fn generation(model: Model, spec: GenerationSpec, status: Status) -> Generation {
        let held = Split {
            subscription: 75,
            permanent: 0,
        };
        let started_at = (!matches!(status, Status::Queued { attempts: 0, .. })).then(|| NOW.plus_ms(884));
        Generation {
            id: GenerationId::new(NOW, 7),
            account: AccountId::new(NOW, 1),
            model,
            offer: OfferId("test".to_owned()),
            spec,
            progress: Progress {
                stage: Stage::Denoising,
                fraction: 0.35,
            },
            held,
            usage: match status {
                Status::Failed(_) | Status::Canceled => Split::ZERO,
                Status::Queued { .. } | Status::Running { .. } | Status::Succeeded(_) => held,
            },
            event_seq: 3,
            created_at: NOW,
            started_at,
            finished_at: status.is_terminal().then(|| NOW.plus_ms(167_257)),
            deadline: NOW.plus_ms(900_000),
            media_removed: false,
            status,
        }
    }

    fn queued(attempts: u32) -> Status {
        Status::Queued {
            attempts,
            not_before: NOW,
        }
    }

    fn running(cancel_requested: bool) -> Status {
        let lease = Lease {
            worker: WorkerId::new(NOW, 1),
            token: 1,
            expires_at: NOW,
        };
        Status::Running {
            lease,
            attempts: 1,
            cancel_requested,
        }
    }

    fn succeeded(clips: u32) -> Status {
        let artifact = |index: u32| Artifact {
            video: BlobHash([1; 32]),
            poster: BlobHash([2; 32]),
            video_bytes: 6_120_448,
            size: FrameSize {
                width: 1920,
                height: 1080,
            },
            num_frames: 151,
            seed: Seed::from_entropy(7 + index),
        };
        Status::Succeeded(Success {
            artifacts: (0..clips).map(artifact).collect(),
            actual_prompt: None,
            warnings: vec![Warning {
                code: "silent_audio".to_owned(),
                message: "There is no sound.".to_owned(),
            }],
        })
    }

    fn failed_with(code: FailureCode) -> Status {
        Status::Failed(Failure {
            code,
            message: "It failed.".to_owned(),
        })
    }

    fn json(value: &impl Serialize) -> Value {
        serde_json::to_value(value).expect("JSON")
    }

    #[test]
    fn the_answer_at_submission() {
        let signer = Signer::new([7; 32]);
        let queued = generation(Model::WanVideo, text(), queued(0));
        let id = queued.id;
        let expected = json!({
            "id": id.to_string(),
            "status": "starting",
            "usage": {"total": 75, "subscription": 75, "permanent": 0},
            "input": {
                "feature": "text-image", "prompt": "A paper boat", "aspect_ratio": "16:9", "resolution": "1080p",
                "duration": 5, "enable_prompt_expansion": true, "multi_shots": false, "audio_setting": "auto",
                "seed": 1311768467,
            },
            "urls": {
                "get": format!("https://kinora.example/api/v1/generation/{id}"),
                "cancel": format!("https://kinora.example/api/v1/generation/{id}/cancel"),
                "events": format!("https://kinora.example/api/v1/generation/{id}/events"),
            },
        });
        let found = CreatedGeneration::new(&queued, &links(&signer));
        // As texts: the order of members is a part of the contract's examples.
        assert_eq!(serde_json::to_string(&found).expect("JSON"), expected.to_string());
        let later = generation(Model::WanVideo, text(), failed_with(FailureCode::Timeout));
        assert_eq!(CreatedGeneration::new(&later, &links(&signer)), found);
    }

    #[test]
    fn the_answer_that_was_held() {
        let signer = Signer::new([7; 32]);
        let check = |model, spec, status, expected: Value| {
            let view = json(&CreatedGeneration::settled(
                &generation(model, spec, status),
                &links(&signer),
            ));
            for (key, value) in expected.as_object().expect("an object") {
                assert_eq!(&view[key], value, "{key}");
            }
            assert!(view.as_object().is_some_and(|view| view.contains_key("data")));
        };
        check(
            Model::WanVideo,
            text(),
            succeeded(1),
            json!({"status": "succeeded"}),
        );
        check(
            Model::WanEdit,
            edit(),
            succeeded(2),
            json!({"status": "COMPLETED"}),
        );
        check(
            Model::WanVideo,
            text(),
            Status::Canceled,
            json!({"status": "canceled", "data": null, "usage": {
                "total": 0, "subscription": 0, "permanent": 0,
            }}),
        );
        check(
            Model::WanVideo,
            text(),
            failed_with(FailureCode::Timeout),
            json!({"status": "failed", "data": null, "code": "VIDEO_GENERATION_TIMEOUT", "message": "It failed."}),
        );
    }

    #[test]
    fn a_finished_generation() {
        let signer = Signer::new([7; 32]);
        let finished = generation(Model::WanVideo, text(), succeeded(1));
        let view = json(&GenerationView::new(&finished, &links(&signer)));
        let keys: Vec<&String> = view.as_object().expect("an object").keys().collect();
        assert_eq!(
            keys,
            [
                "id",
                "status",
                "input",
                "data",
                "usage",
                "progress",
                "stage",
                "model",
                "created_at",
                "started_at",
                "completed_at",
                "urls",
            ]
        );
        assert_eq!(view["status"], "COMPLETED");
        assert_eq!((&view["progress"], &view["stage"]), (&json!(1.0), &json!("done")));
        assert_eq!(view["created_at"], "2026-11-22T19:40:11.120Z");
        assert_eq!(view["started_at"], "2026-11-22T19:40:12.004Z");
        assert_eq!(view["completed_at"], "2026-11-22T19:42:58.377Z");

        let data = &view["data"];
        let file = &data["video"];
        assert_eq!(file, &data["videos"][0]);
        let id = finished.id;
        let keys: Vec<&String> = file.as_object().expect("an object").keys().collect();
        assert_eq!(
            keys,
            [
                "url",
                "file_name",
                "content_type",
                "width",
                "height",
                "duration",
                "fps",
                "num_frames",
                "file_size",
                "poster_url",
            ]
        );
        assert_eq!(file["file_name"], format!("{id}.mp4"));
        let start = |name: String| format!("https://kinora.example/files/{id}/{name}?exp=1795348800&sig=");
        assert!(
            file["url"]
                .as_str()
                .is_some_and(|url| url.starts_with(&start(format!("{id}.mp4")))),
            "{file}"
        );
        assert!(
            file["poster_url"]
                .as_str()
                .is_some_and(|url| url.starts_with(&start("poster.jpg".to_owned())))
        );
        assert_eq!(file["duration"], json!(151.0 / 30.0));
        assert_eq!((&file["fps"], &file["num_frames"]), (&json!(30), &json!(151)));
        assert_eq!(
            (&data["type"], &data["n"], &data["seed"]),
            (&json!("video"), &json!(1), &json!(7))
        );
        assert_eq!(data["actual_prompt"], "A paper boat");
        assert_eq!(
            data["warnings"],
            json!([{"code": "silent_audio", "message": "There is no sound."}])
        );
    }

    #[test]
    fn several_clips_have_names_of_their_own() {
        let signer = Signer::new([7; 32]);
        let finished = generation(Model::WanEdit, edit(), succeeded(3));
        let data = json(&GenerationView::new(&finished, &links(&signer)))["data"].clone();
        assert_eq!(data["n"], 3);
        let id = finished.id;
        for (index, (video, poster)) in [("", "poster.jpg"), ("-2", "poster-2.jpg"), ("-3", "poster-3.jpg")]
            .into_iter()
            .enumerate()
        {
            let file = &data["videos"][index];
            assert_eq!(file["file_name"], format!("{id}{video}.mp4"));
            assert!(
                file["poster_url"]
                    .as_str()
                    .is_some_and(|url| url.contains(&format!("/{poster}?"))),
                "{file}"
            );
        }
    }

    #[test]
    fn stages_and_progress_go_with_the_phase() {
        let signer = Signer::new([7; 32]);
        let check = |status: Status, expected: (&str, &str, f64)| {
            let generation = generation(Model::WanVideo, text(), status);
            let view = json(&GenerationView::new(&generation, &links(&signer)));
            let event = json(&EventData::new(&generation, &links(&signer)));
            for value in [view, event] {
                assert_eq!(
                    (&value["status"], &value["stage"]),
                    (&json!(expected.0), &json!(expected.1))
                );
                let progress = value["progress"].as_f64().expect("a number");
                assert!((progress - expected.2).abs() < 1e-6, "{progress}");
            }
        };
        check(queued(0), ("IN_QUEUE", "queued", 0.35));
        check(queued(1), ("IN_PROGRESS", "retrying", 0.35));
        check(running(false), ("IN_PROGRESS", "denoising", 0.35));
        check(running(true), ("IN_PROGRESS", "canceling", 0.35));
        check(succeeded(1), ("COMPLETED", "done", 1.0));
        check(failed_with(FailureCode::EngineFailed), ("FAILED", "done", 0.35));
        check(Status::Canceled, ("CANCELED", "done", 0.35));
        assert_eq!([-1.0, f32::NAN, 0.5, 7.0].map(within_one), [0.0, 0.0, 0.5, 1.0]);
    }

    #[test]
    fn every_failure_has_its_code() {
        let signer = Signer::new([7; 32]);
        let check = |code, expected: &str| {
            let failed = generation(Model::WanVideo, text(), failed_with(code));
            let view = json(&GenerationView::new(&failed, &links(&signer)));
            assert_eq!(
                (&view["code"], &view["message"]),
                (&json!(expected), &json!("It failed."))
            );
            assert_eq!(view["data"], Value::Null);
        };
        check(FailureCode::InvalidInput, "VIDEO_GENERATION_INVALID_INPUT");
        check(FailureCode::ContentRejected, "VIDEO_GENERATION_CONTENT_REJECTED");
        check(FailureCode::Timeout, "VIDEO_GENERATION_TIMEOUT");
        check(
            FailureCode::ProviderUnavailable,
            "VIDEO_GENERATION_PROVIDER_UNAVAILABLE",
        );
        check(FailureCode::RateLimited, "VIDEO_GENERATION_RATE_LIMITED");
        check(FailureCode::EngineFailed, "VIDEO_GENERATION_FAILED");
    }

    #[test]
    fn removed_media_are_said_to_be_removed() {
        let signer = Signer::new([7; 32]);
        let removed = Generation {
            media_removed: true,
            ..generation(Model::WanVideo, text(), succeeded(1))
        };
        let view = json(&GenerationView::new(&removed, &links(&signer)));
        assert_eq!(
            (&view["data"], &view["data_removed"]),
            (&Value::Null, &json!(true))
        );
        let kept = json(&GenerationView::new(
            &generation(Model::WanVideo, text(), succeeded(1)),
            &links(&signer),
        ));
        assert!(kept.get("data_removed").is_none());
    }

    #[test]
    fn an_event_has_its_members_in_order() {
        let signer = Signer::new([7; 32]);
        let running = generation(Model::WanVideo, text(), running(false));
        let event = serde_json::to_string(&EventData::new(&running, &links(&signer))).expect("JSON");
        let expected = format!(
            r#"{{"id":"{}","status":"IN_PROGRESS","data":null,"usage":{{"total":75,"subscription":75,"permanent":0}},"progress":0.35,"stage":"denoising"}}"#,
            running.id
        );
        assert_eq!(event, expected);
    }

    #[test]
    fn missed_events_tell_what_was() {
        let check = |status: Status, phase, stage, expected: Value| {
            let generation = generation(Model::WanVideo, text(), status);
            let event = StatusEvent {
                seq: 1,
                phase,
                stage,
                fraction: 0.0,
                at: NOW,
            };
            let found = json(&EventData::of_status_event(&generation, &event));
            for (key, value) in expected.as_object().expect("an object") {
                assert_eq!(&found[key], value, "{key}");
            }
        };
        let held = json!({"total": 75, "subscription": 75, "permanent": 0});
        let failed = || failed_with(FailureCode::Timeout);
        let first = json!({"status": "IN_QUEUE", "stage": "queued", "usage": held, "data": null});
        check(failed(), Phase::Queued, Stage::Queued, first);
        let second = json!({"status": "IN_PROGRESS", "stage": "preparing", "usage": held, "code": null});
        check(failed(), Phase::Running, Stage::Preparing, second);
        let last = json!({"status": "FAILED", "code": "VIDEO_GENERATION_TIMEOUT", "message": "It failed."});
        check(failed(), Phase::Failed, Stage::Done, last);
    }

    #[test]
    fn inputs_are_shown_by_their_workflow() {
        let stored = |origin| {
            Source::Stored(StoredInput {
                blob: BlobHash([1; 32]),
                origin,
                duration_ms: None,
            })
        };
        let upload = stored(Origin::Upload {
            file_name: "my clip.mp4".to_owned(),
        });
        let data = stored(Origin::Data {
            prefix: "data:image/png;base64,".to_owned(),
        });
        let check = |model, spec: GenerationSpec, expected: Value| {
            assert_eq!(json(&Input::new(model, &spec)), expected);
        };
        let frames = Workflow::FirstLast {
            first: data.clone(),
            last: url("https://e.com/b.png"),
            audio: Some(url("u")),
        };
        let frames = GenerationSpec {
            prompt: None,
            negative_prompt: Some("blur".to_owned()),
            aspect_ratio: None,
            ..spec(Feature::Frames, frames)
        };
        check(
            Model::WanVideo,
            frames,
            json!({
                "feature": "frames", "negative_prompt": "blur", "image_url": "data:image/png;base64,",
                "end_image_url": "https://e.com/b.png", "audio_url": "u", "resolution": "1080p", "duration": 5,
                "enable_prompt_expansion": true, "multi_shots": false, "audio_setting": "auto", "seed": 1311768467,
            }),
        );
        let reference = Workflow::Reference {
            images: vec![data, url("b")],
            videos: vec![upload.clone()],
            multi_shots: true,
        };
        check(
            Model::WanVideo,
            spec(Feature::Reference, reference),
            json!({
                "feature": "reference", "prompt": "A paper boat",
                "reference_image_urls": ["data:image/png;base64,", "b"], "video_refs": ["upload://my clip.mp4"],
                "aspect_ratio": "16:9", "resolution": "1080p", "duration": 5, "enable_prompt_expansion": true,
                "multi_shots": true, "audio_setting": "auto", "seed": 1311768467,
            }),
        );
        let workflow = Workflow::Edit {
            clip: upload,
            image: Some(url("i")),
            audio: AudioSetting::Origin,
        };
        check(
            Model::WanEdit,
            GenerationSpec {
                aspect_ratio: None,
                duration_s: 0,
                n: 2,
                ..spec(Feature::EditVideo, workflow)
            },
            json!({
                "feature": "edit-video", "prompt": "A paper boat", "video_url": "upload://my clip.mp4",
                "reference_image_url": "i", "resolution": "1080p", "duration": 0, "audio_setting": "origin",
                "seed": 1311768467, "n": 2,
            }),
        );
        let workflow = Workflow::Continuation {
            clip: url("c"),
            last: Some(url("l")),
        };
        let continued = json(&Input::new(Model::WanVideo, &spec(Feature::TextImage, workflow)));
        assert_eq!(
            (&continued["video_url"], &continued["end_image_url"]),
            (&json!("c"), &json!("l"))
        );
        let workflow = Workflow::Image {
            image: url("i"),
            audio: None,
        };
        assert_eq!(
            json(&Input::new(Model::WanVideo, &spec(Feature::TextImage, workflow)))["image_url"],
            "i"
        );
    }

    #[test]
    fn quotes() {
        let billable = Billable {
            input_ms: 5020,
            output_ms: 5020,
            credits_per_second: 15,
            credits: Credits(302),
            exact: true,
        };
        let check = |subscription, permanent, expected: Value| {
            let available = Split {
                subscription,
                permanent,
            };
            let quote = json(&QuoteView::new(Model::WanVideo, &edit(), &billable, available));
            assert_eq!(
                (&quote["usage"], &quote["sufficient"]),
                (&expected["usage"], &expected["sufficient"])
            );
            assert_eq!(
                quote["breakdown"],
                json!({"credits_per_second": 15, "input_seconds": 5.02, "output_seconds": 5.02, "n": 2})
            );
            assert_eq!(
                (&quote["exact"], &quote["feature"]),
                (&json!(true), &json!("edit-video"))
            );
        };
        let split = |subscription, permanent, sufficient| {
            let usage = json!({"total": 302, "subscription": subscription, "permanent": permanent});
            json!({"usage": usage, "sufficient": sufficient})
        };
        check(1000, 0, split(302, 0, true));
        check(300, 100, split(300, 2, true));
        check(0, 302, split(0, 302, true));
        check(300, 1, split(300, 1, false));
        check(0, 0, split(0, 0, false));
    }

    /// C-2 and C-4: members by which clients would mistake one thing for another.
    #[test]
    fn no_member_has_a_misleading_name() {
        const NEVER_ON_TOP: [&str; 11] = [
            "state",
            "queue_state",
            "queueState",
            "prediction_status",
            "predictionStatus",
            "generation_id",
            "generationId",
            "prediction_id",
            "predictionId",
            "task_id",
            "taskId",
        ];
        fn nested(value: &Value) {
            match value {
                Value::Object(object) => {
                    for (key, value) in object {
                        assert!(key != "status" && key != "state", "{value} has a nested {key}");
                        nested(value);
                    }
                }
                Value::Array(items) => items.iter().for_each(nested),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let signer = Signer::new([7; 32]);
        let links = links(&signer);
        let statuses = [
            queued(0),
            queued(1),
            running(true),
            succeeded(2),
            failed_with(FailureCode::InvalidInput),
            Status::Canceled,
        ];
        for status in statuses {
            for (model, spec) in [(Model::WanVideo, text()), (Model::WanEdit, edit())] {
                let generation = generation(model, spec, status.clone());
                let views = [
                    json(&CreatedGeneration::new(&generation, &links)),
                    json(&CreatedGeneration::settled(&generation, &links)),
                    json(&GenerationView::new(&generation, &links)),
                    json(&RunningItem::new(&generation, &links)),
                    json(&EventData::new(&generation, &links)),
                ];
                for view in views {
                    let object = view.as_object().expect("an object");
                    assert!(object["status"].as_str().is_some_and(|status| !status.is_empty()));
                    for (key, value) in object {
                        assert!(!NEVER_ON_TOP.contains(&key.as_str()), "{key}");
                        nested(value);
                    }
                }
            }
        }
    }

    #[test]
    fn credits_and_entries() {
        let split = |subscription, permanent| Split {
            subscription,
            permanent,
        };
        let balance = Balance {
            available: split(940, 300),
            held: split(75, 0),
        };
        assert_eq!(
            json(&CreditsView::new(balance)).to_string(),
            r#"{"total":1240,"subscription":940,"permanent":300,"held":{"total":75,"subscription":75,"permanent":0}}"#
        );
        let generation = GenerationId::new(NOW, 7);
        let entry = |position, entry_type, generation| Entry {
            id: EntryId::new(NOW, 9),
            position,
            entry_type,
            generation,
            amount: split(-75, 0),
            note: Some("of the operator".to_owned()),
            created_at: NOW,
        };
        let entries = vec![
            entry(12, EntryType::Hold, Some(generation)),
            entry(11, EntryType::Grant, None),
        ];
        let check = |has_more, next_cursor: Value| {
            let list = json(&EntryList::new(Page {
                items: entries.clone(),
                has_more,
            }));
            assert_eq!(
                (&list["has_more"], &list["next_cursor"]),
                (&json!(has_more), &next_cursor)
            );
            let expected = json!({
                "id": EntryId::new(NOW, 9).to_string(), "created_at": "2026-11-22T19:40:11.120Z", "type": "hold",
                "generation_id": generation.to_string(),
                "amount": {"total": -75, "subscription": -75, "permanent": 0},
            });
            assert_eq!(list["data"][0], expected);
            assert!(list["data"][1].get("generation_id").is_none());
        };
        check(false, Value::Null);
        check(true, json!("11"));
    }

    #[test]
    fn models_show_what_the_offers_can_do() {
        let prices = PriceTable {
            credits_per_second_720p: 10,
            credits_per_second_1080p: 15,
            billed_input_ms_max: None,
        };
        let all = json(&ModelsView::new(&[Offer::unlimited("test")], &prices));
        let video = &all["data"][0];
        assert_eq!(video["id"], "wan/wan-v2.7-video");
        assert_eq!(video["endpoint"], "/api/v1/generation/wan/wan-v2.7-video");
        assert_eq!(video["sse_endpoint"], "/api/v1/generation/sse/wan/wan-v2.7-video");
        let features: Vec<&Value> = video["features"]
            .as_array()
            .expect("an array")
            .iter()
            .map(|feature| &feature["feature"])
            .collect();
        assert_eq!(features, ["text-image", "frames", "reference", "edit-video"]);
        assert_eq!(
            video["features"][2],
            json!({
                "feature": "reference", "resolutions": ["720p", "1080p"],
                "aspect_ratios": ["16:9", "9:16", "1:1", "4:3", "3:4"],
                "duration": {"min": 2, "max": 15, "default": 5}, "max_reference_images": 8,
                "max_reference_videos": 8, "max_references": 16, "audio_input": false,
            })
        );
        assert_eq!(
            video["features"][3]["duration"],
            json!({"min": 0, "max": 10, "default": 0})
        );
        assert_eq!(video["prices"].as_array().map(Vec::len), Some(8));
        assert_eq!(
            video["prices"][7],
            json!({"resolution": "1080p", "feature": "edit-video", "credits_per_second": 15, "bills_input": true})
        );
        let edit = &all["data"][1];
        assert_eq!(edit["id"], "wan/wan-v2.7/edit-video");
        assert_eq!(edit["features"].as_array().map(Vec::len), Some(1));

        let none = json(&ModelsView::new(&[], &prices));
        assert_eq!(
            (&none["data"][0]["features"], &none["data"][0]["prices"]),
            (&json!([]), &json!([]))
        );
    }
}

//! The JSON that rows hold: specs and results. Neither the wire's form nor the domain's.
//!
//! Rows outlive programs, so these types change only together with a migration. Each conversion takes its source
//! apart by naming every field: a field that is added to the domain does not compile until it is kept.

use std::str::FromStr;

use kinora_domain::{
    Artifact, AspectRatio, AudioSetting, BlobHash, Feature, FrameSize, GenerationSpec, Origin, Resolution,
    Seed, Source, StoredInput, Success, Warning, Workflow,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub(crate) mod worker;

/// Why a row's JSON is no value of the domain.
pub(crate) type Problem = String;

/// A spec as the text of a row.
pub(crate) fn spec_to_json(spec: &GenerationSpec) -> String {
    to_json(&SpecRow::from(spec))
}

/// The spec in the text of a row.
pub(crate) fn spec_from_json(text: &str) -> Result<GenerationSpec, Problem> {
    from_json::<SpecRow>(text)?.into_spec()
}

/// A result as the text of a row.
pub(crate) fn success_to_json(success: &Success) -> String {
    to_json(&SuccessRow::from(success))
}

/// The result in the text of a row.
pub(crate) fn success_from_json(text: &str) -> Result<Success, Problem> {
    from_json::<SuccessRow>(text)?.into_success()
}

#[derive(Debug, Serialize, Deserialize)]
struct SpecRow {
    feature: String,
    workflow: WorkflowRow,
    prompt: Option<String>,
    negative_prompt: Option<String>,
    aspect_ratio: Option<String>,
    resolution: String,
    duration_s: u8,
    prompt_expansion: bool,
    seed: u32,
    n: u8,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
enum WorkflowRow {
    Text {
        audio: Option<SourceRow>,
    },
    Image {
        image: SourceRow,
        audio: Option<SourceRow>,
    },
    FirstLast {
        first: SourceRow,
        last: SourceRow,
        audio: Option<SourceRow>,
    },
    Continuation {
        clip: SourceRow,
        last: Option<SourceRow>,
    },
    Reference {
        images: Vec<SourceRow>,
        videos: Vec<SourceRow>,
        multi_shots: bool,
    },
    Edit {
        clip: SourceRow,
        image: Option<SourceRow>,
        audio: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
enum SourceRow {
    Url {
        url: String,
    },
    Upload {
        blob: String,
        file_name: String,
        duration_ms: Option<u64>,
    },
    Data {
        blob: String,
        prefix: String,
        duration_ms: Option<u64>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct SuccessRow {
    artifacts: Vec<ArtifactRow>,
    actual_prompt: Option<String>,
    warnings: Vec<WarningRow>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ArtifactRow {
    video: String,
    poster: String,
    video_bytes: u64,
    width: u32,
    height: u32,
    num_frames: u32,
    seed: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct WarningRow {
    code: String,
    message: String,
}

impl From<&GenerationSpec> for SpecRow {
    fn from(spec: &GenerationSpec) -> SpecRow {
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
        SpecRow {
            feature: feature.as_str().to_owned(),
            workflow: workflow.into(),
            prompt: prompt.clone(),
            negative_prompt: negative_prompt.clone(),
            aspect_ratio: aspect_ratio.map(|ratio| ratio.as_str().to_owned()),
            resolution: resolution.as_str().to_owned(),
            duration_s: *duration_s,
            prompt_expansion: *prompt_expansion,
            seed: seed.get(),
            n: *n,
        }
    }
}

impl SpecRow {
    fn into_spec(self) -> Result<GenerationSpec, Problem> {
        let SpecRow {
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
        } = self;
        Ok(GenerationSpec {
            feature: word::<Feature>("feature", &feature)?,
            workflow: workflow.into_workflow()?,
            prompt,
            negative_prompt,
            aspect_ratio: aspect_ratio
                .map(|ratio| word::<AspectRatio>("aspect_ratio", &ratio))
                .transpose()?,
            resolution: word::<Resolution>("resolution", &resolution)?,
            duration_s,
            prompt_expansion,
            seed: seed_of(seed)?,
            n,
        })
    }
}

impl From<&Workflow> for WorkflowRow {
    fn from(workflow: &Workflow) -> WorkflowRow {
        let one = |source: &Source| SourceRow::from(source);
        let maybe = |source: &Option<Source>| source.as_ref().map(SourceRow::from);
        let all = |sources: &[Source]| sources.iter().map(SourceRow::from).collect();
        match workflow {
            Workflow::Text { audio } => WorkflowRow::Text { audio: maybe(audio) },
            Workflow::Image { image, audio } => WorkflowRow::Image {
                image: one(image),
                audio: maybe(audio),
            },
            Workflow::FirstLast { first, last, audio } => WorkflowRow::FirstLast {
                first: one(first),
                last: one(last),
                audio: maybe(audio),
            },
            Workflow::Continuation { clip, last } => WorkflowRow::Continuation {
                clip: one(clip),
                last: maybe(last),
            },
            Workflow::Reference {
                images,
                videos,
                multi_shots,
            } => WorkflowRow::Reference {
                images: all(images),
                videos: all(videos),
                multi_shots: *multi_shots,
            },
            Workflow::Edit { clip, image, audio } => WorkflowRow::Edit {
                clip: one(clip),
                image: maybe(image),
                audio: audio.as_str().to_owned(),
            },
        }
    }
}

impl WorkflowRow {
    fn into_workflow(self) -> Result<Workflow, Problem> {
        let one = SourceRow::into_source;
        let maybe = |source: Option<SourceRow>| source.map(SourceRow::into_source).transpose();
        let all = |sources: Vec<SourceRow>| -> Result<Vec<Source>, Problem> {
            sources.into_iter().map(SourceRow::into_source).collect()
        };
        Ok(match self {
            WorkflowRow::Text { audio } => Workflow::Text { audio: maybe(audio)? },
            WorkflowRow::Image { image, audio } => Workflow::Image {
                image: one(image)?,
                audio: maybe(audio)?,
            },
            WorkflowRow::FirstLast { first, last, audio } => Workflow::FirstLast {
                first: one(first)?,
                last: one(last)?,
                audio: maybe(audio)?,
            },
            WorkflowRow::Continuation { clip, last } => Workflow::Continuation {
                clip: one(clip)?,
                last: maybe(last)?,
            },
            WorkflowRow::Reference {
                images,
                videos,
                multi_shots,
            } => Workflow::Reference {
                images: all(images)?,
                videos: all(videos)?,
                multi_shots,
            },
            WorkflowRow::Edit { clip, image, audio } => Workflow::Edit {
                clip: one(clip)?,
                image: maybe(image)?,
                audio: AudioSetting::ALL
                    .into_iter()
                    .find(|setting| setting.as_str() == audio)
                    .ok_or_else(|| format!("audio is {audio:?}"))?,
            },
        })
    }
}

impl From<&Source> for SourceRow {
    fn from(source: &Source) -> SourceRow {
        let StoredInput {
            blob,
            origin,
            duration_ms,
        } = match source {
            Source::Url(url) => return SourceRow::Url { url: url.clone() },
            Source::Stored(stored) => stored,
        };
        match origin {
            Origin::Upload { file_name } => SourceRow::Upload {
                blob: blob.to_string(),
                file_name: file_name.clone(),
                duration_ms: *duration_ms,
            },
            Origin::Data { prefix } => SourceRow::Data {
                blob: blob.to_string(),
                prefix: prefix.clone(),
                duration_ms: *duration_ms,
            },
        }
    }
}

impl SourceRow {
    fn into_source(self) -> Result<Source, Problem> {
        let (blob, origin, duration_ms) = match self {
            SourceRow::Url { url } => return Ok(Source::Url(url)),
            SourceRow::Upload {
                blob,
                file_name,
                duration_ms,
            } => (blob, Origin::Upload { file_name }, duration_ms),
            SourceRow::Data {
                blob,
                prefix,
                duration_ms,
            } => (blob, Origin::Data { prefix }, duration_ms),
        };
        Ok(Source::Stored(StoredInput {
            blob: word::<BlobHash>("blob", &blob)?,
            origin,
            duration_ms,
        }))
    }
}

impl From<&Success> for SuccessRow {
    fn from(success: &Success) -> SuccessRow {
        let Success {
            artifacts,
            actual_prompt,
            warnings,
        } = success;
        SuccessRow {
            artifacts: artifacts.iter().map(ArtifactRow::from).collect(),
            actual_prompt: actual_prompt.clone(),
            warnings: warnings.iter().map(WarningRow::from).collect(),
        }
    }
}

impl SuccessRow {
    fn into_success(self) -> Result<Success, Problem> {
        let SuccessRow {
            artifacts,
            actual_prompt,
            warnings,
        } = self;
        Ok(Success {
            artifacts: artifacts
                .into_iter()
                .map(ArtifactRow::into_artifact)
                .collect::<Result<_, _>>()?,
            actual_prompt,
            warnings: warnings
                .into_iter()
                .map(|WarningRow { code, message }| Warning { code, message })
                .collect(),
        })
    }
}

impl From<&Artifact> for ArtifactRow {
    fn from(artifact: &Artifact) -> ArtifactRow {
        let Artifact {
            video,
            poster,
            video_bytes,
            size: FrameSize { width, height },
            num_frames,
            seed,
        } = artifact;
        ArtifactRow {
            video: video.to_string(),
            poster: poster.to_string(),
            video_bytes: *video_bytes,
            width: *width,
            height: *height,
            num_frames: *num_frames,
            seed: seed.get(),
        }
    }
}

impl ArtifactRow {
    fn into_artifact(self) -> Result<Artifact, Problem> {
        let ArtifactRow {
            video,
            poster,
            video_bytes,
            width,
            height,
            num_frames,
            seed,
        } = self;
        Ok(Artifact {
            video: word::<BlobHash>("video", &video)?,
            poster: word::<BlobHash>("poster", &poster)?,
            video_bytes,
            size: FrameSize { width, height },
            num_frames,
            seed: seed_of(seed)?,
        })
    }
}

impl From<&Warning> for WarningRow {
    fn from(warning: &Warning) -> WarningRow {
        let Warning { code, message } = warning;
        WarningRow {
            code: code.clone(),
            message: message.clone(),
        }
    }
}

fn to_json<T: Serialize>(row: &T) -> String {
    serde_json::to_string(row).expect("row types have text keys only and their numbers are integers")
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn word<T: FromStr>(field: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| format!("{field} is {text:?}"))
}

fn seed_of(value: u32) -> Result<Seed, Problem> {
    Seed::new(i64::from(value)).ok_or_else(|| format!("seed is {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(byte: u8, origin: Origin, duration_ms: Option<u64>) -> Source {
        Source::Stored(StoredInput {
            blob: BlobHash([byte; 32]),
            origin,
            duration_ms,
        })
    }

    #[test]
    fn specs_read_back() {
        let url = || Source::Url("https://example.com/a?b=\"c\"&d=é".to_owned());
        let upload = || {
            let file_name = "cat \\ \u{1}.png".to_owned();
            stored(7, Origin::Upload { file_name }, None)
        };
        let data = || {
            let prefix = "data:video/mp4;base64,".to_owned();
            stored(255, Origin::Data { prefix }, Some(5020))
        };
        let workflows = [
            Workflow::Text { audio: None },
            Workflow::Text { audio: Some(url()) },
            Workflow::Image {
                image: upload(),
                audio: None,
            },
            Workflow::FirstLast {
                first: url(),
                last: upload(),
                audio: Some(data()),
            },
            Workflow::Continuation {
                clip: data(),
                last: None,
            },
            Workflow::Continuation {
                clip: url(),
                last: Some(url()),
            },
            Workflow::Reference {
                images: vec![url(), upload()],
                videos: vec![data()],
                multi_shots: true,
            },
            Workflow::Edit {
                clip: data(),
                image: Some(upload()),
                audio: AudioSetting::Origin,
            },
            Workflow::Edit {
                clip: url(),
                image: None,
                audio: AudioSetting::Auto,
            },
        ];
        for (index, workflow) in workflows.into_iter().enumerate() {
            let odd = index % 2 == 1;
            let spec = GenerationSpec {
                feature: Feature::ALL[index % Feature::ALL.len()],
                workflow,
                prompt: odd.then(|| "Fog over\na \"harbour\" 🌫".to_owned()),
                negative_prompt: (!odd).then(|| "rain".to_owned()),
                aspect_ratio: odd.then(|| AspectRatio::ALL[index % AspectRatio::ALL.len()]),
                resolution: Resolution::ALL[index % 2],
                duration_s: index as u8,
                prompt_expansion: odd,
                seed: Seed::new(i64::from(i32::MAX) - index as i64).unwrap(),
                n: 1 + index as u8 % 4,
            };
            assert_eq!(spec_from_json(&spec_to_json(&spec)), Ok(spec));
        }
    }

    #[test]
    fn results_read_back() {
        let artifact = |byte: u8| Artifact {
            video: BlobHash([byte; 32]),
            poster: BlobHash([byte + 1; 32]),
            video_bytes: u64::MAX,
            size: FrameSize {
                width: 1472,
                height: 624,
            },
            num_frames: 151,
            seed: Seed::new(i64::from(byte)).unwrap(),
        };
        let success = Success {
            artifacts: vec![artifact(1), artifact(3)],
            actual_prompt: Some("Fog".to_owned()),
            warnings: vec![Warning {
                code: "upscaled".to_owned(),
                message: "Made at 480p.".to_owned(),
            }],
        };
        assert_eq!(success_from_json(&success_to_json(&success)), Ok(success));
    }

    #[test]
    fn what_nobody_wrote_is_refused() {
        let text = spec_to_json(&GenerationSpec {
            feature: Feature::TextImage,
            workflow: Workflow::Text { audio: None },
            prompt: None,
            negative_prompt: None,
            aspect_ratio: None,
            resolution: Resolution::P720,
            duration_s: 5,
            prompt_expansion: false,
            seed: Seed::new(1).unwrap(),
            n: 1,
        });
        assert!(spec_from_json(&text).is_ok());
        for (from, to) in [
            ("text-image", "text-images"),
            ("720p", "480p"),
            ("\"seed\":1", "\"seed\":2147483648"),
            ("\"is\":\"text\"", "\"is\":\"words\""),
            ("\"n\":1", "\"m\":1"),
            ("}", ""),
        ] {
            assert!(text.contains(from), "{text}");
            assert!(spec_from_json(&text.replace(from, to)).is_err(), "{from} → {to}");
        }
    }
}

//! Generations as videos, whatever they were made of and however they ended.

use kinora_domain::{
    AccountId, AudioSetting, BlobHash, FailureCode, Feature, GenerationId, Model, OfferId, Origin, Progress,
    Seed, Split, Stage, StoredInput, Timestamp,
};
use serde_json::Value;

use super::*;

const NOW: Timestamp = Timestamp(1_795_376_411_120);

fn text() -> GenerationSpec {
    GenerationSpec {
        feature: Feature::TextImage,
        workflow: Workflow::Text { audio: None },
        prompt: Some("a boat".to_owned()),
        negative_prompt: None,
        aspect_ratio: Some(AspectRatio::Tall),
        resolution: Resolution::P720,
        duration_s: 4,
        prompt_expansion: true,
        seed: Seed::from_entropy(7),
        n: 1,
    }
}

fn edit(duration_s: u8, clip: Source) -> GenerationSpec {
    GenerationSpec {
        feature: Feature::EditVideo,
        workflow: Workflow::Edit {
            clip,
            image: None,
            audio: AudioSetting::Auto,
        },
        aspect_ratio: None,
        duration_s,
        ..text()
    }
}

fn upload(duration_ms: Option<u64>) -> Source {
    Source::Stored(StoredInput {
        blob: BlobHash([0; 32]),
        origin: Origin::Upload {
            file_name: "a.mp4".to_owned(),
        },
        duration_ms,
    })
}

fn queued() -> Status {
    Status::Queued {
        attempts: 0,
        not_before: NOW,
    }
}

fn succeeded() -> Status {
    let artifact = Artifact {
        video: BlobHash([1; 32]),
        poster: BlobHash([2; 32]),
        video_bytes: 5,
        size: FrameSize {
            width: 720,
            height: 1280,
        },
        num_frames: 122,
        seed: Seed::from_entropy(7),
    };
    Status::Succeeded(Success {
        artifacts: vec![artifact],
        actual_prompt: None,
        warnings: Vec::new(),
    })
}

fn generation(spec: GenerationSpec, status: Status, fraction: f32) -> Generation {
    Generation {
        id: GenerationId::new(NOW, 7),
        account: AccountId::new(NOW, 1),
        model: Model::WanVideo,
        offer: OfferId("test".to_owned()),
        spec,
        progress: Progress {
            stage: Stage::Denoising,
            fraction,
        },
        held: Split::ZERO,
        usage: Split::ZERO,
        event_seq: 3,
        created_at: NOW,
        started_at: None,
        finished_at: status.is_terminal().then(|| NOW.plus_ms(60_000)),
        deadline: NOW.plus_ms(900_000),
        media_removed: false,
        status,
    }
}

fn json(video: &Video) -> Value {
    serde_json::to_value(video).expect("a video")
}

#[test]
fn every_status() {
    let check = |status, fraction, expected: (&str, u64), error: Value| {
        let video = json(&Video::new(&generation(text(), status, fraction), Some(1000)));
        let found = (
            video["status"].as_str().expect("a word"),
            video["progress"].as_u64().expect("a number"),
        );
        assert_eq!(found, expected);
        assert_eq!(video["error"]["code"], error);
    };
    check(queued(), 0.0, ("queued", 0), Value::Null);
    check(queued(), f32::NAN, ("queued", 0), Value::Null);
    check(succeeded(), 0.9, ("completed", 100), Value::Null);
    check(Status::Canceled, 0.359, ("failed", 35), "canceled".into());
    let failure = Failure {
        code: FailureCode::Timeout,
        message: "It took too long.".to_owned(),
    };
    check(
        Status::Failed(failure),
        2.0,
        ("failed", 100),
        "VIDEO_GENERATION_TIMEOUT".into(),
    );
}

#[test]
fn a_finished_one_tells_what_came_out_of_it() {
    let generation = generation(text(), succeeded(), 1.0);
    let video = json(&Video::new(&generation, Some(60_000)));
    let expected = json!({
        "id": generation.id.to_string(), "object": "video", "model": "wan/wan-v2.7-video", "status": "completed",
        "progress": 100, "prompt": "a boat", "seconds": "4.067", "size": "720x1280", "created_at": 1_795_376_411,
        "completed_at": 1_795_376_471, "expires_at": 1_795_376_531, "error": null, "remixed_from_video_id": null,
    });
    assert_eq!(video, expected);
    assert_eq!(json(&Video::new(&generation, None))["expires_at"], Value::Null);
    let submitted = json(&Video::submitted(&generation));
    for (member, value) in [
        ("status", json!("queued")),
        ("progress", json!(0)),
        ("seconds", json!("4")),
        ("completed_at", Value::Null),
        ("expires_at", Value::Null),
    ] {
        assert_eq!(submitted[member], value, "{member}");
    }
}

#[test]
fn what_is_not_known_yet_is_null() {
    let check = |spec, seconds: Value, size: Value| {
        let video = json(&Video::new(&generation(spec, queued(), 0.0), None));
        assert_eq!((&video["seconds"], &video["size"]), (&seconds, &size));
    };
    check(text(), "4".into(), "720x1280".into());
    check(edit(3, upload(None)), "3".into(), Value::Null);
    check(edit(0, upload(Some(2500))), "2.5".into(), Value::Null);
    check(edit(0, upload(None)), Value::Null, Value::Null);
    let url = Source::Url("https://example.com/a.mp4".to_owned());
    check(edit(0, url), Value::Null, Value::Null);
}

//! Every answer, for every status, held against the contract.

use kinora_domain::{
    AccountId, AspectRatio, AudioSetting, BlobHash, Catalog, Credits, EntryId, FailureCode, Feature,
    FrameSize, Lease, Offer, OfferId, Origin, PriceTable, Progress, Resolution, Seed, Source, StoredInput,
    WorkerId, Workflow, ledger::EntryType,
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
    let all = json(&ModelsView::new(
        &Catalog::new(vec![Offer::unlimited("test", "For tests.")]),
        &prices,
        None,
    ));
    let video = &all["data"][0];
    assert_eq!(video["id"], "wan/wan-v2.7-video");
    assert_eq!(video["endpoint"], "/api/v1/generation/wan/wan-v2.7-video");
    assert_eq!(video["sse_endpoint"], "/api/v1/generation/sse/wan/wan-v2.7-video");
    let every = ["text-image", "frames", "reference", "edit-video"];
    assert_eq!(
        video["engines"],
        json!([{"id": "test", "about": "For tests.", "features": every}])
    );
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
            "feature": "reference", "starts": ["references"], "resolutions": ["720p", "1080p"],
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

    let none = json(&ModelsView::new(&Catalog::default(), &prices, None));
    assert_eq!(
        (&none["data"][0]["features"], &none["data"][0]["prices"]),
        (&json!([]), &json!([]))
    );
}

//! The rules of contract section 4, each one both ways: what breaks it is refused naming the field, and its nearest
//! neighbour is taken.

use serde_json::{Value, json};

use crate::house::House;

const IMAGE: &str = "https://example.com/a.png";
const CLIP: &str = "https://example.com/a.mp4";
const SOUND: &str = "https://example.com/a.wav";

/// What a body is expected to meet.
enum Expect {
    /// Taken; the quote echoes this feature.
    Taken(&'static str),
    /// Refused with this status, naming these fields and no others.
    Refused(u16, &'static [&'static str]),
}
use Expect::{Refused, Taken};

/// `members` over a body that has only what `base` names.
fn body(base: &str, members: Value) -> Value {
    let mut body = match base {
        "text" => json!({"prompt": "a boat"}),
        "image" => json!({"image_url": IMAGE}),
        "frames" => json!({"image_url": IMAGE, "end_image_url": IMAGE}),
        "clip" => json!({"video_url": CLIP, "duration": 15}),
        "reference" => json!({"prompt": "the boat of Image 1", "reference_image_urls": [IMAGE]}),
        "edit" => json!({"prompt": "make it snow", "feature": "edit-video", "video_url": CLIP}),
        "" => json!({}),
        other => panic!("no base {other}"),
    };
    let object = body.as_object_mut().expect("an object");
    for (name, value) in members.as_object().expect("an object") {
        object.insert(name.clone(), value.clone());
    }
    body
}

async fn check_all(path: &str, cases: Vec<(&str, &str, Value, Expect)>) {
    let house = House::start().await;
    for (rule, base, members, expected) in cases {
        let body = body(base, members);
        let answer = house.post(path, &body).await;
        let case = format!("{rule}: {body}");
        match expected {
            Taken(feature) => {
                assert_eq!(answer.status, 200, "{case}: {}", answer.body);
                assert_eq!(answer.body["feature"], feature, "{case}");
            }
            Refused(status, fields) => {
                assert_eq!(answer.status, status, "{case}: {}", answer.body);
                assert_eq!(answer.body["code"], "VIDEO_GENERATION_INVALID_INPUT", "{case}");
                assert_eq!(answer.body["error"], answer.body["code"], "{case}");
                let message = answer.body["message"].as_str().expect("a message");
                assert!(
                    message.starts_with("Request validation failed"),
                    "{case}: {message}"
                );
                let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
                let mut found: Vec<&str> = errors.iter().filter_map(|e| e["field"].as_str()).collect();
                found.sort_unstable();
                let mut expected = fields.to_vec();
                expected.sort_unstable();
                assert_eq!(found, expected, "{case}: {message}");
                assert!(
                    fields.iter().all(|field| message.contains(field)),
                    "{case}: {message}"
                );
            }
        }
    }
    house.sound().await;
}

const QUOTE: &str = "/generation/quote/wan/wan-v2.7-video";

#[tokio::test]
async fn types() {
    let mut cases: Vec<(&str, &str, Value, Expect)> = vec![
        ("T-02", "text", json!({"duration": "5"}), Taken("text-image")),
        ("T-02", "text", json!({"duration": 5.0}), Taken("text-image")),
        (
            "T-02",
            "text",
            json!({"duration": "5s"}),
            Refused(400, &["duration"]),
        ),
        (
            "T-02",
            "text",
            json!({"duration": "5.5"}),
            Refused(400, &["duration"]),
        ),
        (
            "T-02",
            "text",
            json!({"duration": 5.5}),
            Refused(400, &["duration"]),
        ),
        (
            "T-02",
            "text",
            json!({"duration": true}),
            Refused(400, &["duration"]),
        ),
        ("T-02", "text", json!({"seed": "5"}), Refused(400, &["seed"])),
        ("T-02", "text", json!({"seed": 5.0}), Taken("text-image")),
        ("T-02", "text", json!({"prompt": 5}), Refused(400, &["prompt"])),
        ("T-02", "text", json!({"feature": 5}), Refused(400, &["feature"])),
        (
            "T-02",
            "text",
            json!({"enable_prompt_expansion": "true"}),
            Refused(400, &["enable_prompt_expansion"]),
        ),
        (
            "T-02",
            "text",
            json!({"multi_shots": 0}),
            Refused(400, &["multi_shots"]),
        ),
        (
            "T-02",
            "text",
            json!({"audio_url": []}),
            Refused(400, &["audio_url"]),
        ),
        (
            "T-02",
            "text",
            json!({"reference_image_urls": IMAGE}),
            Refused(400, &["reference_image_urls"]),
        ),
        (
            "T-02",
            "reference",
            json!({"video_refs": [CLIP, 7]}),
            Refused(400, &["video_refs[1]"]),
        ),
        (
            "T-02",
            "text",
            json!({"seed": [], "resolution": 720, "image_url": {}}),
            Refused(400, &["seed", "resolution", "image_url"]),
        ),
        (
            "unknown",
            "text",
            json!({"n": 7, "cfg": {"x": [1]}, "": null}),
            Taken("text-image"),
        ),
    ];
    // Null means absent, for every member.
    for name in [
        "feature",
        "negative_prompt",
        "image_url",
        "end_image_url",
        "video_url",
        "reference_image_urls",
        "reference_image_url",
        "video_refs",
        "audio_url",
        "aspect_ratio",
        "resolution",
        "duration",
        "enable_prompt_expansion",
        "multi_shots",
        "audio_setting",
        "seed",
        "webhook_url",
    ] {
        cases.push(("null", "text", json!({name: null}), Taken("text-image")));
    }
    // Empty means absent for URLs and the negative prompt.
    for name in [
        "negative_prompt",
        "image_url",
        "end_image_url",
        "video_url",
        "reference_image_url",
        "audio_url",
    ] {
        cases.push(("empty", "text", json!({name: ""}), Taken("text-image")));
    }
    cases.push((
        "empty",
        "text",
        json!({"reference_image_urls": [], "video_refs": []}),
        Taken("text-image"),
    ));
    check_all(QUOTE, cases).await;
}

#[tokio::test]
async fn malformed_bodies() {
    let house = House::start().await;
    for text in [
        "",
        "{",
        "[]",
        "5",
        "null",
        "\"x\"",
        "{\"prompt\":}",
        "{\"prompt\":\"a\"} x",
        "\u{0}",
    ] {
        let answer = house.post_text(QUOTE, text).await;
        assert_eq!(answer.status, 400, "T-01: {text:?}: {}", answer.body);
        assert_eq!(answer.body["code"], "VIDEO_GENERATION_INVALID_INPUT");
        assert!(
            answer.body["message"]
                .as_str()
                .is_some_and(|m| m.contains("validation")),
            "{}",
            answer.body
        );
    }
}

#[tokio::test]
async fn values() {
    let long = |n: usize| "ä".repeat(n);
    let eight = vec![IMAGE; 8];
    let nine = vec![IMAGE; 9];
    let long_url = format!("https://example.com/{}", "a".repeat(8192 - 20));
    let too_long_url = format!("{long_url}a");
    let cases = vec![
        (
            "V-01",
            "text",
            json!({"feature": "text-image"}),
            Taken("text-image"),
        ),
        (
            "V-01",
            "text",
            json!({"feature": "Text-Image"}),
            Refused(422, &["feature"]),
        ),
        ("V-01", "text", json!({"feature": ""}), Refused(422, &["feature"])),
        ("V-02", "", json!({"prompt": long(5000)}), Taken("text-image")),
        (
            "V-02",
            "",
            json!({"prompt": long(5001)}),
            Refused(422, &["prompt"]),
        ),
        ("V-02", "image", json!({"prompt": ""}), Refused(422, &["prompt"])),
        ("V-02", "image", json!({"prompt": "  "}), Taken("text-image")),
        (
            "V-03",
            "text",
            json!({"negative_prompt": long(500)}),
            Taken("text-image"),
        ),
        (
            "V-03",
            "text",
            json!({"negative_prompt": long(501)}),
            Refused(422, &["negative_prompt"]),
        ),
        (
            "V-04",
            "reference",
            json!({"prompt": null}),
            Refused(422, &["prompt"]),
        ),
        (
            "V-04",
            "edit",
            json!({"prompt": " \n"}),
            Refused(422, &["prompt"]),
        ),
        ("V-04", "edit", json!({}), Taken("edit-video")),
        ("V-05", "", json!({}), Refused(422, &["prompt"])),
        ("V-05", "", json!({"prompt": "\t"}), Refused(422, &["prompt"])),
        ("V-05", "image", json!({}), Taken("text-image")),
        ("V-05", "clip", json!({}), Taken("text-image")),
        (
            "V-06",
            "text",
            json!({"image_url": "ftp://example.com/a.png"}),
            Refused(422, &["image_url"]),
        ),
        (
            "V-06",
            "text",
            json!({"image_url": "a.png"}),
            Refused(422, &["image_url"]),
        ),
        (
            "V-06",
            "text",
            json!({"image_url": "https://u:p@example.com/a.png"}),
            Refused(422, &["image_url"]),
        ),
        (
            "V-06",
            "text",
            json!({"image_url": too_long_url}),
            Refused(422, &["image_url"]),
        ),
        (
            "V-06",
            "text",
            json!({"image_url": long_url}),
            Taken("text-image"),
        ),
        (
            "V-06",
            "text",
            json!({"image_url": "http://127.0.0.1/a.png"}),
            Refused(422, &["image_url"]),
        ),
        (
            "V-06",
            "clip",
            json!({"video_url": "data:video/mp4;base64,AAAA"}),
            Refused(422, &["video_url"]),
        ),
        (
            "V-06",
            "text",
            json!({"audio_url": "data:audio/wav;base64,AAAA"}),
            Refused(422, &["audio_url"]),
        ),
        (
            "V-06",
            "reference",
            json!({"video_refs": [CLIP, CLIP, "x"]}),
            Refused(422, &["video_refs[2]"]),
        ),
        (
            "V-07",
            "image",
            json!({"video_url": CLIP}),
            Refused(422, &["video_url"]),
        ),
        (
            "V-07",
            "image",
            json!({"video_url": CLIP, "feature": "frames"}),
            Refused(422, &["video_url"]),
        ),
        (
            "V-08",
            "text",
            json!({"end_image_url": IMAGE, "feature": "text-image"}),
            Refused(422, &["end_image_url"]),
        ),
        ("V-08", "clip", json!({"end_image_url": IMAGE}), Taken("frames")),
        (
            "V-08",
            "frames",
            json!({"feature": "text-image"}),
            Taken("text-image"),
        ),
        (
            "V-09",
            "text",
            json!({"feature": "frames"}),
            Refused(422, &["image_url"]),
        ),
        ("V-09", "image", json!({"feature": "frames"}), Taken("frames")),
        ("V-09", "clip", json!({"feature": "frames"}), Taken("frames")),
        (
            "V-10",
            "text",
            json!({"feature": "reference"}),
            Refused(422, &["reference_image_urls"]),
        ),
        (
            "V-10",
            "text",
            json!({"feature": "reference", "video_refs": [CLIP]}),
            Taken("reference"),
        ),
        (
            "V-11",
            "reference",
            json!({"reference_image_urls": eight}),
            Taken("reference"),
        ),
        (
            "V-11",
            "reference",
            json!({"reference_image_urls": nine}),
            Refused(422, &["reference_image_urls"]),
        ),
        (
            "V-11",
            "reference",
            json!({"video_refs": vec![CLIP; 9]}),
            Refused(422, &["video_refs"]),
        ),
        (
            "V-12",
            "reference",
            json!({"image_url": IMAGE}),
            Refused(422, &["image_url"]),
        ),
        (
            "V-12",
            "reference",
            json!({"end_image_url": IMAGE}),
            Refused(422, &["end_image_url"]),
        ),
        (
            "V-12",
            "reference",
            json!({"feature": "reference", "video_url": CLIP}),
            Refused(422, &["video_url"]),
        ),
        (
            "V-12",
            "reference",
            json!({"reference_image_url": IMAGE}),
            Refused(422, &["reference_image_url"]),
        ),
        (
            "V-12",
            "reference",
            json!({"audio_url": SOUND}),
            Refused(422, &["audio_url"]),
        ),
        (
            "V-13",
            "text",
            json!({"feature": "edit-video"}),
            Refused(422, &["video_url"]),
        ),
        (
            "V-14",
            "edit",
            json!({"image_url": IMAGE}),
            Refused(422, &["image_url"]),
        ),
        (
            "V-14",
            "edit",
            json!({"end_image_url": IMAGE}),
            Refused(422, &["end_image_url"]),
        ),
        (
            "V-14",
            "edit",
            json!({"video_refs": [CLIP]}),
            Refused(422, &["video_refs"]),
        ),
        (
            "V-14",
            "edit",
            json!({"audio_url": SOUND}),
            Refused(422, &["audio_url"]),
        ),
        (
            "V-14",
            "edit",
            json!({"reference_image_urls": [IMAGE, IMAGE]}),
            Taken("edit-video"),
        ),
        (
            "V-15",
            "text",
            json!({"reference_image_url": IMAGE}),
            Refused(422, &["reference_image_url"]),
        ),
        (
            "V-15",
            "clip",
            json!({"video_refs": [CLIP]}),
            Refused(422, &["video_refs"]),
        ),
        (
            "V-15",
            "text",
            json!({"feature": "text-image", "reference_image_urls": [IMAGE]}),
            Refused(422, &["reference_image_urls"]),
        ),
        (
            "V-16",
            "clip",
            json!({"audio_url": SOUND}),
            Refused(422, &["audio_url"]),
        ),
        ("V-16", "image", json!({"audio_url": SOUND}), Taken("text-image")),
        (
            "V-17",
            "text",
            json!({"aspect_ratio": "3:4"}),
            Taken("text-image"),
        ),
        (
            "V-17",
            "text",
            json!({"aspect_ratio": "21:9"}),
            Refused(422, &["aspect_ratio"]),
        ),
        ("V-18", "text", json!({"resolution": "720p"}), Taken("text-image")),
        (
            "V-18",
            "text",
            json!({"resolution": "720P"}),
            Refused(422, &["resolution"]),
        ),
        ("V-19", "text", json!({"duration": 2}), Taken("text-image")),
        ("V-19", "text", json!({"duration": 15}), Taken("text-image")),
        (
            "V-19",
            "text",
            json!({"duration": 1}),
            Refused(422, &["duration"]),
        ),
        (
            "V-19",
            "text",
            json!({"duration": 16}),
            Refused(422, &["duration"]),
        ),
        (
            "V-19",
            "text",
            json!({"duration": 0}),
            Refused(422, &["duration"]),
        ),
        (
            "V-19",
            "text",
            json!({"duration": -5}),
            Refused(422, &["duration"]),
        ),
        ("V-19", "edit", json!({"duration": 0}), Taken("edit-video")),
        ("V-19", "edit", json!({"duration": 5}), Taken("edit-video")),
        (
            "V-19",
            "edit",
            json!({"duration": 1}),
            Refused(422, &["duration"]),
        ),
        (
            "V-19",
            "edit",
            json!({"duration": 11}),
            Refused(422, &["duration"]),
        ),
        ("V-20", "reference", json!({"duration": 15}), Taken("reference")),
        (
            "V-20",
            "reference",
            json!({"duration": 10, "video_refs": [CLIP]}),
            Taken("reference"),
        ),
        (
            "V-20",
            "reference",
            json!({"duration": 11, "video_refs": [CLIP]}),
            Refused(422, &["duration"]),
        ),
        (
            "V-22",
            "reference",
            json!({"multi_shots": true}),
            Taken("reference"),
        ),
        (
            "V-22",
            "text",
            json!({"multi_shots": true}),
            Refused(422, &["multi_shots"]),
        ),
        (
            "V-23",
            "edit",
            json!({"audio_setting": "origin"}),
            Taken("edit-video"),
        ),
        (
            "V-23",
            "edit",
            json!({"audio_setting": "mute"}),
            Refused(422, &["audio_setting"]),
        ),
        (
            "V-23",
            "clip",
            json!({"audio_setting": "origin"}),
            Refused(422, &["audio_setting"]),
        ),
        ("V-24", "text", json!({"seed": 2147483647}), Taken("text-image")),
        (
            "V-24",
            "text",
            json!({"seed": 2147483648u32}),
            Refused(422, &["seed"]),
        ),
        ("V-24", "text", json!({"seed": -1}), Refused(422, &["seed"])),
        (
            "V-27",
            "text",
            json!({"webhook_url": "https://example.com/hook"}),
            Taken("text-image"),
        ),
        (
            "V-27",
            "text",
            json!({"webhook_url": "http://10.0.0.1/hook"}),
            Refused(422, &["webhook_url"]),
        ),
        (
            "V-27",
            "text",
            json!({"webhook_url": "hook"}),
            Refused(422, &["webhook_url"]),
        ),
        ("V-28", "text", json!({"n": 5}), Taken("text-image")),
        (
            "all",
            "text",
            json!({"duration": 99, "seed": -1, "resolution": "4k", "aspect_ratio": "2:1"}),
            Refused(422, &["duration", "seed", "resolution", "aspect_ratio"]),
        ),
        // A member at its documented default is taken in every workflow.
        ("default", "image", defaults(), Taken("text-image")),
        ("default", "frames", defaults(), Taken("frames")),
        ("default", "reference", defaults(), Taken("reference")),
        ("default", "edit", defaults(), Taken("edit-video")),
    ];
    check_all(QUOTE, cases).await;
}

fn defaults() -> Value {
    json!({
        "multi_shots": false, "audio_setting": "auto", "enable_prompt_expansion": true, "duration": 5,
        "aspect_ratio": "16:9", "resolution": "1080p"
    })
}

#[tokio::test]
async fn the_narrow_edit_endpoint() {
    let house = House::start().await;
    let path = "/generation/wan/wan-v2.7/edit-video";
    let check = async |members: Value, status: u16, fields: &[&str]| {
        let answer = house.post(path, &body("edit", members.clone())).await;
        assert_eq!(answer.status, status, "{members}: {}", answer.body);
        let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
        let found: Vec<&str> = errors.iter().filter_map(|e| e["field"].as_str()).collect();
        assert_eq!(found, fields, "{members}: {}", answer.body);
    };
    check(json!({"n": 0}), 422, &["n"]).await;
    check(json!({"n": 5}), 422, &["n"]).await;
    check(json!({"n": "2"}), 400, &["n"]).await;
    check(json!({"prompt": null}), 422, &["prompt"]).await;
    check(json!({"video_url": null}), 422, &["video_url"]).await;
    check(json!({"duration": 1}), 422, &["duration"]).await;
    // Members of the big endpoint are unknown here; its own null means the default.
    check(
        json!({"n": 2, "image_url": "x", "feature": "frames", "aspect_ratio": null}),
        202,
        &[],
    )
    .await;
    house.sound().await;
}

//! The rules that tools rely on when they read the create schemas.

use super::*;
use crate::http::wire::{
    members::{Names, read_members},
    request::Endpoint,
    video::{CreateVideo, sizes},
};

fn schema<T: PartialSchema>() -> Value {
    serde_json::to_value(T::schema()).expect("a schema")
}

#[test]
fn names_are_those_that_are_read() {
    let check = |endpoint, schema: Value| {
        let mut names = Names::default();
        read_members(endpoint, &mut names);
        let documented: Vec<&String> = schema["properties"]
            .as_object()
            .expect("properties")
            .keys()
            .collect();
        let mut read = names.0;
        let mut expected = documented.clone();
        read.sort_unstable();
        expected.sort_unstable();
        assert_eq!(expected, read);
    };
    check(Endpoint::WanVideo, schema::<CreateGeneration>());
    check(Endpoint::WanVideo, schema::<CreateGenerationForm>());
    check(Endpoint::WanEdit, schema::<EditVideo>());
    check(Endpoint::WanEdit, schema::<EditVideoForm>());
    check(Endpoint::OpenAiVideos, schema::<CreateVideo>());
}

#[test]
fn bodies_are_flat_and_open() {
    for schema in [
        schema::<CreateGeneration>(),
        schema::<CreateGenerationForm>(),
        schema::<EditVideo>(),
        schema::<EditVideoForm>(),
    ] {
        assert_eq!(schema["type"], "object");
        assert_eq!(schema["additionalProperties"], true);
        for composed in ["oneOf", "anyOf", "allOf", "$ref"] {
            assert!(schema.get(composed).is_none(), "{composed}");
        }
        for (name, property) in schema["properties"].as_object().expect("properties") {
            assert!(!property["type"].is_array(), "{name} has a list of types");
            assert!(property["description"].is_string(), "{name} is not described");
        }
    }
}

#[test]
fn required_members() {
    assert!(schema::<CreateGeneration>().get("required").is_none());
    let edit = schema::<EditVideo>();
    assert_eq!(edit["required"], json!(["prompt", "video_url"]));
    assert_eq!(edit["properties"]["prompt"]["type"], "string");
    assert_eq!(edit["properties"]["video_url"]["type"], "string");
}

#[test]
fn defaults_are_the_documented_ones() {
    let check = |schema: Value, expected: Value| {
        let properties = schema["properties"].as_object().expect("properties");
        let found: serde_json::Map<String, Value> = properties
            .iter()
            .filter_map(|(name, property)| Some((name.clone(), property.get("default")?.clone())))
            .collect();
        assert_eq!(Value::Object(found), expected);
    };
    let create = json!({
        "aspect_ratio": "16:9", "resolution": "1080p", "duration": 5, "enable_prompt_expansion": true,
        "multi_shots": false, "audio_setting": "auto",
    });
    check(schema::<CreateGeneration>(), create);
    check(
        schema::<EditVideo>(),
        json!({"resolution": "1080p", "duration": 0, "audio_setting": "auto", "n": 1}),
    );
}

#[test]
fn values_are_bounded() {
    let create = schema::<CreateGeneration>()["properties"].clone();
    let edit = schema::<EditVideo>()["properties"].clone();
    let check = |property: &Value, expected: Value| {
        for (key, value) in expected.as_object().expect("an object") {
            assert_eq!(&property[key], value, "{key} of {property}");
        }
    };
    check(
        &create["feature"],
        json!({"enum": ["text-image", "frames", "reference", "edit-video"]}),
    );
    check(
        &create["aspect_ratio"],
        json!({"enum": ["16:9", "9:16", "1:1", "4:3", "3:4"]}),
    );
    check(&create["resolution"], json!({"enum": ["720p", "1080p"]}));
    check(&create["audio_setting"], json!({"enum": ["auto", "origin"]}));
    check(
        &create["duration"],
        json!({"type": "integer", "minimum": 0, "maximum": 15}),
    );
    check(
        &create["prompt"]["anyOf"][0],
        json!({"type": "string", "minLength": 1, "maxLength": 5000}),
    );
    check(
        &create["negative_prompt"]["anyOf"][0],
        json!({"type": "string", "maxLength": 500}),
    );
    let seed = json!({"type": "integer", "minimum": 0, "maximum": 2147483647});
    check(&create["seed"]["anyOf"][0], seed.clone());
    check(&edit["seed"]["anyOf"][0], seed);
    check(&create["image_url"], json!({"type": "string", "format": "uri"}));
    check(
        &create["video_url"],
        json!({"type": "string", "format": "uri", "maxLength": 8192}),
    );
    check(
        &create["audio_url"]["anyOf"][0],
        json!({"type": "string", "format": "uri", "maxLength": 8192}),
    );
    for list in ["reference_image_urls", "video_refs"] {
        check(&create[list], json!({"type": "array", "maxItems": 8}));
        check(&create[list]["items"], json!({"type": "string", "format": "uri"}));
    }
    check(
        &edit["duration"],
        json!({"minimum": 0, "maximum": 10, "enum": [0, 2, 3, 4, 5, 6, 7, 8, 9, 10]}),
    );
    check(&edit["n"], json!({"type": "integer", "minimum": 1, "maximum": 4}));
    for (properties, nullable) in [
        (
            &create,
            [
                "prompt",
                "negative_prompt",
                "audio_url",
                "enable_prompt_expansion",
                "seed",
            ]
            .as_slice(),
        ),
        (&edit, &["aspect_ratio", "seed"]),
    ] {
        for (name, property) in properties.as_object().expect("properties") {
            let taken = property["anyOf"]
                .as_array()
                .is_some_and(|of| of.contains(&json!({"type": "null"})));
            assert_eq!(taken, nullable.contains(&name.as_str()), "{name}");
        }
    }
    let form = schema::<CreateGenerationForm>()["properties"].clone();
    for file in [
        &form["video_url"],
        &form["video_refs"]["items"],
        &form["image_url"],
    ] {
        check(&file["anyOf"][0], json!({"type": "string", "format": "binary"}));
        check(&file["anyOf"][1], json!({"type": "string", "format": "uri"}));
    }
}

#[test]
fn sizes_are_the_named_ones() {
    let names: Vec<String> = sizes().map(|(name, ..)| name).collect();
    let expected = [
        "1280x720",
        "720x1280",
        "960x960",
        "1104x832",
        "832x1104",
        "1920x1080",
        "1080x1920",
        "1440x1440",
        "1648x1248",
        "1248x1648",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        schema::<CreateVideo>()["properties"]["size"]["enum"],
        json!(expected)
    );
    assert_eq!(schema::<CreateVideo>()["required"], json!(["prompt"]));
}

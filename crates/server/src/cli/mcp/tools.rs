//! The tools: their names, what they are for, and the arguments they take.

use std::sync::Arc;

use kinora_domain::{AspectRatio, AudioSetting, Feature, Resolution};
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

/// What a model that meets these tools should know first.
pub(super) const INSTRUCTIONS: &str = "\
Kinora makes short videos (2 to 15 s, MP4) from text, images and clips. `generate` makes one, `continue` goes on from a \
clip, `edit` changes a clip. Each waits for the video unless `wait` is false; then ask `status` for it by its id. Videos \
cost credits, by the second; `credits` tells what is left. Media are given as paths of files or as http(s) URLs; `save_to` \
is where the MP4 is written.";

/// A tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToolName {
    Generate,
    Edit,
    Continue,
    Status,
    Cancel,
    List,
    Credits,
}

impl ToolName {
    const ALL: [ToolName; 7] = [
        ToolName::Generate,
        ToolName::Edit,
        ToolName::Continue,
        ToolName::Status,
        ToolName::Cancel,
        ToolName::List,
        ToolName::Credits,
    ];

    fn as_str(self) -> &'static str {
        match self {
            ToolName::Generate => "generate",
            ToolName::Edit => "edit",
            ToolName::Continue => "continue",
            ToolName::Status => "status",
            ToolName::Cancel => "cancel",
            ToolName::List => "list",
            ToolName::Credits => "credits",
        }
    }

    pub(super) fn parse(name: &str) -> Option<ToolName> {
        ToolName::ALL.into_iter().find(|tool| tool.as_str() == name)
    }

    /// The names of the arguments it takes.
    pub(super) fn arguments(self) -> Vec<&'static str> {
        let (properties, _) = self.takes();
        properties.into_iter().map(|(name, _)| name).collect()
    }

    fn about(self) -> &'static str {
        match self {
            ToolName::Generate => {
                "Make a video from a prompt; also from a first frame, a first and a last frame, or reference images and \
                 clips, which the prompt calls \"Image 1\", \"Video 1\" and so on."
            }
            ToolName::Edit => "Change a clip as the prompt says: its style, its setting, what is in it.",
            ToolName::Continue => "Go on from the end of a clip. The result holds the clip and what follows.",
            ToolName::Status => {
                "How far a generation is; once it has finished, its result, which can be saved."
            }
            ToolName::Cancel => "End a generation that is queued or running; its credits are given back.",
            ToolName::List => "The latest generations, newest first.",
            ToolName::Credits => {
                "How many credits can be spent, and how many are held by running generations."
            }
        }
    }

    fn annotations(self) -> ToolAnnotations {
        let hints = ToolAnnotations::new();
        match self {
            ToolName::Generate | ToolName::Edit | ToolName::Continue => {
                hints.read_only(false).destructive(false)
            }
            ToolName::Cancel => hints.read_only(false).destructive(true).idempotent(true),
            ToolName::Status | ToolName::List | ToolName::Credits => hints.read_only(true),
        }
    }

    /// The arguments and, of these, the required ones.
    fn takes(self) -> (Properties, &'static [&'static str]) {
        let prompt = |doc| {
            (
                "prompt",
                json!({"type": "string", "minLength": 1, "maxLength": 5000, "description": doc}),
            )
        };
        let medium = |name, doc: &str| {
            (
                name,
                json!({"type": "string", "description": format!("{doc}: a path or a URL.")}),
            )
        };
        let media = |name, doc: &str| {
            let items = json!({"type": "string"});
            let description = format!("{doc}: paths or URLs.");
            (
                name,
                json!({"type": "array", "items": items, "maxItems": 8, "description": description}),
            )
        };
        let choice = |name, words: Vec<&str>, doc| {
            (name, json!({"type": "string", "enum": words, "description": doc}))
        };
        let seconds = |min, max, doc| {
            (
                "duration",
                json!({"type": "integer", "minimum": min, "maximum": max, "description": doc}),
            )
        };
        let id = || {
            (
                "id",
                json!({"type": "string", "description": "The id of the generation: gen_…"}),
            )
        };
        let save_to = || {
            let doc =
                "Where to write the MP4. What is there is replaced. Without it the result has a URL only.";
            ("save_to", json!({"type": "string", "description": doc}))
        };
        let rest = || -> Properties {
            let ratios = AspectRatio::ALL.map(AspectRatio::as_str).to_vec();
            let resolutions = Resolution::ALL.map(Resolution::as_str).to_vec();
            vec![
                choice(
                    "aspect_ratio",
                    ratios,
                    "Default: as the image or the clip, else 16:9.",
                ),
                choice("resolution", resolutions, "Default: 1080p; 720p costs less."),
                (
                    "seed",
                    json!({"type": "integer", "minimum": 0, "maximum": kinora_domain::spec::SEED_MAX,
                           "description": "The same seed and the same arguments make the same video."}),
                ),
                save_to(),
                (
                    "wait",
                    json!({"type": "boolean", "default": true, "description": "Whether to wait for the video."}),
                ),
            ]
        };
        let negative = || {
            let doc = "What is not to be seen.";
            (
                "negative_prompt",
                json!({"type": "string", "maxLength": 500, "description": doc}),
            )
        };
        match self {
            ToolName::Generate => {
                let features = Feature::ALL.map(Feature::as_str).to_vec();
                let mut takes = vec![
                    prompt("What is to be seen. Required unless there is an image."),
                    negative(),
                    medium("image", "The first frame"),
                    medium("end_image", "The last frame"),
                    media("reference_images", "\"Image 1\", \"Image 2\" … of the prompt"),
                    media("reference_videos", "\"Video 1\", \"Video 2\" … of the prompt"),
                    medium("audio", "Sound to go with the video"),
                    choice("feature", features, "Default: inferred from the media."),
                    seconds(2, 15, "Seconds; default 5."),
                    (
                        "multi_shots",
                        json!({"type": "boolean", "description": "Several shots; with references only."}),
                    ),
                    (
                        "prompt_expansion",
                        json!({"type": "boolean", "description": "Whether the prompt may be expanded; default true."}),
                    ),
                ];
                takes.extend(rest());
                (takes, &[])
            }
            ToolName::Edit => {
                let settings = AudioSetting::ALL.map(AudioSetting::as_str).to_vec();
                let mut takes = vec![
                    prompt("How the clip is to be changed."),
                    medium("video", "The clip, 2 to 10 s"),
                    medium("reference_image", "An image the prompt refers to"),
                    negative(),
                    seconds(
                        0,
                        10,
                        "Seconds that are used from the clip's start; 0, the default, uses all of it.",
                    ),
                    choice(
                        "audio_setting",
                        settings,
                        "origin keeps the clip's sound; auto, the default, unless the prompt describes another.",
                    ),
                ];
                takes.extend(rest());
                (takes, &["prompt", "video"])
            }
            ToolName::Continue => {
                let mut takes = vec![
                    medium("video", "The clip, 2 to 10 s"),
                    prompt("What happens next."),
                    negative(),
                    medium("end_image", "The last frame"),
                    seconds(
                        2,
                        15,
                        "Seconds of the whole, the clip included; longer than the clip. Default 5.",
                    ),
                ];
                takes.extend(rest());
                (takes, &["video"])
            }
            ToolName::Status => (vec![id(), save_to()], &["id"]),
            ToolName::Cancel => (vec![id()], &["id"]),
            ToolName::List => {
                let limit = json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 10,
                                   "description": "The most that are listed."});
                let states = vec!["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELED"];
                (
                    vec![
                        ("limit", limit),
                        choice("status", states, "Only those of this state."),
                    ],
                    &[],
                )
            }
            ToolName::Credits => (Vec::new(), &[]),
        }
    }

    fn tool(self) -> Tool {
        let (properties, required) = self.takes();
        let properties: JsonObject = properties
            .into_iter()
            .map(|(name, schema)| (name.to_owned(), schema))
            .collect();
        let schema = JsonObject::from_iter([
            ("type".to_owned(), json!("object")),
            ("properties".to_owned(), Value::Object(properties)),
            ("required".to_owned(), json!(required)),
            ("additionalProperties".to_owned(), json!(false)),
        ]);
        Tool::new(self.as_str(), self.about(), Arc::new(schema)).with_annotations(self.annotations())
    }
}

type Properties = Vec<(&'static str, Value)>;

/// All of them, as they are announced.
pub(super) fn all() -> Vec<Tool> {
    ToolName::ALL.map(ToolName::tool).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_found_by_their_names_and_described() {
        for (name, tool) in ToolName::ALL.into_iter().zip(all()) {
            assert_eq!(ToolName::parse(&tool.name), Some(name));
            assert!(tool.description.is_some_and(|text| text.len() > 30));
            let properties = tool.input_schema["properties"].as_object().expect("properties");
            for (argument, schema) in properties {
                assert!(schema["description"].is_string(), "{name:?}.{argument}");
            }
            for required in tool.input_schema["required"].as_array().expect("a list") {
                assert!(
                    properties.contains_key(required.as_str().expect("a name")),
                    "{name:?}"
                );
            }
        }
        assert_eq!(ToolName::parse("delete"), None);
    }
}

//! Who expands prompts.

use std::time::Duration;

use kinora_engine::{ChatOptions, Language, Secret};
use serde_json::{Map, Value};

use super::{
    optional,
    reader::Reader,
    upstreams::{URL, url},
};

/// Who expands prompts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromptConfig {
    /// Nobody.
    Off,
    /// Rules that are part of the program.
    Template,
    /// A language model.
    Chat(ChatOptions),
}

/// As the key says.
#[derive(Clone, Copy)]
enum Wanted {
    Auto,
    Chat,
    Template,
    Off,
}

impl PromptConfig {
    pub(super) fn read(reader: &mut Reader) -> PromptConfig {
        let wanted = reader.text(
            "prompt.expander",
            "\"auto\", \"chat\", \"template\" or \"off\"",
            |text| match text {
                "auto" => Some(Wanted::Auto),
                "chat" => Some(Wanted::Chat),
                "template" => Some(Wanted::Template),
                "off" => Some(Wanted::Off),
                _ => None,
            },
        );
        let address = reader.text("prompt.base_url", &format!("{URL}, or nothing"), |text| {
            optional(text, url)
        });
        let options = ChatOptions {
            url: address.clone().unwrap_or_default(),
            key: reader
                .secret("prompt.api_key")
                .unwrap_or_else(|| Secret::new(String::new())),
            model: reader.text("prompt.model", "the name of a model", |text| {
                let is_name = text.len() <= 200 && !text.contains(char::is_control);
                is_name.then(|| text.to_owned())
            }),
            language: reader.text(
                "prompt.language",
                "\"same\", \"english\" or \"chinese\"",
                |text| match text {
                    "same" => Some(Language::Same),
                    "english" => Some(Language::English),
                    "chinese" => Some(Language::Chinese),
                    _ => None,
                },
            ),
            timeout: Duration::from_secs(reader.number("prompt.timeout_s", 1..=300)),
            extra: reader.text("prompt.extra_body", "a JSON object, or nothing", |text| {
                optional(text, object).map(Option::unwrap_or_default)
            }),
        };
        let has_address = address.is_some();
        let asks = match wanted {
            Wanted::Off => return PromptConfig::Off,
            Wanted::Template => false,
            Wanted::Auto => has_address,
            Wanted::Chat => true,
        };
        if !asks {
            return PromptConfig::Template;
        }
        if !has_address {
            reader.refuse(
                "prompt.base_url",
                &format!("{URL} where the expander is \"chat\""),
            );
        }
        if options.model.is_empty() {
            reader.refuse("prompt.model", "the name of a model where there is a base_url");
        }
        PromptConfig::Chat(options)
    }
}

fn object(text: &str) -> Option<Map<String, Value>> {
    match serde_json::from_str(text).ok()? {
        Value::Object(members) => Some(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    }
}

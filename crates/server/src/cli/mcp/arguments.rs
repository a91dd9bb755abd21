//! The arguments of a call, read one by one; what is left over, or of another type than was said, is refused by its name.

use rmcp::model::JsonObject;
use serde_json::Value;

use super::{Refused, tools::ToolName};
use crate::cli::client::Medium;

/// The arguments that have not been read yet.
pub(super) struct Arguments(JsonObject);

type Read<T> = Result<T, Refused>;

impl Arguments {
    /// Arguments, none of which `tool` does not know.
    pub(super) fn new(tool: ToolName, given: JsonObject) -> Read<Arguments> {
        let taken = tool.arguments();
        match given.keys().find(|name| !taken.contains(&name.as_str())) {
            None => Ok(Arguments(given)),
            Some(unknown) => {
                let shown: String = unknown.chars().take(40).collect();
                let taken = match taken.as_slice() {
                    [] => "there are none".to_owned(),
                    taken => format!("there are {}", taken.join(", ")),
                };
                Err(Refused(format!("{shown:?} is no argument of this tool; {taken}")))
            }
        }
    }

    /// A text; null and an empty one count as absent.
    pub(super) fn text(&mut self, name: &str) -> Read<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(other) => Err(mistyped(name, &other, "a string")),
        }
    }

    /// A text that has to be there.
    pub(super) fn required(&mut self, name: &str) -> Read<String> {
        self.text(name)?
            .ok_or_else(|| Refused(format!("{name} is required")))
    }

    pub(super) fn integer(&mut self, name: &str) -> Read<Option<i64>> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => {
                let whole = value.as_f64().filter(|number| number.fract() == 0.0);
                // The cast saturates, and stays beyond every limit.
                let number = value.as_i64().or_else(|| whole.map(|number| number as i64));
                number
                    .map(Some)
                    .ok_or_else(|| mistyped(name, &value, "an integer"))
            }
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> Read<Option<bool>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(mistyped(name, &other, "true or false")),
        }
    }

    /// A medium that is there, or a URL.
    pub(super) fn medium(&mut self, name: &str) -> Read<Option<Medium>> {
        self.text(name)?.map(|text| medium(name, &text)).transpose()
    }

    /// Several of them.
    pub(super) fn media(&mut self, name: &str) -> Read<Vec<Medium>> {
        let items = match self.take(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(other) => return Err(mistyped(name, &other, "an array of strings")),
        };
        let read = |(index, item): (usize, Value)| {
            let at = format!("{name}[{index}]");
            match item {
                Value::String(text) => medium(&at, &text),
                other => Err(mistyped(&at, &other, "a string")),
            }
        };
        items.into_iter().enumerate().map(read).collect()
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }
}

fn medium(name: &str, text: &str) -> Read<Medium> {
    Medium::parse(text).ok_or_else(|| {
        let shown: String = text.chars().take(200).collect();
        Refused(format!(
            "{name} {shown:?} is neither a file that is there nor an http or https URL"
        ))
    })
}

fn mistyped(name: &str, value: &Value, taken: &str) -> Refused {
    let shown: String = value.to_string().chars().take(40).collect();
    Refused(format!("{name} is {shown}; {taken} is taken"))
}

/// What a member of the API is called as an argument: `image (image_url)`.
pub(super) fn named(field: &str) -> String {
    const NAMES: &[(&str, &str)] = &[
        ("image_url", "image"),
        ("end_image_url", "end_image"),
        ("video_url", "video"),
        ("reference_image_urls", "reference_images"),
        ("reference_image_url", "reference_image"),
        ("video_refs", "reference_videos"),
        ("audio_url", "audio"),
        ("enable_prompt_expansion", "prompt_expansion"),
    ];
    let member = field.split('[').next().unwrap_or(field);
    match NAMES.iter().find(|(name, _)| *name == member) {
        Some((_, argument)) => format!("{argument} ({field})"),
        None => field.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arguments(tool: ToolName, value: Value) -> Read<Arguments> {
        Arguments::new(tool, value.as_object().expect("an object").clone())
    }

    #[test]
    fn what_is_not_taken_is_named() {
        let check = |value: Value, read: fn(&mut Arguments) -> Read<()>, words: &[&str]| {
            let refused = arguments(ToolName::Generate, value).and_then(|mut given| read(&mut given));
            let Refused(sentence) = refused.expect_err("a refusal");
            assert!(words.iter().all(|word| sentence.contains(word)), "{sentence}");
        };
        check(json!({"lenght": 5}), |_| Ok(()), &["\"lenght\"", "duration"]);
        check(
            json!({"prompt": 5}),
            |a| a.text("prompt").map(|_| ()),
            &["prompt is 5", "a string"],
        );
        check(
            json!({"duration": "5"}),
            |a| a.integer("duration").map(|_| ()),
            &["duration", "an integer"],
        );
        check(
            json!({"duration": 5.5}),
            |a| a.integer("duration").map(|_| ()),
            &["5.5"],
        );
        check(
            json!({"wait": "no"}),
            |a| a.flag("wait").map(|_| ()),
            &["wait", "true or false"],
        );
        check(
            json!({"image": "/nowhere.png"}),
            |a| a.medium("image").map(|_| ()),
            &["image", "/nowhere.png"],
        );
        check(
            json!({"reference_images": ["http://h/a.png", 5]}),
            |a| a.media("reference_images").map(|_| ()),
            &["reference_images[1] is 5"],
        );
        check(
            json!({}),
            |a| a.required("prompt").map(|_| ()),
            &["prompt is required"],
        );
        assert!(arguments(ToolName::Credits, json!({"limit": 1})).is_err());
    }

    #[test]
    fn what_is_taken_is_read() {
        let given = json!({"prompt": "a", "negative_prompt": "", "duration": 5.0, "wait": false, "seed": null,
                           "reference_images": ["https://example.com/a.png"]});
        let mut given = arguments(ToolName::Generate, given).ok().expect("all are known");
        assert_eq!(given.text("prompt").ok().flatten().as_deref(), Some("a"));
        assert_eq!(given.text("negative_prompt").ok().flatten(), None);
        assert_eq!(given.integer("duration").ok().flatten(), Some(5));
        assert_eq!(given.integer("seed").ok().flatten(), None);
        assert_eq!(given.flag("wait").ok().flatten(), Some(false));
        assert_eq!(
            given.media("reference_images").ok().map(|media| media.len()),
            Some(1)
        );
    }

    #[test]
    fn members_are_told_by_their_arguments() {
        assert_eq!(named("video_refs[2]"), "reference_videos (video_refs[2])");
        assert_eq!(named("duration"), "duration");
    }
}

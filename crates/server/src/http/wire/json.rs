//! The JSON form of a create body.

use axum::body::Body;
use futures_util::StreamExt;
use kinora_domain::{Member, Source, catalog::REFERENCES_MAX};
use serde_json::{Map, Number, Value};

use super::{
    members::{Members, Read, decimal, read_members},
    payload,
    request::{Endpoint, FieldError, ParsedBody, WireError, too_large},
};

/// Above this size a body is parsed off the threads that serve requests.
const INLINE_BYTES_MAX: usize = 256 * 1024;
/// The most values in a body. A parsed value takes up to a hundred times the room of its text, so that the limit on
/// bytes, which is made for images, does not bound the memory by itself.
const VALUES_MAX: usize = 100_000;
/// Of how many unknown members an answer tells.
const UNKNOWN_MAX: usize = 8;

/// Reads a JSON body.
pub(super) async fn read(endpoint: Endpoint, body: Body, bytes_max: u64) -> Result<ParsedBody, WireError> {
    let bytes = collect(body, bytes_max).await?;
    if bytes.len() <= INLINE_BYTES_MAX {
        return parse(endpoint, &bytes);
    }
    let parsed = tokio::task::spawn_blocking(move || parse(endpoint, &bytes)).await;
    parsed.map_err(|error| WireError::Internal(format!("cannot parse a body: {error}")))?
}

/// Reads a small JSON body, whose members are asked for by the caller.
pub(super) async fn read_object(body: Body, bytes_max: u64) -> Result<JsonMembers, WireError> {
    let bytes = collect(body, bytes_max).await?;
    Ok(JsonMembers::new(parse_object(&bytes)?))
}

async fn collect(body: Body, bytes_max: u64) -> Result<Vec<u8>, WireError> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| WireError::Malformed("the body broke off".to_owned()))?;
        if (bytes.len() + chunk.len()) as u64 > bytes_max {
            return Err(too_large(bytes_max));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, WireError> {
    if values_at_most(bytes) > VALUES_MAX {
        let message = format!("the body has more than {VALUES_MAX} values");
        return Err(WireError::Malformed(message));
    }
    // The parser bounds the depth of nesting by itself.
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| WireError::Malformed(format!("the body is not JSON ({error})")))?;
    let Value::Object(object) = value else {
        return Err(WireError::Malformed(format!(
            "the body is {}; an object is taken",
            kind(&value)
        )));
    };
    Ok(object)
}

fn parse(endpoint: Endpoint, bytes: &[u8]) -> Result<ParsedBody, WireError> {
    let object = parse_object(bytes)?;
    let payload_hash = payload::of_json(&object);
    let mut members = JsonMembers::new(object);
    let Read {
        draft,
        webhook_url,
        model_name,
    } = read_members(endpoint, &mut members);
    members.finish()?;
    Ok(ParsedBody {
        draft,
        uploads: Vec::new(),
        webhook_url,
        model_name,
        payload_hash,
    })
}

/// No fewer values than a JSON text has: each but the first opens its container or follows a comma.
fn values_at_most(bytes: &[u8]) -> usize {
    let (mut values, mut in_text, mut escaped) = (1, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' if !in_text => values += 1,
            _ => {}
        }
    }
    values
}

/// The members of a JSON body, and what of those that were asked for has the wrong type.
pub struct JsonMembers {
    object: Map<String, Value>,
    /// The members that were asked for.
    asked: Vec<&'static str>,
    problems: Vec<FieldError>,
}

impl JsonMembers {
    fn new(object: Map<String, Value>) -> JsonMembers {
        JsonMembers {
            object,
            asked: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Refuses the body if a member had the wrong type: all of them together.
    pub fn finish(self) -> Result<(), WireError> {
        match self.problems.is_empty() {
            true => Ok(()),
            false => Err(WireError::WrongTypes(self.problems)),
        }
    }

    /// The members that nobody has asked for, where a body has no others than those that are known: what a client takes for a
    /// setting must not be passed over.
    pub fn unknown(&self) -> Vec<FieldError> {
        let unknown = self
            .object
            .keys()
            .filter(|name| !self.asked.contains(&name.as_str()));
        let told = unknown.take(UNKNOWN_MAX).map(|name| FieldError {
            field: name.chars().take(40).collect(),
            message: format!("is no member of this body; {} are taken", self.asked.join(", ")),
        });
        told.collect()
    }

    /// A list of texts; `None` is absent.
    pub(super) fn texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        let items = match self.take(name)? {
            Value::Array(items) => items,
            value => return self.mistyped(name, &value, "an array of strings is taken"),
        };
        let mut texts = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Value::String(text) => texts.push(text),
                value => return self.mistyped(format!("{name}[{index}]"), &value, "a string is taken"),
            }
        }
        Some(texts)
    }

    /// The member's value, taken out; null means absent.
    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.asked.push(name);
        self.object
            .get_mut(name)
            .map(Value::take)
            .filter(|value| !value.is_null())
    }

    fn mistyped<T>(&mut self, field: impl Into<String>, value: &Value, taken: &str) -> Option<T> {
        let message = format!("is {}; {taken}", kind(value));
        self.problems.push(FieldError {
            field: field.into(),
            message,
        });
        None
    }
}

impl Members for JsonMembers {
    fn refuse(&mut self, name: &str, message: String) {
        if self.problems.iter().all(|problem| problem.field != name) {
            self.problems.push(FieldError {
                field: name.to_owned(),
                message,
            });
        }
    }

    fn text(&mut self, name: &'static str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            value => self.mistyped(name, &value, "a string is taken"),
        }
    }

    fn flag(&mut self, name: &'static str) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(flag) => Some(flag),
            value => self.mistyped(name, &value, "true or false is taken"),
        }
    }

    fn integer(&mut self, name: &'static str) -> Option<i64> {
        let value = self.take(name)?;
        match value.as_number().and_then(whole) {
            Some(number) => Some(number),
            None => self.mistyped(name, &value, "an integer is taken"),
        }
    }

    fn integer_or_digits(&mut self, name: &'static str) -> Option<i64> {
        let value = self.take(name)?;
        let number = match &value {
            Value::Number(number) => whole(number),
            Value::String(text) => decimal(text),
            _ => None,
        };
        match number {
            Some(number) => Some(number),
            None => self.mistyped(name, &value, "an integer is taken"),
        }
    }

    fn medium(&mut self, member: Member) -> Option<Source> {
        match self.take(member.name())? {
            Value::String(url) => Some(Source::Url(url)),
            value => self.mistyped(member.name(), &value, "a URL is taken, as a string"),
        }
    }

    fn reference(&mut self, name: &'static str, _: Member) -> Option<Source> {
        const TAKEN: &str = "an object with image_url is taken, or a file in a multipart body";
        let mut object = match self.take(name)? {
            Value::Object(object) => object,
            value => return self.mistyped(name, &value, TAKEN),
        };
        let mut given = |member| object.get_mut(member).map(Value::take).filter(|v| !v.is_null());
        if given("file_id").is_some() {
            self.refuse(name, format!("names a file_id; {TAKEN}"));
            return None;
        }
        match given("image_url") {
            Some(Value::String(url)) => Some(Source::Url(url)),
            Some(value) => self.mistyped(format!("{name}.image_url"), &value, "a URL is taken, as a string"),
            None => {
                self.refuse(name, format!("has no image_url; {TAKEN}"));
                None
            }
        }
    }

    fn media(&mut self, member: fn(usize) -> Member) -> Vec<Source> {
        let name = member(0).name();
        let items = match self.take(name) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(value) => {
                return self
                    .mistyped(name, &value, "an array of URLs is taken")
                    .unwrap_or_default();
            }
        };
        let (mut sources, mut refused) = (Vec::new(), 0);
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Value::String(url) => sources.push(Source::Url(url)),
                value if refused < REFERENCES_MAX => {
                    refused += 1;
                    let _: Option<()> =
                        self.mistyped(member(index).to_string(), &value, "a URL is taken, as a string");
                }
                // Enough is said: an answer does not grow without bounds with what was sent.
                _ => {}
            }
        }
        sources
    }
}

/// The integer that a number is: its fraction must be zero. Beyond 64 bits it stays beyond every limit.
pub(super) fn whole(number: &Number) -> Option<i64> {
    if let Some(integer) = number.as_i64() {
        return Some(integer);
    }
    // The cast saturates.
    number
        .as_f64()
        .filter(|float| float.fract() == 0.0)
        .map(|float| float as i64)
}

/// What a value is, with the value where it is short.
fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => {
            let mut shown: String = text.chars().take(40).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            format!("the string {shown:?}")
        }
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIDEO: Endpoint = Endpoint::WanVideo;
    const EDIT: Endpoint = Endpoint::WanEdit;

    fn draft(endpoint: Endpoint, text: &str) -> Result<kinora_domain::Draft, String> {
        match parse(endpoint, text.as_bytes()) {
            Ok(body) => Ok(body.draft),
            Err(WireError::WrongTypes(problems)) => Err(problems
                .into_iter()
                .map(|problem| problem.field)
                .collect::<Vec<_>>()
                .join(" ")),
            Err(error) => Err(format!("{error}")),
        }
    }

    #[test]
    fn values_are_never_undercounted() {
        let check = |text: &str, expected| assert_eq!(values_at_most(text.as_bytes()), expected, "{text}");
        check("1", 1);
        check("[1,2]", 3);
        check(r#"{"a":[],"b":{"c":1}}"#, 5);
        check(r#"{"prompt":"[a, b, \"c, d\\"}"#, 2);
        check(r#"["\\",1]"#, 3);
    }

    #[test]
    fn what_is_no_object_is_malformed() {
        let check = |bytes: &[u8]| {
            let found = parse(VIDEO, bytes).map(|_| ());
            assert!(
                matches!(found, Err(WireError::Malformed(_))),
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        };
        for text in [
            "",
            " ",
            "{",
            "}",
            "nul",
            "{'a':1}",
            "{\"a\":1,}",
            "{}{}",
            "{\"a\":NaN}",
            "{\"a\":01}",
        ] {
            check(text.as_bytes());
        }
        for text in ["null", "true", "5", "\"text\"", "[]", "[{}]"] {
            check(text.as_bytes());
        }
        check(b"\xef\xbb\xbf{}");
        check(b"{\"prompt\":\"\xff\"}");
        check(br#"{"prompt":"\ud800"}"#);
        check(br#"{"seed":1e400}"#);
        check(format!("{{\"a\":[{}1]}}", "1,".repeat(100_000)).as_bytes());
        check(format!("{{\"a\":[{}1]}}", "[[[]]],".repeat(30_000)).as_bytes());
        check(format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200)).as_bytes());
        check(format!("{{\"a\":{}", "[".repeat(1_000_000)).as_bytes());
    }

    /// Every member with what it takes and what it refuses, as JSON.
    #[test]
    fn types_of_every_member() {
        let texts = ["\"x\"", "\"\"", "null"];
        let no_texts = ["1", "true", "[]", "{}", "[\"x\"]"];
        let whole = [
            "5",
            "5.0",
            "-1",
            "0",
            "1e3",
            "99999999999999999999",
            "-1e30",
            "null",
        ];
        let no_whole = [
            "5.5", "true", "[]", "{}", "\"5s\"", "\"5.5\"", "\"\"", "\" 5\"", "\"five\"",
        ];
        let mut members: Vec<(Endpoint, &str, Vec<&str>, Vec<&str>)> = Vec::new();
        for name in [
            "feature",
            "negative_prompt",
            "image_url",
            "end_image_url",
            "audio_url",
        ] {
            members.push((VIDEO, name, texts.into(), no_texts.into()));
        }
        for model in [VIDEO, EDIT] {
            for name in [
                "prompt",
                "video_url",
                "reference_image_url",
                "aspect_ratio",
                "resolution",
                "audio_setting",
                "webhook_url",
            ] {
                members.push((model, name, texts.into(), no_texts.into()));
            }
            members.push((
                model,
                "seed",
                whole.into(),
                [no_whole.as_slice(), &["\"5\""]].concat(),
            ));
            let duration = [
                whole.as_slice(),
                &["\"5\"", "\"-5\"", "\"007\"", "\"99999999999999999999\""],
            ]
            .concat();
            members.push((model, "duration", duration, no_whole.into()));
        }
        members.push((
            EDIT,
            "n",
            whole.into(),
            [no_whole.as_slice(), &["\"5\""]].concat(),
        ));
        for name in ["enable_prompt_expansion", "multi_shots"] {
            let refused = vec!["1", "0", "\"true\"", "\"\"", "[]", "{}"];
            members.push((VIDEO, name, vec!["true", "false", "null"], refused));
        }
        for name in ["reference_image_urls", "video_refs"] {
            let taken = vec!["[]", "[\"x\"]", "[\"x\",\"y\"]", "null"];
            members.push((VIDEO, name, taken, vec!["\"x\"", "1", "true", "{}"]));
        }
        for (model, name, taken, refused) in members {
            for value in taken {
                let body = format!("{{\"{name}\":{value}}}");
                assert!(draft(model, &body).is_ok(), "{body}");
            }
            for value in refused {
                let body = format!("{{\"{name}\":{value}}}");
                assert_eq!(draft(model, &body), Err(name.to_owned()), "{body}");
            }
        }
    }

    #[test]
    fn wrong_types_are_reported_together() {
        let check = |text, expected: &str| assert_eq!(draft(VIDEO, text), Err(expected.to_owned()), "{text}");
        check(
            r#"{"seed":"x","prompt":5,"multi_shots":1,"unknown":{}}"#,
            "prompt multi_shots seed",
        );
        check(
            r#"{"video_refs":["a",1,"b",null,[]]}"#,
            "video_refs[1] video_refs[3] video_refs[4]",
        );
        check(
            r#"{"reference_image_urls":[{}],"video_refs":{},"duration":"5s"}"#,
            "reference_image_urls[0] video_refs duration",
        );
    }

    #[test]
    fn messages_name_the_value_and_what_is_taken() {
        let check = |text: &str, expected: &str| {
            let Err(WireError::WrongTypes(problems)) = parse(VIDEO, text.as_bytes()) else {
                panic!("{text} is taken");
            };
            assert_eq!(problems[0].message, expected, "{text}");
        };
        check(
            r#"{"duration":"5s"}"#,
            "is the string \"5s\"; an integer is taken",
        );
        check(r#"{"duration":5.5}"#, "is the number 5.5; an integer is taken");
        check(r#"{"prompt":["a"]}"#, "is an array; a string is taken");
        check(
            r#"{"multi_shots":"yes"}"#,
            "is the string \"yes\"; true or false is taken",
        );
        check(r#"{"video_refs":[null]}"#, "is null; a URL is taken, as a string");
        let long = "é".repeat(50);
        check(
            &format!(r#"{{"seed":"{long}"}}"#),
            &format!("is the string \"{}…\"; an integer is taken", "é".repeat(40)),
        );
    }

    #[test]
    fn values_are_taken_as_they_are() {
        let whole = draft(
            VIDEO,
            r#"{"feature":"reference","prompt":" a ","negative_prompt":"","image_url":"i","end_image_url":"e",
                "video_url":"v","reference_image_urls":["1","2"],"reference_image_url":"r","video_refs":["3"],
                "audio_url":"a","aspect_ratio":"4:3","resolution":"720P","duration":"15",
                "enable_prompt_expansion":false,"multi_shots":true,"audio_setting":"origin","seed":7.0,"n":9}"#,
        );
        let url = |text: &str| Source::Url(text.to_owned());
        let expected = kinora_domain::Draft {
            feature: Some("reference".to_owned()),
            prompt: Some(" a ".to_owned()),
            negative_prompt: Some(String::new()),
            image: Some(url("i")),
            end_image: Some(url("e")),
            video: Some(url("v")),
            reference_images: vec![url("1"), url("2")],
            reference_image: Some(url("r")),
            video_refs: vec![url("3")],
            audio: Some(url("a")),
            aspect_ratio: Some("4:3".to_owned()),
            resolution: Some("720P".to_owned()),
            duration: Some(15),
            prompt_expansion: Some(false),
            multi_shots: Some(true),
            audio_setting: Some("origin".to_owned()),
            seed: Some(7),
            n: None,
        };
        assert_eq!(whole, Ok(expected));
    }

    #[test]
    fn null_is_absent_and_the_last_of_two_counts() {
        assert_eq!(
            draft(VIDEO, r#"{"prompt":null,"seed":null,"video_refs":null}"#),
            draft(VIDEO, "{}")
        );
        assert_eq!(
            draft(VIDEO, r#"{"seed":1,"seed":2}"#),
            draft(VIDEO, r#"{"seed":2}"#)
        );
        assert_eq!(
            draft(VIDEO, r#"{"seed":"x","seed":2}"#),
            draft(VIDEO, r#"{"seed":2}"#)
        );
    }

    #[test]
    fn the_edit_endpoint_has_its_own_members() {
        let edit = draft(
            EDIT,
            r#"{"image_url":5,"feature":7,"multi_shots":"x","video_refs":1,"n":2}"#,
        );
        let edit = edit.expect("unknown keys are ignored");
        assert_eq!((edit.feature.as_deref(), edit.n), (Some("edit-video"), Some(2)));
        assert_eq!(draft(VIDEO, r#"{"n":"two"}"#).map(|draft| draft.n), Ok(None));
    }

    #[test]
    fn a_webhook_is_read_and_an_empty_one_is_none() {
        let check = |text: &str, expected: Option<&str>| {
            let body = parse(VIDEO, text.as_bytes()).expect("a body");
            assert_eq!(body.webhook_url.as_deref(), expected, "{text}");
        };
        check(
            r#"{"webhook_url":"https://example.com"}"#,
            Some("https://example.com"),
        );
        check(r#"{"webhook_url":""}"#, None);
        check(r#"{"webhook_url":null}"#, None);
        check("{}", None);
    }

    #[tokio::test]
    async fn bodies_are_bounded() {
        let of = async |bytes: usize| {
            let text = format!("{{\"prompt\":\"{}\"}}", "x".repeat(bytes - 13));
            assert_eq!(text.len(), bytes);
            read(VIDEO, Body::from(text), 300_000)
                .await
                .map(|body| body.draft.prompt.map(|text| text.len()))
        };
        assert!(matches!(of(1000).await, Ok(Some(987))));
        assert!(matches!(of(300_000).await, Ok(Some(299_987))));
        assert!(matches!(of(300_001).await, Err(WireError::TooLarge(_))));
    }
}

//! The JSON form of a create body.

use axum::body::Body;
use futures_util::StreamExt;
use kinora_domain::{Member, Model, Source};
use serde_json::{Map, Number, Value};

use super::{
    members::{Members, decimal, read_draft},
    payload,
    request::{FieldError, ParsedBody, WireError, too_large},
};

/// Above this size a body is parsed off the threads that serve requests.
const INLINE_BYTES_MAX: usize = 256 * 1024;

/// Reads a JSON body.
pub(super) async fn read(model: Model, body: Body, bytes_max: u64) -> Result<ParsedBody, WireError> {
    let bytes = collect(body, bytes_max).await?;
    if bytes.len() <= INLINE_BYTES_MAX {
        return parse(model, &bytes);
    }
    let parsed = tokio::task::spawn_blocking(move || parse(model, &bytes)).await;
    parsed.map_err(|error| WireError::Internal(format!("cannot parse a body: {error}")))?
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

fn parse(model: Model, bytes: &[u8]) -> Result<ParsedBody, WireError> {
    // The parser bounds the depth of nesting by itself.
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| WireError::Malformed(format!("the body is not JSON ({error})")))?;
    let Value::Object(object) = value else {
        return Err(WireError::Malformed(format!(
            "the body is {}; an object is taken",
            kind(&value)
        )));
    };
    let payload_hash = payload::of_json(&object);
    let mut members = JsonMembers {
        object,
        problems: Vec::new(),
    };
    let (draft, webhook_url) = read_draft(model, &mut members);
    if !members.problems.is_empty() {
        return Err(WireError::WrongTypes(members.problems));
    }
    Ok(ParsedBody {
        draft,
        uploads: Vec::new(),
        webhook_url,
        payload_hash,
    })
}

struct JsonMembers {
    object: Map<String, Value>,
    problems: Vec<FieldError>,
}

impl JsonMembers {
    /// The member's value, taken out; null means absent.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.object
            .get_mut(name)
            .map(Value::take)
            .filter(|value| !value.is_null())
    }

    fn refuse<T>(&mut self, field: impl Into<String>, value: &Value, taken: &str) -> Option<T> {
        let message = format!("is {}; {taken}", kind(value));
        self.problems.push(FieldError {
            field: field.into(),
            message,
        });
        None
    }
}

impl Members for JsonMembers {
    fn text(&mut self, name: &'static str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            value => self.refuse(name, &value, "a string is taken"),
        }
    }

    fn flag(&mut self, name: &'static str) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(flag) => Some(flag),
            value => self.refuse(name, &value, "true or false is taken"),
        }
    }

    fn integer(&mut self, name: &'static str) -> Option<i64> {
        let value = self.take(name)?;
        match value.as_number().and_then(whole) {
            Some(number) => Some(number),
            None => self.refuse(name, &value, "an integer is taken"),
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
            None => self.refuse(name, &value, "an integer is taken"),
        }
    }

    fn medium(&mut self, member: Member) -> Option<Source> {
        match self.take(member.name())? {
            Value::String(url) => Some(Source::Url(url)),
            value => self.refuse(member.name(), &value, "a URL is taken, as a string"),
        }
    }

    fn media(&mut self, member: fn(usize) -> Member) -> Vec<Source> {
        let name = member(0).name();
        let items = match self.take(name) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(value) => {
                return self
                    .refuse(name, &value, "an array of URLs is taken")
                    .unwrap_or_default();
            }
        };
        let mut sources = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Value::String(url) => sources.push(Source::Url(url)),
                value => {
                    let _: Option<()> =
                        self.refuse(member(index).to_string(), &value, "a URL is taken, as a string");
                }
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

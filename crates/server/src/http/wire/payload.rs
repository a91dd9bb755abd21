//! The identity of a payload: what makes two requests under one idempotency key the same.
//!
//! The hash covers every member that was sent, known or not, in a canonical form: names sorted, numbers by their
//! value, white space and escapes gone. Parts of a multipart body count by name, order and content; the names of
//! files and the boundary do not.

use std::collections::BTreeMap;

use kinora_domain::BlobHash;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::json::whole;

/// The identity of a JSON body.
pub(super) fn of_json(object: &Map<String, Value>) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(b"json\n");
    write_object(object, &mut hash);
    hash.finalize().into()
}

/// One part of a multipart body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PartContent {
    /// A text.
    Text(String),
    /// A file, by its bytes.
    File(BlobHash),
}

/// The identity of a multipart body: for each name its parts in their order.
pub(super) fn of_parts(parts: &BTreeMap<String, Vec<PartContent>>) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(b"multipart\n");
    for (name, items) in parts {
        write_text(name, &mut hash);
        for item in items {
            match item {
                PartContent::Text(text) => {
                    hash.update(b"text:");
                    write_text(text, &mut hash);
                }
                PartContent::File(blob) => {
                    hash.update(b"file:");
                    hash.update(blob.0);
                }
            }
        }
        hash.update(b"\n");
    }
    hash.finalize().into()
}

fn write_value(value: &Value, hash: &mut Sha256) {
    match value {
        Value::Null => hash.update(b"null"),
        Value::Bool(flag) => hash.update(if *flag { b"true".as_slice() } else { b"false" }),
        Value::Number(number) => match whole(number) {
            // A float beyond 64 bits has no fraction either; it keeps its own digits.
            Some(integer) if integer != i64::MAX && integer != i64::MIN => hash.update(integer.to_string()),
            Some(_) | None => hash.update(number.to_string()),
        },
        Value::String(text) => write_text(text, hash),
        Value::Array(items) => {
            hash.update(b"[");
            for item in items {
                write_value(item, hash);
                hash.update(b",");
            }
            hash.update(b"]");
        }
        Value::Object(object) => write_object(object, hash),
    }
}

fn write_object(object: &Map<String, Value>, hash: &mut Sha256) {
    let sorted: BTreeMap<&String, &Value> = object.iter().collect();
    hash.update(b"{");
    for (name, value) in sorted {
        write_text(name, hash);
        write_value(value, hash);
        hash.update(b",");
    }
    hash.update(b"}");
}

/// A text with its length before it, so that no two sequences of texts look alike.
fn write_text(text: &str, hash: &mut Sha256) {
    hash.update(format!("\"{}:", text.len()));
    hash.update(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> [u8; 32] {
        of_json(
            serde_json::from_str::<Value>(text)
                .expect("JSON")
                .as_object()
                .expect("an object"),
        )
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        let check = |left, right| assert_eq!(json(left), json(right), "{left} {right}");
        check(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#);
        check(r#"{"a":1}"#, "{\n \"a\" : 1.0 }");
        check(r#"{"a":100}"#, r#"{"a":1e2}"#);
        check(r#"{"a":0}"#, r#"{"a":-0.0}"#);
        check(r#"{"a":1.50}"#, r#"{"a":1.5}"#);
        check(r#"{"a":"é"}"#, r#"{"a":"\u00e9"}"#);
        check(r#"{"a":{"x":1,"y":[1,2]}}"#, r#"{"a":{"y":[1,2.0],"x":1}}"#);
        check(r#"{"a":1,"a":2}"#, r#"{"a":2}"#);
        check(r#"{"a":1.5e3}"#, r#"{"a":1500}"#);
    }

    #[test]
    fn what_differs_differs() {
        let check = |left, right| assert_ne!(json(left), json(right), "{left} {right}");
        check(r#"{"a":1}"#, r#"{"a":2}"#);
        check(r#"{"a":1}"#, r#"{"a":"1"}"#);
        check(r#"{"a":1}"#, r#"{"a":true}"#);
        check(r#"{"a":1}"#, r#"{"a":1,"unknown":0}"#);
        check(r#"{"a":null}"#, r#"{"a":"null"}"#);
        check(r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#);
        check(r#"{"a":[[1],2]}"#, r#"{"a":[1,[2]]}"#);
        check(r#"{"a":"x","b":"y"}"#, r#"{"a":"x\",\"b\":\"y"}"#);
        check(r#"{"a":1e30}"#, r#"{"a":1e31}"#);
        check(r#"{"a":9223372036854775807}"#, r#"{"a":18446744073709551615}"#);
        check(r#"{}"#, r#"{"a":[]}"#);
    }

    #[test]
    fn parts_count_by_name_order_and_content() {
        let text = |text: &str| PartContent::Text(text.to_owned());
        let file = |byte| PartContent::File(BlobHash([byte; 32]));
        let hash = |parts: Vec<(&str, Vec<PartContent>)>| {
            of_parts(
                &parts
                    .into_iter()
                    .map(|(name, items)| (name.to_owned(), items))
                    .collect(),
            )
        };
        let whole = hash(vec![("a", vec![text("x"), file(1)]), ("b", vec![text("y")])]);
        assert_eq!(
            whole,
            hash(vec![("b", vec![text("y")]), ("a", vec![text("x"), file(1)])])
        );
        assert_ne!(
            whole,
            hash(vec![("a", vec![file(1), text("x")]), ("b", vec![text("y")])])
        );
        assert_ne!(
            whole,
            hash(vec![("a", vec![text("x"), file(2)]), ("b", vec![text("y")])])
        );
        assert_ne!(whole, hash(vec![("a", vec![text("x"), file(1)])]));
        assert_ne!(hash(vec![("a", vec![text("x")])]), json(r#"{"a":"x"}"#));
    }
}

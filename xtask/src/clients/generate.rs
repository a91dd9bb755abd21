//! The types of the clients, made from docs/openapi.json: what the API takes and answers, and where it is asked.
//!
//! One reading of the document serves both languages, so that they cannot drift apart. What the clients do with these
//! types is written by hand beside them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::failure::Outcome;
use crate::run::root;

/// Writes the generated files anew.
pub(crate) fn run() -> Outcome {
    for (path, text) in files()? {
        if fs::read_to_string(&path).is_ok_and(|current| current == text) {
            println!("{} is current.", path.display());
            continue;
        }
        fs::write(&path, text).map_err(|source| format!("cannot write {}: {source}", path.display()))?;
        println!("{} is new.", path.display());
    }
    Ok(())
}

/// Every generated file with what belongs into it.
fn files() -> Outcome<Vec<(PathBuf, String)>> {
    let path = root().join("docs/openapi.json");
    let text =
        fs::read_to_string(&path).map_err(|source| format!("cannot read {}: {source}", path.display()))?;
    let document: Value =
        serde_json::from_str(&text).map_err(|source| format!("{} is not JSON: {source}", path.display()))?;
    let api = Api::read(&document)?;
    let clients = root().join("clients");
    Ok(vec![
        (clients.join("python/src/kinora/types.py"), api.python()),
        (clients.join("typescript/src/types.ts"), api.typescript()),
    ])
}

/// What the clients need of the document.
struct Api {
    /// Name, method and path of each operation, the path relative to the API's base.
    operations: Vec<(String, String, String)>,
    /// The schemas that these operations speak of, in the document's order.
    schemas: Vec<(String, Schema)>,
}

/// A named schema.
struct Schema {
    doc: Option<String>,
    shape: Shape,
}

enum Shape {
    Object(Vec<Member>),
    Alias(Type),
}

struct Member {
    name: String,
    doc: Option<String>,
    required: bool,
    value: Type,
}

enum Type {
    Named(String),
    Text,
    Integer,
    Number,
    Flag,
    Null,
    Words(Vec<String>),
    List(Box<Type>),
    AnyOf(Vec<Type>),
}

/// The part of the document that is another API's shape; that one has clients of its own.
const OTHER_DIALECT: &str = "/v1/";
/// Events are read as text, so that no operation refers to what is in them by a JSON answer.
const EVENT: &str = "EventData";

impl Api {
    fn read(document: &Value) -> Outcome<Api> {
        let mut operations = Vec::new();
        let mut wanted = BTreeSet::from([EVENT.to_owned()]);
        for (path, item) in members(&document["paths"]) {
            // What names servers of its own is outside of the API's base.
            if path.starts_with(OTHER_DIALECT) || item.get("servers").is_some() {
                continue;
            }
            for (method, operation) in members(item) {
                let Some(id) = operation["operationId"].as_str() else {
                    continue;
                };
                operations.push((id.to_owned(), method.to_uppercase(), path.clone()));
                let json = "application/json";
                collect(
                    &operation["requestBody"]["content"][json]["schema"],
                    document,
                    &mut wanted,
                );
                for (_, answer) in members(&operation["responses"]) {
                    collect(&answer["content"][json]["schema"], document, &mut wanted);
                }
            }
        }
        let event = &document["components"]["schemas"][EVENT];
        collect(event, document, &mut wanted);
        let mut schemas = Vec::new();
        for (name, schema) in members(&document["components"]["schemas"]) {
            if wanted.contains(name) {
                schemas.push((name.clone(), Schema::read(name, schema)?));
            }
        }
        Ok(Api { operations, schemas })
    }

    fn python(&self) -> String {
        let mut out = String::from(
            "# Made from docs/openapi.json by `cargo xtask clients`; not to be edited.\n\
             \"\"\"What the API takes and answers.\"\"\"\n\n\
             from __future__ import annotations\n\n\
             from typing import Literal, NotRequired, TypedDict\n\n\
             #: Method and path of each operation, the path relative to the API's base.\n\
             OPERATIONS: dict[str, tuple[str, str]] = {\n",
        );
        for (id, method, path) in &self.operations {
            let _ = writeln!(out, "    \"{id}\": (\"{method}\", \"{path}\"),");
        }
        out += "}\n";
        // Names in an alias are looked up at once, those in a class when they are asked for.
        let (aliases, classes): (Vec<_>, Vec<_>) = self
            .schemas
            .iter()
            .partition(|(_, schema)| matches!(schema.shape, Shape::Alias(_)));
        for (name, schema) in aliases.into_iter().chain(classes) {
            match &schema.shape {
                Shape::Alias(value) => {
                    let _ = write!(out, "\n{name} = {}\n", python_type(value));
                    python_doc(&mut out, "", schema.doc.as_deref());
                }
                Shape::Object(members) => {
                    let _ = write!(out, "\n\nclass {name}(TypedDict):\n");
                    python_doc(&mut out, "    ", schema.doc.as_deref());
                    if schema.doc.is_some() && !members.is_empty() {
                        out.push('\n');
                    }
                    for member in members {
                        let value = python_type(&member.value);
                        let _ = match member.required {
                            true => writeln!(out, "    {}: {value}", member.name),
                            false => writeln!(out, "    {}: NotRequired[{value}]", member.name),
                        };
                        python_doc(&mut out, "    ", member.doc.as_deref());
                    }
                }
            }
        }
        out
    }

    fn typescript(&self) -> String {
        let mut out = String::from(
            "// Made from docs/openapi.json by `cargo xtask clients`; not to be edited.\n\n\
             /** Method and path of each operation, the path relative to the API's base. */\n\
             export const OPERATIONS = {\n",
        );
        for (id, method, path) in &self.operations {
            let _ = writeln!(out, "  {id}: [\"{method}\", \"{path}\"],");
        }
        out += "} as const;\n";
        for (name, schema) in &self.schemas {
            out.push('\n');
            typescript_doc(&mut out, "", schema.doc.as_deref());
            match &schema.shape {
                Shape::Alias(value) => {
                    let _ = writeln!(out, "export type {name} = {};", typescript_type(value));
                }
                Shape::Object(members) => {
                    let _ = writeln!(out, "export interface {name} {{");
                    for member in members {
                        typescript_doc(&mut out, "  ", member.doc.as_deref());
                        let mark = if member.required { "" } else { "?" };
                        let _ = writeln!(
                            out,
                            "  {}{mark}: {};",
                            member.name,
                            typescript_type(&member.value)
                        );
                    }
                    out += "}\n";
                }
            }
        }
        out
    }
}

impl Schema {
    fn read(name: &str, schema: &Value) -> Outcome<Schema> {
        let required: BTreeSet<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let shape = if schema.get("properties").is_some() {
            let mut read = Vec::new();
            for (member, value) in members(&schema["properties"]) {
                read.push(Member {
                    doc: doc(value),
                    required: required.contains(member.as_str()),
                    value: Type::read(&format!("{name}.{member}"), value)?,
                    name: member.clone(),
                });
            }
            Shape::Object(read)
        } else {
            Shape::Alias(Type::read(name, schema)?)
        };
        Ok(Schema {
            doc: doc(schema),
            shape,
        })
    }
}

impl Type {
    fn read(at: &str, schema: &Value) -> Outcome<Type> {
        if let Some(target) = schema["$ref"].as_str() {
            return Ok(Type::Named(name_of(target).to_owned()));
        }
        if let Some(variants) = schema["anyOf"].as_array() {
            let variants: Outcome<Vec<Type>> =
                variants.iter().map(|variant| Type::read(at, variant)).collect();
            return Ok(Type::AnyOf(variants?));
        }
        match schema["type"].as_str() {
            Some("string") => Ok(match schema["enum"].as_array() {
                Some(words) => {
                    let words = words.iter().filter_map(Value::as_str);
                    Type::Words(words.map(str::to_owned).collect())
                }
                None => Type::Text,
            }),
            Some("integer") => Ok(Type::Integer),
            Some("number") => Ok(Type::Number),
            Some("boolean") => Ok(Type::Flag),
            Some("null") => Ok(Type::Null),
            Some("array") => Ok(Type::List(Box::new(Type::read(at, &schema["items"])?))),
            other => Err(format!("{at}: the clients have no type for {other:?}").into()),
        }
    }
}

/// Notes every schema that this one refers to, directly or not.
fn collect(schema: &Value, document: &Value, wanted: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(target) = object.get("$ref").and_then(Value::as_str) {
                let name = name_of(target);
                if wanted.insert(name.to_owned()) {
                    collect(&document["components"]["schemas"][name], document, wanted);
                }
            }
            object.values().for_each(|value| collect(value, document, wanted));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, document, wanted)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn name_of(target: &str) -> &str {
    target.rsplit('/').next().unwrap_or(target)
}

fn doc(schema: &Value) -> Option<String> {
    let text = schema["description"].as_str()?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn python_type(value: &Type) -> String {
    match value {
        Type::Named(name) => name.clone(),
        Type::Text => "str".to_owned(),
        Type::Integer => "int".to_owned(),
        Type::Number => "float".to_owned(),
        Type::Flag => "bool".to_owned(),
        Type::Null => "None".to_owned(),
        Type::Words(words) => format!("Literal[{}]", quoted(words).join(", ")),
        Type::List(item) => format!("list[{}]", python_type(item)),
        Type::AnyOf(variants) => variants.iter().map(python_type).collect::<Vec<_>>().join(" | "),
    }
}

fn typescript_type(value: &Type) -> String {
    match value {
        Type::Named(name) => name.clone(),
        Type::Text => "string".to_owned(),
        Type::Integer | Type::Number => "number".to_owned(),
        Type::Flag => "boolean".to_owned(),
        Type::Null => "null".to_owned(),
        Type::Words(words) => quoted(words).join(" | "),
        Type::List(item) => match **item {
            Type::Words(_) | Type::AnyOf(_) => format!("({})[]", typescript_type(item)),
            _ => format!("{}[]", typescript_type(item)),
        },
        Type::AnyOf(variants) => variants
            .iter()
            .map(typescript_type)
            .collect::<Vec<_>>()
            .join(" | "),
    }
}

fn quoted(words: &[String]) -> Vec<String> {
    words.iter().map(|word| format!("\"{word}\"")).collect()
}

fn python_doc(out: &mut String, indent: &str, doc: Option<&str>) {
    let Some(doc) = doc else { return };
    let doc = doc.replace('\\', "\\\\").replace("\"\"\"", "'''");
    // A quote before the closing three would end the text early.
    let end = if doc.ends_with('"') { " " } else { "" };
    let _ = writeln!(out, "{indent}\"\"\"{doc}{end}\"\"\"");
}

fn typescript_doc(out: &mut String, indent: &str, doc: Option<&str>) {
    let Some(doc) = doc else { return };
    let _ = writeln!(out, "{indent}/** {} */", doc.replace("*/", "* /"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_is_what_is_written() {
        for (path, text) in files().unwrap() {
            let committed = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                committed == text,
                "{} is not what docs/openapi.json says: run `cargo xtask clients`",
                path.display()
            );
        }
    }

    #[test]
    fn types_of_both_languages() {
        let check = |schema: &str, python: &str, typescript: &str| {
            let value = Type::read("at", &serde_json::from_str(schema).unwrap()).unwrap();
            assert_eq!(
                (python_type(&value), typescript_type(&value)),
                (python.into(), typescript.into())
            );
        };
        check(r#"{"type":"integer"}"#, "int", "number");
        check(
            r#"{"type":"string","enum":["a","b"]}"#,
            r#"Literal["a", "b"]"#,
            r#""a" | "b""#,
        );
        check(r##"{"$ref":"#/components/schemas/Usage"}"##, "Usage", "Usage");
        check(
            r#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#,
            "str | None",
            "string | null",
        );
        check(
            r#"{"type":"array","items":{"type":"string","enum":["a"]}}"#,
            r#"list[Literal["a"]]"#,
            r#"("a")[]"#,
        );
        assert!(Type::read("at", &serde_json::json!({"type": "file"})).is_err());
    }
}

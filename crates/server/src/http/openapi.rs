//! The OpenAPI 3.1 document: the contract as a program reads it.
//!
//! Tools build forms, payloads and tests from it, so it is an interface of its own. Its schemas come from the types
//! that the handlers read and write; [`operations`] lists what there is to call and every answer it can give.
//! docs/openapi.json is the document as published; a test holds the two together.

mod operations;
mod parts;

use std::sync::LazyLock;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use utoipa::openapi::{
    Components, ComponentsBuilder, Info, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Server, Tag,
    info::LicenseBuilder,
    schema::Schema,
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};
use utoipa::{PartialSchema, ToSchema};

use super::wire::{
    self, ChangedEndpoint, CreatedGeneration, CreditsView, DeliveryList, EndpointList, EndpointView,
    EntryList, ErrorBody, EventData, GenerationList, GenerationView, KeyList, ModelsView, NewEndpoint,
    NewKey, PredictionStatus, QueueState, QueuedDelivery, QuoteView, RunningItem, SigningSecretView,
    schema::{CreateGeneration, CreateGenerationForm, EditVideo, EditVideoForm},
    video::{CreateVideo, CreateVideoForm, Video, VideoDeleted, VideoFailure, VideoList, VideosErrorBody},
};

/// The name of the security scheme.
const BEARER: &str = "bearerAuth";

/// GET `/openapi.json`
pub async fn get_openapi() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        document()
            .to_json()
            .expect("the document is made of maps with text keys")
    });
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

/// The document.
pub fn document() -> OpenApi {
    OpenApiBuilder::new()
        .info(info())
        .servers(Some([Server::new(super::router::BASE)]))
        .tags(Some([
            tag("Videos", "Make clips, and follow them to their end."),
            tag(
                "OpenAI-Videos layer",
                "The same videos in the shape of OpenAI's Videos API, for clients written for it.",
            ),
            tag("Credits", "What can be spent, and what was."),
            tag("Keys", "Who may ask."),
            tag("Webhooks", "Be told what becomes of generations."),
            tag("Server", "What is offered, and whether it is there."),
        ]))
        .security(Some([SecurityRequirement::new(BEARER, Vec::<String>::new())]))
        .paths(operations::paths())
        .components(Some(components()))
        .build()
}

fn info() -> Info {
    let license = LicenseBuilder::new()
        .name("Apache-2.0")
        .identifier(Some("Apache-2.0"))
        .build();
    InfoBuilder::new()
        .title("Kinora")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Text, images and clips to video. A POST creates a generation and holds its price in credits; GET, an \
             event stream or `Prefer: wait` follow it; success captures the price, failure and cancel release it. \
             What applies to which workflow is said where the members are described: a request that breaks a rule \
             is answered with 422 and names every member at fault.",
        ))
        .license(Some(license))
        .build()
}

fn tag(name: &str, description: &str) -> Tag {
    utoipa::openapi::tag::TagBuilder::new()
        .name(name)
        .description(Some(description))
        .build()
}

fn components() -> Components {
    let mut schemas: Vec<(String, RefOr<Schema>)> = Vec::new();
    with_parts::<CreateGeneration>(&mut schemas);
    with_parts::<CreateGenerationForm>(&mut schemas);
    with_parts::<EditVideo>(&mut schemas);
    with_parts::<EditVideoForm>(&mut schemas);
    with_parts::<CreatedGeneration>(&mut schemas);
    schemas.push((parts::CREATED_EDIT.to_owned(), created_edit()));
    with_parts::<GenerationView>(&mut schemas);
    with_parts::<wire::VideoData>(&mut schemas);
    with_parts::<PredictionStatus>(&mut schemas);
    with_parts::<QueueState>(&mut schemas);
    with_parts::<RunningItem>(&mut schemas);
    with_parts::<GenerationList>(&mut schemas);
    with_parts::<EventData>(&mut schemas);
    schemas.push((parts::STREAM_EVENT.to_owned(), parts::stream_event().into()));
    with_parts::<QuoteView>(&mut schemas);
    with_parts::<CreditsView>(&mut schemas);
    with_parts::<EntryList>(&mut schemas);
    with_parts::<ModelsView>(&mut schemas);
    with_parts::<NewKey>(&mut schemas);
    with_parts::<KeyList>(&mut schemas);
    with_parts::<NewEndpoint>(&mut schemas);
    with_parts::<ChangedEndpoint>(&mut schemas);
    with_parts::<EndpointView>(&mut schemas);
    with_parts::<EndpointList>(&mut schemas);
    with_parts::<SigningSecretView>(&mut schemas);
    with_parts::<QueuedDelivery>(&mut schemas);
    with_parts::<DeliveryList>(&mut schemas);
    with_parts::<ErrorBody>(&mut schemas);
    with_parts::<CreateVideo>(&mut schemas);
    with_parts::<CreateVideoForm>(&mut schemas);
    with_parts::<Video>(&mut schemas);
    with_parts::<VideoFailure>(&mut schemas);
    with_parts::<VideoList>(&mut schemas);
    with_parts::<VideoDeleted>(&mut schemas);
    with_parts::<VideosErrorBody>(&mut schemas);
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key."))
        .build();
    ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme(BEARER, SecurityScheme::Http(bearer))
        .build()
}

/// A schema and all that it refers to.
fn with_parts<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), <T as PartialSchema>::schema()));
    T::schemas(schemas);
}

/// The answer of the edit endpoint: that of the other, in the other vocabulary.
fn created_edit() -> RefOr<Schema> {
    let mut schema = <CreatedGeneration as PartialSchema>::schema();
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        let status = RefOr::Ref(Ref::from_schema_name(QueueState::name()));
        object.properties.insert("status".to_owned(), status);
        object.title = Some("Generation submission accepted".to_owned());
    }
    schema
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use serde_json::{Map, Value, json};

    use super::*;

    fn value() -> Value {
        serde_json::to_value(document()).expect("a document")
    }

    /// Calls `visit` for every object in `value`, with its path.
    fn walk(value: &Value, path: &str, visit: &mut dyn FnMut(&str, &Map<String, Value>)) {
        match value {
            Value::Object(object) => {
                visit(path, object);
                for (key, value) in object {
                    walk(value, &format!("{path}/{key}"), visit);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    walk(item, &format!("{path}/{index}"), visit);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn operations(document: &Value) -> Vec<(String, String, Value)> {
        let mut found = Vec::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("a path item") {
                if operation.get("operationId").is_some() {
                    found.push((method.clone(), path.clone(), operation.clone()));
                }
            }
        }
        found
    }

    #[test]
    fn is_published_as_it_is() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
        let current = document().to_pretty_json().expect("a document") + "\n";
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            fs::write(&path, &current).expect("docs can be written");
        }
        let published = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            published == current,
            "docs/openapi.json is not the document the server serves. If the change is meant, run \
             `cargo xtask openapi` (or this test with UPDATE_OPENAPI=1), read the difference, and commit it."
        );
    }

    #[test]
    fn names_every_route() {
        let document = value();
        let of_root = |path: &str| document["paths"][path]["servers"] == json!([{"url": "/"}]);
        let (root, api): (BTreeSet<_>, BTreeSet<_>) = operations(&document)
            .into_iter()
            .map(|(method, path, _)| (method, path))
            .partition(|(_, path)| of_root(path));
        let check = |documented, routes: &[(&str, &str)]| {
            let owned = |(method, path): &(&str, &str)| ((*method).to_owned(), (*path).to_owned());
            let routed: BTreeSet<(String, String)> = routes.iter().map(owned).collect();
            assert_eq!(documented, routed);
        };
        check(api, super::super::router::ROUTES);
        check(root, super::super::router::ROOT_ROUTES);
    }

    #[test]
    fn head_of_the_document() {
        let document = value();
        assert!(
            document["openapi"]
                .as_str()
                .is_some_and(|version| version.starts_with("3.1."))
        );
        assert_eq!(document["servers"][0]["url"], "/api/v1");
        assert_eq!(
            document["components"]["securitySchemes"]["bearerAuth"]["scheme"], "bearer",
            "{}",
            document["components"]["securitySchemes"]
        );
        assert_eq!(document["security"], json!([{"bearerAuth": []}]));
    }

    #[test]
    fn create_bodies_are_one_reference_away() {
        let document = value();
        let check = |path: &str, schema: &str, form: &str| {
            let content = &document["paths"][path]["post"]["requestBody"]["content"];
            let of = |kind: &str| content[kind]["schema"].clone();
            assert_eq!(
                of("application/json"),
                json!({"$ref": format!("#/components/schemas/{schema}")}),
                "{path}"
            );
            assert_eq!(
                of("multipart/form-data"),
                json!({"$ref": format!("#/components/schemas/{form}")}),
                "{path}"
            );
            for name in [schema, form] {
                assert!(
                    document["components"]["schemas"][name]["properties"].is_object(),
                    "{name}"
                );
            }
        };
        for path in [
            "/generation/wan/wan-v2.7-video",
            "/generation/sse/wan/wan-v2.7-video",
            "/generation/quote/wan/wan-v2.7-video",
        ] {
            check(path, "CreateGeneration", "CreateGenerationForm");
        }
        for path in [
            "/generation/wan/wan-v2.7/edit-video",
            "/generation/sse/wan/wan-v2.7/edit-video",
        ] {
            check(path, "EditVideo", "EditVideoForm");
        }
    }

    #[test]
    fn statuses_are_closed_sets() {
        let schemas = value()["components"]["schemas"].clone();
        let check = |name: &str, expected: Value| {
            assert_eq!(schemas[name]["enum"], expected, "{name}");
            assert_eq!(schemas[name]["type"], "string", "{name}");
        };
        check(
            "PredictionStatus",
            json!(["starting", "processing", "succeeded", "failed", "canceled"]),
        );
        check(
            "QueueState",
            json!(["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELED"]),
        );
        let status = |name: &str| schemas[name]["properties"]["status"]["$ref"].clone();
        assert_eq!(
            status("CreatedGeneration"),
            "#/components/schemas/PredictionStatus"
        );
        for name in ["CreatedEdit", "GenerationView", "RunningItem", "EventData"] {
            assert_eq!(status(name), "#/components/schemas/QueueState", "{name}");
        }
    }

    #[test]
    fn every_operation_lists_its_errors() {
        for (method, path, operation) in operations(&value()) {
            let at = format!("{method} {path}");
            let responses = operation["responses"].as_object().expect("responses");
            assert!(responses.keys().all(|key| key.parse::<u16>().is_ok()), "{at}");
            assert!(responses.keys().any(|key| key.starts_with('2')), "{at}");
            assert!(responses.keys().any(|key| key.as_str() >= "400"), "{at}");
            for (status, response) in responses.iter().filter(|(key, _)| key.as_str() >= "400") {
                let schema = &response["content"]["application/json"]["schema"]["$ref"];
                let expected = if path.starts_with("/v1/") {
                    "#/components/schemas/VideosErrorBody"
                } else {
                    "#/components/schemas/ErrorBody"
                };
                assert_eq!(schema, expected, "{at} {status}");
            }
            let open = operation["security"] == json!([{}]);
            assert_ne!(open, responses.contains_key("401"), "{at}");
        }
    }

    #[test]
    fn schemas_hold_together() {
        let document = value();
        let schemas = document["components"]["schemas"].as_object().expect("schemas");
        let mut ids = BTreeSet::new();
        walk(&document, "", &mut |path, object| {
            if let Some(Value::String(target)) = object.get("$ref") {
                let name = target
                    .strip_prefix("#/components/schemas/")
                    .expect("a local reference");
                assert!(schemas.contains_key(name), "{path} refers to {name}");
            }
            if let Some(Value::String(id)) = object.get("operationId") {
                assert!(ids.insert(id.clone()), "{id} twice");
            }
            assert!(
                !object.get("type").is_some_and(Value::is_array),
                "{path} has a list of types"
            );
            if object.get("type") == Some(&json!("integer")) && !path.contains("/headers/") {
                let signed = path.contains("/Amount/");
                let timestamp = path.contains("/files/");
                assert!(
                    object.contains_key("minimum") || signed || timestamp,
                    "{path} is not bounded"
                );
            }
        });
    }
}

//! What several operations share: parameters, bodies, answers.

use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::{
        Content, ContentBuilder, HeaderBuilder, Ref, RefOr, Required, Response, ResponseBuilder,
        path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle},
        request_body::{RequestBody, RequestBodyBuilder},
        schema::{Array, Object, ObjectBuilder, Schema, SchemaFormat, Type},
    },
};

use crate::http::wire::{ErrorBody, EventData, QueueState, schema, video::VideosErrorBody};

/// The name of the edit endpoint's answer.
pub(super) const CREATED_EDIT: &str = "CreatedEdit";
/// The name of what a stream is made of.
pub(super) const STREAM_EVENT: &str = "StreamEvent";

/// A schema of the components.
pub(super) fn refer<T: ToSchema>() -> RefOr<Schema> {
    named(&T::name())
}

/// A schema of the components, by name.
pub(super) fn named(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(name))
}

/// An array of a schema of the components.
pub(super) fn array_of<T: ToSchema>() -> RefOr<Schema> {
    Schema::Array(Array::new(refer::<T>())).into()
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

// ---- bodies --------------------------------------------------------------------------------------------------

/// The body of a creating request, in both forms.
pub(super) fn create_body<Json: ToSchema, Form: ToSchema>(example: Value) -> RequestBody {
    let json = ContentBuilder::new()
        .schema(Some(refer::<Json>()))
        .example(Some(example))
        .build();
    RequestBodyBuilder::new()
        .required(Some(Required::True))
        .content("application/json", json)
        .content("multipart/form-data", Content::new(Some(refer::<Form>())))
        .build()
}

/// A small body of JSON.
pub(super) fn json_body<Json: ToSchema>(example: Value) -> RequestBody {
    let json = ContentBuilder::new()
        .schema(Some(refer::<Json>()))
        .example(Some(example))
        .build();
    RequestBodyBuilder::new()
        .required(Some(Required::True))
        .content("application/json", json)
        .build()
}

// ---- parameters ----------------------------------------------------------------------------------------------

/// The id in a path.
pub(super) fn id() -> Parameter {
    path("id", "The generation.", schema::generation_id())
}

/// A segment of a path.
pub(super) fn path(name: &str, doc: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(ParameterIn::Path, name, doc, schema)
        .required(Required::True)
        .build()
}

/// A member of the query that is not required.
pub(super) fn query(name: &str, doc: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(ParameterIn::Query, name, doc, schema).build()
}

/// A member of the query that is required.
pub(super) fn required_query(name: &str, doc: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(ParameterIn::Query, name, doc, schema)
        .required(Required::True)
        .build()
}

fn parameter(
    place: ParameterIn,
    name: &str,
    doc: &str,
    schema: impl Into<RefOr<Schema>>,
) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(doc))
        .schema(Some(schema))
}

/// The key by which a client says that two requests are one.
pub(super) fn idempotency_key() -> Parameter {
    // A quoted text, or a bare one that does not both start and end with a quote.
    let pattern = r##"^("[!-~]{1,255}"|[!#-~][!-~]{0,254}|"[!-~]{0,253}[!#-~]|")$"##;
    let schema = string()
        .min_length(Some(1))
        .max_length(Some(257))
        .pattern(Some(pattern));
    let doc = "Requests under one key are one request for 24 hours: the second is answered with the generation of \
               the first. 1 to 255 visible ASCII characters, bare or quoted; a UUID is recommended.";
    parameter(ParameterIn::Header, "Idempotency-Key", doc, Schema::from(schema)).build()
}

/// The wish to hold an answer.
pub(super) fn prefer() -> Parameter {
    let doc = "`wait=N` holds the answer until the generation has come to its end or N seconds have passed, 60 at \
               most; `wait` alone is `wait=60`. Anything else is ignored.";
    parameter(ParameterIn::Header, "Prefer", doc, Schema::from(string()))
        .example(Some(json!("wait=5")))
        .build()
}

/// Where a stream is taken up again.
pub(super) fn last_event_id() -> Parameter {
    let doc = "The number of the last event that was seen; the stream goes on behind it. Without it, and with a \
               number that is not known, it starts with the present state.";
    parameter(ParameterIn::Header, "Last-Event-ID", doc, Schema::from(string()))
        .example(Some(json!("2")))
        .build()
}

/// What the client has already.
pub(super) fn if_none_match() -> Parameter {
    let doc = "The `ETag` of the last answer: where nothing is newer, there is no body.";
    parameter(ParameterIn::Header, "If-None-Match", doc, Schema::from(string()))
        .example(Some(json!("\"2\"")))
        .build()
}

/// How many items a page has.
pub(super) fn limit() -> Parameter {
    limit_or(50)
}

/// The same where another number is the default.
pub(super) fn limit_or(default: usize) -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(100))
        .default(Some(json!(default)));
    query("limit", "The most items of the answer.", Schema::from(schema))
}

/// Where a page starts; `pattern` is the form of the list's cursors.
pub(super) fn cursor(pattern: &str) -> Parameter {
    let schema = string().pattern(Some(pattern));
    query(
        "cursor",
        "`next_cursor` of the page before. To be passed on as it is.",
        Schema::from(schema),
    )
}

/// Which generations are listed.
pub(super) fn status_filter() -> Parameter {
    let doc = "Only generations of these states; repeatable, or separated by commas.";
    parameter(ParameterIn::Query, "status", doc, array_of::<QueueState>())
        .style(Some(ParameterStyle::Form))
        .explode(Some(true))
        .build()
}

/// The workspace whose generations are listed.
pub(super) fn workspace() -> Parameter {
    query(
        "workspace",
        "The key's own workspace, by name or id; any other is refused.",
        Schema::from(string()),
    )
}

// ---- answers -------------------------------------------------------------------------------------------------

/// An answer of JSON.
pub(super) fn json_answer(doc: &str, schema: impl Into<RefOr<Schema>>) -> ResponseBuilder {
    ResponseBuilder::new()
        .description(doc)
        .content("application/json", Content::new(Some(schema)))
}

/// An answer of plain text.
pub(super) fn text_answer(doc: &str) -> ResponseBuilder {
    let text = Content::new(Some(Schema::from(string())));
    ResponseBuilder::new()
        .description(doc)
        .content("text/plain; charset=utf-8", text)
}

/// An answer of bytes.
pub(super) fn file_answer(doc: &str) -> ResponseBuilder {
    let bytes = || {
        Content::new(Some(Schema::from(
            string().format(Some(SchemaFormat::Custom("binary".to_owned()))),
        )))
    };
    ResponseBuilder::new()
        .description(doc)
        .content("video/mp4", bytes())
        .content("image/jpeg", bytes())
        .header("ETag", header("Changes with the bytes.", Type::String))
        .header("Accept-Ranges", header("Always `bytes`.", Type::String))
}

/// An answer that is a picture.
pub(super) fn picture_answer(doc: &str) -> ResponseBuilder {
    let bytes = string().format(Some(SchemaFormat::Custom("binary".to_owned())));
    ResponseBuilder::new()
        .description(doc)
        .content("image/jpeg", Content::new(Some(Schema::from(bytes))))
        .header("ETag", header("Changes with the picture.", Type::String))
}

/// An answer without a body.
pub(super) fn empty_answer(doc: &str) -> ResponseBuilder {
    ResponseBuilder::new().description(doc)
}

/// An answer that is a stream of events.
pub(super) fn stream_answer() -> ResponseBuilder {
    ResponseBuilder::new()
        .description(
            "A stream of unnamed events, from the present state to the terminal one. The schema is that of one \
             event.",
        )
        .content("text/event-stream", Content::new(Some(named(STREAM_EVENT))))
}

/// What a stream is made of.
pub(super) fn stream_event() -> Schema {
    let data = string()
        .content_media_type("application/json")
        .content_schema(Some(refer::<EventData>()));
    let id = string()
        .pattern(Some("^[0-9]+$"))
        .description(Some("Increases within the generation."));
    ObjectBuilder::new()
        .description(Some("One event of a stream."))
        .property("id", Schema::from(id))
        .required("id")
        .property(
            "data",
            Schema::from(data.description(Some("One JSON object on one line."))),
        )
        .required("data")
        .into()
}

/// The headers of an answer that created a generation, or found the one that was created before.
pub(super) fn with_creation_headers(answer: ResponseBuilder) -> ResponseBuilder {
    with_acceptance_headers(answer).header(
        "Preference-Applied",
        header("`wait`, where the answer was held.", Type::String),
    )
}

/// What every answer to an accepted request says in its headers, streams included.
pub(super) fn with_acceptance_headers(answer: ResponseBuilder) -> ResponseBuilder {
    answer
        .header("Location", header("The generation's path.", Type::String))
        .header(
            "Idempotency-Replayed",
            header("`true`, where an earlier request was answered.", Type::String),
        )
}

/// A header of an answer.
pub(super) fn header(doc: &str, kind: Type) -> utoipa::openapi::header::Header {
    HeaderBuilder::new()
        .description(Some(doc))
        .schema(Some(Object::with_type(kind)))
        .build()
}

/// Which part of a file an answer holds.
pub(super) fn content_range() -> utoipa::openapi::header::Header {
    header("Which bytes of how many.", Type::String)
}

/// The answer to an error of this status.
pub(super) fn error_answer(status: u16) -> Response {
    error_of(status, refer::<ErrorBody>())
}

/// The same below `/v1/`.
pub(super) fn videos_error_answer(status: u16) -> Response {
    error_of(status, refer::<VideosErrorBody>())
}

fn error_of(status: u16, body: RefOr<Schema>) -> Response {
    let answer = json_answer(error_doc(status), body);
    match status {
        401 => answer.header("WWW-Authenticate", header("`Bearer`.", Type::String)),
        416 => answer.header("Content-Range", content_range()),
        409 | 429 | 503 => answer.header("Retry-After", header("Seconds to wait.", Type::Integer)),
        _ => answer,
    }
    .build()
}

fn error_doc(status: u16) -> &'static str {
    match status {
        400 => "The request cannot be read, a member has the wrong type, or the workflow is not offered.",
        401 => "No API key, or one that is unknown or revoked.",
        402 => "The balance does not cover the price. Nothing was queued.",
        403 => "The key, or the signature of the URL, does not allow this.",
        404 => "The workspace has no such generation, or the generation no such file, or not yet.",
        409 => {
            "The state of the generation, or of an earlier request under the same key, does not allow this now."
        }
        410 => "The media of this generation have been removed.",
        413 => "The body or one of its parts is too large.",
        415 => "The content type of the body is not taken.",
        416 => "The range lies outside of the file.",
        422 => "A value is not taken. `errors` names every member at fault.",
        429 => "Too many requests, or too many generations queued.",
        500 => "A fault of the server.",
        503 => "No engine is there, or the server is starting or shutting down.",
        _ => "An error.",
    }
}

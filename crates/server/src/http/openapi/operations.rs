//! Every operation: how it is called, what it takes, and every answer it can give.

mod keys;
mod videos;
mod webhooks;

use serde_json::json;
use utoipa::openapi::{
    HttpMethod, Paths, PathsBuilder, Response, Server,
    path::{Operation, OperationBuilder, Parameter, PathItemBuilder},
    request_body::RequestBody,
    schema::{ObjectBuilder, Schema, Type},
    security::SecurityRequirement,
};

use super::parts::{
    CREATED_EDIT, array_of, content_range, create_body, cursor, empty_answer, error_answer, file_answer, id,
    idempotency_key, if_none_match, json_answer, last_event_id, limit, named, path, picture_answer, prefer,
    refer, required_query, status_filter, stream_answer, text_answer, videos_error_answer,
    with_acceptance_headers, with_creation_headers, workspace,
};
use crate::http::wire::{
    CreatedGeneration, CreditsView, EntryList, GenerationList, GenerationView, ModelsView, QuoteView,
    RunningItem,
    schema::{self, CreateGeneration, CreateGenerationForm, EditVideo, EditVideoForm},
};

const VIDEOS: &str = "Videos";
const CREDITS: &str = "Credits";
const SERVER: &str = "Server";

/// All paths; those outside the API's base name their own server.
pub(super) fn paths() -> Paths {
    let mut paths = PathsBuilder::new();
    for (path, operations) in api_paths() {
        paths = paths.path(path, item(operations).build());
    }
    for (path, operations) in videos::paths().into_iter().chain(root_paths()) {
        let root = item(operations).servers(Some([Server::new("/")]));
        paths = paths.path(path, root.build());
    }
    paths.build()
}

type Operations = Vec<(HttpMethod, Operation)>;

fn item(operations: Operations) -> PathItemBuilder {
    operations
        .into_iter()
        .fold(PathItemBuilder::new(), |item, (method, operation)| {
            item.operation(method, operation)
        })
}

fn api_paths() -> Vec<(&'static str, Operations)> {
    use HttpMethod::{Delete, Get, Patch, Post};
    vec![
        (
            "/generation/wan/wan-v2.7-video",
            vec![(Post, create_generation())],
        ),
        (
            "/generation/sse/wan/wan-v2.7-video",
            vec![(Post, stream_generation())],
        ),
        ("/generation/wan/wan-v2.7/edit-video", vec![(Post, create_edit())]),
        (
            "/generation/sse/wan/wan-v2.7/edit-video",
            vec![(Post, stream_edit())],
        ),
        (
            "/generation/quote/wan/wan-v2.7-video",
            vec![(Post, quote_generation())],
        ),
        (
            "/generation/{id}",
            vec![(Get, get_generation()), (Delete, delete_generation())],
        ),
        ("/generation/{id}/cancel", vec![(Post, cancel_generation())]),
        ("/generation/{id}/events", vec![(Get, stream_events())]),
        ("/generation/{id}/preview", vec![(Get, get_preview())]),
        ("/generations", vec![(Get, list_generations())]),
        ("/generations/running", vec![(Get, list_running_generations())]),
        ("/credits", vec![(Get, get_credits())]),
        ("/credits/entries", vec![(Get, list_credit_entries())]),
        ("/models", vec![(Get, list_models())]),
        (
            "/keys",
            vec![(Get, keys::list_keys()), (Post, keys::create_key())],
        ),
        ("/keys/{id}", vec![(Delete, keys::revoke_key())]),
        (
            "/webhooks",
            vec![
                (Get, webhooks::list_webhooks()),
                (Post, webhooks::create_webhook()),
            ],
        ),
        (
            "/webhooks/signing-secret",
            vec![(Get, webhooks::get_signing_secret())],
        ),
        (
            "/webhooks/{id}",
            vec![
                (Get, webhooks::get_webhook()),
                (Patch, webhooks::change_webhook()),
                (Delete, webhooks::delete_webhook()),
            ],
        ),
        ("/webhooks/{id}/test", vec![(Post, webhooks::test_webhook())]),
        (
            "/webhooks/{id}/rotate-secret",
            vec![(Post, webhooks::rotate_webhook_secret())],
        ),
        (
            "/webhooks/{id}/deliveries",
            vec![(Get, webhooks::list_webhook_deliveries())],
        ),
        (
            "/webhooks/{id}/deliveries/{delivery_id}/retry",
            vec![(Post, webhooks::retry_webhook_delivery())],
        ),
    ]
}

fn root_paths() -> Vec<(&'static str, Operations)> {
    use HttpMethod::{Get, Head};
    vec![
        (
            "/files/{generation_id}/{file_name}",
            vec![(Get, get_file("get_file")), (Head, get_file("head_file"))],
        ),
        ("/openapi.json", vec![(Get, get_openapi())]),
        ("/healthz", vec![(Get, get_health())]),
        ("/readyz", vec![(Get, get_readiness())]),
    ]
}

/// What is said about one operation.
struct Call {
    name: &'static str,
    tag: &'static str,
    summary: &'static str,
    parameters: Vec<Parameter>,
    body: Option<RequestBody>,
    answers: Vec<(u16, Response)>,
    errors: &'static [u16],
}

impl Call {
    /// As an operation that takes an API key.
    fn keyed(self) -> Operation {
        self.builder(error_answer).build()
    }

    /// As an operation below `/v1/`, which takes an API key and has errors of its own shape.
    fn of_videos_api(self) -> Operation {
        self.builder(videos_error_answer).build()
    }

    /// As an operation that is open.
    fn open(self) -> Operation {
        let builder = self.builder(error_answer);
        builder.security(SecurityRequirement::default()).build()
    }

    fn builder(self, error: fn(u16) -> Response) -> OperationBuilder {
        let Call {
            name,
            tag,
            summary,
            parameters,
            body,
            answers,
            errors,
        } = self;
        let mut operation = OperationBuilder::new()
            .operation_id(Some(name))
            .tag(tag)
            .summary(Some(summary))
            .request_body(body);
        for parameter in parameters {
            operation = operation.parameter(parameter);
        }
        for (status, answer) in answers {
            operation = operation.response(status.to_string(), answer);
        }
        for status in errors {
            operation = operation.response(status.to_string(), error(*status));
        }
        operation
    }
}

const CREATE_ERRORS: &[u16] = &[400, 401, 402, 403, 409, 413, 415, 422, 429, 500, 503];

fn create_generation() -> Operation {
    create(
        "create_generation",
        "Make a clip from text, images, clips or references",
        video_body(),
        refer::<CreatedGeneration>(),
    )
}

fn create_edit() -> Operation {
    create(
        "create_edit",
        "Edit a clip as an instruction says",
        edit_body(),
        named(CREATED_EDIT),
    )
}

fn create(
    name: &'static str,
    summary: &'static str,
    body: RequestBody,
    created: utoipa::openapi::RefOr<Schema>,
) -> Operation {
    let settled = json_answer("The end, where the answer was held until then.", created.clone());
    let accepted = json_answer(
        "Accepted: the price is held, and the generation is queued.",
        created,
    );
    Call {
        name,
        tag: VIDEOS,
        summary,
        parameters: vec![idempotency_key(), prefer()],
        body: Some(body),
        answers: vec![
            (202, with_creation_headers(accepted).build()),
            (200, with_creation_headers(settled).build()),
        ],
        errors: CREATE_ERRORS,
    }
    .keyed()
}

fn stream_generation() -> Operation {
    stream(
        "stream_generation",
        "Make a clip, and follow it as a stream of events",
        video_body(),
    )
}

fn stream_edit() -> Operation {
    stream(
        "stream_edit",
        "Edit a clip, and follow it as a stream of events",
        edit_body(),
    )
}

fn stream(name: &'static str, summary: &'static str, body: RequestBody) -> Operation {
    Call {
        name,
        tag: VIDEOS,
        summary,
        parameters: vec![idempotency_key()],
        body: Some(body),
        answers: vec![(200, with_acceptance_headers(stream_answer()).build())],
        errors: CREATE_ERRORS,
    }
    .keyed()
}

fn quote_generation() -> Operation {
    Call {
        name: "quote_generation",
        tag: VIDEOS,
        summary: "Check a request and price it; nothing is queued or charged",
        parameters: Vec::new(),
        body: Some(video_body()),
        answers: vec![(200, json_answer("The price.", refer::<QuoteView>()).build())],
        errors: &[400, 401, 413, 415, 422, 429, 500, 503],
    }
    .keyed()
}

fn video_body() -> RequestBody {
    create_body::<CreateGeneration, CreateGenerationForm>(json!({
        "prompt": "A paper boat crosses a rain puddle, macro shot",
        "resolution": "720p",
        "duration": 5,
    }))
}

fn edit_body() -> RequestBody {
    create_body::<EditVideo, EditVideoForm>(json!({
        "prompt": "Make it snow",
        "video_url": "https://example.com/street.mp4",
        "resolution": "720p",
    }))
}

fn get_generation() -> Operation {
    Call {
        name: "get_generation",
        tag: VIDEOS,
        summary: "Read a generation",
        parameters: vec![id()],
        body: None,
        answers: vec![(
            200,
            json_answer("The generation.", refer::<GenerationView>()).build(),
        )],
        errors: &[401, 404, 429, 500, 503],
    }
    .keyed()
}

fn delete_generation() -> Operation {
    Call {
        name: "delete_generation",
        tag: VIDEOS,
        summary: "Remove the media of a generation that has come to its end",
        parameters: vec![id()],
        body: None,
        answers: vec![(
            204,
            empty_answer("The media are gone, now or since before.").build(),
        )],
        errors: &[401, 403, 404, 409, 429, 500, 503],
    }
    .keyed()
}

fn cancel_generation() -> Operation {
    let canceled = json_answer("Canceled, now or since before.", refer::<GenerationView>());
    let requested = json_answer(
        "It runs, and ends as soon as its engine has stopped.",
        refer::<GenerationView>(),
    );
    Call {
        name: "cancel_generation",
        tag: VIDEOS,
        summary: "Cancel a generation",
        parameters: vec![id()],
        body: None,
        answers: vec![(200, canceled.build()), (202, requested.build())],
        errors: &[401, 403, 404, 409, 429, 500, 503],
    }
    .keyed()
}

fn stream_events() -> Operation {
    Call {
        name: "stream_events",
        tag: VIDEOS,
        summary: "Follow a generation as a stream of events",
        parameters: vec![id(), last_event_id()],
        body: None,
        answers: vec![(200, stream_answer().build())],
        errors: &[401, 404, 429, 500, 503],
    }
    .keyed()
}

fn get_preview() -> Operation {
    Call {
        name: "get_preview",
        tag: VIDEOS,
        summary: "See what the clip looks like so far, while its engine shows that",
        parameters: vec![id(), if_none_match()],
        body: None,
        answers: vec![
            (200, picture_answer("The latest picture.").build()),
            (304, empty_answer("It is what the client has.").build()),
        ],
        errors: &[401, 404, 429, 500, 503],
    }
    .keyed()
}

fn list_generations() -> Operation {
    Call {
        name: "list_generations",
        tag: VIDEOS,
        summary: "List generations, newest first",
        parameters: vec![
            status_filter(),
            limit(),
            cursor("^(gen_[0-7][0-9A-HJKMNP-TV-Z]{25})?$"),
        ],
        body: None,
        answers: vec![(200, json_answer("A page.", refer::<GenerationList>()).build())],
        errors: &[400, 401, 422, 429, 500, 503],
    }
    .keyed()
}

fn list_running_generations() -> Operation {
    Call {
        name: "list_running_generations",
        tag: VIDEOS,
        summary: "List what is queued or in progress",
        parameters: vec![limit(), workspace()],
        body: None,
        answers: vec![(
            200,
            json_answer("The generations.", array_of::<RunningItem>()).build(),
        )],
        errors: &[400, 401, 403, 422, 429, 500, 503],
    }
    .keyed()
}

fn get_credits() -> Operation {
    Call {
        name: "get_credits",
        tag: CREDITS,
        summary: "Read the balance",
        parameters: Vec::new(),
        body: None,
        answers: vec![(200, json_answer("The balance.", refer::<CreditsView>()).build())],
        errors: &[401, 429, 500, 503],
    }
    .keyed()
}

fn list_credit_entries() -> Operation {
    Call {
        name: "list_credit_entries",
        tag: CREDITS,
        summary: "List the entries of the ledger, newest first",
        parameters: vec![limit(), cursor("^([+-]?[0-9]{1,18})?$")],
        body: None,
        answers: vec![(200, json_answer("A page.", refer::<EntryList>()).build())],
        errors: &[400, 401, 422, 429, 500, 503],
    }
    .keyed()
}

fn list_models() -> Operation {
    Call {
        name: "list_models",
        tag: SERVER,
        summary: "List what is offered, its limits and its prices",
        parameters: Vec::new(),
        body: None,
        answers: vec![(200, json_answer("The models.", refer::<ModelsView>()).build())],
        errors: &[401, 429, 500, 503],
    }
    .keyed()
}

fn get_file(name: &'static str) -> Operation {
    let text = || Schema::from(ObjectBuilder::new().schema_type(Type::String));
    let seconds = ObjectBuilder::new().schema_type(Type::Integer);
    Call {
        name,
        tag: VIDEOS,
        summary: "Read a file of a result, by the URL that its generation shows",
        parameters: vec![
            path("generation_id", "The generation.", schema::generation_id()),
            path("file_name", "The file.", text()),
            required_query(
                "exp",
                "When the URL ends, in seconds since 1970.",
                Schema::from(seconds),
            ),
            required_query("sig", "The signature.", text()),
        ],
        body: None,
        answers: vec![
            (200, file_answer("The file.").build()),
            (
                206,
                file_answer("A range of its bytes.")
                    .header("Content-Range", content_range())
                    .build(),
            ),
            (304, empty_answer("It is what the client has.").build()),
        ],
        errors: &[403, 404, 410, 416, 500],
    }
    .open()
}

fn get_openapi() -> Operation {
    let document = ObjectBuilder::new().schema_type(Type::Object);
    Call {
        name: "get_openapi",
        tag: SERVER,
        summary: "Read this document",
        parameters: Vec::new(),
        body: None,
        answers: vec![(200, json_answer("This document.", Schema::from(document)).build())],
        errors: &[500],
    }
    .open()
}

fn get_health() -> Operation {
    Call {
        name: "get_health",
        tag: SERVER,
        summary: "Whether the process answers",
        parameters: Vec::new(),
        body: None,
        answers: vec![(200, text_answer("It does.").build())],
        errors: &[500],
    }
    .open()
}

fn get_readiness() -> Operation {
    Call {
        name: "get_readiness",
        tag: SERVER,
        summary: "Whether requests are taken",
        parameters: Vec::new(),
        body: None,
        answers: vec![(200, text_answer("They are.").build())],
        errors: &[500, 503],
    }
    .open()
}

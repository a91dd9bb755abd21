//! The operations of the OpenAI-Videos layer.

use serde_json::json;
use utoipa::openapi::{
    HttpMethod,
    path::{Operation, Parameter},
    schema::{ObjectBuilder, Schema, Type},
};

use super::{Call, Operations};
use crate::http::{
    openapi::parts::{
        content_range, create_body, empty_answer, file_answer, header, id, idempotency_key, json_answer,
        limit_or, prefer, query, refer, with_creation_headers,
    },
    wire::video::{CreateVideo, CreateVideoForm, Video, VideoDeleted, VideoList},
};

const TAG: &str = "OpenAI-Videos layer";

/// Its paths, relative to the server's root.
pub(super) fn paths() -> Vec<(&'static str, Operations)> {
    use HttpMethod::{Delete, Get, Head, Post};
    vec![
        ("/v1/videos", vec![(Post, create_video()), (Get, list_videos())]),
        (
            "/v1/videos/{id}",
            vec![(Get, get_video()), (Delete, delete_video())],
        ),
        (
            "/v1/videos/{id}/content",
            vec![
                (Get, get_content("get_video_content")),
                (Head, get_content("head_video_content")),
            ],
        ),
    ]
}

fn create_video() -> Operation {
    let body = create_body::<CreateVideo, CreateVideoForm>(json!({
        "prompt": "A paper boat crosses a rain puddle, macro shot",
        "seconds": "4",
        "size": "1280x720",
    }));
    let accepted = json_answer(
        "Accepted: the price is held, and the video is queued; or its end, where the answer was held until then.",
        refer::<Video>(),
    )
    .header("openai-poll-after-ms", poll_after());
    Call {
        name: "create_video",
        tag: TAG,
        summary: "Make a video from text, or from text and a first frame",
        parameters: vec![idempotency_key(), prefer()],
        body: Some(body),
        answers: vec![(200, with_creation_headers(accepted).build())],
        errors: &[400, 401, 402, 403, 409, 413, 415, 422, 429, 500, 503],
    }
    .of_videos_api()
}

fn get_video() -> Operation {
    let answer = json_answer("The video.", refer::<Video>()).header("openai-poll-after-ms", poll_after());
    Call {
        name: "get_video",
        tag: TAG,
        summary: "Read a video's state",
        parameters: vec![id()],
        body: None,
        answers: vec![(200, answer.build())],
        errors: &[401, 404, 429, 500, 503],
    }
    .of_videos_api()
}

fn list_videos() -> Operation {
    Call {
        name: "list_videos",
        tag: TAG,
        summary: "List videos; those without media any more are left out",
        parameters: vec![after(), limit_or(20), order()],
        body: None,
        answers: vec![(200, json_answer("A page.", refer::<VideoList>()).build())],
        errors: &[400, 401, 422, 429, 500, 503],
    }
    .of_videos_api()
}

fn get_content(name: &'static str) -> Operation {
    let variants = string()
        .enum_values(Some(["video", "thumbnail"]))
        .default(Some(json!("video")));
    Call {
        name,
        tag: TAG,
        summary: "Read a video's bytes, or the picture of its first frame",
        parameters: vec![
            id(),
            query(
                "variant",
                "The MP4, or a JPEG of its first frame.",
                Schema::from(variants),
            ),
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
        errors: &[400, 401, 404, 416, 429, 500, 503],
    }
    .of_videos_api()
}

fn delete_video() -> Operation {
    Call {
        name: "delete_video",
        tag: TAG,
        summary: "Remove a video; one that is being made is canceled first, and the answer waits for its end",
        parameters: vec![id()],
        body: None,
        answers: vec![(
            200,
            json_answer("It is gone, now or since before.", refer::<VideoDeleted>()).build(),
        )],
        errors: &[401, 403, 404, 429, 500, 503],
    }
    .of_videos_api()
}

fn after() -> Parameter {
    let id = string().pattern(Some("^(gen_[0-7][0-9A-HJKMNP-TV-Z]{25})?$"));
    query("after", "`last_id` of the page before.", Schema::from(id))
}

fn order() -> Parameter {
    let orders = string()
        .enum_values(Some(["asc", "desc"]))
        .default(Some(json!("desc")));
    query(
        "order",
        "By age: the oldest or the newest first.",
        Schema::from(orders),
    )
}

fn poll_after() -> utoipa::openapi::header::Header {
    header(
        "Milliseconds to wait before looking again; absent once it has ended.",
        Type::Integer,
    )
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

//! What a server of videos says, and what follows from it. Errors come as `{"error": {"message", "code"}}`, or as
//! `{"detail": …}` from those that are written with FastAPI.

use std::time::Duration;

use serde_json::Value;

use crate::{
    EngineError, Secret,
    upstream::{
        http::Answer,
        task::{Done, Look, NotSubmitted},
    },
};

/// What became of a submission.
pub(super) fn submitted(answer: &Answer, key: &Secret) -> Result<String, NotSubmitted> {
    if let (200..300, Some(video)) = (answer.status, answer.text("/id")) {
        return Ok(video.to_owned());
    }
    let detail = said(answer, key);
    let is_own = answer.json.get("error").is_some() || answer.json.get("detail").is_some();
    let error = match answer.status {
        429 => EngineError::Overloaded {
            detail,
            retry_after: answer.retry_after,
        },
        300..400 | 401 | 403 | 404 | 405 => EngineError::OutOfOrder { detail },
        408 => return Err(NotSubmitted::InDoubt(detail)),
        400..500 => EngineError::Refused { detail },
        503 if is_own => EngineError::Overloaded {
            detail,
            retry_after: answer.retry_after,
        },
        // Its own word that it failed; what something in between says is no word about the work.
        500..600 if is_own => EngineError::Unavailable { detail },
        _ => return Err(NotSubmitted::InDoubt(detail)),
    };
    Err(NotSubmitted::NotBegun(error))
}

/// Where a video stands.
pub(super) fn look(answer: &Answer, key: &Secret) -> Look {
    let detail = said(answer, key);
    if let (429 | 503, Some(wanted)) = (answer.status, answer.retry_after) {
        return Look::Later(wanted.min(Duration::from_secs(60)));
    }
    let progress = answer.json.get("progress").and_then(Value::as_f64);
    // 0 stands for "not told" on servers that only know the end.
    let fraction = progress
        .filter(|percent| *percent > 0.0)
        .map(|percent| (percent / 100.0).clamp(0.0, 1.0) as f32);
    match (answer.status, answer.text("/status")) {
        (200..300, Some("queued" | "pending")) => Look::Waiting,
        (200..300, Some("in_progress" | "processing" | "running")) => Look::Working(fraction),
        (200..300, Some("completed" | "succeeded")) => Look::Done(Done::default()),
        (200..300, Some("failed" | "error")) => Look::Ended(match answer.text("/error/code") {
            Some("content_policy_violation" | "moderation_blocked") => EngineError::ContentRejected {
                message: "The prompt, or a medium, was rejected for its content.".to_owned(),
            },
            Some(_) | None => EngineError::Failed { detail },
        }),
        (200..300, Some("cancelled" | "canceled" | "deleted" | "expired")) => {
            Look::Ended(EngineError::Failed {
                detail: "the video was removed there".to_owned(),
            })
        }
        // Such servers keep their videos in memory: one that was started anew knows nothing of what was before.
        (404 | 410, _) => Look::Ended(EngineError::Lost {
            detail: "the video is not known there any more".to_owned(),
        }),
        _ => Look::Unclear(detail),
    }
}

/// An answer for the log.
pub(super) fn said(answer: &Answer, key: &Secret) -> String {
    let message = answer
        .text("/error/message")
        .or_else(|| answer.text("/error"))
        .or_else(|| answer.text("/detail"))
        .or_else(|| answer.text("/message"));
    let text = match message {
        Some(message) => format!("status {}: {message}", answer.status),
        None => format!("status {}, and nothing that could be read", answer.status),
    };
    key.redact(&text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, json: Value) -> Answer {
        Answer {
            status,
            retry_after: None,
            json,
        }
    }

    fn key() -> Secret {
        Secret::new(String::new())
    }

    fn name(error: &EngineError) -> String {
        let name = format!("{error:?}");
        name.split([' ', '{']).next().unwrap_or_default().to_owned()
    }

    #[test]
    fn submissions() {
        let check = |status, json: Value, expected: &str| {
            let found = match submitted(&answer(status, json.clone()), &key()) {
                Ok(video) => format!("video {video}"),
                Err(NotSubmitted::InDoubt(_)) => "in doubt".to_owned(),
                Err(NotSubmitted::NotBegun(error)) => name(&error),
            };
            assert_eq!(found, expected, "{status} {json}");
        };
        check(200, json!({"id": "video-1", "status": "queued"}), "video video-1");
        check(200, json!({"status": "queued"}), "in doubt");
        check(400, json!({"detail": "prompt is required"}), "Refused");
        check(422, json!({"detail": [{"loc": ["body"]}]}), "Refused");
        check(401, json!({"error": "Unauthorized"}), "OutOfOrder");
        check(404, json!({"detail": "Not Found"}), "OutOfOrder");
        check(429, Value::Null, "Overloaded");
        check(500, json!({"error": {"message": "out of memory"}}), "Unavailable");
        check(500, Value::Null, "in doubt");
        check(503, json!({"detail": "busy"}), "Overloaded");
        check(503, Value::Null, "in doubt");
    }

    #[test]
    fn looks() {
        let check = |status, json: Value, expected: &str| {
            let found = match look(&answer(status, json.clone()), &key()) {
                Look::Waiting => "waiting".to_owned(),
                Look::Working(fraction) => format!("working {fraction:?}"),
                Look::Done(_) => "done".to_owned(),
                Look::Ended(error) => name(&error),
                Look::Unclear(_) => "unclear".to_owned(),
                Look::Later(wait) => format!("later {wait:?}"),
            };
            assert_eq!(found, expected, "{status} {json}");
        };
        check(200, json!({"status": "queued"}), "waiting");
        check(
            200,
            json!({"status": "in_progress", "progress": 50}),
            "working Some(0.5)",
        );
        check(
            200,
            json!({"status": "in_progress", "progress": 0}),
            "working None",
        );
        check(200, json!({"status": "completed", "progress": 100}), "done");
        check(
            200,
            json!({"status": "failed", "error": {"code": "oom", "message": "m"}}),
            "Failed",
        );
        check(
            200,
            json!({"status": "failed", "error": {"code": "moderation_blocked"}}),
            "ContentRejected",
        );
        check(200, json!({"status": "deleted"}), "Failed");
        check(404, json!({"detail": "Video not found"}), "Lost");
        check(500, Value::Null, "unclear");
        check(200, Value::Null, "unclear");
    }
}

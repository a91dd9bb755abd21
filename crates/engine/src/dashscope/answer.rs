//! What the service says, and what follows from it.
//!
//! The codes are the service's own, and so is the decision which of them mean that nothing was begun: an error with a code
//! is an answer of the service itself, and it makes no task beside one. A failure without a code comes from something in
//! between, which cannot know.

use crate::{
    EngineError, Secret,
    upstream::{
        http::Answer,
        task::{Done, Look, NotSubmitted},
    },
};

/// What became of a submission.
pub(super) fn submitted(answer: &Answer, key: &Secret) -> Result<String, NotSubmitted> {
    if let (200..300, Some(task)) = (answer.status, answer.text("/output/task_id")) {
        return Ok(task.to_owned());
    }
    let said = said(answer, key);
    match (answer.status, answer.text("/code")) {
        (429, _) => Err(NotSubmitted::NotBegun(overloaded(answer, said))),
        (_, Some(code)) => Err(NotSubmitted::NotBegun(refusal(answer, code, said))),
        (401 | 403 | 404 | 300..400, None) => {
            Err(NotSubmitted::NotBegun(EngineError::OutOfOrder { detail: said }))
        }
        // 408 is written by whoever waited for the request, and by some who waited for the answer.
        (400..500, None) if answer.status != 408 => {
            Err(NotSubmitted::NotBegun(EngineError::Refused { detail: said }))
        }
        _ => Err(NotSubmitted::InDoubt(said)),
    }
}

/// An error with a code, in the answer to a submission.
fn refusal(answer: &Answer, code: &str, detail: String) -> EngineError {
    match (Cause::of(code, answer.text("/message")), answer.status) {
        (Cause::Throttled, _) => overloaded(answer, detail),
        (Cause::Content, _) => content_rejected(),
        (Cause::Operator | Cause::Unread, _) | (Cause::Other, 401 | 403 | 404) => {
            EngineError::OutOfOrder { detail }
        }
        (Cause::Input, _) => EngineError::Refused { detail },
        (Cause::Other, 400..500) => EngineError::Refused { detail },
        (Cause::Other, _) => EngineError::Unavailable { detail },
    }
}

/// Where a task stands.
pub(super) fn look(answer: &Answer, key: &Secret) -> Look {
    let said = said(answer, key);
    if answer.status == 429 || answer.text("/code").is_some_and(is_throttling) {
        return match answer.retry_after {
            Some(wanted) => Look::Later(wanted),
            None => Look::Unclear(said),
        };
    }
    match (answer.status, answer.text("/output/task_status")) {
        (200..300, Some("PENDING")) => Look::Waiting,
        (200..300, Some("RUNNING" | "SUSPENDED")) => Look::Working(None),
        (200..300, Some("SUCCEEDED")) => match answer.text("/output/video_url") {
            Some(url) => Look::Done(Done {
                url: url.to_owned(),
                actual_prompt: answer.text("/output/actual_prompt").map(str::to_owned),
            }),
            None => Look::Ended(EngineError::Failed {
                detail: "the task succeeded without a clip".to_owned(),
            }),
        },
        (200..300, Some("FAILED")) => Look::Ended(failure(answer, said)),
        (200..300, Some("CANCELED")) => Look::Ended(EngineError::Failed {
            detail: "the task was canceled there".to_owned(),
        }),
        // A task is forgotten after a day.
        (200..300, Some("UNKNOWN")) => Look::Ended(EngineError::Lost {
            detail: "the task is not known there any more".to_owned(),
        }),
        _ => Look::Unclear(said),
    }
}

fn failure(answer: &Answer, detail: String) -> EngineError {
    let message = answer.text("/output/message");
    match answer.text("/output/code").map(|code| Cause::of(code, message)) {
        Some(Cause::Input) => EngineError::Refused { detail },
        Some(Cause::Content) => content_rejected(),
        // The task was begun and has failed; who handed it over again would pay again.
        Some(Cause::Throttled | Cause::Operator | Cause::Unread | Cause::Other) | None => {
            EngineError::Failed { detail }
        }
    }
}

/// What a code is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Throttled,
    Content,
    Input,
    /// Media that it could not read at our URL.
    Unread,
    Operator,
    Other,
}

impl Cause {
    /// Codes are families with members: `Throttling.RateQuota`, `InvalidParameter.DataInspection`.
    fn of(code: &str, message: Option<&str>) -> Cause {
        let content = ["DataInspection", "Inappropriate", "IPInfringement"];
        let operator = ["InvalidApiKey", "AccessDenied", "Arrearage", "ModelNotFound"];
        let input = ["InvalidParameter", "InvalidURL", "BadRequest"];
        let names = |family: &[&str]| family.iter().any(|name| code.contains(name));
        let says = message.unwrap_or_default().to_ascii_lowercase();
        if is_throttling(code) {
            Cause::Throttled
        } else if says.contains("download") && !names(&operator) {
            // Told as a wrong parameter, and in some releases as a failed inspection of it.
            Cause::Unread
        } else if names(&content) {
            Cause::Content
        } else if names(&operator) {
            Cause::Operator
        } else if names(&input) {
            Cause::Input
        } else {
            Cause::Other
        }
    }
}

fn is_throttling(code: &str) -> bool {
    code.starts_with("Throttling")
}

fn overloaded(answer: &Answer, detail: String) -> EngineError {
    EngineError::Overloaded {
        detail,
        retry_after: answer.retry_after,
    }
}

fn content_rejected() -> EngineError {
    EngineError::ContentRejected {
        message: "The prompt, or a medium, was rejected for its content.".to_owned(),
    }
}

/// An answer for the log.
pub(super) fn said(answer: &Answer, key: &Secret) -> String {
    let of = |name: &str| {
        answer
            .text(&format!("/output/{name}"))
            .or_else(|| answer.text(&format!("/{name}")))
            .unwrap_or_default()
    };
    let (code, message) = (of("code"), of("message"));
    let request = answer.text("/request_id").unwrap_or_default();
    let text = match (code, message) {
        ("", "") => format!("status {}, and nothing that could be read", answer.status),
        _ => format!("status {}, {code}: {message} (request {request})", answer.status),
    };
    key.redact(&text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn answer(status: u16, json: Value) -> Answer {
        Answer {
            status,
            retry_after: None,
            json,
        }
    }

    fn key() -> Secret {
        Secret::new("sk-1".to_owned())
    }

    #[test]
    fn submissions() {
        let check = |status, json: Value, expected: &str| {
            let found = match submitted(&answer(status, json.clone()), &key()) {
                Ok(task) => format!("task {task}"),
                Err(NotSubmitted::InDoubt(_)) => "in doubt".to_owned(),
                Err(NotSubmitted::NotBegun(error)) => {
                    let name = format!("{error:?}");
                    name.split([' ', '{']).next().unwrap_or_default().to_owned()
                }
            };
            assert_eq!(found, expected, "{status} {json}");
        };
        let code = |code: &str| json!({"request_id": "r", "code": code, "message": "sk-1 is no key"});
        check(
            200,
            json!({"request_id": "r", "output": {"task_id": "t", "task_status": "PENDING"}}),
            "task t",
        );
        check(200, json!({"request_id": "r", "output": {}}), "in doubt");
        check(200, Value::Null, "in doubt");
        check(200, json!({"output": {"task_id": ""}}), "in doubt");
        check(400, code("InvalidParameter"), "Refused");
        check(400, code("InvalidParameter.DataInspection"), "ContentRejected");
        let unread = json!({"code": "InvalidParameter", "message": "Failed to download https://x/a.mp4"});
        check(400, unread, "OutOfOrder");
        check(400, code("DataInspectionFailed"), "ContentRejected");
        check(400, code("Arrearage"), "OutOfOrder");
        check(400, code("Strange"), "Refused");
        check(400, Value::Null, "Refused");
        check(401, code("InvalidApiKey"), "OutOfOrder");
        check(403, code("AccessDenied"), "OutOfOrder");
        check(403, code("AccessDenied.Unpurchased"), "OutOfOrder");
        check(404, code("ModelNotFound"), "OutOfOrder");
        check(404, Value::Null, "OutOfOrder");
        check(302, Value::Null, "OutOfOrder");
        check(408, Value::Null, "in doubt");
        check(429, code("Throttling.RateQuota"), "Overloaded");
        check(429, Value::Null, "Overloaded");
        check(400, code("Throttling.AllocationQuota"), "Overloaded");
        check(500, code("InternalError"), "Unavailable");
        check(500, Value::Null, "in doubt");
        check(502, Value::Null, "in doubt");
        check(504, json!([]), "in doubt");
    }

    #[test]
    fn looks() {
        let check = |status, json: Value, expected: &str| {
            let found = match look(&answer(status, json.clone()), &key()) {
                Look::Waiting => "waiting".to_owned(),
                Look::Working(_) => "working".to_owned(),
                Look::Done(done) => format!("done {} {:?}", done.url, done.actual_prompt),
                Look::Ended(error) => {
                    let name = format!("{error:?}");
                    name.split([' ', '{']).next().unwrap_or_default().to_owned()
                }
                Look::Unclear(_) => "unclear".to_owned(),
                Look::Later(wait) => format!("later {wait:?}"),
            };
            assert_eq!(found, expected, "{status} {json}");
        };
        let status = |status: &str| json!({"output": {"task_id": "t", "task_status": status}});
        check(200, status("PENDING"), "waiting");
        check(200, status("RUNNING"), "working");
        check(200, status("CANCELED"), "Failed");
        check(200, status("UNKNOWN"), "Lost");
        check(200, status("SUCCEEDED"), "Failed");
        check(200, status("DANCING"), "unclear");
        check(500, status("FAILED"), "unclear");
        check(404, Value::Null, "unclear");
        check(401, json!({"code": "InvalidApiKey", "message": "x"}), "unclear");
        check(429, json!({"code": "Throttling", "message": "x"}), "unclear");
        let done = |prompt: Value| json!({"output": {"task_status": "SUCCEEDED", "video_url": "http://v", "actual_prompt": prompt}});
        check(200, done(Value::Null), "done http://v None");
        check(200, done(json!("p")), "done http://v Some(\"p\")");
        let failed = |code: &str| json!({"output": {"task_status": "FAILED", "code": code, "message": "m"}});
        check(200, failed("InvalidParameter"), "Refused");
        check(200, failed("DataInspectionFailed"), "ContentRejected");
        check(200, failed("InternalError.Timeout"), "Failed");
        check(200, failed("Throttling"), "Failed");
        let later = Answer {
            retry_after: Some(Duration::from_secs(7)),
            ..answer(429, Value::Null)
        };
        assert!(matches!(look(&later, &key()), Look::Later(wait) if wait.as_secs() == 7));
    }

    #[test]
    fn the_log_sees_no_key() {
        let refused = answer(
            401,
            json!({"code": "InvalidApiKey", "message": "sk-1 is no key", "request_id": "r"}),
        );
        assert_eq!(
            said(&refused, &key()),
            "status 401, InvalidApiKey: [key] is no key (request r)"
        );
        let silent = answer(502, Value::Null);
        assert_eq!(
            said(&silent, &key()),
            "status 502, and nothing that could be read"
        );
    }
}

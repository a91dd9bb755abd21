//! One try of one delivery: the payload, the request, and what the answer means.

use std::time::Instant;

use kinora_domain::{Timestamp, webhook::next_try};
use kinora_media::fetch::{FetchError, guard};
use kinora_store::{DueDelivery, Secrets, Try, TryOutcome, Verdict};
use reqwest::{Method, Response, header};

use super::{Sender, refusal, sign};
use crate::http::{webhooks::signing_secret, wire::webhook_payload};

/// How much of an answer is kept for the log, in bytes.
const ANSWER_BYTES_MAX: usize = 1024;
/// How long an endpoint is left alone that asks for less without saying for how long.
const HOLD_MS: u64 = 30_000;
/// The longest that an endpoint may ask to be left alone.
const HOLD_MS_MAX: u64 = 24 * 3600 * 1000;

/// The status that says: never again.
const GONE: u16 = 410;

/// An answer, as far as it matters.
struct Answered {
    status: u16,
    text: String,
    retry_after_ms: Option<u64>,
}

impl Sender {
    /// Sends a delivery once. An error means that nothing was sent.
    pub(super) async fn attempt(&self, delivery: &DueDelivery) -> kinora_store::Result<TryOutcome> {
        let at = (self.0.clock)();
        let secrets = match delivery.secrets {
            Some(Secrets { current, previous }) => {
                let previous = previous.filter(|(_, until)| *until > at);
                [Some(current), previous.map(|(secret, _)| secret)]
            }
            None => [
                Some(signing_secret(&*self.0.store, delivery.account).await?),
                None,
            ],
        };
        let secrets: Vec<[u8; 32]> = secrets.into_iter().flatten().collect();
        let body = webhook_payload(delivery, &self.links(at));
        let (id, timestamp) = (delivery.id.to_string(), at.unix_seconds());
        let signature = sign(&secrets, &id, timestamp, &body);

        let started = Instant::now();
        let sending = self.send(&delivery.url, body, &id, timestamp, &signature);
        let timeout = self.0.timeout;
        let answered = match tokio::time::timeout(timeout, sending).await {
            Ok(answered) => answered,
            Err(_) => Err(format!("There was no answer within {} s.", timeout.as_secs_f32())),
        };
        let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(judge(answered, at, latency_ms, delivery.failed, rand::random()))
    }

    async fn send(
        &self,
        url: &str,
        body: Vec<u8>,
        id: &str,
        timestamp: i64,
        signature: &str,
    ) -> Result<Answered, String> {
        // What was allowed when the endpoint was made may no longer be.
        if let Some(problem) = self.0.targets.problem(url) {
            return Err(refusal(problem));
        }
        let url = guard::parse(url).map_err(refusal)?;
        let client = &self.0.client;
        let request = client.request(Method::POST, &url).map_err(refusal)?;
        let request = request
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(body);
        let response = client.send(request).await.map_err(|error| match error {
            FetchError::Url(problem) => refusal(problem),
            _ => "It cannot be reached.".to_owned(),
        })?;
        let retry_after_ms = retry_after_ms(&response, (self.0.clock)());
        Ok(Answered {
            status: response.status().as_u16(),
            text: beginning(response).await,
            retry_after_ms,
        })
    }
}

/// The first bytes of an answer. What breaks off is kept as far as it came: the status has been said.
async fn beginning(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_BYTES_MAX
        && let Ok(Some(chunk)) = response.chunk().await
    {
        let room = ANSWER_BYTES_MAX - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    // SQLite keeps a NUL in a text, but not everything that reads it does.
    String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}")
}

/// Seconds, or a date.
fn retry_after_ms(response: &Response, now: Timestamp) -> Option<u64> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds.saturating_mul(1000));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let ms = date.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis();
    Some(Timestamp(i64::try_from(ms).ok()?).ms_since(now))
}

/// What an answer, or the want of one, means for the delivery and its endpoint. `failed` tries went before.
fn judge(
    answered: Result<Answered, String>,
    at: Timestamp,
    latency_ms: u64,
    failed: u32,
    jitter: f64,
) -> TryOutcome {
    let (status, answer, asked_ms) = match &answered {
        Ok(Answered {
            status,
            text,
            retry_after_ms,
        }) => (Some(*status), text.clone(), *retry_after_ms),
        Err(_) => (None, String::new(), None),
    };
    let error = match (&answered, status) {
        (Err(reason), _) => Some(reason.clone()),
        (Ok(_), Some(200..300)) => None,
        (Ok(_), Some(status @ 300..400)) => {
            Some(format!("It answered {status}; redirects are not followed."))
        }
        (Ok(_), Some(status)) => Some(format!("It answered {status}.")),
        (Ok(_), None) => None,
    };
    // Too many requests, bad gateway, gateway timeout.
    let asks_for_less = matches!(status, Some(429 | 502 | 504));
    let hold_ms = match asked_ms {
        Some(asked_ms) => Some(asked_ms),
        None if asks_for_less => Some(HOLD_MS),
        None => None,
    };
    let hold_until = hold_ms
        .filter(|_| error.is_some())
        .map(|ms| at.plus_ms(ms.min(HOLD_MS_MAX)));
    let verdict = match (&error, next_try(failed.saturating_add(1), at, jitter)) {
        (None, _) => Verdict::Delivered,
        _ if status == Some(GONE) => Verdict::Gone,
        (Some(_), Some(next)) => Verdict::Again(next.max(hold_until.unwrap_or(next))),
        (Some(_), None) => Verdict::GivenUp,
    };
    TryOutcome {
        tried: Try {
            at,
            latency_ms,
            status,
            answer,
            error,
            next_try_at: None,
        },
        verdict,
        hold_until,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged() {
        let at = Timestamp(1000);
        let later = |ms| Timestamp(1000 + ms);
        let check = |answer: Result<(u16, Option<u64>), &str>, failed, verdict, hold: Option<i64>| {
            let answered = match answer {
                Ok((status, retry_after_ms)) => Ok(Answered {
                    status,
                    text: "said".to_owned(),
                    retry_after_ms,
                }),
                Err(reason) => Err(reason.to_owned()),
            };
            let outcome = judge(answered, at, 5, failed, 0.5);
            assert_eq!(outcome.verdict, verdict, "{answer:?}");
            assert_eq!(outcome.hold_until, hold.map(later), "{answer:?}");
            let is_success = verdict == Verdict::Delivered;
            assert_eq!(outcome.tried.error.is_none(), is_success, "{answer:?}");
        };
        check(Ok((200, None)), 0, Verdict::Delivered, None);
        check(Ok((204, Some(5000))), 9, Verdict::Delivered, None);
        check(Ok((500, None)), 0, Verdict::Again(later(5000)), None);
        check(Ok((302, None)), 1, Verdict::Again(later(300_000)), None);
        check(Ok((404, None)), 9, Verdict::GivenUp, None);
        check(Ok((410, None)), 0, Verdict::Gone, None);
        check(Ok((410, None)), 9, Verdict::Gone, None);
        check(Err("It cannot be reached."), 0, Verdict::Again(later(5000)), None);
        check(Ok((429, None)), 0, Verdict::Again(later(30_000)), Some(30_000));
        check(Ok((502, None)), 1, Verdict::Again(later(300_000)), Some(30_000));
        check(
            Ok((429, Some(60_000))),
            0,
            Verdict::Again(later(60_000)),
            Some(60_000),
        );
        check(
            Ok((503, Some(60_000))),
            0,
            Verdict::Again(later(60_000)),
            Some(60_000),
        );
        check(
            Ok((429, Some(u64::MAX))),
            0,
            Verdict::Again(later(86_400_000)),
            Some(86_400_000),
        );
    }
}

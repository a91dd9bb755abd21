//! Webhooks on the wire: endpoints, the log of what they were told, and the payload itself.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kinora_domain::{Generation, Phase};
use kinora_store::{Delivery, DeliveryStatus, DueDelivery, Endpoint, EndpointChange, Page, Try};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    account::Usage,
    echo::Input,
    json::JsonMembers,
    members::Members as _,
    request::FieldError,
    response::{End, Links, VideoData},
    schema,
    status::QueueState,
};

/// The largest payload, in bytes.
const PAYLOAD_BYTES_MAX: usize = 20_000;
/// The longest description, in characters.
const DESCRIPTION_CHARS_MAX: usize = 500;
/// The event that is sent to try an endpoint.
const TEST_EVENT: &str = "webhook.test";

/// The events that an endpoint can be told of.
pub(super) const EVENTS: [&str; 5] = [
    "task.created",
    "task.started",
    "task.completed",
    "task.failed",
    "task.canceled",
];

fn event_type(phase: Phase) -> &'static str {
    match phase {
        Phase::Queued => "task.created",
        Phase::Running => "task.started",
        Phase::Succeeded => "task.completed",
        Phase::Failed => "task.failed",
        Phase::Canceled => "task.canceled",
    }
}

// ---- what is asked for ------------------------------------------------------------------------------------------

/// An endpoint to be made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEndpoint {
    /// Where it is: https, public, without redirects.
    #[schema(format = "uri", max_length = 8192)]
    pub url: String,
    /// What it is told of; empty or absent is everything.
    #[schema(schema_with = schema::webhook_events, required = false)]
    pub events: Option<Vec<String>>,
    /// For people.
    #[schema(max_length = 500, nullable = false)]
    pub description: Option<String>,
    /// Whether it is told anything; true unless it is said.
    #[schema(nullable = false)]
    pub enabled: Option<bool>,
}

/// What of an endpoint is to be different; what is absent stays.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangedEndpoint {
    /// Where it is: https, public, without redirects.
    #[schema(format = "uri", max_length = 8192, nullable = false)]
    pub url: Option<String>,
    /// What it is told of; empty is everything.
    #[schema(schema_with = schema::webhook_events, required = false)]
    pub events: Option<Vec<String>>,
    /// For people.
    #[schema(max_length = 500, nullable = false)]
    pub description: Option<String>,
    /// Whether it is told anything. What was still to be told when it was disabled is told when it is enabled again.
    #[schema(nullable = false)]
    pub enabled: Option<bool>,
}

/// Reads an endpoint's members out of a body, and everything that is wrong with their values.
pub(in crate::http) fn endpoint_change(members: &mut JsonMembers) -> (EndpointChange, Vec<FieldError>) {
    let mut problems = Vec::new();
    let events = members.texts("events").map(|words| {
        let mut events = Vec::new();
        for (index, word) in words.iter().enumerate() {
            match Phase::ALL.into_iter().find(|phase| event_type(*phase) == word) {
                Some(phase) if events.contains(&phase) => {}
                Some(phase) => events.push(phase),
                None => problems.push(FieldError {
                    field: format!("events[{index}]"),
                    message: format!(
                        "is {:?}; one of {} is taken",
                        word.chars().take(40).collect::<String>(),
                        EVENTS.join(", ")
                    ),
                }),
            }
        }
        events
    });
    let description = members.text("description");
    let chars = description.as_deref().unwrap_or_default().chars().count();
    if chars > DESCRIPTION_CHARS_MAX {
        problems.push(FieldError {
            field: "description".to_owned(),
            message: format!("has {chars} characters; at most {DESCRIPTION_CHARS_MAX} are taken"),
        });
    }
    let change = EndpointChange {
        url: members.text("url"),
        events,
        description,
        enabled: members.flag("enabled"),
        secret: None,
    };
    problems.extend(members.unknown());
    (change, problems)
}

// ---- what is answered -------------------------------------------------------------------------------------------

/// Where a workspace is told what becomes of its generations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EndpointView {
    /// Its id.
    #[schema(schema_with = schema::endpoint_id)]
    pub id: String,
    /// Where it is.
    #[schema(format = "uri")]
    pub url: String,
    /// What it is told of; empty is everything.
    #[schema(schema_with = schema::webhook_events)]
    pub events: Vec<&'static str>,
    /// For people.
    pub description: String,
    /// Whether it is told anything.
    pub enabled: bool,
    /// Why the server disabled it; null while it has not.
    #[schema(schema_with = schema::nullable_text, required = true)]
    pub disabled_reason: Option<&'static str>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// What signs its deliveries: shown when it is made and when it is rotated, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::webhook_secret, required = false)]
    pub secret: Option<String>,
}

impl EndpointView {
    /// An endpoint, without its secret.
    pub fn new(endpoint: &Endpoint) -> EndpointView {
        let Endpoint {
            id,
            account: _,
            url,
            events,
            description,
            enabled,
            gone,
            secrets: _,
            created_at,
        } = endpoint;
        EndpointView {
            id: id.to_string(),
            url: url.clone(),
            events: events.iter().map(|phase| event_type(*phase)).collect(),
            description: description.clone(),
            enabled: *enabled,
            disabled_reason: gone.then_some("It answered 410 Gone."),
            created_at: created_at.to_string(),
            secret: None,
        }
    }

    /// An endpoint, with its secret.
    pub fn with_secret(endpoint: &Endpoint) -> EndpointView {
        EndpointView {
            secret: Some(secret_text(endpoint.secrets.current)),
            ..EndpointView::new(endpoint)
        }
    }
}

/// A workspace's endpoints, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EndpointList {
    /// The endpoints.
    pub data: Vec<EndpointView>,
}

/// What signs the deliveries to the `webhook_url` of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SigningSecretView {
    /// The secret.
    #[schema(schema_with = schema::webhook_secret)]
    pub secret: String,
}

impl SigningSecretView {
    /// A secret, as shown.
    pub fn new(secret: [u8; 32]) -> SigningSecretView {
        SigningSecretView {
            secret: secret_text(secret),
        }
    }
}

/// As Standard Webhooks writes secrets.
fn secret_text(secret: [u8; 32]) -> String {
    format!("whsec_{}", BASE64_STANDARD.encode(secret))
}

/// A delivery that was queued by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueuedDelivery {
    /// Its id, which is its `webhook-id` too.
    #[schema(schema_with = schema::delivery_id)]
    pub id: String,
}

/// One event on its way to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeliveryView {
    /// Its id, which is its `webhook-id` too: the same over all tries.
    #[schema(schema_with = schema::delivery_id)]
    pub id: String,
    /// What it tells.
    #[serde(rename = "type")]
    #[schema(example = "task.completed")]
    pub event_type: &'static str,
    /// The generation it tells of; null in a test.
    #[schema(schema_with = schema::nullable_text, required = true)]
    pub generation_id: Option<String>,
    /// What has become of it: `dropped` is one whose endpoint is gone, `given_up` one whose last try failed.
    #[schema(schema_with = schema::delivery_statuses)]
    pub status: &'static str,
    /// When that happened of which it tells.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it is tried next; null once it is not.
    #[schema(schema_with = schema::nullable_text, required = true)]
    pub next_try_at: Option<String>,
    /// What came of the tries so far.
    pub tries: Vec<TryView>,
}

/// What came of one try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TryView {
    /// When it was made.
    #[schema(format = DateTime)]
    pub at: String,
    /// The HTTP status; null without an answer.
    #[schema(schema_with = schema::nullable_status, required = true)]
    pub status: Option<u16>,
    /// How long it took.
    #[schema(minimum = 0)]
    pub latency_ms: u64,
    /// The first bytes of the answer.
    pub answer: String,
    /// Why it failed; null if it did not.
    #[schema(schema_with = schema::nullable_text, required = true)]
    pub error: Option<String>,
    /// When the next one was to be made.
    #[schema(schema_with = schema::nullable_text, required = true)]
    pub next_try_at: Option<String>,
}

impl DeliveryView {
    fn new(delivery: &Delivery) -> DeliveryView {
        let Delivery {
            id,
            position: _,
            event,
            created_at,
            status,
            next_try_at,
            tries,
        } = delivery;
        DeliveryView {
            id: id.to_string(),
            event_type: event.map_or(TEST_EVENT, |(_, phase)| event_type(phase)),
            generation_id: event.map(|(generation, _)| generation.to_string()),
            status: match status {
                DeliveryStatus::Pending => "pending",
                DeliveryStatus::Delivered => "delivered",
                DeliveryStatus::GivenUp => "given_up",
                DeliveryStatus::Dropped => "dropped",
            },
            created_at: created_at.to_string(),
            next_try_at: next_try_at.map(|at| at.to_string()),
            tries: tries.iter().map(TryView::new).collect(),
        }
    }
}

impl TryView {
    fn new(tried: &Try) -> TryView {
        let Try {
            at,
            latency_ms,
            status,
            answer,
            error,
            next_try_at,
        } = tried;
        TryView {
            at: at.to_string(),
            status: *status,
            latency_ms: *latency_ms,
            answer: answer.clone(),
            error: error.clone(),
            next_try_at: next_try_at.map(|at| at.to_string()),
        }
    }
}

/// One page of an endpoint's deliveries, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeliveryList {
    /// The deliveries.
    pub data: Vec<DeliveryView>,
    /// Whether there are older ones.
    pub has_more: bool,
    /// What to send as `cursor` for the next page.
    #[schema(schema_with = schema::nullable_text, required = true)]
    pub next_cursor: Option<String>,
}

impl DeliveryList {
    /// A page, as shown.
    pub fn new(page: &Page<Delivery>) -> DeliveryList {
        let Page { items, has_more } = page;
        let next_cursor = items.last().filter(|_| *has_more);
        DeliveryList {
            data: items.iter().map(DeliveryView::new).collect(),
            has_more: *has_more,
            next_cursor: next_cursor.map(|last| last.position.to_string()),
        }
    }
}

// ---- what is told -----------------------------------------------------------------------------------------------

/// The body of a delivery.
#[derive(Debug, Serialize)]
struct Payload<'a> {
    #[serde(rename = "type")]
    event_type: &'static str,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prediction: Option<&'a Prediction>,
}

/// A generation, as it is told of.
#[derive(Debug, Serialize)]
struct Prediction {
    id: String,
    state: &'static str,
    status: QueueState,
    model: &'static str,
    input: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_truncated: Option<bool>,
    data: Option<VideoData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_removed: Option<bool>,
    usage: Usage,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl Prediction {
    /// What a generation had become when it was `phase`, which it may have left since.
    fn new(generation: &Generation, phase: Phase, links: &Links<'_>) -> Prediction {
        let End { data, code, message } = match phase.is_terminal() {
            true => End::of(generation, links),
            false => End::default(),
        };
        let usage = match phase.is_terminal() {
            true => generation.usage,
            false => generation.held,
        };
        let input = serde_json::to_value(Input::new(generation.model, &generation.spec));
        Prediction {
            id: generation.id.to_string(),
            state: phase.as_str(),
            status: phase.into(),
            model: generation.model.as_str(),
            input: match input {
                Ok(Value::Object(input)) => input,
                _ => Map::new(),
            },
            input_truncated: None,
            data,
            data_removed: (phase.is_terminal() && generation.media_removed).then_some(true),
            usage: usage.into(),
            code,
            message,
        }
    }

    /// Leaves out the next of what may be long; false when nothing is left to leave out.
    fn shorten(&mut self) -> bool {
        const LONG: [&str; 8] = [
            "reference_image_urls",
            "video_refs",
            "image_url",
            "end_image_url",
            "video_url",
            "reference_image_url",
            "audio_url",
            "negative_prompt",
        ];
        self.input_truncated = Some(true);
        // The prompt that was used is as long as the one that was sent: what is too long for one place is so for both.
        let used = self.data.as_mut().and_then(|data| data.actual_prompt.take());
        let sent = self.input.shift_remove("prompt");
        used.is_some() || sent.is_some() || LONG.iter().any(|name| self.input.shift_remove(*name).is_some())
    }
}

/// The body of a delivery, as JSON of at most [`PAYLOAD_BYTES_MAX`]: input that is too long for it is left out.
pub fn webhook_payload(delivery: &DueDelivery, links: &Links<'_>) -> Vec<u8> {
    let mut prediction = delivery
        .event
        .as_ref()
        .map(|(generation, phase)| (Prediction::new(generation, *phase, links), event_type(*phase)));
    loop {
        let payload = Payload {
            event_type: prediction.as_ref().map_or(TEST_EVENT, |(_, event)| event),
            timestamp: delivery.created_at.to_string(),
            endpoint: prediction.is_none().then(|| delivery.endpoint.to_string()),
            prediction: prediction.as_ref().map(|(prediction, _)| prediction),
        };
        let body = serde_json::to_vec(&payload).expect("a payload is made of maps with text keys");
        let shortened = match &mut prediction {
            Some((prediction, _)) if body.len() > PAYLOAD_BYTES_MAX => prediction.shorten(),
            Some(_) | None => false,
        };
        if !shortened {
            return body;
        }
    }
}

//! The operations on webhook endpoints.

use serde_json::json;
use utoipa::openapi::{Response, path::Operation};

use super::Call;
use crate::http::{
    openapi::parts::{cursor, empty_answer, json_answer, json_body, limit, path, refer},
    wire::{
        ChangedEndpoint, DeliveryList, EndpointList, EndpointView, NewEndpoint, QueuedDelivery,
        SigningSecretView, schema,
    },
};

const WEBHOOKS: &str = "Webhooks";

fn endpoint_id() -> utoipa::openapi::path::Parameter {
    path("id", "The endpoint.", schema::endpoint_id())
}

fn endpoint(doc: &str) -> Response {
    json_answer(doc, refer::<EndpointView>()).build()
}

fn queued() -> (u16, Response) {
    let answer = json_answer("It is queued.", refer::<QueuedDelivery>());
    (202, answer.build())
}

pub(super) fn list_webhooks() -> Operation {
    Call {
        name: "list_webhooks",
        tag: WEBHOOKS,
        summary: "List the endpoints",
        parameters: Vec::new(),
        body: None,
        answers: vec![(
            200,
            json_answer("The endpoints.", refer::<EndpointList>()).build(),
        )],
        errors: &[401, 429, 500, 503],
    }
    .keyed()
}

pub(super) fn create_webhook() -> Operation {
    Call {
        name: "create_webhook",
        tag: WEBHOOKS,
        summary: "Make an endpoint; its secret is shown here only",
        parameters: Vec::new(),
        body: Some(json_body::<NewEndpoint>(json!({
            "url": "https://example.com/kinora",
            "events": ["task.completed", "task.failed"],
        }))),
        answers: vec![(201, endpoint("The endpoint, with its secret."))],
        errors: &[400, 401, 403, 409, 413, 415, 422, 429, 500, 503],
    }
    .keyed()
}

pub(super) fn get_signing_secret() -> Operation {
    Call {
        name: "get_signing_secret",
        tag: WEBHOOKS,
        summary: "Read the secret that signs what is sent to the `webhook_url` of requests",
        parameters: Vec::new(),
        body: None,
        answers: vec![(
            200,
            json_answer("The secret.", refer::<SigningSecretView>()).build(),
        )],
        errors: &[401, 403, 429, 500, 503],
    }
    .keyed()
}

pub(super) fn get_webhook() -> Operation {
    Call {
        name: "get_webhook",
        tag: WEBHOOKS,
        summary: "Read an endpoint",
        parameters: vec![endpoint_id()],
        body: None,
        answers: vec![(200, endpoint("The endpoint."))],
        errors: &[401, 404, 429, 500, 503],
    }
    .keyed()
}

pub(super) fn change_webhook() -> Operation {
    Call {
        name: "change_webhook",
        tag: WEBHOOKS,
        summary: "Change an endpoint; what is absent stays as it is",
        parameters: vec![endpoint_id()],
        body: Some(json_body::<ChangedEndpoint>(json!({"enabled": true}))),
        answers: vec![(200, endpoint("The endpoint, as it is now."))],
        errors: &[400, 401, 403, 404, 413, 415, 422, 429, 500, 503],
    }
    .keyed()
}

pub(super) fn delete_webhook() -> Operation {
    Call {
        name: "delete_webhook",
        tag: WEBHOOKS,
        summary: "Remove an endpoint; what it was still to be told is dropped",
        parameters: vec![endpoint_id()],
        body: None,
        answers: vec![(204, empty_answer("It is gone.").build())],
        errors: &[401, 403, 404, 429, 500, 503],
    }
    .keyed()
}

pub(super) fn test_webhook() -> Operation {
    Call {
        name: "test_webhook",
        tag: WEBHOOKS,
        summary: "Send a test event",
        parameters: vec![endpoint_id()],
        body: None,
        answers: vec![queued()],
        errors: &[401, 403, 404, 409, 429, 500, 503],
    }
    .keyed()
}

pub(super) fn rotate_webhook_secret() -> Operation {
    Call {
        name: "rotate_webhook_secret",
        tag: WEBHOOKS,
        summary: "Replace the secret; the one before signs beside it for a day",
        parameters: vec![endpoint_id()],
        body: None,
        answers: vec![(200, endpoint("The endpoint, with its new secret."))],
        errors: &[401, 403, 404, 429, 500, 503],
    }
    .keyed()
}

pub(super) fn list_webhook_deliveries() -> Operation {
    Call {
        name: "list_webhook_deliveries",
        tag: WEBHOOKS,
        summary: "List what the endpoint was and is to be told, newest first",
        parameters: vec![endpoint_id(), limit(), cursor("^([+-]?[0-9]{1,18})?$")],
        body: None,
        answers: vec![(200, json_answer("A page.", refer::<DeliveryList>()).build())],
        errors: &[400, 401, 404, 422, 429, 500, 503],
    }
    .keyed()
}

pub(super) fn retry_webhook_delivery() -> Operation {
    Call {
        name: "retry_webhook_delivery",
        tag: WEBHOOKS,
        summary: "Send a delivery again, whatever has become of it",
        parameters: vec![
            endpoint_id(),
            path("delivery_id", "The delivery.", schema::delivery_id()),
        ],
        body: None,
        answers: vec![queued()],
        errors: &[401, 403, 404, 409, 429, 500, 503],
    }
    .keyed()
}

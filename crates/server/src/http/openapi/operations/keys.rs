//! The operations on API keys.

use serde_json::json;
use utoipa::openapi::path::Operation;

use super::Call;
use crate::http::{
    openapi::parts::{empty_answer, json_answer, json_body, path, refer},
    wire::{KeyList, KeyView, NewKey, schema},
};

const KEYS: &str = "Keys";

pub(super) fn list_keys() -> Operation {
    Call {
        name: "list_keys",
        tag: KEYS,
        summary: "List the workspace's keys, without their secrets",
        parameters: Vec::new(),
        body: None,
        answers: vec![(200, json_answer("The keys.", refer::<KeyList>()).build())],
        errors: &[401, 429, 500, 503],
    }
    .keyed()
}

pub(super) fn create_key() -> Operation {
    Call {
        name: "create_key",
        tag: KEYS,
        summary: "Make a key; its secret is shown here only",
        parameters: Vec::new(),
        body: Some(json_body::<NewKey>(json!({"name": "the shop", "scope": "full"}))),
        answers: vec![(
            201,
            json_answer("The key, with its secret.", refer::<KeyView>()).build(),
        )],
        errors: &[400, 401, 403, 409, 413, 415, 422, 429, 500, 503],
    }
    .keyed()
}

pub(super) fn revoke_key() -> Operation {
    Call {
        name: "revoke_key",
        tag: KEYS,
        summary: "Revoke a key, at once; not the one that asks",
        parameters: vec![path("id", "The key.", schema::key_id())],
        body: None,
        answers: vec![(204, empty_answer("It is revoked, now or since before.").build())],
        errors: &[401, 403, 404, 409, 429, 500, 503],
    }
    .keyed()
}

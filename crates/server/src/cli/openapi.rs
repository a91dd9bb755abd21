//! `kinora openapi`: the description of the API, as the server itself serves it.

use std::io::{Write, stdout};

use super::failure::{Failure, Outcome, failed};
use crate::http;

pub(super) fn run() -> Outcome {
    let mut text = http::openapi::document()
        .to_pretty_json()
        .map_err(failed("the document cannot be written"))?;
    text.push('\n');
    stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::failed(format!("cannot write: {error}")))
}

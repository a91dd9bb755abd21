//! `kinora openapi`: the description of the API, as the server itself serves it.

use super::{
    failure::{Outcome, failed},
    print::print_line,
};
use crate::http;

pub(super) fn run() -> Outcome {
    let text = http::openapi::document()
        .to_pretty_json()
        .map_err(failed("the document cannot be written"))?;
    print_line(text)
}

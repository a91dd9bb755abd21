//! `cargo xtask openapi`: writes docs/openapi.json anew from the server's own types, and after it the clients' types.
//!
//! That the committed document is current is checked by a test of the server, not here.

use std::fs;

use crate::clients::generate;
use crate::failure::Outcome;
use crate::run::{cargo, read, root};

/// Builds the server, asks it for its description, writes that down.
pub(crate) fn run() -> Outcome {
    let document = read(&mut cargo([
        "run",
        "--quiet",
        "--package",
        "kinora-server",
        "--bin",
        "kinora",
        "--",
        "openapi",
    ]))?;
    let path = root().join("docs/openapi.json");
    if fs::read_to_string(&path).is_ok_and(|current| current == document) {
        println!("{} is current.", path.display());
        return generate::run();
    }
    fs::write(&path, document).map_err(|source| format!("cannot write {}: {source}", path.display()))?;
    println!(
        "{} is new: look at the difference before you commit it.",
        path.display()
    );
    generate::run()
}

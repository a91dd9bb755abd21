//! The rules about whole files: how they begin, how long they are, what documentation must not name.

use crate::tidy::Violation;
use crate::tidy::tree::Tree;

const LINES_MAX: usize = 1000;

/// Files that may be longer, and why. Tables may be long; decisions may not.
const LONG: &[(&str, &str)] = &[(
    "crates/domain/tests/rules.rs",
    "every rule of the contract, both ways, as one table of cases",
)];

/// Folders that exist on somebody's machine only. Written in parts, so that this file may be read too.
const MACHINES: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
];

/// Rule S2: each Rust file opens with what it is, why it exists, what it leaves to others.
pub(super) fn doc_head(tree: &Tree) -> Vec<Violation> {
    let headless = tree
        .files
        .iter()
        .filter(|file| file.rust.is_some() && !file.text.starts_with("//! "));
    headless
        .map(|file| Violation {
            path: file.path.clone(),
            line: 1,
            number: "S2",
            sentence: "the file does not open with a `//!` that says what it is".to_owned(),
        })
        .collect()
}

/// Rule S3: a file that doubles its number has a second noun in it.
pub(super) fn length(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.files.iter().filter(|file| file.rust.is_some()) {
        let lines = file.text.lines().count();
        let excused = LONG.iter().any(|(path, _)| *path == file.path);
        if lines > LINES_MAX && !excused {
            let sentence = format!("{lines} lines: which second noun moved in? ({LINES_MAX} are allowed)");
            violations.push(Violation {
                path: file.path.clone(),
                line: LINES_MAX + 1,
                number: "S3",
                sentence,
            });
        }
    }
    violations
}

/// Rule S4: documentation and comments are true on every machine.
pub(super) fn machine_paths(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in &tree.files {
        let text = match &file.rust {
            Some(source) => &source.comments,
            None => &file.text,
        };
        for (index, line) in text.lines().enumerate() {
            if let Some(place) = MACHINES.iter().find(|place| names_folder(line, place)) {
                let sentence = format!("{place} is a folder of one machine");
                violations.push(Violation {
                    path: file.path.clone(),
                    line: index + 1,
                    number: "S4",
                    sentence,
                });
            }
        }
    }
    violations
}

/// Whether an absolute path begins with this folder; `docs/home/x` and `https://host/home/x` do not.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-~}>".contains(c))
    })
}

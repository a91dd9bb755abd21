//! The rules about SQL, which stands in string literals and in migrations.

use crate::tidy::Violation;
use crate::tidy::tree::{File, Tree};

/// How a statement begins; the second word keeps an English sentence from looking like one.
const STATEMENTS: &[(&str, &str)] = &[
    ("SELECT", ""),
    ("INSERT", "INTO"),
    ("INSERT", "OR"),
    ("UPDATE", ""),
    ("DELETE", "FROM"),
    ("CREATE", "TABLE"),
    ("CREATE", "INDEX"),
    ("CREATE", "UNIQUE"),
    ("CREATE", "TRIGGER"),
    ("CREATE", "VIEW"),
    ("DROP", "TABLE"),
    ("ALTER", "TABLE"),
    ("BEGIN", "IMMEDIATE"),
    ("PRAGMA", ""),
];

/// Tables whose rows are history.
const LEDGER: &[&str] = &[
    "ledger",
    "entry",
    "entries",
    "ledger_entry",
    "ledger_entries",
    "credit_entries",
];

/// Rule 4: SQL in a literal, or a migration, outside the store.
pub(super) fn sql_outside_store(tree: &Tree) -> Vec<Violation> {
    let outside = tree
        .files
        .iter()
        .filter(|file| !file.path.starts_with("crates/store/"));
    let mut violations = Vec::new();
    for file in outside.filter(|file| !file.test) {
        let sentence = || "SQL lives in the store only".to_owned();
        if file.path.ends_with(".sql") {
            violations.push(Violation {
                path: file.path.clone(),
                line: 1,
                number: "4",
                sentence: sentence(),
            });
        }
        for (line, text) in live_literals(file) {
            if is_statement(text) {
                violations.push(Violation {
                    path: file.path.clone(),
                    line,
                    number: "4",
                    sentence: sentence(),
                });
            }
        }
    }
    violations
}

/// Rule 8: an entry is written once. Holds for migrations too, whatever a trigger might do.
pub(super) fn ledger_changes(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree
        .files
        .iter()
        .filter(|file| file.path.starts_with("crates/store/") && !file.test)
    {
        let mut texts: Vec<(usize, &str)> = live_literals(file).collect();
        if file.path.ends_with(".sql") {
            texts.extend(
                file.text
                    .lines()
                    .enumerate()
                    .map(|(index, line)| (index + 1, line)),
            );
        }
        for (line, table) in texts
            .into_iter()
            .filter_map(|(line, text)| Some((line, changed_ledger(text)?)))
        {
            let sentence = format!("{table} is a ledger: its rows are never updated or deleted");
            violations.push(Violation {
                path: file.path.clone(),
                line,
                number: "8",
                sentence,
            });
        }
    }
    violations
}

/// String literals of code that is not only for tests.
fn live_literals(file: &File) -> impl Iterator<Item = (usize, &str)> {
    let sources = file.rust.iter();
    sources.flat_map(|source| {
        let literals = source.literals.iter().filter(|(line, _)| !source.is_test(*line));
        literals.map(|(line, text)| (*line, text.as_str()))
    })
}

/// Statements are written in capitals here, sentences are not.
fn is_statement(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next());
    second.is_some_and(|second| {
        STATEMENTS
            .iter()
            .any(|(verb, object)| *verb == first && (object.is_empty() || *object == second))
    })
}

/// The ledger table that a statement changes, if it does.
fn changed_ledger(text: &str) -> Option<&'static str> {
    let text = text.split("--").next().unwrap_or_default();
    let words: Vec<&str> = text
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|w| !w.is_empty())
        .collect();
    words.windows(3).find_map(|window| {
        let table = match [
            window[0].to_uppercase().as_str(),
            window[1].to_uppercase().as_str(),
        ] {
            ["DELETE", "FROM"] => window[2],
            ["UPDATE", _] if window[2].eq_ignore_ascii_case("SET") => window[1],
            _ => return None,
        };
        LEDGER
            .iter()
            .copied()
            .find(|name| name.eq_ignore_ascii_case(table))
    })
}

//! `cargo xtask tidy`: the rules of ARCHITECTURE.md ("What must never be") and of STYLE.md that a program can check.
//!
//! Numbers are those of the two documents: 1 to 20 from the one, S1 … from the other, H for the table of crates.
//! What needs a running system (money, crashes, numbers) is checked by the tests of the crates.

mod arrows;
mod bans;
mod files;
mod literals;
#[cfg(test)]
mod samples;
mod source;
mod tree;

use std::fmt;

use crate::failure::Outcome;
use crate::tidy::tree::Tree;

/// Every rule, in the order of the documents.
const RULES: &[Rule] = &[
    Rule {
        name: "crates use only what the house allows",
        check: arrows::workspace_arrows,
    },
    Rule {
        name: "each kind of dependency has its home",
        check: arrows::foreign_dependencies,
    },
    Rule {
        name: "no features above tensor",
        check: arrows::cargo_features,
    },
    Rule {
        name: "words have their home",
        check: bans::words,
    },
    Rule {
        name: "serde field names live in the wire types",
        check: bans::serde_names,
    },
    Rule {
        name: "SQL lives in the store",
        check: literals::sql_outside_store,
    },
    Rule {
        name: "ledger entries are never changed",
        check: literals::ledger_changes,
    },
    Rule {
        name: "each file says what it is",
        check: files::doc_head,
    },
    Rule {
        name: "files stay readable",
        check: files::length,
    },
    Rule {
        name: "documentation names no machine",
        check: files::machine_paths,
    },
];

/// Reads the work tree, applies every rule, lists what breaks one.
pub(crate) fn run() -> Outcome {
    let tree = Tree::read()?;
    let mut violations: Vec<Violation> = RULES.iter().flat_map(|rule| (rule.check)(&tree)).collect();
    violations.sort();
    for violation in &violations {
        println!("{violation}");
    }
    if !violations.is_empty() {
        return Err(format!("{} places break a rule", violations.len()).into());
    }
    println!(
        "{} rules hold in {} files of {} crates:",
        RULES.len(),
        tree.files.len(),
        tree.packages.len()
    );
    for rule in RULES {
        println!("  {}", rule.name);
    }
    Ok(())
}

struct Rule {
    name: &'static str,
    check: fn(&Tree) -> Vec<Violation>,
}

/// One place that breaks one rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    path: String,
    line: usize,
    number: &'static str,
    sentence: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation {
            path,
            line,
            number,
            sentence,
        } = self;
        write!(out, "{path}:{line}: rule {number}: {sentence}")
    }
}

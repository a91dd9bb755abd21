//! The rules that a word in the code breaks: what may be written where.
//!
//! One table; a row that needs an exception names it together with its reason.

use crate::tidy::Violation;
use crate::tidy::source::{contains_word, line_at};
use crate::tidy::tree::{File, Tree};

/// Words that must not stand in some places.
struct Ban {
    number: &'static str,
    words: &'static [&'static str],
    /// Beginnings of paths where the ban holds; an empty one is everywhere.
    within: &'static [&'static str],
    /// Beginnings of paths where it does not.
    except: &'static [&'static str],
    tests: Tests,
    sentence: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tests {
    /// Tests may do this.
    Free,
    /// Not even tests may.
    Bound,
}

const BANS: &[Ban] = &[
    Ban {
        number: "1",
        words: &[
            "SystemTime",
            "Instant",
            "Local::now",
            "Utc::now",
            "async",
            "thread_rng",
            "std::env",
            "std::fs",
        ],
        within: &["crates/domain/"],
        except: &[],
        tests: Tests::Bound,
        sentence: "the domain is pure: time, seed and ids are arguments, and nothing is waited for",
    },
    Ban {
        number: "3",
        words: &["kinora_engine"],
        within: &["crates/server/src/http/"],
        except: &[],
        tests: Tests::Free,
        sentence: "requests are answered without an engine: the catalogue of offers is built at the start",
    },
    Ban {
        number: "4",
        words: &["StatusCode"],
        within: &["crates/"],
        except: &[
            "crates/server/src/http/",
            // These ask other servers, and must understand what those answer.
            "crates/media/src/fetch",
            "crates/hub/",
            "crates/server/src/cli/",
        ],
        tests: Tests::Free,
        sentence: "status codes are given in server::http only; below it errors know no HTTP",
    },
    Ban {
        number: "4",
        words: &[
            "env::var",
            "env::var_os",
            "env::vars",
            "env::vars_os",
            "option_env!",
            "toml::from_str",
        ],
        within: &["crates/"],
        except: &[
            "crates/server/src/config",
            // The search path is no setting of ours: it is how any program finds another.
            "crates/media/src/toolbox.rs",
        ],
        tests: Tests::Free,
        sentence: "environment and configuration files are read in server::config only",
    },
    Ban {
        number: "4",
        words: &["unsafe"],
        within: &[""],
        except: &["crates/tensor/"],
        tests: Tests::Bound,
        sentence: "unsafe code lives in tensor only",
    },
    Ban {
        number: "4",
        words: &["process::exit", "process::abort"],
        within: &[""],
        except: &["crates/server/src/main.rs"],
        tests: Tests::Bound,
        sentence: "only main ends the process; everything else returns",
    },
    Ban {
        number: "6",
        words: &["std::net", "TcpStream", "UdpSocket", "UnixStream"],
        within: &["crates/tensor/", "crates/wan/"],
        except: &[],
        tests: Tests::Bound,
        sentence: "no network in model code: weights are paths",
    },
    Ban {
        number: "7",
        words: &["cfg(feature", "cfg!(feature", "cfg_attr(feature"],
        within: &[""],
        except: &["crates/tensor/"],
        tests: Tests::Bound,
        sentence: "no cfg(feature) above tensor: what a machine has is found at run time",
    },
    Ban {
        number: "18",
        words: &["Command::new"],
        within: &["crates/"],
        except: &["crates/media/"],
        tests: Tests::Free,
        sentence: "children are started in media only, where the sandbox is",
    },
    Ban {
        number: "S1",
        words: &["todo!", "dbg!", "unimplemented!"],
        within: &[""],
        except: &[],
        tests: Tests::Bound,
        sentence: "unfinished work stays off main",
    },
];

/// Applies the table.
pub(super) fn words(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in &tree.files {
        for ban in BANS.iter().filter(|ban| ban.holds_in(&file.path)) {
            violations.extend(ban.broken_in(file));
        }
        violations.extend(unfinished_comments(file));
    }
    violations
}

impl Ban {
    fn holds_in(&self, path: &str) -> bool {
        let starts = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
        starts(self.within) && !starts(self.except)
    }

    fn broken_in(&self, file: &File) -> Vec<Violation> {
        let Some(source) = &file.rust else {
            return Vec::new();
        };
        let free = |line: usize| self.tests == Tests::Free && (file.test || source.is_test(line));
        let places = self
            .words
            .iter()
            .flat_map(|word| source.lines_with(word).into_iter().map(move |line| (line, word)));
        places
            .filter(|(line, _)| !free(*line))
            .map(|(line, word)| {
                let sentence = format!("`{word}`: {}", self.sentence);
                Violation {
                    path: file.path.clone(),
                    line,
                    number: self.number,
                    sentence,
                }
            })
            .collect()
    }
}

/// Rule S1 for comments: a note that something must be fixed is an issue, not a comment.
fn unfinished_comments(file: &File) -> Vec<Violation> {
    let comments = file
        .rust
        .iter()
        .flat_map(|source| source.comments.lines().enumerate());
    comments
        // The name is put together so that this file does not break its own rule.
        .filter(|(_, comment)| contains_word(comment, concat!("FIX", "ME")) || contains_word(comment, "XXX"))
        .map(|(index, _)| Violation {
            path: file.path.clone(),
            line: index + 1,
            number: "S1",
            sentence: "unfinished work stays off main".to_owned(),
        })
        .collect()
}

/// Where serde may choose names: what clients see, what operators write, and what rows of the store keep as JSON.
const NAMED_BY_SERDE: &[&str] = &[
    "crates/server/src/http/",
    "crates/server/src/config",
    "crates/store/src/rows",
];

/// Rule 4: what a field is called outside is decided where the outside is.
pub(super) fn serde_names(tree: &Tree) -> Vec<Violation> {
    let bound = |file: &&File| {
        let named = NAMED_BY_SERDE.iter().any(|place| file.path.starts_with(place));
        file.path.starts_with("crates/") && !named && !file.test
    };
    let mut violations = Vec::new();
    for file in tree.files.iter().filter(bound) {
        let Some(source) = &file.rust else { continue };
        for (start, _) in source.code.match_indices("serde(") {
            let attribute = source.code[start..].split(']').next().unwrap_or_default();
            let names = ["rename", "rename_all", "rename_all_fields", "alias"];
            let line = line_at(&source.code, start);
            if names.iter().any(|name| contains_word(attribute, name)) && !source.is_test(line) {
                let sentence =
                    "serde names are chosen at the edges only: server::http, server::config, store::rows"
                        .to_owned();
                violations.push(Violation {
                    path: file.path.clone(),
                    line,
                    number: "4",
                    sentence,
                });
            }
        }
    }
    violations
}

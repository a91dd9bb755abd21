//! The rules that Cargo's manifests answer: which crate uses which, and where a kind of dependency may live.
//!
//! The tables are the drawing in ARCHITECTURE.md, written down a second time so that a program can compare.

use crate::tidy::Violation;
use crate::tidy::tree::{Dependency, Kind, Package, Tree};

/// One crate of the house.
struct Room {
    name: &'static str,
    /// The crates of the workspace that it may use.
    uses: &'static [&'static str],
    /// The ones that not even its tests may use.
    never: &'static [&'static str],
    number: &'static str,
    reason: &'static str,
}

const HOUSE: &[Room] = &[
    Room {
        name: "domain",
        uses: &[],
        never: &[
            "store", "media", "tensor", "wan", "engine", "worker", "server", "xtask",
        ],
        number: "1",
        reason: "the domain is pure: it knows no other crate",
    },
    Room {
        name: "store",
        uses: &["domain"],
        never: &[],
        number: "H",
        reason: STORE,
    },
    Room {
        name: "media",
        uses: &[],
        never: SERVICE,
        number: "2",
        reason: MODEL,
    },
    Room {
        name: "tensor",
        uses: &[],
        never: SERVICE,
        number: "2",
        reason: MODEL,
    },
    Room {
        name: "wan",
        uses: &["tensor"],
        never: SERVICE,
        number: "2",
        reason: MODEL,
    },
    Room {
        name: "hub",
        uses: &[],
        never: SERVICE,
        number: "2",
        reason: "who fetches a checkpoint knows neither accounts nor what the checkpoint is for",
    },
    Room {
        name: "engine",
        uses: &["domain", "media", "wan"],
        never: &[],
        number: "H",
        reason: "not in the drawing",
    },
    Room {
        name: "worker",
        uses: &["domain", "store", "media", "engine"],
        never: &["server"],
        number: "H",
        reason: "not in the drawing",
    },
    Room {
        name: "server",
        uses: &["domain", "store", "media", "engine", "worker", "hub"],
        never: &["wan", "tensor"],
        number: "3",
        reason: "no request touches a tensor: the server reaches models through the engine only",
    },
    Room {
        name: "testbucket",
        uses: &[],
        never: SERVICE,
        number: "H",
        reason: "a server for tests stands outside the house",
    },
    Room {
        name: "xtask",
        uses: &[],
        never: &[],
        number: "H",
        reason: "automation stands outside the house",
    },
];
const STORE: &str = "the store keeps what the domain says, and knows nothing else";
const SERVICE: &[&str] = &["domain", "store", "server"];
const MODEL: &str = "models, numbers and media know of no account, credit or request";

/// A kind of dependency and its home.
struct Home {
    names: &'static [&'static str],
    allowed: fn(&str, Kind) -> bool,
    number: &'static str,
    reason: &'static str,
}

const HOMES: &[Home] = &[
    Home {
        names: &["rusqlite", "sqlx", "tokio-postgres", "diesel", "sea-orm"],
        allowed: |package, kind| package == "store" || kind == Kind::Dev,
        number: "4",
        reason: "databases are the store's",
    },
    Home {
        names: &[
            "wgpu",
            "cudarc",
            "ash",
            "vulkano",
            "metal",
            "opencl3",
            "burn",
            "candle-core",
        ],
        allowed: |package, _| package == "tensor",
        number: "4",
        reason: "GPUs are tensor's",
    },
    Home {
        names: &[
            "reqwest",
            "hyper",
            "hyper-util",
            "ureq",
            "tokio",
            "hf-hub",
            "object_store",
        ],
        allowed: |package, _| !["tensor", "wan"].contains(&package),
        number: "6",
        reason: "no network in model code: weights are paths",
    },
    Home {
        names: &["axum", "utoipa"],
        allowed: |package, _| package == "server",
        number: "4",
        reason: "HTTP is the server's",
    },
];

/// What the domain may use from outside; its tests may be stricter than life, so they get two more.
const DOMAIN_USES: &[&str] = &["thiserror"];
const DOMAIN_TESTS_USE: &[&str] = &["insta", "proptest"];

/// Rules 1, 2, 3 and the table of crates.
pub(super) fn workspace_arrows(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in &tree.packages {
        let Some(room) = HOUSE.iter().find(|room| room.name == package.name) else {
            let sentence = format!(
                "{} is a new crate: give it its place in xtask/src/tidy/arrows.rs",
                package.name
            );
            violations.push(at(tree, package, "name", "H", sentence));
            continue;
        };
        for Dependency { name, kind } in &package.dependencies {
            let inside = HOUSE.iter().any(|room| room.name == name);
            let allowed = match kind {
                Kind::Dev => !room.never.contains(&name.as_str()),
                Kind::Normal | Kind::Build => room.uses.contains(&name.as_str()),
            };
            if inside && !allowed && *name != package.name {
                let sentence = format!("{} must not use {name}: {}", room.name, room.reason);
                violations.push(at(tree, package, name, room.number, sentence));
            }
        }
    }
    violations
}

/// Rules 1, 4 and 6, as far as dependencies show them.
pub(super) fn foreign_dependencies(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in &tree.packages {
        for Dependency { name, kind } in &package.dependencies {
            for home in HOMES.iter().filter(|home| home.names.contains(&name.as_str())) {
                if !(home.allowed)(&package.name, *kind) {
                    let sentence = format!("{} must not use {name}: {}", package.name, home.reason);
                    violations.push(at(tree, package, name, home.number, sentence));
                }
            }
            let in_house = HOUSE.iter().any(|room| room.name == name);
            let pure = DOMAIN_USES.contains(&name.as_str())
                || *kind == Kind::Dev && DOMAIN_TESTS_USE.contains(&name.as_str());
            if package.name == "domain" && !in_house && !pure {
                let sentence = format!("domain must not use {name}: no runtime, format, clock or randomness");
                violations.push(at(tree, package, name, "1", sentence));
            }
        }
    }
    violations
}

/// Rule 7: a feature would make two programs out of one.
pub(super) fn cargo_features(tree: &Tree) -> Vec<Violation> {
    let above = tree.packages.iter().filter(|package| package.name != "tensor");
    let declared = above.flat_map(|package| package.features.iter().map(move |feature| (package, feature)));
    declared
        .map(|(package, feature)| {
            let sentence = format!(
                "{} declares the feature {feature}; only tensor may have any",
                package.name
            );
            at(tree, package, feature, "7", sentence)
        })
        .collect()
}

/// The line of the manifest that starts with this name, or the first.
fn at(tree: &Tree, package: &Package, name: &str, number: &'static str, sentence: String) -> Violation {
    let text = tree
        .files
        .iter()
        .find(|file| file.path == package.manifest)
        .map(|file| file.text.as_str());
    let names = [name.to_owned(), format!("kinora-{name}")];
    let starts = |line: &str| {
        let key = line.split(['=', '.', ' ']).next().unwrap_or_default();
        names.iter().any(|name| name == key)
    };
    let line = text
        .unwrap_or_default()
        .lines()
        .position(starts)
        .map_or(1, |index| index + 1);
    Violation {
        path: package.manifest.clone(),
        line,
        number,
        sentence,
    }
}

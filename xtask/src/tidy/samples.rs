//! Tidy's own tests: for each rule a sample that trips it, and a neighbour that does not.

use std::path::Path;

use serde_json::json;

use super::RULES;
use super::tree::{File, Kind, Tree, files, packages};

/// The numbers of the rules that a tree breaks, each once.
fn broken(tree: &Tree) -> Vec<&'static str> {
    let mut numbers: Vec<_> = RULES
        .iter()
        .flat_map(|rule| (rule.check)(tree))
        .map(|violation| violation.number)
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// One Rust file after its doc head.
fn check(path: &str, body: &str, expected: &[&str]) {
    let text = format!("//! A sample.\n{body}\n");
    let tree = Tree {
        packages: Vec::new(),
        files: vec![File::new(path, &text)],
    };
    assert_eq!(broken(&tree), expected, "{path}: {body}");
}

#[test]
fn words_have_their_home() {
    const DOMAIN: &str = "crates/domain/src/spec.rs";
    const STORE: &str = "crates/store/src/lib.rs";
    const HTTP: &str = "crates/server/src/http/error.rs";
    const CONFIG: &str = "crates/server/src/config.rs";
    const WAN: &str = "crates/wan/src/dit.rs";
    const TENSOR: &str = "crates/tensor/src/ops.rs";

    check(DOMAIN, "let now = SystemTime::now();", &["1"]);
    check(DOMAIN, "let now = std::time::Instant::now();", &["1"]);
    check(DOMAIN, "async fn f() {}", &["1"]);
    check(
        DOMAIN,
        "#[cfg(test)] mod tests { fn f() { SystemTime::now(); } }",
        &["1"],
    );
    check(DOMAIN, "// SystemTime is for the caller\nstruct Instantly;", &[]);
    check(STORE, "let now = SystemTime::now();", &[]);

    check(HTTP, "use kinora_engine::Engine;", &["3"]);
    check(
        "crates/server/src/compose/catalog.rs",
        "use kinora_engine::Engine;",
        &[],
    );

    check(STORE, "return StatusCode::NOT_FOUND;", &["4"]);
    check(
        STORE,
        "#[cfg(test)]\nmod tests { fn f() { StatusCode::OK } }",
        &[],
    );
    check(HTTP, "return StatusCode::NOT_FOUND;", &[]);

    check(STORE, "std::env::var(\"HOME\")", &["4"]);
    check(HTTP, "toml::from_str(text)", &["4"]);
    check(HTTP, "env!(\"CARGO_PKG_VERSION\")", &[]);
    check(CONFIG, "std::env::vars_os()", &[]);
    check(
        "crates/store/tests/conformance.rs",
        "std::env::var(\"SLOW\")",
        &[],
    );
    check("xtask/src/run.rs", "std::env::var(\"PATH\")", &[]);

    check(STORE, "unsafe { f() }", &["4"]);
    check("crates/store/tests/conformance.rs", "unsafe { f() }", &["4"]);
    check(STORE, "#![forbid(unsafe_code)] // unsafe", &[]);
    check(TENSOR, "unsafe { f() }", &[]);

    check("crates/server/src/cli/key.rs", "std::process::exit(1)", &["4"]);
    check("crates/server/src/main.rs", "std::process::exit(1)", &[]);

    check(WAN, "std::net::TcpStream::connect(a)", &["6"]);
    check(
        "crates/media/src/fetch.rs",
        "std::net::TcpStream::connect(a)",
        &[],
    );

    check(WAN, "#[cfg(feature = \"gpu\")] fn f() {}", &["7"]);
    check(WAN, "if cfg!(feature = \"gpu\") {}", &["7"]);
    check(WAN, "#[cfg(unix)] fn f() {}", &[]);
    check(TENSOR, "#[cfg(feature = \"gpu\")] fn f() {}", &[]);

    check("crates/engine/src/lib.rs", "Command::new(\"ffmpeg\")", &["18"]);
    check("crates/media/src/ffmpeg.rs", "Command::new(\"ffmpeg\")", &[]);
    check("crates/server/tests/crashes.rs", "Command::new(kinora)", &[]);
    check("crates/server/examples/bench.rs", "Command::new(kinora)", &[]);

    check(STORE, "todo!()", &["S1"]);
    check(STORE, "#[cfg(test)] mod tests { fn f() { dbg!(1); } }", &["S1"]);
    check(STORE, concat!("// FIX", "ME later"), &["S1"]);
    check(STORE, "let todo = \"todo!()\"; // not to be done", &[]);
}

#[test]
fn serde_names_stay_at_the_edges() {
    check(
        "crates/worker/src/lib.rs",
        "#[serde(rename = \"a\")] struct A;",
        &["4"],
    );
    check(
        "crates/worker/src/lib.rs",
        "#[serde(\n    default,\n    rename_all = \"x\",\n)]",
        &["4"],
    );
    check(
        "crates/worker/src/lib.rs",
        "#[serde(default)] struct Rename;",
        &[],
    );
    check(
        "crates/server/src/http/wire/create.rs",
        "#[serde(rename = \"a\")] struct A;",
        &[],
    );
}

#[test]
fn sql_and_the_ledger() {
    const STORE: &str = "crates/store/src/sqlite/ledger.rs";
    const SERVER: &str = "crates/server/src/http/credits.rs";
    check(SERVER, "query(\"SELECT id FROM generation\")", &["4"]);
    check(SERVER, "query(\"\n    INSERT INTO entry VALUES (1)\")", &["4"]);
    check(SERVER, "query(r#\"PRAGMA journal_mode\"#)", &["4"]);
    check(SERVER, "error(\"Select a model from the list\")", &[]);
    check(SERVER, "// SELECT id FROM generation", &[]);
    check(
        SERVER,
        "#[cfg(test)] mod tests { const Q: &str = \"SELECT 1\"; }",
        &[],
    );
    check(STORE, "query(\"SELECT id FROM generation\")", &[]);
    check(STORE, "query(\"UPDATE generation SET status = 1\")", &[]);
    check(STORE, "query(\"UPDATE entry SET amount = 1\")", &["8"]);
    check(
        STORE,
        "query(\"DELETE FROM ledger_entries WHERE id = 1\")",
        &["8"],
    );
    check(STORE, "query(\"DELETE FROM blobs WHERE id = 1\")", &[]);

    let sql = |path: &str, text: &str, expected: &[&str]| {
        let tree = Tree {
            packages: Vec::new(),
            files: vec![File::new(path, text)],
        };
        assert_eq!(broken(&tree), expected, "{path}: {text}");
    };
    sql(
        "crates/store/migrations/0001.sql",
        "CREATE TABLE entry (id TEXT);",
        &[],
    );
    sql(
        "crates/store/migrations/0002.sql",
        "-- DELETE FROM entry would be wrong",
        &[],
    );
    sql("crates/store/migrations/0003.sql", "DELETE FROM entry;", &["8"]);
    sql(
        "crates/worker/src/0001.sql",
        "CREATE TABLE entry (id TEXT);",
        &["4"],
    );
}

#[test]
fn files_read_well() {
    let check = |path: &str, text: &str, expected: &[&str]| {
        let tree = Tree {
            packages: Vec::new(),
            files: vec![File::new(path, text)],
        };
        assert_eq!(broken(&tree), expected, "{path}");
    };
    check("crates/store/src/a.rs", "use std::fmt;\n", &["S2"]);
    check("crates/store/src/a.rs", "/// A function.\nfn f() {}\n", &["S2"]);
    check("crates/store/src/a.rs", "//! What it is.\n", &[]);
    check("docs/a.md", "# No Rust\n", &[]);
    check(
        "crates/store/src/a.rs",
        &format!("//! Long.\n{}", "\n".repeat(999)),
        &[],
    );
    check(
        "crates/store/src/a.rs",
        &format!("//! Long.\n{}", "\n".repeat(1000)),
        &["S3"],
    );
    check("docs/a.md", concat!("Build it in `/wo", "rk/kinora`.\n"), &["S4"]);
    check(
        "docs/a.md",
        "The folder docs/work/kinora, the page https://host/home/kinora.\n",
        &[],
    );
    check(
        "crates/store/src/a.rs",
        concat!("//! See /ho", "me/somebody/notes.\n"),
        &["S4"],
    );
    check(
        "crates/store/src/a.rs",
        concat!("//! A.\nconst A: &str = \"/ro", "ot/.ssh\";\n"),
        &[],
    );
}

#[test]
fn modules_for_tests_are_known_by_their_parents() {
    let texts = [
        ("crates/store/src/lib.rs", "//! A.\n#[cfg(test)]\nmod chaos;\n"),
        (
            "crates/store/src/chaos.rs",
            "//! A.\nfn f() { std::env::var(\"SEED\") }\n",
        ),
        (
            "crates/store/src/chaos/more.rs",
            "//! A.\nfn f() { std::env::var(\"SEED\") }\n",
        ),
        ("crates/store/src/sqlite.rs", "//! A.\n#[cfg(test)]\nmod chaos;\n"),
        (
            "crates/store/src/sqlite/chaos.rs",
            "//! A.\nfn f() { std::env::var(\"SEED\") }\n",
        ),
    ];
    let texts = texts
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .to_vec();
    assert_eq!(
        broken(&Tree {
            packages: Vec::new(),
            files: files(texts)
        }),
        [""; 0]
    );
}

#[test]
fn crates_use_what_the_house_allows() {
    let check = |name: &str, dependency: &str, kind: Kind, expected: &[&str]| {
        let kind = match kind {
            Kind::Normal => None,
            Kind::Dev => Some("dev"),
            Kind::Build => Some("build"),
        };
        let metadata = json!({ "packages": [{
            "name": name,
            "manifest_path": "/top/crates/x/Cargo.toml",
            "features": {},
            "dependencies": [{ "name": dependency, "kind": kind }],
        }] });
        let tree = Tree {
            packages: packages(&metadata, Path::new("/top")),
            files: Vec::new(),
        };
        assert_eq!(broken(&tree), expected, "{name} uses {dependency} ({kind:?})");
    };
    check("kinora-domain", "kinora-store", Kind::Normal, &["1"]);
    check("kinora-domain", "kinora-store", Kind::Dev, &["1"]);
    check("kinora-domain", "serde", Kind::Normal, &["1"]);
    check("kinora-domain", "rand", Kind::Dev, &["1"]);
    check("kinora-domain", "proptest", Kind::Normal, &["1"]);
    check("kinora-domain", "proptest", Kind::Dev, &[]);
    check("kinora-domain", "thiserror", Kind::Normal, &[]);
    check("kinora-media", "kinora-domain", Kind::Normal, &["2"]);
    check("kinora-wan", "kinora-store", Kind::Dev, &["2"]);
    check("kinora-wan", "kinora-tensor", Kind::Normal, &[]);
    check("kinora-server", "kinora-wan", Kind::Normal, &["3"]);
    check("kinora-server", "kinora-tensor", Kind::Dev, &["3"]);
    check("kinora-server", "kinora-worker", Kind::Normal, &[]);
    check("kinora-store", "kinora-media", Kind::Normal, &["H"]);
    check("kinora-store", "kinora-media", Kind::Build, &["H"]);
    check("kinora-store", "kinora-media", Kind::Dev, &[]);
    check("kinora-worker", "kinora-server", Kind::Dev, &["H"]);
    check("kinora-attic", "serde", Kind::Normal, &["H"]);
    check("kinora-server", "rusqlite", Kind::Normal, &["4"]);
    check("kinora-server", "rusqlite", Kind::Dev, &[]);
    check("kinora-store", "rusqlite", Kind::Normal, &[]);
    check("kinora-wan", "wgpu", Kind::Normal, &["4"]);
    check("kinora-tensor", "wgpu", Kind::Normal, &[]);
    check("kinora-worker", "axum", Kind::Normal, &["4"]);
    check("kinora-wan", "reqwest", Kind::Normal, &["6"]);
    check("kinora-media", "reqwest", Kind::Normal, &[]);
}

#[test]
fn features_belong_to_tensor() {
    let check = |name: &str, expected: &[&str]| {
        let metadata = json!({ "packages": [{
            "name": name,
            "manifest_path": "/top/crates/x/Cargo.toml",
            "features": { "gpu": [] },
            "dependencies": [],
        }] });
        let manifest = File::new("crates/x/Cargo.toml", "[package]\n[features]\ngpu = []\n");
        let tree = Tree {
            packages: packages(&metadata, Path::new("/top")),
            files: vec![manifest],
        };
        let violations: Vec<String> = RULES
            .iter()
            .flat_map(|rule| (rule.check)(&tree))
            .map(|violation| violation.to_string())
            .collect();
        assert_eq!(violations, expected, "{name}");
    };
    check(
        "kinora-engine",
        &["crates/x/Cargo.toml:3: rule 7: engine declares the feature gpu; only tensor may have any"],
    );
    check("kinora-tensor", &[]);
}

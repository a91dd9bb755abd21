//! What the rules look at: the packages as cargo sees them, and the text files as git sees them.
//!
//! Files that git ignores are nobody's; files that are not committed yet are looked at too.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::failure::Outcome;
use crate::run::{cargo, program, read, root};
use crate::tidy::source::Source;

/// File names that can be read as text and that a rule may be interested in.
const TEXT: &[&str] = &["rs", "md", "toml", "sql", "run", "py", "ts"];

/// The whole work tree.
pub(super) struct Tree {
    pub(super) packages: Vec<Package>,
    pub(super) files: Vec<File>,
}

/// A member of the workspace.
pub(super) struct Package {
    /// As in its folder: `store`, not `kinora-store`.
    pub(super) name: String,
    pub(super) manifest: String,
    pub(super) features: Vec<String>,
    pub(super) dependencies: Vec<Dependency>,
}

/// What a package's manifest asks for, without what that brings along.
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Normal,
    /// Only for tests, examples and benchmarks.
    Dev,
    Build,
}

/// A text file, taken apart if it is Rust.
pub(super) struct File {
    /// Relative to the top, with slashes.
    pub(super) path: String,
    pub(super) text: String,
    pub(super) rust: Option<Source>,
    /// Compiled for tests only, by its place or by the module that declares it.
    pub(super) test: bool,
}

impl Tree {
    pub(super) fn read() -> Outcome<Tree> {
        let metadata = read(&mut cargo(["metadata", "--no-deps", "--format-version", "1"]))?;
        let metadata =
            serde_json::from_str(&metadata).map_err(|source| format!("cargo metadata: {source}"))?;
        let listing = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let listing = read(program("git").args(listing))?;
        let mut texts = Vec::new();
        for path in listing.split_terminator('\0').filter(|path| is_text(path)) {
            match fs::read_to_string(root().join(path)) {
                Ok(text) => texts.push((path.to_owned(), text)),
                // Deleted, but not yet in git's eyes.
                Err(source) if source.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(format!("cannot read {path}: {source}").into()),
            }
        }
        Ok(Tree {
            packages: packages(&metadata, &root()),
            files: files(texts),
        })
    }
}

impl File {
    pub(super) fn new(path: &str, text: &str) -> File {
        let rust = path.ends_with(".rs").then(|| Source::parse(text));
        let folders: Vec<&str> = path.split('/').collect();
        let test = folders
            .iter()
            .any(|part| matches!(*part, "tests" | "benches" | "examples" | "tests.rs"));
        File {
            path: path.to_owned(),
            text: text.to_owned(),
            rust,
            test,
        }
    }
}

/// Takes the texts apart and marks the files of modules that are declared for tests only.
pub(super) fn files(texts: Vec<(String, String)>) -> Vec<File> {
    let mut files: Vec<File> = texts.iter().map(|(path, text)| File::new(path, text)).collect();
    let mut for_tests = Vec::new();
    for file in &files {
        for module in file.rust.iter().flat_map(|source| &source.test_modules) {
            let folder = module_folder(&file.path);
            for_tests.extend([format!("{folder}{module}.rs"), format!("{folder}{module}/")]);
        }
    }
    for file in &mut files {
        file.test |= for_tests.iter().any(|place| file.path.starts_with(place));
    }
    files
}

/// Where the modules lie that a file declares.
fn module_folder(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => format!("{folder}/"),
        _ => format!("{}/", path.trim_end_matches(".rs")),
    }
}

/// Reads the output of `cargo metadata --no-deps`.
pub(super) fn packages(metadata: &Value, root: &Path) -> Vec<Package> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let dependency = |value: &Value| Dependency {
        name: short(&text(&value["name"])),
        kind: match value["kind"].as_str() {
            Some("dev") => Kind::Dev,
            Some("build") => Kind::Build,
            _ => Kind::Normal,
        },
    };
    let package = |value: &Value| {
        let manifest = text(&value["manifest_path"]);
        let relative = Path::new(&manifest)
            .strip_prefix(root)
            .map(|path| path.display().to_string());
        Package {
            name: short(&text(&value["name"])),
            manifest: relative.unwrap_or(manifest),
            features: value["features"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, _)| key.clone())
                .collect(),
            dependencies: list(&value["dependencies"]).iter().map(dependency).collect(),
        }
    };
    list(&metadata["packages"]).iter().map(package).collect()
}

fn short(name: &str) -> String {
    name.strip_prefix("kinora-").unwrap_or(name).to_owned()
}

fn is_text(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    TEXT.contains(&name.rsplit('.').next().unwrap_or(name))
}

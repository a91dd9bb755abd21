//! Starting other programs: the environment they get, what counts as their failure, and Ctrl-C.
//!
//! Which programs are started, and why, is said in the verbs.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::failure::{Failure, Outcome};

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Turns Ctrl-C (and a polite kill) into a flag, so that servers are stopped and temporary data removed.
///
/// Programs in the foreground get the signal too and end by themselves.
pub(crate) fn notice_interrupts() -> Outcome {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&INTERRUPTED))
            .map_err(|source| format!("cannot watch for signal {signal}: {source}"))?;
    }
    Ok(())
}

/// Fails once the person has asked for the end. Called wherever a verb waits.
pub(crate) fn stop_if_interrupted() -> Outcome {
    if INTERRUPTED.load(Ordering::Relaxed) {
        Err("interrupted".into())
    } else {
        Ok(())
    }
}

/// The top of the work tree.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies one level below the root")
        .to_owned()
}

/// Where cargo builds, and where the verbs keep what they make.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// The virtual environment for the tools that come as Python packages.
pub(crate) fn venv_bin() -> PathBuf {
    target().join("venv/bin")
}

/// A program to be run at the top of the work tree.
///
/// What `cargo run` sets for us is taken away again: a nested cargo would pass it to build scripts, which
/// would then look different from those of a plain `cargo build` and be run anew.
pub(crate) fn program(name: impl AsRef<Path>) -> Command {
    let mut command = Command::new(name.as_ref());
    command.current_dir(root()).env("PATH", search_path());
    for (key, _) in env::vars_os() {
        let ours = key.to_str().is_some_and(|key| {
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
                .iter()
                .any(|prefix| key.starts_with(prefix))
        });
        if ours {
            command.env_remove(key);
        }
    }
    command
}

/// Cargo, with these arguments.
pub(crate) fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = program("cargo");
    command.args(arguments);
    command
}

/// Runs to the end with the terminal as its own; anything but exit code 0 is a failure.
pub(crate) fn succeed(command: &mut Command) -> Outcome {
    let line = spelled(command);
    println!("$ {line}");
    let status = command.status().map_err(|source| cannot_start(&line, &source))?;
    stop_if_interrupted()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{line}` ended with {status}").into())
    }
}

/// Runs to the end and returns what it wrote to stdout; stderr stays on the terminal.
pub(crate) fn read(command: &mut Command) -> Outcome<String> {
    let line = spelled(command);
    let Output {
        status,
        stdout,
        stderr: _,
    } = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| cannot_start(&line, &source))?;
    stop_if_interrupted()?;
    if !status.success() {
        return Err(format!("`{line}` ended with {status}").into());
    }
    String::from_utf8(stdout).map_err(|_| format!("`{line}` wrote something that is not UTF-8").into())
}

/// Runs to the end, shows what it writes to stdout and returns it too, with whether it succeeded.
pub(crate) fn read_and_show(command: &mut Command) -> Outcome<(bool, String)> {
    let line = spelled(command);
    println!("$ {line}");
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| cannot_start(&line, &source))?;
    stop_if_interrupted()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}");
    Ok((output.status.success(), text))
}

/// Whether the program can be started and succeeds; its output is nobody's business.
pub(crate) fn works(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The command as a person would type it.
fn spelled(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

fn cannot_start(line: &str, source: &std::io::Error) -> Failure {
    Failure(format!("`{line}` cannot be started: {source}"))
}

/// The caller's search path, then our own tools: what a person has installed comes first.
fn search_path() -> OsString {
    let inherited = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&inherited).chain([venv_bin()]);
    env::join_paths(folders).unwrap_or(inherited)
}

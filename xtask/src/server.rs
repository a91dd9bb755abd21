//! A Kinora server of our own: started on a free loopback port with empty data, stopped and wiped afterwards.
//!
//! Whoever holds a [`Server`] cannot leave it running: dropping it stops the process and removes its data,
//! on success, failure and Ctrl-C alike.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::failure::{Failure, Outcome};
use crate::http;
use crate::run::{program, stop_if_interrupted, target, works};

const START_PATIENCE: Duration = Duration::from_secs(30);
const STOP_PATIENCE: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A running server, ready for requests.
pub(crate) struct Server {
    /// Without a slash at the end.
    pub(crate) url: String,
    /// The development key of its first start.
    pub(crate) api_key: String,
    process: Process,
}

impl Server {
    /// Starts `binary` with this engine and these `KINORA_…` settings, and waits until it is ready.
    pub(crate) fn start(binary: &Path, engine: &str, settings: &[(&str, &str)]) -> Outcome<Server> {
        let process = Process::start(binary, engine, settings)?;
        Self::wait(process).map_err(|(process, failure)| {
            Failure(format!(
                "{}; the server's last words:\n{}",
                failure.0,
                process.last_words()
            ))
        })
    }

    /// Asks the server to end, and insists that it does so cleanly.
    pub(crate) fn stop(mut self) -> Outcome {
        match self.process.end()? {
            status if status.success() => Ok(()),
            status => {
                let words = self.process.last_words();
                Err(format!("the server ended with {status}; its last words:\n{words}").into())
            }
        }
    }

    /// The most memory that the process has held so far, in bytes; what its children hold is theirs.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    }

    fn wait(mut process: Process) -> Result<Server, (Process, Failure)> {
        match process.ready() {
            Ok((url, api_key)) => Ok(Server {
                url,
                api_key,
                process,
            }),
            Err(failure) => Err((process, failure)),
        }
    }
}

/// The process and the folder that holds its data, its log and its note that it is ready.
struct Process {
    child: Child,
    folder: PathBuf,
}

impl Process {
    fn start(binary: &Path, engine: &str, settings: &[(&str, &str)]) -> Outcome<Process> {
        let folder = target().join(format!("server-{}", std::process::id()));
        let log = fs::create_dir_all(folder.join("data")).and_then(|()| File::create(folder.join("log")));
        let log = log.map_err(|source| format!("cannot write to {}: {source}", folder.display()))?;
        let errors = log
            .try_clone()
            .map_err(|source| format!("cannot share the log: {source}"))?;
        let mut command = program(binary);
        for (key, _) in std::env::vars_os() {
            // A setting of the person's own server must not reach this one.
            if key.to_str().is_some_and(|key| key.starts_with("KINORA_")) {
                command.env_remove(key);
            }
        }
        command.args(["serve", "--listen", "127.0.0.1:0", "--engine", engine]);
        command
            .arg("--data-dir")
            .arg(folder.join("data"))
            .arg("--ready-file")
            .arg(folder.join("ready"));
        command
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        match command.spawn() {
            Ok(child) => Ok(Process { child, folder }),
            Err(source) => {
                // The start has failed already; a folder left behind would be the smaller trouble.
                let _ = fs::remove_dir_all(&folder);
                Err(format!("{} cannot be started: {source}", binary.display()).into())
            }
        }
    }

    /// Address and key, as soon as the server has written them down and answers.
    fn ready(&mut self) -> Outcome<(String, String)> {
        let deadline = Instant::now() + START_PATIENCE;
        while Instant::now() < deadline {
            stop_if_interrupted()?;
            if let Some(status) = self.exit_status()? {
                return Err(format!("the server ended with {status} before it was ready").into());
            }
            if let Some((url, key)) = self.note()
                && http::request("GET", &format!("{url}/readyz"), None, None).is_ok_and(|a| a.status == 200)
            {
                return Ok((url, key));
            }
            sleep(LOOK_AGAIN);
        }
        Err(format!("the server was not ready within {} s", START_PATIENCE.as_secs()).into())
    }

    /// The ready file, once it is there and whole.
    fn note(&self) -> Option<(String, String)> {
        let note: Value = serde_json::from_slice(&fs::read(self.folder.join("ready")).ok()?).ok()?;
        let member = |name: &str| Some(note.get(name)?.as_str()?.to_owned());
        Some((
            member("url")?.trim_end_matches('/').to_owned(),
            member("api_key")?,
        ))
    }

    /// SIGTERM, then patience, then SIGKILL.
    fn end(&mut self) -> Outcome<ExitStatus> {
        // The standard library can only kill; the shell's own `kill` can ask.
        let ask = format!("kill -TERM {}", self.child.id());
        if let Some(status) = self.exit_status()? {
            return Ok(status);
        }
        works(program("sh").args(["-c", &ask]));
        let deadline = Instant::now() + STOP_PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.exit_status()? {
                return Ok(status);
            }
            sleep(LOOK_AGAIN);
        }
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map_err(|source| format!("the server can be neither stopped nor killed: {source}").into())
    }

    fn exit_status(&mut self) -> Outcome<Option<ExitStatus>> {
        self.child
            .try_wait()
            .map_err(|source| format!("cannot look after the server: {source}").into())
    }

    fn last_words(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(failure) = self.end() {
            eprintln!("xtask: {}", failure.0);
        }
        if let Err(source) = fs::remove_dir_all(&self.folder) {
            eprintln!("xtask: cannot remove {}: {source}", self.folder.display());
        }
    }
}

//! One process of the fleet: an API node or a worker on a data directory of its own, as on a machine of its own.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// The program that is tested.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_kinora");

pub(crate) struct Node {
    program: String,
    role: &'static str,
    settings: Vec<(&'static str, String)>,
    folder: tempfile::TempDir,
    process: Child,
    /// Where it listens, since its last start.
    pub(crate) url: String,
    /// The development key, from the first node that ever started.
    pub(crate) key: Option<String>,
}

impl Node {
    /// Starts one with these settings, as `SECTION__KEY` and value, and waits until it is ready.
    pub(crate) async fn start(role: &'static str, settings: Vec<(&'static str, String)>) -> Node {
        Node::start_with(PROGRAM, role, settings).await
    }

    /// The same of a version that may be another one.
    pub(crate) async fn start_with(
        program: &str,
        role: &'static str,
        settings: Vec<(&'static str, String)>,
    ) -> Node {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let process = spawn(program, role, folder.path(), &settings);
        let mut node = Node {
            program: program.to_owned(),
            role,
            settings,
            folder,
            process,
            url: String::new(),
            key: None,
        };
        node.wait().await;
        node
    }

    /// SIGKILL: nothing is said, nothing is finished.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("reaped");
    }

    /// Starts it again on what is left in its folder, without waiting until it is ready.
    pub(crate) fn start_again(&mut self) {
        self.process = spawn(&self.program, self.role, self.folder.path(), &self.settings);
    }

    /// Kills it and waits until it is there again.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.start_again();
        self.wait().await;
    }

    /// Ends it in good order, and starts another version in its place.
    pub(crate) async fn replace(&mut self, program: &str) {
        self.signal("TERM");
        self.ended().await;
        program.clone_into(&mut self.program);
        self.start_again();
        self.wait().await;
    }

    /// Sends a signal: `STOP`, `CONT`, `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.process.id())])
            .status();
        assert!(sent.expect("a shell").success());
    }

    /// Waits for a good end.
    pub(crate) async fn ended(&mut self) {
        let give_up = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.process.try_wait().expect("its status") {
                assert!(status.success(), "{status}: {}", self.log());
                return;
            }
            assert!(Instant::now() < give_up, "it does not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Everything it has logged since its first start.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    async fn wait(&mut self) {
        let ready = self.folder.path().join("ready.json");
        let give_up = Instant::now() + Duration::from_secs(90);
        loop {
            let text = std::fs::read(&ready).unwrap_or_default();
            if let Ok(said) = serde_json::from_slice::<Value>(&text) {
                self.url = said["url"].as_str().expect("a URL").to_owned();
                self.key = said["api_key"].as_str().map(str::to_owned).or(self.key.take());
                return;
            }
            let ended = self.process.try_wait().expect("its status");
            assert!(
                ended.is_none() && Instant::now() < give_up,
                "{ended:?}: {}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(program: &str, role: &str, folder: &Path, settings: &[(&'static str, String)]) -> Child {
    let ready = folder.join("ready.json");
    // There is none before the first start.
    let _ = std::fs::remove_file(&ready);
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .expect("a log");
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KINORA_") {
            command.env_remove(name);
        }
    }
    command
        .args([
            "serve",
            "--role",
            role,
            "--listen",
            "127.0.0.1:0",
            "--engine",
            "test-pattern",
        ])
        .arg("--data-dir")
        .arg(folder.join("data"))
        .arg("--ready-file")
        .arg(&ready)
        .envs(
            settings
                .iter()
                .map(|(name, value)| (format!("KINORA_{name}"), value)),
        )
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the binary starts")
}

//! Starts the program and asks it: commands that end, servers that stay, and a client for them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use reqwest::{Client, Method};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Other tests and other people use the machine too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a server on a free port that needs no weights.
pub(crate) const SERVE: &[&str] = &["serve", "--listen", "127.0.0.1:0", "--engine", "test-pattern"];

/// What a command said in the end.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// The exit code and a part of standard error.
    #[track_caller]
    pub(crate) fn expect(self, code: i32, part: &str) -> Said {
        let Said {
            code: found,
            out,
            err,
        } = &self;
        assert_eq!(*found, Some(code), "out:\n{out}\nerr:\n{err}");
        assert!(err.contains(part), "{part:?} is not in\n{err}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The program, without the settings of the person who runs the tests.
pub(crate) fn kinora() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinora"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KINORA_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Said {
    kinora().args(arguments).output().unwrap().into()
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

/// A data directory and, most of the time, a server on it.
pub(crate) struct House {
    pub(crate) folder: TempDir,
    runtime: Runtime,
    client: Client,
}

/// A running server. Dropped, it is killed.
pub(crate) struct Server {
    pub(crate) process: Running,
    pub(crate) url: String,
    /// Of the first start.
    pub(crate) key: Option<String>,
}

/// A process that ends with this.
pub(crate) struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl House {
    pub(crate) fn new() -> House {
        // The client asks for a provider even where it speaks plain HTTP; a second one is refused, which is well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        House {
            folder: tempfile::tempdir().unwrap(),
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
            client: Client::builder().no_proxy().timeout(PATIENCE).build().unwrap(),
        }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs a command on this house's data.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(&[], arguments)
    }

    /// The same with settings, `SECTION__KEY` and value.
    pub(crate) fn run_with(&self, settings: &[(&str, &str)], arguments: &[&str]) -> Said {
        self.command(settings, arguments).output().unwrap().into()
    }

    /// A command on this house's data, still to be started.
    pub(crate) fn command(&self, settings: &[(&str, &str)], arguments: &[&str]) -> Command {
        let mut command = kinora();
        command.args(arguments).arg("--data-dir").arg(self.data());
        command.envs(
            settings
                .iter()
                .map(|(key, value)| (format!("KINORA_{key}"), value)),
        );
        command
    }

    /// A server with these settings, `SECTION__KEY` and value, once it is ready.
    pub(crate) fn serve(&self, settings: &[(&str, &str)]) -> Server {
        let ready = self.folder.path().join("ready.json");
        let _ = fs::remove_file(&ready);
        let mut command = self.command(settings, SERVE);
        command.arg("--ready-file").arg(&ready);
        let mut process = self.start(command);
        process.wait_until("it is ready", |_| ready.exists());
        let note: Value = serde_json::from_slice(&fs::read(&ready).unwrap()).unwrap();
        Server {
            process,
            url: note["url"].as_str().unwrap().to_owned(),
            key: note["api_key"].as_str().map(str::to_owned),
        }
    }

    /// Starts a process whose output goes to files.
    pub(crate) fn start(&self, mut command: Command) -> Running {
        let name = format!("{:08x}", rand::random::<u32>());
        let out = self.folder.path().join(format!("{name}.out"));
        let err = self.folder.path().join(format!("{name}.err"));
        command
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap());
        Running {
            child: command.spawn().unwrap(),
            out,
            err,
        }
    }

    /// Asks a server: the status, and the body as JSON.
    pub(crate) fn ask(&self, method: Method, url: &str, key: &str, body: Option<Value>) -> (u16, Value) {
        self.runtime.block_on(async {
            let mut request = self.client.request(method, url).bearer_auth(key);
            if let Some(body) = body {
                request = request.json(&body);
            }
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            (status, answer.json().await.unwrap_or_default())
        })
    }

    /// Asks a server with headers; the body as text.
    pub(crate) fn send(
        &self,
        method: Method,
        url: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        self.runtime.block_on(async {
            let mut request = self.client.request(method, url).bearer_auth(key);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            let answer = request.send().await.unwrap();
            Answer {
                status: answer.status().as_u16(),
                text: answer.text().await.unwrap(),
            }
        })
    }

    /// GET, as text, without a key.
    pub(crate) fn read(&self, url: &str) -> String {
        self.runtime
            .block_on(async { self.client.get(url).send().await.unwrap().text().await.unwrap() })
    }

    /// GET, how many bytes there are.
    pub(crate) fn bytes(&self, url: &str) -> usize {
        self.runtime.block_on(async {
            let answer = self.client.get(url).send().await.unwrap();
            let answer = answer.error_for_status().unwrap();
            answer.bytes().await.unwrap().len()
        })
    }

    /// GET, below the API's base.
    pub(crate) fn get(&self, server: &Server, path: &str, key: &str) -> (u16, Value) {
        self.ask(Method::GET, &format!("{}/api/v1{path}", server.url), key, None)
    }

    /// Creates a generation: its id.
    pub(crate) fn create(&self, server: &Server, key: &str, body: Value) -> String {
        let url = format!("{}/api/v1/generation/wan/wan-v2.7-video", server.url);
        let (status, created) = self.ask(Method::POST, &url, key, Some(body));
        assert_eq!(status, 202, "{created}");
        created["id"].as_str().unwrap().to_owned()
    }

    /// Reads a generation until its status is one of these.
    pub(crate) fn wait_for(&self, server: &Server, key: &str, id: &str, statuses: &[&str]) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, generation) = self.get(server, &format!("/generation/{id}"), key);
            assert_eq!(status, 200, "{generation}");
            if statuses.contains(&generation["status"].as_str().unwrap()) {
                return generation;
            }
            assert!(Instant::now() < deadline, "{generation}");
            sleep(Duration::from_millis(50));
        }
    }
}

impl Server {
    /// The key of a first start.
    pub(crate) fn key(&self) -> String {
        self.key.clone().expect("this was a first start")
    }
}

impl Running {
    pub(crate) fn out(&self) -> String {
        fs::read_to_string(&self.out).unwrap()
    }

    pub(crate) fn err(&self) -> String {
        fs::read_to_string(&self.err).unwrap()
    }

    /// Sends a signal: `TERM`, `INT`.
    pub(crate) fn signal(&self, name: &str) {
        // The standard library can only kill; the shell's own `kill` can ask.
        let line = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
    }

    /// Waits until the process has ended.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the process does not end:\n{}",
                self.err()
            );
            sleep(Duration::from_millis(10));
        }
    }

    /// Waits until something has come true, while the process runs.
    pub(crate) fn wait_until(&mut self, what: &str, mut true_now: impl FnMut(&Running) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !true_now(self) {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "before {what}: {ended:?}\n{}",
                self.err()
            );
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended well already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A picture of this size, made by ffmpeg.
pub(crate) fn picture(path: &Path, size: &str) {
    let source = format!("testsrc=size={size}");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", &source, "-frames:v", "1"])
        .arg(path)
        .status();
    assert!(made.unwrap().success());
}

/// The names in a folder, hidden ones too.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

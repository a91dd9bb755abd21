//! A whole Kinora for one test: the real binary on a fresh data directory, and a client that speaks to it.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use kinora_store::{Database, Store, blobs::Blobs};
use kinora_testbucket::TestBucket;
use reqwest::{Client, Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};

use crate::bytes::blobs_in;

/// A running server; killed and cleaned away when dropped.
pub(crate) struct House {
    process: Child,
    folder: tempfile::TempDir,
    /// Where it listens: `http://127.0.0.1:1234`.
    pub(crate) url: String,
    /// The link that opens the Studio signed in.
    pub(crate) studio_url: String,
    /// The development key.
    pub(crate) key: String,
    client: Client,
    /// The URL of its database, where that is on a server.
    database: Option<String>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The body, or null where it is not JSON.
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl House {
    /// A server with settings that do not get in a test's way.
    pub(crate) async fn start() -> House {
        House::with(&[]).await
    }

    /// A server with these settings on top, as `SECTION__KEY` and value.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> House {
        // Plain HTTP is spoken here, but the client wants to know who would do the rest; a second answer is refused.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().build().expect("a client");
        let folder = tempfile::tempdir().expect("a temporary directory");
        let (process, ready) = spawn(folder.path(), settings).await;
        let text = |name: &str| {
            ready[name]
                .as_str()
                .unwrap_or_else(|| panic!("no {name} in {ready}"))
                .to_owned()
        };
        House {
            url: text("url"),
            studio_url: text("studio_url"),
            key: text("api_key"),
            process,
            folder,
            client,
            database: settings
                .iter()
                .find(|(name, _)| *name == "DATA__DATABASE")
                .map(|(_, url)| (*url).to_owned()),
        }
    }

    /// Kills the process with SIGKILL and starts it again on the same data.
    pub(crate) async fn kill_and_restart(&mut self, settings: &[(&str, &str)]) {
        self.process.kill().expect("killed");
        self.process.wait().expect("reaped");
        let (process, ready) = spawn(self.folder.path(), settings).await;
        self.process = process;
        self.url = ready["url"].as_str().expect("a url").to_owned();
    }

    /// As [`House::kill_and_restart`], on another machine: of the bytes nothing is there.
    pub(crate) async fn move_and_restart(&mut self, settings: &[(&str, &str)]) {
        self.process.kill().expect("killed");
        self.process.wait().expect("reaped");
        std::fs::remove_dir_all(self.data().join("cache")).expect("a cache");
        self.kill_and_restart(settings).await;
    }

    /// A request with the development key; the path is relative to the API's base unless it starts with `//`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = match path.strip_prefix("//") {
            Some(path) => format!("{}/{path}", self.url),
            None => format!("{}/api/v1{path}", self.url),
        };
        self.client.request(method, url).bearer_auth(&self.key)
    }

    /// The same without a key.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        let path = path.trim_start_matches('/');
        self.client.request(method, format!("{}/{path}", self.url))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn post_text(&self, path: &str, body: &str) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/json");
        Answer::to(request.body(body.to_owned())).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::DELETE, path)).await
    }

    /// Creates a short generation and returns its id.
    pub(crate) async fn create(&self, prompt: &str) -> String {
        let body = json!({"prompt": prompt, "duration": 2, "resolution": "720p", "seed": 7});
        let answer = self.post("/generation/wan/wan-v2.7-video", &body).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        answer.body["id"].as_str().expect("an id").to_owned()
    }

    /// Polls until the generation is terminal.
    pub(crate) async fn finished(&self, id: &str) -> Value {
        let give_up = Instant::now() + Duration::from_secs(400);
        loop {
            let answer = self.get(&format!("/generation/{id}")).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            if matches!(
                answer.body["status"].as_str(),
                Some("COMPLETED" | "FAILED" | "CANCELED")
            ) {
                return answer.body;
            }
            assert!(Instant::now() < give_up, "not finished in time: {}", answer.body);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Runs a subcommand of the binary on the same data directory; its standard output.
    pub(crate) fn kinora(&self, arguments: &[&str]) -> String {
        self.kinora_with(&[], arguments)
    }

    /// The same with settings.
    pub(crate) fn kinora_with(&self, settings: &[(&str, &str)], arguments: &[&str]) -> String {
        let output = Command::new(binary())
            .args(arguments)
            .env("KINORA_DATA__DIR", self.data())
            .envs(self.database.iter().map(|url| ("KINORA_DATA__DATABASE", url)))
            .envs(variables(settings))
            .output()
            .expect("the binary starts");
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// The audit of the ledger finds nothing.
    pub(crate) async fn sound(&self) {
        let store = self.store();
        assert_eq!(store.audit().await.expect("an audit"), []);
    }

    /// The server's store, opened beside it.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        let database = match &self.database {
            Some(url) => url.parse().expect("a database"),
            None => Database::Sqlite(self.data().join("kinora.db")),
        };
        database.open(2).expect("the store opens")
    }

    /// The server's blobs, opened beside it.
    pub(crate) fn blobs(&self, bucket: Option<&TestBucket>) -> Blobs {
        let Some(bucket) = bucket else {
            return Blobs::open(&self.data().join("blobs")).expect("the blobs open");
        };
        blobs_in(bucket, &self.data().join("cache"))
    }

    /// Everything the server has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("its log")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Resident memory of the server in MB.
    pub(crate) fn resident_mb(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("its status");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .expect("a line");
        let kb: u64 = line
            .split_whitespace()
            .nth(1)
            .expect("a figure")
            .parse()
            .expect("a number");
        kb / 1024
    }

    /// How many child processes the server has.
    pub(crate) fn children(&self) -> usize {
        let parent = format!(" {} ", self.process.id());
        let processes = std::fs::read_dir("/proc").expect("the processes").flatten();
        let is_child = |process: &std::fs::DirEntry| {
            // `pid (name) state parent …`; the name may hold anything, brackets included.
            let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(')')
                .is_some_and(|(_, rest)| rest[2..].starts_with(&parent))
        };
        processes.filter(is_child).count()
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Answer {
    pub(crate) async fn to(request: RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer {
            status,
            headers,
            body,
            text,
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

pub(crate) fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_kinora")
}

fn variables<'a>(settings: &'a [(&str, &'a str)]) -> impl Iterator<Item = (String, &'a str)> {
    settings
        .iter()
        .map(|(name, value)| (format!("KINORA_{name}"), *value))
}

async fn spawn(folder: &Path, settings: &[(&str, &str)]) -> (Child, Value) {
    let ready = folder.join("ready.json");
    let _ = std::fs::remove_file(&ready);
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .expect("a log");
    let mut process = Command::new(binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--engine", "test-pattern"])
        .arg("--data-dir")
        .arg(folder.join("data"))
        .arg("--ready-file")
        .arg(&ready)
        .envs([
            ("KINORA_RATE_LIMITS__CREATE_PER_MINUTE", "100000"),
            ("KINORA_RATE_LIMITS__GET_PER_MINUTE", "100000"),
            ("KINORA_RATE_LIMITS__READ_PER_MINUTE", "100000"),
            ("KINORA_WORKER__SLOTS", "2"),
        ])
        .envs(variables(settings))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the binary starts");
    let give_up = Instant::now() + Duration::from_secs(30);
    loop {
        let said = std::fs::read_to_string(&ready)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok());
        if let Some(said) = said {
            return (process, said);
        }
        let log = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        if let Some(status) = process.try_wait().expect("its status") {
            panic!("the server ended with {status}: {}", log());
        }
        assert!(
            Instant::now() < give_up,
            "the server did not become ready: {}",
            log()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

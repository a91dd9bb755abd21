//! Measures the service as a client sees it: a real server process, real sockets, every commit on disk. Prints a table
//! and writes `target/bench/service.json`; it asserts nothing.
//!
//! Started by `cargo xtask bench service`, which builds the server and names it: the first argument is the path of the
//! `kinora` binary. Load and server share the machine, so the figures are lower bounds.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use kinora_domain::{
    AccountId, Bucket, Credits, Feature, GenerationId, GenerationSpec, GrantId, Model, OfferId, Resolution,
    Seed, Timestamp, WorkerId, Workflow, ledger::EntryType,
};
use kinora_media::{
    Toolbox, ToolboxOptions,
    compose::{ClipOptions, Encoder, FrameFormat},
    frames::{Fit, Fps},
    sandbox::Launcher,
};
use kinora_store::{
    Account, Claim, NewGrant, Store, Submission,
    sqlite::{SqliteOptions, SqliteStore},
};
use serde_json::{Value, json};

type Any<T> = Result<T, Box<dyn std::error::Error>>;

const CONNECTIONS: usize = 64;
const MEASURED: Duration = Duration::from_secs(8);
const STREAMS: usize = 2000;

fn main() -> Any<()> {
    let kinora = PathBuf::from(
        std::env::args()
            .nth(1)
            .ok_or("the first argument is the path of the kinora binary")?,
    );
    let mut figures = serde_json::Map::new();
    let mut report = |name: &str, value: f64, unit: &str| {
        println!("{name:<28} {value:>12.1} {unit}");
        figures.insert(name.to_owned(), json!((value * 10.0).round() / 10.0));
    };

    let server = Server::start(&kinora)?;
    report(
        "first_startup_ms",
        server.startup.as_secs_f64() * 1000.0,
        "ms, creating everything",
    );
    let server = server.restart(&kinora)?;
    report("startup_ms", server.startup.as_secs_f64() * 1000.0, "ms");
    thread::sleep(Duration::from_secs(2));
    report("idle_mb", server.resident_mb()?, "MB resident");

    let (creates, p50, p99, id) = creates(&server)?;
    report("creates_per_s", creates, "creates/s, synchronous=FULL");
    report("create_p50_ms", p50, "ms");
    report("create_p99_ms", p99, "ms");
    report("polls_per_s", polls(&server, &id)?, "polls/s");

    let before = server.resident_mb()?;
    let streams = streams(&server, &id)?;
    report("sse_streams", streams.len() as f64, "open streams");
    report(
        "sse_kb_per_stream",
        (server.resident_mb()? - before) * 1024.0 / streams.len().max(1) as f64,
        "KB each",
    );
    drop(streams);
    drop(server);

    let [empty, backlog] = tokio::runtime::Runtime::new()?.block_on(claims())?;
    report("claims_per_s", empty, "claims/s from an empty queue");
    report("claims_per_s_100k", backlog, "claims/s from a queue of 100,000");
    report(
        "claim_ratio_100k",
        empty / backlog,
        "times slower with 100,000 queued",
    );

    for (name, width, height) in [("encode_720p_fps", 1280, 720), ("encode_1080p_fps", 1920, 1080)] {
        report(name, encode(&kinora, width, height)?, "frames/s");
    }

    let folder = Path::new("target/bench");
    fs::create_dir_all(folder)?;
    let path = folder.join("service.json");
    let mut all: Value = fs::read_to_string(&path)
        .ok()
        .and_then(|t| serde_json::from_str(&t).ok())
        .unwrap_or(json!({}));
    for (name, value) in figures {
        all[name] = value;
    }
    fs::write(&path, serde_json::to_string_pretty(&all)? + "\n")?;
    Ok(())
}

/// A server without a worker, so that what is created stays queued.
struct Server {
    process: Child,
    address: SocketAddr,
    key: String,
    startup: Duration,
    folder: tempfile::TempDir,
}

impl Server {
    fn start(kinora: &Path) -> Any<Server> {
        Server::in_folder(kinora, tempfile::tempdir_in("target")?, None)
    }

    fn in_folder(kinora: &Path, folder: tempfile::TempDir, key: Option<String>) -> Any<Server> {
        let ready = folder.path().join("ready.json");
        let _ = fs::remove_file(&ready);
        let started = Instant::now();
        let process = Command::new(kinora)
            .args(["serve", "--listen", "127.0.0.1:0", "--engine", "test-pattern"])
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .arg("--ready-file")
            .arg(&ready)
            .envs([
                ("KINORA_WORKER__SLOTS", "0"),
                ("KINORA_RATE_LIMITS__CREATE_PER_MINUTE", "100000000"),
                ("KINORA_RATE_LIMITS__GET_PER_MINUTE", "100000000"),
                ("KINORA_QUEUE__QUEUED_PER_ACCOUNT", "10000000"),
                ("KINORA_FIRST_START__PERMANENT_CREDITS", "100000000"),
                ("KINORA_LOG__LEVEL", "warn"),
            ])
            .stdout(Stdio::null())
            .spawn()?;
        let said: Value = loop {
            if let Some(said) = fs::read_to_string(&ready)
                .ok()
                .and_then(|text| serde_json::from_str(&text).ok())
            {
                break said;
            }
            if started.elapsed() > Duration::from_secs(20) {
                return Err("the server did not become ready within 20 s".into());
            }
            thread::sleep(Duration::from_millis(1));
        };
        let startup = started.elapsed();
        let url = said["url"].as_str().ok_or("the ready file names no url")?;
        let address = url.trim_start_matches("http://").parse()?;
        let key = key
            .or_else(|| said["api_key"].as_str().map(str::to_owned))
            .ok_or("the ready file names no key")?;
        Ok(Server {
            process,
            address,
            key,
            startup,
            folder,
        })
    }

    fn restart(mut self, kinora: &Path) -> Any<Server> {
        self.stop();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir()?);
        let key = self.key.clone();
        Server::in_folder(kinora, folder, Some(key))
    }

    fn stop(&mut self) {
        if matches!(self.process.try_wait(), Ok(Some(_))) {
            return;
        }
        // SIGTERM through the shell's kill: the standard library only knows SIGKILL.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }

    fn resident_mb(&self) -> Any<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .ok_or("no VmRSS")?;
        let kb: f64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
        Ok(kb / 1024.0)
    }

    fn request(&self, method: &str, path: &str, body: &str) -> String {
        format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\nContent-Type: \
             application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.key,
            body.len()
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One connection that asks again and again.
struct Client {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> Any<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Client {
            stream: BufReader::with_capacity(16 * 1024, stream),
            body: Vec::new(),
        })
    }

    /// Sends a request and reads its whole answer; the status.
    fn ask(&mut self, request: &[u8]) -> Any<u16> {
        self.stream.get_mut().write_all(request)?;
        let (mut status, mut length, mut line) = (0, 0, String::new());
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err("the server closed the connection".into());
            }
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            if status == 0 {
                status = text.split(' ').nth(1).ok_or("no status")?.parse()?;
            } else if let Some(value) = text.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body)?;
        Ok(status)
    }
}

/// Runs `work` on every connection for the measured time; answers per second.
fn load(server: &Server, work: impl Fn(&mut Client) -> Any<()> + Send + Sync) -> Any<f64> {
    let (done, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let failure: Mutex<Option<String>> = Mutex::new(None);
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let run = || -> Any<()> {
                    let mut client = Client::connect(server.address)?;
                    while !stop.load(Ordering::Relaxed) {
                        work(&mut client)?;
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                };
                if let Err(error) = run() {
                    *failure.lock().expect("no thread panics with it") = Some(error.to_string());
                }
            });
        }
        thread::sleep(MEASURED);
        stop.store(true, Ordering::Relaxed);
    });
    if let Some(failure) = failure.into_inner()? {
        return Err(failure.into());
    }
    Ok(done.into_inner() as f64 / started.elapsed().as_secs_f64())
}

/// Creates per second, their median and 99th percentile in milliseconds, and the id of one of them.
fn creates(server: &Server) -> Any<(f64, f64, f64, String)> {
    let body = json!({"prompt": "A paper boat crosses a rain puddle, macro shot", "resolution": "720p", "duration": 2});
    let request = server.request("POST", "/generation/wan/wan-v2.7-video", &body.to_string());
    let latencies = Mutex::new(Vec::new());
    let id = Mutex::new(String::new());
    let rate = load(server, |client| {
        let started = Instant::now();
        let status = client.ask(request.as_bytes())?;
        latencies
            .lock()
            .expect("no thread panics with it")
            .push(started.elapsed().as_secs_f64() * 1000.0);
        if status != 202 {
            return Err(format!(
                "a create answered {status}: {}",
                String::from_utf8_lossy(&client.body)
            )
            .into());
        }
        let mut id = id.lock().expect("no thread panics with it");
        if id.is_empty() {
            let answer: Value = serde_json::from_slice(&client.body)?;
            *id = answer["id"].as_str().ok_or("no id")?.to_owned();
        }
        Ok(())
    })?;
    let mut latencies = latencies.into_inner()?;
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    Ok((rate, at(0.5), at(0.99), id.into_inner()?))
}

/// Polls of one generation per second.
fn polls(server: &Server, id: &str) -> Any<f64> {
    let request = server.request("GET", &format!("/generation/{id}"), "");
    load(server, |client| match client.ask(request.as_bytes())? {
        200 => Ok(()),
        status => Err(format!("a poll answered {status}").into()),
    })
}

/// Event streams that have all had their first event.
fn streams(server: &Server, id: &str) -> Any<Vec<TcpStream>> {
    let request = Arc::new(server.request("GET", &format!("/generation/{id}/events"), ""));
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let mut stream = TcpStream::connect(server.address)?;
        stream.write_all(request.as_bytes())?;
        streams.push(stream);
    }
    for stream in &mut streams {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        while !seen.windows(5).any(|window| window == b"data:") {
            match stream.read(&mut buffer)? {
                0 => return Err("a stream ended before its first event".into()),
                n => seen.extend_from_slice(&buffer[..n]),
            }
        }
    }
    Ok(streams)
}

/// Claims per second by 16 workers, with nothing more queued than is claimed, and with 100,000 more.
async fn claims() -> Any<[f64; 2]> {
    const EACH: usize = 640;
    let folder = tempfile::tempdir_in("target")?;
    let store = Arc::new(SqliteStore::open(
        &folder.path().join("claims.db"),
        SqliteOptions::default(),
    )?);
    let now = Timestamp(1_700_000_000_000);
    let account = AccountId::new(now, 1);
    let (name, running_max) = ("bench".to_owned(), Some(u32::MAX));
    store
        .create_account(Account {
            id: account,
            name,
            running_max,
            created_at: now,
        })
        .await?;
    let grant = NewGrant {
        account,
        id: GrantId::new(now, 1),
        entry_type: EntryType::Grant,
        bucket: Bucket::Permanent,
        credits: Credits(1_000_000_000),
        expires_at: None,
        note: None,
    };
    store.grant(grant, now).await?;

    let mut rates = [0.0; 2];
    for (rate, backlog) in rates.iter_mut().zip([0, 100_000]) {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..CONNECTIONS {
            let store = Arc::clone(&store);
            tasks.spawn(async move {
                for _ in 0..(backlog + EACH).div_ceil(CONNECTIONS) {
                    store.submit(submission(account, now), now).await?;
                }
                Ok::<_, kinora_store::StoreError>(())
            });
        }
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        let started = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for worker in 0..16 {
            let store = Arc::clone(&store);
            tasks.spawn(async move {
                for _ in 0..EACH / 16 {
                    let claim = Claim {
                        worker: WorkerId::new(now, worker),
                        offers: vec![OfferId("bench".to_owned())],
                        lease_ms: 60_000,
                        running_max: u32::MAX,
                    };
                    store.claim(claim, now).await?;
                }
                Ok::<_, kinora_store::StoreError>(())
            });
        }
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        *rate = EACH as f64 / started.elapsed().as_secs_f64();
    }
    Ok(rates)
}

fn submission(account: AccountId, now: Timestamp) -> Submission {
    let spec = GenerationSpec {
        feature: Feature::TextImage,
        workflow: Workflow::Text { audio: None },
        prompt: Some("A paper boat crosses a rain puddle, macro shot".to_owned()),
        negative_prompt: None,
        aspect_ratio: None,
        resolution: Resolution::P720,
        duration_s: 2,
        prompt_expansion: true,
        seed: Seed::from_entropy(7),
        n: 1,
    };
    Submission {
        id: GenerationId::new(now, rand::random()),
        account,
        model: Model::WanVideo,
        offer: OfferId("bench".to_owned()),
        spec,
        price: Credits(20),
        priority: 0,
        deadline: now.plus_ms(86_400_000),
        queued_max: u32::MAX,
        idempotency: None,
        webhook_url: None,
    }
}

/// Frames encoded per second, from pixels to the finished MP4.
fn encode(kinora: &Path, width: u32, height: u32) -> Any<f64> {
    const FRAMES: u32 = 150;
    let toolbox = Toolbox::find(ToolboxOptions::new(Launcher::new(kinora)))?;
    let folder = tempfile::tempdir()?;
    let frames: Vec<Vec<u8>> = (0..10).map(|i| picture(width, height, i)).collect();
    let started = Instant::now();
    let format = FrameFormat {
        width,
        height,
        fps: Fps::new(30),
        fit: Fit::Cover,
    };
    let clip = ClipOptions::new(width, height, FRAMES);
    let mut encoder = Encoder::start(&toolbox, format, clip, &folder.path().join("clip.mp4"))?;
    for i in 0..FRAMES as usize {
        encoder.push(&frames[i % frames.len()])?;
    }
    encoder.finish()?;
    Ok(f64::from(FRAMES) / started.elapsed().as_secs_f64())
}

/// A moving gradient with some texture: neither blank nor noise.
fn picture(width: u32, height: u32, shift: u32) -> Vec<u8> {
    let mut rgb = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        for x in 0..width {
            let texture = ((x ^ y) & 15) as u8;
            rgb.extend([
                ((x + 8 * shift) / 5) as u8 ^ texture,
                (y / 3) as u8,
                ((x + y) / 7) as u8 ^ texture,
            ]);
        }
    }
    rgb
}

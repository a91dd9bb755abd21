//! What the benches share: a server process to ask, connections that ask it, and work for its queue.

use std::{
    error::Error,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant, UNIX_EPOCH},
};

use kinora_domain::{
    AccountId, Bucket, Credits, Feature, GenerationId, GenerationSpec, GrantId, Model, OfferId, Resolution,
    Seed, Timestamp, Workflow, ledger::EntryType,
};
use kinora_store::{Account, NewGrant, Store, Submission};
use serde_json::{Value, json};
use tokio::task::JoinSet;

pub(crate) type Any<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How many connections ask at once.
pub(crate) const CONNECTIONS: usize = 64;

const MEASURED: Duration = Duration::from_secs(8);

/// A server without a worker, so that what is created stays queued.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
    pub(crate) key: String,
}

impl Server {
    /// Starts one in a folder, where its rows are too unless a database is named. `key` is that of an earlier start: the first
    /// start on a database makes one.
    pub(crate) fn start(
        kinora: &Path,
        folder: &Path,
        database: Option<&str>,
        key: Option<&str>,
    ) -> Any<Server> {
        let ready = folder.join("ready.json");
        let _ = fs::remove_file(&ready);
        let started = Instant::now();
        let mut process = Command::new(kinora)
            .args(["serve", "--listen", "127.0.0.1:0", "--engine", "test-pattern"])
            .args(["--slots", "0"])
            .arg("--data-dir")
            .arg(folder.join("data"))
            .arg("--ready-file")
            .arg(&ready)
            .envs([
                ("KINORA_RATE_LIMITS__CREATE_PER_MINUTE", "100000000"),
                ("KINORA_RATE_LIMITS__GET_PER_MINUTE", "100000000"),
                ("KINORA_QUEUE__QUEUED_PER_ACCOUNT", "10000000"),
                ("KINORA_FIRST_START__PERMANENT_CREDITS", "100000000"),
                ("KINORA_LOG__LEVEL", "warn"),
            ])
            .envs(database.map(|database| ("KINORA_DATA__DATABASE", database)))
            .stdout(Stdio::null())
            .spawn()?;
        let said: Value = loop {
            if let Some(said) = fs::read_to_string(&ready)
                .ok()
                .and_then(|text| serde_json::from_str(&text).ok())
            {
                break said;
            }
            if let Some(status) = process.try_wait()? {
                return Err(format!("the server ended with {status} before it was ready").into());
            }
            if started.elapsed() > Duration::from_secs(60) {
                let _ = process.kill();
                return Err("the server did not become ready within 60 s".into());
            }
            thread::sleep(Duration::from_millis(1));
        };
        let url = said["url"].as_str().ok_or("the ready file names no url")?;
        Ok(Server {
            process,
            address: url.trim_start_matches("http://").parse()?,
            key: key
                .or_else(|| said["api_key"].as_str())
                .ok_or("the ready file names no key")?
                .to_owned(),
        })
    }

    pub(crate) fn resident_mb(&self) -> Any<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .ok_or("no VmRSS")?;
        let kb: f64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
        Ok(kb / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(Some(_))) {
            return;
        }
        // SIGTERM through the shell's kill: the standard library only knows SIGKILL.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

/// A request as it goes over a connection.
pub(crate) fn request(key: &str, method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} /api/v1{path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// One connection that asks again and again.
pub(crate) struct Client {
    number: usize,
    stream: BufReader<TcpStream>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr, number: usize) -> Any<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Client {
            number,
            stream: BufReader::with_capacity(16 * 1024, stream),
            body: Vec::new(),
        })
    }

    /// Sends a request and reads its whole answer; the status.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Any<u16> {
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

/// Runs `work` on connections to all of the servers for the measured time; answers per second.
pub(crate) fn load(servers: &[&Server], work: impl Fn(&mut Client) -> Any<()> + Send + Sync) -> Any<f64> {
    let (done, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let failure: Mutex<Option<String>> = Mutex::new(None);
    let started = Instant::now();
    thread::scope(|scope| {
        for (number, server) in servers.iter().cycle().take(CONNECTIONS).enumerate() {
            let (work, done, stop, failure) = (&work, &done, &stop, &failure);
            scope.spawn(move || {
                let run = || -> Any<()> {
                    let mut client = Client::connect(server.address, number)?;
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

/// Creates per second at servers on one database, under keys of as many accounts, how many milliseconds each took, and the id
/// of one of them.
pub(crate) fn creates(servers: &[&Server], keys: &[String]) -> Any<(f64, Spread, String)> {
    let body = json!({"prompt": "A paper boat crosses a rain puddle, macro shot", "resolution": "720p", "duration": 2});
    let create = |key: &String| request(key, "POST", "/generation/wan/wan-v2.7-video", &body.to_string());
    let requests: Vec<String> = keys.iter().map(create).collect();
    let latencies = Mutex::new(Vec::new());
    let id = Mutex::new(String::new());
    let rate = load(servers, |client| {
        // Every key is used at every server.
        let request = &requests[client.number / servers.len() % requests.len()];
        let started = Instant::now();
        let status = client.ask(request.as_bytes())?;
        latencies
            .lock()
            .expect("no thread panics with it")
            .push(millis(started.elapsed()));
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
    let spread = Spread::of(latencies.into_inner()?).ok_or("nothing was created")?;
    Ok((rate, spread, id.into_inner()?))
}

/// Runs `work` `each` times in each of so many tasks at once; how long all of it took.
pub(crate) async fn at_once<W, F>(tasks: usize, each: usize, work: W) -> Any<Duration>
where
    W: Fn(usize) -> F + Clone + Send + 'static,
    F: Future<Output = Any<()>> + Send,
{
    let started = Instant::now();
    let mut set = JoinSet::new();
    for task in 0..tasks {
        let work = work.clone();
        set.spawn(async move {
            for _ in 0..each {
                work(task).await?;
            }
            Any::Ok(())
        });
    }
    while let Some(task) = set.join_next().await {
        task??;
    }
    Ok(started.elapsed())
}

/// An account that can pay for everything and may run everything at once.
pub(crate) async fn account(store: &dyn Store, number: usize) -> Any<AccountId> {
    let (now, id) = (now(), AccountId::new(now(), rand::random()));
    store
        .create_account(Account {
            id,
            name: format!("bench-{number}"),
            running_max: Some(u32::MAX),
            created_at: now,
        })
        .await?;
    let grant = NewGrant {
        account: id,
        id: GrantId::new(now, rand::random()),
        entry_type: EntryType::Grant,
        bucket: Bucket::Permanent,
        credits: Credits(1_000_000_000),
        expires_at: None,
        note: None,
    };
    store.grant(grant, now).await?;
    Ok(id)
}

/// A generation of words alone, for an offer of that name.
pub(crate) fn submission(account: AccountId, offer: &str) -> Submission {
    let now = now();
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
        offer: OfferId(offer.to_owned()),
        spec,
        price: Credits(20),
        priority: 0,
        deadline: now.plus_ms(86_400_000),
        queued_max: u32::MAX,
        idempotency: None,
        webhook_url: None,
    }
}

/// The real time: ids sort by it, and so new rows lie together, as they do in a server.
pub(crate) fn now() -> Timestamp {
    let since_epoch = UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::EPOCH.plus_ms(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

pub(crate) fn millis(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1000.0
}

/// How a measured value is distributed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Spread {
    /// Of these values; `None` where there are none.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            values
                .get((values.len().checked_sub(1)? as f64 * share) as usize)
                .copied()
        };
        Some(Spread {
            p50: at(0.5)?,
            p99: at(0.99)?,
        })
    }
}

/// Writes figures to `target/bench/{name}.json`; those in the file that are not measured anew stay.
pub(crate) fn keep(name: &str, figures: serde_json::Map<String, Value>) -> Any<()> {
    let folder = Path::new("target/bench");
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("{name}.json"));
    let mut all: Value = fs::read_to_string(&path)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or(json!({}));
    for (name, value) in figures {
        all[name] = value;
    }
    fs::write(&path, serde_json::to_string_pretty(&all)? + "\n")?;
    Ok(())
}

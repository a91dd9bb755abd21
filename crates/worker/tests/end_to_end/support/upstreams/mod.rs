//! Servers that work for us, as their documents describe them, and with every way of failing that a test can order.
//!
//! They speak HTTP over plain sockets, so that they can also do what no server would: take the work and close the
//! connection, answer with half a file, say nothing at all.

pub(crate) mod chat;
pub(crate) mod dashscope;
pub(crate) mod videos_api;

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What is asked of such a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// To begin a task.
    Submit,
    /// Where a task stands.
    Look,
    /// To end a task.
    Cancel,
    /// For the clip.
    Result,
    /// For a prompt to be expanded.
    Chat,
}

/// How a step goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Nothing is done, and the server says why in its own way.
    Refuse {
        status: u16,
        code: &'static str,
        retry_after_s: Option<u64>,
    },
    /// Nothing is done; something in between says so.
    Gateway(u16),
    /// Nothing is done, and somebody else is named.
    Redirect(&'static str),
    /// It is done, and the connection is closed without an answer.
    Cut,
    /// It is done, and no answer comes.
    Silence,
    /// It is done, and the answer is this.
    Garbage(Vec<u8>),
    /// The answer breaks off in its middle.
    Half,
    /// The answer is said to be longer than any disk.
    Endless,
}

impl Fault {
    pub(crate) fn refuse(status: u16, code: &'static str) -> Fault {
        Fault::Refuse {
            status,
            code,
            retry_after_s: None,
        }
    }

    /// Whether the server does what was asked before it fails to say so.
    fn is_after(&self) -> bool {
        match self {
            Fault::Refuse { .. } | Fault::Gateway(_) | Fault::Redirect(_) => false,
            Fault::Cut | Fault::Silence | Fault::Garbage(_) | Fault::Half | Fault::Endless => true,
        }
    }
}

/// What goes wrong next, and what was asked so far.
#[derive(Default)]
pub(crate) struct Script {
    faults: Mutex<HashMap<Step, VecDeque<Fault>>>,
    asked: Mutex<Vec<Step>>,
}

impl Script {
    /// The next so many times that this is asked, this goes wrong.
    pub(crate) fn order(&self, step: Step, fault: Fault, times: usize) {
        let mut faults = self.faults.lock().unwrap();
        faults
            .entry(step)
            .or_default()
            .extend(std::iter::repeat_n(fault, times));
    }

    /// Nothing goes wrong any more.
    pub(crate) fn forget(&self) {
        self.faults.lock().unwrap().clear();
    }

    /// How often this was asked.
    pub(crate) fn asked(&self, step: Step) -> usize {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .filter(|asked| **asked == step)
            .count()
    }

    /// Waits until this was asked so often.
    pub(crate) async fn wait_for(&self, step: Step, times: usize) {
        let patience = Instant::now() + Duration::from_secs(60);
        while self.asked(step) < times {
            assert!(Instant::now() < patience, "{step:?} was not asked {times} times");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn next(&self, step: Step) -> Option<Fault> {
        self.asked.lock().unwrap().push(step);
        self.faults.lock().unwrap().get_mut(&step)?.pop_front()
    }
}

/// A request, read to its end.
pub(crate) struct Asked {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// An answer.
pub(crate) enum Reply {
    Json(u16, Value),
    File(Vec<u8>),
}

/// What a server does, apart from how it fails.
pub(crate) trait Emulated: Send + Sync + 'static {
    /// What goes wrong.
    fn script(&self) -> &Script;
    /// Which step a request is.
    fn step(&self, asked: &Asked) -> Option<Step>;
    /// Does it.
    fn answer(&self, step: Step, asked: &Asked) -> Reply;
    /// Its own form of an error.
    fn error(&self, code: &str) -> Value;
}

/// Starts a server on a free port of loopback.
pub(crate) async fn start<E: Emulated>(make: impl FnOnce(SocketAddr) -> E) -> Arc<E> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let emulated = Arc::new(make(listener.local_addr().unwrap()));
    let shared = Arc::clone(&emulated);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(Arc::clone(&shared), stream));
        }
    });
    emulated
}

/// One request, then the connection is closed: none is ever used again, as with a server under load.
async fn serve<E: Emulated>(emulated: Arc<E>, mut stream: TcpStream) {
    let Some(asked) = read(&mut stream).await else {
        return;
    };
    let Some(step) = emulated.step(&asked) else {
        let bytes = head(404, &[("Content-Type", "application/json")], 2);
        let _ = stream.write_all(&[bytes, b"{}".to_vec()].concat()).await;
        return;
    };
    let fault = emulated.script().next(step);
    let reply = match &fault {
        Some(fault) if !fault.is_after() => None,
        Some(_) | None => Some(emulated.answer(step, &asked)),
    };
    let bytes = match (fault, reply) {
        (Some(Fault::Cut), _) => return,
        (Some(Fault::Silence), _) => return std::future::pending().await,
        (
            Some(Fault::Refuse {
                status,
                code,
                retry_after_s,
            }),
            _,
        ) => {
            let seconds = retry_after_s.map(|seconds| seconds.to_string());
            let retry_after = seconds.as_deref().map(|seconds| ("Retry-After", seconds));
            json_bytes(status, &emulated.error(code), retry_after)
        }
        (Some(Fault::Gateway(status)), _) => {
            let page = b"<html><body>Bad gateway</body></html>".to_vec();
            [head(status, &[("Content-Type", "text/html")], page.len()), page].concat()
        }
        (Some(Fault::Redirect(to)), _) => head(302, &[("Location", to)], 0),
        (Some(Fault::Garbage(body)), _) => [head(200, &[], body.len()), body].concat(),
        (Some(Fault::Endless), _) => head(200, &[("Content-Type", "video/mp4")], usize::MAX / 4),
        (Some(Fault::Half), Some(reply)) => {
            let bytes = bytes(reply);
            bytes[..bytes.len() / 2].to_vec()
        }
        (_, Some(reply)) => bytes(reply),
        (_, None) => unreachable!("what is not refused is answered"),
    };
    // A client that has gone away is none of our business.
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(text).ok()?;
    let mut lines = text.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Asked {
        method,
        path,
        headers,
        body,
    })
}

fn bytes(reply: Reply) -> Vec<u8> {
    match reply {
        Reply::Json(status, body) => json_bytes(status, &body, None),
        Reply::File(file) => [head(200, &[("Content-Type", "video/mp4")], file.len()), file].concat(),
    }
}

fn json_bytes(status: u16, body: &Value, header: Option<(&str, &str)>) -> Vec<u8> {
    let body = body.to_string().into_bytes();
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(header);
    [head(status, &headers, body.len()), body].concat()
}

fn head(status: u16, headers: &[(&str, &str)], length: usize) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Told\r\nContent-Length: {length}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// The error of a request that misses something, for emulators that check what they are sent.
fn wrong(code: &str, message: &str) -> Value {
    json!({"request_id": "00000000-0000", "code": code, "message": message})
}

//! Measures the service as a client sees it: a real server process, real sockets, every commit on disk. Prints a table
//! and writes `target/bench/service.json`; it asserts nothing.
//!
//! Started by `cargo xtask bench service`, which builds the server and names it: the first argument is the path of the
//! `kinora` binary. Load and server share the machine, so the figures are lower bounds.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use kinora_domain::{OfferId, WorkerId};
use kinora_media::{
    Toolbox, ToolboxOptions,
    compose::{ClipOptions, Encoder, FrameFormat},
    frames::{Fit, Fps},
    sandbox::Launcher,
};
use kinora_store::{
    Claim, Store,
    sqlite::{SqliteOptions, SqliteStore},
};
use serde_json::json;

mod support;

use support::{
    Any, CONNECTIONS, Server, Spread, account, at_once, creates, keep, load, millis, now, request, submission,
};

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

    let folder = tempfile::tempdir_in("target")?;
    let start = |key: Option<&str>| -> Any<(Server, f64)> {
        let started = Instant::now();
        let server = Server::start(&kinora, folder.path(), None, key)?;
        Ok((server, millis(started.elapsed())))
    };
    let (server, startup) = start(None)?;
    report("first_startup_ms", startup, "ms, creating everything");
    let key = server.key.clone();
    drop(server);
    let (server, startup) = start(Some(&key))?;
    report("startup_ms", startup, "ms");
    thread::sleep(Duration::from_secs(2));
    report("idle_mb", server.resident_mb()?, "MB resident");

    let (rate, Spread { p50, p99 }, id) = creates(&[&server], std::slice::from_ref(&server.key))?;
    report("creates_per_s", rate, "creates/s, synchronous=FULL");
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
    keep("service", figures)
}

/// Polls of one generation per second.
fn polls(server: &Server, id: &str) -> Any<f64> {
    let request = request(&server.key, "GET", &format!("/generation/{id}"), "");
    load(&[server], |client| match client.ask(request.as_bytes())? {
        200 => Ok(()),
        status => Err(format!("a poll answered {status}").into()),
    })
}

/// Event streams that have all had their first event.
fn streams(server: &Server, id: &str) -> Any<Vec<TcpStream>> {
    let request = request(&server.key, "GET", &format!("/generation/{id}/events"), "");
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
    let account = account(&*store, 1).await?;
    let mut rates = [0.0; 2];
    for (rate, backlog) in rates.iter_mut().zip([0, 100_000]) {
        let (submits, claims) = (Arc::clone(&store), Arc::clone(&store));
        let count: usize = backlog + EACH;
        let submit = move |_| {
            let store = Arc::clone(&submits);
            async move {
                store.submit(submission(account, "bench"), now()).await?;
                Ok(())
            }
        };
        at_once(CONNECTIONS, count.div_ceil(CONNECTIONS), submit).await?;
        let claim = move |worker| {
            let store = Arc::clone(&claims);
            async move {
                let claim = Claim {
                    worker: WorkerId::new(now(), worker as u128),
                    offers: vec![OfferId("bench".to_owned())],
                    lease_ms: 60_000,
                    running_max: u32::MAX,
                };
                store.claim(claim, now()).await?;
                Ok(())
            }
        };
        *rate = EACH as f64 / at_once(16, EACH / 16, claim).await?.as_secs_f64();
    }
    Ok(rates)
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

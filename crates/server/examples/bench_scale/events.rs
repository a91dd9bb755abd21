//! How long an event takes from a worker, just before its commit, to a client that reads a stream of another node.
//!
//! The worker is this process, with a store of its own; the node is a server process that hears of changes as any node does.
//! Clients are connections of this process, so that both ends of an event are told by one clock.

use std::{path::Path, sync::Arc, time::Duration};

use kinora_domain::{OfferId, Progress, Stage, WorkerId};
use kinora_store::{Claim, Heartbeat, LeaseKey, Store};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    runtime::Runtime,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use crate::{
    claims::{LEASE_MS, end},
    place::{Kind, Place},
    support::{Any, Server, Spread, millis, now, request, submission},
    table::{Table, grouped},
};

const OFFER: &str = "bench-events";
const MEASURED: Duration = Duration::from_secs(12);

/// How long the last events are waited for, and the first.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many streams there are, and how many events a second on all of them together.
const STREAMS: [(usize, f64); 3] = [(1, 20.0), (100, 200.0), (1000, 200.0)];

/// Measures events on more and more streams.
pub(crate) fn measure(kind: Kind, kinora: &Path, runtime: &Runtime, table: &mut Table) -> Any<()> {
    let place = Place::new(kind)?;
    let node = place.node(kinora, None)?;
    let store = place.open()?;
    for (streams, per_s) in STREAMS {
        let before_mb = node.resident_mb()?;
        let measured = runtime.block_on(latency(&store, &node, streams, per_s))?;
        let name = match streams {
            1 => "1 stream".to_owned(),
            _ => format!("{} streams", grouped(streams)),
        };
        let mut set = |key: &str, label: &str, value| {
            table.set(kind, &format!("event_{key}_{streams}_streams"), label, value);
        };
        set(
            "per_s",
            &format!("events/s to clients of another node, {name}"),
            measured.per_s,
        );
        set(
            "p50_ms",
            "  from before the commit to the client, p50, ms",
            measured.spread.p50,
        );
        set("p99_ms", "  p99, ms", measured.spread.p99);
        set("max_ms", "  longest, ms", measured.max);
        set("lost", "  not arrived within 20 s", measured.lost as f64);
        if streams >= 1000 {
            let grown = measured.resident_mb - before_mb;
            set(
                "kb_each",
                "  memory of the node for each stream, KB",
                grown * 1024.0 / streams as f64,
            );
        }
    }
    Ok(())
}

struct Latency {
    spread: Spread,
    max: f64,
    per_s: f64,
    lost: usize,
    /// Of the node, while all streams were open.
    resident_mb: f64,
}

/// An event as a client has seen it: on which stream, which number, when.
type Heard = (usize, u64, Instant);

/// Each stream follows a generation of its own, which a worker of its own works on.
async fn latency(store: &Arc<dyn Store>, node: &Server, streams: usize, per_s: f64) -> Any<Latency> {
    let account = store.account_by_name("default").await?.ok_or("no account")?;
    let (heard, mut hearing) = unbounded_channel();
    let (mut clients, mut running) = (JoinSet::new(), Vec::new());
    for stream in 0..streams {
        store.submit(submission(account.id, OFFER), now()).await?;
        let claim = Claim {
            worker: WorkerId::new(now(), stream as u128),
            offers: vec![OfferId(OFFER.to_owned())],
            lease_ms: LEASE_MS,
            running_max: u32::MAX,
        };
        let claimed = store.claim(claim, now()).await?.ok_or("nothing was queued")?;
        let path = format!("/generation/{}/events", claimed.generation.id);
        clients.spawn(follow(node, &path, stream, heard.clone()).await?);
        running.push((claimed.lease, claimed.generation.event_seq));
    }
    drop(heard);
    let mut arrived: Vec<Vec<(u64, Instant)>> = vec![Vec::new(); streams];
    all_heard(&mut hearing, &mut arrived, |_, seen| !seen.is_empty()).await;
    if arrived.iter().any(Vec::is_empty) {
        return Err("a stream did not begin".into());
    }
    let resident_mb = node.resident_mb()?;

    let began = Instant::now();
    let every = Duration::from_secs_f64(streams as f64 / per_s);
    let mut workers = JoinSet::new();
    for (stream, (lease, _)) in running.iter().enumerate() {
        let (store, lease) = (Arc::clone(store), *lease);
        // Workers do not beat all at once.
        let first = began + every.mul_f64(stream as f64 / streams as f64);
        workers.spawn(async move { Any::Ok((stream, beat(&*store, lease, first, every).await?)) });
    }
    let mut sent: Vec<Vec<Instant>> = vec![Vec::new(); streams];
    while let Some(worker) = workers.join_next().await {
        let (stream, instants) = worker??;
        sent[stream] = instants;
    }
    let lasted = began.elapsed();
    let last = |stream: usize| running[stream].1 + sent[stream].len() as u64;
    all_heard(&mut hearing, &mut arrived, |stream, seen| {
        seen.last().is_some_and(|(seq, _)| *seq >= last(stream))
    })
    .await;

    let (mut latencies, mut lost) = (Vec::new(), 0);
    for ((instants, seen), (_, first)) in sent.iter().zip(&arrived).zip(&running) {
        for (seq, at) in (first + 1..).zip(instants) {
            // Progress that was overtaken is told by the event that overtook it.
            match seen.iter().find(|(told, _)| *told >= seq) {
                Some((_, arrival)) => latencies.push(millis(*arrival - *at)),
                None => lost += 1,
            }
        }
    }
    for (lease, _) in running {
        end(&**store, lease).await?;
    }
    clients.shutdown().await;
    Ok(Latency {
        max: latencies.iter().copied().fold(0.0, f64::max),
        per_s: (latencies.len() + lost) as f64 / lasted.as_secs_f64(),
        spread: Spread::of(latencies).ok_or("no event arrived")?,
        lost,
        resident_mb,
    })
}

/// Tells progress as a worker does, at a steady rate; when each word of it was about to be committed.
async fn beat(store: &dyn Store, lease: LeaseKey, first: Instant, every: Duration) -> Any<Vec<Instant>> {
    let mut tick = interval_at(first, every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let until = first + MEASURED;
    let mut sent = Vec::new();
    loop {
        tick.tick().await;
        if Instant::now() >= until {
            return Ok(sent);
        }
        let progress = Progress {
            stage: Stage::Denoising,
            fraction: (sent.len() + 1) as f32 / 10_000.0,
        };
        sent.push(Instant::now());
        match store.heartbeat(lease, Some(progress), LEASE_MS, now()).await? {
            Heartbeat::Renewed => {}
            other => return Err(format!("a heartbeat was answered {other:?}").into()),
        }
    }
}

/// Opens a stream; what then reads it to its end.
async fn follow(
    node: &Server,
    path: &str,
    stream: usize,
    heard: UnboundedSender<Heard>,
) -> Any<impl Future<Output = ()> + use<>> {
    let mut connection = TcpStream::connect(node.address).await?;
    connection
        .write_all(request(&node.key, "GET", path, "").as_bytes())
        .await?;
    Ok(async move {
        let mut lines = BufReader::new(connection).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let seq = line.strip_prefix("id: ").and_then(|seq| seq.parse().ok());
            if let Some(seq) = seq
                && heard.send((stream, seq, Instant::now())).is_err()
            {
                break;
            }
        }
    })
}

/// Takes in what clients hear until all streams have heard enough, or patience is at its end.
async fn all_heard(
    hearing: &mut UnboundedReceiver<Heard>,
    arrived: &mut [Vec<(u64, Instant)>],
    is_enough: impl Fn(usize, &[(u64, Instant)]) -> bool,
) {
    let enough = |arrived: &[Vec<(u64, Instant)>], stream: usize| is_enough(stream, &arrived[stream]);
    let mut missing = (0..arrived.len())
        .filter(|stream| !enough(arrived, *stream))
        .count();
    let until = Instant::now() + PATIENCE;
    while missing > 0 {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(Some((stream, seq, at))) = timeout(left, hearing.recv()).await else {
            return;
        };
        let before = enough(arrived, stream);
        arrived[stream].push((seq, at));
        missing -= usize::from(!before && enough(arrived, stream));
    }
}

//! Measures the store alone: submits and claims a second, and how long a read takes. Asserts nothing.
//!
//! `cargo run --release -p kinora-store --example throughput`, with a folder to work in as its only argument where
//! the temporary one is no real disk, or with the URL of an empty PostgreSQL database.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};

use kinora_domain::{
    AccountId, Bucket, Credits, Feature, GenerationId, GenerationSpec, GrantId, KeyId, Model, OfferId,
    Resolution, Seed, Timestamp, WorkerId, Workflow, ledger::EntryType,
};
use kinora_store::{Account, Claim, Database, Key, NewGrant, Outcome, Scope, Store, Submission, Submitted};
use tokio::task::JoinSet;

type Failure = Box<dyn Error + Send + Sync>;

/// The real time: ids sort by it, and so new rows lie together, as they do in a server.
fn now() -> Timestamp {
    let since_epoch = UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::EPOCH.plus_ms(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let place = std::env::args().nth(1);
    let folder = match &place {
        Some(folder) if !folder.contains(':') => tempfile::tempdir_in(folder)?,
        _ => tempfile::tempdir()?,
    };
    let database = match place {
        Some(url) if url.contains(':') => url.parse()?,
        _ => Database::Sqlite(folder.path().join("kinora.db")),
    };
    let opened = Instant::now();
    let store = database.open(16)?;
    println!("open, with migration     {:>10.1} ms", millis(opened.elapsed()));
    let account = AccountId::new(now(), 1);
    prepare(store.as_ref(), account).await?;

    for callers in [1, 8, 64] {
        let count = if callers == 1 { 500 } else { 20_000 };
        let cpu = writer_cpu();
        let rate = per_second(count, submit_all(&store, account, count, callers).await?);
        let cpu = micros(writer_cpu().saturating_sub(cpu), count);
        println!("submits, {callers:>3} callers     {rate:>10.0} /s, {cpu:>5.0} µs of the writer each");
    }
    drain(store.as_ref()).await?;
    for backlog in [0, 10_000, 100_000] {
        measure_claims(&store, account, backlog).await?;
    }
    measure_reads(store.as_ref(), account).await?;

    let audited = Instant::now();
    let findings = store.audit().await?;
    println!(
        "audit, {} findings        {:>10.0} ms",
        findings.len(),
        millis(audited.elapsed())
    );
    Ok(())
}

async fn prepare(store: &dyn Store, account: AccountId) -> Result<(), Failure> {
    let name = "bench".to_owned();
    let running_max = Some(u32::MAX);
    store
        .create_account(Account {
            id: account,
            name,
            running_max,
            created_at: now(),
        })
        .await?;
    let key = Key {
        id: KeyId::new(now(), 1),
        account,
        name: "bench".to_owned(),
        hash: [7; 32],
        scope: Scope::Full,
        created_at: now(),
        revoked_at: None,
    };
    store.create_key(key).await?;
    let grant = NewGrant {
        account,
        id: GrantId::new(now(), 1),
        entry_type: EntryType::Grant,
        bucket: Bucket::Permanent,
        credits: Credits(1_000_000_000),
        expires_at: None,
        note: None,
    };
    store.grant(grant, now()).await?;
    Ok(())
}

async fn submit_all(
    store: &Arc<dyn Store>,
    account: AccountId,
    count: usize,
    callers: usize,
) -> Result<Duration, Failure> {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            for _ in 0..count / callers {
                let submitted = store.submit(submission(account), now()).await?;
                if !matches!(submitted, Submitted::Created(_)) {
                    return Err(Failure::from(format!("{submitted:?}")));
                }
            }
            Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(started.elapsed())
}

/// Claims with `backlog` more in the queue than are claimed, one after the other and 16 at once.
async fn measure_claims(store: &Arc<dyn Store>, account: AccountId, backlog: usize) -> Result<(), Failure> {
    const EACH: usize = 320;
    submit_all(store, account, (backlog + 2 * EACH).next_multiple_of(64), 64).await?;
    for workers in [1, 16] {
        let cpu = writer_cpu();
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..workers {
            let store = Arc::clone(store);
            tasks.spawn(async move {
                for _ in 0..EACH / workers {
                    store.claim(claim(), now()).await?.ok_or("nothing to claim")?;
                }
                Ok::<_, Failure>(())
            });
        }
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        let rate = per_second(EACH, started.elapsed());
        let cpu = micros(writer_cpu().saturating_sub(cpu), EACH);
        println!(
            "claims, {workers:>2} workers, {backlog:>6} more {rate:>8.0} /s, {cpu:>5.0} µs of the writer each"
        );
    }
    drain(store.as_ref()).await
}

/// Claims and finishes everything.
async fn drain(store: &dyn Store) -> Result<(), Failure> {
    loop {
        let claims: Vec<_> = (0..256).map(|_| store.claim(claim(), now())).collect();
        let claims = futures_util::future::try_join_all(claims).await?;
        let outcomes = claims.into_iter().flatten().map(|claimed| {
            let failure = kinora_domain::Failure {
                code: kinora_domain::FailureCode::EngineFailed,
                message: "It was only measured.".to_owned(),
            };
            store.finish(
                claimed.lease,
                Outcome::Failed {
                    failure,
                    retry_at: None,
                },
                now(),
            )
        });
        if futures_util::future::try_join_all(outcomes).await?.is_empty() {
            return Ok(());
        }
    }
}

async fn measure_reads(store: &dyn Store, account: AccountId) -> Result<(), Failure> {
    const READS: usize = 100_000;
    let Submitted::Created(generation) = store.submit(submission(account), now()).await? else {
        return Err("not created".into());
    };
    let started = Instant::now();
    for _ in 0..READS {
        store.key_by_hash([7; 32]).await?.ok_or("no key")?;
        store.generation(generation.id).await?.ok_or("no generation")?;
    }
    println!(
        "key and generation       {:>10.1} µs",
        micros(started.elapsed(), READS)
    );
    let started = Instant::now();
    for _ in 0..READS {
        store.balance(account, now()).await?;
    }
    println!(
        "balance                  {:>10.1} µs",
        micros(started.elapsed(), READS)
    );
    Ok(())
}

fn submission(account: AccountId) -> Submission {
    Submission {
        id: GenerationId::new(now(), rand::random()),
        account,
        model: Model::WanVideo,
        offer: OfferId("wan".to_owned()),
        spec: GenerationSpec {
            feature: Feature::TextImage,
            workflow: Workflow::Text { audio: None },
            prompt: Some("Fog over a harbour at dawn, gulls, a slow pan to the left".to_owned()),
            negative_prompt: None,
            aspect_ratio: None,
            resolution: Resolution::P720,
            duration_s: 5,
            prompt_expansion: true,
            seed: Seed::from_entropy(rand::random()),
            n: 1,
        },
        price: Credits(50),
        priority: 0,
        deadline: now().plus_ms(3_600_000),
        queued_max: u32::MAX,
        idempotency: None,
        webhook_url: None,
    }
}

fn claim() -> Claim {
    Claim {
        worker: WorkerId::new(now(), 1),
        offers: vec![OfferId("wan".to_owned())],
        lease_ms: 60_000,
        running_max: u32::MAX,
    }
}

/// How long the writer has been computing; the rates above also wait for the disk and for whoever else computes.
/// Zero where the system does not tell.
fn writer_cpu() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    threads
        .map(|thread| thread.path())
        .filter(|thread| {
            std::fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.trim() == "store-writer")
        })
        .filter_map(|thread| std::fs::read_to_string(thread.join("schedstat")).ok())
        .filter_map(|stat| stat.split_whitespace().next()?.parse().ok())
        .map(Duration::from_nanos)
        .sum()
}

fn per_second(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

fn millis(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1e3
}

fn micros(elapsed: Duration, count: usize) -> f64 {
    elapsed.as_secs_f64() * 1e6 / count as f64
}

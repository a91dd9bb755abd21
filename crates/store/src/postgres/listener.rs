//! Hears what other processes have changed, and tells them what this one has.
//!
//! Rings are told after their commit, on a connection of their own, as many at once as have come together. Told inside
//! of a transaction they would make all commits of the database wait for each other: PostgreSQL holds one lock from
//! before such a commit until it is on disk. What is lost when a process ends between the two, or a connection breaks,
//! is made up for by a slow look around.

use std::{
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::Duration,
};

use kinora_domain::GenerationId;
use sqlx::{
    Executor, PgPool, Row,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::sync::mpsc::UnboundedReceiver;

use super::url::PostgresUrl;
use crate::{
    Relocation, Result, StoreError,
    bells::{Bells, Rings},
    moving::Departure,
};

/// How long what nobody told may go unnoticed.
pub(crate) const LOOK_AROUND: Duration = Duration::from_secs(5);

/// How long to wait before a connection is tried again.
const RECONNECT: Duration = Duration::from_millis(250);

/// PostgreSQL takes less than 8,000 bytes at once.
const PAYLOAD_MAX: usize = 7_900;

/// Stands for "something, and nobody knows what".
const EVERYTHING: &str = "*";

/// The thread that listens and tells. It ends when nobody is left who could tell it anything.
pub(super) struct Listener {
    thread: Option<JoinHandle<()>>,
}

/// What the thread needs.
pub(super) struct Ears {
    pub(super) options: PgConnectOptions,
    /// One for each installation of a database.
    pub(super) channel: String,
    pub(super) bells: Arc<Bells>,
    /// Told when the installation has moved away.
    pub(super) departure: Arc<Departure>,
    pub(super) database: PostgresUrl,
    pub(super) told: UnboundedReceiver<Rings>,
}

impl Listener {
    pub(super) fn start(ears: Ears) -> Result<Listener> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StoreError::database("start its listener"))?;
        let thread = thread::Builder::new()
            .name("store-listener".to_owned())
            .spawn(move || runtime.block_on(ears.listen_and_tell()))
            .map_err(StoreError::database("start its listener"))?;
        Ok(Listener { thread: Some(thread) })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Ears {
    async fn listen_and_tell(self) {
        let Ears {
            options,
            channel,
            bells,
            departure,
            database,
            mut told,
        } = self;
        // One connection listens and one tells. Both are made anew when they break.
        let pool = PgPoolOptions::new()
            .max_connections(2)
            .min_connections(0)
            .acquire_timeout(Duration::from_secs(5))
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        let origin = format!("{:016x}", rand::random::<u64>());
        let listening = tokio::spawn(listen(
            pool.clone(),
            channel.clone(),
            origin.clone(),
            Arc::clone(&bells),
        ));
        let mut seen = None;
        let mut look_around = tokio::time::interval(LOOK_AROUND);
        look_around.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                first = told.recv() => {
                    let Some(mut rings) = first else { break };
                    while let Ok(more) = told.try_recv() {
                        rings.merge(more);
                    }
                    let payload = format!("{origin} {}", written(&rings));
                    let tell = sqlx::query("SELECT pg_notify($1, $2)").bind(&channel).bind(payload);
                    if let Err(error) = pool.execute(tell).await {
                        tracing::debug!(%error, "Other processes were not told of a change; they will see it");
                    }
                }
                _ = look_around.tick() => {
                    let now = glance(&pool).await.ok();
                    if now.is_none() || now != seen {
                        if now.as_ref().is_some_and(|now| now.moves)
                            && let Ok(Some(to)) = left_for(&pool).await
                        {
                            departure.hear(Relocation::Left(to), &database);
                        }
                        bells.ring_all();
                    }
                    seen = now;
                }
            }
        }
        listening.abort();
    }
}

/// What tells whether something has changed.
#[derive(PartialEq, Eq)]
struct Glance {
    /// Grows with every transaction that writes anything anywhere in the server.
    snapshot: String,
    /// Whether something is said about the installation's moving.
    moves: bool,
}

async fn glance(pool: &PgPool) -> sqlx::Result<Glance> {
    let row = pool
        .fetch_one("SELECT pg_current_snapshot()::text, to_regclass('relocation') IS NOT NULL")
        .await?;
    Ok(Glance {
        snapshot: row.try_get(0)?,
        moves: row.try_get(1)?,
    })
}

/// Where the installation has gone, if it has.
async fn left_for(pool: &PgPool) -> sqlx::Result<Option<String>> {
    let row = pool
        .fetch_optional("SELECT other FROM relocation WHERE state = 'left'")
        .await?;
    row.map(|row| row.try_get(0)).transpose()
}

/// Rings here what is told elsewhere, for ever.
async fn listen(pool: PgPool, channel: String, origin: String, bells: Arc<Bells>) {
    let is_told = std::sync::atomic::AtomicBool::new(false);
    loop {
        match listen_once(&pool, &channel, &origin, &bells).await {
            Ok(()) => {}
            Err(error) if !is_told.swap(true, Ordering::Relaxed) => {
                tracing::warn!(%error, "PostgreSQL's messages cannot be heard; this is tried again until they are");
            }
            Err(error) => tracing::debug!(%error, "PostgreSQL's messages still cannot be heard"),
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

/// Until the connection breaks.
async fn listen_once(pool: &PgPool, channel: &str, origin: &str, bells: &Bells) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(channel).await?;
    // Whatever was told while nobody listened.
    bells.ring_all();
    while let Some(heard) = listener.try_recv().await? {
        let Some((from, payload)) = heard.payload().split_once(' ') else {
            continue;
        };
        // What this process has changed it has rung itself.
        if from != origin {
            match read(payload) {
                Some(rings) => bells.ring(rings),
                None => bells.ring_all(),
            }
        }
    }
    Ok(())
}

/// Rings as a text that fits into a message.
fn written(rings: &Rings) -> String {
    let Rings {
        generations,
        queue,
        deliveries,
        workers,
    } = rings;
    let mut text = String::new();
    text.push(if *queue { 'q' } else { '-' });
    text.push(if *deliveries { 'd' } else { '-' });
    text.push(if *workers { 'w' } else { '-' });
    for id in generations {
        if text.len() > PAYLOAD_MAX {
            return EVERYTHING.to_owned();
        }
        text.push(' ');
        text.push_str(&id.to_string());
    }
    text
}

/// The rings in such a text; `None` is everything.
fn read(text: &str) -> Option<Rings> {
    let mut words = text.split(' ');
    let bells = words.next()?;
    if bells == EVERYTHING {
        return None;
    }
    Some(Rings {
        generations: words
            .map(str::parse::<GenerationId>)
            .collect::<Result<_, _>>()
            .ok()?,
        queue: bells.contains('q'),
        deliveries: bells.contains('d'),
        workers: bells.contains('w'),
    })
}

#[cfg(test)]
mod tests {
    use kinora_domain::Timestamp;

    use super::*;

    #[test]
    fn messages_read_back_or_mean_everything() {
        let ids = |count| {
            (0..count)
                .map(|n| GenerationId::new(Timestamp(1), n))
                .collect::<Vec<_>>()
        };
        for (queue, deliveries, workers, count) in [
            (false, true, false, 0),
            (true, false, true, 3),
            (true, true, true, 200),
        ] {
            let rings = Rings {
                generations: ids(count),
                queue,
                deliveries,
                workers,
            };
            let text = written(&rings);
            assert!(text.len() < 7_960, "{}", text.len());
            let back = read(&text).unwrap();
            assert_eq!(
                (back.generations, back.queue, back.deliveries, back.workers),
                (rings.generations, queue, deliveries, workers)
            );
        }
        let many = Rings {
            generations: ids(1000),
            ..Rings::default()
        };
        assert!(read(&written(&many)).is_none());
        assert!(read("of a later version").is_none());
    }
}

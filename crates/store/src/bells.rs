//! Who waits for what: watchers of single generations, and workers that wait for work.
//!
//! Bells are rung after the commit, never before: whoever hears one and reads finds the change.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kinora_domain::GenerationId;
use tokio::sync::{Notify, watch};

/// What one transaction has to ring once it is committed.
#[derive(Debug, Default, Clone)]
pub(crate) struct Rings {
    /// Generations of which something visible has changed.
    pub generations: Vec<GenerationId>,
    /// Whether something may have become claimable.
    pub queue: bool,
    /// Whether a delivery may have become due.
    pub deliveries: bool,
    /// Whether a worker has come, gone, or been told something.
    pub workers: bool,
}

impl Rings {
    /// Whether there is nothing to ring.
    pub(crate) fn is_empty(&self) -> bool {
        self.generations.is_empty() && !self.queue && !self.deliveries && !self.workers
    }

    /// Adds what another transaction rings.
    pub(crate) fn merge(&mut self, other: Rings) {
        self.generations.extend(other.generations);
        self.queue |= other.queue;
        self.deliveries |= other.deliveries;
        self.workers |= other.workers;
    }
}

/// The bells of one process.
#[derive(Debug, Default)]
pub(crate) struct Bells {
    watchers: Mutex<Watchers>,
    queue: Arc<Notify>,
    deliveries: Arc<Notify>,
    workers: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Watchers {
    senders: HashMap<GenerationId, watch::Sender<u64>>,
    /// How large the map may grow before the abandoned are looked for. Doubled with what is left, so that
    /// looking costs a constant for each new watcher.
    prune_at: usize,
}

impl Bells {
    /// A receiver that changes with the generation.
    pub(crate) fn watch(&self, id: GenerationId) -> watch::Receiver<u64> {
        let mut watchers = self.lock();
        if watchers.senders.len() >= watchers.prune_at {
            watchers.senders.retain(|_, sender| sender.receiver_count() > 0);
            watchers.prune_at = (watchers.senders.len() * 2).max(64);
        }
        watchers
            .senders
            .entry(id)
            .or_insert_with(|| watch::Sender::new(0))
            .subscribe()
    }

    /// The bell of the queue.
    pub(crate) fn queue(&self) -> Arc<Notify> {
        Arc::clone(&self.queue)
    }

    /// The bell of the outbox.
    pub(crate) fn deliveries(&self) -> Arc<Notify> {
        Arc::clone(&self.deliveries)
    }

    /// A receiver that changes with the workers.
    pub(crate) fn workers(&self) -> watch::Receiver<u64> {
        self.workers.subscribe()
    }

    /// Rings what a commit has changed.
    pub(crate) fn ring(&self, rings: Rings) {
        if !rings.generations.is_empty() {
            let mut watchers = self.lock();
            for id in rings.generations {
                let abandoned = watchers.senders.get(&id).is_some_and(|sender| {
                    sender.send_modify(step);
                    sender.receiver_count() == 0
                });
                if abandoned {
                    watchers.senders.remove(&id);
                }
            }
        }
        if rings.queue {
            ring(&self.queue);
        }
        if rings.deliveries {
            ring(&self.deliveries);
        }
        if rings.workers {
            self.workers.send_modify(step);
        }
    }

    /// Rings everything: another process has changed something, but nobody knows what.
    pub(crate) fn ring_all(&self) {
        self.lock()
            .senders
            .values()
            .for_each(|sender| sender.send_modify(step));
        ring(&self.queue);
        ring(&self.deliveries);
        self.workers.send_modify(step);
    }

    /// The map is whole after every statement, so that a panic elsewhere under the lock does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Watchers> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes all who wait, and the next one who comes: it may have looked just before the commit.
fn ring(bell: &Notify) {
    bell.notify_waiters();
    bell.notify_one();
}

fn step(value: &mut u64) {
    *value = value.wrapping_add(1);
}

#[cfg(test)]
mod tests {
    use kinora_domain::Timestamp;

    use super::*;

    fn id(n: u128) -> GenerationId {
        GenerationId::new(Timestamp(1), n)
    }

    #[test]
    fn the_watched_generation_alone_is_rung() {
        let bells = Bells::default();
        let (mut a, mut a_too, b) = (bells.watch(id(1)), bells.watch(id(1)), bells.watch(id(2)));
        bells.ring(Rings {
            generations: vec![id(1), id(3)],
            ..Rings::default()
        });
        let changed = |receiver: &watch::Receiver<u64>| receiver.has_changed().unwrap();
        assert!(changed(&a) && changed(&a_too) && !changed(&b));
        a.mark_unchanged();
        a_too.mark_unchanged();
        bells.ring_all();
        assert!(changed(&a) && changed(&a_too) && changed(&b));
    }

    #[test]
    fn the_abandoned_are_forgotten() {
        let bells = Bells::default();
        let kept = bells.watch(id(0));
        for n in 1..10_000 {
            drop(bells.watch(id(n)));
        }
        assert!(bells.lock().senders.len() <= 130);
        let rung = bells.watch(id(7));
        drop(rung);
        bells.ring(Rings {
            generations: vec![id(0), id(7)],
            ..Rings::default()
        });
        assert!(!bells.lock().senders.contains_key(&id(7)));
        assert!(kept.has_changed().unwrap());
    }
}

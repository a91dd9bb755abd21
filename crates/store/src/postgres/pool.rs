//! The threads that ask PostgreSQL, each with a session of its own, and the queue of what they are to ask.
//!
//! A statement is a question and an answer: a thread that waits for it on its own connection needs no other thread to
//! wake it. A transaction of a dozen statements would otherwise change threads two dozen times.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

use super::session::{Session, Shared};
use crate::{Result, StoreError};

type Job = Box<dyn FnOnce(&mut Session) + Send>;

/// The threads. Dropping it finishes everything that waits.
pub(super) struct Pool {
    /// `None` only while it is dropped.
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts `size` threads.
    pub(super) fn start(shared: &Arc<Shared>, size: usize) -> Result<Pool> {
        let (jobs, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let mut pool = Pool {
            jobs: Some(jobs),
            threads: Vec::new(),
        };
        for _ in 0..size.max(1) {
            let mut session = Session::new(Arc::clone(shared))?;
            let waiting = Arc::clone(&waiting);
            let thread = thread::Builder::new()
                .name("store-postgres".to_owned())
                .spawn(move || work(&mut session, &waiting))
                .map_err(StoreError::database("start a thread for it"))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Has `question` asked. It is in the queue when this returns, whether or not anyone waits for the answer.
    pub(super) fn ask<T, F>(&self, question: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&mut Session) -> Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |session| {
            // Whoever asked may have stopped waiting; what is committed stays committed.
            let _ = answer.send(question(session));
        });
        // A job that cannot be sent is dropped with its end of the channel, which says that the store is closed.
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(job);
        }
        async { answered.await.unwrap_or(Err(StoreError::Closed)) }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A panic of the thread itself has already been printed, and there is nobody left to answer.
            let _ = thread.join();
        }
    }
}

/// Takes one job after the other. Who waits for one holds the queue; the others wait for the queue.
fn work(session: &mut Session, waiting: &Mutex<Receiver<Job>>) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(job) => job(session),
            Err(_) => return,
        }
    }
}

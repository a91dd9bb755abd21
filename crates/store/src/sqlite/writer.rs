//! The one thread that writes. It commits whatever waits with one fsync, and answers afterwards.
//!
//! An fsync takes as long as twenty submits, so submits that arrive while one is under way share the next. Each
//! still stands for itself: it runs inside a savepoint of its own, and one that fails takes back nothing but its
//! own rows. The thread also notices when another process has written to the same file.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, config::DbConfig};
use tokio::sync::oneshot;

use super::OTHERS_POLL;
use crate::{
    CrashHook, CrashPoint, Result, StoreError, TransactionName,
    bells::{Bells, Rings},
    error::panic_message,
    moving::Departure,
    sql::Sql,
};

/// The most transactions of one commit: enough to make the fsync cheap, few enough to keep the first from waiting.
const BATCH_MAX: usize = 256;

/// The writing end of a store. Dropping it finishes everything that waits.
pub(super) struct Writer {
    /// `None` only while it is dropped.
    jobs: Option<Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(writing: WriterThread) -> Result<Writer> {
        let (jobs, waiting) = channel();
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writing.run(&waiting))
            .map_err(StoreError::database("start its writer"))?;
        Ok(Writer {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Runs `work` in a transaction. The answer comes when it is safely on disk, or rolled back. It is in the
    /// queue when this returns, whether or not anyone waits for the answer.
    pub(super) fn write<T, F>(
        &self,
        name: TransactionName,
        work: F,
    ) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: Fn(&dyn Sql, &mut Rings) -> Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Work {
            name,
            work,
            outcome: None,
            answer,
        });
        // A job that cannot be sent is dropped with its end of the channel, which says that the store is closed.
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(job);
        }
        async { answered.await.unwrap_or(Err(StoreError::Closed)) }
    }

    /// Whether the thread can still write.
    pub(super) fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread itself has already been printed, and there is nobody left to answer.
            let _ = thread.join();
        }
    }
}

/// One transaction on its way through the thread.
trait Job: Send {
    fn name(&self) -> TransactionName;
    /// Does the work. False asks for its savepoint to be rolled back.
    fn run(&mut self, connection: &Connection, rings: &mut Rings) -> bool;
    /// Replaces its outcome: the commit that was to carry it has failed.
    fn fail(&mut self, error: StoreError);
    /// Tells who waits.
    fn answer(self: Box<Self>);
}

struct Work<T, F> {
    name: TransactionName,
    work: F,
    outcome: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
}

impl<T, F> Job for Work<T, F>
where
    T: Send,
    F: Fn(&dyn Sql, &mut Rings) -> Result<T> + Send,
{
    fn name(&self) -> TransactionName {
        self.name
    }

    fn run(&mut self, connection: &Connection, rings: &mut Rings) -> bool {
        // Nothing of the work outlives a panic: its rows are rolled back and its rings are dropped.
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.work)(connection, rings)))
            .unwrap_or_else(|panic| Err(StoreError::Panicked(panic_message(panic.as_ref()))));
        self.outcome
            .insert(outcome.map_err(StoreError::or_sealed))
            .is_ok()
    }

    fn fail(&mut self, error: StoreError) {
        self.outcome = Some(Err(error));
    }

    fn answer(self: Box<Self>) {
        // Whoever asked may have stopped waiting; what is committed stays committed.
        let _ = self.answer.send(self.outcome.unwrap_or(Err(StoreError::Closed)));
    }
}

/// What the thread works with.
pub(super) struct WriterThread {
    pub(super) connection: Connection,
    /// The file, for messages.
    pub(super) database: PathBuf,
    pub(super) bells: Arc<Bells>,
    /// Told when the installation has moved away.
    pub(super) departure: Arc<Departure>,
    pub(super) crash: Option<CrashHook>,
}

/// The test's process has died; the thread ends at once.
struct Crashed;

impl WriterThread {
    fn run(self, waiting: &Receiver<Box<dyn Job>>) {
        let mut data_version = self.data_version();
        loop {
            let first = match waiting.recv_timeout(OTHERS_POLL) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            // The number changes with the commits of other connections, never with this one's.
            let now = self.data_version();
            if now != data_version {
                data_version = now;
                self.departure.look(&self.connection, &self.database.display());
                self.bells.ring_all();
            }
            let Some(first) = first else { continue };
            let batch: Vec<_> = std::iter::once(first)
                .chain(waiting.try_iter().take(BATCH_MAX - 1))
                .collect();
            if self.commit(batch).is_err() {
                self.die();
                return;
            }
        }
        if let Err(error) = self.connection.pragma_update(None, "wal_checkpoint", "TRUNCATE") {
            tracing::warn!(%error, "The database's log could not be folded into its file; the next start will");
        }
    }

    /// Runs a batch in one transaction, each job in its savepoint, then commits, rings and answers.
    fn commit(&self, mut batch: Vec<Box<dyn Job>>) -> Result<(), Crashed> {
        let committed = self.try_commit(&mut batch)?;
        match committed {
            Ok(rings) => {
                for job in &batch {
                    self.crash_at(CrashPoint::AfterCommit(job.name()))?;
                }
                self.bells.ring(rings);
            }
            Err(error) => {
                // A failed commit leaves the transaction open at times, and at times it does not.
                if !self.connection.is_autocommit() {
                    let _ = self.connection.execute_batch("ROLLBACK");
                }
                let error = Arc::new(error);
                for job in &mut batch {
                    job.fail(StoreError::Database {
                        operation: "commit",
                        source: Arc::clone(&error).into(),
                    });
                }
            }
        }
        batch.into_iter().for_each(Job::answer);
        Ok(())
    }

    fn try_commit(&self, batch: &mut [Box<dyn Job>]) -> Result<rusqlite::Result<Rings>, Crashed> {
        let mut rings = Rings::default();
        if let Err(error) = self.statement("BEGIN IMMEDIATE") {
            return Ok(Err(error));
        }
        for job in batch.iter_mut() {
            if let Err(error) = self.run_job(job.as_mut(), &mut rings) {
                return Ok(Err(error));
            }
        }
        for job in batch.iter() {
            self.crash_at(CrashPoint::BeforeCommit(job.name()))?;
        }
        Ok(self.statement("COMMIT").map(|()| rings))
    }

    fn run_job(&self, job: &mut dyn Job, rings: &mut Rings) -> rusqlite::Result<()> {
        self.statement("SAVEPOINT job")?;
        let mut own = Rings::default();
        if job.run(&self.connection, &mut own) {
            rings.merge(own);
        } else {
            // Fails where SQLite has given up the whole transaction, for a full disk say: then nothing of the
            // batch is left, and nobody may be told otherwise.
            self.statement("ROLLBACK TO job")?;
        }
        self.statement("RELEASE job")
    }

    fn statement(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }

    /// `None` where it cannot be asked; a database that is really broken shows with the next transaction.
    fn data_version(&self) -> Option<i64> {
        let mut statement = self.connection.prepare_cached("PRAGMA data_version").ok()?;
        statement.query_row([], |row| row.get(0)).ok()
    }

    fn crash_at(&self, point: CrashPoint) -> Result<(), Crashed> {
        match &self.crash {
            Some(crash) if crash(point) => Err(Crashed),
            _ => Ok(()),
        }
    }

    /// Leaves the files as a killed process would: the open transaction is lost and the log is not folded in.
    fn die(self) {
        let _ = self
            .connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }
}

//! One thread's connection: made when it is needed, made anew when it is lost, and what runs on it.
//!
//! A transaction that the database took back for the sake of another one is tried again, and so is one whose
//! connection was lost before its commit: nothing of it is left. Where the answer to a commit was lost nobody knows what
//! became of it, and the error says so.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sqlx::{
    Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgSeverity},
};
use tokio::{runtime::Runtime, sync::mpsc::UnboundedSender, time::timeout};

use super::{
    connection::{Connection, Texts},
    url::PostgresUrl,
};
use crate::{
    CrashHook, CrashPoint, Result, StoreError, TransactionName,
    bells::{Bells, Rings},
    error::panic_message,
    moving::Departure,
    sql::{Sql, SqlError},
};

/// How often a transaction is tried that others have got in the way of.
const TRIES_MAX: u32 = 12;

/// How long a statement of a transaction may take. Locks are waited for less long than that.
const STATEMENT_PATIENCE: Duration = Duration::from_secs(60);

/// How long a question may take that reads much, such as the audit.
const SEARCH_PATIENCE: Duration = Duration::from_secs(1800);

/// How long one attempt to connect may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// What all sessions of a store share.
pub(super) struct Shared {
    pub(super) url: PostgresUrl,
    /// As the URL says, and what every session needs.
    pub(super) options: PgConnectOptions,
    /// How long a database that cannot be reached is waited for.
    pub(super) patience: Duration,
    /// Since when it cannot be reached, as far as anybody has tried.
    pub(super) absent_since: Mutex<Option<Instant>>,
    pub(super) bells: Arc<Bells>,
    /// Told when the installation has moved away.
    pub(super) departure: Arc<Departure>,
    /// To where other processes are told what has changed.
    pub(super) told: UnboundedSender<Rings>,
    pub(super) crash: Option<CrashHook>,
    /// The test's process has died.
    pub(super) is_dead: AtomicBool,
}

/// One connection and the thread that drives it.
pub(crate) struct Session {
    shared: Arc<Shared>,
    runtime: Runtime,
    connection: Option<PgConnection>,
    texts: Texts,
}

/// How a try ended.
enum Tried<T> {
    /// With an answer.
    Done(Result<T>),
    /// With nothing kept, and another try may go better; by then the connection may be a new one.
    Again(StoreError),
    /// With the death of the test's process.
    Died,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>) -> Result<Session> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StoreError::database("start a thread for it"))?;
        Ok(Session {
            shared,
            runtime,
            connection: None,
            texts: Texts::default(),
        })
    }

    /// Runs `work` in a transaction.
    pub(super) fn write<T>(
        &mut self,
        name: TransactionName,
        work: impl Fn(&dyn Sql, &mut Rings) -> Result<T>,
    ) -> Result<T> {
        self.persist(|session| session.try_write(name, &work))
    }

    /// Answers a question out of one statement, or several.
    pub(super) fn look<T>(&mut self, question: impl Fn(&dyn Sql) -> Result<T>) -> Result<T> {
        self.persist(|session| session.try_read(STATEMENT_PATIENCE, |sql| question(sql)))
    }

    /// Answers a question out of what the database is at one moment.
    pub(super) fn search<T>(&mut self, question: impl Fn(&dyn Sql) -> Result<T>) -> Result<T> {
        self.persist(|session| {
            session.try_read(SEARCH_PATIENCE, |sql| {
                sql.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    .map_err(StoreError::database("begin to read"))?;
                let answer = question(sql);
                let ended = sql.run("ROLLBACK").map_err(StoreError::database("end a reading"));
                let answer = answer?;
                ended?;
                Ok(answer)
            })
        })
    }

    /// Runs statements that are no transaction of the store's.
    pub(crate) fn manage<T>(&mut self, work: impl Fn(&Connection<'_>) -> Result<T>) -> Result<T> {
        self.persist(|session| session.try_read(SEARCH_PATIENCE, &work))
    }

    /// Tries until there is an answer, or it makes no sense any more.
    fn persist<T>(&mut self, attempt: impl Fn(&mut Session) -> Tried<T>) -> Result<T> {
        let until = self.shared.patient_until();
        let mut tries = 0;
        loop {
            if self.shared.is_dead.load(Ordering::SeqCst) {
                self.connection = None;
                return Err(StoreError::Closed);
            }
            self.shared.departure.check()?;
            let is_old = self.connection.is_some();
            self.connect(until)?;
            let error = match attempt(self) {
                Tried::Done(answer) => return answer,
                Tried::Died => {
                    self.connection = None;
                    return Err(StoreError::Closed);
                }
                Tried::Again(error) => error,
            };
            let is_lost = is_lost(&error);
            if is_lost {
                self.connection = None;
            }
            tries += 1;
            match is_lost {
                // A connection may have been lost long ago, and says nothing about the database as it is now.
                true if is_old || Instant::now() < until => {}
                false if tries < TRIES_MAX => {}
                true | false => return Err(error),
            }
            tracing::debug!(error = %Chain(&error), tries, "A transaction is tried again");
            pause(tries);
        }
    }

    /// Sees to it that there is a connection.
    fn connect(&mut self, until: Instant) -> Result<()> {
        let mut tries = 0;
        while self.connection.is_none() {
            let connected = self.runtime.block_on(async {
                timeout(CONNECT_PATIENCE, PgConnection::connect_with(&self.shared.options)).await
            });
            let error = match connected {
                Ok(Ok(connection)) => {
                    self.connection = Some(connection);
                    self.shared.is_there(true);
                    return Ok(());
                }
                Ok(Err(error)) => SqlError::from(error),
                Err(_) => SqlError::Silent(CONNECT_PATIENCE.as_secs()),
            };
            if error.is_absence() {
                self.shared.is_there(false);
            }
            if !error.is_absence() || Instant::now() >= until {
                return Err(StoreError::Open {
                    database: self.shared.url.to_string(),
                    source: error.into(),
                });
            }
            tries += 1;
            pause(tries.min(6));
        }
        Ok(())
    }

    fn try_write<T>(
        &mut self,
        name: TransactionName,
        work: &impl Fn(&dyn Sql, &mut Rings) -> Result<T>,
    ) -> Tried<T> {
        let shared = Arc::clone(&self.shared);
        let Some(sql) = self.sql(STATEMENT_PATIENCE) else {
            return Tried::Done(Err(StoreError::Closed));
        };
        if let Err(error) = sql.run("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE") {
            return again(StoreError::database("begin")(error));
        }
        let mut rings = Rings::default();
        // Nothing of the work outlives a panic: its rows are rolled back and its rings are dropped.
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&sql, &mut rings)))
            .unwrap_or_else(|panic| Err(StoreError::Panicked(panic_message(panic.as_ref()))));
        let value = match outcome {
            Ok(value) => value,
            Err(error) => {
                let error = error.or_sealed();
                let is_rolled_back = sql.run("ROLLBACK").is_ok();
                if !is_rolled_back {
                    self.connection = None;
                }
                return again(error);
            }
        };
        if shared.dies_at(CrashPoint::BeforeCommit(name)) {
            return Tried::Died;
        }
        if let Err(error) = sql.run("COMMIT") {
            if is_refusal(&error) {
                return again(StoreError::database("commit")(error));
            }
            self.connection = None;
            return Tried::Done(Err(StoreError::Unsure { source: error.into() }));
        }
        if shared.dies_at(CrashPoint::AfterCommit(name)) {
            return Tried::Died;
        }
        if !rings.is_empty() {
            // A process that ends right here is made up for by the others' slow look around.
            let _ = shared.told.send(rings.clone());
            shared.bells.ring(rings);
        }
        Tried::Done(Ok(value))
    }

    fn try_read<T>(
        &mut self,
        patience: Duration,
        question: impl Fn(&Connection<'_>) -> Result<T>,
    ) -> Tried<T> {
        let Some(sql) = self.sql(patience) else {
            return Tried::Done(Err(StoreError::Closed));
        };
        let answer = catch_unwind(AssertUnwindSafe(|| question(&sql)))
            .unwrap_or_else(|panic| Err(StoreError::Panicked(panic_message(panic.as_ref()))));
        match answer {
            Ok(answer) => Tried::Done(Ok(answer)),
            Err(error) => {
                // Whatever it was in the middle of.
                self.connection = None;
                again(error)
            }
        }
    }

    fn sql(&mut self, patience: Duration) -> Option<Connection<'_>> {
        Some(Connection {
            runtime: &self.runtime,
            connection: RefCell::new(self.connection.as_mut()?),
            texts: &self.texts,
            patience,
        })
    }
}

impl Shared {
    /// Until when a call that is made now goes on trying. Once one has waited in vain, those that come after it do not
    /// wait as long anew: each has its one try.
    fn patient_until(&self) -> Instant {
        let absent_since = *self.absent_since.lock().unwrap_or_else(PoisonError::into_inner);
        absent_since.unwrap_or_else(Instant::now) + self.patience
    }

    /// Whether the database could be reached just now.
    fn is_there(&self, is_there: bool) {
        let mut absent_since = self.absent_since.lock().unwrap_or_else(PoisonError::into_inner);
        match is_there {
            true => *absent_since = None,
            false => _ = absent_since.get_or_insert_with(Instant::now),
        }
    }

    fn dies_at(&self, point: CrashPoint) -> bool {
        let dies = self.crash.as_ref().is_some_and(|crash| crash(point));
        if dies {
            self.is_dead.store(true, Ordering::SeqCst);
        }
        dies
    }
}

/// Another try, where that may help.
fn again<T>(error: StoreError) -> Tried<T> {
    match is_lost(&error) || is_in_the_way(&error) {
        true => Tried::Again(error),
        false => Tried::Done(Err(error)),
    }
}

/// Whether the connection is gone, with all that was not committed.
fn is_lost(error: &StoreError) -> bool {
    error.statement().is_some_and(SqlError::is_absence)
}

/// Whether the database took a transaction back because of another one: a deadlock, a lock waited for in vain.
fn is_in_the_way(error: &StoreError) -> bool {
    let code = error.statement().and_then(SqlError::postgres_code);
    code.is_some_and(|code| code.starts_with("40") || code == "55P03")
}

/// Whether the database says that a commit has failed. Everything else leaves that open.
fn is_refusal(error: &SqlError) -> bool {
    error
        .of_postgres()
        .is_some_and(|error| error.severity() == PgSeverity::Error)
}

/// Longer with every try, and never the same for two that are in each other's way.
fn pause(tries: u32) {
    let ms = 1u64 << tries.min(8);
    thread::sleep(Duration::from_millis(rand::random_range(ms / 2..=ms)));
}

/// An error with what is behind it, for a log line.
struct Chain<'e>(&'e StoreError);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        match self.0.statement() {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

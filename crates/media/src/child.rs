//! One confined ffmpeg: started, fed, read, timed and, whatever happens, ended.
//!
//! The child writes frames or facts to standard output; its last words are kept, within bounds. A watchdog kills it
//! when it makes its parent wait too long, so that plain blocking reads and writes are enough everywhere else.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fmt,
    io::{self, Read, Write},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{self, ChildStderr, ChildStdin, ChildStdout, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    problem::MediaDefect,
    sandbox::{REFUSAL_PREFIX, REFUSED},
    toolbox::{Toolbox, ToolboxError},
};

/// How much of a child's standard error is kept.
const LAST_WORDS_BYTES: usize = 4096;

/// What a child is asked to do, and which files it may touch for it.
pub(crate) struct Job {
    pub(crate) args: Vec<OsString>,
    pub(crate) read: Vec<PathBuf>,
    pub(crate) write: Vec<PathBuf>,
    pub(crate) feed: Feed,
    pub(crate) span: Span,
}

/// What the child finds on standard input.
pub(crate) enum Feed {
    Nothing,
    /// These bytes, written beside the reading.
    Bytes(Vec<u8>),
    /// What the parent writes, piece by piece.
    Pieces,
}

/// How long the job may keep the processor.
#[derive(Clone, Copy)]
pub(crate) enum Span {
    Probe,
    Stream,
}

/// A piece of a command line, split at spaces: readable where no word holds one.
pub(crate) fn words(text: &str) -> Vec<OsString> {
    text.split(' ').map(OsString::from).collect()
}

impl Job {
    pub(crate) fn probe<S: Into<OsString>>(args: impl IntoIterator<Item = S>) -> Self {
        Self {
            args: args.into_iter().map(Into::into).collect(),
            read: Vec::new(),
            write: Vec::new(),
            feed: Feed::Nothing,
            span: Span::Probe,
        }
    }
}

/// A running child. Dropping it kills it.
pub(crate) struct Child {
    shared: Arc<Shared>,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Option<ChildStdout>,
    last_words: Option<JoinHandle<Vec<u8>>>,
    wall: Duration,
}

struct Shared {
    process: Mutex<process::Child>,
    watch: Mutex<Watch>,
    changed: Condvar,
}

struct Watch {
    deadline: Option<Instant>,
    timed_out: bool,
    over: bool,
}

impl Child {
    /// Starts the child and its watchdog; no deadline is set yet.
    pub(crate) fn spawn(toolbox: &Toolbox, job: Job) -> Result<Self, ToolboxError> {
        let Job {
            args,
            read,
            write,
            feed,
            span,
        } = job;
        let cpu_seconds = match span {
            Span::Probe => toolbox.limits().probe_cpu_seconds,
            Span::Stream => toolbox.limits().stream_cpu_seconds,
        };
        let stdin = match feed {
            Feed::Nothing => Stdio::null(),
            Feed::Bytes(_) | Feed::Pieces => Stdio::piped(),
        };
        let confinement = toolbox.confinement(read, write, cpu_seconds);
        let mut process = toolbox
            .launcher()
            .command(&confinement, toolbox.ffmpeg(), args)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(ToolboxError::Spawn)?;
        let mut stdin = process.stdin.take();
        let stdout = process.stdout.take();
        let stderr = process.stderr.take();
        if let Feed::Bytes(bytes) = feed
            && let Some(mut pipe) = stdin.take()
        {
            // A child that stops reading early has what it needs, or fails by itself.
            thread::spawn(move || pipe.write_all(&bytes));
        }
        let last_words = stderr.map(|pipe| thread::spawn(move || keep_tail(pipe)));
        let shared = Arc::new(Shared {
            process: Mutex::new(process),
            watch: Mutex::new(Watch {
                deadline: None,
                timed_out: false,
                over: false,
            }),
            changed: Condvar::new(),
        });
        let watched = Arc::clone(&shared);
        thread::spawn(move || watched.watch());
        Ok(Self {
            shared,
            stdin,
            stdout,
            last_words,
            wall: toolbox.limits().wall,
        })
    }

    /// Runs a job to its end, handing its output to `sink` as it comes.
    pub(crate) fn run(
        toolbox: &Toolbox,
        job: Job,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<Ending, ToolboxError> {
        Self::run_until(toolbox, job, &mut |bytes| {
            sink(bytes);
            true
        })
        .map(|ending| ending.expect("a sink that always goes on never breaks the child off"))
    }

    /// As [`Child::run`], but `sink` may answer `false` to break off; then there is no ending.
    pub(crate) fn run_until(
        toolbox: &Toolbox,
        job: Job,
        sink: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<Option<Ending>, ToolboxError> {
        let mut child = Self::spawn(toolbox, job)?;
        child.start_clock();
        let mut stdout = child
            .stdout
            .take()
            .expect("a child is spawned with its output piped");
        let mut buffer = vec![0; 64 * 1024];
        // A read error of a pipe is its end: the exit status tells why.
        while let Ok(count @ 1..) = stdout.read(&mut buffer) {
            if !sink(&buffer[..count]) {
                return Ok(None);
            }
        }
        child.end().map(Some)
    }

    /// From now on the child has the toolbox's wall time to answer.
    pub(crate) fn start_clock(&self) {
        self.shared.set_deadline(Some(Instant::now() + self.wall));
    }

    /// The child waits for us now, not we for it.
    pub(crate) fn stop_clock(&self) {
        self.shared.set_deadline(None);
    }

    /// Closes the pipes, waits for the end within the wall time, and tells how it ended.
    pub(crate) fn end(&mut self) -> Result<Ending, ToolboxError> {
        self.start_clock();
        self.end_at_leisure()
    }

    /// As [`Child::end`], but only the child's processor time bounds the wait.
    pub(crate) fn end_at_leisure(&mut self) -> Result<Ending, ToolboxError> {
        drop(self.stdin.take());
        drop(self.stdout.take());
        let status = self.shared.wait().map_err(ToolboxError::Spawn)?;
        let timed_out = self.shared.close();
        let last_words = self
            .last_words
            .take()
            .and_then(|words| words.join().ok())
            .unwrap_or_default();
        let last_words = String::from_utf8_lossy(&last_words).trim().to_owned();
        Ending::of(status, timed_out, last_words)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.shared.close();
        let mut process = lock(&self.shared.process);
        // Both fail only when the child is gone already.
        let _ = process.kill();
        let _ = process.wait();
    }
}

impl Shared {
    fn set_deadline(&self, deadline: Option<Instant>) {
        lock(&self.watch).deadline = deadline;
        self.changed.notify_one();
    }

    /// Ends the watch; tells whether it had to kill.
    fn close(&self) -> bool {
        let mut watch = lock(&self.watch);
        watch.over = true;
        self.changed.notify_one();
        watch.timed_out
    }

    /// Kills the child when a deadline passes.
    fn watch(&self) {
        let mut watch = lock(&self.watch);
        while !watch.over {
            let now = Instant::now();
            watch = match watch.deadline {
                Some(deadline) if deadline <= now => {
                    watch.timed_out = true;
                    // Fails only when the child is gone already.
                    let _ = lock(&self.process).kill();
                    return;
                }
                Some(deadline) => {
                    let waited = self.changed.wait_timeout(watch, deadline - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(watch).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Waits by asking: a blocking wait would hold the lock the watchdog needs to kill.
    fn wait(&self) -> io::Result<ExitStatus> {
        let mut pause = Duration::from_micros(200);
        loop {
            if let Some(status) = lock(&self.process).try_wait()? {
                return Ok(status);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }
}

/// How a child ended.
#[derive(Debug)]
pub(crate) enum Ending {
    Success,
    /// It gave up; its last words.
    Failed(String),
    /// It was killed for making us wait, or by a resource limit.
    Exhausted,
}

impl Ending {
    fn of(status: ExitStatus, timed_out: bool, last_words: String) -> Result<Self, ToolboxError> {
        if status.code() == Some(i32::from(REFUSED))
            && let Some(at) = last_words.find(REFUSAL_PREFIX)
        {
            let reason = last_words[at + REFUSAL_PREFIX.len()..].to_owned();
            return Err(ToolboxError::Sandbox { reason });
        }
        Ok(match status.signal() {
            _ if timed_out => Self::Exhausted,
            Some(libc::SIGXCPU | libc::SIGKILL | libc::SIGXFSZ) => Self::Exhausted,
            Some(signal) => Self::Failed(format!("ended by signal {signal}: {last_words}")),
            None if status.success() => Self::Success,
            None if last_words.contains("Cannot allocate memory") => Self::Exhausted,
            None => Self::Failed(last_words),
        })
    }

    /// What this ending says about the user's medium the child was decoding.
    pub(crate) fn defect(&self) -> Option<MediaDefect> {
        match self {
            Self::Success => None,
            Self::Failed(_) => Some(MediaDefect::Undecodable),
            Self::Exhausted => Some(MediaDefect::TooExpensive),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("it ended well"),
            Self::Failed(last_words) => f.write_str(last_words),
            Self::Exhausted => f.write_str("it used up its time or memory"),
        }
    }
}

fn keep_tail(mut pipe: ChildStderr) -> Vec<u8> {
    let mut tail = VecDeque::new();
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        tail.extend(&buffer[..count]);
        let excess = tail.len().saturating_sub(LAST_WORDS_BYTES);
        tail.drain(..excess);
    }
    tail.into()
}

/// A thread that panicked while holding one of these locks leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! A task, from handing it over to its clip, over any number of attempts.
//!
//! The note about a clip says where it stands, and is on disk before the step it announces:
//!
//! | note | what is known | what an attempt does that finds it |
//! |---|---|---|
//! | none, `idle` | nothing was handed over, or it was refused | hands it over |
//! | `sending` | it was being handed over | gives up: [`EngineError::InDoubt`] |
//! | `task ID`, and the prompt on further lines where it is not the spec's | it works there under this name | asks for it by its name |
//!
//! `sending` is the one window that no order of writing closes: the server may have taken the work, and its answer was
//! lost. These servers have no key under which a second submission would be the same as the first, and no list in which
//! a task could be found. Submitting again may be paid for twice, and by whom nobody would know; so the generation
//! fails, its hold is released, and what the work may have cost is ours to bear.

use std::{
    future::Future,
    ops::ControlFlow,
    path::Path,
    time::{Duration, Instant},
};

use kinora_domain::{GenerationSpec, Stage};
use kinora_media::fetch::FetchError;
use tracing::{info, warn};

use super::http::{CallError, Caller};
use crate::{ClipSink, Cost, EngineError, EngineProgress, Halt, Inputs, Made, NoteError};

/// The largest result that is copied: fifteen seconds at 1080p take a tenth of it.
pub(crate) const RESULT_BYTES_MAX: u64 = 512 << 20;

/// A server that works on tasks.
pub(crate) trait Service {
    /// A task, ready to be handed over.
    type Order;

    /// How it is asked.
    fn caller(&self) -> &Caller;
    /// How often it is asked.
    fn poll(&self) -> Duration;
    /// Everything that may fail for the inputs' sake, done before anything is begun.
    fn prepare(&self, spec: &GenerationSpec, inputs: &Inputs) -> Result<Self::Order, EngineError>;
    /// The prompt of an order, where it is not the spec's.
    fn sent_prompt(&self, order: &Self::Order) -> Option<String>;
    /// Hands it over, once; the task's name.
    fn submit(&self, order: Self::Order) -> impl Future<Output = Result<String, NotSubmitted>>;
    /// Where a task stands.
    fn look(&self, task: &str) -> impl Future<Output = Look>;
    /// Copies the result of a task that is done.
    fn fetch(&self, task: &str, done: &Done, into: &Path) -> impl Future<Output = Result<(), FetchError>>;
    /// Ends a task whose clip nobody wants, as far as it can be ended.
    fn cancel(&self, task: &str) -> impl Future<Output = Result<(), String>>;
}

/// Why a task has no name.
#[derive(Debug)]
pub(crate) enum NotSubmitted {
    /// It was refused, or never arrived.
    NotBegun(EngineError),
    /// It may have been begun.
    InDoubt(String),
}

impl From<CallError> for NotSubmitted {
    fn from(error: CallError) -> NotSubmitted {
        match error {
            CallError::NotSent(detail) => NotSubmitted::NotBegun(EngineError::Unavailable { detail }),
            CallError::Unanswered(detail) => NotSubmitted::InDoubt(detail),
        }
    }
}

/// Where a task stands.
#[derive(Debug)]
pub(crate) enum Look {
    /// It waits there.
    Waiting,
    /// It is worked on; how much is behind, where the server tells.
    Working(Option<f32>),
    /// It is done.
    Done(Done),
    /// It has ended without a clip.
    Ended(EngineError),
    /// The server did not say; the task may be as well as before.
    Unclear(String),
    /// The server wants to be left alone for so long.
    Later(Duration),
}

/// A task's result.
#[derive(Debug, Clone, Default)]
pub(crate) struct Done {
    /// Where the clip lies, where the server tells.
    pub(crate) url: String,
    /// The prompt that was really used, where the server tells.
    pub(crate) actual_prompt: Option<String>,
}

/// How long a task may be unclear before the attempt ends. The next one asks for it again.
const UNCLEAR_MAX: Duration = Duration::from_secs(120);
/// How often a result is copied before the attempt ends.
const FETCHES_MAX: u32 = 4;
/// How long ending a task may take.
const CANCEL_MAX: Duration = Duration::from_secs(5);

type Observe<'a> = &'a mut dyn FnMut(EngineProgress) -> ControlFlow<Halt>;

/// One attempt: hands the task over unless an earlier one has, waits for its end, copies its clip, and hands that on.
pub(crate) fn carry<S: Service>(
    service: &S,
    spec: &GenerationSpec,
    inputs: &Inputs,
    clip: &mut dyn ClipSink,
    observe: Observe<'_>,
) -> Result<Made, EngineError> {
    let mut carrier = Carrier {
        service,
        observe,
        now: EngineProgress {
            stage: Stage::Encoding,
            fraction: 0.0,
            step: None,
        },
    };
    let (task, sent_prompt) = match Note::read(inputs.notebook.left()) {
        Note::Idle => carrier.begin(spec, inputs)?,
        Note::Task(task, prompt) => {
            info!("An earlier attempt has begun task {task}; this one waits for it");
            (task, prompt)
        }
        Note::Sending => {
            return Err(EngineError::InDoubt {
                detail: "an earlier attempt ended while it handed the work over, and never heard the answer"
                    .to_owned(),
            });
        }
    };
    let outcome = carrier.follow(&task, inputs);
    if let Err(Ending::Halted(Halt::Unwanted)) = outcome {
        carrier.cancel(&task);
    }
    let done = outcome?;
    clip.file(&inputs.folder.join(RESULT))?;
    Ok(Made {
        actual_prompt: done.actual_prompt.or(sent_prompt),
        warnings: Vec::new(),
        cost: Cost::default(),
    })
}

/// The name of the copied result in the attempt's folder.
const RESULT: &str = "result.mp4";

struct Carrier<'a, S> {
    service: &'a S,
    observe: Observe<'a>,
    /// What is told while nothing new is known.
    now: EngineProgress,
}

/// Why an attempt is over without a clip.
enum Ending {
    Halted(Halt),
    Failed(EngineError),
}

impl From<Ending> for EngineError {
    fn from(ending: Ending) -> EngineError {
        match ending {
            Ending::Halted(_) => EngineError::Stopped,
            Ending::Failed(error) => error,
        }
    }
}

impl<S: Service> Carrier<'_, S> {
    /// Hands the task over; its name, and the prompt that was sent.
    fn begin(
        &mut self,
        spec: &GenerationSpec,
        inputs: &Inputs,
    ) -> Result<(String, Option<String>), EngineError> {
        self.tell(Stage::Encoding, 0.0)?;
        let order = self.service.prepare(spec, inputs)?;
        let sent_prompt = self.service.sent_prompt(&order);
        self.tell(Stage::Encoding, 0.5)?;
        let notebook = &inputs.notebook;
        notebook.write(Note::SENDING).map_err(unkept)?;
        // From here to the answer nothing is dropped, whatever is wished: what is not heard is in doubt.
        let submitted = self.service.caller().run(self.service.submit(order));
        match submitted {
            Ok(task) if is_name(&task) => {
                match notebook.write(&Note::Task(task.clone(), sent_prompt.clone()).text()) {
                    Ok(()) => Ok((task, sent_prompt)),
                    Err(NoteError::LeaseLost) => {
                        // Whoever has the generation now cannot know of this task.
                        self.cancel(&task);
                        Err(EngineError::Stopped)
                    }
                    Err(error @ NoteError::Write(_)) => {
                        warn!(
                            "Task {task} could not be noted: should this process end, its result is lost: {}",
                            kinora_media::chain(&error)
                        );
                        Ok((task, sent_prompt))
                    }
                }
            }
            Ok(_) => Err(EngineError::InDoubt {
                detail: "the answer names no task that could be asked for".to_owned(),
            }),
            Err(NotSubmitted::NotBegun(error)) => {
                notebook.write(Note::IDLE).map_err(unkept)?;
                Err(error)
            }
            Err(NotSubmitted::InDoubt(detail)) => Err(EngineError::InDoubt { detail }),
        }
    }

    /// Waits for the end of a task, and copies what came of it.
    fn follow(&mut self, task: &str, inputs: &Inputs) -> Result<Done, Ending> {
        let mut fetches = 0;
        loop {
            let done = self.wait(task)?;
            self.now = EngineProgress {
                stage: Stage::Decoding,
                fraction: 0.0,
                step: None,
            };
            self.observe()?;
            let into = inputs.folder.join(RESULT);
            let fetched = self.unless_halted(self.service.fetch(task, &done, &into))?;
            let Err(error) = fetched else {
                return Ok(done);
            };
            fetches += 1;
            let detail = format!("the result of task {task} {error}");
            match is_for_good(&error) {
                true => return Err(Ending::Failed(EngineError::Failed { detail })),
                false if fetches >= FETCHES_MAX => {
                    return Err(Ending::Failed(EngineError::Interrupted { detail }));
                }
                // A URL that has run out is told anew with the next look.
                false => warn!("{detail}; it is asked for again"),
            }
            self.pause(self.service.poll())?;
        }
    }

    /// Asks until the task has ended.
    fn wait(&mut self, task: &str) -> Result<Done, Ending> {
        let poll = self.service.poll();
        let mut working_since: Option<Instant> = None;
        let mut unclear_since: Option<Instant> = None;
        loop {
            self.observe()?;
            let look = self.unless_halted(self.service.look(task))?;
            if !matches!(look, Look::Unclear(_)) {
                unclear_since = None;
            }
            let mut pause = poll;
            match look {
                Look::Done(done) => return Ok(done),
                Look::Ended(error) => return Err(Ending::Failed(error)),
                Look::Waiting => self.note_stage(Stage::Encoding, 0.9),
                Look::Working(fraction) => {
                    let since = *working_since.get_or_insert_with(Instant::now);
                    let fraction = fraction.unwrap_or_else(|| guessed(since.elapsed()));
                    self.note_stage(Stage::Denoising, fraction);
                }
                Look::Later(wanted) => pause = pause.max(wanted.min(UNCLEAR_MAX)),
                Look::Unclear(detail) => {
                    let since = *unclear_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > UNCLEAR_MAX.max(poll * 3) {
                        let detail = format!("task {task} cannot be asked for: {detail}");
                        return Err(Ending::Failed(EngineError::Interrupted { detail }));
                    }
                    warn!("Task {task} is unclear and will be asked for again: {detail}");
                }
            }
            self.pause(pause)?;
        }
    }

    fn note_stage(&mut self, stage: Stage, fraction: f32) {
        self.now = EngineProgress {
            stage,
            fraction,
            step: None,
        };
    }

    fn pause(&mut self, time: Duration) -> Result<(), Ending> {
        // Made inside: a timer is bound to the runtime in which it comes about.
        self.unless_halted(async move { tokio::time::sleep(time).await })
    }

    fn unless_halted<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Ending> {
        let now = self.now;
        let observe = &mut self.observe;
        match self.service.caller().run_unless(work, &mut || observe(now)) {
            ControlFlow::Continue(done) => Ok(done),
            ControlFlow::Break(halt) => Err(Ending::Halted(halt)),
        }
    }

    fn observe(&mut self) -> Result<(), Ending> {
        match (self.observe)(self.now) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(halt) => Err(Ending::Halted(halt)),
        }
    }

    fn tell(&mut self, stage: Stage, fraction: f32) -> Result<(), EngineError> {
        self.note_stage(stage, fraction);
        Ok(self.observe()?)
    }

    /// As well as it can be done: the client has its end already, and does not wait for this.
    fn cancel(&self, task: &str) {
        let canceled = async {
            let cancel = tokio::time::timeout(CANCEL_MAX, self.service.cancel(task));
            cancel
                .await
                .unwrap_or_else(|_| Err("no answer in time".to_owned()))
        };
        match self.service.caller().run(canceled) {
            Ok(()) => info!("Task {task} was ended, nobody wants its clip"),
            Err(detail) => warn!("Task {task} goes on although nobody wants its clip: {detail}"),
        }
    }
}

/// How far a task is that does not say, by the time it has taken: it grows for ever more slowly, and never arrives.
fn guessed(elapsed: Duration) -> f32 {
    const USUAL_S: f32 = 90.0;
    let seconds = elapsed.as_secs_f32();
    seconds / (seconds + USUAL_S)
}

/// What would be the same at every try: too large, or nothing that may be asked.
fn is_for_good(error: &FetchError) -> bool {
    match error {
        FetchError::Url(_) | FetchError::TooManyRedirects { .. } | FetchError::TooLarge { .. } => true,
        FetchError::Unreachable
        | FetchError::Status { .. }
        | FetchError::Timeout { .. }
        | FetchError::Interrupted
        | FetchError::Client(_)
        | FetchError::Write { .. } => false,
    }
}

/// A name that goes into paths and logs as it is.
pub(crate) fn is_name(task: &str) -> bool {
    (1..=200).contains(&task.len())
        && task
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn unkept(error: NoteError) -> EngineError {
    match error {
        NoteError::LeaseLost => EngineError::Stopped,
        NoteError::Write(_) => EngineError::Interrupted {
            detail: kinora_media::chain(&error).to_string(),
        },
    }
}

/// What stands in the notebook.
#[derive(Debug, PartialEq, Eq)]
enum Note {
    Idle,
    Sending,
    Task(String, Option<String>),
}

impl Note {
    const IDLE: &str = "idle";
    const SENDING: &str = "sending";

    /// What cannot be read is in doubt.
    fn read(left: Option<&str>) -> Note {
        match left {
            None | Some(Note::IDLE) => Note::Idle,
            Some(text) => {
                let (task, prompt) = match text.split_once('\n') {
                    Some((task, prompt)) => (task, Some(prompt.to_owned())),
                    None => (text, None),
                };
                match task.strip_prefix("task ") {
                    Some(task) if is_name(task) => Note::Task(task.to_owned(), prompt),
                    Some(_) | None => Note::Sending,
                }
            }
        }
    }

    fn text(&self) -> String {
        match self {
            Note::Idle => Note::IDLE.to_owned(),
            Note::Sending => Note::SENDING.to_owned(),
            Note::Task(task, None) => format!("task {task}"),
            Note::Task(task, Some(prompt)) => format!("task {task}\n{prompt}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_read_back() {
        let task = || "0385dc79-5ff8".to_owned();
        let prompted = Note::Task(task(), Some("Shot 1.\nShot 2.".to_owned()));
        for note in [Note::Idle, Note::Sending, Note::Task(task(), None), prompted] {
            assert_eq!(Note::read(Some(&note.text())), note);
        }
        assert_eq!(Note::read(None), Note::Idle);
        for strange in ["", "task", "task ", "task ../x", "Task 1", "sent"] {
            assert_eq!(Note::read(Some(strange)), Note::Sending, "{strange}");
        }
    }

    #[test]
    fn a_guess_never_arrives() {
        let at = |seconds| guessed(Duration::from_secs(seconds));
        assert_eq!(at(0), 0.0);
        assert!(at(30) < at(60) && at(60) < at(6000) && at(6000) < 1.0);
    }
}

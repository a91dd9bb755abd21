//! The life of a generation: its status, what may happen to it, and what each change brings about.
//!
//! [`Status::apply`] is total over status × event: every pair has an answer, and the answer to most is
//! [`IllegalTransition`]. Effects are values; the store carries status and effects out in one transaction.

use std::fmt;

use thiserror::Error;

use crate::{
    catalog::{Model, OfferId},
    credits::Split,
    frame_size::FrameSize,
    ids::{AccountId, GenerationId, WorkerId},
    input::BlobHash,
    spec::{GenerationSpec, Seed},
    time::Timestamp,
};

/// One generation with everything a reader may want to know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// Its name.
    pub id: GenerationId,
    /// Whose it is.
    pub account: AccountId,
    /// The model it was posted to.
    pub model: Model,
    /// The offer it is queued for.
    pub offer: OfferId,
    /// What is to be made.
    pub spec: GenerationSpec,
    /// Where it stands.
    pub status: Status,
    /// What is being done, and how much of it is behind.
    pub progress: Progress,
    /// What was set aside for it when it was submitted.
    pub held: Split,
    /// What it costs as of now: the hold while it lives, the charge when it succeeded, else nothing.
    pub usage: Split,
    /// Counts every change that a client can see, from 1.
    pub event_seq: u64,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When a worker first took it.
    pub started_at: Option<Timestamp>,
    /// When it became terminal.
    pub finished_at: Option<Timestamp>,
    /// When it fails unless it has finished.
    pub deadline: Timestamp,
    /// Whether its inputs and results have been removed.
    pub media_removed: bool,
}

impl Generation {
    /// The phase that clients are shown. It never moves backwards: what has once run and waits for another
    /// try is still shown as running.
    pub fn phase(&self) -> Phase {
        match self.status {
            Status::Queued { .. } if self.started_at.is_none() => Phase::Queued,
            Status::Queued { .. } | Status::Running { .. } => Phase::Running,
            Status::Succeeded(_) => Phase::Succeeded,
            Status::Failed(_) => Phase::Failed,
            Status::Canceled => Phase::Canceled,
        }
    }
}

/// A status as clients are shown it, without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Not yet taken by a worker.
    Queued,
    /// Taken, or waiting for another try.
    Running,
    /// Finished.
    Succeeded,
    /// Ended without a result.
    Failed,
    /// Ended by the client.
    Canceled,
}

impl Phase {
    /// All five.
    pub const ALL: [Phase; 5] = [
        Phase::Queued,
        Phase::Running,
        Phase::Succeeded,
        Phase::Failed,
        Phase::Canceled,
    ];

    /// The word kept in rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Queued => "queued",
            Phase::Running => "running",
            Phase::Succeeded => "succeeded",
            Phase::Failed => "failed",
            Phase::Canceled => "canceled",
        }
    }

    /// Whether it is final.
    pub fn is_terminal(self) -> bool {
        matches!(self, Phase::Succeeded | Phase::Failed | Phase::Canceled)
    }
}

/// What is being done, and how much of the whole is behind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// 0 to 1, of the whole generation; never decreases.
    pub fraction: f32,
}

/// Where a generation stands. Each status holds exactly what exists in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Waiting for a worker.
    Queued {
        /// Attempts made so far; above 0 it waits for another try and is shown as running.
        attempts: u32,
        /// Not to be claimed before this moment.
        not_before: Timestamp,
    },
    /// A worker has it.
    Running {
        /// Which worker, and until when.
        lease: Lease,
        /// Attempts made so far, this one included.
        attempts: u32,
        /// The client asked for an end; the worker has still to stop.
        cancel_requested: bool,
    },
    /// Finished, and charged.
    Succeeded(Success),
    /// Ended without a result, and not charged.
    Failed(Failure),
    /// Ended by the client, and not charged.
    Canceled,
}

/// A worker's right to a generation. It ends by itself, so that a dead worker blocks nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Who holds it.
    pub worker: WorkerId,
    /// Increases with every claim of the generation: what an earlier holder writes is refused by it.
    pub token: u64,
    /// When it ends unless it is renewed.
    pub expires_at: Timestamp,
}

/// What a finished generation has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Success {
    /// The clips, in the order of their seeds.
    pub artifacts: Vec<Artifact>,
    /// The prompt the engine really used.
    pub actual_prompt: Option<String>,
    /// What the engine did differently.
    pub warnings: Vec<Warning>,
}

/// One finished clip, as facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The MP4.
    pub video: BlobHash,
    /// The JPEG of the first frame.
    pub poster: BlobHash,
    /// Size of the MP4.
    pub video_bytes: u64,
    /// Pixels.
    pub size: FrameSize,
    /// Frames in the file, at 30 a second.
    pub num_frames: u32,
    /// The seed of this clip.
    pub seed: Seed,
}

/// Frames a second of every finished clip.
pub const OUTPUT_FPS: u32 = 30;

/// Something the engine did differently from what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// A stable word: `upscaled`, `silent_audio` …
    pub code: String,
    /// A sentence.
    pub message: String,
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The class of the failure.
    pub code: FailureCode,
    /// A sentence for the client; names no vendor, host or path.
    pub message: String,
}

/// The classes of failure a generation can end in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureCode {
    /// A medium or a combination turned out to be wrong.
    InvalidInput,
    /// Refused by moderation.
    ContentRejected,
    /// The deadline passed.
    Timeout,
    /// No engine can run it now.
    ProviderUnavailable,
    /// An upstream kept refusing for load.
    RateLimited,
    /// The engine failed.
    EngineFailed,
}

impl FailureCode {
    /// All of them.
    pub const ALL: [FailureCode; 6] = [
        FailureCode::InvalidInput,
        FailureCode::ContentRejected,
        FailureCode::Timeout,
        FailureCode::ProviderUnavailable,
        FailureCode::RateLimited,
        FailureCode::EngineFailed,
    ];

    /// The word kept in rows.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureCode::InvalidInput => "invalid_input",
            FailureCode::ContentRejected => "content_rejected",
            FailureCode::Timeout => "timeout",
            FailureCode::ProviderUnavailable => "provider_unavailable",
            FailureCode::RateLimited => "rate_limited",
            FailureCode::EngineFailed => "engine_failed",
        }
    }
}

/// What an engine is doing, for people to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Waiting for a worker.
    Queued,
    /// Waiting for another try.
    Retrying,
    /// Fetching and reading the inputs.
    Preparing,
    /// Turning text and inputs into what the model reads.
    Encoding,
    /// Sampling.
    Denoising,
    /// Turning latents into frames.
    Decoding,
    /// Writing the clip.
    Finishing,
    /// The client asked for an end.
    Canceling,
    /// Terminal.
    Done,
}

impl Stage {
    /// All of them.
    pub const ALL: [Stage; 9] = [
        Stage::Queued,
        Stage::Retrying,
        Stage::Preparing,
        Stage::Encoding,
        Stage::Denoising,
        Stage::Decoding,
        Stage::Finishing,
        Stage::Canceling,
        Stage::Done,
    ];

    /// The published name.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Queued => "queued",
            Stage::Retrying => "retrying",
            Stage::Preparing => "preparing",
            Stage::Encoding => "encoding",
            Stage::Denoising => "denoising",
            Stage::Decoding => "decoding",
            Stage::Finishing => "finishing",
            Stage::Canceling => "canceling",
            Stage::Done => "done",
        }
    }
}

/// Something that happens to a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A worker takes it.
    Claim(Lease),
    /// Its worker has the result.
    Succeed {
        /// The token of the lease it works under.
        token: u64,
        /// The result.
        success: Success,
    },
    /// Its worker could not make it.
    Fail {
        /// The token of the lease it works under.
        token: u64,
        /// Why.
        failure: Failure,
        /// When to try again, if another try may help and is left.
        retry_at: Option<Timestamp>,
    },
    /// Its worker gives it back untried, to stop gracefully.
    GiveBack {
        /// The token of the lease it works under.
        token: u64,
    },
    /// The lease ran out without a word from the worker.
    LeaseExpired {
        /// So many attempts are the most.
        attempts_max: u32,
    },
    /// The client asks for an end.
    Cancel,
    /// Its worker has stopped because it was asked to.
    Stopped {
        /// The token of the lease it works under.
        token: u64,
    },
    /// Too much time has passed since it was submitted.
    DeadlinePassed,
}

/// What a change brings about besides the new status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The hold becomes a charge.
    CaptureHold,
    /// The hold goes back.
    ReleaseHold,
    /// Clients are told of the new status.
    Announce,
}

/// An event that has no place in a status.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IllegalTransition {
    /// Terminal statuses have no exits.
    #[error("the generation has ended already: {0}")]
    AlreadyFinished(&'static str),
    /// The worker's lease was lost to time or to another worker.
    #[error("the lease was lost")]
    LeaseLost,
    /// Nothing else is allowed: the word for the event, the word for the status.
    #[error("a generation that is {1} cannot {0}")]
    NotAllowed(&'static str, &'static str),
}

impl Status {
    /// The status of a generation just submitted.
    pub fn new(now: Timestamp) -> Status {
        Status::Queued {
            attempts: 0,
            not_before: now,
        }
    }

    /// Whether it is final.
    pub fn is_terminal(&self) -> bool {
        match self {
            Status::Queued { .. } | Status::Running { .. } => false,
            Status::Succeeded(_) | Status::Failed(_) | Status::Canceled => true,
        }
    }

    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Status::Queued { .. } => "queued",
            Status::Running { .. } => "running",
            Status::Succeeded(_) => "succeeded",
            Status::Failed(_) => "failed",
            Status::Canceled => "canceled",
        }
    }

    /// What becomes of the status when `event` happens at `now`, and what has to be done with it.
    pub fn apply(
        &self,
        event: Event,
        now: Timestamp,
    ) -> Result<(Status, &'static [Effect]), IllegalTransition> {
        use Effect::{Announce, CaptureHold, ReleaseHold};
        const CAPTURED: &[Effect] = &[CaptureHold, Announce];
        const RELEASED: &[Effect] = &[ReleaseHold, Announce];
        const ANNOUNCED: &[Effect] = &[Announce];
        const SILENT: &[Effect] = &[];

        match (self, event) {
            (Status::Succeeded(_) | Status::Failed(_) | Status::Canceled, _) => {
                Err(IllegalTransition::AlreadyFinished(self.as_str()))
            }
            (Status::Queued { attempts, not_before }, Event::Claim(lease)) if *not_before <= now => {
                let running = Status::Running {
                    lease,
                    attempts: attempts + 1,
                    cancel_requested: false,
                };
                Ok((running, ANNOUNCED))
            }
            (Status::Queued { .. }, Event::Cancel) => Ok((Status::Canceled, RELEASED)),
            (Status::Queued { .. }, Event::DeadlinePassed) => {
                Ok((Status::Failed(deadline_passed()), RELEASED))
            }
            // Asked for twice is asked for once: nothing is new to tell.
            (
                Status::Running {
                    cancel_requested: true,
                    ..
                },
                Event::Cancel,
            ) => Ok((self.clone(), SILENT)),
            (Status::Running { lease, attempts, .. }, Event::Cancel) => {
                let running = Status::Running {
                    lease: *lease,
                    attempts: *attempts,
                    cancel_requested: true,
                };
                Ok((running, ANNOUNCED))
            }
            (
                Status::Running { lease, .. },
                Event::Succeed { token, .. }
                | Event::Fail { token, .. }
                | Event::GiveBack { token }
                | Event::Stopped { token },
            ) if lease.token != token => Err(IllegalTransition::LeaseLost),
            (Status::Running { .. }, Event::Succeed { success, .. }) => {
                Ok((Status::Succeeded(success), CAPTURED))
            }
            // Whatever else became of the attempt, a client that asked for an end gets it.
            (
                Status::Running {
                    cancel_requested: true,
                    ..
                },
                Event::Fail { .. }
                | Event::GiveBack { .. }
                | Event::LeaseExpired { .. }
                | Event::DeadlinePassed
                | Event::Stopped { .. },
            ) => Ok((Status::Canceled, RELEASED)),
            (Status::Running { .. }, Event::DeadlinePassed) => {
                Ok((Status::Failed(deadline_passed()), RELEASED))
            }
            (
                Status::Running { attempts, .. },
                Event::Fail {
                    failure, retry_at, ..
                },
            ) => match retry_at {
                Some(not_before) => Ok((
                    Status::Queued {
                        attempts: *attempts,
                        not_before,
                    },
                    ANNOUNCED,
                )),
                None => Ok((Status::Failed(failure), RELEASED)),
            },
            (Status::Running { attempts, .. }, Event::GiveBack { .. }) => {
                // Given back untried: the attempt does not count, but it has been seen running.
                Ok((
                    Status::Queued {
                        attempts: attempts - 1,
                        not_before: now,
                    },
                    SILENT,
                ))
            }
            (Status::Running { attempts, .. }, Event::LeaseExpired { attempts_max }) => {
                if *attempts < attempts_max {
                    Ok((
                        Status::Queued {
                            attempts: *attempts,
                            not_before: now,
                        },
                        ANNOUNCED,
                    ))
                } else {
                    Ok((Status::Failed(attempts_spent()), RELEASED))
                }
            }
            (Status::Queued { .. } | Status::Running { .. }, event) => {
                Err(IllegalTransition::NotAllowed(event.verb(), self.as_str()))
            }
        }
    }
}

impl Event {
    fn verb(&self) -> &'static str {
        match self {
            Event::Claim(_) => "be claimed",
            Event::Succeed { .. } => "succeed",
            Event::Fail { .. } => "fail",
            Event::GiveBack { .. } => "be given back",
            Event::LeaseExpired { .. } => "lose its lease",
            Event::Cancel => "be canceled",
            Event::Stopped { .. } => "be stopped",
            Event::DeadlinePassed => "pass its deadline",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn deadline_passed() -> Failure {
    Failure {
        code: FailureCode::Timeout,
        message: "The generation did not finish within its deadline.".to_owned(),
    }
}

fn attempts_spent() -> Failure {
    Failure {
        code: FailureCode::EngineFailed,
        message: "The generation was interrupted too often and has been given up.".to_owned(),
    }
}

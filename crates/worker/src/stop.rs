//! A wish to stop, and whose it was. Whoever waits for something waits for this too.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
};

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::AttemptError;

/// Why an attempt is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// The client asked for an end.
    Canceled,
    /// The lease was lost: somebody else works on it, or it is over.
    LeaseLost,
    /// The worker shuts down.
    ShutDown,
}

/// Shared by everything that works on one attempt.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    token: CancellationToken,
    reason: Arc<OnceLock<StopReason>>,
}

impl Stop {
    /// Asks for an end; the first reason stays.
    pub(crate) fn request(&self, reason: StopReason) {
        // A second reason changes nothing: the attempt ends anyway.
        let _ = self.reason.set(reason);
        self.token.cancel();
    }

    /// Asks for an end, without a reason, when the guard is dropped: threads must not outlive an attempt that is
    /// itself dropped half way.
    pub(crate) fn when_dropped(&self) -> DropGuard {
        self.token.clone().drop_guard()
    }

    pub(crate) fn reason(&self) -> Option<StopReason> {
        self.reason.get().copied()
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    pub(crate) async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// Waits for `work`, but no longer than until the wish to stop; then the work is dropped.
    pub(crate) async fn or<T>(
        &self,
        work: impl Future<Output = Result<T, AttemptError>>,
    ) -> Result<T, AttemptError> {
        tokio::select! {
            biased;
            () = self.requested() => Err(AttemptError::Stopped),
            done = work => done,
        }
    }
}

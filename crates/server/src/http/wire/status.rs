//! The two vocabularies in which clients hear of a generation's phase.

use kinora_domain::{Model, Phase};
use serde::Serialize;
use utoipa::ToSchema;

/// The lower-case set, in the answer of the endpoint that has all four workflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PredictionStatus {
    /// Waiting.
    Starting,
    /// Being made.
    Processing,
    /// Finished.
    Succeeded,
    /// Ended without a result.
    Failed,
    /// Ended by the client.
    Canceled,
}

/// The upper-case set, everywhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum QueueState {
    /// Waiting.
    InQueue,
    /// Being made.
    InProgress,
    /// Finished.
    Completed,
    /// Ended without a result.
    Failed,
    /// Ended by the client.
    Canceled,
}

impl From<Phase> for PredictionStatus {
    fn from(phase: Phase) -> PredictionStatus {
        match phase {
            Phase::Queued => PredictionStatus::Starting,
            Phase::Running => PredictionStatus::Processing,
            Phase::Succeeded => PredictionStatus::Succeeded,
            Phase::Failed => PredictionStatus::Failed,
            Phase::Canceled => PredictionStatus::Canceled,
        }
    }
}

impl From<Phase> for QueueState {
    fn from(phase: Phase) -> QueueState {
        match phase {
            Phase::Queued => QueueState::InQueue,
            Phase::Running => QueueState::InProgress,
            Phase::Succeeded => QueueState::Completed,
            Phase::Failed => QueueState::Failed,
            Phase::Canceled => QueueState::Canceled,
        }
    }
}

impl QueueState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            QueueState::InQueue => "IN_QUEUE",
            QueueState::InProgress => "IN_PROGRESS",
            QueueState::Completed => "COMPLETED",
            QueueState::Failed => "FAILED",
            QueueState::Canceled => "CANCELED",
        }
    }

    /// The phase that a word of this set stands for.
    pub fn parse(word: &str) -> Option<Phase> {
        Phase::ALL
            .into_iter()
            .find(|phase| QueueState::from(*phase).as_str() == word)
    }
}

/// The status in the answer to a creating request, in the vocabulary of its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum CreatedStatus {
    /// Of the endpoint that has all four workflows.
    Prediction(PredictionStatus),
    /// Of the edit endpoint.
    Queue(QueueState),
}

impl CreatedStatus {
    /// The word for `phase` where `model` was posted to.
    pub fn new(model: Model, phase: Phase) -> CreatedStatus {
        match model {
            Model::WanVideo => CreatedStatus::Prediction(phase.into()),
            Model::WanEdit => CreatedStatus::Queue(phase.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_in_both_vocabularies() {
        let check = |phase, prediction: &str, queue: &str| {
            let word = |model| {
                let status = serde_json::to_value(CreatedStatus::new(model, phase)).expect("a word");
                status.as_str().expect("a string").to_owned()
            };
            assert_eq!(word(Model::WanVideo), prediction);
            assert_eq!(word(Model::WanEdit), queue);
            assert_eq!(QueueState::from(phase).as_str(), queue);
            assert_eq!(QueueState::parse(queue), Some(phase));
        };
        check(Phase::Queued, "starting", "IN_QUEUE");
        check(Phase::Running, "processing", "IN_PROGRESS");
        check(Phase::Succeeded, "succeeded", "COMPLETED");
        check(Phase::Failed, "failed", "FAILED");
        check(Phase::Canceled, "canceled", "CANCELED");
        for word in ["", "in_queue", "CANCELLED", "SUCCEEDED", "starting", "IN_QUEUE "] {
            assert_eq!(QueueState::parse(word), None, "{word}");
        }
    }
}

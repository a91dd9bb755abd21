//! What is said about a clip: where it is, what was done differently, why it failed.

use kinora_domain::{Stage, Warning};
use kinora_wan::GenerateError;

use crate::{EngineError, EngineProgress, Step};

/// Where the whole clip is, from where one run is. Within several, only the last one's decoding is told as such: the way to it is
/// told as one.
pub(super) fn progress(progress: kinora_wan::Progress, (index, count): (usize, usize)) -> EngineProgress {
    use kinora_wan::Stage as S;
    let stage = match progress.stage {
        S::Load | S::EncodeText | S::EncodeFrames => Stage::Encoding,
        S::Denoise => Stage::Denoising,
        S::Decode => Stage::Decoding,
    };
    let step = (progress.stage == S::Denoise).then_some(Step {
        number: index * progress.steps + progress.step + 1,
        of: count * progress.steps,
    });
    if count <= 1 {
        return EngineProgress {
            stage,
            fraction: progress.fraction,
            step,
        };
    }
    let is_last = index + 1 == count;
    let (stage, within) = match stage {
        Stage::Decoding if is_last => (Stage::Decoding, progress.fraction),
        Stage::Decoding => (Stage::Denoising, (index as f32 + 1.0) / count as f32),
        Stage::Encoding if index == 0 => (Stage::Encoding, progress.fraction),
        Stage::Encoding => (Stage::Denoising, index as f32 / count as f32),
        _ => (
            Stage::Denoising,
            (index as f32 + progress.fraction) / count as f32,
        ),
    };
    EngineProgress {
        stage,
        fraction: within,
        step,
    }
}

/// What a run is doing, for who counts what it takes.
pub(super) fn stage(progress: &kinora_wan::Progress) -> &'static str {
    use kinora_wan::{ExpertName as E, Stage as S};
    match (progress.stage, progress.expert) {
        (S::Load, _) => "loading",
        (S::EncodeText, _) => "text encoder",
        (S::EncodeFrames, _) => "VAE, encoding",
        (S::Denoise, None) => "transformer",
        (S::Denoise, Some(E::HighNoise)) => "transformer, high noise",
        (S::Denoise, Some(E::LowNoise)) => "transformer, low noise",
        (S::Decode, _) => "VAE, decoding",
    }
}

/// One warning.
pub(super) fn warning(code: &str, message: String) -> Warning {
    Warning {
        code: code.to_owned(),
        message,
    }
}

/// That there are more references than a model was trained with.
pub(super) fn extrapolated(count: usize) -> Warning {
    warning(
        "references_extrapolated",
        format!("{count} references are more than the model was trained with."),
    )
}

/// What the model says of a run.
pub(super) fn of_model(said: kinora_wan::Warning) -> Warning {
    use kinora_wan::Warning as W;
    match said {
        W::LongPrompt { field } => warning(
            "prompt_cut",
            format!("The model reads 512 tokens: the end of {field} was left out."),
        ),
        W::OnlyLastFrame => warning(
            "motion_not_continued",
            "The model goes on from the clip's last frame; it does not see how things moved.".into(),
        ),
        W::UntrainedLastFrame => warning(
            "untrained_last_frame",
            "The model was trained for first frames; it follows the last one without having learned to."
                .into(),
        ),
        W::VideosAsPictures => warning(
            "reference_video_still",
            "Of every reference clip, one frame was taken as a picture.".into(),
        ),
        W::ManySources { count } => extrapolated(count),
    }
}

/// Why a run has made no clip.
pub(super) fn error(error: GenerateError) -> EngineError {
    match error {
        GenerateError::Stopped => EngineError::Stopped,
        // A file that was there at the start and cannot be read now may be back at the next try.
        GenerateError::Load(_) => EngineError::Unavailable {
            detail: chain(&error),
        },
        GenerateError::Refused { .. } | GenerateError::Tokenize { .. } | GenerateError::Compute { .. } => {
            EngineError::Failed {
                detail: chain(&error),
            }
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    kinora_media::chain(error).to_string()
}

//! From what a step knows of itself to what clients watch: one fraction of the whole, which never goes back.

use kinora_domain::{Progress, Stage};
use kinora_engine::Step;
use tokio::sync::watch;

/// What part of the whole each stage is. Sampling is nearly everything a model does; the rest is there so that
/// something moves. One table for every engine: a fraction means the same wherever it is seen.
const SPANS: [(Stage, f32, f32); 5] = [
    (Stage::Preparing, 0.0, PREPARED),
    (Stage::Encoding, PREPARED, 0.10),
    (Stage::Denoising, 0.10, 0.80),
    (Stage::Decoding, 0.80, 0.95),
    (Stage::Finishing, 0.95, 1.0),
];

/// Where the inputs of all clips are ready, and the clips begin to share what is left.
const PREPARED: f32 = 0.05;

/// The whole, of which `clips` are made one after the other, when `fraction` of a stage is behind in the clip
/// with this index.
fn overall(stage: Stage, fraction: f32, clip: u8, clips: u8) -> f32 {
    let Some((_, from, to)) = SPANS.into_iter().find(|(known, ..)| *known == stage) else {
        return 0.0;
    };
    let within = from + (to - from) * fraction.clamp(0.0, 1.0);
    if stage == Stage::Preparing {
        return within;
    }
    let share = (within - PREPARED) / (1.0 - PREPARED);
    PREPARED + (1.0 - PREPARED) * (f32::from(clip) + share) / f32::from(clips.max(1))
}

/// Where an attempt stands: what clients watch, and the engine's own step for whoever is nearer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// The stage, and how much of the whole is behind.
    pub progress: Progress,
    /// Where the engine is in its stage.
    pub step: Option<Step>,
}

/// Where an attempt stands: written by whoever works, read by the heartbeat.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    now: watch::Sender<Standing>,
    clip: u8,
    clips: u8,
}

impl Meter {
    /// At the beginning of an attempt that makes so many clips.
    pub(crate) fn new(clips: u8) -> Meter {
        let start = Progress {
            stage: Stage::Preparing,
            fraction: 0.0,
        };
        Meter {
            now: watch::Sender::new(Standing {
                progress: start,
                step: None,
            }),
            clip: 0,
            clips,
        }
    }

    /// The same meter as the clip with this index sees it.
    pub(crate) fn for_clip(&self, clip: u8) -> Meter {
        Meter { clip, ..self.clone() }
    }

    /// So much of a stage is behind. The stage may change back (the next clip is encoded after the last was
    /// decoded); the fraction does not.
    pub(crate) fn report(&self, stage: Stage, fraction: f32) {
        self.report_step(stage, fraction, None);
    }

    /// The same, within a step of the engine.
    pub(crate) fn report_step(&self, stage: Stage, fraction: f32, step: Option<Step>) {
        let fraction = overall(stage, fraction, self.clip, self.clips);
        self.now.send_if_modified(|now| {
            let progress = Progress {
                stage,
                fraction: fraction.max(now.progress.fraction),
            };
            let next = Standing { progress, step };
            let changed = *now != next;
            *now = next;
            changed
        });
    }

    pub(crate) fn now(&self) -> Progress {
        self.now.borrow().progress
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Standing> {
        self.now.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_share_the_whole() {
        let check = |stage, fraction, clip, clips, expected: f32| {
            let found = overall(stage, fraction, clip, clips);
            assert!(
                (found - expected).abs() < 1e-5,
                "{stage} {fraction} {clip}/{clips}: {found}"
            );
        };
        check(Stage::Preparing, 0.0, 0, 1, 0.0);
        check(Stage::Preparing, 1.0, 0, 4, 0.05);
        check(Stage::Encoding, 0.0, 0, 1, 0.05);
        check(Stage::Denoising, 0.5, 0, 1, 0.45);
        check(Stage::Decoding, 1.0, 0, 1, 0.95);
        check(Stage::Finishing, 1.0, 0, 1, 1.0);
        check(Stage::Denoising, 7.0, 0, 1, 0.80);
        check(Stage::Encoding, 0.0, 1, 2, 0.525);
        check(Stage::Finishing, 1.0, 1, 2, 1.0);
        check(Stage::Done, 1.0, 0, 1, 0.0);
    }

    #[test]
    fn the_table_has_no_gaps() {
        for pair in SPANS.windows(2) {
            assert_eq!(pair[0].2, pair[1].1, "{} to {}", pair[0].0, pair[1].0);
        }
    }

    #[test]
    fn never_goes_back() {
        let meter = Meter::new(2);
        meter.report(Stage::Decoding, 1.0);
        let before = meter.now().fraction;
        meter.report(Stage::Encoding, 0.0);
        assert_eq!(
            meter.now(),
            Progress {
                stage: Stage::Encoding,
                fraction: before
            }
        );
        meter.for_clip(1).report(Stage::Finishing, 1.0);
        assert_eq!(meter.now().fraction, 1.0);
    }
}

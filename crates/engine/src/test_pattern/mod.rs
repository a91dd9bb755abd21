//! An engine without a model: a moving pattern that shows the request it was made for.
//!
//! It is for tests and for trying a server out, and is chosen by name, never by default. What a person should see:
//! the prompt and the settings as text, images as first and last frames, a clip's own pictures before the pattern
//! goes on from them, references in a row, an edited clip under a tint with a border, a bar that counts the frames.
//! The same spec, inputs and seed give the same bytes, frame for frame. It makes no sound.

mod canvas;
mod caption;
mod font;
mod motion;
mod scene;

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use kinora_domain::{GenerationSpec, OUTPUT_FPS, Offer, Stage};
use kinora_media::frames::Fit;

use crate::{
    Cost, Engine, EngineError, EngineProgress, Halt, Made,
    clip::{ClipSink, FrameFormat},
    inputs::Inputs,
};

use scene::Scene;

/// An engine without a model.
#[derive(Debug, Clone)]
pub struct TestPattern {
    offer: Offer,
    options: TestPatternOptions,
}

/// How a [`TestPattern`] is to misbehave; by default it does not.
#[derive(Debug, Clone, Default)]
pub struct TestPatternOptions {
    /// Time spent on each frame besides drawing it.
    pub frame_delay: Duration,
    /// A failure to show.
    pub fault: Option<Fault>,
}

/// A failure at a certain frame, a certain number of times: clones share the count, so that an engine that is
/// built anew goes on with it.
#[derive(Debug, Clone)]
pub struct Fault {
    at_frame: u32,
    kind: FaultKind,
    times_left: Arc<AtomicU32>,
}

/// How a [`Fault`] shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// As an error after which another attempt may help.
    Retryable,
    /// As an error that would come again.
    Permanent,
    /// As a panic.
    Panic,
}

impl Fault {
    /// A failure instead of the frame with this number, so many times.
    pub fn new(kind: FaultKind, at_frame: u32, times: u32) -> Fault {
        Fault {
            at_frame,
            kind,
            times_left: Arc::new(AtomicU32::new(times)),
        }
    }

    fn strike(&self, frame: u32) -> Result<(), EngineError> {
        let spend = |left: u32| left.checked_sub(1);
        let due = frame == self.at_frame
            && self
                .times_left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend)
                .is_ok();
        if !due {
            return Ok(());
        }
        let detail = format!("a failure was ordered at frame {frame}");
        match self.kind {
            FaultKind::Retryable => Err(EngineError::Interrupted { detail }),
            FaultKind::Permanent => Err(EngineError::Failed { detail }),
            FaultKind::Panic => panic!("{detail}"),
        }
    }
}

impl TestPattern {
    /// The name of its offer.
    pub const OFFER: &'static str = "test-pattern";

    /// A well-behaved one, or one that fails as the options say.
    pub fn new(options: TestPatternOptions) -> TestPattern {
        TestPattern {
            offer: Offer::unlimited(
                TestPattern::OFFER,
                "A moving pattern that shows the request and its inputs. For tests and for trying the API.",
            ),
            options,
        }
    }
}

impl Engine for TestPattern {
    fn offer(&self) -> &Offer {
        &self.offer
    }

    fn generate(
        &mut self,
        spec: &GenerationSpec,
        inputs: &Inputs,
        clip: &mut dyn ClipSink,
        observe: &mut dyn FnMut(EngineProgress) -> ControlFlow<Halt>,
    ) -> Result<Made, EngineError> {
        let num_frames = inputs.num_frames();
        let mut scene = Scene::open(spec, inputs, &mut |fraction| {
            step(observe, Stage::Encoding, fraction)
        })?;
        // There is nothing to sample; watchers see the stage go by.
        step(observe, Stage::Denoising, 1.0)?;
        clip.begin(FrameFormat {
            width: inputs.size.width,
            height: inputs.size.height,
            fps: OUTPUT_FPS,
            fit: Fit::Cover,
        })?;
        for frame in 0..num_frames {
            let fraction = frame as f32 / num_frames as f32;
            step(observe, Stage::Decoding, fraction)?;
            if let Some(fault) = &self.options.fault {
                fault.strike(frame)?;
            }
            pause(self.options.frame_delay, &mut || {
                step(observe, Stage::Decoding, fraction)
            })?;
            let drawn = scene.draw(frame)?;
            if clip.wants_preview().is_some() {
                clip.preview(inputs.size.width, inputs.size.height, drawn)?;
            }
            clip.frame(drawn)?;
        }
        step(observe, Stage::Decoding, 1.0)?;
        Ok(Made {
            actual_prompt: spec.prompt.clone(),
            warnings: Vec::new(),
            cost: Cost::default(),
        })
    }
}

fn step(
    observe: &mut dyn FnMut(EngineProgress) -> ControlFlow<Halt>,
    stage: Stage,
    fraction: f32,
) -> Result<(), EngineError> {
    match observe(EngineProgress {
        stage,
        fraction,
        step: None,
    }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(_) => Err(EngineError::Stopped),
    }
}

/// Waits in small steps, so that a wish to stop is heard in between.
fn pause(duration: Duration, step: &mut dyn FnMut() -> Result<(), EngineError>) -> Result<(), EngineError> {
    const STEP: Duration = Duration::from_millis(50);
    let end = Instant::now() + duration;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(STEP));
        step()?;
    }
}

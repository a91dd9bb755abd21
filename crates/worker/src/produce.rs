//! One clip, on the engine's thread: frames into the encoder as they come, then the poster.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use kinora_domain::{FrameSize, GenerationSpec, OUTPUT_FPS, Seed, Stage, Warning};
use kinora_engine::{ClipSink, Cost, Engine, FrameFormat, Halt, Inputs, Made, SinkError};
use kinora_media::{
    MediaFailure, MediaProblem, compose,
    compose::{ClipOptions, EncodedClip, Encoder, Preset},
    frames::Fps,
    probe::probe_video,
};

use crate::{
    error::AttemptError,
    notes::Notebooks,
    previews::Previews,
    progress::Meter,
    sound::Track,
    stop::{Stop, StopReason},
};

/// What to make, of what, and where.
#[derive(Clone)]
pub(crate) struct Order {
    pub(crate) spec: GenerationSpec,
    /// As for the first clip; each has its own seed and its own notes.
    pub(crate) inputs: Inputs,
    pub(crate) notebooks: Notebooks,
    pub(crate) preset: Preset,
    /// Where the files go.
    pub(crate) folder: PathBuf,
    pub(crate) previews: Previews,
    pub(crate) meter: Meter,
    pub(crate) stop: Stop,
}

/// A finished clip with its poster, as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeClip {
    /// The MP4.
    pub video: PathBuf,
    /// The JPEG of its first frame.
    pub poster: PathBuf,
    /// Pixels.
    pub size: FrameSize,
    /// Frames in the file.
    pub num_frames: u32,
    /// The seed it was made from.
    pub seed: Seed,
}

/// All clips of an attempt, with what the engine had to say.
pub(crate) struct Produced {
    pub(crate) clips: Vec<MadeClip>,
    pub(crate) actual_prompt: Option<String>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) cost: Cost,
}

/// Makes the clips one after the other, from consecutive seeds.
pub(crate) fn produce(engine: &mut dyn Engine, order: &Order) -> Result<Produced, AttemptError> {
    let mut produced = Produced {
        clips: Vec::new(),
        actual_prompt: None,
        warnings: Vec::new(),
        cost: Cost::default(),
    };
    for index in 0..order.spec.n {
        let (clip, made, warnings) = one(engine, order, index)?;
        produced.clips.push(clip);
        produced.actual_prompt = produced.actual_prompt.or(made.actual_prompt);
        produced.cost.add(made.cost);
        for warning in made.warnings.into_iter().chain(warnings) {
            if !produced.warnings.contains(&warning) {
                produced.warnings.push(warning);
            }
        }
    }
    Ok(produced)
}

fn one(
    engine: &mut dyn Engine,
    order: &Order,
    index: u8,
) -> Result<(MadeClip, Made, Vec<Warning>), AttemptError> {
    let Order {
        spec,
        inputs,
        folder,
        stop,
        ..
    } = order;
    let meter = order.meter.for_clip(index);
    let seed = spec.seed.nth(index);
    let inputs = Inputs {
        seed,
        notebook: order.notebooks.of_clip(index),
        ..inputs.clone()
    };
    let video = folder.join(format!("clip-{index}.mp4"));
    let poster = folder.join(format!("poster-{index}.jpg"));

    let mut sink = Sink::new(order, &video);
    let mut observe = |progress: kinora_engine::EngineProgress| {
        meter.report_step(progress.stage, progress.fraction, progress.step);
        match (stop.is_requested(), stop.reason()) {
            (false, _) => ControlFlow::Continue(()),
            (true, Some(StopReason::Canceled)) => ControlFlow::Break(Halt::Unwanted),
            (true, Some(StopReason::LeaseLost | StopReason::ShutDown) | None) => {
                ControlFlow::Break(Halt::Paused)
            }
        }
    };
    let made = engine.generate(spec, &inputs, &mut sink, &mut observe)?;
    meter.report(Stage::Finishing, 0.0);
    let (encoded, warnings) = sink.finish()?;
    meter.report(Stage::Finishing, 0.8);
    if stop.is_requested() {
        return Err(AttemptError::Stopped);
    }
    compose::poster(&inputs.toolbox, &video, &poster).map_err(ours)?;
    meter.report(Stage::Finishing, 0.95);
    let clip = MadeClip {
        video,
        poster,
        size: FrameSize {
            width: encoded.width,
            height: encoded.height,
        },
        num_frames: encoded.num_frames,
        seed,
    };
    Ok((clip, made, warnings))
}

/// Where an engine's frames go: into the encoder, or through it, where they come as a file.
struct Sink<'a> {
    order: &'a Order,
    output: &'a Path,
    taken: Taken,
    warnings: Vec<Warning>,
}

/// What has been taken so far.
enum Taken {
    Nothing,
    Frames(Box<Encoder>),
    File(EncodedClip),
}

impl<'a> Sink<'a> {
    fn new(order: &'a Order, output: &'a Path) -> Sink<'a> {
        Sink {
            order,
            output,
            taken: Taken::Nothing,
            warnings: Vec::new(),
        }
    }

    /// Ends the clip and reads back what was written.
    fn finish(self) -> Result<(EncodedClip, Vec<Warning>), AttemptError> {
        let encoded = match self.taken {
            Taken::Nothing => return Err(AttemptError::NoClip),
            Taken::Frames(encoder) => encoder.finish().map_err(AttemptError::Encode)?,
            Taken::File(encoded) => encoded,
        };
        Ok((encoded, self.warnings))
    }

    fn check_wanted(&self) -> Result<(), SinkError> {
        match self.order.stop.is_requested() {
            true => Err(SinkError::Stopped),
            false => Ok(()),
        }
    }

    /// The clip as it will be written; what its track and size mean for the client is noted.
    fn options(&mut self, track: Track, made: (u32, u32)) -> ClipOptions {
        let Inputs { size, .. } = &self.order.inputs;
        self.warnings.extend(track.warning);
        if made.0 < size.width && made.1 < size.height {
            self.warnings.push(Warning {
                code: "upscaled".to_owned(),
                message: format!("The clip was made at {}x{} and scaled to {size}.", made.0, made.1),
            });
        }
        ClipOptions {
            width: size.width,
            height: size.height,
            fps: OUTPUT_FPS,
            num_frames: self.order.inputs.num_frames(),
            sound: track.sound,
            preset: self.order.preset,
        }
    }
}

impl ClipSink for Sink<'_> {
    fn begin(&mut self, format: FrameFormat) -> Result<(), SinkError> {
        self.check_wanted()?;
        let Order { spec, inputs, .. } = self.order;
        let FrameFormat {
            width,
            height,
            fps,
            fit,
        } = format;
        let options = self.options(Track::of_frames(spec, &inputs.media), (width, height));
        let frames = compose::FrameFormat {
            width,
            height,
            fps: Fps::new(fps),
            fit,
        };
        let encoder = Encoder::start(&inputs.toolbox, frames, options, self.output).map_err(unwritten)?;
        self.taken = Taken::Frames(Box::new(encoder));
        Ok(())
    }

    fn frame(&mut self, rgb: &[u8]) -> Result<(), SinkError> {
        self.check_wanted()?;
        match &mut self.taken {
            Taken::Frames(encoder) => encoder.push(rgb).map_err(unwritten),
            Taken::Nothing | Taken::File(_) => Err(unwritten(MediaFailure::Usage {
                detail: "a frame came before the clip was begun".to_owned(),
            })),
        }
    }

    fn wants_preview(&mut self) -> Option<u32> {
        self.order.previews.wanted()
    }

    fn preview(&mut self, width: u32, height: u32, rgb: &[u8]) -> Result<(), SinkError> {
        let toolbox = &self.order.inputs.toolbox;
        self.order
            .previews
            .show(toolbox, width, height, rgb)
            .map_err(unwritten)
    }

    fn file(&mut self, path: &Path) -> Result<(), SinkError> {
        self.check_wanted()?;
        let Order { spec, inputs, .. } = self.order;
        let facts = probe_video(&inputs.toolbox, path).map_err(unread)?;
        let frames = Track::of_frames(spec, &inputs.media);
        let track = match facts.has_audio {
            true => Track::of_file(spec, frames, path),
            false => frames,
        };
        let options = self.options(track, (facts.width, facts.height));
        let encoded = compose::transcode_file(&inputs.toolbox, path, options, self.output).map_err(unread)?;
        self.taken = Taken::File(encoded);
        Ok(())
    }
}

fn unwritten(failure: MediaFailure) -> SinkError {
    SinkError::Write(Box::new(failure))
}

/// A file of the engine's that cannot be read is not the user's fault.
fn unread(problem: MediaProblem) -> SinkError {
    SinkError::Write(Box::new(problem))
}

/// A clip of our own that cannot be read back is a failure of ours.
fn ours(problem: MediaProblem) -> AttemptError {
    AttemptError::Encode(match problem {
        MediaProblem::Failure(failure) => failure,
        MediaProblem::Defect(defect) => MediaFailure::Child {
            detail: format!("the clip written {defect}"),
        },
    })
}

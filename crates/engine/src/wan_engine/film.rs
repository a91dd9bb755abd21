//! One clip: planned in the model's own numbers, made in runs, handed on frame by frame.

use std::{cell::RefCell, collections::VecDeque, ops::ControlFlow};

use kinora_domain::{FrameSize, GenerationSpec, Member, OUTPUT_FPS, Warning, Workflow};
use kinora_media::frames::Fit;
use kinora_wan::{
    Capabilities, Conditioning, FrameRgb, Guidance, Noise, Outcome, Pipeline, Preview, Request, Sampling,
    StepCache,
    capabilities::Family,
    request::{Mask, VaceControl},
};

use super::{
    WanOptions,
    footage::{self, Footage, References},
    narrow, round_up,
    segments::{Segment, segments},
    timeline::Timeline,
    told, words,
};
use crate::{
    EngineError, EngineProgress, Halt, Made,
    clip::{ClipSink, FrameFormat, SinkError},
    cost::CostMeter,
    inputs::Inputs,
    prompt::shots::{self, Shot},
};

/// One clip being made.
pub(super) struct Film<'a> {
    pipeline: &'a mut Pipeline,
    plan: Plan,
    spec: &'a GenerationSpec,
    inputs: &'a Inputs,
    warnings: Vec<Warning>,
    meter: CostMeter,
}

/// Who takes the frames, and who hears how far they are.
struct Audience<'a> {
    clip: &'a mut dyn ClipSink,
    observe: &'a mut dyn FnMut(EngineProgress) -> ControlFlow<Halt>,
}

/// Previews, from a run to whoever takes the frames.
struct Glances<'a, 'b, 'c> {
    clip: &'a RefCell<&'b mut (dyn ClipSink + 'c)>,
    unshown: &'a RefCell<Option<SinkError>>,
}

impl Preview for Glances<'_, '_, '_> {
    fn wanted(&mut self) -> Option<usize> {
        let side = self.clip.borrow_mut().wants_preview()?;
        Some(side as usize)
    }

    fn show(&mut self, picture: FrameRgb) {
        let (width, height) = (narrow(picture.width), narrow(picture.height));
        if let Err(error) = self.clip.borrow_mut().preview(width, height, &picture.data) {
            *self.unshown.borrow_mut() = Some(error);
        }
    }
}

/// The numbers of one clip.
#[derive(Debug, Clone)]
struct Plan {
    /// Of the frames that the model makes.
    size: FrameSize,
    /// Of those frames.
    fps: u32,
    /// At this rate.
    num_frames: usize,
    /// The longest run.
    longest: usize,
    sampling: Sampling,
    step_cache: Option<StepCache>,
    guidance: Guidance,
    prompt: String,
    negative_prompt: String,
}

/// Runs that follow each other without a cut.
struct Take<'r> {
    runs: &'r [Segment],
    /// What the first of them starts from.
    opening: Conditioning,
    /// How it ends, where that is given.
    last: Option<FrameRgb>,
    /// At most so many of its frames are shown.
    needed: usize,
    /// How many runs of the clip are behind, and how many there are in all.
    at: (usize, usize),
}

/// What a run is given beside its prompt.
struct Known<'f> {
    /// The last frames of what there is.
    before: &'f VecDeque<FrameRgb>,
    /// How the whole clip ends, in its last run.
    last: Option<FrameRgb>,
}

impl<'a> Film<'a> {
    /// Plans it.
    pub(super) fn new(
        pipeline: &'a mut Pipeline,
        options: &WanOptions,
        spec: &'a GenerationSpec,
        inputs: &'a Inputs,
    ) -> Film<'a> {
        Film {
            plan: Plan::new(pipeline.capabilities(), options, spec, inputs),
            pipeline,
            spec,
            inputs,
            warnings: Vec::new(),
            meter: CostMeter::start(),
        }
    }

    /// Makes it, from its first frame to its last.
    pub(super) fn make(
        mut self,
        clip: &mut dyn ClipSink,
        observe: &mut dyn FnMut(EngineProgress) -> ControlFlow<Halt>,
    ) -> Result<Made, EngineError> {
        self.warn_of_words();
        let mut audience = Audience { clip, observe };
        let mut actual_prompt = None;
        match &self.spec.workflow {
            Workflow::Edit { .. } => self.edit(&mut audience)?,
            Workflow::Continuation { .. } => self.go_on(&mut audience)?,
            Workflow::Reference {
                multi_shots: true, ..
            } => match shots::cut(&self.plan.prompt, self.inputs.duration_ms) {
                shots if shots.len() > 1 => {
                    actual_prompt = Some(shots::write(&self.plan.prompt, self.inputs.duration_ms));
                    self.shots(shots, &mut audience)?;
                }
                _ => {
                    self.warn_of_one_shot();
                    self.start(&mut audience)?;
                }
            },
            Workflow::Text { .. }
            | Workflow::Image { .. }
            | Workflow::FirstLast { .. }
            | Workflow::Reference { .. } => self.start(&mut audience)?,
        }
        Ok(Made {
            actual_prompt,
            warnings: self.warnings,
            cost: self.meter.finish(),
        })
    }

    /// From text, pictures or references.
    fn start(&mut self, audience: &mut Audience<'_>) -> Result<(), EngineError> {
        let footage = self.footage();
        let (mut first, last) = match &self.spec.workflow {
            Workflow::Image { .. } => (Some(footage.picture(Member::Image)?), None),
            Workflow::FirstLast { .. } => (
                Some(footage.picture(Member::Image)?),
                Some(footage.picture(Member::EndImage)?),
            ),
            Workflow::Text { .. }
            | Workflow::Reference { .. }
            | Workflow::Continuation { .. }
            | Workflow::Edit { .. } => (None, None),
        };
        let references = footage.references(self.pipeline.capabilities())?;
        self.warn_of_references(&references);
        // What shows a picture that was stretched to the model's ratio is stretched back.
        let fit = if first.is_some() { Fit::Stretch } else { Fit::Cover };
        self.begin(fit, audience)?;

        let runs = self.segments(0);
        let opening = match (first.take(), last.clone().filter(|_| runs.len() == 1)) {
            (Some(first), Some(last)) => Conditioning::FirstAndLast { first, last },
            (Some(first), None) => Conditioning::FirstFrame(first),
            (None, _) if references.is_empty() => Conditioning::Text,
            (None, _) => references.conditioning(),
        };
        let take = Take {
            runs: &runs,
            opening,
            last,
            needed: usize::MAX,
            at: (0, runs.len()),
        };
        self.take(take, audience)
    }

    /// Of references, in several shots that are cut together. Each is made for itself, of its own part of the prompt; what
    /// the shots have in common are the references.
    fn shots(&mut self, shots: Vec<Shot>, audience: &mut Audience<'_>) -> Result<(), EngineError> {
        let references = self.footage().references(self.pipeline.capabilities())?;
        self.warn_of_references(&references);
        self.begin(Fit::Cover, audience)?;
        let fps = self.plan.fps as usize;
        let mut from_ms = 0;
        let mut takes = Vec::with_capacity(shots.len());
        for Shot { prompt, duration_ms } in shots {
            let frame_at = |ms: u64| (ms as usize * fps + 500) / 1000;
            let to_ms = from_ms + duration_ms;
            // One more than fills a shot, where the clip ends with it: the first frame of a clip stands at 0.
            let fills = usize::from(to_ms >= self.inputs.duration_ms);
            let num_frames = frame_at(to_ms) - frame_at(from_ms) + fills;
            self.plan.num_frames = num_frames;
            takes.push((prompt, num_frames, self.segments(0)));
            from_ms = to_ms;
        }
        let of = takes.iter().map(|(_, _, runs)| runs.len()).sum();
        let mut made = 0;
        for (prompt, num_frames, runs) in takes {
            self.plan.prompt = prompt;
            let take = Take {
                runs: &runs,
                opening: match references.is_empty() {
                    true => Conditioning::Text,
                    false => references.conditioning(),
                },
                last: None,
                needed: num_frames,
                at: (made, of),
            };
            self.take(take, audience)?;
            made += runs.len();
        }
        Ok(())
    }

    /// Runs that go on from each other, from an opening to a last frame where there is one.
    fn take(&mut self, take: Take<'_>, audience: &mut Audience<'_>) -> Result<(), EngineError> {
        let Take {
            runs,
            opening,
            last,
            mut needed,
            at: (done, of),
        } = take;
        let mut opening = Some(opening);
        let mut before = VecDeque::new();
        for (index, run) in runs.iter().enumerate() {
            let last = last.clone().filter(|_| index + 1 == runs.len());
            let conditioning = match opening.take() {
                Some(opening) => opening,
                None => self.going_on(
                    *run,
                    Known {
                        before: &before,
                        last,
                    },
                ),
            };
            let run = Run {
                conditioning,
                segment: *run,
                noise: done + index,
                at: (done + index, of),
            };
            self.run(run, audience, &mut before, &mut |frame, clip| {
                // Runs have lengths of 4n + 1: what is beyond the take is not shown.
                match needed.checked_sub(1) {
                    Some(left) => needed = left,
                    None => return Ok(()),
                }
                clip.frame(&frame.data)
            })?;
        }
        Ok(())
    }

    /// From a clip: its own pictures are kept as they are.
    fn go_on(&mut self, audience: &mut Audience<'_>) -> Result<(), EngineError> {
        let footage = self.footage();
        let last = match &self.spec.workflow {
            Workflow::Continuation { last: Some(_), .. } => Some(footage.picture(Member::EndImage)?),
            _ => None,
        };
        let size = self.inputs.size;
        audience.clip.begin(FrameFormat {
            width: size.width,
            height: size.height,
            fps: OUTPUT_FPS,
            fit: Fit::Cover,
        })?;
        let shown = footage.show_clip(audience.clip)?;
        let (mut before, given) = footage.end_of_clip(self.plan.longest)?;
        let mut timeline = Timeline::new(size, OUTPUT_FPS, self.plan.fps, shown, self.inputs.num_frames());

        let runs = self.segments(given);
        let mut number = given;
        for (index, run) in runs.iter().enumerate() {
            let last = last.clone().filter(|_| index + 1 == runs.len());
            let conditioning = self.going_on(
                *run,
                Known {
                    before: &before,
                    last,
                },
            );
            let run = Run {
                conditioning,
                segment: *run,
                noise: index,
                at: (index, runs.len()),
            };
            self.run(run, audience, &mut before, &mut |frame, clip| {
                let extents = (frame.width, frame.height);
                timeline.push(number, extents, frame.data.clone(), clip)?;
                number += 1;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// A clip as the prompt changes it, part after part.
    fn edit(&mut self, audience: &mut Audience<'_>) -> Result<(), EngineError> {
        let footage = self.footage();
        let references = footage.references(self.pipeline.capabilities())?;
        self.begin(Fit::Stretch, audience)?;
        let mut source = footage.clip(self.plan.num_frames)?;
        let parts = self.plan.num_frames.div_ceil(self.plan.longest).max(1);
        let mut index = 0;
        loop {
            let mut frames = footage::take(&mut source, self.plan.longest)?;
            let Some(last) = frames.last().cloned() else {
                break;
            };
            let wanted = frames.len();
            frames.resize(round_up(wanted), last);
            let num_frames = frames.len();
            let conditioning = Conditioning::Edit {
                frames,
                references: references.images.clone(),
            };
            let run = Run {
                conditioning,
                segment: Segment { num_frames, known: 0 },
                // The same for every part, so that they look alike.
                noise: 0,
                at: (index.min(parts - 1), parts),
            };
            let mut left = wanted;
            self.run(run, audience, &mut VecDeque::new(), &mut |frame, clip| {
                let is_padding = left == 0;
                left = left.saturating_sub(1);
                if is_padding {
                    Ok(())
                } else {
                    clip.frame(&frame.data)
                }
            })?;
            index += 1;
        }
        if index > 1 {
            self.warn_of_segments(index);
        }
        Ok(())
    }

    /// Makes the frames of one run: each new one is shown, and the last ones are left in `before`.
    fn run(
        &mut self,
        run: Run,
        audience: &mut Audience<'_>,
        before: &mut VecDeque<FrameRgb>,
        show: &mut dyn FnMut(&FrameRgb, &mut dyn ClipSink) -> Result<(), SinkError>,
    ) -> Result<(), EngineError> {
        let Run {
            conditioning,
            segment: Segment { num_frames, known },
            noise,
            at,
        } = run;
        let plan = &self.plan;
        let request = Request {
            prompt: plan.prompt.clone(),
            negative_prompt: plan.negative_prompt.clone(),
            width: plan.size.width as usize,
            height: plan.size.height as usize,
            num_frames,
            // Every run of a clip has noise of its own.
            noise: Noise::Seed(u64::from(self.inputs.seed.get()) + ((noise as u64) << 32)),
            sampling: plan.sampling.clone(),
            step_cache: plan.step_cache,
            guidance: plan.guidance,
            conditioning,
        };
        let Audience { clip, observe } = audience;
        // Frames and previews come by two ways from one run, never at once.
        let clip = RefCell::new(&mut **clip);
        let mut index = 0;
        let unshown = RefCell::new(None);
        let mut preview = Glances {
            clip: &clip,
            unshown: &unshown,
        };
        let mut take = |frame: FrameRgb| {
            let is_new = index >= known;
            index += 1;
            if !is_new || unshown.borrow().is_some() {
                return;
            }
            if let Err(error) = show(&frame, &mut **clip.borrow_mut()) {
                *unshown.borrow_mut() = Some(error);
            }
            if before.len() == plan.longest {
                before.pop_front();
            }
            before.push_back(frame);
        };
        let meter = &mut self.meter;
        let mut tell = |progress: kinora_wan::Progress| {
            meter.at(told::stage(&progress), progress.step);
            match unshown.borrow().is_some() {
                true => ControlFlow::Break(()),
                false => observe(told::progress(progress, at)).map_break(drop),
            }
        };
        let made = self
            .pipeline
            .generate_with_previews(&request, &mut take, &mut tell, Some(&mut preview));
        if let Some(error) = unshown.into_inner() {
            return Err(error.into());
        }
        self.meter.end();
        let Outcome {
            warnings,
            cached_steps,
            latents: _,
            known_frames: _,
        } = made.map_err(told::error)?;
        self.meter.spared(cached_steps);
        self.note(warnings.into_iter().map(told::of_model).collect());
        Ok(())
    }

    fn footage(&self) -> Footage<'a> {
        Footage {
            inputs: self.inputs,
            size: self.plan.size,
            fps: self.plan.fps,
        }
    }

    fn begin(&self, fit: Fit, audience: &mut Audience<'_>) -> Result<(), EngineError> {
        let FrameSize { width, height } = self.plan.size;
        let format = FrameFormat {
            width,
            height,
            fps: self.plan.fps,
            fit,
        };
        Ok(audience.clip.begin(format)?)
    }

    /// The runs after the first `given` frames.
    fn segments(&mut self, given: usize) -> Vec<Segment> {
        let capabilities = self.pipeline.capabilities();
        let known = |made, num_frames| capabilities.continued_frames(made, num_frames);
        let runs = segments(self.plan.num_frames, given, self.plan.longest, known);
        if runs.len() > 1 {
            self.warn_of_segments(runs.len());
        }
        runs
    }

    /// A run that goes on from what there is, towards a last frame where the clip ends with one.
    fn going_on(&self, run: Segment, known: Known<'_>) -> Conditioning {
        let Known { before, last } = known;
        let frames: Vec<FrameRgb> = before.iter().cloned().collect();
        let Some(last) = last else {
            return Conditioning::Continue { frames };
        };
        match (self.pipeline.capabilities().family, frames.last().cloned()) {
            (Family::Vace, _) | (_, None) => {
                Conditioning::Vace(towards(&frames[frames.len() - run.known..], last, run.num_frames))
            }
            (_, Some(first)) => Conditioning::FirstAndLast { first, last },
        }
    }

    fn note(&mut self, warnings: Vec<Warning>) {
        for warning in warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }

    fn warn_of_segments(&mut self, count: usize) {
        self.note(vec![told::warning(
            "segments_chained",
            format!("The clip is longer than the model makes at once: {count} parts follow each other."),
        )]);
    }

    fn warn_of_words(&mut self) {
        let words = &self.pipeline.capabilities().words;
        let unknown = words::unknown(&self.plan.prompt, words);
        if !unknown.is_empty() {
            let name = self
                .pipeline
                .capabilities()
                .name
                .as_deref()
                .unwrap_or("The model");
            let message = format!("{name} does not know {}. {}", unknown.join(", "), self.about());
            self.note(vec![told::warning("prompt_outside_world", message)]);
        }
    }

    fn about(&self) -> String {
        self.pipeline.capabilities().about.clone().unwrap_or_default()
    }

    fn warn_of_one_shot(&mut self) {
        self.note(vec![told::warning(
            "single_shot",
            "The prompt describes one shot, or the clip is too short for two; multi_shots had no effect."
                .into(),
        )]);
    }

    fn warn_of_references(&mut self, references: &References) {
        const TRAINED: usize = 3;
        let count = references.images.len() + references.videos.len();
        if self.pipeline.capabilities().family == Family::Vace && count > TRAINED {
            self.note(vec![told::extrapolated(count)]);
        }
    }
}

impl Plan {
    fn new(
        capabilities: &Capabilities,
        options: &WanOptions,
        spec: &GenerationSpec,
        inputs: &Inputs,
    ) -> Plan {
        let defaults = &capabilities.defaults;
        let ratio = f64::from(inputs.size.width) / f64::from(inputs.size.height.max(1));
        let [width, height] = capabilities.size_for(ratio, options.area.unwrap_or(defaults.area));
        let size = FrameSize {
            width: narrow(width),
            height: narrow(height),
        };
        // The first frame stands at 0, so that one more fills the length.
        let num_frames = (inputs.duration_ms as usize * defaults.fps).div_ceil(1000) + 1;
        let negative_prompt = spec.negative_prompt.clone();
        Plan {
            size,
            fps: narrow(defaults.fps),
            num_frames,
            longest: defaults.num_frames,
            sampling: sampling(capabilities, options),
            guidance: match (options.guidance, options.timesteps.is_empty()) {
                (Some(guidance), _) => Guidance::uniform(guidance),
                (None, true) => defaults.guidance,
                // What was distilled has learnt what guidance does.
                (None, false) => Guidance::off(),
            },
            step_cache: options.step_cache().map(|threshold| StepCache { threshold }),
            prompt: spec.prompt.clone().unwrap_or_default(),
            negative_prompt: negative_prompt.unwrap_or_else(|| defaults.negative_prompt.clone()),
        }
    }
}

/// A list of timesteps where there is one: the operator's, or the checkpoint's unless the operator wants a number of steps.
fn sampling(capabilities: &Capabilities, options: &WanOptions) -> Sampling {
    let defaults = &capabilities.defaults;
    let timesteps = match (options.timesteps.is_empty(), options.steps) {
        (false, _) => &options.timesteps,
        (true, None) => &defaults.timesteps,
        (true, Some(_)) => &Vec::new(),
    };
    if timesteps.is_empty() {
        return Sampling::Checkpoint {
            steps: options.steps.unwrap_or(defaults.steps),
        };
    }
    Sampling::Distilled {
        timesteps: timesteps.clone(),
        shift: defaults.shift,
    }
}

/// One run of the model.
struct Run {
    conditioning: Conditioning,
    /// Its known frames are there already and are not shown again.
    segment: Segment,
    /// Which noise it starts from.
    noise: usize,
    /// Which run of how many.
    at: (usize, usize),
}

/// A control clip of `num_frames` that starts with `known` frames and ends with `last`; what lies between is made.
fn towards(known: &[FrameRgb], last: FrameRgb, num_frames: usize) -> VaceControl {
    const GREY: u8 = 128;
    let (width, height) = (last.width, last.height);
    let blank = FrameRgb {
        width,
        height,
        data: vec![GREY; width * height * 3],
    };
    let mask = |value| Mask {
        data: vec![value; width * height],
    };
    let open = num_frames - known.len() - 1;
    let mut frames = known.to_vec();
    frames.extend(std::iter::repeat_n(blank, open));
    frames.push(last);
    let mut masks = vec![mask(0); known.len()];
    masks.extend(std::iter::repeat_n(mask(255), open));
    masks.push(mask(0));
    VaceControl {
        frames,
        masks,
        references: Vec::new(),
        scale: 1.0,
    }
}

//! Whole generations: eight steps from the reference's noise to its latents and its frames, for every workflow and family.

use std::ops::ControlFlow;
use std::path::Path;

use tempfile::TempDir;

use kinora_wan::Conditioning;
use kinora_wan::FrameRgb;
use kinora_wan::GenerateError;
use kinora_wan::Guidance;
use kinora_wan::LoadOptions;
use kinora_wan::Noise;
use kinora_wan::Pipeline;
use kinora_wan::Request;
use kinora_wan::Sampling;
use kinora_wan::Warning;
use kinora_wan::request::Mask;
use kinora_wan::request::VaceControl;

use crate::golden::Golden;
use crate::golden::check;
use crate::golden::path;

/// Of the largest latent, after eight steps.
const LATENTS: f32 = 1e-4;
/// Of a channel's range.
const FRAMES: f32 = 1.0 / 255.0;

const PROMPT: &str = "Two anthropomorphic cats in comfy boxing gear fight intensely on a stage.";
const NEGATIVE: &str = "色调艳丽，过曝，静态，细节模糊不清";

#[test]
fn generations_equal_the_reference() {
    check_case("t2v", "guided", |_| Conditioning::Text);
    check_case("t2v", "plain", |_| Conditioning::Text);
    check_case("t2v_experts", "guided", |_| Conditioning::Text);
    check_case("i2v", "guided", first);
    check_case("flf2v", "guided", first_and_last);
    check_case("i2v_experts", "first", first);
    check_case("i2v_experts", "first_last", first_and_last);
    check_case("ti2v", "text", |_| Conditioning::Text);
    check_case("ti2v", "first", first);
    check_case("vace", "extend", |case| Conditioning::Vace(case.control()));
    check_case("vace", "edit", |case| Conditioning::Vace(case.control()));
}

#[test]
fn memory_budgets_change_nothing_but_memory() {
    let folder = assemble("i2v_experts");
    let case = Case::open("i2v_experts", "first");
    let whole = generate(&folder, &case.request(first), None);
    let frugal = generate(&folder, &case.request(first), Some(1 << 20));
    assert_eq!(whole.1, frugal.1);
}

#[test]
fn a_short_continuation_is_a_generation_from_its_last_frame() {
    let folder = assemble("vace");
    let case = Case::open("vace", "extend");
    let before = case.control().frames[..5].to_vec();
    let from_last = case.request(|_| Conditioning::FirstFrame(before[4].clone()));
    let continued = case.request(|_| Conditioning::Continue {
        frames: before.clone(),
    });
    let (expected, got) = (
        generate(&folder, &from_last, None),
        generate(&folder, &continued, None),
    );
    assert_eq!(got.0.known_frames, 1);
    assert_eq!(got.1, expected.1);
}

#[test]
fn the_same_seed_gives_the_same_frames() {
    let folder = assemble("t2v");
    let case = Case::open("t2v", "plain");
    let request = |seed| Request {
        noise: Noise::Seed(seed),
        ..case.request(|_| Conditioning::Text)
    };
    let frames = [7, 7, 8].map(|seed| generate(&folder, &request(seed), None).1);
    assert_eq!(frames[0], frames[1]);
    assert_ne!(frames[0], frames[2]);
}

#[test]
fn single_frames_are_clips_too() {
    let check = |pipeline: &str, size: usize, first: bool| {
        let frame = FrameRgb {
            width: size,
            height: size,
            data: vec![90; size * size * 3],
        };
        let request = Request {
            prompt: PROMPT.into(),
            negative_prompt: String::new(),
            width: size,
            height: size,
            num_frames: 1,
            noise: Noise::Seed(1),
            sampling: Sampling::Checkpoint { steps: 2 },
            step_cache: None,
            guidance: Guidance::off(),
            conditioning: if first {
                Conditioning::FirstFrame(frame)
            } else {
                Conditioning::Text
            },
        };
        assert_eq!(
            generate(&assemble(pipeline), &request, None).1.len(),
            1,
            "{pipeline}"
        );
    };
    check("t2v", 16, false);
    check("i2v", 16, true);
    check("ti2v", 32, false);
    check("ti2v", 32, true);
    check("vace", 16, false);
    check("vace", 16, true);
}

#[test]
fn what_is_left_of_a_prompt_that_is_too_long_is_told() {
    let folder = assemble("t2v");
    let request = Case::open("t2v", "plain").request(|_| Conditioning::Text);
    let long = Request {
        prompt: "a cat ".repeat(600),
        negative_prompt: "字".repeat(600),
        ..request
    };
    let unguided = generate(&folder, &long, None).0;
    assert_eq!(unguided.warnings, [Warning::LongPrompt { field: "prompt" }]);
    let guided = generate(
        &folder,
        &Request {
            step_cache: None,
            guidance: Guidance::uniform(2.0),
            ..long
        },
        None,
    )
    .0;
    let fields = ["prompt", "negative_prompt"].map(|field| Warning::LongPrompt { field });
    assert_eq!(guided.warnings, fields);
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    let folder = assemble("t2v");
    let mut pipeline = load(&folder, None);
    let case = Case::open("t2v", "plain");
    let whole = case.request(|_| Conditioning::Text);
    let frame = FrameRgb {
        width: 32,
        height: 32,
        data: vec![0; 32 * 32 * 3],
    };
    let mut check = |expected: &str, request: Request| match generate_with(&mut pipeline, &request) {
        Err(GenerateError::Refused { field, reason }) => assert_eq!(format!("{field}: {reason}"), expected),
        other => panic!("{expected}: {other:?}"),
    };
    check(
        "width: 40 is not a multiple of 16",
        Request {
            width: 40,
            ..whole.clone()
        },
    );
    check(
        "num_frames: 6 is not a multiple of 4 plus one",
        Request {
            num_frames: 6,
            ..whole.clone()
        },
    );
    check(
        "conditioning: this checkpoint does not do first frame; it does: text",
        Request {
            conditioning: Conditioning::FirstFrame(frame),
            ..whole.clone()
        },
    );
    check(
        "sampling: there must be a step at least",
        Request {
            sampling: Sampling::Checkpoint { steps: 0 },
            ..whole
        },
    );
}

#[test]
fn an_observer_hears_every_stage_and_stops_it() {
    let folder = assemble("t2v");
    let mut pipeline = load(&folder, None);
    let request = Case::open("t2v", "guided").request(|_| Conditioning::Text);
    let mut stages = Vec::new();
    let mut fraction = 0.0;
    pipeline
        .generate(&request, &mut |_| {}, &mut |progress| {
            if stages.last() != Some(&progress.stage.name()) {
                stages.push(progress.stage.name());
                fraction = 0.0;
            }
            assert!(
                progress.fraction >= fraction && progress.fraction <= 1.0,
                "{progress:?}"
            );
            fraction = progress.fraction;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(stages, ["load", "encode text", "load", "denoise", "decode"]);

    let mut heard = 0;
    let stopped = pipeline.generate(&request, &mut |_| panic!("no frame may come"), &mut |_| {
        heard += 1;
        if heard == 20 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert!(matches!(stopped, Err(GenerateError::Stopped)));
    assert_eq!(heard, 20);
}

#[test]
fn a_checkpoint_that_is_not_what_it_says_is_refused() {
    let folder = assemble("t2v");
    let config = folder.path().join("transformer/config.json");
    let honest = std::fs::read_to_string(&config).unwrap();
    let check = |from: &str, to: &str, expected: &str| {
        std::fs::write(&config, honest.replace(from, to)).unwrap();
        let error = Pipeline::load(folder.path(), LoadOptions::default())
            .err()
            .unwrap();
        let mut chain = vec![error.to_string()];
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            chain.push(error.to_string());
            source = error.source();
        }
        assert!(chain.join(": ").contains(expected), "{}", chain.join(": "));
    };
    check(
        "\"num_layers\": 3",
        "\"num_layers\": 4",
        "has no tensor \"blocks.3.",
    );
    check("\"num_layers\": 3", "\"num_layers\": 2", "holds");
    check(
        "\"ffn_dim\": 56",
        "\"ffn_dim\": 64",
        "ffn.net.0.proj.weight\" should be [64, 40] and is [56, 40]",
    );
    check(
        "\"in_channels\": 16",
        "\"in_channels\": 17",
        "a transformer of 17 channels",
    );
    check(
        "\"text_dim\": 16",
        "\"text_dim\": 32",
        "the text encoder is 16 wide",
    );
    check("{", "", "cannot parse");
}

/// A checkpoint put together from the component folders that its `parts.json` names.
fn assemble(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = path(&format!("pipelines/{name}"));
    std::fs::copy(
        from.join("model_index.json"),
        folder.path().join("model_index.json"),
    )
    .unwrap();
    let parts: std::collections::BTreeMap<String, String> =
        serde_json::from_str(&std::fs::read_to_string(from.join("parts.json")).unwrap()).unwrap();
    copy(&from.join("scheduler"), &folder.path().join("scheduler"));
    for (part, component) in parts {
        copy(&path(&component), &folder.path().join(part));
    }
    folder
}

/// Copies the files of a component, its goldens left out.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap();
        if !name.starts_with("cases.") && !name.starts_with("tiled.") {
            std::fs::copy(&file, to.join(name)).unwrap();
        }
    }
}

fn load(folder: &TempDir, memory_budget: Option<u64>) -> Pipeline {
    Pipeline::load(
        folder.path(),
        LoadOptions {
            memory_budget,
            ..LoadOptions::default()
        },
    )
    .unwrap()
}

fn generate(
    folder: &TempDir,
    request: &Request,
    memory_budget: Option<u64>,
) -> (kinora_wan::Outcome, Vec<FrameRgb>) {
    generate_with(&mut load(folder, memory_budget), request).unwrap()
}

fn generate_with(
    pipeline: &mut Pipeline,
    request: &Request,
) -> Result<(kinora_wan::Outcome, Vec<FrameRgb>), GenerateError> {
    let mut frames = Vec::new();
    let outcome = pipeline.generate(request, &mut |frame| frames.push(frame), &mut |_| {
        ControlFlow::Continue(())
    })?;
    Ok((outcome, frames))
}

/// One generation of the reference.
struct Case {
    golden: Golden,
    name: &'static str,
}

/// What the reference was asked for.
struct Settings {
    frames: usize,
    rows: usize,
    columns: usize,
    steps: usize,
    guidance: f32,
}

impl Case {
    fn open(pipeline: &str, name: &'static str) -> Self {
        Self {
            golden: Golden::open(&format!("pipelines/{pipeline}/cases.safetensors")),
            name,
        }
    }

    fn name(&self, tensor: &str) -> String {
        format!("{}.{tensor}", self.name)
    }

    fn settings(&self) -> Settings {
        let numbers = self.golden.numbers(&self.name("settings"));
        Settings {
            frames: numbers[0] as usize,
            rows: numbers[1] as usize,
            columns: numbers[2] as usize,
            steps: numbers[3] as usize,
            guidance: numbers[4],
        }
    }

    fn request(&self, conditioning: impl Fn(&Case) -> Conditioning) -> Request {
        let settings = self.settings();
        let low = self.name("guidance_low");
        let low_noise = if self.golden.has(&low) {
            self.golden.numbers(&low)[0]
        } else {
            settings.guidance
        };
        Request {
            prompt: PROMPT.into(),
            negative_prompt: NEGATIVE.into(),
            width: settings.columns,
            height: settings.rows,
            num_frames: settings.frames,
            noise: Noise::Given(self.golden.clip(&self.name("noise"))),
            sampling: Sampling::Checkpoint {
                steps: settings.steps,
            },
            step_cache: None,
            guidance: Guidance {
                high_noise: settings.guidance,
                low_noise,
            },
            conditioning: conditioning(self),
        }
    }

    fn picture(&self, tensor: &str) -> FrameRgb {
        let name = self.name(tensor);
        let dims = self.golden.tensor(&name).dims().to_vec();
        FrameRgb {
            height: dims[0],
            width: dims[1],
            data: self.golden.bytes(&name),
        }
    }

    fn control(&self) -> VaceControl {
        let settings = self.settings();
        let pixels = settings.rows * settings.columns;
        let frame = |data: &[u8]| FrameRgb {
            width: settings.columns,
            height: settings.rows,
            data: data.to_vec(),
        };
        // The reference puts each picture before the ones it has, which turns their order round.
        let references = ["reference.1", "reference.0"]
            .into_iter()
            .filter(|name| self.golden.has(&self.name(name)));
        VaceControl {
            frames: self
                .golden
                .bytes(&self.name("video"))
                .chunks(pixels * 3)
                .map(frame)
                .collect(),
            masks: self
                .golden
                .bytes(&self.name("mask"))
                .chunks(pixels)
                .map(|data| Mask { data: data.to_vec() })
                .collect(),
            references: references.map(|name| self.picture(name)).collect(),
            scale: 1.0,
        }
    }
}

fn first(case: &Case) -> Conditioning {
    Conditioning::FirstFrame(case.picture("image.0"))
}

fn first_and_last(case: &Case) -> Conditioning {
    Conditioning::FirstAndLast {
        first: case.picture("image.0"),
        last: case.picture("image.1"),
    }
}

#[track_caller]
fn check_case(pipeline: &str, name: &'static str, conditioning: fn(&Case) -> Conditioning) {
    let case = Case::open(pipeline, name);
    let (outcome, frames) = generate(&assemble(pipeline), &case.request(conditioning), None);
    let expected = case.golden.clip(&case.name("latents"));
    // The reference keeps the latents of its references; they are not part of the clip.
    let leading = expected.dims()[0] - outcome.latents.dims()[0];
    let expected = expected.slice(0, leading..expected.dims()[0]).unwrap();
    check(
        &format!("{pipeline} {name} latents"),
        &outcome.latents,
        &expected,
        LATENTS,
    );

    let expected = case.golden.tensor(&case.name("frames"));
    assert_eq!(frames.len(), expected.dims()[0], "{pipeline} {name}");
    let bytes = frames
        .iter()
        .flat_map(|frame| &frame.data)
        .map(|&byte| f32::from(byte) / 255.0);
    let expected = expected.to_vec().unwrap();
    let differences = bytes.zip(expected).map(|(got, expected)| (got - expected).abs());
    let largest = differences.fold(0.0, f32::max);
    if std::env::var_os("PARITY_REPORT").is_some() {
        println!("{pipeline} {name} frames: largest difference {largest:.2e} of the range");
    }
    assert!(largest <= FRAMES, "{pipeline} {name}: frames differ by {largest}");
}

#[test]
fn generations_with_sources_equal_the_reference() {
    let golden = Golden::open("pipelines/sources/cases.safetensors");
    let picture = |name: &str| {
        let dims = golden.tensor(name).dims().to_vec();
        FrameRgb {
            height: dims[0],
            width: dims[1],
            data: golden.bytes(name),
        }
    };
    let pictures: Vec<FrameRgb> = (0..7).map(|index| picture(&format!("picture.{index}"))).collect();
    let frame = |data: &[u8]| FrameRgb {
        width: 48,
        height: 32,
        data: data.to_vec(),
    };
    let frames: Vec<FrameRgb> = golden.bytes("frames").chunks(32 * 48 * 3).map(frame).collect();
    let references = |count: usize| Conditioning::References {
        images: pictures[..count].to_vec(),
        videos: vec![],
    };
    let edit = |count: usize| Conditioning::Edit {
        frames: frames.clone(),
        references: pictures[..count].to_vec(),
    };
    let folder = assemble("sources");
    let mut pipeline = load(&folder, None);
    let mut check_case = |name: &str, conditioning: Conditioning, warnings: &[Warning]| {
        let request = Request {
            prompt: PROMPT.into(),
            negative_prompt: NEGATIVE.into(),
            width: 48,
            height: 32,
            num_frames: 5,
            noise: Noise::Given(golden.clip("noise")),
            sampling: Sampling::Checkpoint { steps: 8 },
            step_cache: None,
            guidance: Guidance::uniform(4.0),
            conditioning,
        };
        let (outcome, _) = generate_with(&mut pipeline, &request).unwrap();
        let expected = golden.clip(&format!("{name}.latents"));
        check(&format!("sources {name}"), &outcome.latents, &expected, LATENTS);
        assert_eq!(outcome.warnings, warnings, "{name}");
    };
    check_case("text", Conditioning::Text, &[]);
    check_case("edit", edit(0), &[]);
    check_case("edit_with_reference", edit(1), &[]);
    check_case("references", references(2), &[]);
    check_case(
        "many_references",
        references(7),
        &[Warning::ManySources { count: 7 }],
    );
}

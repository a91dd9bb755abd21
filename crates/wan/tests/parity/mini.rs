//! wan-mini, the checkpoint that is part of the program, against diffusers: the same files, prompt and noise.
//!
//! The expected clips are written by `checkpoints/mini/golden.py`.

use std::ops::ControlFlow;
use std::path::Path;

use kinora_tensor::Checkpoint;
use kinora_wan::Conditioning;
use kinora_wan::FrameRgb;
use kinora_wan::Guidance;
use kinora_wan::LoadOptions;
use kinora_wan::Noise;
use kinora_wan::Pipeline;
use kinora_wan::Request;
use kinora_wan::Sampling;
use kinora_wan::StepCache;
use kinora_wan::request::Mask;
use kinora_wan::request::VaceControl;

const WIDTH: usize = 112;
const HEIGHT: usize = 64;
const FRAMES: usize = 5;

#[test]
fn the_shipped_checkpoint_makes_what_diffusers_makes_of_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let clip = |name: &str| -> Vec<FrameRgb> {
        let file = root.join(format!("fixtures/golden/mini/{name}.safetensors"));
        let golden = Checkpoint::open(file).unwrap();
        let numbers = golden.weight_any("frames").unwrap().to_f32();
        let bytes: Vec<u8> = numbers.iter().map(|&number| number as u8).collect();
        let frames = bytes.chunks(WIDTH * HEIGHT * 3);
        frames
            .map(|data| FrameRgb {
                width: WIDTH,
                height: HEIGHT,
                data: data.to_vec(),
            })
            .collect()
    };
    let mut pipeline = Pipeline::load(root.join("checkpoints/mini/model"), LoadOptions::default()).unwrap();
    let source = clip("source");
    let cases = [
        (
            "text",
            "a red ball moves left on a white background",
            Conditioning::Text,
        ),
        (
            "first",
            "a blue star spins at night",
            Conditioning::Vace(control(&source, |frame| frame > 0)),
        ),
        (
            "edit",
            "make it green",
            Conditioning::Edit {
                frames: source.clone(),
                references: Vec::new(),
            },
        ),
        (
            "reference",
            "the thing in Image 1 rises over the sea",
            Conditioning::References {
                images: vec![source[0].clone()],
                videos: Vec::new(),
            },
        ),
    ];
    for (seed, (name, prompt, conditioning)) in cases.into_iter().enumerate() {
        let request = Request {
            prompt: prompt.into(),
            negative_prompt: String::new(),
            width: WIDTH,
            height: HEIGHT,
            num_frames: FRAMES,
            noise: Noise::Seed(seed as u64),
            sampling: Sampling::Checkpoint { steps: 6 },
            step_cache: None,
            guidance: Guidance::uniform(3.0),
            conditioning,
        };
        let mut made = Vec::new();
        pipeline
            .generate(&request, &mut |frame| made.push(frame), &mut |_| {
                ControlFlow::Continue(())
            })
            .unwrap();
        let expected = clip(name);
        assert_eq!(made.len(), expected.len(), "{name}");
        let differences = (made.iter().zip(&expected))
            .flat_map(|(made, expected)| made.data.iter().zip(&expected.data))
            .map(|(made, expected)| made.abs_diff(*expected));
        let (mut sum, mut largest, mut count) = (0u64, 0, 0u64);
        for difference in differences {
            sum += u64::from(difference);
            largest = largest.max(difference);
            count += 1;
        }
        let mean = sum as f64 / count as f64;
        println!("{name}: mean difference {mean:.4}, largest {largest}");
        assert!(mean <= 2.0, "{name}: frames differ by {mean} in the mean");
    }
}

/// Step caching changes a clip less than an eye sees.
#[test]
fn cached_steps_stay_near_the_exact_clip() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pipeline = Pipeline::load(root.join("checkpoints/mini/model"), LoadOptions::default()).unwrap();
    let mut make = |step_cache| {
        let request = Request {
            prompt: "a red ball moves to the right over grass".into(),
            negative_prompt: String::new(),
            width: WIDTH,
            height: HEIGHT,
            num_frames: FRAMES,
            noise: Noise::Seed(5),
            sampling: Sampling::Checkpoint { steps: 24 },
            step_cache,
            guidance: Guidance::uniform(3.0),
            conditioning: Conditioning::Text,
        };
        let mut made = Vec::new();
        let outcome = pipeline.generate(&request, &mut |frame| made.extend(frame.data), &mut |_| {
            ControlFlow::Continue(())
        });
        (made, outcome.unwrap().cached_steps)
    };
    let (exact, none) = make(None);
    assert_eq!(none, 0);
    for (threshold, fewest, lowest_db) in [(0.1, 7, 36.0), (0.3, 11, 30.0)] {
        let (near, spared) = make(Some(StepCache { threshold }));
        let squares = exact
            .iter()
            .zip(&near)
            .map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
        let db = 10.0 * (255.0f64.powi(2) / (squares.sum::<f64>() / exact.len() as f64)).log10();
        println!("threshold {threshold}: {spared} of 24 steps cached, {db:.1} dB");
        assert!(
            spared >= fewest && db >= lowest_db,
            "{threshold}: {spared} steps, {db} dB"
        );
    }
}

/// A control clip of which the frames that `is_new` are made; those are mid grey, as the golden's are.
fn control(source: &[FrameRgb], is_new: impl Fn(usize) -> bool) -> VaceControl {
    let of = |frame: usize, picture: &FrameRgb| match is_new(frame) {
        true => FrameRgb {
            data: vec![128; picture.data.len()],
            ..picture.clone()
        },
        false => picture.clone(),
    };
    let mask = |frame: usize| Mask {
        data: vec![if is_new(frame) { 255 } else { 0 }; WIDTH * HEIGHT],
    };
    VaceControl {
        frames: source
            .iter()
            .enumerate()
            .map(|(frame, picture)| of(frame, picture))
            .collect(),
        masks: (0..source.len()).map(mask).collect(),
        references: Vec::new(),
        scale: 1.0,
    }
}

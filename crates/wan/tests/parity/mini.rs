//! wan-mini, the checkpoint that is part of the program, against diffusers: the same files, prompt and noise.
//!
//! The expected clips are written by `checkpoints/mini/golden.py`.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use kinora_tensor::Checkpoint;
use kinora_tensor::cpu::Kernels;
use kinora_wan::Conditioning;
use kinora_wan::FrameRgb;
use kinora_wan::Guidance;
use kinora_wan::LoadOptions;
use kinora_wan::Noise;
use kinora_wan::Pipeline;
use kinora_wan::Quantization;
use kinora_wan::Request;
use kinora_wan::Sampling;
use kinora_wan::Stage;
use kinora_wan::StepCache;
use kinora_wan::config::VaeConfig;
use kinora_wan::request::Mask;
use kinora_wan::request::VaceControl;
use kinora_wan::vae::VaeDecoder;
use kinora_wan::vae::VaeEncoder;
use kinora_wan::vae::Watch;
use kinora_wan::weights::Weights;

use crate::golden::Golden;
use crate::quality::psnr;
use crate::quality::ssim;
use crate::vae;

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

/// A clip from text, in so many steps.
fn red_ball(steps: usize) -> Request {
    Request {
        prompt: "a red ball moves to the right over grass".into(),
        negative_prompt: String::new(),
        width: WIDTH,
        height: HEIGHT,
        num_frames: FRAMES,
        noise: Noise::Seed(5),
        sampling: Sampling::Checkpoint { steps },
        step_cache: None,
        guidance: Guidance::uniform(3.0),
        conditioning: Conditioning::Text,
    }
}

/// What is left out where that was asked for changes a clip less than an eye sees.
#[test]
fn bounded_loss_stays_near_the_exact_clip() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut make = [Quantization::None, Quantization::Bf16, Quantization::Int8].map(|quantization| {
        let options = LoadOptions {
            quantization,
            ..LoadOptions::default()
        };
        let mut pipeline = Pipeline::load(root.join("checkpoints/mini/model"), options).unwrap();
        move |threshold: Option<f32>| {
            let request = Request {
                step_cache: threshold.map(|threshold| StepCache { threshold }),
                ..red_ball(24)
            };
            let mut made = Vec::new();
            let outcome = pipeline.generate(&request, &mut |frame| made.push(frame), &mut |_| {
                ControlFlow::Continue(())
            });
            (made, outcome.unwrap().cached_steps)
        }
    });
    let (exact, none) = make[0](None);
    assert_eq!(none, 0);
    let cases = [
        (Quantization::None, Some(0.1), 7, 36.0, 0.95),
        (Quantization::None, Some(0.3), 11, 30.0, 0.9),
        // Exact where the machine has no instructions for it.
        (Quantization::Bf16, None, 0, 50.0, 0.99),
        (Quantization::Int8, None, 0, 40.0, 0.99),
        (Quantization::Int8, Some(0.1), 7, 36.0, 0.95),
        (Quantization::Int8, Some(0.3), 11, 30.0, 0.9),
    ];
    for (quantization, threshold, fewest, lowest_db, lowest_ssim) in cases {
        let (near, spared) = make[quantization as usize](threshold);
        let (db, ssim) = (psnr(&near, &exact), ssim(&near, &exact));
        println!(
            "{quantization:?}, step cache {threshold:?}: {spared} of 24 steps spared, {db:.1} dB, SSIM {ssim:.4}"
        );
        assert!(
            spared >= fewest && db >= lowest_db && ssim >= lowest_ssim,
            "{quantization:?}, {threshold:?}: {spared} steps, {db} dB, SSIM {ssim}"
        );
    }
}

/// What convolutions in bf16 lose by themselves, of a clip that is encoded and decoded again.
#[test]
fn convolutions_in_bf16_stay_near_the_exact_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let golden = Golden::open_at(&root.join("fixtures/golden/mini/source.safetensors"));
    let clip = golden.tensor("frames").affine(1.0 / 127.5, -1.0).unwrap();
    let clip = clip.reshape([FRAMES, HEIGHT, WIDTH, 3]).unwrap();
    let vae = root.join("checkpoints/mini/model/vae");
    let config = VaeConfig::read(&vae.join("config.json")).unwrap();
    let checkpoint = Arc::new(Checkpoint::open(vae.join("diffusion_pytorch_model.safetensors")).unwrap());
    let [exact, bf16] = [Quantization::None, Quantization::Bf16].map(|quantization| {
        let w = Weights::new(Arc::clone(&checkpoint), golden.device()).with_quantization(quantization);
        let encoder = VaeEncoder::load(&w, &config).unwrap();
        (encoder, VaeDecoder::load(&w, &config).unwrap())
    });
    let go_on = &mut || ControlFlow::Continue(());
    let mut encode = |encoder: &VaeEncoder| encoder.encode(&clip, &mut Watch(go_on)).unwrap();
    let latents = [&exact, &bf16].map(|(encoder, _)| encode(encoder));
    let [whole, decoded, encoded] = [
        (&exact.1, &latents[0]),
        (&bf16.1, &latents[0]),
        (&exact.1, &latents[1]),
    ]
    .map(|(decoder, latents)| vae::decode(decoder, latents).to_vec().unwrap());
    for (what, near) in [("decoded", decoded), ("encoded", encoded)] {
        let squares = (near.iter().zip(&whole)).map(|(a, b)| f64::from(a - b).powi(2));
        let db = 10.0 * (4.0 / (squares.sum::<f64>() / whole.len() as f64)).log10();
        println!("{what} in bf16: {db:.1} dB");
        // Exact where the machine has no instructions for it, and not where it has.
        assert!(db >= 60.0, "{what}: {db} dB");
        assert_eq!(
            db.is_finite(),
            Kernels::best().multiply_pairs(),
            "{what}: {db} dB"
        );
    }
}

/// The memory budget counts with what the matrices of the blocks take, and with nothing else changed.
#[test]
fn in_int8_the_weights_of_blocks_take_a_byte_each() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checkpoints/mini/model");
    let [exact, int8] = [Quantization::None, Quantization::Int8].map(|quantization| {
        let options = LoadOptions {
            quantization,
            ..LoadOptions::default()
        };
        Pipeline::load(&model, options).unwrap().weights_bytes()
    });
    let transformer = Checkpoint::open(model.join("transformer")).unwrap();
    let names: Vec<String> = transformer.entries().map(|(name, _)| name.to_owned()).collect();
    let matrices = names
        .iter()
        .filter(|name| name.contains(".attn") || name.contains(".ffn."))
        .map(|name| (name, transformer.weight_any(name).unwrap()))
        .filter(|(_, weight)| weight.shape().rank() == 2);
    let (mut stored, mut numbers) = (0, 0);
    for (name, weight) in matrices {
        stored += transformer.bytes(name).unwrap().len() as u64;
        numbers += weight.shape().elements() as u64;
    }
    assert!(
        numbers > 1_000_000 && stored > numbers,
        "{stored} bytes, {numbers}"
    );
    assert_eq!(exact - int8, stored - numbers);
}

/// A transformer that is more than the budget is read block by block, and nothing else changes.
#[test]
fn a_transformer_that_does_not_fit_is_streamed() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checkpoints/mini/model");
    // A copy of the weights: no other test of this process maps it.
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&model, folder.path());
    let file = folder
        .path()
        .join("transformer/diffusion_pytorch_model.safetensors");
    let run = |memory_budget| {
        let options = LoadOptions {
            memory_budget,
            ..LoadOptions::default()
        };
        let mut pipeline = Pipeline::load(folder.path(), options).unwrap();
        let request = red_ball(2);
        let mut most = 0;
        let outcome = pipeline.generate(&request, &mut |_| {}, &mut |progress| {
            if progress.stage == Stage::Denoise {
                most = most.max(resident_bytes(&file));
            }
            ControlFlow::Continue(())
        });
        (outcome.unwrap().latents.to_vec().unwrap(), most)
    };
    let (expected, whole) = run(None);
    let (got, some) = run(Some(8 << 20));
    assert_eq!(got, expected);
    println!("of the transformer's pages, {whole} bytes were in memory, {some} when streamed");
    if whole == 0 {
        println!("skipped: nobody tells what is in memory");
        return;
    }
    // Each of its nine blocks is a tenth of it, and what is outside of them little more.
    assert!(whole > 9 << 20 && some < whole / 3, "{some} of {whole}");
}

/// Copies cannot be streamed: where they are too large the setting that asks for them is named.
#[test]
fn copies_that_do_not_fit_are_refused() {
    let load = |quantization| {
        let options = LoadOptions {
            memory_budget: Some(2 << 20),
            quantization,
            ..LoadOptions::default()
        };
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checkpoints/mini/model");
        Pipeline::load(model, options)
    };
    load(Quantization::None).unwrap();
    let error = load(Quantization::Int8).err().unwrap().to_string();
    assert!(
        error.starts_with("because of `quantization`, 0.0 GB of the weights in "),
        "{error}"
    );
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

/// How much of a mapped file is in this process's memory; 0 where the system does not tell.
fn resident_bytes(file: &Path) -> usize {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let mut is_of_file = false;
    let mut kib = 0;
    for line in maps.lines() {
        match line.strip_prefix("Rss:") {
            Some(size) if is_of_file => {
                kib += size.trim().trim_end_matches(" kB").parse::<usize>().unwrap();
            }
            Some(_) => {}
            // The line of addresses that a mapping begins with ends with its file; others begin with what they tell.
            None if !line.starts_with(|c: char| c.is_ascii_uppercase()) => {
                is_of_file = line.ends_with(file.to_str().unwrap());
            }
            None => {}
        }
    }
    kib * 1024
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

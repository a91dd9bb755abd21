//! Runs the stages of a generation by themselves and measures them: `cargo run --release -p kinora-wan --example stages FOLDER`, the folder
//! being one that `fixtures/full_shape/make.py` filled.
//!
//! Every line of the input is a [`Command`]; its answer is a line of JSON. Loading, and what is done once for a generation (keys of the prompt,
//! rotary tables), is not in the time; the peak of memory is that of the work, with everything that is loaded then. So that
//! `fixtures/full_shape/time_stages.py` can run this and the reference in turn, each in processes of its own.

mod command;

mod meter;

use std::fs;
use std::io::BufRead;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use kinora_tensor::Checkpoint;
use kinora_tensor::Device;
use kinora_tensor::cpu::Convolutions;
use kinora_tensor::cpu::CpuOptions;
use kinora_tensor::testing::Maker;
use kinora_wan::Conditioning;
use kinora_wan::FrameRgb;
use kinora_wan::Guidance;
use kinora_wan::LoadOptions;
use kinora_wan::Noise;
use kinora_wan::Pipeline;
use kinora_wan::Quantization;
use kinora_wan::Request;
use kinora_wan::Sampling;
use kinora_wan::config::DitConfig;
use kinora_wan::config::TextConfig;
use kinora_wan::config::VaeConfig;
use kinora_wan::dit::Dit;
use kinora_wan::dit::Step;
use kinora_wan::dit::Timestep;
use kinora_wan::text::TextEncoder;
use kinora_wan::vae::VaeDecoder;
use kinora_wan::vae::VaeEncoder;
use kinora_wan::vae::Watch;
use kinora_wan::weights::Weights;

use self::command::Command;
use self::command::Extents;
use self::command::Part;
use self::command::Vae;
use self::command::Work;
use self::meter::Counted;
use self::meter::Meter;
use self::meter::Share;
use self::meter::cpu_time;

type Failure = Box<dyn std::error::Error>;

/// As many tokens as the prompts of a generation have, more or less; what is missing to 512 is one key.
const PROMPT_TOKENS: usize = 60;

const PROMPT: &str = "Two anthropomorphic cats in comfy boxing gear fight intensely on a stage.";
const NEGATIVE: &str = "blurred, static, worst quality";

fn main() -> Result<(), Failure> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [folder] = arguments.as_slice() else {
        return Err("expected FOLDER, and commands on the standard input".into());
    };
    let mut loaded: Option<(Part, Loaded)> = None;
    for line in std::io::stdin().lock().lines() {
        let Command { part, work } = line?.parse()?;
        // What was loaded goes before anything else comes.
        let kept = loaded.take().filter(|(kind, _)| *kind == part);
        let (_, model) = match kept {
            Some(kept) => loaded.insert(kept),
            None => loaded.insert((part, Loaded::load(folder, part)?)),
        };
        let answer = model.run(&work)?;
        println!("{answer}");
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// A part in memory, and the device it is on.
struct Loaded {
    meter: Arc<Meter>,
    device: Device,
    model: Model,
}

enum Model {
    Text(TextEncoder),
    Dit(Box<Dit>),
    Encoder(Box<VaeEncoder>),
    Decoder(Box<VaeDecoder>, VaeConfig),
    Pipeline(Box<Pipeline>),
}

impl Loaded {
    fn load(folder: &Path, part: Part) -> Result<Self, Failure> {
        let convolutions = match part {
            Part::Encoder(_, way) | Part::Decoder(_, way) => way.convolutions,
            Part::Text(_) | Part::Dit(..) | Part::Pipeline(_) => Convolutions::Winograd,
        };
        let (meter, device) = Meter::install(CpuOptions {
            convolutions,
            ..CpuOptions::default()
        });
        let weights = |folder: &Path| -> Result<Weights, Failure> {
            let checkpoint = Arc::new(Checkpoint::open(folder.join("model.safetensors"))?);
            Ok(Weights::new(checkpoint, &device))
        };
        let vae = |vae, quantization| -> Result<(Weights, VaeConfig), Failure> {
            let folder = folder.join(match vae {
                Vae::Vae21 => "vae21",
                Vae::Vae22 => "vae22",
            });
            let weights = weights(&folder)?.with_quantization(quantization);
            Ok((weights, VaeConfig::read(&folder.join("config.json"))?))
        };
        let model = match part {
            Part::Text(quantization) => {
                let folder = folder.join("umt5");
                let config: TextConfig = serde_json::from_slice(&fs::read(folder.join("config.json"))?)?;
                let weights = weights(&folder)?.with_quantization(quantization);
                Model::Text(TextEncoder::load(&weights, &config)?)
            }
            Part::Dit(quantization, placement) => {
                let folder = folder.join("dit");
                let config = DitConfig::read(&folder.join("config.json"))?;
                let weights = (weights(&folder)?)
                    .with_quantization(quantization)
                    .with_placement(placement);
                Model::Dit(Box::new(Dit::load(&weights, &config)?))
            }
            Part::Encoder(name, way) => {
                let (weights, config) = vae(name, way.quantization)?;
                Model::Encoder(Box::new(VaeEncoder::load(&weights, &config)?))
            }
            Part::Decoder(name, way) => {
                let (weights, config) = vae(name, way.quantization)?;
                Model::Decoder(Box::new(VaeDecoder::load(&weights, &config)?), config)
            }
            Part::Pipeline(quantization) => {
                Model::Pipeline(Box::new(pipeline(folder, &device, quantization)?))
            }
        };
        Ok(Self { meter, device, model })
    }

    /// The answer to a command for this part.
    fn run(&mut self, work: &Work) -> Result<serde_json::Value, Failure> {
        let Self { meter, device, model } = self;
        let mut maker = Maker::new(1);
        let mut tensor = |extents: &Extents, channels: usize| {
            let Extents {
                frames,
                rows,
                columns,
            } = *extents;
            maker.tensor(device, [frames, rows, columns, channels])
        };
        let go_on = &mut || ControlFlow::Continue(());
        match (model, work) {
            (Model::Text(encoder), Work::Text { tokens }) => {
                let ids: Vec<u32> = (2..).take(*tokens).collect();
                measure(meter, || {
                    let states = encoder.forward(&ids, &mut |_| ControlFlow::Continue(()));
                    states.map(drop).map_err(|halt| format!("{halt:?}").into())
                })
            }
            (Model::Dit(dit), Work::Clip(extents)) => {
                let latents = tensor(extents, dit.config().in_channels);
                let text = Maker::new(2).tensor(device, [PROMPT_TOKENS, dit.config().text_dim]);
                let (branch, layout) = (dit.branch(&text, None)?, dit.layout(&latents)?);
                let step = Step {
                    latents: &latents,
                    timestep: &Timestep::Uniform(801.0),
                    control: None,
                };
                measure(meter, || {
                    let velocity = dit.forward(&step, &layout, &branch, &mut |_| ControlFlow::Continue(()));
                    velocity.map(drop).map_err(|halt| format!("{halt:?}").into())
                })
            }
            (Model::Encoder(encoder), Work::Clip(extents)) => {
                let clip = tensor(extents, 3).clamp(-1.0, 1.0)?;
                measure(meter, || {
                    let latents = encoder.encode(&clip, &mut Watch(go_on));
                    latents.map(drop).map_err(|halt| format!("{halt:?}").into())
                })
            }
            (Model::Decoder(decoder, config), Work::Clip(extents)) => {
                let latents = tensor(extents, config.z_dim);
                measure(meter, || {
                    let mut decoding = decoder.start();
                    for frame in 0..extents.frames {
                        let latent = latents.slice(0, frame..frame + 1)?;
                        decoding
                            .push(&latent, &mut Watch(go_on))
                            .map_err(|halt| format!("{halt:?}"))?;
                    }
                    Ok(())
                })
            }
            (Model::Pipeline(pipeline), Work::Generate { frames, steps, out }) => {
                let request = request(*frames, *steps);
                let mut bytes = Vec::new();
                let answer = measure(meter, || {
                    let mut keep = |frame: FrameRgb| bytes.extend_from_slice(&frame.data);
                    pipeline.generate(&request, &mut keep, &mut |_| ControlFlow::Continue(()))?;
                    Ok(())
                })?;
                fs::write(out, bytes)?;
                Ok(answer)
            }
            (
                Model::Text(_) | Model::Dit(_) | Model::Encoder(_) | Model::Decoder(..) | Model::Pipeline(_),
                _,
            ) => unreachable!("a command's work is of its part"),
        }
    }
}

fn pipeline(folder: &Path, device: &Device, quantization: Quantization) -> Result<Pipeline, Failure> {
    let options = LoadOptions {
        device: device.clone(),
        quantization,
        ..LoadOptions::default()
    };
    Ok(Pipeline::load(folder.join("pipeline"), options)?)
}

fn request(
    Extents {
        frames,
        rows,
        columns,
    }: Extents,
    steps: usize,
) -> Request {
    Request {
        prompt: PROMPT.into(),
        negative_prompt: NEGATIVE.into(),
        width: columns,
        height: rows,
        num_frames: frames,
        noise: Noise::Seed(1),
        sampling: Sampling::Checkpoint { steps },
        step_cache: None,
        guidance: Guidance::uniform(5.0),
        conditioning: Conditioning::Text,
    }
}

/// Does the work and tells what it took: seconds by the clock and of processors, the most memory in use meanwhile, operations by their kind.
fn measure(meter: &Meter, work: impl FnOnce() -> Result<(), Failure>) -> Result<serde_json::Value, Failure> {
    meter.take();
    // The kernel's high-water mark starts anew from what is in use now.
    fs::write("/proc/self/clear_refs", "5")?;
    let (cpu, wall) = (cpu_time(), Instant::now());
    work()?;
    let (wall, cpu) = (wall.elapsed(), cpu_time() - cpu);
    let Counted {
        gemm,
        attention,
        conv3d,
    } = meter.take();
    let kind = |Share { operations, cpu }| serde_json::json!({ "gflop": operations as f64 / 1e9, "cpu_s": cpu.as_secs_f64() });
    Ok(serde_json::json!({
        "seconds": wall.as_secs_f64(),
        "cpu_s": cpu.as_secs_f64(),
        "peak_mb": peak_mb()?,
        "gemm": kind(gemm),
        "attention": kind(attention),
        "conv3d": kind(conv3d),
    }))
}

/// The most memory that was in use since the mark was set, pages of mapped files included, in MB of 10⁶ bytes.
fn peak_mb() -> Result<f64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .ok_or("/proc/self/status tells no VmHWM")?
        .parse()?;
    Ok(kib * 1024.0 / 1e6)
}

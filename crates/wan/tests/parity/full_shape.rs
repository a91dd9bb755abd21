//! Networks of their full width with random weights, against the reference: slow, so only where `FULL_SHAPE` names the folder that
//! `fixtures/full_shape/make.py` filled.

use std::ops::ControlFlow;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use kinora_tensor::Checkpoint;
use kinora_tensor::Device;
use kinora_tensor::Tensor;
use kinora_wan::Quantization;
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

use crate::golden::Golden;
use crate::golden::check;

const TOLERANCE: f32 = 1e-4;

/// Of random weights, through all thirty blocks.
const INT8_TOLERANCE: f32 = 0.1;

#[test]
fn full_shape_dit() {
    let Some((folder, golden, w)) = part("dit") else {
        return;
    };
    let config = DitConfig::read(&folder.join("config.json")).unwrap();
    let dit = timed("dit load", || Dit::load(&w, &config).unwrap());
    let latents = golden.clip("latents");
    let branch = timed("dit context", || {
        dit.branch(&golden.tensor("text"), None).unwrap()
    });
    let layout = dit.layout(&latents).unwrap();
    let step = Step {
        latents: &latents,
        timestep: &Timestep::Uniform(801.0),
        control: None,
    };
    let mut go_on = |_| ControlFlow::Continue(());
    let velocity = timed("dit forward", || {
        dit.forward(&step, &layout, &branch, &mut go_on).unwrap()
    });
    check("full-shape dit", &velocity, &golden.clip("velocity"), TOLERANCE);

    let rounded = w.with_quantization(Quantization::Int8);
    let int8 = timed("dit load, int8", || Dit::load(&rounded, &config).unwrap());
    let int8_branch = int8.branch(&golden.tensor("text"), None).unwrap();
    // In turns, for the machine may be busy with something else for a while.
    let mut ratios = Vec::new();
    for _ in 0..5 {
        let [exact_s, int8_s] = [(&dit, &branch), (&int8, &int8_branch)].map(|(dit, branch)| {
            let begin = Instant::now();
            dit.forward(&step, &layout, branch, &mut go_on).unwrap();
            begin.elapsed().as_secs_f64()
        });
        ratios.push(exact_s / int8_s);
    }
    ratios.sort_by(f64::total_cmp);
    println!("a step in int8 is {:.2} times as fast: {ratios:.2?}", ratios[2]);
    let near = int8.forward(&step, &layout, &int8_branch, &mut go_on).unwrap();
    check("full-shape dit, int8", &near, &velocity, INT8_TOLERANCE);
}

#[test]
fn full_shape_vaes() {
    for name in ["vae21", "vae22"] {
        let Some((folder, golden, w)) = part(name) else {
            return;
        };
        let config = VaeConfig::read(&folder.join("config.json")).unwrap();
        let go_on = &mut || ControlFlow::Continue(());
        let encoder = timed("encoder load", || VaeEncoder::load(&w, &config).unwrap());
        let latents = timed("encode", || {
            encoder.encode(&golden.clip("frames"), &mut Watch(go_on)).unwrap()
        });
        check(
            &format!("full-shape {name} encode"),
            &latents,
            &golden.clip("encoded"),
            TOLERANCE,
        );
        let decoder = timed("decoder load", || VaeDecoder::load(&w, &config).unwrap());
        let latents = golden.clip("latents");
        let clip = timed("decode", || {
            let mut decoding = decoder.start();
            let chunk = |frame| {
                decoding
                    .push(&latents.slice(0, frame..frame + 1).unwrap(), &mut Watch(go_on))
                    .unwrap()
            };
            let chunks: Vec<Tensor> = (0..latents.dims()[0]).map(chunk).collect();
            Tensor::concat(&chunks.iter().collect::<Vec<_>>(), 0).unwrap()
        });
        let clip = clip.clamp(-1.0, 1.0).unwrap();
        check(
            &format!("full-shape {name} decode"),
            &clip,
            &golden.clip("decoded"),
            TOLERANCE,
        );
    }
}

#[test]
fn full_shape_text_encoder() {
    let Some((folder, golden, w)) = part("umt5") else {
        return;
    };
    let config: TextConfig =
        serde_json::from_str(&std::fs::read_to_string(folder.join("config.json")).unwrap()).unwrap();
    let encoder = timed("umt5 load", || TextEncoder::load(&w, &config).unwrap());
    let context = timed("umt5 forward", || {
        encoder
            .forward(&golden.ids("ids"), &mut |_| ControlFlow::Continue(()))
            .unwrap()
    });
    check("full-shape umt5", &context, &golden.tensor("context"), TOLERANCE);
}

/// A part's folder, goldens and weights, where the folder is given and holds it.
fn part(name: &str) -> Option<(PathBuf, Golden, Weights)> {
    let Some(root) = std::env::var_os("FULL_SHAPE") else {
        println!("skipped: FULL_SHAPE names no folder");
        return None;
    };
    let folder = Path::new(&root).join(name);
    let golden = Golden::open(folder.join("cases.safetensors").to_str().unwrap());
    let checkpoint = Arc::new(Checkpoint::open(folder.join("model.safetensors")).unwrap());
    Some((folder, golden, Weights::new(checkpoint, &Device::cpu())))
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or("VmHWM: unknown");
    println!(
        "{what}: {:.2} s, {}",
        start.elapsed().as_secs_f32(),
        peak.replace('\t', " ")
    );
    done
}

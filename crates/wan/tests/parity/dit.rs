//! The DiT in every variant.

use std::ops::ControlFlow;

use kinora_tensor::Tensor;
use kinora_wan::config::DitConfig;
use kinora_wan::dit::Dit;
use kinora_wan::dit::Step;
use kinora_wan::dit::Timestep;
use kinora_wan::vace::Control;

use crate::golden::Golden;
use crate::golden::check;
use crate::golden::path;
use crate::golden::weights;

const TOLERANCE: f32 = 1e-5;

#[test]
fn velocities_equal_the_reference() {
    for variant in [
        "dit_t2v",
        "dit_head12",
        "dit_i2v",
        "dit_i2v_clip",
        "dit_flf2v",
        "dit_ti2v",
        "dit_vace",
    ] {
        for case in ["small", "odd"] {
            check_variant(variant, case);
        }
    }
}

fn check_variant(variant: &str, case: &str) {
    let golden = Golden::open(&format!("{variant}/cases.safetensors"));
    let name = |tensor: &str| format!("{case}.{tensor}");
    let config = DitConfig::read(&path(&format!("{variant}/config.json"))).unwrap();
    let (checkpoint, w) = weights(
        &format!("{variant}/diffusion_pytorch_model.safetensors"),
        golden.device(),
    );
    let dit = Dit::load(&w, &config).unwrap();
    checkpoint.finish().unwrap();

    let latents = golden.clip(&name("latents"));
    let timestep = if golden.has(&name("timestep")) {
        Timestep::Uniform(golden.numbers(&name("timestep"))[0])
    } else {
        per_token(&golden.numbers(&name("timestep_per_token")))
    };
    let image = golden.has(&name("image")).then(|| golden.tensor(&name("image")));
    let control = golden.has(&name("control")).then(|| Control {
        latents: golden.clip(&name("control")),
        scales: golden.numbers(&name("control_scale")),
    });
    let branch = dit.branch(&golden.tensor(&name("text")), image.as_ref()).unwrap();
    let layout = dit.layout(&latents).unwrap();
    let step = Step {
        latents: &latents,
        timestep: &timestep,
        control: control.as_ref(),
    };
    let mut blocks: Vec<Tensor> = Vec::new();
    let velocity = dit
        .forward_traced(&step, &layout, &branch, &mut |x| blocks.push(x.clone()))
        .unwrap();
    for (index, block) in blocks.iter().enumerate() {
        // A hint is added after the block itself, and only the block's own output is in the golden.
        if control.is_none() {
            let expected = golden.tensor(&name(&format!("block.{index}")));
            check(
                &format!("{variant} {case} block {index}"),
                block,
                &expected,
                TOLERANCE,
            );
        }
    }
    check(
        &format!("{variant} {case}"),
        &velocity,
        &golden.clip(&name("velocity")),
        TOLERANCE,
    );
}

#[test]
fn an_observer_stops_it_before_the_next_block() {
    let golden = Golden::open("dit_t2v/cases.safetensors");
    let config = DitConfig::read(&path("dit_t2v/config.json")).unwrap();
    let (_, w) = weights("dit_t2v/diffusion_pytorch_model.safetensors", golden.device());
    let dit = Dit::load(&w, &config).unwrap();
    let latents = golden.clip("small.latents");
    let (branch, layout) = (
        dit.branch(&golden.tensor("small.text"), None).unwrap(),
        dit.layout(&latents).unwrap(),
    );
    let step = Step {
        latents: &latents,
        timestep: &Timestep::Uniform(1.0),
        control: None,
    };
    let mut seen = Vec::new();
    let stopped = dit.forward(&step, &layout, &branch, &mut |share| {
        seen.push(share);
        if seen.len() == 2 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert!(matches!(stopped, Err(kinora_wan::error::Halt::Stopped)));
    assert_eq!(seen, [0.0, 1.0 / 3.0]);
}

fn per_token(timesteps: &[f32]) -> Timestep {
    let mut values: Vec<f32> = Vec::new();
    let index = timesteps
        .iter()
        .map(|timestep| {
            values
                .iter()
                .position(|value| value == timestep)
                .unwrap_or_else(|| {
                    values.push(*timestep);
                    values.len() - 1
                }) as u32
        })
        .collect();
    Timestep::PerToken { values, index }
}

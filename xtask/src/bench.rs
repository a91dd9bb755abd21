//! `cargo xtask bench …`: what the service can do on this machine, what an installation of several nodes can, and how
//! fast the engine is beside diffusers and stable-diffusion.cpp.
//!
//! The measuring is done by the server's examples `bench_service` and `bench_scale`, and by
//! fixtures/full_shape/time_stages.py with the example `stages` of kinora-wan; they print a table and write
//! target/bench/service.json, scale.json and engine.json. Here what they need is built as it is released, and what they
//! start is seen to.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Outcome;
use crate::parity;
use crate::run::{cargo, program, read, root, stop_if_interrupted, succeed, target};
use crate::setup;

/// One server, on the embedded database.
pub(crate) fn service() -> Outcome {
    setup::for_demo()?;
    measure("bench_service", &[])
}

/// Several nodes on both databases, with up to so many generations queued.
pub(crate) fn scale(backlog: u32) -> Outcome {
    setup::for_scale()?;
    measure("bench_scale", &[backlog.to_string()])
}

/// Each stage of a generation, at full shape with random weights, by Kinora, by diffusers and by stable-diffusion.cpp in
/// turn. All stages where none is named; the checkpoints are made once and kept.
pub(crate) fn engine(stages: &[String], rounds: u32) -> Outcome {
    let python = parity::python("parity", "fixtures/golden/requirements.txt")?;
    let scripts = root().join("fixtures/full_shape");
    let checkpoints = target().join("bench/engine");
    fs::create_dir_all(&checkpoints)
        .map_err(|source| format!("cannot make {}: {source}", checkpoints.display()))?;
    // What is written last of each: where it is, the part is whole.
    let parts = [
        ("dit", "dit/cases.safetensors"),
        ("vae21", "vae21/cases.safetensors"),
        ("vae22", "vae22/cases.safetensors"),
        ("umt5", "umt5/cases.safetensors"),
        ("pipeline", "pipeline/model_index.json"),
        ("original", "original/dit.safetensors"),
    ];
    let missing: Vec<&str> = parts
        .iter()
        .filter(|(_, last)| !checkpoints.join(last).exists())
        .map(|(part, _)| *part)
        .collect();
    if !missing.is_empty() {
        let mut make = program(&python);
        make.arg(scripts.join("make.py")).arg(&checkpoints).args(missing);
        succeed(make.env("UMT5_LAYERS", UMT5_LAYERS))?;
    }

    let sdcpp = stable_diffusion_cpp(&python, &checkpoints.join("sdcpp"))?;

    let release = ["--release", "--locked", "--package"];
    succeed(
        cargo(["build", "--example", "stages"])
            .args(release)
            .arg("kinora-wan"),
    )?;
    let mut kernels = cargo(["run", "--quiet", "--example", "kernels"]);
    let peak = read(kernels.args(release).args(["kinora-tensor", "--", "peak"]))?;
    let mut measure = program(&python);
    measure
        .arg(scripts.join("time_stages.py"))
        .arg(target().join("release/examples/stages"))
        .arg(&checkpoints)
        .arg(target().join("bench/engine.json"))
        .args(sdcpp.map(|package| format!("--sdcpp={}", package.display())))
        .args(["--peak", peak.trim(), "--rounds", &rounds.to_string(), "--stages"])
        .args(stages);
    succeed(&mut measure)
}

/// Of 24: in single precision, which the reference needs, all of them are 23 GB.
const UMT5_LAYERS: &str = "6";

/// Its Python package in this folder, with the library that pip builds from the package's sources; none where it cannot,
/// for the other two are worth comparing without it.
fn stable_diffusion_cpp(python: &Path, folder: &Path) -> Outcome<Option<PathBuf>> {
    if !folder
        .join("stable_diffusion_cpp/lib/libstable-diffusion.so")
        .exists()
    {
        let mut pip = program(python);
        // A wheel that pip keeps may have been built for another processor.
        pip.args(["-m", "pip", "install", "--no-cache-dir", "--no-deps", "--upgrade"])
            .args(["--disable-pip-version-check", "--quiet", "--target"])
            .arg(folder)
            .arg(SDCPP)
            .env("CMAKE_ARGS", SDCPP_OPTIONS);
        if let Err(why) = succeed(&mut pip) {
            stop_if_interrupted()?;
            println!("Without stable-diffusion.cpp: {}", why.0);
            return Ok(None);
        }
    }
    Ok(Some(folder.to_owned()))
}

/// It comes as sources only.
const SDCPP: &str = "stable-diffusion-cpp-python==0.4.7";

/// For this very processor, with ggml's quicker products, and without what writes files of pictures.
const SDCPP_OPTIONS: &str =
    "-DGGML_NATIVE=ON -DGGML_LLAMAFILE=ON -DGGML_BLAS=OFF -DSD_WEBP=OFF -DSD_WEBM=OFF";

/// Builds the server and the program that measures it, and lets the one loose on the other.
fn measure(example: &str, arguments: &[String]) -> Outcome {
    let package = ["--release", "--locked", "--package", "kinora-server"];
    succeed(cargo(["build", "--bin", "kinora"]).args(package))?;
    let mut measure = cargo(["run", "--quiet", "--example", example]);
    measure
        .args(package)
        .arg("--")
        .arg(target().join("release/kinora"))
        .args(arguments);
    succeed(&mut measure)
}

//! Times the decoding of latents: `cargo run --release -p kinora-wan --example vae FOLDER FRAMES ROWS COLUMNS`, the folder being one of
//! `fixtures/full_shape/make.py`, extents those of the latents.
//!
//! Every line of the input, `direct` or `winograd`, is answered with the seconds that decoding took with convolutions computed that way, so that
//! `fixtures/full_shape/time_vae.py` can run this and the reference in turn.

use std::io::BufRead;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use kinora_tensor::Checkpoint;
use kinora_tensor::Device;
use kinora_tensor::cpu::Convolutions;
use kinora_tensor::cpu::CpuOptions;
use kinora_tensor::testing::Maker;
use kinora_wan::config::VaeConfig;
use kinora_wan::vae::VaeDecoder;
use kinora_wan::vae::Watch;
use kinora_wan::weights::Weights;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, frames, rows, columns] = arguments.as_slice() else {
        return Err("expected FOLDER FRAMES ROWS COLUMNS".into());
    };
    let extents = [frames.parse()?, rows.parse()?, columns.parse()?];
    let (mut direct, mut winograd) = (None, None);
    for line in std::io::stdin().lock().lines() {
        let (decoder, convolutions) = match line?.as_str() {
            "direct" => (&mut direct, Convolutions::Direct),
            "winograd" => (&mut winograd, Convolutions::Winograd),
            other => return Err(format!("expected direct or winograd, not {other}").into()),
        };
        let decoder = match decoder {
            Some(decoder) => decoder,
            none => none.insert(Decoder::load(Path::new(folder), convolutions)?),
        };
        println!("{:.3}", decoder.time(extents)?);
    }
    Ok(())
}

struct Decoder {
    device: Device,
    decoder: VaeDecoder,
    channels: usize,
}

impl Decoder {
    fn load(folder: &Path, convolutions: Convolutions) -> Result<Self, Failure> {
        let device = Device::cpu_with(CpuOptions {
            convolutions,
            ..CpuOptions::default()
        });
        let config = VaeConfig::read(&folder.join("config.json"))?;
        let checkpoint = Arc::new(Checkpoint::open(folder.join("model.safetensors"))?);
        let decoder = VaeDecoder::load(&Weights::new(checkpoint, &device), &config)?;
        Ok(Self {
            device,
            decoder,
            channels: config.z_dim,
        })
    }

    /// Seconds for latents of these frames, rows and columns.
    fn time(&self, [frames, rows, columns]: [usize; 3]) -> Result<f64, Failure> {
        let latents = Maker::new(1).tensor(&self.device, [frames, rows, columns, self.channels]);
        let mut decoding = self.decoder.start();
        let start = Instant::now();
        for frame in 0..frames {
            let latent = latents.slice(0, frame..frame + 1)?;
            decoding
                .push(&latent, &mut Watch(&mut || ControlFlow::Continue(())))
                .map_err(|halt| format!("{halt:?}"))?;
        }
        Ok(start.elapsed().as_secs_f64())
    }
}

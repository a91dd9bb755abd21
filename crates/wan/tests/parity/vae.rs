//! Both VAEs, in chunks and in tiles.

use std::ops::ControlFlow;

use kinora_tensor::Tensor;
use kinora_wan::config::VaeConfig;
use kinora_wan::vae::Tiling;
use kinora_wan::vae::VaeDecoder;
use kinora_wan::vae::VaeEncoder;
use kinora_wan::vae::Watch;
use kinora_wan::vae::decode_tiled;
use kinora_wan::vae::encode_tiled;

use crate::golden::Golden;
use crate::golden::check;
use crate::golden::path;
use crate::golden::weights;

const TOLERANCE: f32 = 1e-5;

#[test]
fn clips_and_latents_equal_the_reference() {
    for generation in ["vae21", "vae22"] {
        let golden = Golden::open(&format!("{generation}/cases.safetensors"));
        let config = VaeConfig::read(&path(&format!("{generation}/config.json"))).unwrap();
        let (checkpoint, w) = weights(
            &format!("{generation}/diffusion_pytorch_model.safetensors"),
            golden.device(),
        );
        let encoder = VaeEncoder::load(&w, &config).unwrap();
        let decoder = VaeDecoder::load(&w, &config).unwrap();
        checkpoint.finish().unwrap();
        for frames in [1, 5, 9, 13] {
            let clip = golden.clip(&format!("encode.{frames}.frames"));
            let latents = encoder.encode(&clip, &mut Watch(&mut go_on)).unwrap();
            let expected = golden.clip(&format!("encode.{frames}.latents"));
            check(
                &format!("{generation} encode {frames}"),
                &latents,
                &expected,
                TOLERANCE,
            );
        }
        for frames in [1, 2, 3, 4] {
            let latents = golden.clip(&format!("decode.{frames}.latents"));
            let clip = decode(&decoder, &latents);
            let expected = golden.clip(&format!("decode.{frames}.frames"));
            check(
                &format!("{generation} decode {frames}"),
                &clip,
                &expected,
                TOLERANCE,
            );
        }
        let golden = Golden::open(&format!("{generation}/tiled.safetensors"));
        let tiling = Tiling { side: 4, stride: 3 };
        let (clip, scale) = (golden.clip("clip"), config.scale_factor_spatial);
        let latents = encode_tiled(&encoder, &clip, scale, tiling, &mut Watch(&mut go_on)).unwrap();
        check(
            &format!("{generation} tiled encode"),
            &latents,
            &golden.clip("encoded"),
            TOLERANCE,
        );
        let clip = decode_tiled(&decoder, &golden.clip("latents"), tiling, &mut Watch(&mut go_on)).unwrap();
        check(
            &format!("{generation} tiled"),
            &clip.clamp(-1.0, 1.0).unwrap(),
            &golden.clip("frames"),
            TOLERANCE,
        );
    }
}

#[test]
fn tiles_are_chosen_by_what_fits() {
    let golden = Golden::open("vae21/cases.safetensors");
    let config = VaeConfig::read(&path("vae21/config.json")).unwrap();
    let (_, w) = weights("vae21/diffusion_pytorch_model.safetensors", golden.device());
    let decoder = VaeDecoder::load(&w, &config).unwrap();
    let encoder = VaeEncoder::load(&w, &config).unwrap();
    let networks: [&dyn Fn(usize, usize) -> usize; 2] =
        [&|y, x| decoder.bytes(y, x), &|y, x| encoder.bytes(y, x)];
    for bytes in networks {
        let whole = bytes(60, 104) as u64;
        assert_eq!(Tiling::within(bytes, 60, 104, None), None);
        assert_eq!(Tiling::within(bytes, 60, 104, Some(whole)), None);
        let tiling = Tiling::within(bytes, 60, 104, Some(whole / 4)).unwrap();
        assert!(tiling.stride < tiling.side && tiling.side < 60, "{tiling:?}");
        assert!(bytes(tiling.side, tiling.side) as u64 <= whole / 4);
    }
}

/// Frame after frame, clamped.
pub(crate) fn decode(decoder: &VaeDecoder, latents: &Tensor) -> Tensor {
    let mut decoding = decoder.start();
    let chunks: Vec<Tensor> = (0..latents.dims()[0])
        .map(|frame| {
            decoding
                .push(
                    &latents.slice(0, frame..frame + 1).unwrap(),
                    &mut Watch(&mut go_on),
                )
                .unwrap()
        })
        .collect();
    Tensor::concat(&chunks.iter().collect::<Vec<_>>(), 0)
        .unwrap()
        .clamp(-1.0, 1.0)
        .unwrap()
}

fn go_on() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

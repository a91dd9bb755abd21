//! The original's tensors, as its own classes list them, are what the models ask for: none missing, none misshaped, none left over.

use std::path::Path;
use std::sync::Arc;

use kinora_tensor::Device;
use kinora_tensor::Weight;
use kinora_tensor::checkpoint::safetensors;

use super::*;
use crate::config::DitConfig;
use crate::config::ImageConfig;
use crate::config::TextConfig;
use crate::config::VaeConfig;
use crate::dit::Dit;
use crate::image_context::ImageEncoder;
use crate::infer;
use crate::inspect::Inspector;
use crate::text::TextEncoder;
use crate::vae::VaeDecoder;
use crate::vae::VaeEncoder;
use crate::weights::Weights;
use crate::weights::WeightsError;

/// The checkpoint of a list, every number nought, by our names.
fn listed(name: &str, expected: Network) -> Arc<Checkpoint> {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../fixtures/formats/names/{name}.txt"));
    let list = std::fs::read_to_string(list).unwrap();
    let tensors: Vec<(&str, Weight)> = (list.lines())
        .map(|line| {
            let (name, dims) = line.split_once(' ').unwrap();
            let dims: Vec<usize> = dims.split('x').filter_map(|dim| dim.parse().ok()).collect();
            let count = dims.iter().product();
            (name, Weight::from_f32(dims.as_slice(), vec![0.0; count]).unwrap())
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    let references: Vec<(&str, &Weight)> = tensors.iter().map(|(name, weight)| (*name, weight)).collect();
    safetensors::write(&file, &references).unwrap();
    let checkpoint = Checkpoint::open(&file).unwrap();
    let dialect = recognise(&checkpoint).unwrap();
    assert_eq!(dialect.network, expected, "{name}");
    assert_eq!(dialect.speaker, Speaker::Original, "{name}");
    let back = Translation::of(dialect, &checkpoint);
    for (name, _) in &tensors {
        let ours = back.ours(name);
        let again = back.theirs(&ours);
        assert!(again == *name || again.contains('#'), "{name} → {ours} → {again}");
    }
    Arc::new(dialect.translate(checkpoint).unwrap())
}

fn check(checkpoint: &Arc<Checkpoint>, build: impl Fn(&Weights) -> Result<(), WeightsError>) {
    build(&Weights::new(
        Arc::clone(checkpoint),
        &Device::new(Arc::new(Inspector::default())),
    ))
    .unwrap();
    tolerate(checkpoint);
    checkpoint.finish().unwrap();
}

#[test]
fn the_originals_transformers_are_ours() {
    let hints = infer::Hints {
        heads: Some(2),
        ..infer::Hints::default()
    };
    for (name, channels) in [
        ("dit_t2v", 16),
        ("dit_i2v", 36),
        ("dit_flf2v", 36),
        ("dit_vace", 16),
    ] {
        let checkpoint = listed(name, Network::Dit);
        let config = infer::dit(&checkpoint, &hints).unwrap();
        let DitConfig {
            heads,
            head_dim,
            in_channels,
            out_channels,
            text_dim,
            freq_dim,
            ffn_dim,
            layers,
            ..
        } = config.clone();
        assert_eq!(
            [heads, head_dim, in_channels, out_channels],
            [2, 12, channels, 16],
            "{name}"
        );
        assert_eq!([text_dim, freq_dim, ffn_dim, layers], [10, 8, 20, 2], "{name}");
        assert_eq!(config.image_dim.is_some(), channels == 36, "{name}");
        assert_eq!(
            config.pos_embed_tokens,
            (name == "dit_flf2v").then_some(514),
            "{name}"
        );
        assert_eq!(config.vace.is_some(), name == "dit_vace", "{name}");
        check(&checkpoint, |w| Dit::load(w, &config).map(drop));
    }
}

#[test]
fn the_originals_text_encoder_is_ours() {
    let checkpoint = listed("umt5", Network::Text);
    let config: TextConfig = infer::text(&checkpoint).unwrap();
    check(&checkpoint, |w| TextEncoder::load(w, &config).map(drop));
}

#[test]
fn the_originals_image_encoder_is_ours() {
    let checkpoint = listed("clip", Network::Image);
    let hints = infer::Hints {
        image_heads: Some(2),
        ..infer::Hints::default()
    };
    let config: ImageConfig = infer::image(&checkpoint, &hints).unwrap();
    assert_eq!(
        [config.image_size, config.patch_size, config.num_hidden_layers],
        [28, 14, 3]
    );
    check(&checkpoint, |w| ImageEncoder::load(w, &config).map(drop));
}

#[test]
fn the_originals_vaes_are_ours() {
    for (name, multiples, is_residual) in [
        ("vae21", vec![1, 2, 3, 3], false),
        ("vae22", vec![1, 1, 2, 2], true),
    ] {
        let checkpoint = listed(name, Network::Vae);
        let config: VaeConfig = infer::vae(&checkpoint).unwrap();
        assert_eq!(
            (config.dim_mult.clone(), config.is_residual),
            (multiples, is_residual),
            "{name}"
        );
        assert_eq!(config.temporal_downsample, [false, true, true], "{name}");
        check(&checkpoint, |w| {
            VaeEncoder::load(w, &config)?;
            VaeDecoder::load(w, &config).map(drop)
        });
    }
}

#[test]
fn rules_are_of_whole_parts() {
    let check = |name, from, to, expected: Option<&str>| {
        assert_eq!(replace(name, from, to).as_deref(), expected, "{name}");
    };
    check("a.b.c", "b", "x.y", Some("a.x.y.c"));
    check("a.bb.c", "b", "x", None);
    check("conv1.weight", "^.conv1", "q", Some("q.weight"));
    check("a.conv1.weight", "^.conv1", "q", None);
    check("a.3.b.4.c", "a.#.b.#", "z.#.#", Some("z.3.4.c"));
    check("a.3.b.4.c", "a.#.b.#", "z.#", Some("z.3.c"));
    check("a.x.b", "a.#.b", "z", None);
}

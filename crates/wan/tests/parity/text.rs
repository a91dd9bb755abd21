//! UMT5.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use kinora_tensor::Checkpoint;
use kinora_tensor::DType;
use kinora_tensor::Device;
use kinora_tensor::Weight;
use kinora_tensor::checkpoint::safetensors;
use kinora_tensor::cpu::Kernels;
use kinora_tensor::testing::difference;
use kinora_wan::Quantization;
use kinora_wan::config::TextConfig;
use kinora_wan::text::TextEncoder;
use kinora_wan::text::relative_position_bucket;
use kinora_wan::weights::Weights;

use crate::golden::Golden;
use crate::golden::check;
use crate::golden::path;
use crate::golden::weights;

const TOLERANCE: f32 = 1e-5;

#[test]
fn contexts_equal_the_reference() {
    let golden = Golden::open("umt5/cases.safetensors");
    let config: TextConfig =
        serde_json::from_str(&std::fs::read_to_string(path("umt5/config.json")).unwrap()).unwrap();
    let (checkpoint, w) = weights("umt5/model.safetensors", golden.device());
    let encoder = TextEncoder::load(&w, &config).unwrap();
    checkpoint.finish().unwrap();
    for length in [1, 3, 40, 300] {
        let ids = golden.ids(&format!("{length}.ids"));
        let context = encoder.forward(&ids, &mut |_| ControlFlow::Continue(())).unwrap();
        check(
            &format!("umt5 {length}"),
            &context,
            &golden.tensor(&format!("{length}.context")),
            TOLERANCE,
        );
    }
    for (block, output) in encoder
        .block_outputs(&golden.ids("40.ids"))
        .unwrap()
        .iter()
        .enumerate()
    {
        check(
            &format!("umt5 block {block}"),
            output,
            &golden.tensor(&format!("40.block.{block}")),
            TOLERANCE,
        );
    }
}

#[test]
fn distances_fall_into_the_reference_s_buckets() {
    let golden = Golden::open("umt5/cases.safetensors");
    let expected = golden.ids("buckets.index");
    for (offset, expected) in golden.numbers("buckets.offsets").into_iter().zip(expected) {
        assert_eq!(
            relative_position_bucket(offset as i64, 32, 128),
            expected as usize,
            "{offset}"
        );
    }
}

/// Products of matrices that are stored in bf16 are rounded where that was asked for and the machine has instructions for it; others never are.
#[test]
fn in_bf16_states_stay_near_the_exact_ones() {
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checkpoints/mini/model/text_encoder");
    let device = Device::cpu();
    let config: TextConfig =
        serde_json::from_str(&std::fs::read_to_string(mini.join("config.json")).unwrap()).unwrap();
    let ids: Vec<u32> = (2..42).collect();
    let stored = Checkpoint::open(mini.join("model.safetensors")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for dtype in [DType::BF16, DType::F16] {
        let weights: Vec<(String, Weight)> = (stored.entries())
            .map(|(name, _)| {
                let weight = stored.weight_any(name).unwrap();
                let rounded = Weight::rounded(weight.shape(), weight.to_f32(), dtype).unwrap();
                (name.to_owned(), rounded)
            })
            .collect();
        let file = folder.path().join(format!("{dtype}.safetensors"));
        let named: Vec<(&str, &Weight)> = weights.iter().map(|(name, w)| (name.as_str(), w)).collect();
        safetensors::write(&file, &named).unwrap();
        let states = |quantization| {
            let w = Weights::new(Arc::new(Checkpoint::open(&file).unwrap()), &device);
            let encoder = TextEncoder::load(&w.with_quantization(quantization), &config).unwrap();
            let states = encoder.forward(&ids, &mut |_| ControlFlow::Continue(())).unwrap();
            states.to_vec().unwrap()
        };
        let exact = states(Quantization::None);
        for quantization in [Quantization::Bf16, Quantization::Int8] {
            let near = states(quantization);
            let (squares, errors) = exact
                .iter()
                .zip(&near)
                .fold((0.0, 0.0), |(squares, errors), (a, b)| {
                    (squares + f64::from(a * a), errors + f64::from((a - b) * (a - b)))
                });
            let relative = (errors / squares).sqrt();
            let largest = difference(&near, &exact);
            println!("{dtype}, {quantization:?}: relative error {relative:.1e}, {largest:?}");
            let rounds = dtype == DType::BF16 && Kernels::best().multiply_pairs();
            assert_eq!(relative > 0.0, rounds, "{dtype}, {quantization:?}");
            assert!(relative < 0.02, "{dtype}, {quantization:?}: {relative}");
        }
    }
}

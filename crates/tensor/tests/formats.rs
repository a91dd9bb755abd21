//! Files of other programs: PyTorch's, and GGUF with a tensor of every type, against what the `gguf` package makes of it.
//! `fixtures/formats/make.py` wrote both.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its fixture has failed"
)]

use std::path::PathBuf;

use kinora_tensor::Checkpoint;
use kinora_tensor::Device;
use kinora_tensor::Epilogue;
use kinora_tensor::Linear;
use kinora_tensor::Tensor;
use kinora_tensor::Weight;
use kinora_tensor::cpu::CpuOptions;
use kinora_tensor::cpu::Kernels;
use kinora_tensor::testing;

fn fixture(name: &str) -> Checkpoint {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/formats");
    Checkpoint::open(folder.join(name)).unwrap()
}

#[test]
fn every_type_of_ggml_is_widened_bit_for_bit() {
    let (blocks, expected) = (fixture("blocks.gguf"), fixture("blocks.safetensors"));
    let names: Vec<&str> = blocks.entries().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 13, "{names:?}");
    for name in names {
        let got = blocks.weight_any(name).unwrap().to_f32();
        let expected = expected.weight_any(name).unwrap().to_f32();
        assert_eq!(got.len(), expected.len(), "{name}");
        for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
            assert_eq!(
                got.to_bits(),
                expected.to_bits(),
                "{name} {index}: {got} {expected}"
            );
        }
    }
}

#[test]
fn products_with_blocks_are_those_with_the_numbers_they_stand_for() {
    let blocks = fixture("blocks.gguf");
    for kernels in Kernels::all_available() {
        let device = Device::cpu_with(CpuOptions {
            kernels,
            ..CpuOptions::default()
        });
        for (name, _) in blocks.entries() {
            let stored = blocks.weight_any(name).unwrap();
            // Whole panels too, of rows that start and end within a block.
            for [outputs, inputs] in [[2, 512], [32, 32]] {
                let stored = stored.reshape([outputs, inputs]).unwrap();
                let wide = Weight::from_f32(stored.shape(), stored.to_f32()).unwrap();
                for rows in [1, 3, 20] {
                    let x = (0..rows * inputs).map(|i| (i as f32).sin()).collect();
                    let x = Tensor::from_vec(&device, [rows, inputs], x).unwrap();
                    let product = |weight| {
                        let linear = Linear::new(&device, weight, None).unwrap();
                        x.linear(&linear, Epilogue::None).unwrap().to_vec().unwrap()
                    };
                    let difference = testing::difference(&product(&stored), &product(&wide));
                    assert!(
                        difference.relative < 1e-6,
                        "{name} {rows} {kernels:?}: {difference:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_files_of_pytorch_are_read() {
    let text = fixture("original/models_t5_umt5-xxl-enc-bf16.pth");
    let same = fixture("diffusers/text_encoder");
    let pairs = [
        ("token_embedding.weight", "shared.weight"),
        (
            "blocks.0.pos_embedding.embedding.weight",
            "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        ),
        (
            "blocks.1.ffn.fc2.weight",
            "encoder.block.1.layer.1.DenseReluDense.wo.weight",
        ),
        ("norm.weight", "encoder.final_layer_norm.weight"),
    ];
    for (theirs, ours) in pairs {
        let (got, expected) = (text.weight_any(theirs).unwrap(), same.weight_any(ours).unwrap());
        assert_eq!(got.shape(), expected.shape(), "{theirs}");
        assert_eq!(got.dtype(), expected.dtype(), "{theirs}");
        assert_eq!(got.to_f32(), expected.to_f32(), "{theirs}");
    }
    assert_eq!(text.entries().count(), same.entries().count());
}

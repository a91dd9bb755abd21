//! Noise and ops against PyTorch, by the numbers that `fixtures/tensor/golden.py` wrote: on every kind of kernels this machine runs.

use std::path::PathBuf;

use kinora_tensor::Activation;
use kinora_tensor::Attention;
use kinora_tensor::Checkpoint;
use kinora_tensor::Conv3d;
use kinora_tensor::Device;
use kinora_tensor::Epilogue;
use kinora_tensor::LayerNormOutput;
use kinora_tensor::Linear;
use kinora_tensor::Tensor;
use kinora_tensor::cpu::CpuOptions;
use kinora_tensor::cpu::Kernels;
use kinora_tensor::ops::Padding;
use kinora_tensor::rng::TorchNormal;
use kinora_tensor::testing;

#[test]
fn noise_is_what_torch_draws() {
    let golden = golden();
    let names: Vec<&str> = golden
        .entries()
        .map(|(name, _)| name)
        .filter(|n| n.starts_with("noise."))
        .collect();
    assert_eq!(names.len(), 5);
    for name in names {
        let [_, seed, counts] = name.split('.').collect::<Vec<_>>()[..] else {
            panic!("{name}")
        };
        let mut normal = TorchNormal::new(seed.parse().unwrap());
        let got: Vec<f32> = counts
            .split('-')
            .flat_map(|count| normal.draw(count.parse().unwrap()))
            .collect();
        let difference = testing::difference(&got, &golden.weight_any(name).unwrap().to_f32());
        assert!(difference.max <= 1e-6, "{name}: {difference:?}");
    }
}

#[test]
fn linear_layers_agree() {
    each_device(|case| {
        let linear = Linear::new(
            &case.device,
            &case.weight("linear.w"),
            Some(&case.weight("linear.b")),
        )
        .unwrap();
        for (name, epilogue) in [
            ("none", Epilogue::None),
            ("silu", Epilogue::Activate(Activation::Silu)),
            ("gelu_tanh", Epilogue::Activate(Activation::GeluTanh)),
            ("gelu_erf", Epilogue::Activate(Activation::GeluErf)),
        ] {
            case.check(
                &format!("linear.{name}"),
                case.tensor("linear.x").linear(&linear, epilogue).unwrap(),
            );
        }
    });
}

#[test]
fn attention_agrees() {
    each_device(|case| {
        let [q, k, v] = ["attention.q", "attention.k", "attention.v"].map(|name| case.tensor(name));
        let scale = 1.0 / 6.0_f32.sqrt();
        let plain = Attention {
            q: &q,
            k: &k,
            v: &v,
            heads: 2,
            scale,
            relative_bias: None,
            key_bias: None,
            may_round: false,
        };
        case.check("attention.plain", plain.run().unwrap());
        let (relative, key) = (case.tensor("attention.relative"), case.tensor("attention.key"));
        let biased = Attention {
            scale: 1.0,
            relative_bias: Some(&relative),
            key_bias: Some(&key),
            may_round: false,
            ..plain
        };
        case.check("attention.biased", biased.run().unwrap());
    });
}

#[test]
fn convolutions_agree() {
    each_device(|case| {
        let (clip, past) = (case.tensor("conv.clip"), case.tensor("conv.past"));
        let past1 = past.slice(0, 1..2).unwrap();
        let causal = Padding::causal(2, 1);
        let down = Padding {
            bottom: 1,
            right: 1,
            ..Padding::default()
        };
        let time = Padding::causal(1, 0);
        for (name, weight, stride, padding, past) in [
            ("causal", "conv.w333", [1, 1, 1], causal, None),
            ("past1", "conv.w333", [1, 1, 1], causal, Some(&past1)),
            ("past2", "conv.w333", [1, 1, 1], causal, Some(&past)),
            ("down", "conv.w133", [1, 2, 2], down, None),
            ("time", "conv.w311", [2, 1, 1], time, Some(&past1)),
            ("point", "conv.w111", [1, 1, 1], Padding::default(), None),
        ] {
            let bias = case.weight("conv.b");
            let conv = Conv3d::new(&case.device, &case.weight(weight), Some(&bias), stride, padding).unwrap();
            case.check(
                &format!("conv.{name}"),
                clip.conv3d(&conv, past, Epilogue::None).unwrap(),
            );
        }
    });
}

#[test]
fn norms_agree() {
    each_device(|case| {
        let (x, w, b) = (
            case.tensor("norm.x"),
            case.tensor("norm.w"),
            case.tensor("norm.b"),
        );
        let (scale, shift) = (case.tensor("norm.scale"), case.tensor("norm.shift"));
        case.check("norm.rms", x.rms_norm(Some(&w), 1e-6).unwrap());
        case.check("norm.channel", x.channel_norm(&w, Activation::Silu).unwrap());
        case.check(
            "norm.layer",
            x.layer_norm(1e-6, LayerNormOutput::Affine { weight: &w, bias: &b })
                .unwrap(),
        );
        let modulated = LayerNormOutput::Modulated {
            scale: (&scale).into(),
            shift: (&shift).into(),
        };
        case.check("norm.modulated", x.layer_norm(1e-6, modulated).unwrap());
    });
}

#[test]
fn rotary_positions_agree() {
    each_device(|case| {
        let angles = case.tensor("rope.angles");
        let table = |function: fn(f32) -> f32| {
            let numbers = angles
                .data()
                .unwrap()
                .iter()
                .map(|&angle| function(angle))
                .collect();
            Tensor::from_vec(&case.device, angles.shape(), numbers).unwrap()
        };
        case.check(
            "rope.y",
            case.tensor("rope.x")
                .rope(&table(f32::cos), &table(f32::sin))
                .unwrap(),
        );
    });
}

#[test]
fn layouts_agree() {
    each_device(|case| {
        let x = case.tensor("layout.x");
        case.check("layout.permuted", x.permute(&[2, 0, 3, 1]).unwrap());
        case.check("layout.upsampled", x.upsample_nearest().unwrap());
    });
}

/// One device and the numbers to compare with.
struct Case {
    device: Device,
    golden: Checkpoint,
}

impl Case {
    fn tensor(&self, name: &str) -> Tensor {
        Tensor::from_weight(&self.device, &self.weight(name)).expect("a CPU takes any weight")
    }

    fn weight(&self, name: &str) -> kinora_tensor::Weight {
        self.golden
            .weight_any(name)
            .expect("golden.py wrote every tensor that is asked for")
    }

    fn check(&self, name: &str, got: Tensor) {
        testing::assert_close(
            &format!("{name} on {}", self.device),
            &got,
            &self.tensor(name),
            1e-6,
        );
    }
}

fn each_device(body: impl Fn(&Case)) {
    for kernels in Kernels::all_available() {
        let device = Device::cpu_with(CpuOptions {
            kernels,
            ..CpuOptions::default()
        });
        body(&Case {
            device,
            golden: golden(),
        });
    }
}

fn golden() -> Checkpoint {
    Checkpoint::open(
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tensor/golden.safetensors"),
    )
    .expect("golden.safetensors beside golden.py")
}

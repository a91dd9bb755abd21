//! Every fast kernel against its naive twin, on made-up shapes: odd sizes, sizes below a tile, sizes across blocks.
//! `KINORA_TWIN_CASES` asks for more cases than the default.

use half::bf16;
use kinora_tensor::Activation;
use kinora_tensor::Attention;
use kinora_tensor::Conv3d;
use kinora_tensor::DType;
use kinora_tensor::Device;
use kinora_tensor::Embedding;
use kinora_tensor::Epilogue;
use kinora_tensor::LayerNormOutput;
use kinora_tensor::Linear;
use kinora_tensor::PerRow;
use kinora_tensor::Result;
use kinora_tensor::Tensor;
use kinora_tensor::Weight;
use kinora_tensor::cpu::Convolutions;
use kinora_tensor::cpu::CpuOptions;
use kinora_tensor::cpu::Kernels;
use kinora_tensor::ops::Padding;
use kinora_tensor::testing::Maker;
use kinora_tensor::testing::difference;

const DTYPES: [DType; 3] = [DType::F32, DType::BF16, DType::F16];

const ACTIVATIONS: [Activation; 4] = [
    Activation::Identity,
    Activation::Silu,
    Activation::GeluTanh,
    Activation::GeluErf,
];

#[test]
fn linear_layers() {
    twins(40, 3e-5, |maker, device| linear_layer(maker, device, Linear::new));
}

/// Off by a rounding of both sides, where the machine rounds.
#[test]
fn linear_layers_in_bf16() {
    twins(40, 1e-2, |maker, device| {
        linear_layer(maker, device, Linear::bf16)
    });
}

/// The sums are exact; what is left is rounding in the epilogue.
#[test]
fn linear_layers_in_int8() {
    twins(40, 1e-6, |maker, device| {
        linear_layer(maker, device, Linear::int8)
    });
}

fn linear_layer(
    maker: &mut Maker,
    device: &Device,
    prepare: fn(&Device, &Weight, Option<&Weight>) -> Result<Linear>,
) -> Result<(String, Tensor)> {
    let (rows, inputs, outputs) = (
        maker.between(1, 70),
        maker.pick(&[1, 7, 33, 64, 511, 512, 1100]),
        maker.between(1, 300),
    );
    let dtype = maker.pick(&DTYPES);
    let weight = maker.weight(dtype, [outputs, inputs], 1.0);
    let bias = maker.weight(DType::F32, [outputs], 1.0);
    let with_bias = maker.pick(&[true, false]);
    let x = maker.tensor(device, [rows, inputs]);
    let other = maker.tensor(device, [rows, outputs]);
    let distinct = maker.between(1, 3);
    let table = maker.tensor(device, [distinct, outputs]);
    let index: Vec<u32> = (0..rows).map(|_| maker.between(0, distinct - 1) as u32).collect();
    let gate = PerRow {
        table: &table,
        index: Some(&index),
    };
    let choice = maker.between(0, 6);
    let epilogue = match choice {
        0..=3 => Epilogue::Activate(ACTIVATIONS[choice]),
        4 => Epilogue::Multiply(&other),
        5 => Epilogue::Residual(&other),
        _ => Epilogue::GatedResidual {
            residual: &other,
            gate,
        },
    };
    let linear = prepare(device, &weight, with_bias.then_some(&bias))?;
    let case = format!("[{rows}, {inputs}] → {outputs} {dtype}, bias {with_bias}, epilogue {choice}");
    Ok((case, x.linear(&linear, epilogue)?))
}

#[test]
fn attention() {
    attention_twins(2e-6, false);
}

/// Off by a rounding of queries, keys, weights and values, where the machine rounds.
#[test]
fn attention_in_bf16() {
    attention_twins(2e-2, true);
}

fn attention_twins(relative: f32, may_round: bool) {
    twins(40, relative, |maker, device| {
        let (queries, keys) = (maker.between(1, 130), maker.pick(&[1, 5, 16, 31, 256, 257, 600]));
        let (heads, width) = (maker.between(1, 3), maker.pick(&[4, 12, 16, 20, 64, 128, 200]));
        let q = maker.tensor(device, [queries, heads * width]);
        let k = maker.tensor(device, [keys, heads * width]);
        let v = maker.tensor(device, [keys, heads * width]);
        let relative = maker.tensor(device, [heads, queries + keys - 1]);
        // The first keys are masked (whole blocks of them, where there are that many), the others weighted.
        let masked = maker.between(0, keys - 1);
        let bias: Vec<f32> = (0..keys)
            .map(|j| {
                if j < masked {
                    f32::NEG_INFINITY
                } else {
                    ((j % 7 + 1) as f32).ln()
                }
            })
            .collect();
        let key = Tensor::from_vec(device, [keys], bias)?;
        let (with_relative, with_key) = (maker.pick(&[true, false]), maker.pick(&[true, false]));
        let attention = Attention {
            q: &q,
            k: &k,
            v: &v,
            heads,
            scale: 1.0 / (width as f32).sqrt(),
            relative_bias: with_relative.then_some(&relative),
            key_bias: with_key.then_some(&key),
            may_round,
        };
        let case = format!(
            "{queries} × {keys}, {heads} × {width}, bias {with_relative}, {masked} masked {with_key}"
        );
        Ok((case, attention.run()?))
    });
}

/// Prepares a convolution: [`Conv3d::new`] or [`Conv3d::bf16`].
type Prepare = fn(&Device, &Weight, Option<&Weight>, [usize; 3], Padding) -> Result<Conv3d>;

#[test]
fn convolutions() {
    convolution_twins(6e-5, Conv3d::new);
}

/// Off by a rounding of both sides, where the machine rounds.
#[test]
fn convolutions_in_bf16() {
    convolution_twins(1e-2, Conv3d::bf16);
}

fn convolution_twins(relative: f32, prepare: Prepare) {
    twins(40, relative, |maker, device| {
        let kernel = maker.pick(&[[3, 3, 3], [1, 3, 3], [3, 1, 1], [1, 1, 1], [2, 2, 2], [1, 2, 3]]);
        let stride = maker.pick(&[[1, 1, 1], [1, 1, 1], [1, 2, 2], [2, 1, 1], [2, 2, 1]]);
        let (inputs, outputs) = (maker.pick(&[1, 3, 16, 21, 130]), maker.pick(&[1, 3, 16, 37]));
        let [t, y, x] = [maker.between(2, 4), maker.between(3, 9), maker.between(3, 11)];
        let padding = Padding {
            before: maker.between(0, 2),
            top: maker.between(0, 1),
            bottom: maker.between(0, 1),
            left: maker.between(0, 2),
            right: maker.between(0, 2),
        };
        let dtype = maker.pick(&DTYPES);
        let weight = maker.weight(dtype, [outputs, inputs, kernel[0], kernel[1], kernel[2]], 1.0);
        let bias = maker.weight(DType::F32, [outputs], 1.0);
        let clip = maker.tensor(device, [t + 1, y, x, inputs]);
        let frames = maker.between(0, padding.before);
        let past = maker.tensor(device, [frames, y, x, inputs]);
        let conv = prepare(device, &weight, Some(&bias), stride, padding)?;
        let activation = maker.pick(&ACTIVATIONS);
        let case = format!(
            "{:?} of {} {dtype}, past {frames}, {activation:?}",
            conv.geometry,
            clip.shape()
        );
        Ok((
            case,
            clip.conv3d(
                &conv,
                (frames > 0).then_some(&past),
                Epilogue::Activate(activation),
            )?,
        ))
    });
}

#[test]
fn a_convolution_wider_than_one_pass() {
    let ways: [(_, Prepare, _); 4] = [
        (Convolutions::Direct, Conv3d::new, 6e-5),
        (Convolutions::Winograd, Conv3d::new, 6e-5),
        (Convolutions::Direct, Conv3d::bf16, 1e-2),
        (Convolutions::Winograd, Conv3d::bf16, 1e-2),
    ];
    for (convolutions, prepare, relative) in ways {
        let options = CpuOptions {
            convolutions,
            ..CpuOptions::default()
        };
        twins_with(options, 1, relative, |maker, device| {
            let weight = maker.weight(DType::BF16, [50, 700, 3, 3, 3], 0.1);
            let clip = maker.tensor(device, [2, 5, 7, 700]);
            let residual = maker.tensor(device, [2, 5, 7, 50]);
            let conv = prepare(device, &weight, None, [1, 1, 1], Padding::causal(2, 1))?;
            Ok((
                format!("700 channels, {convolutions:?}"),
                clip.conv3d(&conv, None, Epilogue::Residual(&residual))?,
            ))
        });
    }
}

#[test]
fn convolutions_by_tiles() {
    twins(12, 3e-6, |maker, device| {
        Tiled::pick(maker).run(maker, device, Conv3d::new)
    });
}

/// Off by a rounding of both sides, where the machine rounds.
#[test]
fn convolutions_by_tiles_in_bf16() {
    twins(12, 1e-2, |maker, device| {
        Tiled::pick(maker).run(maker, device, Conv3d::bf16)
    });
}

/// Each side of a product is off by 2⁻⁸ of itself at most, independently of the other. Tiles multiply sums, whose products' squares come to
/// 25/9 of what the direct way's come to, and cancel each other out.
#[test]
fn convolutions_are_rounded_where_they_may_be_and_no_further() {
    for kernels in Kernels::all_available() {
        for (convolutions, spread) in [(Convolutions::Direct, 1.0), (Convolutions::Winograd, 5.0 / 3.0)] {
            let device = Device::cpu_with(CpuOptions {
                kernels,
                convolutions,
                ..CpuOptions::default()
            });
            for inputs in [6, 16, 31, 34, 96] {
                let run = |prepare: Prepare| {
                    let mut maker = Maker::new(inputs as u64);
                    let clip = maker.tensor(&device, [3, 10, 14, inputs]);
                    let weight = maker.weight(DType::F32, [48, inputs, 3, 3, 3], 1.0);
                    let conv = prepare(&device, &weight, None, [1, 1, 1], Padding::causal(2, 1));
                    let y = conv.and_then(|conv| clip.conv3d(&conv, None, Epilogue::None));
                    y.and_then(|y| y.to_vec()).expect("sound operands")
                };
                let (exact, rounded) = (run(Conv3d::new), run(Conv3d::bf16));
                let case = format!("{kernels:?}, {convolutions:?}, {inputs} inputs");
                // Few inputs, and an odd one, are not worth the rounding.
                if !kernels.multiply_pairs() || inputs < 16 || inputs % 2 == 1 {
                    assert_eq!(rounded, exact, "{case}");
                    continue;
                }
                let squares = |numbers: &mut dyn Iterator<Item = f32>| -> f64 {
                    numbers.map(|number| f64::from(number).powi(2)).sum()
                };
                let error = squares(&mut rounded.iter().zip(&exact).map(|(a, b)| a - b));
                let relative = (error / squares(&mut exact.iter().copied())).sqrt();
                let bound = 2f64.sqrt() * 2f64.powi(-8) * spread;
                assert!((bound / 8.0..bound).contains(&relative), "{case}: {relative:e}");
            }
        }
    }
}

/// Tiles, strips, shares of outputs: where a sum is computed is no business of its value. And it is not the direct way that is tested.
#[test]
fn convolutions_are_equal_to_the_bit_on_any_number_of_threads() {
    for seed in 0..6 {
        let run = |threads: usize, convolutions: Convolutions, prepare: Prepare| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("a few threads").install(|| {
                let device = Device::cpu_with(CpuOptions {
                    convolutions,
                    ..CpuOptions::default()
                });
                let mut maker = Maker::new(seed);
                let (case, y) = Tiled::pick(&mut maker)
                    .run(&mut maker, &device, prepare)
                    .expect("sound operands");
                (case, y.to_vec().expect("sound operands"))
            })
        };
        let ways: [(Prepare, f32); 2] = [(Conv3d::new, 3e-6), (Conv3d::bf16, 1e-2)];
        for (prepare, relative) in ways {
            let [(case, tiled), (_, direct)] =
                [Convolutions::Winograd, Convolutions::Direct].map(|convolutions| {
                    let one = run(1, convolutions, prepare);
                    for threads in [2, 7] {
                        let (case, more) = run(threads, convolutions, prepare);
                        assert_eq!(one.1, more, "{convolutions:?}, {threads} threads: {case}");
                    }
                    one
                });
            assert_ne!(tiled, direct, "computed in the direct way: {case}");
            let found = difference(&tiled, &direct);
            assert!(found.relative <= relative, "{case}: {found:?}");
        }
    }
}

/// A convolution that is computed by tiles: 3×3 in space, large enough.
struct Tiled {
    taps: usize,
    inputs: usize,
    outputs: usize,
    /// `[T, Y, X]`.
    extents: [usize; 3],
    padding: Padding,
}

impl Tiled {
    fn pick(maker: &mut Maker) -> Self {
        Self {
            taps: maker.pick(&[1, 3, 3]),
            inputs: maker.pick(&[16, 21, 48, 96]),
            outputs: maker.pick(&[3, 16, 37, 80]),
            extents: [maker.between(3, 6), maker.between(12, 15), maker.between(11, 28)],
            padding: Padding {
                before: maker.between(0, 2),
                top: maker.between(0, 2),
                bottom: maker.between(0, 2),
                left: maker.between(0, 2),
                right: maker.between(0, 2),
            },
        }
    }

    fn run(&self, maker: &mut Maker, device: &Device, prepare: Prepare) -> Result<(String, Tensor)> {
        let Self {
            taps,
            inputs,
            outputs,
            extents: [t, y, x],
            padding,
        } = *self;
        let dtype = maker.pick(&DTYPES);
        let weight = maker.weight(dtype, [outputs, inputs, taps, 3, 3], 1.0);
        let bias = maker.weight(DType::F32, [outputs], 1.0);
        let bias = maker.pick(&[None, Some(&bias)]);
        let conv = prepare(device, &weight, bias, [1, 1, 1], padding)?;
        let clip = maker.tensor(device, [t, y, x, inputs]);
        let frames = maker.between(0, padding.before);
        let past = maker.tensor(device, [frames, y, x, inputs]);
        let output = conv.geometry.output(clip.shape()).expect("a kernel that fits");
        let residual = maker.tensor(device, output);
        let choice = maker.between(0, 2);
        let epilogue = match choice {
            0 => Epilogue::None,
            1 => Epilogue::Activate(Activation::Silu),
            _ => Epilogue::Residual(&residual),
        };
        let case = format!(
            "{:?} of {} {dtype}, past {frames}, epilogue {choice}",
            conv.geometry,
            clip.shape()
        );
        let y = clip.conv3d(&conv, (frames > 0).then_some(&past), epilogue)?;
        Ok((case, y))
    }
}

#[test]
fn norms() {
    twins(60, 2e-6, |maker, device| {
        let (rows, width) = (maker.between(1, 40), maker.between(1, 700));
        let x = maker.tensor(device, [rows, width]).affine(1.0, 0.5)?;
        let [a, b] = [(); 2].map(|()| maker.tensor(device, [width]));
        let [scale, shift] = [(); 2].map(|()| maker.tensor(device, [rows, width]));
        let activation = maker.pick(&ACTIVATIONS);
        let choice = maker.between(0, 5);
        let y = match choice {
            0 => x.rms_norm(None, 1e-6)?,
            1 => x.rms_norm(Some(&a), 1e-6)?,
            2 => x.channel_norm(&a, activation)?,
            3 => x.layer_norm(1e-6, LayerNormOutput::Plain)?,
            4 => x.layer_norm(1e-6, LayerNormOutput::Affine { weight: &a, bias: &b })?,
            _ => {
                let (scale, shift) = ((&scale).into(), PerRow::from(&shift));
                x.layer_norm(1e-6, LayerNormOutput::Modulated { scale, shift })?
            }
        };
        Ok((format!("norm {choice} of [{rows}, {width}], {activation:?}"), y))
    });
}

#[test]
fn a_row_of_zeros_stays_one() {
    twins(1, 0.0, |_, device| {
        let x = Tensor::zeros(device, [2, 40])?;
        let gamma = Tensor::full(device, [40], 2.0)?;
        Ok(("zeros".into(), x.channel_norm(&gamma, Activation::Silu)?))
    });
}

#[test]
fn rotary_positions() {
    twins(20, 1e-6, |maker, device| {
        let (rows, heads, pairs) = (maker.between(1, 300), maker.between(1, 4), maker.between(1, 70));
        let x = maker.tensor(device, [rows, heads * pairs * 2]);
        let [cos, sin] = [(); 2].map(|()| maker.tensor(device, [rows, pairs]));
        Ok((
            format!("{rows} rows, {heads} heads, {pairs} pairs"),
            x.rope(&cos, &sin)?,
        ))
    });
}

#[test]
fn element_by_element() {
    twins(80, 1e-6, |maker, device| {
        let (a, b, c) = (maker.between(1, 30), maker.between(1, 40), maker.between(1, 90));
        let x = maker.tensor(device, [a, b, c]);
        let other = match maker.between(0, 3) {
            0 => maker.tensor(device, [c]),
            1 => maker.tensor(device, [1, b, c]),
            2 => maker.tensor(device, [1]),
            _ => maker.tensor(device, [a, b, c]),
        };
        let [y, z] = [(); 2].map(|()| maker.tensor(device, [a, b, c]));
        let gates = maker.pick(&[1, a * b]);
        let gate = maker.tensor(device, [gates, c]);
        let activation = maker.pick(&ACTIVATIONS);
        let choice = maker.between(0, 7);
        let result = match choice {
            0 => x.add(&other)?,
            1 => x.mul(&other)?,
            2 => x.gated_add(&y, (&gate).into())?,
            3 => Tensor::weighted_sum(&[(0.25, &x), (-3.0, &y), (1.5, &z)])?,
            4 => x.affine(-0.5, 3.0)?,
            5 => x.clamp(-0.5, 1.0)?,
            6 => x.mean_last()?,
            _ => x.activate(activation)?,
        };
        Ok((
            format!(
                "op {choice} of [{a}, {b}, {c}] with {}, {activation:?}",
                other.shape()
            ),
            result,
        ))
    });
}

#[test]
fn layouts() {
    twins(60, 0.0, |maker, device| {
        let dims = [(); 4].map(|()| maker.between(1, 9));
        let x = maker.tensor(device, dims);
        let y = maker.tensor(device, dims);
        let axis = maker.between(0, 3);
        let start = maker.between(0, dims[axis]);
        let end = maker.between(start, dims[axis]);
        let axes = maker.pick(&[
            [3, 2, 1, 0],
            [0, 2, 1, 3],
            [1, 3, 0, 2],
            [0, 1, 2, 3],
            [2, 0, 3, 1],
        ]);
        let choice = maker.between(0, 4);
        let result = match choice {
            0 => x.permute(&axes)?,
            1 => x.slice(axis, start..end)?,
            2 => Tensor::concat(&[&x, &y, &x.slice(axis, start..end)?], axis)?,
            3 => x.upsample_nearest()?,
            _ => {
                let numbers: Vec<bf16> = y.data()?.iter().map(|&n| bf16::from_f32(n)).collect();
                let table = Weight::from_bf16([dims[0] * dims[1], dims[2] * dims[3]], numbers)?;
                let ids: Vec<u32> = (0..9)
                    .map(|_| maker.between(0, dims[0] * dims[1] - 1) as u32)
                    .collect();
                Embedding::new(device, &table)?.gather(&ids)?
            }
        };
        Ok((
            format!("layout {choice} of {dims:?}, axis {axis}, {start}..{end}, {axes:?}"),
            result,
        ))
    });
}

#[test]
fn nothing_stays_nothing() {
    twins(1, 0.0, |maker, device| {
        let weight = maker.weight(DType::F32, [5, 6], 1.0);
        let x = Tensor::zeros(device, [0, 6])?;
        let y = x.linear(
            &Linear::new(device, &weight, None)?,
            Epilogue::Activate(Activation::Silu),
        )?;
        let y = y
            .rms_norm(None, 1e-6)?
            .add(&Tensor::zeros(device, [5])?)?
            .slice(1, 0..0)?;
        Ok((
            "no rows".into(),
            y.channel_norm(&Tensor::zeros(device, [0])?, Activation::Identity)?,
        ))
    });
}

/// To the nearest number that bf16 has, to even between two, as the library for halves rounds; also what is no number, or beyond them.
#[test]
fn rounded_tensors() {
    let awkward = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN_POSITIVE / 2.0,
        -0.0,
        1.0 + f32::EPSILON,
    ];
    for kernels in Kernels::all_available() {
        let device = Device::cpu_with(CpuOptions {
            kernels,
            ..CpuOptions::default()
        });
        // Larger than one task, and no multiple of any vector.
        let mut numbers = Maker::new(3).tensor(&device, [70_001, 2]).to_vec().unwrap();
        numbers[..awkward.len()].copy_from_slice(&awkward);
        numbers[7] = f32::from_bits(0x3f80_8000); // between two, the lower one even
        numbers[8] = f32::from_bits(0x3f81_8000); // the upper one even
        let x = Tensor::from_vec(&device, [70_001, 2], numbers.clone()).unwrap();

        let wide = x.round().unwrap().widen().unwrap();

        assert_eq!(wide.shape(), x.shape());
        for (got, number) in wide.data().unwrap().iter().zip(numbers) {
            let expected = bf16::from_f32(number).to_f32();
            assert!(
                got.to_bits() == expected.to_bits() || got.is_nan() && expected.is_nan(),
                "{kernels:?}: {number} to {got}, not {expected}"
            );
        }
        assert!(Tensor::zeros(&device, [4, 3]).unwrap().round().is_err());
    }
}

/// Makes `cases` cases twice over, on the naive device and on every fast one this machine has, from the same seeds; results may differ
/// by `relative` of the largest expected number.
fn twins(cases: u64, relative: f32, make: impl Fn(&mut Maker, &Device) -> Result<(String, Tensor)>) {
    twins_with(CpuOptions::default(), cases, relative, make);
}

/// The same with these options beside the kernels.
fn twins_with(
    options: CpuOptions,
    cases: u64,
    relative: f32,
    make: impl Fn(&mut Maker, &Device) -> Result<(String, Tensor)>,
) {
    let cases = std::env::var("KINORA_TWIN_CASES").map_or(cases, |n| n.parse().expect("a number of cases"));
    for kernels in Kernels::all_available().filter(|kernels| *kernels != Kernels::Naive) {
        let fast = Device::cpu_with(CpuOptions { kernels, ..options });
        for seed in 0..cases {
            let (case, expected) = make(&mut Maker::new(seed), &Device::naive()).expect("sound operands");
            let (_, got) = make(&mut Maker::new(seed), &fast).expect("sound operands");
            assert_eq!(got.shape(), expected.shape(), "{kernels:?}, seed {seed}: {case}");
            let found = difference(
                &got.data().expect("sound operands"),
                &expected.data().expect("sound operands"),
            );
            assert!(
                found.relative <= relative,
                "{kernels:?}, seed {seed}: {case}: {found:?}"
            );
        }
    }
}

//! Measures the kernels against what this machine can do: `cargo run --release -p kinora-tensor --example kernels [filter] [avx2]`, where
//! the second argument says how wide registers may be. `peak` as the filter prints nothing but the multiply-adds that one thread can do, in
//! GFLOP/s, while all threads are busy.
//!
//! Every line is the best of several runs by the clock, with processor time over wall time (two busy threads show 2.0; less means the
//! machine was shared). The last column compares per second of *processor* time, which holds on a shared machine too: the operations
//! of the best run against the multiply-adds of a probe that ran right before. Convolutions are computed directly and by Winograd's tiles,
//! exact and in bf16, in turn, and operations are the exact direct way's for all: over 100 % is what tiles and bf16 save.

use std::hint::black_box;
use std::time::Duration;
use std::time::Instant;

use kinora_tensor::Activation;
use kinora_tensor::Attention;
use kinora_tensor::Conv3d;
use kinora_tensor::DType;
use kinora_tensor::Device;
use kinora_tensor::Epilogue;
use kinora_tensor::LayerNormOutput;
use kinora_tensor::Linear;
use kinora_tensor::Tensor;
use kinora_tensor::cpu::Convolutions;
use kinora_tensor::cpu::CpuOptions;
use kinora_tensor::cpu::Kernels;
use kinora_tensor::ops::Padding;
use kinora_tensor::testing::Maker;
use kinora_tensor::testing::difference;

fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let kernels = match std::env::args().nth(2).as_deref() {
        None => Kernels::best(),
        Some("avx2") => Kernels::Avx2,
        Some(other) => panic!("{other:?}: takes \"avx2\", or nothing for the best"),
    };
    let device = |convolutions| {
        Device::cpu_with(CpuOptions {
            kernels,
            convolutions,
            ..CpuOptions::default()
        })
    };
    if filter == "peak" {
        println!("{:.1}", peak() / 1e9);
        return;
    }
    let bench = Bench {
        device: device(Convolutions::Winograd),
        direct: device(Convolutions::Direct),
        filter,
    };
    println!("{} threads, {}", rayon::current_num_threads(), bench.device);
    println!(
        "{:<44} {:>9} {:>9} {:>9} {:>7}",
        "op", "ms", "GFLOP/s", "cpu/wall", "peak"
    );
    bench.products();
    bench.rounded();
    bench.attentions();
    bench.convolutions();
    bench.passes();
}

struct Bench {
    device: Device,
    /// Where convolutions are computed as they are defined.
    direct: Device,
    filter: String,
}

impl Bench {
    fn products(&self) {
        for (dtype, rows, inputs, outputs) in [
            (DType::F32, 1280, 1536, 1536),
            (DType::F32, 1280, 1536, 8960),
            (DType::F32, 1280, 8960, 1536),
            (DType::BF16, 1280, 1536, 8960),
            (DType::F16, 1280, 1536, 8960),
            (DType::BF16, 64, 4096, 4096),
            (DType::BF16, 1, 4096, 4096),
        ] {
            let mut maker = Maker::new(1);
            let x = maker.tensor(&self.device, [rows, inputs]);
            let weight = maker.weight(dtype, [outputs, inputs], 0.02);
            let bias = maker.weight(DType::F32, [outputs], 1.0);
            let linear = Linear::new(&self.device, &weight, Some(&bias)).expect("a sound layer");
            let flops = 2.0 * (rows * inputs * outputs) as f64;
            let name = format!("linear {dtype} {rows}×{inputs}×{outputs}");
            self.measure(&name, flops, || x.linear(&linear, Epilogue::None));
            let name = format!("linear + gelu {dtype} {rows}×{inputs}×{outputs}");
            self.measure(&name, flops, || {
                x.linear(&linear, Epilogue::Activate(Activation::GeluTanh))
            });
        }
    }

    /// The shapes of a transformer's block at 1.3B and 14B, exact, in bf16 and in int8 in turns: what counts are the ratios.
    fn rounded(&self) {
        for (rows, inputs, outputs) in [
            (1280, 1536, 1536),
            (1280, 1536, 8960),
            (1280, 8960, 1536),
            (1280, 5120, 5120),
            (1280, 5120, 13_824),
            (1280, 13_824, 5120),
        ] {
            let name = format!("rounded {rows}×{inputs}×{outputs}");
            if !name.contains(&self.filter) {
                continue;
            }
            let mut maker = Maker::new(1);
            let x = maker.tensor(&self.device, [rows, inputs]);
            let weight = maker.weight(DType::BF16, [outputs, inputs], 0.02);
            let layers = [Linear::new, Linear::bf16, Linear::int8]
                .map(|prepare| prepare(&self.device, &weight, None).expect("a sound layer"));
            let mut ratios = [vec![], vec![]];
            for _ in 0..7 {
                let [exact, bf16, int8] = layers.each_ref().map(|layer| {
                    let begin = cpu_time();
                    black_box(x.linear(layer, Epilogue::None).expect("operands that fit"));
                    (cpu_time() - begin).as_secs_f64()
                });
                ratios[0].push(exact / bf16);
                ratios[1].push(exact / int8);
            }
            for (kind, mut ratios) in ["bf16", "int8"].into_iter().zip(ratios) {
                ratios.sort_by(f64::total_cmp);
                let [low, median, high] = [ratios[0], ratios[3], ratios[6]];
                println!("{name:<38} {kind:<5} {median:>9.2} times as fast as exact ({low:.2} to {high:.2})");
            }
        }
    }

    fn attentions(&self) {
        for (queries, keys, heads, width) in [
            (1280, 1280, 12, 128),
            (4096, 4096, 4, 128),
            (1280, 512, 12, 128),
            (1024, 1024, 1, 384),
            (512, 512, 64, 64),
        ] {
            let mut maker = Maker::new(2);
            let q = maker.tensor(&self.device, [queries, heads * width]);
            let [k, v] = [(); 2].map(|()| maker.tensor(&self.device, [keys, heads * width]));
            let scale = (width as f32).powf(-0.5);
            let attention = |may_round| Attention {
                q: &q,
                k: &k,
                v: &v,
                heads,
                scale,
                relative_bias: None,
                key_bias: None,
                may_round,
            };
            let flops = 4.0 * (queries * keys * heads * width) as f64;
            let name = format!("attention {queries}×{keys}, {heads}×{width}");
            self.measure(&name, flops, || attention(false).run());
            self.measure(&format!("{name}, may round"), flops, || attention(true).run());
        }
    }

    fn convolutions(&self) {
        for (name, kernel, inputs, outputs, [t, y, x], dtype) in [
            ("3×3×3", [3, 3, 3], 384, 384, [3, 32, 32], DType::F32),
            ("3×1×1", [3, 1, 1], 384, 768, [4, 32, 32], DType::F32),
            ("1×1×1", [1, 1, 1], 192, 384, [4, 32, 32], DType::F32),
            // What the decoder of VAE 2.1 computes for four frames of 256×256 …
            ("3×3×3", [3, 3, 3], 16, 384, [1, 32, 32], DType::F32),
            ("3×3×3", [3, 3, 3], 384, 384, [1, 32, 32], DType::F32),
            ("3×3×3", [3, 3, 3], 384, 384, [2, 64, 64], DType::F32),
            ("3×3×3", [3, 3, 3], 384, 384, [2, 64, 64], DType::BF16),
            ("1×3×3", [1, 3, 3], 384, 192, [4, 128, 128], DType::F32),
            ("3×3×3", [3, 3, 3], 192, 192, [4, 128, 128], DType::F32),
            ("1×3×3", [1, 3, 3], 192, 96, [4, 256, 256], DType::F32),
            ("3×3×3", [3, 3, 3], 96, 96, [4, 256, 256], DType::F32),
            ("3×3×3", [3, 3, 3], 96, 96, [4, 256, 256], DType::BF16),
            ("3×3×3", [3, 3, 3], 96, 3, [4, 256, 256], DType::F32),
            // … and that of VAE 2.2.
            ("3×3×3", [3, 3, 3], 1024, 1024, [1, 16, 16], DType::F32),
            ("3×3×3", [3, 3, 3], 1024, 1024, [2, 32, 32], DType::F32),
            ("3×3×3", [3, 3, 3], 512, 512, [4, 64, 64], DType::F32),
            ("3×3×3", [3, 3, 3], 256, 256, [4, 128, 128], DType::F32),
        ] {
            let taps: usize = kernel.iter().product();
            let flops = 2.0 * (taps * inputs * outputs * t * y * x) as f64;
            let name = format!("conv {name} {dtype} {inputs}→{outputs}, {t}×{y}×{x}");
            if !name.contains(&self.filter) {
                continue;
            }
            let layer = |device: &Device, may_round: bool| {
                let mut maker = Maker::new(3);
                let input = maker.tensor(device, [t, y, x, inputs]);
                let past = maker.tensor(device, [kernel[0] - 1, y, x, inputs]);
                let weight = maker.weight(dtype, [outputs, inputs, kernel[0], kernel[1], kernel[2]], 0.02);
                let padding = Padding::causal(kernel[0] - 1, kernel[1] / 2);
                let prepare = if may_round { Conv3d::bf16 } else { Conv3d::new };
                let conv = prepare(device, &weight, None, [1, 1, 1], padding).expect("a sound layer");
                move || input.conv3d(&conv, Some(&past), Epilogue::None)
            };
            self.compare(
                flops,
                &[
                    (&name, &layer(&self.direct, false)),
                    ("    by tiles", &layer(&self.device, false)),
                    ("    in bf16", &layer(&self.direct, true)),
                    ("    by tiles in bf16", &layer(&self.device, true)),
                ],
            );
        }
    }

    fn passes(&self) {
        let mut maker = Maker::new(4);
        let x = maker.tensor(&self.device, [1280, 1536]);
        let [vector, shift] = [(); 2].map(|()| maker.tensor(&self.device, [1536]));
        let wide = maker.tensor(&self.device, [1280, 8960]);
        let [cos, sin] = [(); 2].map(|()| maker.tensor(&self.device, [1280, 64]));
        let pixels = maker.tensor(&self.device, [4, 128, 128, 96]);
        let gamma = maker.tensor(&self.device, [96]);
        self.measure("rms norm 1280×1536", 0.0, || x.rms_norm(Some(&vector), 1e-6));
        let modulated = LayerNormOutput::Modulated {
            scale: (&vector).into(),
            shift: (&shift).into(),
        };
        self.measure("layer norm + modulate 1280×1536", 0.0, || {
            x.layer_norm(1e-6, modulated)
        });
        self.measure("channel norm + silu 4×128×128×96", 0.0, || {
            pixels.channel_norm(&gamma, Activation::Silu)
        });
        self.measure("gelu(tanh) 1280×8960", 0.0, || {
            wide.activate(Activation::GeluTanh)
        });
        self.measure("gelu(erf) 1280×8960", 0.0, || wide.activate(Activation::GeluErf));
        self.measure("rope 1280×12×128", 0.0, || x.rope(&cos, &sin));
        self.measure("add 1280×1536", 0.0, || x.add(&x));
        self.measure("weighted sum of 3, 1280×1536", 0.0, || {
            Tensor::weighted_sum(&[(0.5, &x), (2.0, &x), (-1.0, &x)])
        });
        self.measure("upsample 4×128×128×96", 0.0, || pixels.upsample_nearest());
        self.measure("permute 4×128×128×96 to channels first", 0.0, || {
            pixels.permute(&[3, 0, 1, 2])
        });
    }

    /// All ways in turn, so that what disturbs one disturbs the others; medians, and what they are to the first.
    fn compare(&self, flops: f64, ways: &[(&str, &dyn Fn() -> kinora_tensor::Result<Tensor>)]) {
        let peak = peak();
        let mut times = vec![[vec![], vec![]]; ways.len()];
        let begin = Instant::now();
        while times[0][0].len() < 3 || (times[0][0].len() < 30 && begin.elapsed() < Duration::from_secs(4)) {
            for ((_, op), [walls, cpus]) in ways.iter().zip(&mut times) {
                let (cpu, wall) = (cpu_time(), Instant::now());
                black_box(op().expect("operands that fit"));
                walls.push(wall.elapsed());
                cpus.push(cpu_time() - cpu);
            }
        }
        let numbers = |op: &dyn Fn() -> kinora_tensor::Result<Tensor>| {
            op().and_then(|y| y.to_vec()).expect("operands that fit")
        };
        let (first, mut first_times) = (numbers(ways[0].1), None);
        for ((name, op), mut times) in ways.iter().zip(times) {
            let [wall, cpu] = times.each_mut().map(|times| {
                times.sort_unstable();
                times[times.len() / 2].as_secs_f64()
            });
            let (first_wall, first_cpu) = *first_times.get_or_insert((wall, cpu));
            println!(
                "{name:<44} {:>9.2} {:>9.1} {:>9.2} {:>6.0}%  {:.2}× as fast ({:.2}× by processor time), difference {:.1e}",
                wall * 1e3,
                flops / wall / 1e9,
                cpu / wall,
                100.0 * flops / cpu / peak,
                first_wall / wall,
                first_cpu / cpu,
                difference(&numbers(op), &first).relative
            );
        }
    }

    fn measure(&self, name: &str, flops: f64, mut op: impl FnMut() -> kinora_tensor::Result<Tensor>) {
        if !name.contains(&self.filter) {
            return;
        }
        let peak = if flops > 0.0 { peak() } else { 0.0 };
        let (mut best, mut best_cpu, mut ratio) = (Duration::MAX, Duration::MAX, 0.0);
        let begin = Instant::now();
        let mut runs = 0;
        while runs < 3 || (runs < 30 && begin.elapsed() < Duration::from_secs(2)) {
            let (cpu, wall) = (cpu_time(), Instant::now());
            black_box(op().expect("operands that fit"));
            let (wall, cpu) = (wall.elapsed(), cpu_time() - cpu);
            best_cpu = best_cpu.min(cpu);
            if wall < best {
                (best, ratio) = (wall, cpu.as_secs_f64() / wall.as_secs_f64());
            }
            runs += 1;
        }
        let ms = best.as_secs_f64() * 1e3;
        if flops > 0.0 {
            let rate = flops / best.as_secs_f64() / 1e9;
            println!(
                "{name:<44} {ms:>9.2} {rate:>9.1} {ratio:>9.2} {:>6.0}%",
                100.0 * flops / best_cpu.as_secs_f64() / peak
            );
        } else {
            println!("{name:<44} {ms:>9.2} {:>9} {ratio:>9.2}", "");
        }
    }
}

/// Floating point operations per second of processor time: registers only, nothing to wait for but the units themselves. All threads
/// run, for a machine clocks lower when it is busy everywhere.
fn peak() -> f64 {
    const STEPS: usize = 2_000_000;
    const SUMS: usize = 12;
    let threads = rayon::current_num_threads();
    let best = (0..7)
        .map(|_| {
            let begin = cpu_time();
            let lanes = rayon::broadcast(|_| probe::<SUMS>(STEPS))[0];
            (cpu_time() - begin) / lanes as u32
        })
        .min()
        .unwrap_or(Duration::MAX);
    (2 * threads * STEPS * SUMS) as f64 / best.as_secs_f64()
}

/// Returns how many numbers a register holds.
fn probe<const SUMS: usize>(steps: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature was just detected.
        unsafe { probe_512::<SUMS>(steps) };
        return 16;
    }
    const LANES: usize = 8;
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("fma") && is_x86_feature_detected!("avx2") {
        // SAFETY: the features were just detected.
        unsafe { probe_256::<SUMS>(steps) };
        return LANES;
    }
    let mut sums = black_box([[1.0_f32; LANES]; SUMS]);
    let (a, b) = (black_box(0.999_f32), black_box(1e-3_f32));
    for _ in 0..steps {
        sums.iter_mut().flatten().for_each(|sum| *sum = *sum * a + b);
    }
    black_box(sums);
    LANES
}

/// The same probe in wider and narrower registers.
#[cfg(target_arch = "x86_64")]
macro_rules! probe {
    ($name:ident, $features:literal, $set:ident, $fmadd:ident) => {
        #[target_feature(enable = $features)]
        fn $name<const SUMS: usize>(steps: usize) {
            use std::arch::x86_64::*;
            let (a, b) = ($set(black_box(0.999)), $set(black_box(1e-3)));
            let mut sums = [$set(1.0); SUMS];
            for _ in 0..steps {
                for sum in &mut sums {
                    *sum = $fmadd(*sum, a, b);
                }
            }
            black_box(sums);
        }
    };
}

#[cfg(target_arch = "x86_64")]
probe!(probe_256, "avx2,fma", _mm256_set1_ps, _mm256_fmadd_ps);

#[cfg(target_arch = "x86_64")]
probe!(probe_512, "avx512f", _mm512_set1_ps, _mm512_fmadd_ps);

/// Processor time of all threads of this process so far.
fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec of our own.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(status, 0, "every Linux has the clock of a process");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

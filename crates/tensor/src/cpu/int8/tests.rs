//! Rounding, and every way to multiply against plain integers.

use proptest::prelude::*;

use super::dot::model::Modelled;
use super::*;
use crate::device::Device;
use crate::dtype::DType;
use crate::ops::Epilogue;
use crate::tensor::Tensor;
use crate::testing::Maker;

/// `x` `[rows, K]` times a weight by these instructions, on so many threads.
fn multiply_on(
    instructions: Option<Instructions>,
    threads: usize,
    x: &[f32],
    weight: &Quantized,
    finish: &Finish<'_>,
) -> Vec<u32> {
    let kernels = Kernels::best();
    let mut out = vec![f32::NAN; x.len() / weight.inputs * weight.outputs];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.expect("a pool of threads").install(|| match instructions {
        None => multiply::<Modelled>(kernels, x, weight, finish, &mut out),
        Some(Instructions::Portable) => multiply::<dot::Portable>(kernels, x, weight, finish, &mut out),
        #[cfg(target_arch = "x86_64")]
        Some(Instructions::Avx2) => multiply::<dot::Avx2>(kernels, x, weight, finish, &mut out),
        #[cfg(target_arch = "x86_64")]
        Some(Instructions::AvxVnni) => multiply::<dot::AvxVnni>(kernels, x, weight, finish, &mut out),
        #[cfg(target_arch = "x86_64")]
        Some(Instructions::Avx512Vnni) => multiply::<dot::Avx512Vnni>(kernels, x, weight, finish, &mut out),
        #[cfg(not(target_arch = "x86_64"))]
        Some(other) => unreachable!("{other:?} is not available on this machine"),
    });
    out.into_iter().map(f32::to_bits).collect()
}

/// Holds every way to multiply, on one thread and on two, to the bits of the definition.
fn check(rows: usize, inputs: usize, outputs: usize, x: &[f32], weight: &Weight) {
    let device = Device::naive();
    let mut maker = Maker::new(9);
    let bias = maker.tensor(&device, [outputs]);
    let residual = maker.tensor(&device, [rows, outputs]);
    let finish = Finish::new(Some(&bias), &Epilogue::Residual(&residual), outputs);
    let quantized = Quantized::new(Kernels::Portable, weight);
    let mut expected = vec![0.0; rows * outputs];
    naive(x, &quantized, &finish, &mut expected);
    let expected: Vec<u32> = expected.into_iter().map(f32::to_bits).collect();
    let available = Instructions::ALL
        .into_iter()
        .filter(|instructions| instructions.available());
    for instructions in available.map(Some).chain([None]) {
        for threads in [1, 2] {
            let got = multiply_on(instructions, threads, x, &quantized, &finish);
            assert!(
                got == expected,
                "{instructions:?}, {threads} threads: [{rows}, {inputs}] → {outputs}"
            );
        }
    }
}

#[test]
fn every_way_to_multiply_gives_the_same_bits() {
    for instructions in Instructions::ALL {
        if !instructions.available() {
            println!("not run, for this machine has no {instructions:?}: its model is");
        }
    }
    let shapes = [
        (1, 1, 1),
        (1, 4, 16),
        (2, 3, 5),
        (5, 7, 17),
        (6, 8, 16),
        (7, 9, 33),
        (13, 640, 192),
        (250, 30, 40),
        // Stretches along K: the first two differ by one group, the last is of three.
        (8, 1024, 20),
        (8, 1025, 20),
        (3, 2900, 18),
        // More rows than are rounded at once, and more panels than a block has.
        (ROWS_AT_ONCE + 7, 5, 3),
        (9, 1021, 300),
    ];
    for (seed, (rows, inputs, outputs)) in shapes.into_iter().enumerate() {
        let mut maker = Maker::new(seed as u64);
        let x = maker.tensor(&Device::naive(), [rows, inputs]);
        let dtype = maker.pick(&[DType::F32, DType::BF16, DType::F16]);
        let weight = maker.weight(dtype, [outputs, inputs], 0.1);
        check(rows, inputs, outputs, x.host(), &weight);
    }
}

/// Where 16 bits would saturate and 32 come closest to their end.
#[test]
fn the_largest_sums_are_exact() {
    let (rows, inputs, outputs) = (6, 131_072, 16);
    for (x, w) in [(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0)] {
        let weight = Weight::from_f32([outputs, inputs], vec![w; outputs * inputs]).unwrap();
        check(rows, inputs, outputs, &vec![x; rows * inputs], &weight);
    }
}

#[test]
fn rows_that_are_not_finite_stay_so_and_empty_ones_are_zero() {
    let device = Device::naive();
    let weight = Quantized::new(
        Kernels::Portable,
        &Weight::from_f32([1, 2], vec![1.0, -2.0]).unwrap(),
    );
    let x = [0.0, 0.0, 1e-40, 0.0, f32::NAN, 1.0, 1.0, f32::INFINITY, 2.0, 1.0];
    let finish = Finish::new(None, &Epilogue::None, 1);
    for kernels in Kernels::all_available() {
        let mut out = [1.0; 5];
        fast(kernels, &x, &weight, &finish, &mut out);
        assert_eq!(out[..2], [0.0, 0.0], "{kernels:?}");
        assert!(out[2].is_nan() && out[3].is_nan(), "{kernels:?}: {out:?}");
        assert!(out[4].abs() < 0.02, "{kernels:?}: {out:?}");
    }
    let broken = Quantized::new(
        Kernels::Portable,
        &Weight::from_f32([2, 1], vec![f32::NAN, 1.0]).unwrap(),
    );
    let one = Tensor::from_vec(&device, [1, 1], vec![1.0]).unwrap();
    let mut out = [0.0; 2];
    fast(
        Kernels::best(),
        one.host(),
        &broken,
        &Finish::new(None, &Epilogue::None, 2),
        &mut out,
    );
    assert!(out[0].is_nan() && out[1] == 1.0, "{out:?}");
}

proptest! {
    /// Off by half a level at most, the same for every kind of level and for all kernels, odd under a change of sign.
    #[test]
    fn rounding_is_near_symmetric_and_the_same_everywhere(
        numbers in proptest::collection::vec(-1.0f32..1.0, 1..70),
        power in -90i32..90,
        outlier in proptest::option::of(1.0f32..1e4),
    ) {
        let factor = 2f32.powi(power);
        let numbers: Vec<f32> = numbers.into_iter().chain(outlier).map(|x| x * factor).collect();
        let negated: Vec<f32> = numbers.iter().map(|x| -x).collect();
        let padded = numbers.len().next_multiple_of(GROUP);
        let (mut signed, mut wide, mut offset) = (vec![1i8; padded], vec![1i16; padded], vec![1u8; padded]);
        let mut mirrored = vec![1i8; padded];
        for kernels in Kernels::all_available() {
            let scale = kernels.quantize(&numbers, &mut signed);
            prop_assert_eq!(kernels.quantize(&numbers, &mut wide), scale);
            prop_assert_eq!(kernels.quantize(&numbers, &mut offset), scale);
            prop_assert_eq!(kernels.quantize(&negated, &mut mirrored), scale);
            prop_assert_eq!(quantize(&numbers, &mut vec![0i8; padded]), scale);
            for (i, &level) in signed.iter().enumerate() {
                let number = numbers.get(i).copied().unwrap_or(0.0);
                let error = (number - scale * f32::from(level)).abs();
                prop_assert!(error <= 0.5001 * scale, "{} became {} · {}", number, level, scale);
                prop_assert!(level > i8::MIN);
                prop_assert_eq!(i16::from(level), wide[i]);
                prop_assert_eq!(i16::from(level), i16::from(offset[i]) - 128);
                prop_assert_eq!(-level, mirrored[i]);
            }
            let largest = numbers.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
            if largest > 0.0 {
                prop_assert!(signed.iter().any(|level| level.unsigned_abs() == 127));
            }
        }
    }

    /// Rounding what was rounded changes nothing.
    #[test]
    fn rounding_twice_is_rounding_once(levels in proptest::collection::vec(-127i8..=127, 1..70), scale in 1e-3f32..1e3) {
        prop_assume!(levels.iter().any(|level| level.unsigned_abs() == 127));
        let numbers: Vec<f32> = levels.iter().map(|&level| f32::from(level) * scale).collect();
        let mut again = vec![0i8; levels.len()];
        quantize(&numbers, &mut again);
        prop_assert_eq!(again, levels);
    }
}

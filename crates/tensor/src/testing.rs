//! Made-up tensors and their comparison, for the tests and benchmarks of this crate and of the models above it.

use crate::device::Device;
use crate::dtype::DType;
use crate::rng::TorchNormal;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::weight::Weight;

/// A source of made-up tensors; the same seed makes the same ones.
pub struct Maker {
    normal: TorchNormal,
    state: u64,
}

/// How two lists of numbers differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The largest absolute difference; infinite where one number is not a number or the lengths differ.
    pub max: f32,
    /// The mean absolute difference.
    pub mean: f32,
    /// The largest absolute difference over the largest expected magnitude.
    pub relative: f32,
}

impl Maker {
    /// A source.
    pub fn new(seed: u64) -> Self {
        Self {
            normal: TorchNormal::new(seed),
            state: seed,
        }
    }

    /// A tensor of standard normal numbers.
    pub fn tensor(&mut self, device: &Device, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        let numbers = self.normal.draw(shape.elements());
        Tensor::from_vec(device, shape, numbers).expect("as many numbers as the shape has")
    }

    /// A weight of normal numbers of deviation `scale`, rounded to `dtype`.
    pub fn weight(&mut self, dtype: DType, shape: impl Into<Shape>, scale: f32) -> Weight {
        let shape = shape.into();
        let numbers: Vec<f32> = self
            .normal
            .draw(shape.elements())
            .iter()
            .map(|x| x * scale)
            .collect();
        Weight::rounded(shape, numbers, dtype).expect("as many numbers as the shape has")
    }

    /// A number in `low ..= high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        // splitmix64: enough for picking extents.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        low + ((z ^ (z >> 31)) % (high - low + 1) as u64) as usize
    }

    /// One of `choices`.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.between(0, choices.len() - 1)]
    }
}

/// How `got` differs from `expected`.
pub fn difference(got: &[f32], expected: &[f32]) -> Difference {
    let broken = Difference {
        max: f32::INFINITY,
        mean: f32::INFINITY,
        relative: f32::INFINITY,
    };
    if got.len() != expected.len() {
        return broken;
    }
    let (mut max, mut sum, mut largest) = (0.0_f32, 0.0_f64, 0.0_f32);
    for (got, expected) in got.iter().zip(expected) {
        let difference = (got - expected).abs();
        if difference.is_nan() {
            return broken;
        }
        max = max.max(difference);
        sum += f64::from(difference);
        largest = largest.max(expected.abs());
    }
    let relative = if max == 0.0 { 0.0 } else { max / largest };
    Difference {
        max,
        mean: (sum / got.len().max(1) as f64) as f32,
        relative,
    }
}

/// Panics where `got` differs from `expected` by more than `relative` of the largest expected magnitude.
pub fn assert_close(what: &str, got: &Tensor, expected: &Tensor, relative: f32) {
    assert_eq!(got.shape(), expected.shape(), "{what}: shapes");
    let (got, expected) = (
        got.data().expect("a readable tensor"),
        expected.data().expect("a readable tensor"),
    );
    let difference = difference(&got, &expected);
    assert!(
        difference.relative <= relative,
        "{what}: {difference:?} exceeds {relative}"
    );
}

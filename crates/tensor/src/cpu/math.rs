//! Functions of one number, written without branches so that a loop over them becomes SIMD.
//!
//! Everything is generic over [`Arith`]: whether the machine multiplies and adds in one instruction. Bodies must be
//! inlined into a function compiled for that machine: elsewhere `f32::mul_add` is a call.

use crate::ops::Activation;

/// `P` of [`gelu_erf`], highest power first: a Chebyshev fit of `e^(z²) erfc(z) / t` for `z` in `0 ..= 23`, good to 3e-8.
const ERFC: [f32; 11] = [
    0.042_179_62,
    -0.228_921_65,
    0.479_256_57,
    -0.434_560_45,
    0.114_088_31,
    -0.048_784_688,
    0.089_535_08,
    0.176_261_14,
    0.246_747_12,
    0.282_104_52,
    0.282_094_45,
];

/// `2ʳ` for `r` in `−½ ..= ½`, highest power first: a Chebyshev fit, good to 3e-9.
const EXP2: [f32; 7] = [
    1.546_973_2e-4,
    1.340_043_3e-3,
    9.618_025e-3,
    0.055_503_27,
    0.240_226_5,
    std::f32::consts::LN_2,
    1.0,
];

/// How to multiply and add.
pub(super) trait Arith: Copy + Send + Sync {
    /// `a · b + c`.
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
}

/// Two instructions and two roundings: any machine.
#[derive(Clone, Copy)]
pub(super) struct Plain;

impl Arith for Plain {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

/// `eˣ` to a few units in the last place; arguments beyond the range of `f32` stop at its ends (not at 0 or ∞).
#[inline(always)]
pub(super) fn exp<A: Arith>(x: f32) -> f32 {
    // Adding 1.5 · 2²³ leaves the nearest integer in the low bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with so few digits that n · LN2_HIGH is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x < -87.3 { -87.3 } else { x };
    let x = if x > 88.3 { 88.3 } else { x };
    let rounded = A::mul_add(x, std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = A::mul_add(n, -LN2_LOW, A::mul_add(n, -LN2_HIGH, x));
    let p = polynomial::<A, 8>(
        r,
        &[
            1.0 / 5040.0,
            1.0 / 720.0,
            1.0 / 120.0,
            1.0 / 24.0,
            1.0 / 6.0,
            0.5,
            1.0,
            1.0,
        ],
    );
    p * f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23))
}

/// `2ˣ` for `x ≤ 0` to a few units in the last place; below the range of normal numbers it stops at its end.
#[inline(always)]
pub(super) fn exp2<A: Arith>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -126.0 { -126.0 } else { x };
    let rounded = x + ROUND;
    let r = x - (rounded - ROUND);
    polynomial::<A, 7>(r, &EXP2) * f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23))
}

/// `x / (1 + e⁻ˣ)`.
#[inline(always)]
pub(super) fn silu<A: Arith>(x: f32) -> f32 {
    x / (1.0 + exp::<A>(-x))
}

/// `x/2 · (1 + tanh u)` with `u = √(2/π) (x + 0.044715 x³)`, which is `x / (1 + e⁻²ᵘ)`.
#[inline(always)]
pub(super) fn gelu_tanh<A: Arith>(x: f32) -> f32 {
    const MINUS_TWO_ROOT: f32 = -1.595_769;
    let u = A::mul_add(x * x, MINUS_TWO_ROOT * 0.044_715, MINUS_TWO_ROOT) * x;
    x / (1.0 + exp::<A>(u))
}

/// `x/2 · (1 + erf(x/√2))`.
#[inline(always)]
pub(super) fn gelu_erf<A: Arith>(x: f32) -> f32 {
    // With z = |x|/√2: erfc(z) = e^(−z²) · t · P(t), t = 1 / (1 + z/2); the upper tail is x minus the lower one.
    let magnitude = x.abs();
    let z = magnitude * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / A::mul_add(0.5, z, 1.0);
    let tail = 0.5 * magnitude * exp::<A>(-z * z) * t * polynomial::<A, 11>(t, &ERFC);
    if x < 0.0 { -tail } else { x - tail }
}

/// Coefficients from the highest power down.
#[inline(always)]
fn polynomial<A: Arith, const N: usize>(x: f32, coefficients: &[f32; N]) -> f32 {
    let mut sum = coefficients[0];
    let mut i = 1;
    while i < N {
        sum = A::mul_add(sum, x, coefficients[i]);
        i += 1;
    }
    sum
}

/// `f` over a slice.
#[inline(always)]
pub(super) fn activate<A: Arith>(activation: Activation, numbers: &mut [f32]) {
    // Plain loops: a closure would be a function of its own, compiled without the machine's instructions.
    match activation {
        Activation::Identity => {}
        Activation::Silu => {
            for x in numbers {
                *x = silu::<A>(*x);
            }
        }
        Activation::GeluTanh => {
            for x in numbers {
                *x = gelu_tanh::<A>(*x);
            }
        }
        Activation::GeluErf => {
            for x in numbers {
                *x = gelu_erf::<A>(*x);
            }
        }
    }
}

/// `f` of one number in `f64`: the definition.
pub(super) fn activate_naive(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Identity => x,
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::GeluTanh => {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
            // The same as x/2 · (1 + tanh u), without losing the digits of a small result.
            x / (1.0 + (-2.0 * u).exp())
        }
        Activation::GeluErf => 0.5 * x * erfc_naive(-x / std::f64::consts::SQRT_2),
    }
}

/// `erfc` in `f64`: its Taylor series near 0, its continued fraction away from it.
fn erfc_naive(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc_naive(-x);
    }
    let root_pi = std::f64::consts::PI.sqrt();
    if x < 2.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..100 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return 1.0 - 2.0 / root_pi * sum;
    }
    let tail = (1..120)
        .rev()
        .fold(0.0, |tail, n| f64::from(n) * 0.5 / (x + tail));
    (-x * x).exp() / root_pi / (x + tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One rounding; a slow call where the machine has no such instruction, which is good enough for a test.
    #[derive(Clone, Copy)]
    struct Fused;

    impl Arith for Fused {
        #[inline(always)]
        fn mul_add(a: f32, b: f32, c: f32) -> f32 {
            a.mul_add(b, c)
        }
    }

    #[test]
    fn functions_agree_with_their_definitions() {
        let check = |activation, relative: f64| {
            for i in -4000..4000 {
                let x = i as f32 * 0.005;
                let expected = activate_naive(activation, f64::from(x));
                for got in [one::<Plain>(activation, x), one::<Fused>(activation, x)] {
                    let error = (f64::from(got) - expected).abs();
                    assert!(
                        error <= relative * expected.abs() + 1e-36,
                        "{activation:?}({x}): {got} for {expected}"
                    );
                }
            }
        };
        check(Activation::Silu, 5e-7);
        // Far out on the negative side the argument of the exponential is what loses digits.
        check(Activation::GeluTanh, 2e-5);
        check(Activation::GeluErf, 2e-5);
    }

    #[test]
    fn the_exponential_is_exact_to_a_few_units() {
        for i in -8700..8800 {
            let x = i as f32 * 0.01;
            let expected = f64::from(x).exp();
            for got in [exp::<Plain>(x), exp::<Fused>(x)] {
                assert!(
                    (f64::from(got) / expected - 1.0).abs() < 2.5e-7,
                    "exp({x}): {got} for {expected}"
                );
            }
        }
        for i in -12_600..1 {
            let x = i as f32 * 0.01;
            let expected = f64::from(x).exp2();
            for got in [exp2::<Plain>(x), exp2::<Fused>(x)] {
                assert!(
                    (f64::from(got) / expected - 1.0).abs() < 2.5e-7,
                    "exp2({x}): {got} for {expected}"
                );
            }
        }
        assert!(exp2::<Plain>(f32::NEG_INFINITY) < 1.3e-38);
        assert!(exp2::<Plain>(f32::NAN).is_nan());
        assert!(exp::<Plain>(f32::NEG_INFINITY) < 1.3e-38);
        assert!(exp::<Plain>(f32::NAN).is_nan());
    }

    fn one<A: Arith>(activation: Activation, x: f32) -> f32 {
        let mut x = [x];
        activate::<A>(activation, &mut x);
        x[0]
    }
}

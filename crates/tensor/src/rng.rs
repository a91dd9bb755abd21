//! Noise from a seed: the numbers `torch.randn` draws on a CPU from `torch.Generator().manual_seed(seed)`, so that a seed means the
//! same picture here as in the reference.
//!
//! The generator is the 32-bit Mersenne twister. From 16 numbers on PyTorch draws uniform numbers for all of them and turns blocks
//! of 16 into normal ones by Box and Muller in single precision; below that it draws one at a time in double precision.

use std::f64::consts::TAU;

/// A stream of standard normal numbers.
pub struct TorchNormal {
    twister: Twister,
    /// The second of a pair that was drawn in double precision and not asked for yet.
    spare: Option<f64>,
}

/// The Mersenne twister MT19937.
struct Twister {
    state: [u32; STATE],
    next: usize,
}

const STATE: usize = 624;
const BLOCK: usize = 16;

impl TorchNormal {
    /// The stream of `seed`; as in PyTorch its upper half does not matter.
    pub fn new(seed: u64) -> Self {
        Self {
            twister: Twister::new(seed as u32),
            spare: None,
        }
    }

    /// The next `len` numbers, as one call of `torch.randn` with as many elements draws them.
    pub fn draw(&mut self, len: usize) -> Vec<f32> {
        if len < BLOCK {
            return (0..len).map(|_| self.draw_one() as f32).collect();
        }
        let mut numbers: Vec<f32> = (0..len).map(|_| self.twister.uniform_f32()).collect();
        let (blocks, rest) = numbers.as_chunks_mut::<BLOCK>();
        blocks.iter_mut().for_each(box_muller);
        if !rest.is_empty() {
            // The last block is drawn anew, over the end of the one before it.
            let (_, last) = numbers
                .split_last_chunk_mut::<BLOCK>()
                .expect("there are at least 16");
            last.iter_mut()
                .for_each(|number| *number = self.twister.uniform_f32());
            box_muller(last);
        }
        numbers
    }

    fn draw_one(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let (angle, chance) = (self.twister.uniform_f64(), self.twister.uniform_f64());
        let radius = (-2.0 * (-chance).ln_1p()).sqrt();
        let (sin, cos) = (TAU * angle).sin_cos();
        self.spare = Some(radius * sin);
        radius * cos
    }
}

/// Turns 16 uniform numbers into normal ones: the first half gives radii, the second angles.
fn box_muller(block: &mut [f32; BLOCK]) {
    for i in 0..BLOCK / 2 {
        let radius = (-2.0 * (1.0 - block[i]).ln()).sqrt();
        let (sin, cos) = (std::f32::consts::TAU * block[i + BLOCK / 2]).sin_cos();
        block[i] = radius * cos;
        block[i + BLOCK / 2] = radius * sin;
    }
}

impl Twister {
    fn new(seed: u32) -> Self {
        let mut state = [seed; STATE];
        for i in 1..STATE {
            let before = state[i - 1];
            state[i] = 1_812_433_253_u32
                .wrapping_mul(before ^ (before >> 30))
                .wrapping_add(i as u32);
        }
        Self { state, next: STATE }
    }

    fn draw(&mut self) -> u32 {
        if self.next == STATE {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for i in 0..STATE {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % STATE] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + 397) % STATE] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }

    /// 24 bits in `0 .. 1`.
    fn uniform_f32(&mut self) -> f32 {
        (self.draw() & 0x00ff_ffff) as f32 / 16_777_216.0
    }

    /// 53 bits in `0 .. 1`.
    fn uniform_f64(&mut self) -> f64 {
        let bits = u64::from(self.draw()) << 32 | u64::from(self.draw());
        (bits & ((1 << 53) - 1)) as f64 / (1_u64 << 53) as f64
    }
}

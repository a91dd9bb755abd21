//! What a seed decides: the colours of the pattern and the paths of what moves in it.

use super::canvas::{Canvas, Colour};

/// How many discs move about.
const DISCS: usize = 5;

/// A pattern that moves: the same seed and frame give the same picture.
#[derive(Debug, Clone)]
pub(crate) struct Motion {
    across: Ramp,
    down: Ramp,
    discs: Vec<Disc>,
}

/// One direction of the background: two colours that alternate, and how fast they drift.
#[derive(Debug, Clone)]
struct Ramp {
    from: Colour,
    to: Colour,
    drift: u32,
}

#[derive(Debug, Clone)]
struct Disc {
    colour: Colour,
    /// Of the shorter side, in 256ths.
    radius: u32,
    start: (u32, u32),
    /// Of the way through the frame, in 65,536ths a frame.
    speed: (u32, u32),
}

impl Motion {
    pub(crate) fn new(seed: u32) -> Motion {
        let mut numbers = Numbers(u64::from(seed));
        Motion {
            across: Ramp::draw(&mut numbers),
            down: Ramp::draw(&mut numbers),
            discs: (0..DISCS).map(|_| Disc::draw(&mut numbers)).collect(),
        }
    }

    /// The colour that stands for the seed.
    pub(crate) fn accent(&self) -> Colour {
        self.discs[0].colour
    }

    /// Draws the frame with this number.
    pub(crate) fn paint(&self, canvas: &mut Canvas, frame: u32) {
        let columns = self.across.values(canvas.width(), frame);
        let rows = self.down.values(canvas.height(), frame);
        canvas.gradient(&columns, &rows);
        for disc in &self.discs {
            disc.paint(canvas, frame);
        }
    }
}

impl Ramp {
    fn draw(numbers: &mut Numbers) -> Ramp {
        // At most 127 each, so that a column's and a row's share add up without overflow.
        let mut colour = || [(); 3].map(|()| numbers.below(128) as u8);
        let (from, to) = (colour(), colour());
        Ramp {
            from,
            to,
            drift: 2 + numbers.below(5),
        }
    }

    fn values(&self, length: u32, frame: u32) -> Vec<Colour> {
        let value = |place: u32| {
            let share = bounce(place * 256 / length.max(1) + frame * self.drift, 256);
            std::array::from_fn(|channel| {
                let (from, to) = (u32::from(self.from[channel]), u32::from(self.to[channel]));
                ((from * (256 - share) + to * share) / 256) as u8
            })
        };
        (0..length).map(value).collect()
    }
}

impl Disc {
    fn draw(numbers: &mut Numbers) -> Disc {
        Disc {
            colour: [(); 3].map(|()| 64 + numbers.below(192) as u8),
            radius: 12 + numbers.below(24),
            start: (numbers.below(1 << 17), numbers.below(1 << 17)),
            speed: (300 + numbers.below(700), 300 + numbers.below(700)),
        }
    }

    fn paint(&self, canvas: &mut Canvas, frame: u32) {
        let radius = canvas.width().min(canvas.height()) * self.radius / 256;
        let place = |start: u32, speed: u32, length: u32| {
            let way = u64::from(bounce(start + frame * speed, 1 << 16));
            radius + ((u64::from(length.saturating_sub(2 * radius)) * way) >> 16) as u32
        };
        let x = place(self.start.0, self.speed.0, canvas.width());
        let y = place(self.start.1, self.speed.1, canvas.height());
        canvas.disc(x, y, radius, self.colour);
    }
}

/// A value that runs up to `top` and down again.
fn bounce(value: u32, top: u32) -> u32 {
    let within = value % (2 * top);
    if within < top { within } else { 2 * top - within }
}

/// Numbers from a seed: a counter, well stirred (the finaliser of SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((value ^ (value >> 31)) % u64::from(bound)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(seed: u32, number: u32) -> Canvas {
        let mut canvas = Canvas::new(64, 48);
        Motion::new(seed).paint(&mut canvas, number);
        canvas
    }

    #[test]
    fn seeds_and_frames_decide_the_picture() {
        assert_eq!(frame(7, 30), frame(7, 30));
        assert_ne!(frame(7, 30), frame(8, 30));
        assert_ne!(frame(7, 30), frame(7, 31));
    }

    #[test]
    fn any_frame_of_any_size_can_be_drawn() {
        for (width, height) in [(16, 16), (512, 4080), (4080, 512)] {
            for seed in [0, 1, i32::MAX as u32] {
                let mut canvas = Canvas::new(width, height);
                Motion::new(seed).paint(&mut canvas, 449);
            }
        }
    }

    #[test]
    fn bounces_between_the_ends() {
        let values: Vec<u32> = (0..9).map(|value| bounce(value, 4)).collect();
        assert_eq!(values, [0, 1, 2, 3, 4, 3, 2, 1, 0]);
    }
}

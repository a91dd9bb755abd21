//! One frame being drawn: rectangles, discs, letters and pictures on rows of RGB bytes.
//!
//! Integers only, so that the same picture comes out on every machine; whatever lies outside is cut off.

use super::font;

/// Red, green, blue.
pub(crate) type Colour = [u8; 3];

/// Black.
pub(crate) const BLACK: Colour = [0, 0, 0];
/// White.
pub(crate) const WHITE: Colour = [255, 255, 255];

/// A place for something: its left and top edge, and how far it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// A frame being drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Canvas {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Canvas {
    pub(crate) fn new(width: u32, height: u32) -> Canvas {
        Canvas {
            width,
            height,
            rgb: vec![0; width as usize * height as usize * 3],
        }
    }

    pub(crate) fn width(&self) -> u32 {
        self.width
    }

    pub(crate) fn height(&self) -> u32 {
        self.height
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.rgb
    }

    /// All of it as a picture of the same size.
    pub(crate) fn copy_from(&mut self, rgb: &[u8]) {
        self.rgb.copy_from_slice(rgb);
    }

    /// Each pixel the sum of a value for its column and one for its row; both at most half of full.
    pub(crate) fn gradient(&mut self, columns: &[Colour], rows: &[Colour]) {
        let columns = columns.as_flattened();
        for (line, row) in self.rgb.chunks_exact_mut(self.width as usize * 3).zip(rows) {
            for (pixel, column) in line.chunks_exact_mut(3).zip(columns.chunks_exact(3)) {
                pixel[0] = column[0] + row[0];
                pixel[1] = column[1] + row[1];
                pixel[2] = column[2] + row[2];
            }
        }
    }

    pub(crate) fn fill(&mut self, area: Area, colour: Colour) {
        for line in self.lines(area) {
            for pixel in line.chunks_exact_mut(3) {
                pixel.copy_from_slice(&colour);
            }
        }
    }

    /// A quarter of the light stays, so that letters can be read on anything.
    pub(crate) fn darken(&mut self, area: Area) {
        for line in self.lines(area) {
            for byte in line {
                *byte >>= 2;
            }
        }
    }

    /// Everything moves a quarter of the way towards a colour.
    pub(crate) fn tint(&mut self, colour: Colour) {
        let quarter = colour.map(|byte| byte / 4);
        for pixel in self.rgb.chunks_exact_mut(3) {
            for (byte, add) in pixel.iter_mut().zip(quarter) {
                *byte = *byte - *byte / 4 + add;
            }
        }
    }

    pub(crate) fn border(&mut self, thickness: u32, colour: Colour) {
        let (width, height) = (self.width, self.height);
        let area = |x, y, width, height| Area { x, y, width, height };
        self.fill(area(0, 0, width, thickness), colour);
        self.fill(
            area(0, height.saturating_sub(thickness), width, thickness),
            colour,
        );
        self.fill(area(0, 0, thickness, height), colour);
        self.fill(
            area(width.saturating_sub(thickness), 0, thickness, height),
            colour,
        );
    }

    /// A disc around (`x`, `y`).
    pub(crate) fn disc(&mut self, x: u32, y: u32, radius: u32, colour: Colour) {
        for row in y.saturating_sub(radius)..=y + radius {
            let away = row.abs_diff(y);
            let half = (radius * radius - away * away).isqrt();
            let left = x.saturating_sub(half);
            self.fill(
                Area {
                    x: left,
                    y: row,
                    width: x + half + 1 - left,
                    height: 1,
                },
                colour,
            );
        }
    }

    /// One line of letters, each pixel of them `scale` wide and high.
    pub(crate) fn text(&mut self, x: u32, y: u32, scale: u32, colour: Colour, text: &str) {
        let mut left = x;
        for character in text.chars() {
            if left >= self.width {
                return;
            }
            for (row, bits) in (0u32..).zip(font::glyph(character)) {
                for column in (0..font::ADVANCE - 1).filter(|column| (bits >> (4 - column)) & 1 == 1) {
                    self.fill(
                        Area {
                            x: left + column * scale,
                            y: y + row * scale,
                            width: scale,
                            height: scale,
                        },
                        colour,
                    );
                }
            }
            left += font::ADVANCE * scale;
        }
    }

    /// A picture, row after row of `width` pixels, with its corner at (`x`, `y`).
    pub(crate) fn picture(&mut self, x: u32, y: u32, width: u32, rgb: &[u8]) {
        let height = u32::try_from(rgb.len() / 3).unwrap_or(0) / width.max(1);
        let area = Area { x, y, width, height };
        for (line, source) in self.lines(area).zip(rgb.chunks_exact(width as usize * 3)) {
            let shown = line.len();
            line.copy_from_slice(&source[..shown]);
        }
    }

    /// Mixed with a picture of the same size: `weight` 256 parts of 256 show the picture alone.
    pub(crate) fn blend(&mut self, rgb: &[u8], weight: u32) {
        match weight.min(256) {
            0 => {}
            256 => self.copy_from(rgb),
            weight => {
                // Both weights fit 16 bits, which lets the compiler mix many bytes at once.
                let (new, old) = (weight as u16, 256 - weight as u16);
                for (byte, other) in self.rgb.iter_mut().zip(rgb) {
                    *byte = ((u16::from(*byte) * old + u16::from(*other) * new) >> 8) as u8;
                }
            }
        }
    }

    /// The rows of an area, cut off at the frame's edges.
    fn lines(&mut self, area: Area) -> impl Iterator<Item = &mut [u8]> {
        let (left, right) = (area.x.min(self.width), (area.x + area.width).min(self.width));
        let (top, bottom) = (area.y.min(self.height), (area.y + area.height).min(self.height));
        let bytes = left as usize * 3..right as usize * 3;
        self.rgb
            .chunks_exact_mut(self.width as usize * 3)
            .skip(top as usize)
            .take((bottom - top) as usize)
            .map(move |line| &mut line[bytes.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The red bytes, a line each: `.` 0, `#` 255, `+` between.
    fn shown(canvas: &Canvas) -> String {
        let cell = |pixel: &[u8]| match pixel[0] {
            0 => '.',
            255 => '#',
            _ => '+',
        };
        let rows = canvas.bytes().chunks_exact(canvas.width() as usize * 3);
        rows.map(|row| row.chunks_exact(3).map(cell).collect::<String>() + "\n")
            .collect()
    }

    #[test]
    fn drawings_are_cut_at_the_edges() {
        let check = |draw: fn(&mut Canvas), expected: &str| {
            let mut canvas = Canvas::new(7, 4);
            draw(&mut canvas);
            let expected: String = expected.split('/').map(|row| format!("{row}\n")).collect();
            assert_eq!(shown(&canvas), expected);
        };
        check(
            |c| {
                c.fill(
                    Area {
                        x: 5,
                        y: 3,
                        width: 9,
                        height: 9,
                    },
                    WHITE,
                )
            },
            "......./......./......./.....##",
        );
        check(|c| c.border(1, WHITE), "#######/#.....#/#.....#/#######");
        check(|c| c.disc(1, 1, 2, WHITE), "###..../####.../###..../.#.....");
        check(
            |c| c.text(1, 0, 1, WHITE, "LL"),
            ".#...../.#...../.#...../.#.....",
        );
        check(
            |c| c.picture(5, 2, 3, &[255; 27]),
            "......./......./.....##/.....##",
        );
        check(|c| c.blend(&[255; 84], 128), "+++++++/+++++++/+++++++/+++++++");
        check(|c| c.blend(&[255; 84], 256), "#######/#######/#######/#######");
    }
}

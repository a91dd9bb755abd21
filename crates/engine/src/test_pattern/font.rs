//! Letters as pixels: printable ASCII, 5 × 8, drawn by hand in `font.txt`, and a box for everything else.

use std::sync::LazyLock;

/// Columns of a letter, its right gap included.
pub(crate) const ADVANCE: u32 = 6;
/// Rows of a letter, the one for descenders included.
pub(crate) const HEIGHT: u32 = 8;

/// The rows of a letter from the top; bit 4 is the left column.
pub(crate) type Glyph = [u8; HEIGHT as usize];

/// The letter for `character`.
pub(crate) fn glyph(character: char) -> &'static Glyph {
    let index = match character {
        ' '..='~' => character as usize - FIRST,
        _ => BOX,
    };
    &GLYPHS[index]
}

const FIRST: usize = ' ' as usize;
const BOX: usize = 95;
const PER_BAND: usize = 16;

static GLYPHS: LazyLock<[Glyph; 96]> = LazyLock::new(|| read(include_str!("font.txt")));

/// The drawing has six bands of sixteen letters, in the order of their codes, a blank line between two bands.
fn read(drawing: &str) -> [Glyph; 96] {
    let mut glyphs = [[0; HEIGHT as usize]; 96];
    let rows = drawing.lines().filter(|line| !line.is_empty()).enumerate();
    for (line_number, line) in rows {
        let (band, row) = (line_number / HEIGHT as usize, line_number % HEIGHT as usize);
        for (column, cells) in line.split(' ').enumerate() {
            let bits = cells
                .bytes()
                .fold(0, |bits, cell| (bits << 1) | u8::from(cell == b'#'));
            glyphs[band * PER_BAND + column][row] = bits;
        }
    }
    glyphs
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_letter_has_its_own_shape() {
        let shapes: HashSet<&Glyph> = (' '..='~').map(glyph).chain([glyph('é')]).collect();
        assert_eq!(shapes.len(), 96);
        assert_eq!(glyph(' '), &[0; 8]);
        assert_eq!(glyph('L')[0], 0b10000);
        assert_eq!(glyph('L')[6], 0b11111);
        assert_eq!(glyph('漢'), glyph('\n'));
    }

    #[test]
    fn letters_stay_within_their_cell() {
        let drawing = include_str!("font.txt");
        for line in drawing.lines().filter(|line| !line.is_empty()) {
            assert_eq!(line.len(), 16 * 6 - 1, "{line}");
        }
    }
}

//! Prompts as the models were trained to see them: repaired, unescaped, white space collapsed.
//!
//! Not cosmetic: full-width characters become ASCII, ligatures split, quotes straight, and token ids depend on it. Reference:
//! diffusers `pipeline_wan.py`, `prompt_clean`, which is ftfy's `fix_text` followed by `html.unescape` twice. Of ftfy's repairs of
//! text in a wrong code page, only the common ones are built (see [`super::code_page`]).

use unicode_normalization::UnicodeNormalization;

use super::code_page;
use super::entities;

/// The text that is tokenized for `prompt`.
pub fn clean(prompt: &str) -> String {
    let text = entities::unescape(&entities::unescape(&repair(prompt)));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Line by line, each until nothing changes. From the first line on that holds a `<`, references may be meant as they stand.
fn repair(text: &str) -> String {
    let mut is_markup = false;
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        is_markup |= line.contains('<');
        let mut line = line.to_owned();
        loop {
            let next = repair_once(&line, is_markup);
            if next == line {
                break;
            }
            line = next;
        }
        out.push_str(&line);
    }
    out
}

fn repair_once(line: &str, is_markup: bool) -> String {
    let mut text = if is_markup {
        line.to_owned()
    } else {
        entities::unescape_careful(line)
    };
    while let Some(meant) = code_page::repaired(&text) {
        text = meant;
    }
    let text: String = text.chars().map(windows_control).collect();
    let text: String = text.chars().flat_map(|c| Folded::of(c).into_chars()).collect();
    let text = text
        .replace("\r\n", "\n")
        .replace(['\r', '\u{2028}', '\u{2029}', '\u{85}'], "\n");
    without_terminal_escapes(&text)
        .chars()
        .filter(|c| !is_control(*c))
        .nfc()
        .collect()
}

/// Control characters of the upper half mean what they do in Windows-1252.
fn windows_control(c: char) -> char {
    match u32::from(c) {
        point @ 0x80..=0x9f => code_page::windows_1252(point as u8),
        _ => c,
    }
}

/// A character, or the plainer ones that it stands for.
enum Folded {
    One(char),
    Text(&'static str),
    /// Half- and full-width forms: their compatibility decomposition.
    Width(char),
}

impl Folded {
    fn of(c: char) -> Self {
        if let Some((_, text)) = LIGATURES.iter().find(|(ligature, _)| *ligature == c) {
            return Folded::Text(text);
        }
        match c {
            '\u{2bc}' | '\u{2018}'..='\u{201b}' => Folded::One('\''),
            '\u{201c}'..='\u{201f}' => Folded::One('"'),
            '\u{3000}' => Folded::One(' '),
            '\u{ff01}'..='\u{ffef}' => Folded::Width(c),
            _ => Folded::One(c),
        }
    }

    fn into_chars(self) -> Vec<char> {
        match self {
            Folded::One(c) => vec![c],
            Folded::Text(text) => text.chars().collect(),
            Folded::Width(c) => std::iter::once(c).nfkc().collect(),
        }
    }
}

/// Latin ligatures and digraphs that got into text by copying.
const LIGATURES: [(char, &str); 22] = [
    ('Ĳ', "IJ"),
    ('ĳ', "ij"),
    ('ŉ', "ʼn"),
    ('Ǳ', "DZ"),
    ('ǲ', "Dz"),
    ('ǳ', "dz"),
    ('Ǆ', "DŽ"),
    ('ǅ', "Dž"),
    ('ǆ', "dž"),
    ('Ǉ', "LJ"),
    ('ǈ', "Lj"),
    ('ǉ', "lj"),
    ('Ǌ', "NJ"),
    ('ǋ', "Nj"),
    ('ǌ', "nj"),
    ('ﬀ', "ff"),
    ('ﬁ', "fi"),
    ('ﬂ', "fl"),
    ('ﬃ', "ffi"),
    ('ﬄ', "ffl"),
    ('ﬅ', "ſt"),
    ('ﬆ', "st"),
];

/// Colours and cursor movements: `ESC [`, numbers, a letter.
fn without_terminal_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("\u{1b}[") {
        out.push_str(&rest[..start]);
        let arguments = rest[start + 2..].trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match arguments.strip_prefix(|c: char| c.is_ascii_alphabetic()) {
            Some(after) => rest = after,
            None => {
                out.push_str("\u{1b}[");
                rest = &rest[start + 2..];
            }
        }
    }
    out + rest
}

/// Characters without a place in text; those that make white space or shape glyphs stay.
fn is_control(c: char) -> bool {
    matches!(
        u32::from(c),
        0x00..=0x08 | 0x0b | 0x0e..=0x1f | 0x7f | 0x206a..=0x206f | 0xfeff | 0xfff9..=0xfffc
    )
}

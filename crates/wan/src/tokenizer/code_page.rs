//! The code pages behind most spoiled text, Windows-1252 above all: what their upper halves mean, and text that was read through
//! them by mistake.

/// Bytes 0x80 to 0x9f; the five that mean nothing stay the control characters they are in Latin-1.
const UPPER: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Bytes 0x80 to 0xff of Mac OS Roman.
const MAC_ROMAN: [char; 128] = [
    'Ä', 'Å', 'Ç', 'É', 'Ñ', 'Ö', 'Ü', 'á', 'à', 'â', 'ä', 'ã', 'å', 'ç', 'é', 'è', 'ê', 'ë', 'í', 'ì', 'î',
    'ï', 'ñ', 'ó', 'ò', 'ô', 'ö', 'õ', 'ú', 'ù', 'û', 'ü', '†', '°', '¢', '£', '§', '•', '¶', 'ß', '®', '©',
    '™', '´', '¨', '≠', 'Æ', 'Ø', '∞', '±', '≤', '≥', '¥', 'µ', '∂', '∑', '∏', 'π', '∫', 'ª', 'º', 'Ω', 'æ',
    'ø', '¿', '¡', '¬', '√', 'ƒ', '≈', '∆', '«', '»', '…', '\u{a0}', 'À', 'Ã', 'Õ', 'Œ', 'œ', '–', '—', '“',
    '”', '‘', '’', '÷', '◊', 'ÿ', 'Ÿ', '⁄', '€', '‹', '›', 'ﬁ', 'ﬂ', '‡', '·', '‚', '„', '‰', 'Â', 'Ê', 'Á',
    'Ë', 'È', 'Í', 'Î', 'Ï', 'Ì', 'Ó', 'Ô', '\u{f8ff}', 'Ò', 'Ú', 'Û', 'Ù', 'ı', 'ˆ', '˜', '¯', '˘', '˙',
    '˚', '¸', '˝', '˛', 'ˇ',
];

/// The character of a byte.
pub(super) fn windows_1252(byte: u8) -> char {
    match byte {
        0x80..=0x9f => UPPER[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

/// Text whose UTF-8 bytes were read as Latin-1, Windows-1252 or Mac OS Roman, read as it was meant; None where it was not.
///
/// Text that survives the round trip was read wrongly: nobody writes accented capitals in exactly the order that makes them valid
/// UTF-8. Other code pages, and text spoiled only in part, are left as they are. So is, as by the reference, text that is
/// suspicious for nothing but letters that faces are made of (`Õ_Ö`).
pub(super) fn repaired(text: &str) -> Option<String> {
    let is_suspicious = |c: char| !c.is_ascii() && !is_innocent(c);
    if !text.chars().any(is_suspicious) {
        return None;
    }
    let through = |byte_of: fn(char) -> Option<u8>| {
        let bytes: Vec<u8> = text.chars().map(byte_of).collect::<Option<_>>()?;
        String::from_utf8(restored_spaces(bytes)).ok()
    };
    through(latin_1_byte)
        .or_else(|| through(windows_1252_byte))
        .or_else(|| through(mac_roman_byte))
}

/// The first halves of Armenian and Hebrew letters, and the second halves that come with them.
fn is_innocent(c: char) -> bool {
    matches!(c, 'Ò'..='Ö' | 'Ù'..='Ü') || windows_1252_byte(c).is_some_and(|byte| byte < 0xc0)
}

fn mac_roman_byte(c: char) -> Option<u8> {
    match MAC_ROMAN.iter().position(|upper| *upper == c) {
        Some(place) => Some(0x80 + place as u8),
        None => u8::try_from(u32::from(c)).ok().filter(u8::is_ascii),
    }
}

fn latin_1_byte(c: char) -> Option<u8> {
    u8::try_from(u32::from(c)).ok()
}

fn windows_1252_byte(c: char) -> Option<u8> {
    match UPPER.iter().position(|upper| *upper == c) {
        Some(place) => Some(0x80 + place as u8),
        None => latin_1_byte(c).filter(|byte| !(0x80..=0x9f).contains(byte)),
    }
}

/// A no-break space is the byte most often lost on the way: it became a plain one. Where a plain space stands in the place of a
/// continuation byte, it is put back; after a lone `à` the plain one stays too, for that is a word of its own.
fn restored_spaces(mut bytes: Vec<u8>) -> Vec<u8> {
    const NO_BREAK_SPACE: u8 = 0xa0;
    let mut at = 0;
    while at < bytes.len() {
        let continuations = match bytes[at] {
            0xc2 | 0xc3 | 0xc5 | 0xce | 0xd0 | 0xd9 => 1,
            0xe0..=0xe3 => 2,
            0xf0 => 3,
            _ => 0,
        };
        let tail = bytes.get(at + 1..at + 1 + continuations).unwrap_or_default();
        let spaces = tail.iter().filter(|&&byte| byte == b' ').count();
        let fits = tail
            .iter()
            .all(|&byte| byte == b' ' || (0x80..=0xbf).contains(&byte));
        if spaces == 1 && fits {
            let is_word = bytes[at] == 0xc3 && bytes.get(at + 2) != Some(&b' ');
            let space = at + 1 + tail.iter().position(|&byte| byte == b' ').unwrap_or(0);
            bytes[space] = NO_BREAK_SPACE;
            if is_word {
                bytes.insert(space + 1, b' ');
            }
        }
        at += 1;
    }
    bytes
}

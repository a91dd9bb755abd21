//! HTML character references in prompts, in two strengths: careful, for text that only may have been escaped, and whole, for what is
//! certainly left of an escape.
//!
//! Reference: Python `html.unescape`; ftfy `unescape_html`. The names (`entities.tsv`: name, code points) are those of the HTML
//! standard, a few of them without their semicolon.

use std::collections::HashMap;
use std::sync::LazyLock;

static NAMES: LazyLock<HashMap<&'static str, String>> = LazyLock::new(|| {
    let line = |line: &'static str| {
        let (name, points) = line.split_once('\t')?;
        let characters = points
            .split(' ')
            .filter_map(|point| char::from_u32(u32::from_str_radix(point, 16).ok()?));
        Some((name, characters.collect()))
    };
    include_str!("entities.tsv").lines().filter_map(line).collect()
});

/// Names of at most this many characters are looked for.
const NAME_MAX: usize = 32;

/// Every reference that a browser would resolve, also those that lack their semicolon.
pub(super) fn unescape(text: &str) -> String {
    replace(text, |rest| {
        let after = &rest[1..];
        if let Some(number) = after.strip_prefix('#') {
            return numeric(number).map(|(replacement, used)| (replacement, used + 2));
        }
        named(after).map(|(replacement, used)| (replacement, used + 1))
    })
}

/// Only references that end in a semicolon, and those in capitals that stand for a capital letter.
pub(super) fn unescape_careful(text: &str) -> String {
    const NAME_MAX_CAREFUL: usize = 24;
    replace(text, |rest| {
        let end = rest.find(';')?;
        let name = rest[1..end].strip_prefix('#').unwrap_or(&rest[1..end]);
        if name.is_empty()
            || name.len() > NAME_MAX_CAREFUL
            || !name.chars().all(|c| c.is_ascii_alphanumeric())
        {
            return None;
        }
        let whole = &rest[..=end];
        if rest[1..].starts_with('#') {
            let resolved = unescape(whole);
            return (!resolved.contains(';')).then_some((resolved, whole.len()));
        }
        let with_semicolon = &rest[1..=end];
        if let Some(characters) = NAMES.get(with_semicolon) {
            return Some((characters.clone(), whole.len()));
        }
        let lower = NAMES.get(with_semicolon.to_ascii_lowercase().as_str())?;
        let is_capital = with_semicolon == with_semicolon.to_ascii_uppercase() && unescape(whole) == whole;
        is_capital.then(|| (lower.to_uppercase(), whole.len()))
    })
}

/// Offers the text from every `&` on to `resolve`, which answers with a replacement and how many bytes it stands for.
fn replace(text: &str, resolve: impl Fn(&str) -> Option<(String, usize)>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        match resolve(rest) {
            Some((replacement, used)) => {
                out.push_str(&replacement);
                rest = &rest[used..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

/// What follows `&#`.
fn numeric(text: &str) -> Option<(String, usize)> {
    let (digits, radix, marker) = match text.strip_prefix(['x', 'X']) {
        Some(hexadecimal) => (hexadecimal, 16, 1),
        None => (text, 10, 0),
    };
    let count = digits
        .bytes()
        .take_while(|byte| char::from(*byte).is_digit(radix))
        .count();
    if count == 0 {
        return None;
    }
    let used = marker + count + usize::from(digits[count..].starts_with(';'));
    let point = u32::from_str_radix(&digits[..count], radix).unwrap_or(u32::MAX);
    Some((character(point), used))
}

/// A code point as a browser reads it: old code pages' places mean what they meant there, and what is no character is nothing.
fn character(point: u32) -> String {
    const REPLACEMENT: char = '\u{fffd}';
    let is_invalid = matches!(point, 0x1..=0x8 | 0xb | 0xe..=0x1f | 0x7f..=0x9f | 0xfdd0..=0xfdef)
        || (point & 0xfffe == 0xfffe && point <= 0x10_ffff);
    match point {
        0 => REPLACEMENT.into(),
        0x80..=0x9f => super::code_page::windows_1252(point as u8).into(),
        _ if is_invalid => String::new(),
        _ => char::from_u32(point).unwrap_or(REPLACEMENT).into(),
    }
}

/// What follows `&`: the longest name that is known; without its semicolon, only if it is known without.
fn named(text: &str) -> Option<(String, usize)> {
    let is_end = |c: char| matches!(c, '\t' | '\n' | '\x0c' | ' ' | '<' | '&' | '#' | ';');
    let mut ends: Vec<usize> = text
        .char_indices()
        .take_while(|(_, c)| !is_end(*c))
        .take(NAME_MAX)
        .map(|(at, c)| at + c.len_utf8())
        .collect();
    let last = *ends.last()?;
    if text[last..].starts_with(';') {
        ends.push(last + 1);
    }
    // Prefixes of a single character are never names.
    ends.into_iter()
        .skip(1)
        .rev()
        .find_map(|end| Some((NAMES.get(&text[..end])?.clone(), end)))
}

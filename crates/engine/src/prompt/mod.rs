//! What becomes of a prompt before a model reads it. [`shots`]: one clip in several shots · [`expand`]: more said than its
//! author did.

pub mod expand;
pub mod shots;

/// The prompt, with a full stop where its last sentence has none.
pub(crate) fn ended(prompt: &str) -> String {
    let prompt = prompt.trim_end();
    match prompt.chars().next_back() {
        Some('.' | '!' | '?' | '…' | '。' | '！' | '？' | ',' | ';' | ':' | '，' | '；' | '：') => {
            prompt.to_owned()
        }
        Some(last) if is_han(last) => format!("{prompt}。"),
        Some(_) | None => format!("{prompt}."),
    }
}

/// Whether it is a Chinese character.
fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_once() {
        let check = |prompt: &str, expected: &str| assert_eq!(ended(prompt), expected);
        check("A cat sleeps ", "A cat sleeps.");
        check("A cat sleeps!", "A cat sleeps!");
        check("一只猫在睡觉", "一只猫在睡觉。");
        check("一只猫在睡觉。", "一只猫在睡觉。");
        check("She says \"hello\"", "She says \"hello\".");
    }
}

//! Whether a prompt stays within a small model's world.

/// The words of `prompt` that are not among `known`, in their order, each once, at most five. Nothing is unknown to a model without
/// a list of words.
pub(super) fn unknown<'a>(prompt: &'a str, known: &[String]) -> Vec<&'a str> {
    const TOLD: usize = 5;
    let mut unknown: Vec<&str> = Vec::new();
    if known.is_empty() {
        return unknown;
    }
    let words = prompt.split(|c: char| !c.is_alphanumeric() && c != '\'');
    for word in words.filter(|word| word.chars().any(char::is_alphabetic)) {
        let lower = word.to_lowercase();
        if !known.contains(&lower) && !unknown.iter().any(|told| told.eq_ignore_ascii_case(word)) {
            unknown.push(word);
        }
    }
    unknown.truncate(TOLD);
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_outside_are_told_once() {
        let known: Vec<String> = ["a", "red", "ball", "moves"].map(Into::into).into();
        let check = |prompt, expected: &[&str]| assert_eq!(unknown(prompt, &known), expected, "{prompt}");
        check("A red ball moves.", &[]);
        check("A dragon moves, the Dragon of 1789!", &["dragon", "the", "of"]);
        check("球", &["球"]);
        check("", &[]);
        assert!(unknown("anything", &[]).is_empty());
    }
}

//! What must not be seen: keys, and addresses that are keys themselves.

use std::fmt;

/// A key. It is shown nowhere but to its server.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A key as it was given.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// The key itself, for a request's header.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// What a server has said, fit for our log: on one line and short, without this key, and without the query of any
    /// address, where signatures stand.
    pub(crate) fn redact(&self, said: &str) -> String {
        const CHARS_MAX: usize = 300;
        let mut text = said.replace(|c: char| c.is_control(), " ");
        if !self.0.is_empty() {
            text = text.replace(&self.0, "[key]");
        }
        let words: Vec<&str> = text
            .split(' ')
            .map(|word| match (word.contains("://"), word.split_once('?')) {
                (true, Some((address, _))) => address,
                (true, None) | (false, _) => word,
            })
            .collect();
        let short: String = words.join(" ").chars().take(CHARS_MAX).collect();
        short
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "no key" } else { "[key]" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_signatures_are_not_seen() {
        let key = Secret::new("sk-123".to_owned());
        let check = |said: &str, expected: &str| assert_eq!(key.redact(said), expected);
        check("all is well?", "all is well?");
        check("bad key \"sk-123\"\nsk-123", "bad key \"[key]\" [key]");
        check(
            "cannot read https://host/files/a.mp4?exp=1&sig=kP0 now",
            "cannot read https://host/files/a.mp4 now",
        );
        assert_eq!(key.redact(&"x".repeat(1000)).len(), 300);
        assert_eq!(format!("{key:?}"), "[key]");
        assert_eq!(Secret::new(String::new()).redact("anything"), "anything");
    }
}

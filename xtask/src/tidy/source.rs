//! A Rust file taken apart into code, comments and string literals, line by line.
//!
//! Rules look for words; a word in a comment or a string is not the word in code. This is a lexer and no
//! parser: it knows where literals and comments end, and which blocks are compiled for tests only.

use std::ops::RangeInclusive;

/// One Rust file. Lines count from 1.
pub(super) struct Source {
    /// The file with comments and the insides of literals blanked out; its lines are the file's.
    pub(super) code: String,
    /// Only the comments, on their own lines.
    pub(super) comments: String,
    /// The insides of string literals with the lines on which they start.
    pub(super) literals: Vec<(usize, String)>,
    /// Blocks under `#[cfg(test)]`.
    test_lines: Vec<RangeInclusive<usize>>,
    /// Names of modules that are declared under `#[cfg(test)]` and lie in files of their own.
    pub(super) test_modules: Vec<String>,
}

impl Source {
    pub(super) fn parse(text: &str) -> Source {
        let mut lexer = Lexer::new(text);
        while lexer.step() {}
        let Lexer {
            code,
            comments,
            literals,
            ..
        } = lexer;
        let mut source = Source {
            code,
            comments,
            literals,
            test_lines: Vec::new(),
            test_modules: Vec::new(),
        };
        source.find_tests();
        source
    }

    /// Whether this line is compiled for tests only.
    pub(super) fn is_test(&self, line: usize) -> bool {
        self.test_lines.iter().any(|lines| lines.contains(&line))
    }

    /// The lines on which `word` stands in code by itself, not as a part of a longer name.
    pub(super) fn lines_with(&self, word: &str) -> Vec<usize> {
        let lines = self.code.lines().enumerate();
        lines
            .filter(|(_, line)| contains_word(line, word))
            .map(|(index, _)| index + 1)
            .collect()
    }

    /// Follows each `#[cfg(test)]` to the end of the item that it stands on.
    fn find_tests(&mut self) {
        for (start, _) in self.code.match_indices("#[cfg(") {
            let attribute = self.code[start..].split(']').next().unwrap_or_default();
            if !contains_word(attribute, "test") || contains_word(attribute, "not") {
                continue;
            }
            let item_start = start + attribute.len() + 1;
            let item = &self.code[item_start..];
            let head_length = item.find(['{', ';']).unwrap_or(item.len());
            let length = match item[head_length..].chars().next() {
                Some('{') => head_length + block_length(&item[head_length..]),
                _ => {
                    let name = item[..head_length]
                        .split_whitespace()
                        .skip_while(|word| *word != "mod")
                        .nth(1);
                    self.test_modules.extend(name.map(str::to_owned));
                    head_length
                }
            };
            self.test_lines
                .push(line_at(&self.code, start)..=line_at(&self.code, item_start + length));
        }
    }
}

/// Whether `word` occurs with no letter, digit or underscore on either side.
pub(super) fn contains_word(text: &str, word: &str) -> bool {
    let part_of_name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let open = |edge: Option<char>| part_of_name(edge);
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        !(open(word.chars().next()) && part_of_name(before)
            || open(word.chars().next_back()) && part_of_name(after))
    })
}

/// The line that holds this byte.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

/// How many bytes a block takes that starts with an opening brace.
fn block_length(text: &str) -> usize {
    let mut depth = 0;
    for (offset, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return offset;
        }
    }
    text.len()
}

struct Lexer<'a> {
    rest: &'a str,
    before: Option<char>,
    line: usize,
    code: String,
    comments: String,
    literals: Vec<(usize, String)>,
}

#[derive(Clone, Copy)]
enum Kind {
    Code,
    Comment,
    Literal,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str) -> Self {
        let (code, comments) = (String::with_capacity(text.len()), String::new());
        Lexer {
            rest: text,
            before: None,
            line: 1,
            code,
            comments,
            literals: Vec::new(),
        }
    }

    /// Takes the next comment, literal or single character. False at the end.
    fn step(&mut self) -> bool {
        let rest = self.rest;
        if rest.is_empty() {
            return false;
        }
        let in_name = self.before.is_some_and(|c| c.is_alphanumeric() || c == '_');
        if rest.starts_with("//") {
            self.take(rest.find('\n').unwrap_or(rest.len()), Kind::Comment);
        } else if rest.starts_with("/*") {
            self.take(block_comment_length(rest), Kind::Comment);
        } else if let Some(hashes) = raw_string_hashes(rest).filter(|_| !in_name) {
            let opening = rest.find('"').expect("a raw string opens with a quote") + 1;
            let closing = format!("\"{}", "#".repeat(hashes));
            self.literal(opening, rest[opening..].find(&closing), closing.len());
        } else if let Some(inside) = rest.strip_prefix('"') {
            self.literal(1, end_of_string(inside), 1);
        } else if let Some(length) = char_literal_length(rest) {
            self.take(1, Kind::Code);
            self.take(length - 2, Kind::Literal);
            self.take(1, Kind::Code);
        } else {
            let length = rest.chars().next().map_or(0, char::len_utf8);
            self.take(length, Kind::Code);
        }
        true
    }

    /// A string: its opening and closing marks are code, what lies between is not.
    fn literal(&mut self, opening: usize, length: Option<usize>, closing: usize) {
        let length = length.unwrap_or(self.rest.len() - opening);
        self.take(opening, Kind::Code);
        self.literals.push((self.line, self.rest[..length].to_owned()));
        self.take(length, Kind::Literal);
        self.take(closing.min(self.rest.len()), Kind::Code);
    }

    fn take(&mut self, length: usize, kind: Kind) {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        for c in taken.chars() {
            self.line += usize::from(c == '\n');
            let blank = if c == '\n' { '\n' } else { ' ' };
            self.code.push(if matches!(kind, Kind::Code) { c } else { blank });
            self.comments
                .push(if matches!(kind, Kind::Comment) { c } else { blank });
        }
        self.before = taken.chars().next_back().or(self.before);
    }
}

/// Rust's block comments nest.
fn block_comment_length(text: &str) -> usize {
    let mut depth = 0;
    let mut offset = 0;
    while offset < text.len() {
        let here = &text.as_bytes()[offset..];
        if here.starts_with(b"/*") {
            depth += 1;
            offset += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            offset += 2;
        } else {
            offset += 1;
        }
        if depth == 0 {
            return offset;
        }
    }
    text.len()
}

/// For `r"`, `br#"`, `cr##"` and their like: how many hashes there are.
fn raw_string_hashes(text: &str) -> Option<usize> {
    let after = text
        .strip_prefix("br")
        .or_else(|| text.strip_prefix("cr"))
        .or_else(|| text.strip_prefix('r'))?;
    let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
    after[hashes..].starts_with('"').then_some(hashes)
}

/// Where a string with escapes ends.
fn end_of_string(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(offset, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(offset)
    })
}

/// `'x'` and `'\n'`, but not the lifetime `'a`.
fn char_literal_length(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let first = inside.chars().next()?;
    if first == '\\' {
        let after_escaped = 1 + inside[1..].chars().next()?.len_utf8();
        return Some(1 + after_escaped + inside[after_escaped..].find('\'')? + 1);
    }
    inside[first.len_utf8()..]
        .starts_with('\'')
        .then_some(first.len_utf8() + 2)
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn code_comments_and_literals_are_told_apart() {
        let check = |text: &str, code: &str, comments: &str, literals: &[(usize, &str)]| {
            let source = Source::parse(text);
            let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(squeezed(&source.code), code, "{text}");
            assert_eq!(squeezed(&source.comments), comments, "{text}");
            let found: Vec<(usize, &str)> = source.literals.iter().map(|(l, s)| (*l, s.as_str())).collect();
            assert_eq!(found, literals, "{text}");
            assert_eq!(source.code.lines().count(), text.lines().count(), "{text}");
        };
        check("let a = 1; // unsafe", "let a = 1;", "// unsafe", &[]);
        check("a /* b /* c */ d */ e", "a e", "/* b /* c */ d */", &[]);
        check(
            "f(\"// no\\\" comment\")",
            "f(\" \")",
            "",
            &[(1, "// no\\\" comment")],
        );
        check(
            "\n\nf(r#\"a \"b\" \nc\"#, 2)",
            "f(r#\" \"#, 2)",
            "",
            &[(3, "a \"b\" \nc")],
        );
        check(
            "f(b\"x\", br\"y\", c\"z\")",
            "f(b\" \", br\" \", c\" \")",
            "",
            &[(1, "x"), (1, "y"), (1, "z")],
        );
        check(
            "let q = '\"'; let s = \"t\";",
            "let q = ' '; let s = \" \";",
            "",
            &[(1, "t")],
        );
        check("let q = '\\''; // c", "let q = ' ';", "// c", &[]);
        check("let q = '\\u{1F600}' // c", "let q = ' '", "// c", &[]);
        check(
            "fn f<'a>(x: &'a str) {} // c",
            "fn f<'a>(x: &'a str) {}",
            "// c",
            &[],
        );
        check("for r in \"x\" {}", "for r in \" \" {}", "", &[(1, "x")]);
        check("let schön = 'ö'; // ü", "let schön = ' ';", "// ü", &[]);
        check("\"open", "\"", "", &[(1, "open")]);
    }

    #[test]
    fn test_blocks_are_known() {
        let check = |text: &str, lines: &[usize], modules: &[&str]| {
            let source = Source::parse(text);
            let found: Vec<usize> = (1..=text.lines().count())
                .filter(|line| source.is_test(*line))
                .collect();
            assert_eq!(found, lines, "{text}");
            assert_eq!(source.test_modules, modules, "{text}");
        };
        check(
            "a\n#[cfg(test)]\nmod tests {\n  fn b() { \"}\" }\n}\nc",
            &[2, 3, 4, 5],
            &[],
        );
        check("#[cfg(test)]\nmod samples;\nmod other;", &[1, 2], &["samples"]);
        check("#[cfg(all(test, unix))]\nuse a;\nb", &[1, 2], &[]);
        check("#[cfg(not(test))]\nuse a;", &[], &[]);
        check("#[cfg(unix)]\nmod a {}", &[], &[]);
        check("// #[cfg(test)]\nmod a {}", &[], &[]);
    }
}

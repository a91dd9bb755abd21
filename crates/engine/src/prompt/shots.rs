//! A prompt as shots: as its author has written them down, or sentence by sentence.
//!
//! Written down, a shot is `Shot 1 [0-3 seconds] …`; the times may be missing, and `s` or `sec` will do. What stands before
//! the first shot holds for all of them.

/// One shot of a clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shot {
    /// What it shows.
    pub prompt: String,
    /// How long, in milliseconds.
    pub duration_ms: u64,
}

/// No shot that is made from a sentence is shorter: less is a flicker.
const SHORTEST_MS: u64 = 2_000;

/// Cuts a prompt into the shots of a clip of this length; together they are as long as the clip. One shot where there is
/// nothing to cut.
pub fn cut(prompt: &str, duration_ms: u64) -> Vec<Shot> {
    written(prompt, duration_ms).unwrap_or_else(|| {
        let most = usize::try_from(duration_ms / SHORTEST_MS).unwrap_or(usize::MAX);
        let groups = grouped(sentences(prompt), most.max(1));
        evenly(groups, duration_ms)
    })
}

/// Whether the author has written shots down.
pub fn are_written(prompt: &str) -> bool {
    starts_of_shots(prompt).len() > 1
}

/// From when to when each shot is written down to last, in milliseconds, where that is said; empty where none is written down.
pub fn written_times(prompt: &str) -> Vec<Option<(u64, u64)>> {
    starts_of_shots(prompt)
        .iter()
        .map(|start| start.times_ms)
        .collect()
}

/// Shots as one prompt, for a model that makes them all at once; whole seconds, as such models are told them.
pub fn write(prompt: &str, duration_ms: u64) -> String {
    if are_written(prompt) {
        return prompt.to_owned();
    }
    let shots = cut(prompt, duration_ms);
    if shots.len() < 2 {
        return prompt.to_owned();
    }
    let mut from_ms = 0;
    let mut texts = Vec::with_capacity(shots.len());
    for (index, Shot { prompt, duration_ms }) in shots.iter().enumerate() {
        let to_ms = from_ms + duration_ms;
        let seconds = |ms: u64| (ms + 500) / 1000;
        texts.push(format!(
            "Shot {} [{}-{} seconds] {prompt}",
            index + 1,
            seconds(from_ms),
            seconds(to_ms)
        ));
        from_ms = to_ms;
    }
    texts.join(" ")
}

/// Shots that the author has written down; `None` where there are none, or only one.
fn written(prompt: &str, duration_ms: u64) -> Option<Vec<Shot>> {
    let starts = starts_of_shots(prompt);
    if starts.len() < 2 {
        return None;
    }
    let common = prompt[..starts[0].at].trim();
    let ends = starts.iter().skip(1).map(|start| start.at).chain([prompt.len()]);
    let texts: Vec<String> = starts
        .iter()
        .zip(ends)
        .map(|(start, end)| {
            let text = prompt[start.text..end].trim();
            if common.is_empty() {
                text.to_owned()
            } else {
                format!("{common} {text}")
            }
        })
        .collect();
    let times: Option<Vec<(u64, u64)>> = starts.iter().map(|start| start.times_ms).collect();
    let follow = |times: &Vec<(u64, u64)>| {
        let joined = times.windows(2).all(|pair| pair[0].1 == pair[1].0);
        joined && times[0].0 == 0 && times.iter().all(|(from, to)| from < to)
    };
    let Some(times) = times.filter(follow) else {
        return Some(evenly(texts, duration_ms));
    };
    // Times that mean another length are stretched to this one: the cuts stay where they were in proportion.
    let whole = times.last().map_or(1, |(_, to)| *to);
    let scaled = |ms: u64| ms * duration_ms / whole;
    let shots = texts.into_iter().zip(times);
    Some(
        shots
            .map(|(prompt, (from, to))| Shot {
                prompt,
                duration_ms: scaled(to) - scaled(from),
            })
            .collect(),
    )
}

/// Where a shot is written down.
struct Start {
    /// Where its first word stands.
    at: usize,
    /// Where what it shows begins.
    text: usize,
    /// From when to when, where that is said.
    times_ms: Option<(u64, u64)>,
}

fn starts_of_shots(prompt: &str) -> Vec<Start> {
    let lower = prompt.to_ascii_lowercase();
    let mut starts = Vec::new();
    for (at, word) in lower.match_indices("shot ") {
        let begins = lower[..at]
            .chars()
            .next_back()
            .is_none_or(|c| !c.is_alphanumeric());
        let after = at + word.len();
        let digits = lower[after..].chars().take_while(char::is_ascii_digit).count();
        // Numbered in order: a "shot 3" in the middle of a sentence is none.
        if !begins || lower[after..after + digits].parse() != Ok(starts.len() + 1) {
            continue;
        }
        let mut text = after + digits;
        let times_ms = bracket(&lower[text..]).map(|(length, times)| {
            text += length;
            times
        });
        let rest = &lower[text..];
        let punctuation = rest.len() - rest.trim_start_matches([' ', ':', '.', '-', '–', ',']).len();
        // "Shot 1 of two" is a sentence about shots unless something sets the number apart.
        if times_ms.is_none() && !rest.starts_with([':', '.', '-', '–', ',']) {
            continue;
        }
        starts.push(Start {
            at,
            text: text + punctuation,
            times_ms,
        });
    }
    starts
}

/// `[0-3 seconds]` at the beginning of a text: how long it is, and the times in milliseconds.
fn bracket(text: &str) -> Option<(usize, (u64, u64))> {
    let open = text.len() - text.trim_start().len();
    let inner = text[open..].strip_prefix('[')?;
    let close = inner.find(']')?;
    let times = inner[..close].trim();
    let times = times
        .strip_suffix("seconds")
        .or_else(|| times.strip_suffix("sec"))
        .or_else(|| times.strip_suffix('s'))
        .unwrap_or(times);
    let (from, to) = times.split_once(['-', '–'])?;
    let ms = |seconds: &str| -> Option<u64> {
        let seconds: f64 = seconds.trim().trim_end_matches('s').parse().ok()?;
        (0.0..=60.0)
            .contains(&seconds)
            .then_some((seconds * 1000.0) as u64)
    };
    Some((open + close + 2, (ms(from)?, ms(to)?)))
}

/// The sentences of a text, with their full stops.
fn sentences(text: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut sentence = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        sentence.push(character);
        let ends = match character {
            '.' | '!' | '?' => characters.peek().is_none_or(|next| next.is_whitespace()),
            '。' | '！' | '？' | '\n' => true,
            _ => false,
        };
        if ends {
            sentences.push(std::mem::take(&mut sentence));
        }
    }
    sentences.push(sentence);
    sentences
        .iter()
        .map(|sentence| sentence.trim().to_owned())
        .filter(|sentence| sentence.chars().any(char::is_alphanumeric))
        .collect()
}

/// At most `most` groups of neighbours, as equal as can be.
fn grouped(sentences: Vec<String>, most: usize) -> Vec<String> {
    let count = sentences.len().min(most);
    if count == 0 {
        return Vec::new();
    }
    let bound = |index: usize| index * sentences.len() / count;
    (0..count)
        .map(|index| sentences[bound(index)..bound(index + 1)].join(" "))
        .collect()
}

fn evenly(prompts: Vec<String>, duration_ms: u64) -> Vec<Shot> {
    let count = prompts.len().max(1) as u64;
    // Cuts at whole seconds where shots are longer than that: models are told seconds.
    let unit = if duration_ms / count >= 1000 { 1000 } else { 1 };
    let bound = |index: u64| match index == count {
        true => duration_ms,
        false => (index * duration_ms / count + unit / 2) / unit * unit,
    };
    let shots = prompts.into_iter().zip(0..);
    shots
        .map(|(prompt, index)| Shot {
            prompt,
            duration_ms: bound(index + 1) - bound(index),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_become_shots() {
        let check = |prompt: &str, duration_ms, expected: &[(&str, u64)]| {
            let shots = cut(prompt, duration_ms);
            let found: Vec<(&str, u64)> = shots
                .iter()
                .map(|shot| (shot.prompt.as_str(), shot.duration_ms))
                .collect();
            assert_eq!(found, expected, "{prompt}");
        };
        check("A cat sleeps", 5000, &[("A cat sleeps", 5000)]);
        check(
            "A cat sleeps. It wakes!",
            5000,
            &[("A cat sleeps.", 3000), ("It wakes!", 2000)],
        );
        check("A. B. C. D.", 5000, &[("A. B.", 3000), ("C. D.", 2000)]);
        check("A. B. C.", 15_000, &[("A.", 5000), ("B.", 5000), ("C.", 5000)]);
        check(
            "Version 2.7 of it runs",
            5000,
            &[("Version 2.7 of it runs", 5000)],
        );
        check(
            "猫が眠る。目を覚ます。",
            4000,
            &[("猫が眠る。", 2000), ("目を覚ます。", 2000)],
        );
        check("A cat. A dog.", 2000, &[("A cat. A dog.", 2000)]);
        check(
            "Shot 1 [0-3 seconds] a cat sleeps. Shot 2 [3-5 seconds] it wakes.",
            5000,
            &[("a cat sleeps.", 3000), ("it wakes.", 2000)],
        );
        check(
            "Rain, film grain. Shot 1 [0-2s]: a street Shot 2 [2-4s]: a face",
            8000,
            &[
                ("Rain, film grain. a street", 4000),
                ("Rain, film grain. a face", 4000),
            ],
        );
        check(
            "shot 1: a street\nshot 2: a face",
            3000,
            &[("a street", 2000), ("a face", 1000)],
        );
        // Times that overlap say nothing.
        check(
            "Shot 1 [0-3s] a. Shot 2 [2-4s] b.",
            4000,
            &[("a.", 2000), ("b.", 2000)],
        );
        check(
            "A long shot 2 of the sea",
            5000,
            &[("A long shot 2 of the sea", 5000)],
        );
        check("", 5000, &[]);
    }

    #[test]
    fn lengths_add_up() {
        let prompt = "One. Two. Three. Four. Five. Six. Seven.";
        for duration_ms in (2000..=15_000).step_by(1000) {
            let shots = cut(prompt, duration_ms);
            let whole: u64 = shots.iter().map(|shot| shot.duration_ms).sum();
            assert_eq!(whole, duration_ms);
            assert!(shots.iter().all(|shot| shot.duration_ms >= 1000), "{shots:?}");
        }
    }

    #[test]
    fn shots_are_written_into_one_prompt() {
        let check = |prompt: &str, duration_ms, expected: &str| {
            assert_eq!(write(prompt, duration_ms), expected);
        };
        check("A cat sleeps", 5000, "A cat sleeps");
        check(
            "A cat sleeps. It wakes!",
            5000,
            "Shot 1 [0-3 seconds] A cat sleeps. Shot 2 [3-5 seconds] It wakes!",
        );
        let own = "Night. Shot 1 [0-2 seconds] a street. Shot 2 [2-9 seconds] a face.";
        check(own, 5000, own);
    }
}

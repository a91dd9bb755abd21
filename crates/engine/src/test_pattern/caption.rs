//! What the pattern says in words: which request it is, and which inputs arrived.

use kinora_domain::{AudioSetting, GenerationSpec, Workflow};
use kinora_media::Facts;

use crate::inputs::{InputMedium, Inputs};

/// The lines of the caption, each at most `columns` characters; what is beyond `rows` is cut with a sign of it.
pub(crate) fn lines(spec: &GenerationSpec, inputs: &Inputs, columns: usize, rows: usize) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(wrap(&facts(spec, inputs), columns));
    let arrivals: Vec<String> = inputs.media.iter().map(arrival).collect();
    lines.extend(wrap(&arrivals.join("; "), columns));
    for (name, text) in [
        ("prompt", &spec.prompt),
        ("negative_prompt", &spec.negative_prompt),
    ] {
        if let Some(text) = text {
            lines.extend(wrap(&format!("{name}: {text}"), columns));
        }
    }
    if lines.len() > rows {
        lines.truncate(rows);
        if let Some(last) = lines.last_mut() {
            *last = last.chars().take(columns.saturating_sub(3)).collect::<String>() + "...";
        }
    }
    lines
}

fn facts(spec: &GenerationSpec, inputs: &Inputs) -> String {
    let mut text = format!(
        "TEST PATTERN, {}, {}, {}.{:03} s, seed {}",
        spec.feature,
        inputs.size,
        inputs.duration_ms / 1000,
        inputs.duration_ms % 1000,
        inputs.seed.get()
    );
    if !spec.prompt_expansion {
        text.push_str(", no prompt expansion");
    }
    match &spec.workflow {
        Workflow::Reference {
            multi_shots: true, ..
        } => text.push_str(", multi_shots"),
        Workflow::Edit {
            audio: AudioSetting::Origin,
            ..
        } => text.push_str(", audio_setting origin"),
        Workflow::Text { .. }
        | Workflow::Image { .. }
        | Workflow::FirstLast { .. }
        | Workflow::Continuation { .. }
        | Workflow::Reference { .. }
        | Workflow::Edit { .. } => {}
    }
    text
}

fn arrival(medium: &InputMedium) -> String {
    let member = medium.member;
    let length = |ms: u64| format!("{}.{:03} s", ms / 1000, ms % 1000);
    match &medium.facts {
        Facts::Image(facts) => format!("{member} {}x{}", facts.width, facts.height),
        Facts::Video(facts) => {
            let sound = if facts.has_audio { "with sound" } else { "silent" };
            format!(
                "{member} {}x{} {} {sound}",
                facts.width,
                facts.height,
                length(facts.duration_ms)
            )
        }
        Facts::Audio(facts) => format!("{member} {}", length(facts.duration_ms)),
    }
}

/// Broken at white space where there is some, else in the middle of a word.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    let (mut line, mut width) = (String::new(), 0);
    for word in text.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        if width > 0 && width + 1 + letters.len() > columns {
            lines.push(std::mem::take(&mut line));
            width = 0;
        }
        if width > 0 {
            line.push(' ');
            width += 1;
        }
        let mut pieces = letters.chunks(columns);
        let last = pieces.next_back().unwrap_or_default();
        lines.extend(pieces.map(|piece| piece.iter().collect::<String>()));
        line.extend(last);
        width += last.len();
    }
    lines.push(line);
    lines.retain(|line| !line.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_at_words() {
        let check = |text: &str, expected: &[&str]| assert_eq!(wrap(text, 8), expected, "{text:?}");
        check("", &[]);
        check("a paper boat", &["a paper", "boat"]);
        check("12345678 9", &["12345678", "9"]);
        check("a\nb\tc", &["a b c"]);
        check("unbelievable things", &["unbeliev", "able", "things"]);
        check("éééé ééé é", &["éééé ééé", "é"]);
    }
}

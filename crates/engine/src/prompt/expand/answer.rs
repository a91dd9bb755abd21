//! What a language model has answered, taken for what it is: anything. Either a prompt comes out of it that may stand in
//! place of the author's, or nothing.

use std::collections::BTreeSet;

use kinora_domain::spec::PROMPT_CHARS_MAX;
use serde_json::Value;

use super::{Brief, ExpandError};
use crate::prompt::{is_han, shots};

/// The prompt in an answer.
pub(super) fn read(answer: &Value, brief: &Brief) -> Result<String, ExpandError> {
    let choice = answer.pointer("/choices/0").ok_or(ExpandError::NoText)?;
    let message = &choice["message"];
    if message["refusal"].as_str().is_some_and(|text| !text.is_empty()) {
        return Err(ExpandError::Declined);
    }
    match choice["finish_reason"].as_str() {
        Some("length") => return Err(ExpandError::CutOff),
        Some("content_filter") => return Err(ExpandError::Declined),
        Some(_) | None => {}
    }
    let said = text(&message["content"]).ok_or(ExpandError::NoText)?;
    let prompt = clean(&said)?;
    if is_refusal(&prompt) && !is_refusal(&brief.prompt) {
        return Err(ExpandError::Declined);
    }
    if prompt.chars().count() > PROMPT_CHARS_MAX {
        return Err(ExpandError::TooLong);
    }
    if names(&prompt) != names(&brief.prompt) {
        return Err(ExpandError::OtherNames);
    }
    if shots::written_times(&prompt) != shots::written_times(&brief.prompt) {
        return Err(ExpandError::OtherShots);
    }
    Ok(prompt)
}

/// A message's text, in one piece or in parts.
fn text(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(parts.iter().filter_map(|part| part["text"].as_str()).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// What is left of an answer without what models put around it, on one line.
fn clean(said: &str) -> Result<String, ExpandError> {
    let said = without_thoughts(said)?;
    let plain = said
        .replace("**", "")
        .replace("```", "\n")
        .replace(['`', '\u{feff}'], "");
    let mut lines: Vec<&str> = plain
        .lines()
        .map(|line| line.trim().trim_start_matches(['#', '>']).trim_start())
        .map(|line| {
            line.strip_prefix("- ")
                .or_else(|| line.strip_prefix("* "))
                .unwrap_or(line)
        })
        .filter(|line| !line.is_empty())
        .collect();
    // "Here is the prompt:", "text" after a fence.
    while lines.len() > 1 && (lines[0].ends_with([':', '：']) || FENCES.contains(&lines[0])) {
        lines.remove(0);
    }
    let joined = lines.iter().fold(String::new(), |text, line| joined(text, line));
    let prompt = without_quotes(without_label(joined.trim())).trim();
    match prompt.chars().any(char::is_alphanumeric) {
        true => Ok(prompt.to_owned()),
        false => Err(ExpandError::NoText),
    }
}

/// Languages that a fenced block is said to be in.
const FENCES: [&str; 4] = ["text", "txt", "plaintext", "markdown"];

/// What stands after a model's thoughts; some servers leave the mark of their beginning out.
fn without_thoughts(said: &str) -> Result<&str, ExpandError> {
    const MARKS: [(&str, &str); 3] = [
        ("<think>", "</think>"),
        ("<thinking>", "</thinking>"),
        ("<reasoning>", "</reasoning>"),
    ];
    let mut rest = said;
    for (begin, end) in MARKS {
        if let Some((_, after)) = rest.rsplit_once(end) {
            rest = after;
        }
        if rest.contains(begin) {
            return Err(ExpandError::CutOff);
        }
    }
    Ok(rest)
}

/// One line after another; Chinese takes no space between them. Control characters become spaces.
fn joined(text: String, line: &str) -> String {
    let line = line.replace(|c: char| c.is_control(), " ");
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_wide = |c: char| is_han(c) || matches!(c, '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ff65}');
    let tight = text.ends_with(is_wide) && line.starts_with(is_wide);
    match text.is_empty() || tight {
        true => text + &line,
        false => text + " " + &line,
    }
}

fn without_label(text: &str) -> &str {
    const LABELS: [&str; 6] = [
        "prompt",
        "expanded prompt",
        "rewritten prompt",
        "video prompt",
        "提示词",
        "改写后的提示词",
    ];
    let Some((label, rest)) = text.split_once([':', '：']) else {
        return text;
    };
    match LABELS.contains(&label.trim().to_lowercase().as_str()) {
        true => rest.trim_start(),
        false => text,
    }
}

/// Quotation marks around the whole; those of what somebody says within it stay.
fn without_quotes(text: &str) -> &str {
    const QUOTES: [(char, char); 5] = [('"', '"'), ('“', '”'), ('「', '」'), ('『', '』'), ('\'', '\'')];
    for (open, close) in QUOTES {
        if let Some(inner) = text.strip_prefix(open).and_then(|text| text.strip_suffix(close))
            && !inner.contains([open, close])
        {
            return inner;
        }
    }
    text
}

/// Whether a text begins as models do that do not do what they are asked.
fn is_refusal(text: &str) -> bool {
    const BEGINNINGS: [&str; 17] = [
        "i'm sorry",
        "i am sorry",
        "sorry, ",
        "i cannot ",
        "i can't ",
        "i can not ",
        "i'm unable",
        "i am unable",
        "i won't ",
        "i must decline",
        "i apologize",
        "as an ai",
        "抱歉",
        "很抱歉",
        "对不起",
        "我无法",
        "作为一个ai",
    ];
    let beginning: String = text.chars().take(30).collect();
    let beginning = beginning.to_lowercase().replace('’', "'");
    BEGINNINGS.iter().any(|words| beginning.starts_with(words))
}

/// The references that a prompt names, whatever it is called in: what kind, and which.
fn names(prompt: &str) -> BTreeSet<(bool, u32)> {
    const KINDS: [(&str, bool); 6] = [
        ("image", false),
        ("video", true),
        ("图片", false),
        ("图像", false),
        ("图", false),
        ("视频", true),
    ];
    let lower = prompt.to_lowercase();
    let mut names = BTreeSet::new();
    for (kind, is_video) in KINDS {
        for (at, word) in lower.match_indices(kind) {
            // An "image" within another word is none.
            if word.is_ascii() && lower[..at].ends_with(|c: char| c.is_ascii_alphanumeric()) {
                continue;
            }
            let after = lower[at + word.len()..].trim_start_matches([' ', '\u{a0}', '#']);
            let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
            names.extend(digits.parse().map(|number: u32| (is_video, number)));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use kinora_domain::Seed;
    use serde_json::json;

    use super::{super::Material, *};

    fn brief(prompt: &str) -> Brief {
        Brief {
            prompt: prompt.to_owned(),
            material: Material::References,
            is_in_shots: shots::are_written(prompt),
            duration_ms: 5000,
            seed: Seed::from_entropy(7),
        }
    }

    fn answered(content: Value) -> Value {
        json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]})
    }

    #[test]
    fn a_prompt_is_found_in_what_models_put_around_it() {
        let check = |said: &str, expected: &str| {
            let found = read(&answered(json!(said)), &brief("a boat"));
            assert_eq!(found.as_deref(), Ok(expected), "{said:?}");
        };
        let boat = "A paper boat drifts.";
        check(boat, boat);
        check("  A paper boat\n\n drifts. \n", boat);
        check("\"A paper boat drifts.\"", boat);
        check("“A paper boat drifts.”", boat);
        check("**Prompt:** A paper boat drifts.", boat);
        check("Here is the expanded prompt:\n\nA paper boat drifts.", boat);
        check("Sure! Here it is:\n```text\nA paper boat drifts.\n```", boat);
        check(
            "<think>They want a boat.\nA boat.</think>\n\nA paper boat drifts.",
            boat,
        );
        check("They want a boat.</think>A paper boat drifts.", boat);
        check(
            "# Title\u{7}\n- A paper boat\n- drifts.",
            "Title A paper boat drifts.",
        );
        check("一只纸船漂过，\n水面泛起涟漪。", "一只纸船漂过，水面泛起涟漪。");
        check("「一只纸船漂过」", "一只纸船漂过");
        check("提示词：一只纸船漂过", "一只纸船漂过");
        check(
            "\"Come!\" she says and he says \"No.\"",
            "\"Come!\" she says and he says \"No.\"",
        );
        check("At 7: a boat.", "At 7: a boat.");
        let parts = json!([{"type": "text", "text": "A paper "}, {"type": "text", "text": "boat drifts."}]);
        assert_eq!(read(&answered(parts), &brief("a boat")).as_deref(), Ok(boat));
    }

    #[test]
    fn what_is_no_prompt_is_not_taken() {
        let check = |answer: Value, expected: ExpandError| {
            assert_eq!(read(&answer, &brief("a boat")), Err(expected), "{answer}");
        };
        for strange in [
            Value::Null,
            json!([]),
            json!("A boat"),
            json!({"choices": []}),
            json!({"choices": {"0": "x"}}),
            json!({"choices": ["x"]}),
            answered(Value::Null),
            answered(json!(7)),
            answered(json!({"text": "x"})),
            answered(json!([])),
            answered(json!("")),
            answered(json!(" \n\t")),
            answered(json!("```\n\n```")),
            answered(json!("…")),
        ] {
            check(strange, ExpandError::NoText);
        }
        for refusal in [
            "I'm sorry, but I can't help with that.",
            "I’m sorry, I won't.",
            "I cannot write this.",
            "As an AI model, I do not",
            "抱歉，我不能这样做。",
        ] {
            check(answered(json!(refusal)), ExpandError::Declined);
        }
        let ended =
            |reason: &str| json!({"choices": [{"message": {"content": "A boat"}, "finish_reason": reason}]});
        check(ended("content_filter"), ExpandError::Declined);
        check(ended("length"), ExpandError::CutOff);
        check(
            json!({"choices": [{"message": {"content": null, "refusal": "No."}}]}),
            ExpandError::Declined,
        );
        check(answered(json!("<think>They want")), ExpandError::CutOff);
        check(answered(json!("boat ".repeat(1001))), ExpandError::TooLong);
        check(answered(json!("Image 1 shows a boat.")), ExpandError::OtherNames);
        check(
            answered(json!("Shot 1: a boat. Shot 2: a sea.")),
            ExpandError::OtherShots,
        );
    }

    #[test]
    fn what_its_author_began_like_a_refusal_is_none() {
        let prompt = "I'm sorry, says the robot";
        let answer = answered(json!("I'm sorry, says the small robot, and bows."));
        assert!(read(&answer, &brief(prompt)).is_ok());
    }

    #[test]
    fn names_of_references_are_kept() {
        let check = |prompt: &str, said: &str, is_kept: bool| {
            let found = read(&answered(json!(said)), &brief(prompt));
            assert_eq!(found.is_ok(), is_kept, "{prompt}: {found:?}");
        };
        let prompt = "Image 1 meets Video 1";
        check(prompt, "In the rain, Image 1 walks to Video 1 and waves.", true);
        check(
            prompt,
            "IMAGE 1 waves; Video 1 answers, and Image 1 smiles.",
            true,
        );
        check(prompt, "Image 1 waves.", false);
        check(prompt, "The cat walks to the dog.", false);
        check(prompt, "Image 1 and Image 2 meet Video 1.", false);
        check("图1和视频2", "图1走向视频2。", true);
        check("图1和视频2", "Image 1 walks to Video 2.", true);
        check("图1和视频2", "图1走来。", false);
        check("pilgrimage 1", "A pilgrimage 1 day long.", true);
    }

    #[test]
    fn shots_are_kept() {
        let prompt = "Rain. Shot 1 [0-3 seconds] a cat sleeps. Shot 2 [3-5 seconds] it wakes.";
        let check = |said: &str, is_kept: bool| {
            let found = read(&answered(json!(said)), &brief(prompt));
            assert_eq!(found.is_ok(), is_kept, "{found:?}");
        };
        check(
            "Soft rain.\nShot 1 [0-3 seconds] A grey cat sleeps.\nShot 2 [3-5 seconds] It wakes and yawns.",
            true,
        );
        check(
            "**Shot 1 [0-3 seconds]** A cat. **Shot 2 [3-5 seconds]** It wakes.",
            true,
        );
        check(
            "Shot 1 [0-2 seconds] A cat. Shot 2 [2-5 seconds] It wakes.",
            false,
        );
        check("Shot 1 [0-3 seconds] A cat sleeps and wakes.", false);
        check("A cat sleeps. It wakes.", false);
    }
}

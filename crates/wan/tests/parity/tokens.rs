//! Cleaning and token ids, on strings of many languages and many kinds of damage.

use serde::Deserialize;

use kinora_wan::tokenizer::Tokenizer;
use kinora_wan::tokenizer::clean::clean;

use crate::golden::path;

#[derive(Deserialize)]
struct Case {
    text: String,
    cleaned: String,
    ids: Vec<u32>,
}

#[test]
fn ids_equal_the_reference() {
    let cases: Vec<Case> =
        serde_json::from_str(&std::fs::read_to_string(path("tokenizer/cases.json")).unwrap()).unwrap();
    assert!(cases.len() >= 500, "{}", cases.len());
    let tokenizer = Tokenizer::load(&path("tokenizer/tokenizer.json")).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let cleaned = clean(&case.text);
        if cleaned != case.cleaned {
            wrong.push(format!(
                "{:?}\n  cleaned to {:?}\n  instead of {:?}",
                case.text, cleaned, case.cleaned
            ));
        } else if tokenizer.ids(&case.text).unwrap().ids != case.ids {
            wrong.push(format!("{:?}: other ids", case.text));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

//! Tokenizers that do not come as `tokenizer.json`: SentencePiece models, as the original and ComfyUI have them, and the vocabularies
//! of GGUF files. Both are a list of pieces with scores, of which the same tokenizer is made.
//!
//! Reference: transformers `convert_slow_tokenizer.py`, `SpmConverter`, `T5Converter`.

use serde_json::Value;
use serde_json::json;

/// What is wrong with a list of pieces.
pub(super) type PiecesError = Box<dyn std::error::Error + Send + Sync>;

/// The tokenizer of UMT5 with these pieces, as `tokenizer.json` says it.
pub(super) fn tokenizer_json(pieces: &[(String, f32)]) -> Result<Vec<u8>, PiecesError> {
    let id = |text: &str| pieces.iter().position(|(piece, _)| piece == text);
    let end = id("</s>").ok_or("it has no piece </s>")?;
    let unknown = id("<unk>").ok_or("it has no piece <unk>")?;
    let special = |text: &str| {
        id(text).map(|id| {
            json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": true})
        })
    };
    let specials: Vec<Value> = ["<pad>", "</s>", "<s>", "<unk>"]
        .into_iter()
        .filter_map(special)
        .collect();
    let space = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    let sequence = json!({"Sequence": {"id": "A", "type_id": 0}});
    let closing = json!({"SpecialToken": {"id": "</s>", "type_id": 0}});
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": specials,
        "normalizer": {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        "pre_tokenizer": space,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [sequence, closing],
            "pair": [sequence, closing, {"Sequence": {"id": "B", "type_id": 0}}, closing],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [end], "tokens": ["</s>"]}},
        },
        "decoder": space,
        "model": {"type": "Unigram", "unk_id": unknown, "vocab": pieces, "byte_fallback": false},
    });
    Ok(serde_json::to_vec(&tokenizer)?)
}

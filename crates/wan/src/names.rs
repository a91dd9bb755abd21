//! Names that published checkpoints hold without the models having use for them: data, so that everything else that is left over
//! stays an error.

use kinora_tensor::Checkpoint;

/// The end of a name, and why it may be there.
const TOLERATED: [(&str, &str); 4] = [
    (
        ".norm_added_q.weight",
        "the picture branch's queries are the text's",
    ),
    (
        "encoder.embed_tokens.weight",
        "a second name of the shared embedding",
    ),
    ("embeddings.position_ids", "counts from nought"),
    ("rope.freqs", "computed, not learned"),
];

/// Parts of an image encoder that come after the states which are used: the last block and what follows it.
pub(crate) const IMAGE_ENCODER_TAIL: [&str; 3] = ["post_layernorm", "visual_projection", "logit_scale"];

/// Marks the tolerated names as expected.
pub(crate) fn tolerate(checkpoint: &Checkpoint) {
    let tolerated = |name: &&str| TOLERATED.iter().any(|(end, _reason)| name.ends_with(end));
    let names: Vec<String> = checkpoint
        .entries()
        .map(|(name, _)| name)
        .filter(tolerated)
        .map(str::to_owned)
        .collect();
    names.iter().for_each(|name| checkpoint.ignore(name));
}

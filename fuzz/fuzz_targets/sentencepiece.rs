//! The reader of SentencePiece models on any bytes: it answers.
#![no_main]

use kinora_tensor::checkpoint::sentencepiece;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let _ = sentencepiece::parse(file);
});

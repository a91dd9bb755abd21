//! The reader of GGUF on any bytes: it answers, and what it takes lies within the file; so for the vocabulary in its metadata.
#![no_main]

use kinora_tensor::checkpoint::gguf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    for tensor in gguf::parse(file).unwrap_or_default() {
        assert!(file.get(tensor.bytes).is_some(), "{}", tensor.name);
    }
    let _ = gguf::vocabulary(file);
});

//! The reader of safetensors on any bytes: it answers, and what it takes lies within the file.
#![no_main]

use kinora_tensor::checkpoint::safetensors;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    for tensor in safetensors::parse(file).unwrap_or_default() {
        assert!(file.get(tensor.bytes).is_some(), "{}", tensor.name);
    }
});

//! The reader of torch_zip on any bytes: it answers, and what it takes lies within the file.
#![no_main]

use kinora_tensor::checkpoint::torch_zip;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    for tensor in torch_zip::parse(file).unwrap_or_default() {
        assert!(file.get(tensor.bytes).is_some(), "{}", tensor.name);
    }
});

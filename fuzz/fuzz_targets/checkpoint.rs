//! Any bytes as a file of weights: whatever is accepted can be read to its last number.
#![no_main]

use std::io::Write;

use kinora_tensor::Checkpoint;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a place for files");
    file.write_all(bytes).expect("room for a file");
    let Ok(checkpoint) = Checkpoint::open(file.path()) else {
        return;
    };
    for (name, entry) in checkpoint.entries() {
        if let Ok(weight) = checkpoint.weight_any(name) {
            assert_eq!(weight.shape(), entry.shape);
            weight.view().is_finite();
            // A run that starts within a block.
            let len = entry.shape.elements();
            weight
                .view()
                .widen_into(len / 3, &mut vec![0.0; (len - len / 3).min(1000)]);
        }
    }
    let _ = checkpoint.vocabulary();
});

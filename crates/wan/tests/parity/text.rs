//! UMT5.

use std::ops::ControlFlow;

use kinora_wan::config::TextConfig;
use kinora_wan::text::TextEncoder;
use kinora_wan::text::relative_position_bucket;

use crate::golden::Golden;
use crate::golden::check;
use crate::golden::path;
use crate::golden::weights;

const TOLERANCE: f32 = 1e-5;

#[test]
fn contexts_equal_the_reference() {
    let golden = Golden::open("umt5/cases.safetensors");
    let config: TextConfig =
        serde_json::from_str(&std::fs::read_to_string(path("umt5/config.json")).unwrap()).unwrap();
    let (checkpoint, w) = weights("umt5/model.safetensors", golden.device());
    let encoder = TextEncoder::load(&w, &config).unwrap();
    checkpoint.finish().unwrap();
    for length in [1, 3, 40, 300] {
        let ids = golden.ids(&format!("{length}.ids"));
        let context = encoder.forward(&ids, &mut |_| ControlFlow::Continue(())).unwrap();
        check(
            &format!("umt5 {length}"),
            &context,
            &golden.tensor(&format!("{length}.context")),
            TOLERANCE,
        );
    }
    for (block, output) in encoder
        .block_outputs(&golden.ids("40.ids"))
        .unwrap()
        .iter()
        .enumerate()
    {
        check(
            &format!("umt5 block {block}"),
            output,
            &golden.tensor(&format!("40.block.{block}")),
            TOLERANCE,
        );
    }
}

#[test]
fn distances_fall_into_the_reference_s_buckets() {
    let golden = Golden::open("umt5/cases.safetensors");
    let expected = golden.ids("buckets.index");
    for (offset, expected) in golden.numbers("buckets.offsets").into_iter().zip(expected) {
        assert_eq!(
            relative_position_bucket(offset as i64, 32, 128),
            expected as usize,
            "{offset}"
        );
    }
}

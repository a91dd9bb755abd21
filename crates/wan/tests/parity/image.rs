//! CLIP, and how pictures are prepared for it.

use kinora_wan::config::ImageConfig;
use kinora_wan::frame::resize;
use kinora_wan::image_context::ImageEncoder;
use kinora_wan::image_context::normalized;

use crate::golden::Golden;
use crate::golden::check;
use crate::golden::path;
use crate::golden::weights;

#[test]
fn states_equal_the_reference() {
    let golden = Golden::open("clip/cases.safetensors");
    let config: ImageConfig =
        serde_json::from_str(&std::fs::read_to_string(path("clip/config.json")).unwrap()).unwrap();
    let (checkpoint, w) = weights("clip/model.safetensors", golden.device());
    let encoder = ImageEncoder::load(&w, &config).unwrap();
    checkpoint.finish().unwrap();
    for case in ["square", "wide", "large"] {
        let picture = golden
            .tensor(&format!("{case}.image"))
            .permute(&[1, 2, 0])
            .unwrap();
        let pixels = normalized(&resize::bicubic(&picture, 28, 28).unwrap()).unwrap();
        let expected = golden
            .tensor(&format!("{case}.pixels"))
            .permute(&[1, 2, 0])
            .unwrap();
        check(&format!("clip pixels {case}"), &pixels, &expected, 2e-6);
        let states = encoder.forward_pixels(&pixels).unwrap();
        check(
            &format!("clip {case}"),
            &states,
            &golden.tensor(&format!("{case}.states")),
            1e-5,
        );
    }
}

//! wan-mini, the small checkpoint that is part of the program. `checkpoints/mini` holds it and tells how it was made.

use kinora_wan::Embedded;

/// Bytes aligned so that the numbers in them can be read in place.
#[repr(C, align(16))]
struct Aligned<B: ?Sized>(B);

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$((
            $path,
            {
                static BYTES: &Aligned<[u8]> =
                    &Aligned(*include_bytes!(concat!("../../../../checkpoints/mini/model/", $path)));
                &BYTES.0
            },
        )),*]
    };
}

/// Its files.
pub(super) static WAN_MINI: Embedded = Embedded {
    name: "wan-mini",
    files: files![
        "model_index.json",
        "kinora.json",
        "scheduler/scheduler_config.json",
        "tokenizer/tokenizer.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "transformer/config.json",
        "transformer/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ],
};

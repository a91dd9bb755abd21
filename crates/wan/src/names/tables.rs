//! The names, as data.
//!
//! Reference: Wan2.1 and Wan2.2 `wan/modules/{model, vace_model, t5, vae, vae2_2, clip}.py`, whose tensors are listed in
//! `fixtures/formats/names`; llama.cpp `gguf-py/gguf/tensor_mapping.py`.

use super::Network;
use super::Speaker;

/// Names that tell a network, and whose names it has. The first that is there decides.
pub(super) const MARKS: [(Network, Speaker, &str); 10] = [
    (
        Network::Dit,
        Speaker::Original,
        "blocks.0.self_attn.norm_q.weight",
    ),
    (Network::Dit, Speaker::Diffusers, "blocks.0.attn1.norm_q.weight"),
    (
        Network::Text,
        Speaker::Original,
        "blocks.0.pos_embedding.embedding.weight",
    ),
    (
        Network::Text,
        Speaker::Diffusers,
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
    ),
    (Network::Text, Speaker::Llama, "enc.blk.0.attn_rel_b.weight"),
    (
        Network::Vae,
        Speaker::Original,
        "decoder.middle.0.residual.0.gamma",
    ),
    (
        Network::Vae,
        Speaker::Diffusers,
        "decoder.mid_block.resnets.0.norm1.gamma",
    ),
    (
        Network::Image,
        Speaker::Original,
        "visual.transformer.0.attn.to_qkv.weight",
    ),
    (
        Network::Image,
        Speaker::Diffusers,
        "vision_model.encoder.layers.0.self_attn.q_proj.weight",
    ),
    (
        Network::Image,
        Speaker::Diffusers,
        "encoder.layers.0.self_attn.q_proj.weight",
    ),
];

/// What may stand before every name of a file.
pub(super) const PREFIXES: [&str; 3] = ["", "model.diffusion_model.", "diffusion_model."];

/// The transformer, the hinting stack's blocks included.
pub(super) const DIT: &[(&str, &str)] = &[
    ("time_embedding.0", "condition_embedder.time_embedder.linear_1"),
    ("time_embedding.2", "condition_embedder.time_embedder.linear_2"),
    ("text_embedding.0", "condition_embedder.text_embedder.linear_1"),
    ("text_embedding.2", "condition_embedder.text_embedder.linear_2"),
    ("time_projection.1", "condition_embedder.time_proj"),
    ("img_emb.proj.0", "condition_embedder.image_embedder.norm1"),
    (
        "img_emb.proj.1",
        "condition_embedder.image_embedder.ff.net.0.proj",
    ),
    ("img_emb.proj.3", "condition_embedder.image_embedder.ff.net.2"),
    ("img_emb.proj.4", "condition_embedder.image_embedder.norm2"),
    ("img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed"),
    ("self_attn.q", "attn1.to_q"),
    ("self_attn.k", "attn1.to_k"),
    ("self_attn.v", "attn1.to_v"),
    ("self_attn.o", "attn1.to_out.0"),
    ("self_attn", "attn1"),
    ("cross_attn.q", "attn2.to_q"),
    ("cross_attn.k", "attn2.to_k"),
    ("cross_attn.v", "attn2.to_v"),
    ("cross_attn.o", "attn2.to_out.0"),
    ("cross_attn.k_img", "attn2.add_k_proj"),
    ("cross_attn.v_img", "attn2.add_v_proj"),
    ("cross_attn.norm_k_img", "attn2.norm_added_k"),
    ("cross_attn", "attn2"),
    ("ffn.0", "ffn.net.0.proj"),
    ("ffn.2", "ffn.net.2"),
    ("blocks.#.modulation", "blocks.#.scale_shift_table"),
    ("vace_blocks.#.modulation", "vace_blocks.#.scale_shift_table"),
    // The original's second norm has no weights, so that diffusers counts this one as the second.
    ("blocks.#.norm3", "blocks.#.norm2"),
    ("vace_blocks.#.norm3", "vace_blocks.#.norm2"),
    ("vace_blocks.#.before_proj", "vace_blocks.#.proj_in"),
    ("vace_blocks.#.after_proj", "vace_blocks.#.proj_out"),
    ("^.head.head", "proj_out"),
    ("^.head.modulation", "^.scale_shift_table"),
];

/// The text encoder.
pub(super) const TEXT: &[(&str, &str)] = &[
    ("token_embedding", "shared"),
    (
        "blocks.#.pos_embedding.embedding",
        "encoder.block.#.layer.0.SelfAttention.relative_attention_bias",
    ),
    ("blocks.#.attn", "encoder.block.#.layer.0.SelfAttention"),
    ("blocks.#.norm1", "encoder.block.#.layer.0.layer_norm"),
    ("blocks.#.norm2", "encoder.block.#.layer.1.layer_norm"),
    (
        "blocks.#.ffn.gate.0",
        "encoder.block.#.layer.1.DenseReluDense.wi_0",
    ),
    ("blocks.#.ffn.fc1", "encoder.block.#.layer.1.DenseReluDense.wi_1"),
    ("blocks.#.ffn.fc2", "encoder.block.#.layer.1.DenseReluDense.wo"),
    ("^.norm", "encoder.final_layer_norm"),
];

/// The text encoder in llama.cpp's words.
pub(super) const TEXT_LLAMA: &[(&str, &str)] = &[
    ("token_embd", "shared"),
    (
        "enc.blk.#.attn_rel_b",
        "encoder.block.#.layer.0.SelfAttention.relative_attention_bias",
    ),
    ("enc.blk.#.attn_q", "encoder.block.#.layer.0.SelfAttention.q"),
    ("enc.blk.#.attn_k", "encoder.block.#.layer.0.SelfAttention.k"),
    ("enc.blk.#.attn_v", "encoder.block.#.layer.0.SelfAttention.v"),
    ("enc.blk.#.attn_o", "encoder.block.#.layer.0.SelfAttention.o"),
    ("enc.blk.#.attn_norm", "encoder.block.#.layer.0.layer_norm"),
    ("enc.blk.#.ffn_norm", "encoder.block.#.layer.1.layer_norm"),
    (
        "enc.blk.#.ffn_gate",
        "encoder.block.#.layer.1.DenseReluDense.wi_0",
    ),
    ("enc.blk.#.ffn_up", "encoder.block.#.layer.1.DenseReluDense.wi_1"),
    ("enc.blk.#.ffn_down", "encoder.block.#.layer.1.DenseReluDense.wo"),
    ("enc.output_norm", "encoder.final_layer_norm"),
];

/// The visual half of the original's CLIP; its queries, keys and values are one tensor (see [`parts`]).
pub(super) const IMAGE: &[(&str, &str)] = &[
    ("visual.cls_embedding", "embeddings.class_embedding"),
    ("visual.pos_embedding", "embeddings.position_embedding.weight"),
    ("visual.patch_embedding", "embeddings.patch_embedding"),
    ("visual.pre_norm", "pre_layrnorm"),
    ("visual.transformer.#.norm1", "encoder.layers.#.layer_norm1"),
    ("visual.transformer.#.norm2", "encoder.layers.#.layer_norm2"),
    (
        "visual.transformer.#.attn.proj",
        "encoder.layers.#.self_attn.out_proj",
    ),
    ("visual.transformer.#.attn", "encoder.layers.#.self_attn"),
    ("visual.transformer.#.mlp.0", "encoder.layers.#.mlp.fc1"),
    ("visual.transformer.#.mlp.2", "encoder.layers.#.mlp.fc2"),
    ("visual.post_norm", "post_layernorm"),
    ("visual.head", "visual_projection"),
];

/// Where a layer of a VAE stands. 2.2 nests its levels; of 2.1's decoder see [`vae_levels`].
pub(super) const VAE_PLACES: &[(&str, &str)] = &[
    (
        "encoder.downsamples.#.downsamples.#.resample",
        "encoder.down_blocks.#.downsampler.resample",
    ),
    (
        "encoder.downsamples.#.downsamples.#.time_conv",
        "encoder.down_blocks.#.downsampler.time_conv",
    ),
    (
        "encoder.downsamples.#.downsamples.#",
        "encoder.down_blocks.#.resnets.#",
    ),
    (
        "decoder.upsamples.#.upsamples.#.resample",
        "decoder.up_blocks.#.upsampler.resample",
    ),
    (
        "decoder.upsamples.#.upsamples.#.time_conv",
        "decoder.up_blocks.#.upsampler.time_conv",
    ),
    ("decoder.upsamples.#.upsamples.#", "decoder.up_blocks.#.resnets.#"),
    ("encoder.downsamples.#", "encoder.down_blocks.#"),
    ("encoder.conv1", "encoder.conv_in"),
    ("decoder.conv1", "decoder.conv_in"),
    ("middle.0", "mid_block.resnets.0"),
    ("middle.1", "mid_block.attentions.0"),
    ("middle.2", "mid_block.resnets.1"),
    ("head.0", "norm_out"),
    ("head.2", "conv_out"),
    ("^.conv1", "quant_conv"),
    ("^.conv2", "post_quant_conv"),
];

/// What a layer of a VAE's residual block is.
pub(super) const VAE_LAYERS: &[(&str, &str)] = &[
    ("residual.0", "norm1"),
    ("residual.2", "conv1"),
    ("residual.3", "norm2"),
    ("residual.6", "conv2"),
    ("shortcut", "conv_shortcut"),
];

/// The levels of a 2.1 decoder: the original counts its residual blocks and doublings in one list, diffusers level by level.
pub(super) fn vae_levels(has: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let mut rules = Vec::new();
    let (mut level, mut block) = (0, 0);
    for index in 0.. {
        let theirs = format!("decoder.upsamples.{index}");
        if has(&format!("{theirs}.resample.1.weight")) {
            rules.push((theirs, format!("decoder.up_blocks.{level}.upsamplers.0")));
            (level, block) = (level + 1, 0);
        } else if has(&format!("{theirs}.residual.2.weight")) {
            rules.push((theirs, format!("decoder.up_blocks.{level}.resnets.{block}")));
            block += 1;
        } else {
            break;
        }
    }
    rules
}

/// The equal parts of a tensor, along its first axis, that are tensors of their own to the models.
pub(super) fn parts(name: &str) -> Vec<String> {
    const FUSED: [(&str, [&str; 3]); 1] = [("self_attn.to_qkv.", ["q_proj", "k_proj", "v_proj"])];
    let split = |(fused, parts): (&str, [&str; 3])| {
        let (before, after) = name.split_once(fused)?;
        Some(
            parts
                .map(|part| format!("{before}self_attn.{part}.{after}"))
                .to_vec(),
        )
    };
    FUSED.into_iter().find_map(split).unwrap_or_default()
}

/// The end of a name that may be left over, and why.
pub(super) const TOLERATED: [(&str, &str); 9] = [
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
    ("spiece_model", "a tokenizer, read as such"),
    ("scaled_fp8", "says that weights have scales, which is seen"),
    (".scale_input", "of activations, which stay as they are here"),
    (".input_scale", "the same"),
    (".comfy_quant", "says how a weight is stored, which is seen"),
];

/// Parts of an image encoder that come after the states which are used: the last block and what follows it; and the half for text.
pub(crate) const IMAGE_ENCODER_TAIL: [&str; 6] = [
    "post_layernorm",
    "visual_projection",
    "logit_scale",
    "textual",
    "log_scale",
    "text_model",
];

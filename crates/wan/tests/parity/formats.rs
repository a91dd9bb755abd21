//! One tiny checkpoint in every format that people have (`fixtures/formats/make.py`): formats that lose nothing give the very same
//! latents, the others those that the reference makes of the numbers their own libraries dequantise.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::path::PathBuf;

use tempfile::TempDir;

use kinora_tensor::Checkpoint;
use kinora_tensor::Tensor;
use kinora_tensor::checkpoint::sentencepiece;
use kinora_wan::Conditioning;
use kinora_wan::ExpertName;
use kinora_wan::Guidance;
use kinora_wan::LoadError;
use kinora_wan::LoadOptions;
use kinora_wan::LoraOptions;
use kinora_wan::Noise;
use kinora_wan::Pipeline;
use kinora_wan::Request;
use kinora_wan::Sampling;
use kinora_wan::tokenizer::Tokenizer;

use crate::golden::Golden;
use crate::golden::check;

/// Of the largest latent, after four steps.
const LATENTS: f32 = 1e-4;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/formats")
        .join(name)
}

/// A folder of these files of the fixtures, each where it is said to go.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in files {
        let to = folder.path().join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(fixture(from), to).unwrap();
    }
    folder
}

const DIT_FP16: &str = "comfy/diffusion_models/wan_tiny_fp16.safetensors";
const DIT_FP8: &str = "comfy_fp8/diffusion_models/wan_tiny_fp8_scaled.safetensors";
const TEXT_FP16: &str = "comfy/text_encoders/umt5_tiny_fp16.safetensors";
const TEXT_FP8: &str = "comfy_fp8/text_encoders/umt5_tiny_fp8_e4m3fn_scaled.safetensors";
const VAE: &str = "comfy/vae/wan_2.1_vae.safetensors";
const CARD: &str = "comfy/kinora.json";

fn golden() -> Golden {
    Golden::open_at(&fixture("cases.safetensors"))
}

fn load(path: &Path, loras: Vec<LoraOptions>) -> Result<Pipeline, LoadError> {
    Pipeline::load(
        path,
        LoadOptions {
            loras,
            ..LoadOptions::default()
        },
    )
}

fn latents_of(pipeline: &mut Pipeline) -> Tensor {
    let request = Request {
        prompt: "a cat plays with the dog, the city at night.".into(),
        negative_prompt: "static, grey".into(),
        width: 32,
        height: 32,
        num_frames: 5,
        noise: Noise::Given(golden().clip("noise")),
        sampling: Sampling::Checkpoint { steps: 4 },
        step_cache: None,
        guidance: Guidance::uniform(4.0),
        conditioning: Conditioning::Text,
    };
    let mut observe = |_| ControlFlow::Continue(());
    pipeline
        .generate(&request, &mut |_| {}, &mut observe)
        .unwrap()
        .latents
}

fn latents(path: &Path) -> Tensor {
    let mut pipeline =
        load(path, Vec::new()).unwrap_or_else(|error| panic!("{}: {}", path.display(), chain(&error)));
    pipeline.check_numbers().unwrap();
    latents_of(&mut pipeline)
}

fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {}", chain(source)));
    format!("{error}{}", source.unwrap_or_default())
}

#[test]
fn formats_that_lose_nothing_give_the_same_latents() {
    let expected = latents(&fixture("diffusers"));
    check("diffusers", &expected, &golden().clip("plain"), LATENTS);
    let same = |what: &str, got: Tensor| {
        assert_eq!(got.to_vec().unwrap(), expected.to_vec().unwrap(), "{what}");
    };
    same("the original's folder", latents(&fixture("original")));
    same("ComfyUI's folders", latents(&fixture("comfy")));
    same("a file in ComfyUI's folders", latents(&fixture(DIT_FP16)));

    let flat = folder(&[
        (DIT_FP16, "dit.safetensors"),
        (TEXT_FP16, "text.safetensors"),
        (VAE, "vae.safetensors"),
        (CARD, "kinora.json"),
    ]);
    same(
        "files beside each other",
        latents(&flat.path().join("dit.safetensors")),
    );

    let gguf = folder(&[
        ("gguf/plain-F16.gguf", "plain.gguf"),
        ("original/models_t5_umt5-xxl-enc-bf16.pth", "text.pth"),
        ("original/Wan2.1_VAE.pth", "vae.pth"),
        ("diffusers/tokenizer/tokenizer.json", "tokenizer.json"),
        (CARD, "kinora.json"),
    ]);
    same("GGUF beside PyTorch's files", latents(gguf.path()));
}

#[test]
fn formats_that_round_give_what_the_reference_makes_of_them() {
    check(
        "fp8",
        &latents(&fp8().path().join("diffusion_models/dit.safetensors")),
        &golden().clip("fp8"),
        LATENTS,
    );
    let gguf = folder(&[
        ("gguf/wan_tiny-Q4.gguf", "wan-Q4.gguf"),
        ("gguf/umt5_tiny-Q8_0.gguf", "umt5-Q8_0.gguf"),
        ("original/Wan2.1_VAE.pth", "vae/vae.pth"),
        (CARD, "kinora.json"),
    ]);
    check("gguf", &latents(gguf.path()), &golden().clip("gguf"), LATENTS);
}

fn fp8() -> TempDir {
    folder(&[
        (DIT_FP8, "diffusion_models/dit.safetensors"),
        (TEXT_FP8, "text_encoders/text.safetensors"),
        (VAE, "vae/vae.safetensors"),
        (CARD, "kinora.json"),
    ])
}

#[test]
fn tokenizers_within_files_are_those_beside_them() {
    let text = Checkpoint::open(fixture(TEXT_FP16)).unwrap();
    let model = text.bytes("spiece_model").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spiece.model");
    fs::write(&file, model).unwrap();
    let within = Tokenizer::load(&file).unwrap();
    let beside = Tokenizer::load(&fixture("diffusers/tokenizer/tokenizer.json")).unwrap();
    assert_eq!(within.vocabulary(), beside.vocabulary());
    let long = "the city ".repeat(400);
    for prompt in [
        "a cat",
        "",
        "  two   spaces ",
        "<pad></s><unk> a <s>",
        "色调艳丽，过曝",
        "night.\ncity",
        &long,
    ] {
        let (got, expected) = (within.ids(prompt).unwrap(), beside.ids(prompt).unwrap());
        assert_eq!(got, expected, "{prompt}");
        assert!(got.ids.len() <= 512);
    }

    let gguf = Checkpoint::open(fixture("gguf/umt5_tiny-Q8_0.gguf")).unwrap();
    assert_eq!(
        gguf.vocabulary().unwrap().unwrap(),
        sentencepiece::parse(model).unwrap()
    );
    assert_eq!(text.vocabulary().unwrap(), None);

    // A normalizer with a map of characters, after the pieces.
    fs::write(&file, [model, &[0x1a, 3, 0x12, 1, 7]].concat()).unwrap();
    let error = Tokenizer::load(&file).err().unwrap();
    assert!(
        chain(&error).contains("give its tokenizer.json"),
        "{}",
        chain(&error)
    );
    fs::write(&file, &model[..model.len() - 1]).unwrap();
    assert!(Tokenizer::load(&file).is_err());
}

#[test]
fn two_experts_are_told_by_their_names() {
    let parts = [
        (TEXT_FP16, "text.safetensors"),
        (VAE, "vae.safetensors"),
        (CARD, "kinora.json"),
    ];
    let with = |dits: &[(&'static str, &'static str)]| folder(&[&parts[..], dits].concat());
    let one = latents(&fixture("comfy")).to_vec().unwrap();
    let pair = [
        (DIT_FP16, "diffusion_models/wan2.2_t2v_high_noise_14B.safetensors"),
        (DIT_FP16, "diffusion_models/wan2.2_t2v_low_noise_14B.safetensors"),
    ];
    let folders = [
        (DIT_FP16, "high_noise_model/diffusion_pytorch_model.safetensors"),
        (DIT_FP16, "low_noise_model/diffusion_pytorch_model.safetensors"),
    ];
    for dits in [pair, folders] {
        let folder = with(&dits);
        for path in ["", dits[0].1, dits[1].1] {
            let mut pipeline = load(&folder.path().join(path), Vec::new()).unwrap();
            // Both are the same here, and the shift of a pair is another.
            assert_eq!(pipeline.capabilities().defaults.shift, 12.0);
            assert_eq!(pipeline.files().len(), 4, "{path}");
            assert_ne!(latents_of(&mut pipeline).to_vec().unwrap(), one);
        }
    }
    let half = with(&pair[..1]);
    let error = load(half.path(), Vec::new()).err().unwrap();
    assert!(
        chain(&error).contains("the other is not beside it"),
        "{}",
        chain(&error)
    );
}

#[test]
fn what_is_missing_or_doubtful_is_told() {
    let check = |files: &[(&str, &str)], path: &str, expected: &str| {
        let folder = folder(files);
        let error = load(&folder.path().join(path), Vec::new())
            .err()
            .unwrap_or_else(|| panic!("{expected}"));
        assert!(
            chain(&error).contains(expected),
            "{}\nexpected: {expected}",
            chain(&error)
        );
    };
    let (dit, text, vae) = (
        (DIT_FP16, "a.safetensors"),
        (TEXT_FP16, "b.safetensors"),
        (VAE, "c.safetensors"),
    );
    check(&[], "", "no model_index.json, and no file in it or in");
    check(&[dit], "", "heads");
    check(
        &[(CARD, "kinora.json"), dit],
        "",
        "holds a text encoder that fits the rest",
    );
    check(
        &[(CARD, "kinora.json"), dit, text],
        "",
        "holds a VAE that fits the rest",
    );
    check(&[(CARD, "kinora.json"), text, vae], "", "holds a transformer");
    check(
        &[(CARD, "kinora.json"), text, vae],
        "b.safetensors",
        "a transformer is wanted, and it holds a text encoder",
    );
    let twice = (VAE, "vae/another.safetensors");
    check(
        &[(CARD, "kinora.json"), dit, text, vae, twice],
        "",
        "more than one VAE",
    );
    check(
        &[(CARD, "kinora.json"), dit, text, vae, (CARD, "d.pth")],
        "d.pth",
        "not a sound safetensors file",
    );
    let text = ("original/models_t5_umt5-xxl-enc-bf16.pth", "b.pth");
    check(
        &[(CARD, "kinora.json"), dit, text, vae],
        "",
        "no tokenizer.json or spiece.model",
    );
}

#[test]
fn the_originals_configuration_is_held_to_its_weights() {
    let names = [
        "config.json",
        "diffusion_pytorch_model-00001-of-00002.safetensors",
        "diffusion_pytorch_model-00002-of-00002.safetensors",
        "diffusion_pytorch_model.safetensors.index.json",
        "models_t5_umt5-xxl-enc-bf16.pth",
        "Wan2.1_VAE.pth",
        "google/umt5-xxl/tokenizer.json",
    ];
    let files: Vec<(String, &str)> = names
        .iter()
        .map(|name| (format!("original/{name}"), *name))
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(from, to)| (from.as_str(), *to)).collect();
    let folder = folder(&files);
    let config = folder.path().join("config.json");
    let honest = fs::read_to_string(&config).unwrap();
    let check = |from: &str, to: &str, expected: &str| {
        let lying = honest.replace(from, to);
        assert_ne!(lying, honest, "{from}");
        fs::write(&config, lying).unwrap();
        let error = load(folder.path(), Vec::new())
            .err()
            .unwrap_or_else(|| panic!("{expected}"));
        assert!(chain(&error).contains(expected), "{}", chain(&error));
    };
    check(
        "\"dim\": 32",
        "\"dim\": 64",
        "`dim` is 64 in config.json and 32 by the weights",
    );
    check("\"num_layers\": 1", "\"num_layers\": 2", "`num_layers` is 2");
    check("\"t2v\"", "\"s2v\"", "the model type \"s2v\"");
    check(
        "\"num_heads\": 2",
        "\"num_heads\": 5",
        "a width of 32, which is not 5 heads",
    );
}

#[test]
fn parts_are_what_the_card_says() {
    let folder = folder(&[
        (DIT_FP16, "one.safetensors"),
        (DIT_FP8, "two.safetensors"),
        (TEXT_FP16, "b.safetensors"),
        (VAE, "c.safetensors"),
    ]);
    let card = folder.path().join("kinora.json");
    fs::write(&card, r#"{"heads": 2, "shift": 4.5}"#).unwrap();
    let error = load(folder.path(), Vec::new()).err().unwrap();
    assert!(
        chain(&error).contains("more than one transformer"),
        "{}",
        chain(&error)
    );
    fs::write(
        &card,
        r#"{"heads": 2, "shift": 4.5, "timesteps": [1000, 500], "transformer": "one.safetensors"}"#,
    )
    .unwrap();
    let pipeline = load(folder.path(), Vec::new()).unwrap();
    let defaults = &pipeline.capabilities().defaults;
    assert_eq!(
        (defaults.shift, defaults.steps, defaults.timesteps.as_slice()),
        (4.5, 2, &[1000.0, 500.0][..])
    );
    assert_eq!(defaults.guidance, Guidance::off());
    fs::write(&card, r#"{"transformers": "one.safetensors"}"#).unwrap();
    let error = load(folder.path(), Vec::new()).err().unwrap();
    assert!(
        chain(&error).contains("unknown field `transformers`"),
        "{}",
        chain(&error)
    );
}

fn lora(name: &str, scale: f32) -> LoraOptions {
    LoraOptions {
        path: fixture(&format!("loras/{name}.safetensors")),
        scale,
        expert: None,
    }
}

#[test]
fn loras_of_every_dialect_are_merged() {
    let golden = golden();
    let with = |loras: Vec<LoraOptions>| latents_of(&mut load(&fixture("diffusers"), loras).unwrap());
    check(
        "original",
        &with(vec![lora("original", 1.0)]),
        &golden.clip("lora"),
        LATENTS,
    );
    check(
        "diffusers",
        &with(vec![lora("diffusers", 1.0)]),
        &golden.clip("lora"),
        LATENTS,
    );
    // Its alpha is half its rank.
    check(
        "kohya",
        &with(vec![lora("kohya", 2.0)]),
        &golden.clip("lora"),
        LATENTS,
    );
    check(
        "kohya as trained",
        &with(vec![lora("kohya", 1.0)]),
        &golden.clip("lora_half"),
        LATENTS,
    );
    check(
        "full changes",
        &with(vec![lora("diff", 1.0)]),
        &golden.clip("lora_diff"),
        LATENTS,
    );
    let twice = with(vec![lora("original", 0.25), lora("kohya", 0.5)]);
    check("two", &twice, &golden.clip("lora_half"), LATENTS);
    let undone = with(vec![lora("original", 1.0), lora("diffusers", -1.0)]);
    assert_eq!(undone.to_vec().unwrap(), with(vec![]).to_vec().unwrap());
    // Onto eight bits: rounded to bf16, which is finer.
    let eight = fp8();
    let merged = load(eight.path(), vec![lora("original", 1.0)]).unwrap();
    let got = latents_of(&mut { merged });
    assert_ne!(got.to_vec().unwrap(), latents(eight.path()).to_vec().unwrap());
}

#[test]
fn loras_that_do_not_fit_are_refused_by_their_keys() {
    use kinora_tensor::Weight;
    use kinora_tensor::checkpoint::safetensors;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lora.safetensors");
    let refused = |keys: &[(&str, &[usize])], expert: Option<ExpertName>, expected: &str| {
        let weights: Vec<Weight> = (keys.iter())
            .map(|(_, dims)| Weight::from_f32(*dims, vec![0.5; dims.iter().product()]).unwrap())
            .collect();
        let named: Vec<(&str, &Weight)> = keys
            .iter()
            .zip(&weights)
            .map(|((key, _), weight)| (*key, weight))
            .collect();
        safetensors::write(&path, &named).unwrap();
        let options = LoraOptions {
            path: path.clone(),
            scale: 1.0,
            expert,
        };
        let error = load(&fixture("diffusers"), vec![options])
            .err()
            .unwrap_or_else(|| panic!("accepted: {expected}"));
        assert!(
            chain(&error).contains(expected),
            "{}\nexpected: {expected}",
            chain(&error)
        );
    };
    let (down, up) = (
        "blocks.0.self_attn.q.lora_A.weight",
        "blocks.0.self_attn.q.lora_B.weight",
    );
    refused(
        &[("blocks.0.self_attn.q.dora_scale", &[32])],
        None,
        "\"blocks.0.self_attn.q.dora_scale\": DoRA",
    );
    refused(
        &[("blocks.0.self_attn.q.lora_mid.weight", &[2, 2])],
        None,
        "lora_mid.weight\": what it says",
    );
    refused(
        &[("blocks.7.self_attn.q.lora_A.weight", &[2, 32])],
        None,
        "the model has no such layer",
    );
    refused(
        &[("lora_unet_blocks_0_cross_attn_k_img.lora_down.weight", &[2, 32])],
        None,
        "k_img.lora_down.weight\": the model has no such layer",
    );
    refused(&[(down, &[2, 32])], None, "the other matrix");
    refused(
        &[(down, &[2, 31]), (up, &[32, 2])],
        None,
        "[32, 2] times [2, 31] is not of the shape",
    );
    refused(&[(down, &[2, 32]), (up, &[32, 3])], None, "is not of the shape");
    refused(
        &[("blocks.0.self_attn.q.diff_b", &[31])],
        None,
        "it does not have the shape of \"blocks.0.attn1.to_q.bias\"",
    );
    refused(
        &[("blocks.0.self_attn.q.alpha", &[1])],
        None,
        "the layer has no matrices",
    );
    let again = "diffusion_model.blocks.0.self_attn.q.lora_A.weight";
    refused(
        &[(down, &[2, 32]), (again, &[2, 32])],
        None,
        "says the same of the layer",
    );
    refused(
        &[("transformer_2.blocks.0.attn1.to_q.lora_A.weight", &[2, 32])],
        None,
        "no second transformer",
    );
    refused(
        &[(down, &[2, 32]), (up, &[32, 2])],
        Some(ExpertName::LowNoise),
        "there is one transformer",
    );
}

//! Which files of a repository an engine needs: the rest, which is most of some repositories, stays where it is.
//!
//! Two layouts have all parts of a checkpoint in places of their own, so that the choice is clear: diffusers' and the original program's.
//! Elsewhere (ComfyUI's files, GGUF, LoRAs) many files are versions of each other, and only a person can say which is meant.

use glob::Pattern;
use thiserror::Error;

use crate::{client::Listed, pull::size};

/// What is wanted of a repository.
#[derive(Debug, Clone, Default)]
pub enum Choice {
    /// What an engine needs of it.
    #[default]
    Engine,
    /// These files, and those that match.
    Named {
        /// Paths below the repository.
        files: Vec<String>,
        /// For paths below the repository; `*` goes across slashes.
        patterns: Vec<Pattern>,
    },
}

/// A repository without what is wanted.
#[derive(Debug, Error)]
pub enum ChooseError {
    /// It is of no layout that says which files belong together.
    #[error(
        "it is neither laid out as diffusers lays out a checkpoint (model_index.json) nor as the original program does \
         (models_t5_….pth): name files with --file. It has\n{}",
        list(weights)
    )]
    Layout {
        /// Its files of weights.
        weights: Vec<Listed>,
    },
    /// There is no such file.
    #[error("it has no file {file:?}. It has\n{}", list(near))]
    NoFile {
        /// As it was named.
        file: String,
        /// Files of that kind.
        near: Vec<Listed>,
    },
    /// Nothing matches.
    #[error("no file of it matches {pattern:?}")]
    NoMatch {
        /// As it was given.
        pattern: String,
    },
}

/// The parts of diffusers' layout that an engine reads.
const PARTS: [&str; 7] = [
    "scheduler",
    "tokenizer",
    "text_encoder",
    "transformer",
    "transformer_2",
    "vae",
    "image_encoder",
];
/// Folders of the original's transformers.
const EXPERTS: [&str; 3] = ["", "high_noise_model", "low_noise_model"];
const WEIGHTS: [&str; 4] = [".safetensors", ".pth", ".pt", ".gguf"];
const LISTED_MAX: usize = 40;

/// The files that are wanted, in the order of the list.
pub(crate) fn choose(files: &[Listed], choice: &Choice) -> Result<Vec<Listed>, ChooseError> {
    match choice {
        Choice::Engine => {
            let wanted = |file: &&Listed| is_needed(&file.name, files);
            let chosen: Vec<Listed> = files.iter().filter(wanted).cloned().collect();
            match has_layout(files) {
                true => Ok(chosen),
                false => Err(ChooseError::Layout {
                    weights: weights(files),
                }),
            }
        }
        Choice::Named {
            files: names,
            patterns,
        } => {
            if let Some(file) = names
                .iter()
                .find(|name| !files.iter().any(|file| file.name == **name))
            {
                let end = file.rsplit_once('.').map(|(_, end)| format!(".{end}"));
                let is_near =
                    |near: &&Listed| end.as_ref().is_none_or(|end| near.name.ends_with(end.as_str()));
                return Err(ChooseError::NoFile {
                    file: file.clone(),
                    near: files.iter().filter(is_near).cloned().collect(),
                });
            }
            if let Some(pattern) = patterns
                .iter()
                .find(|pattern| !files.iter().any(|file| pattern.matches(&file.name)))
            {
                let pattern = pattern.as_str().to_owned();
                return Err(ChooseError::NoMatch { pattern });
            }
            let wanted = |file: &&Listed| {
                names.contains(&file.name) || patterns.iter().any(|pattern| pattern.matches(&file.name))
            };
            Ok(files.iter().filter(wanted).cloned().collect())
        }
    }
}

/// Whether files of these names are a checkpoint in one of the two layouts that [`Choice::Engine`] understands.
pub fn is_checkpoint(names: &[String]) -> bool {
    is_diffusers(|wanted| names.iter().any(|name| name == wanted))
        || names.iter().any(|name| is_original_text_encoder(name))
}

fn has_layout(files: &[Listed]) -> bool {
    let names: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
    is_checkpoint(&names)
}

fn is_diffusers(has: impl Fn(&str) -> bool) -> bool {
    has("model_index.json") && has("transformer/config.json")
}

fn is_needed(name: &str, files: &[Listed]) -> bool {
    let has = |wanted: &str| files.iter().any(|file| file.name == wanted);
    if name == "kinora.json" {
        return true;
    }
    if is_diffusers(has) {
        return is_of_diffusers(name, has);
    }
    is_of_original(name, has)
}

/// Reference: diffusers `pipeline_utils.py`: a part's folder has its configuration and its weights, whole or in shards with an index.
fn is_of_diffusers(name: &str, has: impl Fn(&str) -> bool) -> bool {
    if name == "model_index.json" {
        return true;
    }
    let Some((part, file)) = name.split_once('/') else {
        return false;
    };
    match (PARTS.contains(&part), part, file) {
        (false, _, _) => false,
        (true, "scheduler", _) => file == "scheduler_config.json",
        (true, "tokenizer", _) => file == "tokenizer.json",
        (true, _, "config.json") => true,
        // A variant stands beside what it is a variant of: `model.fp16.safetensors`.
        (true, _, _) => is_plain_weights(file) && !file.contains('/') && is_indexed(part, file, has),
    }
}

/// Weights of no variant: `model.safetensors`, `model-00001-of-00003.safetensors`, `model.safetensors.index.json`.
fn is_plain_weights(file: &str) -> bool {
    let stem = file
        .strip_suffix(".safetensors.index.json")
        .or_else(|| file.strip_suffix(".safetensors"));
    stem.is_some_and(|stem| !stem.contains('.'))
}

/// Where there is an index, the shards are the weights and a single file beside them is not.
fn is_indexed(folder: &str, file: &str, has: impl Fn(&str) -> bool) -> bool {
    let is_single = file.ends_with(".safetensors") && !file.contains("-of-");
    let index = format!("{folder}/{file}.index.json");
    !(is_single && has(&index))
}

/// Reference: Wan2.1 and Wan2.2 `wan/configs`, by which names the checkpoints are found.
fn is_of_original(name: &str, has: impl Fn(&str) -> bool) -> bool {
    if is_original_text_encoder(name) {
        return true;
    }
    if let Some(tokenizer) = name.strip_prefix("google/umt5-xxl/") {
        return tokenizer == "tokenizer.json"
            || tokenizer == "spiece.model" && !has("google/umt5-xxl/tokenizer.json");
    }
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    if folder.is_empty() && (file.ends_with("_VAE.pth") || is_clip(file)) {
        return true;
    }
    EXPERTS.contains(&folder)
        && (file == "config.json" || file.starts_with("diffusion_pytorch_model") && is_plain_weights(file))
}

fn is_original_text_encoder(name: &str) -> bool {
    name.starts_with("models_t5_") && name.ends_with(".pth")
}

fn is_clip(file: &str) -> bool {
    file.starts_with("models_clip_") && file.ends_with(".pth")
}

fn weights(files: &[Listed]) -> Vec<Listed> {
    let is_weights = |file: &&Listed| WEIGHTS.iter().any(|end| file.name.ends_with(end));
    files.iter().filter(is_weights).cloned().collect()
}

fn list(files: &[Listed]) -> String {
    let line = |file: &Listed| {
        let bytes = file
            .bytes
            .map_or_else(String::new, |bytes| format!("  {}", size(bytes)));
        format!("  {}{bytes}", file.name)
    };
    let mut lines: Vec<String> = files.iter().take(LISTED_MAX).map(line).collect();
    if files.is_empty() {
        lines.push("  none".to_owned());
    }
    if files.len() > LISTED_MAX {
        lines.push(format!("  and {} more", files.len() - LISTED_MAX));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(names: &[&str]) -> Vec<Listed> {
        let listed = |name: &&str| Listed {
            name: (*name).to_owned(),
            bytes: Some(2_840_000_000),
            digest: None,
        };
        names.iter().map(listed).collect()
    }

    /// Of all these files those with a mark are needed.
    fn check(marked: &[&str]) {
        let names: Vec<&str> = marked.iter().map(|name| name.trim_start_matches("+ ")).collect();
        let needed: Vec<&str> = marked.iter().filter_map(|name| name.strip_prefix("+ ")).collect();
        let chosen = choose(&listed(&names), &Choice::Engine).unwrap();
        let chosen: Vec<&str> = chosen.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(chosen, needed);
    }

    #[test]
    fn of_diffusers() {
        check(&[
            ".gitattributes",
            "README.md",
            "assets/logo.png",
            "+ image_encoder/config.json",
            "+ image_encoder/model.safetensors",
            "image_encoder/model.fp16.safetensors",
            "image_encoder/pytorch_model.bin",
            "image_processor/preprocessor_config.json",
            "+ model_index.json",
            "+ scheduler/scheduler_config.json",
            "+ text_encoder/config.json",
            "+ text_encoder/model-00001-of-00002.safetensors",
            "+ text_encoder/model-00002-of-00002.safetensors",
            "+ text_encoder/model.safetensors.index.json",
            "text_encoder/model.safetensors",
            "tokenizer/special_tokens_map.json",
            "tokenizer/spiece.model",
            "+ tokenizer/tokenizer.json",
            "+ transformer/config.json",
            "+ transformer/diffusion_pytorch_model.safetensors",
            "transformer/onnx/model.safetensors",
            "+ transformer_2/config.json",
            "+ transformer_2/diffusion_pytorch_model.safetensors",
            "+ vae/config.json",
            "+ vae/diffusion_pytorch_model.safetensors",
        ]);
    }

    #[test]
    fn of_the_original() {
        check(&[
            "README.md",
            "+ Wan2.1_VAE.pth",
            "assets/comp_effic.png",
            "+ config.json",
            "+ diffusion_pytorch_model-00001-of-00002.safetensors",
            "+ diffusion_pytorch_model-00002-of-00002.safetensors",
            "+ diffusion_pytorch_model.safetensors.index.json",
            "examples/i2v_input.JPG",
            "google/umt5-xxl/special_tokens_map.json",
            "google/umt5-xxl/spiece.model",
            "+ google/umt5-xxl/tokenizer.json",
            "+ models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth",
            "+ models_t5_umt5-xxl-enc-bf16.pth",
            "xlm-roberta-large/tokenizer.json",
        ]);
        check(&[
            "+ Wan2.1_VAE.pth",
            "configuration.json",
            "+ google/umt5-xxl/spiece.model",
            "+ high_noise_model/config.json",
            "+ high_noise_model/diffusion_pytorch_model.safetensors",
            "+ low_noise_model/config.json",
            "+ low_noise_model/diffusion_pytorch_model.safetensors",
            "+ models_t5_umt5-xxl-enc-bf16.pth",
            "nested/high_noise_model/config.json",
        ]);
    }

    #[test]
    fn by_name() {
        let files = listed(&[
            "a/x_fp16.safetensors",
            "a/x_fp8.safetensors",
            "b/vae.safetensors",
            "README.md",
        ]);
        let named = |names: &[&str], patterns: &[&str]| Choice::Named {
            files: names.iter().map(|&name| name.to_owned()).collect(),
            patterns: patterns
                .iter()
                .map(|pattern| Pattern::new(pattern).unwrap())
                .collect(),
        };
        let chosen = choose(&files, &named(&["b/vae.safetensors"], &["a*fp8*"])).unwrap();
        let chosen: Vec<&str> = chosen.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(chosen, ["a/x_fp8.safetensors", "b/vae.safetensors"]);

        let error = choose(&files, &Choice::Engine).unwrap_err().to_string();
        assert!(error.contains("name files with --file"), "{error}");
        assert!(error.contains("\n  a/x_fp16.safetensors  2.84 GB\n"), "{error}");
        assert!(!error.contains("README"), "{error}");
        let error = choose(&files, &named(&["vae.safetensors"], &[]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("b/vae.safetensors"), "{error}");
        let error = choose(&files, &named(&[], &["*.gguf"])).unwrap_err().to_string();
        assert_eq!(error, "no file of it matches \"*.gguf\"");
    }
}

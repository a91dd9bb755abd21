//! A checkpoint told to people: what it is, what it does, what it takes.

use kinora_wan::{Capabilities, ExpertName, LoraOptions, Pipeline, Quantization, capabilities::Family};

use super::WanOptions;

/// Facts by their names, in the order in which they are asked.
pub(super) fn describe(name: &str, pipeline: &Pipeline, options: &WanOptions) -> Vec<(&'static str, String)> {
    let (capabilities, weights_bytes) = (pipeline.capabilities(), pipeline.weights_bytes());
    let defaults = &capabilities.defaults;
    let guidance = defaults.guidance;
    let mut facts = vec![("name", name.to_owned())];
    facts.extend(capabilities.about.clone().map(|about| ("about", about)));
    facts.extend([
        ("family", family(capabilities.family).to_owned()),
        ("starts from", capabilities.conditionings.join(", ")),
        ("frame", sizes(capabilities)),
        (
            "clip",
            format!(
                "{} frames at {} a second at once",
                defaults.num_frames, defaults.fps
            ),
        ),
        ("steps", defaults.steps.to_string()),
        ("shift", defaults.shift.to_string()),
        (
            "guidance",
            if guidance.high_noise == guidance.low_noise {
                guidance.high_noise.to_string()
            } else {
                format!(
                    "{} at high noise, {} at low",
                    guidance.high_noise, guidance.low_noise
                )
            },
        ),
        (
            "prompts",
            if capabilities.prompt_expansion {
                "expanded where the configuration has it"
            } else {
                "as they are"
            }
            .to_owned(),
        ),
        ("weights", format!("{:.1} MB", weights_bytes as f64 / 1e6)),
        (
            "in memory",
            if pipeline.keeps_all() {
                "all parts"
            } else {
                "one part at a time: all of them are more than engine.memory_mib"
            }
            .to_owned(),
        ),
        ("quality", quality(options)),
    ]);
    let timesteps = match options.timesteps.is_empty() {
        true => &defaults.timesteps,
        false => &options.timesteps,
    };
    if !timesteps.is_empty() {
        let listed: Vec<String> = timesteps.iter().map(f64::to_string).collect();
        facts.push(("timesteps", listed.join(", ")));
    }
    match options.quantization {
        Quantization::None => {}
        Quantization::Bf16 => facts.push((
            "quantization",
            "bf16, in the transformers' blocks and the VAE".to_owned(),
        )),
        Quantization::Int8 => facts.push(("quantization", "int8, in the transformers' blocks".to_owned())),
    }
    facts.extend(options.loras.iter().map(|options| ("LoRA", lora(options))));
    if options.checkpoint.is_some() {
        facts.extend(
            pipeline
                .files()
                .iter()
                .map(|path| ("file", path.display().to_string())),
        );
    }
    facts
}

/// The tier, and what is left out.
fn quality(options: &WanOptions) -> String {
    let tier = options.quality.as_str();
    match options.step_cache() {
        None => format!("{tier}: every step is computed"),
        Some(threshold) => {
            format!("{tier}: steps within {threshold} of the last one are carried over (step_cache)")
        }
    }
}

fn lora(options: &LoraOptions) -> String {
    let LoraOptions { path, scale, expert } = options;
    let expert = match expert {
        None => "",
        Some(ExpertName::HighNoise) => ", at high noise",
        Some(ExpertName::LowNoise) => ", at low noise",
    };
    format!("{} at {scale}{expert}", path.display())
}

fn sizes(capabilities: &Capabilities) -> String {
    let defaults = &capabilities.defaults;
    let multiple = capabilities.size_multiple;
    if defaults.sizes.is_empty() {
        return format!("about {} pixels, sides multiples of {multiple}", defaults.area);
    }
    let sizes: Vec<String> = defaults.sizes.iter().map(|[x, y]| format!("{x}x{y}")).collect();
    sizes.join(", ")
}

fn family(family: Family) -> &'static str {
    match family {
        Family::Text => "text: the prompt is all there is",
        Family::Inpaint { .. } => "inpaint: known frames stand beside the noise",
        Family::KnownTokens => "known tokens: known frames stand in place of the noise",
        Family::Vace => "VACE: a second stack reads a control clip",
        Family::Sources => "sources: clips and pictures are attended to",
    }
}

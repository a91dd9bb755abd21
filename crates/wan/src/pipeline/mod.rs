//! A loaded checkpoint, and what it is for: [`Pipeline::load`], [`Pipeline::generate`].

mod parts;

mod prompts;

mod observer;

mod refuse;

mod denoise;

use std::ops::ControlFlow;
use std::path::Path;

use kinora_tensor::Device;
use kinora_tensor::Tensor;

use self::denoise::Contexts;
use self::denoise::Experts;
use self::denoise::Walk;
use self::observer::Observer;
use self::parts::Part;
use self::prompts::Prompts;
use crate::capabilities::Capabilities;
use crate::capabilities::Family;
use crate::capabilities::ImageBranch;
use crate::conditioning;
use crate::conditioning::Encode;
use crate::conditioning::Known;
use crate::conditioning::VaeScale;
use crate::conditioning::Warning;
use crate::config;
use crate::config::DitConfig;
use crate::config::ImageConfig;
use crate::config::PipelineConfig;
use crate::config::SamplingConfig;
use crate::config::TextConfig;
use crate::config::VaeConfig;
use crate::dit::Dit;
use crate::error::GenerateError;
use crate::error::Halt;
use crate::error::LoadError;
use crate::frame;
use crate::frame::FrameRgb;
use crate::image_context::ImageEncoder;
use crate::progress::Progress;
use crate::progress::Stage;
use crate::request::Request;
use crate::text::TextEncoder;
use crate::tokenizer::Tokenizer;
use crate::vae::Statistics;
use crate::vae::Tiling;
use crate::vae::VaeDecoder;
use crate::vae::VaeEncoder;
use crate::vae::Watch;
use crate::vae::encode_tiled;
use crate::vae::tiling;

/// How a checkpoint is loaded.
#[derive(Clone)]
pub struct LoadOptions {
    /// Where numbers are computed.
    pub device: Device,
    /// About how much memory weights and the VAE may take; None for as much as it takes. Below the size of all weights one part is
    /// kept at a time; below what decoding takes, frames are decoded in tiles.
    pub memory_budget: Option<u64>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            device: Device::cpu(),
            memory_budget: None,
        }
    }
}

/// A checkpoint, ready to generate.
pub struct Pipeline {
    device: Device,
    capabilities: Capabilities,
    sampling: SamplingConfig,
    vae: VaeConfig,
    prompts: Prompts,
    image_encoder: Option<Part<ImageEncoder>>,
    experts: Experts,
    encoder: Part<VaeEncoder>,
    decoder: Part<VaeDecoder>,
    statistics: Statistics,
    residence: Residence,
    memory_budget: Option<u64>,
}

/// Workers move pipelines from thread to thread.
const _: () = {
    const fn moves<T: Send>() {}
    moves::<Pipeline>()
};

/// Which parts stay in memory after use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Residence {
    /// All, but never two experts.
    All,
    /// The one that is in use.
    One,
}

/// What a generation leaves beside its frames.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The latents `[F, H, W, Z]` of the frames.
    pub latents: Tensor,
    /// How many of the first frames were given with the request.
    pub known_frames: usize,
    /// What was done differently from what one might expect.
    pub warnings: Vec<Warning>,
}

impl Pipeline {
    /// Reads a folder as diffusers writes it, checks every tensor of every part, and derives what the checkpoint can do. The large
    /// weights are read when they are first needed.
    pub fn load(path: impl AsRef<Path>, options: LoadOptions) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let LoadOptions {
            device,
            memory_budget,
        } = options;
        let pipeline: PipelineConfig = config::read_json(&path.join("model_index.json"))?;
        let sampling = SamplingConfig::read(&path.join("scheduler/scheduler_config.json"))?;
        let vae = VaeConfig::read(&path.join("vae/config.json"))?;
        let dit = DitConfig::read(&path.join("transformer/config.json"))?;
        let text: TextConfig = config::read_json(&path.join("text_encoder/config.json"))?;
        let family = Family::of(&pipeline, &dit, &vae).ok_or_else(|| LoadError::Unsupported {
            path: path.into(),
            what: format!("a transformer of {} channels beside this VAE", dit.in_channels),
        })?;
        let tokenizer = Tokenizer::load(&path.join("tokenizer/tokenizer.json"))?;
        check_text(path, &tokenizer, &text, &dit)?;

        let prompts = Prompts::new(tokenizer, part(path, "text_encoder", text, TextEncoder::load));
        let image_encoder = load_image_encoder(path, family, &dit)?;
        let experts = load_experts(path, &pipeline, &dit)?;
        let encoder = part(path, "vae", vae.clone(), VaeEncoder::load);
        let decoder = part(path, "vae", vae.clone(), VaeDecoder::load);
        let bytes = prompts.encoder.check()?
            + image_encoder.as_ref().map(Part::check).transpose()?.unwrap_or(0)
            + experts.check()?
            + parts::check(&path.join("vae"), |w| {
                VaeEncoder::load(w, &vae)?;
                VaeDecoder::load(w, &vae).map(drop)
            })?;
        let statistics = Statistics::new(&device, &vae).map_err(|source| LoadError::Weights {
            path: path.join("vae"),
            source: source.into(),
        })?;
        Ok(Self {
            capabilities: Capabilities::of(family, &pipeline, &sampling, &dit, &vae),
            residence: if memory_budget.is_some_and(|budget| budget < bytes) {
                Residence::One
            } else {
                Residence::All
            },
            device,
            sampling,
            vae,
            prompts,
            image_encoder,
            experts,
            encoder,
            decoder,
            statistics,
            memory_budget,
        })
    }

    /// What this checkpoint can do.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// From a prompt to frames, which are handed over as the VAE yields them. `observe` hears of every block and may stop.
    pub fn generate(
        &mut self,
        request: &Request,
        frames: &mut dyn FnMut(FrameRgb),
        observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Outcome, GenerateError> {
        refuse::check(request, &self.capabilities)?;
        if self.residence == Residence::One {
            self.free();
        }
        let observer = &mut Observer::new(observe);
        let contexts = self.encode_prompts(request, observer)?;
        let known = self.prepare(request, observer)?;
        let latents = self.denoise(request, &contexts, &known, observer)?;
        self.decode(&latents, frames, observer)?;
        Ok(Outcome {
            latents,
            known_frames: known.frames,
            warnings: [contexts.warnings, known.warnings].concat(),
        })
    }

    /// Lets go of all weights; they are read again when they are needed.
    pub fn free(&mut self) {
        self.prompts.encoder.free();
        self.image_encoder.as_mut().into_iter().for_each(Part::free);
        self.experts.free();
        self.encoder.free();
        self.decoder.free();
    }

    fn encode_prompts(
        &mut self,
        request: &Request,
        observer: &mut Observer<'_>,
    ) -> Result<Contexts, GenerateError> {
        let is_guided = request.guidance.is_on();
        if !self.prompts.encoder.is_live() && !self.prompts.knows(&request.prompt) {
            observer.at(Stage::Load, 0, 1)?;
        }
        let steps = 1 + usize::from(is_guided);
        let mut encode = |step: usize, prompt: &str, field: &'static str| {
            observer.at(Stage::EncodeText, step, steps)?;
            let mut observe = |share: f32| observer.within(Stage::EncodeText, step, steps, share);
            self.prompts.context(&self.device, prompt, field, &mut observe)
        };
        let positive = encode(0, &request.prompt, "prompt")?;
        let negative = if is_guided {
            Some(encode(1, &request.negative_prompt, "negative_prompt")?)
        } else {
            None
        };
        if self.residence == Residence::One {
            self.prompts.encoder.free();
        }
        let cut = [
            ("prompt", Some(&positive)),
            ("negative_prompt", negative.as_ref()),
        ]
        .into_iter();
        let cut = cut.filter(|(_, context)| context.is_some_and(|context| context.is_cut));
        Ok(Contexts {
            warnings: cut.map(|(field, _)| Warning::LongPrompt { field }).collect(),
            positive: positive.states,
            negative: negative.map(|negative| negative.states),
        })
    }

    fn prepare(&mut self, request: &Request, observer: &mut Observer<'_>) -> Result<Known, GenerateError> {
        let scale = VaeScale {
            space: self.vae.scale_factor_spatial,
            time: self.vae.scale_factor_temporal,
        };
        let mut encode = Encoders {
            device: &self.device,
            vae: &mut self.encoder,
            image: self.image_encoder.as_mut(),
            statistics: &self.statistics,
            scale: scale.space,
            budget: self.memory_budget,
            observer,
        };
        let known = conditioning::prepare(
            &self.device,
            self.capabilities.family,
            request,
            scale,
            &mut encode,
        )?;
        if self.residence == Residence::One {
            self.encoder.free();
            self.image_encoder.as_mut().into_iter().for_each(Part::free);
        }
        Ok(known)
    }

    /// `[F, H, W, Z]`, without the latents of references.
    fn denoise(
        &mut self,
        request: &Request,
        contexts: &Contexts,
        known: &Known,
        observer: &mut Observer<'_>,
    ) -> Result<Tensor, GenerateError> {
        let clip = self.vae.latent_frames(request.num_frames);
        let space = self.vae.scale_factor_spatial;
        let shape = [
            known.leading + clip,
            request.height / space,
            request.width / space,
            self.vae.z_dim,
        ];
        let noise = denoise::noise(&self.device, &request.noise, shape)?;
        let walk = Walk {
            device: &self.device,
            family: self.capabilities.family,
            request,
            contexts,
            known,
        };
        let latents = walk.run(&mut self.experts, self.sampling, noise, observer)?;
        if self.residence == Residence::One {
            self.experts.free();
        }
        latents
            .slice(0, known.leading..known.leading + clip)
            .map_err(|error| Halt::Tensor(error).at(Stage::Denoise))
    }

    fn decode(
        &mut self,
        latents: &Tensor,
        frames: &mut dyn FnMut(FrameRgb),
        observer: &mut Observer<'_>,
    ) -> Result<(), GenerateError> {
        let decoder = self.decoder.get(&self.device).map_err(GenerateError::Load)?;
        let plan = Decode {
            decoder,
            statistics: &self.statistics,
            budget: self.memory_budget,
        };
        let done = plan
            .run(latents, frames, observer)
            .map_err(|halt| halt.at(Stage::Decode));
        if self.residence == Residence::One {
            self.decoder.free();
        }
        done
    }
}

/// Frames and pictures to what the DiT takes.
struct Encoders<'a, 'o> {
    device: &'a Device,
    vae: &'a mut Part<VaeEncoder>,
    image: Option<&'a mut Part<ImageEncoder>>,
    statistics: &'a Statistics,
    /// Pixels per latent.
    scale: usize,
    budget: Option<u64>,
    observer: &'a mut Observer<'o>,
}

impl Encode for Encoders<'_, '_> {
    fn latents(&mut self, clip: &Tensor) -> Result<Tensor, GenerateError> {
        let encoder = self.vae.get(self.device).map_err(GenerateError::Load)?;
        let mut go_on = || self.observer.within(Stage::EncodeFrames, 0, 1, 0.0);
        let [_, rows, columns, _] = *clip.dims() else {
            unreachable!("clips are [T, Y, X, 3]");
        };
        let bytes = |rows, columns| encoder.bytes(rows, columns);
        let watch = &mut Watch(&mut go_on);
        let encoded = match Tiling::within(bytes, rows / self.scale, columns / self.scale, self.budget) {
            Some(tiling) => encode_tiled(encoder, clip, self.scale, tiling, watch),
            None => encoder.encode(clip, watch),
        };
        encoded
            .and_then(|latents| Ok(self.statistics.normalize(&latents)?))
            .map_err(|halt| halt.at(Stage::EncodeFrames))
    }

    fn states(&mut self, pictures: &[&FrameRgb]) -> Result<Tensor, GenerateError> {
        let part = self
            .image
            .as_mut()
            .expect("models with a picture branch are loaded with an image encoder");
        let encoder = part.get(self.device).map_err(GenerateError::Load)?;
        let states: Result<Vec<Tensor>, _> =
            pictures.iter().map(|picture| encoder.forward(picture)).collect();
        states
            .and_then(|states| Tensor::concat(&states.iter().collect::<Vec<_>>(), 0))
            .map_err(|error| Halt::Tensor(error).at(Stage::EncodeFrames))
    }
}

/// Latents to frames: as they come where memory allows it, in tiles otherwise.
struct Decode<'a> {
    decoder: &'a VaeDecoder,
    statistics: &'a Statistics,
    budget: Option<u64>,
}

impl Decode<'_> {
    fn run(
        &self,
        latents: &Tensor,
        frames: &mut dyn FnMut(FrameRgb),
        observer: &mut Observer<'_>,
    ) -> Result<(), Halt> {
        let latents = self.statistics.denormalize(latents)?;
        let [steps, rows, columns, _] = *latents.dims() else {
            unreachable!("latents are [F, H, W, Z]");
        };
        if let Some(tiling) = Tiling::within(
            |rows, columns| self.decoder.bytes(rows, columns),
            rows,
            columns,
            self.budget,
        ) {
            let share = std::cell::Cell::new(0.0);
            let mut go_on = || observer.within(Stage::Decode, 0, 1, share.get());
            let clip = tiling::decode(
                self.decoder,
                &latents,
                tiling,
                &mut Watch(&mut go_on),
                &mut |done| share.set(done),
            )?;
            frame::from_clip(&clip)?.into_iter().for_each(frames);
            return Ok(());
        }
        let mut decoding = self.decoder.start();
        for step in 0..steps {
            let mut go_on = || observer.within(Stage::Decode, step, steps, 0.0);
            let clip = decoding.push(&latents.slice(0, step..step + 1)?, &mut Watch(&mut go_on))?;
            frame::from_clip(&clip)?.into_iter().for_each(&mut *frames);
        }
        Ok(())
    }
}

/// A part in its folder.
fn part<M: 'static, C: Send + 'static>(
    path: &Path,
    name: &str,
    config: C,
    load: fn(&crate::weights::Weights, &C) -> Result<M, crate::weights::WeightsError>,
) -> Part<M> {
    Part::new(path.join(name), move |weights| load(weights, &config))
}

fn load_image_encoder(
    path: &Path,
    family: Family,
    dit: &DitConfig,
) -> Result<Option<Part<ImageEncoder>>, LoadError> {
    let Family::Inpaint {
        image: ImageBranch::Pictures | ImageBranch::FirstAndLast,
    } = family
    else {
        return Ok(None);
    };
    let file = path.join("image_encoder/config.json");
    let config: ImageConfig = config::read_json(&file)?;
    if config.hidden_act != "gelu" {
        let what = format!("the activation {}", config.hidden_act);
        return Err(LoadError::Unsupported { path: file, what });
    }
    let tokens = (config.image_size / config.patch_size.max(1)).pow(2) + 1;
    let mismatch = |what: String| {
        Err(LoadError::Mismatch {
            path: path.into(),
            what,
        })
    };
    if dit.image_dim != Some(config.hidden_size) {
        return mismatch(format!(
            "the image encoder is {} wide, the transformer wants {:?}",
            config.hidden_size, dit.image_dim
        ));
    }
    if dit
        .pos_embed_tokens
        .is_some_and(|positions| positions != 2 * tokens)
    {
        return mismatch(format!(
            "two pictures are {} tokens, the transformer has positions for {:?}",
            2 * tokens,
            dit.pos_embed_tokens
        ));
    }
    Ok(Some(part(path, "image_encoder", config, ImageEncoder::load)))
}

fn load_experts(path: &Path, pipeline: &PipelineConfig, dit: &DitConfig) -> Result<Experts, LoadError> {
    let second = path.join("transformer_2/config.json");
    let high = part(path, "transformer", dit.clone(), Dit::load);
    match pipeline.boundary_ratio {
        None => Ok(Experts::Single(high)),
        Some(ratio) => {
            let low = DitConfig::read(&second)?;
            if low != *dit {
                let what = "the two experts are of different shapes".into();
                return Err(LoadError::Mismatch {
                    path: path.into(),
                    what,
                });
            }
            let boundary = ratio * crate::sampling::TIMESTEPS;
            Ok(Experts::HighLow {
                high,
                low: part(path, "transformer_2", low, Dit::load),
                boundary,
            })
        }
    }
}

fn check_text(
    path: &Path,
    tokenizer: &Tokenizer,
    text: &TextConfig,
    dit: &DitConfig,
) -> Result<(), LoadError> {
    let mismatch = |what: String| {
        Err(LoadError::Mismatch {
            path: path.into(),
            what,
        })
    };
    if tokenizer.vocabulary() > text.vocab_size {
        return mismatch(format!(
            "the tokenizer knows {} tokens, the text encoder {}",
            tokenizer.vocabulary(),
            text.vocab_size
        ));
    }
    if text.d_model != dit.text_dim {
        return mismatch(format!(
            "the text encoder is {} wide, the transformer wants {}",
            text.d_model, dit.text_dim
        ));
    }
    Ok(())
}

//! A loaded checkpoint, and what it is for: [`Pipeline::load`], [`Pipeline::generate`].

mod parts;

mod prompts;

mod observer;

mod refuse;

mod experts;

mod denoise;

mod frames;

mod load;

use std::ops::ControlFlow;
use std::path::Path;
use std::path::PathBuf;

use kinora_tensor::Device;
use kinora_tensor::Tensor;

use self::denoise::Contexts;
use self::denoise::Glimpse;
use self::denoise::Walk;
use self::experts::Experts;
use self::frames::Decode;
use self::frames::Encoders;
use self::load::check_text;
use self::load::load_experts;
use self::load::load_image_encoder;
use self::load::part;
use self::observer::Observer;
use self::parts::Part;
use self::prompts::Prompts;
use crate::assembly::Assembly;
use crate::assembly::Source;
use crate::capabilities::Capabilities;
use crate::conditioning;
use crate::conditioning::Known;
use crate::conditioning::VaeScale;
use crate::conditioning::Warning;
use crate::config::SamplingConfig;
use crate::config::VaeConfig;
use crate::error::GenerateError;
use crate::error::Halt;
use crate::error::LoadError;
use crate::files::Files;
use crate::frame::FrameRgb;
use crate::image_context::ImageEncoder;
use crate::lora::LoraOptions;
use crate::precision::Quantization;
use crate::progress::Progress;
use crate::progress::Stage;
use crate::request::Request;
use crate::text::TextEncoder;
use crate::vae::Statistics;
use crate::vae::VaeDecoder;
use crate::vae::VaeEncoder;

/// How a checkpoint is loaded.
#[derive(Clone)]
pub struct LoadOptions {
    /// Where numbers are computed.
    pub device: Device,
    /// About how much memory weights and the VAE may take; None for as much as it takes. Below the size of all weights one part is
    /// kept at a time; below the size of a part its blocks are streamed from its files; below what decoding takes, frames are decoded in
    /// tiles.
    pub memory_budget: Option<u64>,
    /// Changes to merge into the transformers.
    pub loras: Vec<LoraOptions>,
    /// What the matrices of the transformers' blocks, LoRAs merged, and the VAE's convolutions are multiplied in; and, where they are stored
    /// in bf16, the matrices of the text encoder's blocks.
    pub quantization: Quantization,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            device: Device::cpu(),
            memory_budget: None,
            loras: Vec::new(),
            quantization: Quantization::None,
        }
    }
}

/// A checkpoint, ready to generate.
pub struct Pipeline {
    device: Device,
    capabilities: Capabilities,
    weights_bytes: u64,
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
    /// How many steps were spared by the step cache.
    pub cached_steps: usize,
    /// What was done differently from what one might expect.
    pub warnings: Vec<Warning>,
}

impl Pipeline {
    /// Reads a folder or file: see [`Pipeline::open`].
    pub fn load(path: impl AsRef<Path>, options: LoadOptions) -> Result<Self, LoadError> {
        Self::open(&Files::Path(path.as_ref().into()), options)
    }

    /// Finds the parts of a checkpoint, checks every tensor of every part, and derives what it can do. The large weights are read when
    /// they are first needed.
    pub fn open(files: &Files, options: LoadOptions) -> Result<Self, LoadError> {
        let LoadOptions {
            device,
            memory_budget,
            loras,
            quantization,
        } = options;
        let Assembly {
            root,
            family,
            pipeline,
            sampling,
            card,
            tokenizer,
            text,
            vae,
            dit,
            low,
            image,
        } = Assembly::of(files)?;
        check_text(&root, &tokenizer, &text.config, &dit.config)?;
        let capabilities = Capabilities::of(family, &pipeline, &sampling, &dit.config, &vae.config, card);

        let text = part(&text.source, text.config, TextEncoder::load).with_quantization(quantization);
        let mut prompts = Prompts::new(tokenizer, text);
        let mut image_encoder = load_image_encoder(&root, image, &dit.config)?;
        let mut experts = load_experts(&root, &pipeline, dit, low, &loras)?.with_quantization(quantization);
        let encoder = part(&vae.source, vae.config.clone(), VaeEncoder::load).with_quantization(quantization);
        let decoder = part(&vae.source, vae.config.clone(), VaeDecoder::load).with_quantization(quantization);
        let image = image_encoder.as_mut().map(|part| part.check(memory_budget));
        let bytes = prompts.encoder.check(memory_budget)?
            + image.transpose()?.unwrap_or(0)
            + experts.check(memory_budget)?
            + parts::check(&vae.source, |w| {
                VaeEncoder::load(w, &vae.config)?;
                VaeDecoder::load(w, &vae.config).map(drop)
            })?
            .bytes;
        let statistics = Statistics::new(&device, &vae.config).map_err(|source| LoadError::Weights {
            path: vae.source.path(),
            source: source.into(),
        })?;
        Ok(Self {
            capabilities,
            residence: if memory_budget.is_some_and(|budget| budget < bytes) {
                Residence::One
            } else {
                Residence::All
            },
            weights_bytes: bytes,
            device,
            sampling,
            vae: vae.config,
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

    /// What its weights take in memory, in bytes.
    pub fn weights_bytes(&self) -> u64 {
        self.weights_bytes
    }

    /// Whether all parts stay in memory, one of two transformers at a time. Else one part does.
    pub fn keeps_all(&self) -> bool {
        self.residence == Residence::All
    }

    /// Reads all weights, and refuses numbers that are not finite. Loading has checked names and shapes already.
    pub fn check_numbers(&self) -> Result<(), LoadError> {
        self.sources().iter().try_for_each(parts::check_numbers)
    }

    /// Where its weights are: the text encoder, the transformers, the VAE, the image encoder.
    pub fn files(&self) -> Vec<PathBuf> {
        self.sources().iter().map(Source::path).collect()
    }

    fn sources(&self) -> Vec<Source> {
        let mut sources = vec![self.prompts.encoder.source().clone()];
        sources.extend(self.experts.sources());
        sources.push(self.decoder.source().clone());
        sources.extend(self.image_encoder.as_ref().map(|part| part.source().clone()));
        sources
    }

    /// From a prompt to frames, which are handed over as the VAE yields them. `observe` hears of every block and may stop.
    pub fn generate(
        &mut self,
        request: &Request,
        frames: &mut dyn FnMut(FrameRgb),
        observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Outcome, GenerateError> {
        self.generate_with_previews(request, frames, observe, None)
    }

    /// As [`Pipeline::generate`]; `preview` is shown what the middle of the clip looks like, up to eight times while it is
    /// denoised. Not where only one part is in memory at a time.
    pub fn generate_with_previews(
        &mut self,
        request: &Request,
        frames: &mut dyn FnMut(FrameRgb),
        observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
        preview: Option<&mut dyn Preview>,
    ) -> Result<Outcome, GenerateError> {
        refuse::check(request, &self.capabilities)?;
        if self.residence == Residence::One {
            self.free();
        }
        let done = self.run_stages(request, frames, &mut Observer::new(observe), preview);
        self.device.backend().trim();
        done
    }

    fn run_stages(
        &mut self,
        request: &Request,
        frames: &mut dyn FnMut(FrameRgb),
        observer: &mut Observer<'_>,
        preview: Option<&mut dyn Preview>,
    ) -> Result<Outcome, GenerateError> {
        let contexts = self.encode_prompts(request, observer)?;
        let known = self.prepare(request, observer)?;
        self.device.backend().trim();
        let (latents, cached_steps) = self.denoise(request, &contexts, &known, observer, preview)?;
        self.device.backend().trim();
        self.decode(&latents, frames, observer)?;
        Ok(Outcome {
            latents,
            known_frames: known.frames,
            cached_steps,
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
        preview: Option<&mut dyn Preview>,
    ) -> Result<(Tensor, usize), GenerateError> {
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
        let preview = preview.filter(|_| self.residence == Residence::All);
        let mut glimpse = preview.map(|preview| Glimpses {
            preview,
            decoder: &mut self.decoder,
            statistics: &self.statistics,
            device: &self.device,
            frame: known.leading + clip / 2,
            space,
        });
        let glimpse = glimpse.as_mut().map(|glimpse| glimpse as &mut dyn Glimpse);
        let (latents, spared) = walk.run(&mut self.experts, self.sampling, noise, observer, glimpse)?;
        if self.residence == Residence::One {
            self.experts.free();
        }
        let latents = latents
            .slice(0, known.leading..known.leading + clip)
            .map_err(|error| Halt::Tensor(error).at(Stage::Denoise))?;
        Ok((latents, spared))
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

/// Whoever looks at a clip while it is made.
pub trait Preview {
    /// Whether a picture is wanted now, and of how many pixels on its longer side at most: where the clip has more, it is
    /// made from fewer latents.
    fn wanted(&mut self) -> Option<usize>;
    /// Takes a picture.
    fn show(&mut self, picture: FrameRgb);
}

/// Latents on their way, as pictures for whoever looks.
struct Glimpses<'a> {
    preview: &'a mut dyn Preview,
    decoder: &'a mut Part<VaeDecoder>,
    statistics: &'a Statistics,
    device: &'a Device,
    /// Which latent frame is shown.
    frame: usize,
    /// Pixels per latent.
    space: usize,
}

impl Glimpse for Glimpses<'_> {
    fn look(
        &mut self,
        ahead: &mut dyn FnMut() -> Result<Tensor, GenerateError>,
    ) -> Result<(), GenerateError> {
        let Some(side) = self.preview.wanted() else {
            return Ok(());
        };
        let latents = ahead()?;
        let decoder = self.decoder.get(self.device).map_err(GenerateError::Load)?;
        let picture = latents
            .slice(0, self.frame..self.frame + 1)
            .and_then(|latents| frames::shrunk(&latents, side / self.space))
            .map_err(Halt::Tensor)
            .and_then(|latents| frames::picture(decoder, self.statistics, &latents));
        self.preview
            .show(picture.map_err(|halt| halt.at(Stage::Denoise))?);
        Ok(())
    }
}

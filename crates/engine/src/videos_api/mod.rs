//! Any server that speaks the OpenAI shape of videos, `/v1/videos`: vLLM-Omni, SGLang-Diffusion, another Kinora.
//!
//! Such a server runs one model and does not say what it can do, so the operator does: [`VideosApiOptions`] becomes the
//! offer. A request is a multipart form with the frame or clip it starts from as a file, so that nothing of ours
//! must be reachable. What a server does not know in a form it passes over.

mod answer;

use std::{fs, ops::ControlFlow, path::Path, time::Duration};

use kinora_domain::{
    AspectRatio, Feature, FeatureOffer, FrameSize, GenerationSpec, Member, Offer, OfferId, Resolution, Start,
    Workflow,
};
use kinora_media::{
    fetch::{FetchError, Fetcher},
    sniff::Format,
};
use reqwest::{
    Method,
    multipart::{Form, Part},
};

use crate::{
    ClipSink, Engine, EngineError, EngineProgress, Halt, Inputs, Made, OpenUpstreamError, Secret,
    upstream::{
        http::{Answer, CallError, Caller},
        media,
        task::{Done, Look, NotSubmitted, RESULT_BYTES_MAX, Service, carry},
    },
};

/// A server of videos.
pub struct VideosApi {
    offer: Offer,
    service: Server,
}

/// Where the server is, and what its model can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideosApiOptions {
    /// The offer's name; clients see it.
    pub name: String,
    /// What clients are told of it.
    pub about: String,
    /// The server's address, without `/v1/videos`.
    pub url: String,
    /// The key there, where it wants one.
    pub key: Secret,
    /// The model's name there; empty takes the server's own.
    pub model: String,
    /// What a clip can start from: text, a first frame, a clip to edit.
    pub starts: Vec<Start>,
    /// The sizes it makes; the nearest in ratio is asked for, and the clip scaled. None asks for the size of the result.
    pub sizes: Vec<FrameSize>,
    /// The longest clip, in seconds.
    pub duration_s_max: u8,
    /// Frames a second to ask for; none leaves it to the server.
    pub fps: Option<u32>,
    /// How often a video is asked for.
    pub poll: Duration,
    /// How long one question may take.
    pub timeout: Duration,
}

impl VideosApi {
    /// What a clip can start from there.
    pub const STARTS: [Start; 3] = [Start::Text, Start::FirstFrame, Start::ClipToEdit];

    /// Ready to be asked. Nothing is sent yet.
    pub fn open(options: VideosApiOptions, fetcher: Fetcher) -> Result<VideosApi, OpenUpstreamError> {
        Ok(VideosApi {
            offer: offer(&options),
            service: Server {
                caller: Caller::new(&options.url, options.key.clone(), options.timeout, fetcher)?,
                options,
            },
        })
    }
}

fn offer(options: &VideosApiOptions) -> Offer {
    let limits = |feature| {
        let documented = FeatureOffer::documented(feature);
        let starts: Vec<Start> = documented
            .starts
            .iter()
            .copied()
            .filter(|start| options.starts.contains(start) && VideosApi::STARTS.contains(start))
            .collect();
        (!starts.is_empty()).then(|| FeatureOffer {
            starts,
            resolutions: Resolution::ALL.into(),
            aspect_ratios: AspectRatio::ALL.into(),
            duration_s_max: documented.duration_s_max.min(options.duration_s_max),
            reference_images_max: 0,
            reference_videos_max: 0,
            references_max: 0,
            // It is laid under the finished clip, as for every engine that makes pictures only.
            audio_input: documented.audio_input,
            ..documented
        })
    };
    Offer {
        id: OfferId(options.name.clone()),
        about: options.about.clone(),
        features: Feature::ALL.into_iter().filter_map(limits).collect(),
    }
}

impl Engine for VideosApi {
    fn offer(&self) -> &Offer {
        &self.offer
    }

    fn generate(
        &mut self,
        spec: &GenerationSpec,
        inputs: &Inputs,
        clip: &mut dyn ClipSink,
        observe: &mut dyn FnMut(EngineProgress) -> ControlFlow<Halt>,
    ) -> Result<Made, EngineError> {
        carry(&self.service, spec, inputs, clip, observe)
    }
}

struct Server {
    caller: Caller,
    options: VideosApiOptions,
}

impl Service for Server {
    type Order = Form;

    fn caller(&self) -> &Caller {
        &self.caller
    }

    fn poll(&self) -> Duration {
        self.options.poll
    }

    fn prepare(&self, spec: &GenerationSpec, inputs: &Inputs) -> Result<Form, EngineError> {
        let VideosApiOptions { model, fps, .. } = &self.options;
        let FrameSize { width, height } = self.size(inputs.size);
        let seconds = inputs.duration_ms.div_ceil(1000);
        let mut form = Form::new();
        if !model.is_empty() {
            form = form.text("model", model.clone());
        }
        // Every server requires a prompt; a picture alone has nothing to say.
        form = form.text("prompt", spec.prompt.clone().unwrap_or_default());
        if let Some(negative_prompt) = &spec.negative_prompt {
            form = form.text("negative_prompt", negative_prompt.clone());
        }
        form = form.text("seconds", seconds.to_string());
        form = form.text("size", format!("{width}x{height}"));
        form = form.text("seed", inputs.seed.get().to_string());
        if let Some(fps) = fps {
            // Wan models make 4n + 1 frames.
            let num_frames = (seconds * u64::from(*fps)).next_multiple_of(4) + 1;
            form = form.text("fps", fps.to_string());
            form = form.text("num_frames", num_frames.to_string());
        }
        match &spec.workflow {
            Workflow::Image { .. } => {
                let picture = media::jpeg(inputs, media::of(inputs, Member::Image)?)?;
                form = form.part("input_reference", file("first.jpg", "image/jpeg", picture));
            }
            Workflow::Edit { .. } => {
                let clip = media::of(inputs, Member::Video)?;
                let unread = |error: std::io::Error| EngineError::Interrupted {
                    detail: error.to_string(),
                };
                let (name, media_type) = match Format::of_file(&clip.path).map_err(unread)? {
                    Some(Format::Mov) => ("clip.mov", "video/quicktime"),
                    _ => ("clip.mp4", "video/mp4"),
                };
                let bytes = fs::read(&clip.path).map_err(unread)?;
                form = form.part("input_reference", file(name, media_type, bytes));
            }
            Workflow::Text { .. } => {}
            Workflow::FirstLast { .. } | Workflow::Continuation { .. } | Workflow::Reference { .. } => {
                return Err(EngineError::Failed {
                    detail: "the offer has no such start".to_owned(),
                });
            }
        }
        Ok(form)
    }

    fn sent_prompt(&self, _: &Form) -> Option<String> {
        None
    }

    async fn submit(&self, form: Form) -> Result<String, NotSubmitted> {
        let request = self.caller.request(Method::POST, "v1/videos")?.multipart(form);
        answer::submitted(&self.caller.ask(request).await?, self.caller.key())
    }

    async fn look(&self, video: &str) -> Look {
        match self.ask(Method::GET, &format!("v1/videos/{video}")).await {
            Ok(answer) => answer::look(&answer, self.caller.key()),
            Err(error) => Look::Unclear(error.detail()),
        }
    }

    async fn fetch(&self, video: &str, _: &Done, into: &Path) -> Result<(), FetchError> {
        let request = self
            .caller
            .request(Method::GET, &format!("v1/videos/{video}/content"));
        let request = request.map_err(|_| FetchError::Unreachable)?;
        self.caller.download(request, RESULT_BYTES_MAX, into).await
    }

    /// Some servers end the work with this, others only forget it.
    async fn cancel(&self, video: &str) -> Result<(), String> {
        let asked = self.ask(Method::DELETE, &format!("v1/videos/{video}")).await;
        let answer = asked.map_err(CallError::detail)?;
        match answer.status {
            200..300 | 404 => Ok(()),
            _ => Err(answer::said(&answer, self.caller.key())),
        }
    }
}

impl Server {
    async fn ask(&self, method: Method, path: &str) -> Result<Answer, CallError> {
        self.caller.ask(self.caller.request(method, path)?).await
    }

    /// The size to ask for: the nearest in ratio, and of several the nearest in pixels.
    fn size(&self, wanted: FrameSize) -> FrameSize {
        let ratio = |size: &FrameSize| f64::from(size.width) / f64::from(size.height.max(1));
        let pixels = |size: &FrameSize| f64::from(size.width) * f64::from(size.height);
        let distance = |size: &FrameSize| {
            let shape = (ratio(size) / ratio(&wanted)).ln().abs();
            let scale = (pixels(size) / pixels(&wanted)).ln().abs();
            (shape, scale)
        };
        let nearest = self.options.sizes.iter().copied().min_by(|one, other| {
            let ((shape, scale), (other_shape, other_scale)) = (distance(one), distance(other));
            // Ratios within a hundredth look alike.
            match (shape - other_shape).abs() < 0.01 {
                true => scale.total_cmp(&other_scale),
                false => shape.total_cmp(&other_shape),
            }
        });
        nearest.unwrap_or(wanted)
    }
}

/// A file of a form.
fn file(name: &'static str, media_type: &'static str, bytes: Vec<u8>) -> Part {
    Part::bytes(bytes)
        .file_name(name)
        .mime_str(media_type)
        .expect("the media types of this file are ones")
}

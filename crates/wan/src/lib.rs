//! The Wan models and their sampling, from prompt to frames: one pipeline for every task and variant.
//!
//! Read from the outside in: [`pipeline`] loads a checkpoint and generates; [`conditioning`] says what a generation starts from;
//! [`sampling`] walks from noise to latents; [`dit`], [`text`], [`image_context`], [`vace`] and [`vae`] are the networks, each
//! citing its reference; [`config`] holds the variants as data and [`precision`] the number formats.
//!
//! Weights are paths: nothing here reaches a network. Tensors and their ops are [`kinora_tensor`]'s. What a generation costs, who
//! asked for it and how frames become a file is not known here.

pub mod pipeline;

pub mod request;

pub mod capabilities;

pub mod conditioning;

pub mod progress;

pub mod sampling;

pub mod dit;

pub mod vace;

pub mod text;

pub mod tokenizer;

pub mod image_context;

pub mod vae;

pub mod frame;

pub mod files;

mod assembly;

pub mod lora;

pub mod config;

pub mod precision;

pub mod weights;

pub mod blocks;

mod inspect;

mod names;

mod infer;

pub mod error;

pub use crate::capabilities::Capabilities;
pub use crate::conditioning::Warning;
pub use crate::error::GenerateError;
pub use crate::error::LoadError;
pub use crate::files::Embedded;
pub use crate::files::Files;
pub use crate::frame::FrameRgb;
pub use crate::lora::ExpertName;
pub use crate::lora::LoraOptions;
pub use crate::pipeline::LoadOptions;
pub use crate::pipeline::Outcome;
pub use crate::pipeline::Pipeline;
pub use crate::pipeline::Preview;
pub use crate::precision::Quantization;
pub use crate::progress::Progress;
pub use crate::progress::Stage;
pub use crate::request::Conditioning;
pub use crate::request::Noise;
pub use crate::request::Request;
pub use crate::request::Sampling;
pub use crate::sampling::StepCache;
pub use crate::sampling::guidance::Guidance;

//! Weights by the names the reference gives them, each checked for its shape: what models are built from.
//!
//! A model's `load` mirrors the tree of its checkpoint, one [`Weights::at`] per level. Loaded onto an inspecting device
//! ([`crate::inspect`]), it proves a checkpoint's names and shapes without reading its numbers.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use kinora_tensor::Checkpoint;
use kinora_tensor::CheckpointError;
use kinora_tensor::Conv3d;
use kinora_tensor::DType;
use kinora_tensor::Device;
use kinora_tensor::Embedding;
use kinora_tensor::Linear;
use kinora_tensor::Shape;
use kinora_tensor::Tensor;
use kinora_tensor::TensorError;
use kinora_tensor::Weight;
use kinora_tensor::checkpoint::Pages;
use kinora_tensor::ops::Padding;
use thiserror::Error;

use crate::blocks::Placement;
use crate::lora::Loras;
use crate::precision::Quantization;

/// A level of a checkpoint's tree, and the device its weights go to.
#[derive(Clone)]
pub struct Weights {
    checkpoint: Arc<Checkpoint>,
    device: Device,
    loras: Option<Arc<Loras>>,
    quantization: Quantization,
    placement: Placement,
    taken: Arc<Mutex<Taken>>,
    prefix: String,
}

/// What was taken for the block that is being built.
#[derive(Default)]
struct Taken {
    all: Vec<Weight>,
    /// Of matrices that products read as they are stored.
    in_place: Vec<Weight>,
}

/// A weight that is not as the configuration says.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// A tensor is missing, misshaped or left over.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The device refused a weight.
    #[error(transparent)]
    Device(#[from] TensorError),
}

type Result<T> = std::result::Result<T, WeightsError>;

impl Weights {
    /// The root of a checkpoint's tree.
    pub fn new(checkpoint: Arc<Checkpoint>, device: &Device) -> Self {
        Self {
            checkpoint,
            device: device.clone(),
            loras: None,
            quantization: Quantization::None,
            placement: Placement::Resident,
            taken: Arc::default(),
            prefix: String::new(),
        }
    }

    /// The same with these changes merged into them.
    pub(crate) fn with_loras(self, loras: Option<Arc<Loras>>) -> Self {
        Self { loras, ..self }
    }

    /// The same with the matrices of blocks, and convolutions, in this quantisation.
    pub fn with_quantization(self, quantization: Quantization) -> Self {
        Self { quantization, ..self }
    }

    /// What the matrices of blocks are in.
    pub(crate) fn quantization(&self) -> Quantization {
        self.quantization
    }

    /// The same with blocks that are placed so between two uses.
    pub fn with_placement(self, placement: Placement) -> Self {
        Self { placement, ..self }
    }

    /// Where blocks are between two uses.
    pub(crate) fn placement(&self) -> Placement {
        self.placement
    }

    /// Builds a block of the level `name`: it, and the pages that its products read. What was only read to build it is let go of.
    pub(crate) fn block<B>(&self, name: &str, load: impl FnOnce(&Self) -> Result<B>) -> Result<(B, Pages)> {
        let w = Self {
            taken: Arc::default(),
            ..self.at(name)
        };
        let block = load(&w)?;
        let taken = w.taken();
        Pages::of(&taken.all).let_go();
        Ok((block, Pages::of(&taken.in_place)))
    }

    /// The level `name` below this one.
    pub fn at(&self, name: &str) -> Self {
        Self {
            prefix: self.name(name),
            ..self.clone()
        }
    }

    /// Where the weights go.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether there is a tensor `name` on this level.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.checkpoint.entry(&self.name(name)).is_some()
    }

    /// `name.weight` `[outputs, inputs]` and `name.bias`.
    pub(crate) fn linear(&self, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
        self.matrix(name, &[outputs, inputs], true)
    }

    /// The same of a transformer's block, in the quantisation that was asked for.
    pub(crate) fn block_linear(&self, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
        let prepare = match self.quantization {
            Quantization::None => Linear::new,
            Quantization::Bf16 => Linear::bf16,
            Quantization::Int8 => Linear::int8,
        };
        let weight = self.weight(&format!("{name}.weight"), [outputs, inputs])?;
        let bias = self.weight(&format!("{name}.bias"), [outputs])?;
        Ok(self.noted(prepare(&self.device, &weight, Some(&bias))?))
    }

    /// `name.weight` `[outputs, inputs]` of a text encoder's block, alone. In either quantisation it is multiplied in bf16 where it is
    /// stored so, and stays as it is elsewhere: a text encoder is the largest part, and is used once for a prompt, which a copy does not pay
    /// for.
    pub(crate) fn text_linear(&self, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
        let weight = self.weight(&format!("{name}.weight"), [outputs, inputs])?;
        let prepare = match (self.quantization, weight.dtype()) {
            (Quantization::Bf16 | Quantization::Int8, DType::BF16) => Linear::bf16,
            _ => Linear::new,
        };
        Ok(self.noted(prepare(&self.device, &weight, None)?))
    }

    /// A convolution of kernel 1 as the matrix it is; `name.weight` is `[outputs, inputs, 1, …]` of this rank.
    pub(crate) fn pointwise(&self, name: &str, inputs: usize, outputs: usize, rank: usize) -> Result<Linear> {
        let mut shape = vec![1; rank];
        shape[..2].copy_from_slice(&[outputs, inputs]);
        self.matrix(name, &shape, true)
    }

    /// The convolution that cuts latents into patches, as the matrix it is: `[width, channels, p, q, r]`.
    pub(crate) fn patch_embedding(
        &self,
        name: &str,
        channels: usize,
        width: usize,
        [p, q, r]: [usize; 3],
    ) -> Result<Linear> {
        self.matrix(name, &[width, channels, p, q, r], true)
    }

    /// `name.weight` `[outputs, inputs, kernel…]` and `name.bias`; a kernel of two extents is one in space. In bf16 where that was asked
    /// for, else exact.
    pub(crate) fn conv(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
        shape: ConvShape<'_>,
    ) -> Result<Conv3d> {
        let prepare = match self.quantization {
            Quantization::Bf16 => Conv3d::bf16,
            Quantization::None | Quantization::Int8 => Conv3d::new,
        };
        let extents = [&[outputs, inputs], shape.kernel].concat();
        let weight = self.weight(&format!("{name}.weight"), extents.as_slice())?;
        let bias = self.weight(&format!("{name}.bias"), [outputs])?;
        Ok(prepare(
            &self.device,
            &weight,
            Some(&bias),
            shape.stride,
            shape.padding,
        )?)
    }

    /// `name.weight` `[rows, width]`, looked up by id.
    pub(crate) fn embedding(&self, name: &str, rows: usize, width: usize) -> Result<Embedding> {
        let weight = self.weight(&format!("{name}.weight"), [rows, width])?;
        Ok(Embedding::new(&self.device, &weight)?)
    }

    /// `name.weight` and `name.bias` of a norm.
    pub(crate) fn norm(&self, name: &str, width: usize) -> Result<(Tensor, Tensor)> {
        let w = self.at(name);
        Ok((w.vector("weight", width)?, w.vector("bias", width)?))
    }

    /// The vector `name`.
    pub(crate) fn vector(&self, name: &str, width: usize) -> Result<Tensor> {
        self.tensor(name, &[width])
    }

    /// The tensor `name`, widened, on the device.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let weight = self.weight(name, shape)?;
        Ok(Tensor::from_weight(&self.device, &weight)?)
    }

    /// The tensor `name`, widened, on the host.
    pub(crate) fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        Ok(self.weight(name, shape)?.to_f32())
    }

    /// `name.weight` of this shape as the matrix it amounts to, and `name.bias`.
    pub(crate) fn matrix(&self, name: &str, shape: &[usize], has_bias: bool) -> Result<Linear> {
        let outputs = shape[0];
        let weight = self.weight(&format!("{name}.weight"), shape)?;
        let weight = weight.reshape([outputs, shape[1..].iter().product()])?;
        let bias = if has_bias {
            Some(self.weight(&format!("{name}.bias"), [outputs])?)
        } else {
            None
        };
        Ok(self.noted(Linear::new(&self.device, &weight, bias.as_ref())?))
    }

    /// Keeps in mind what products of this matrix read.
    fn noted(&self, matrix: Linear) -> Linear {
        let read = matrix.reads(&self.device).cloned();
        self.taken().in_place.extend(read);
        matrix
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks every tensor from `name` on down as expected although it is not used.
    pub(crate) fn ignore_below(&self, name: &str) {
        let whole = self.name(name);
        let below = format!("{whole}.");
        let names = self.checkpoint.entries().map(|(name, _)| name);
        let ignored: Vec<String> = names
            .filter(|name| *name == whole || name.starts_with(&below))
            .map(str::to_owned)
            .collect();
        ignored.iter().for_each(|name| self.checkpoint.ignore(name));
    }

    /// The tensor `name` of this shape, as stored, or with changes merged into it.
    fn weight(&self, name: &str, shape: impl Into<Shape>) -> Result<Weight> {
        let name = self.name(name);
        let weight = self.checkpoint.weight(&name, shape)?;
        self.taken().all.push(weight.clone());
        match &self.loras {
            Some(loras) => loras.merged(&name, weight),
            None => Ok(weight),
        }
    }

    /// Lets go of the files' pages that were read to build a network of copies.
    pub(crate) fn let_go(&self) {
        Pages::of(&self.taken().all).let_go();
    }

    fn name(&self, name: &str) -> String {
        if self.prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.prefix)
        }
    }
}

/// Kernel, stride and padding of a convolution.
#[derive(Clone, Copy)]
pub(crate) struct ConvShape<'a> {
    /// Time, rows, columns; or rows, columns.
    pub(crate) kernel: &'a [usize],
    /// Time, rows, columns.
    pub(crate) stride: [usize; 3],
    /// Zeros around the input.
    pub(crate) padding: Padding,
}

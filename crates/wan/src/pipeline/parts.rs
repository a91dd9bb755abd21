//! The parts of a checkpoint: checked when the pipeline is loaded, brought into memory when they are needed.

use std::sync::Arc;

use kinora_tensor::Checkpoint;
use kinora_tensor::Device;

use crate::assembly::Source;
use crate::blocks::Placement;
use crate::error::LoadError;
use crate::inspect::Inspector;
use crate::lora::Loras;
use crate::names;
use crate::precision::Quantization;
use crate::weights::Weights;
use crate::weights::WeightsError;

type Build<M> = Box<dyn Fn(&Weights) -> Result<M, WeightsError> + Send>;

/// One network of a checkpoint.
pub(super) struct Part<M> {
    source: Source,
    loras: Option<Arc<Loras>>,
    quantization: Quantization,
    placement: Placement,
    build: Build<M>,
    live: Option<Box<M>>,
}

impl<M> Part<M> {
    pub(super) fn new(
        source: &Source,
        build: impl Fn(&Weights) -> Result<M, WeightsError> + Send + 'static,
    ) -> Self {
        Self {
            source: source.clone(),
            loras: None,
            quantization: Quantization::None,
            placement: Placement::Resident,
            build: Box::new(build),
            live: None,
        }
    }

    /// The same with changes merged into its weights.
    pub(super) fn with_loras(self, loras: Loras) -> Self {
        let loras = (!loras.is_empty()).then(|| Arc::new(loras));
        Self { loras, ..self }
    }

    /// The same with the matrices of its blocks, and its convolutions, in this quantisation.
    pub(super) fn with_quantization(self, quantization: Quantization) -> Self {
        Self { quantization, ..self }
    }

    /// Where its weights are.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Proves that the files hold every tensor of the network in its shape, and no other. Answers with what they take in memory, in
    /// bytes. Above `budget` blocks are going to be streamed; copies of them cannot be, and are refused.
    pub(super) fn check(&mut self, budget: Option<u64>) -> Result<u64, LoadError> {
        let Footprint { bytes, rounded } = check(&self.source, |weights| {
            let weights = weights.clone().with_quantization(self.quantization);
            (self.build)(&weights).map(drop)
        })?;
        let Some(budget) = budget.filter(|budget| bytes > *budget) else {
            return Ok(bytes);
        };
        self.placement = Placement::Streamed;
        let merged = match (&self.loras, self.quantization) {
            (Some(loras), Quantization::None | Quantization::Bf16) => {
                merged_bytes(loras, &self.source.open()?)
            }
            // What was merged goes when it was rounded.
            (Some(_), Quantization::Int8) | (None, _) => 0,
        };
        for (setting, copied) in [("quantization", rounded), ("loras", merged)] {
            if copied > budget {
                return Err(LoadError::Memory {
                    path: self.source.path(),
                    setting,
                    copied,
                    budget,
                });
            }
        }
        Ok(bytes)
    }

    /// The network, brought into memory if it is not there yet.
    pub(super) fn get(&mut self, device: &Device) -> Result<&M, LoadError> {
        let live = match self.live.take() {
            Some(live) => live,
            None => {
                let weights = Weights::new(Arc::new(self.source.open()?), device);
                let weights = weights
                    .with_loras(self.loras.clone())
                    .with_quantization(self.quantization)
                    .with_placement(self.placement);
                let built = (self.build)(&weights);
                Box::new(built.map_err(|source| LoadError::Weights {
                    path: self.source.path(),
                    source,
                })?)
            }
        };
        Ok(self.live.insert(live))
    }

    /// Lets go of the network's memory.
    pub(super) fn free(&mut self) {
        self.live = None;
    }

    /// Whether the network is in memory.
    pub(super) fn is_live(&self) -> bool {
        self.live.is_some()
    }
}

/// What a part takes in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Footprint {
    /// All of it, in bytes.
    pub(super) bytes: u64,
    /// Of these, matrices that are not kept as they are stored.
    rounded: u64,
}

/// What a LoRA makes copies of, in bytes.
fn merged_bytes(loras: &Loras, checkpoint: &Checkpoint) -> u64 {
    let names = checkpoint.entries().map(|(name, _)| name);
    let changed = names.filter(|name| loras.change(name));
    let bytes = changed.filter_map(|name| checkpoint.bytes(name).map(<[u8]>::len));
    bytes.sum::<usize>() as u64
}

/// Builds networks onto a device that computes nothing, and refuses what is missing or left over. Answers with what they take in memory.
pub(super) fn check(
    source: &Source,
    build: impl Fn(&Weights) -> Result<(), WeightsError>,
) -> Result<Footprint, LoadError> {
    let checkpoint = Arc::new(source.open()?);
    let path = source.path();
    let misfit = |source| LoadError::Weights {
        path: path.clone(),
        source,
    };
    let inspector = Arc::new(Inspector::default());
    let device = Device::new(inspector.clone());
    build(&Weights::new(Arc::clone(&checkpoint), &device)).map_err(misfit)?;
    names::tolerate(&checkpoint);
    checkpoint.finish().map_err(|error| misfit(error.into()))?;
    let is_number = |name: &&str| {
        checkpoint
            .entry(name)
            .is_some_and(|entry| entry.stored.dtype().is_some())
    };
    let names = checkpoint.entries().map(|(name, _)| name).filter(is_number);
    let bytes = names.filter_map(|name| checkpoint.bytes(name).map(<[u8]>::len));
    Ok(Footprint {
        bytes: inspector.in_memory(bytes.sum::<usize>() as u64),
        rounded: inspector.rounded(),
    })
}

/// Reads every number of a part, and refuses where one is not finite: damage that names and shapes do not show.
pub(super) fn check_numbers(source: &Source) -> Result<(), LoadError> {
    let checkpoint = source.open()?;
    let path = source.path();
    for (tensor, entry) in checkpoint.entries() {
        // Types that are not computed with are refused where they are needed.
        if entry.stored.dtype().is_none() {
            continue;
        }
        let weight = checkpoint
            .weight_any(tensor)
            .map_err(|source| LoadError::Checkpoint {
                path: path.clone(),
                source,
            })?;
        if !weight.view().is_finite() {
            return Err(LoadError::NotFinite {
                path: checkpoint
                    .file_of(tensor)
                    .map_or_else(|| path.clone(), Into::into),
                tensor: entry.called.clone(),
            });
        }
    }
    Ok(())
}

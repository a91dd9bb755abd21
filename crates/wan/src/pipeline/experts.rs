//! The transformers of a checkpoint, and which of them a timestep asks for.

use kinora_tensor::Device;

use super::parts::Part;
use crate::assembly::Source;
use crate::dit::Dit;
use crate::error::GenerateError;
use crate::error::LoadError;
use crate::lora::ExpertName;
use crate::precision::Quantization;

/// The transformers of a checkpoint, of which one is in memory at a time.
pub(super) enum Experts {
    /// One for all timesteps.
    Single(Part<Dit>),
    /// One above a timestep, one below.
    HighLow {
        /// For much noise.
        high: Part<Dit>,
        /// For little.
        low: Part<Dit>,
        /// The first timestep that is the high-noise expert's.
        boundary: f64,
    },
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expert {
    HighNoise,
    LowNoise,
}

impl Experts {
    /// The same with the matrices of their blocks in this quantisation.
    pub(super) fn with_quantization(self, quantization: Quantization) -> Self {
        match self {
            Experts::Single(part) => Experts::Single(part.with_quantization(quantization)),
            Experts::HighLow { high, low, boundary } => Experts::HighLow {
                high: high.with_quantization(quantization),
                low: low.with_quantization(quantization),
                boundary,
            },
        }
    }

    /// The one for a timestep.
    pub(super) fn at(&self, timestep: f32) -> Expert {
        match self {
            Experts::HighLow { boundary, .. } if f64::from(timestep) < *boundary => Expert::LowNoise,
            _ => Expert::HighNoise,
        }
    }

    /// What an expert is called; nothing where there is no other.
    pub(super) fn name(&self, expert: Expert) -> Option<ExpertName> {
        match (self, expert) {
            (Experts::Single(_), _) => None,
            (Experts::HighLow { .. }, Expert::HighNoise) => Some(ExpertName::HighNoise),
            (Experts::HighLow { .. }, Expert::LowNoise) => Some(ExpertName::LowNoise),
        }
    }

    /// An expert, brought into memory in place of the other.
    pub(super) fn get(&mut self, device: &Device, expert: Expert) -> Result<&Dit, GenerateError> {
        let part = match (self, expert) {
            (Experts::Single(part), _) => part,
            (Experts::HighLow { high, low, .. }, Expert::HighNoise) => {
                low.free();
                high
            }
            (Experts::HighLow { high, low, .. }, Expert::LowNoise) => {
                high.free();
                low
            }
        };
        part.get(device).map_err(GenerateError::Load)
    }

    /// Whether an expert is in memory.
    pub(super) fn is_live(&self, expert: Expert) -> bool {
        match (self, expert) {
            (Experts::Single(part), _) => part.is_live(),
            (Experts::HighLow { high, .. }, Expert::HighNoise) => high.is_live(),
            (Experts::HighLow { low, .. }, Expert::LowNoise) => low.is_live(),
        }
    }

    /// Checks the files of all, and whether their blocks are to be streamed; answers with the size in bytes of the one that is in memory.
    pub(super) fn check(&mut self, budget: Option<u64>) -> Result<u64, LoadError> {
        match self {
            Experts::Single(part) => part.check(budget),
            Experts::HighLow { high, low, .. } => Ok(high.check(budget)?.max(low.check(budget)?)),
        }
    }

    /// Where the weights of all are.
    pub(super) fn sources(&self) -> Vec<Source> {
        match self {
            Experts::Single(part) => vec![part.source().clone()],
            Experts::HighLow { high, low, .. } => vec![high.source().clone(), low.source().clone()],
        }
    }

    /// Lets go of their memory.
    pub(super) fn free(&mut self) {
        match self {
            Experts::Single(part) => part.free(),
            Experts::HighLow { high, low, .. } => {
                high.free();
                low.free();
            }
        }
    }
}

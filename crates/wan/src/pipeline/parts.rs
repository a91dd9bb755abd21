//! The parts of a checkpoint: checked when the pipeline is loaded, brought into memory when they are needed.

use std::sync::Arc;

use kinora_tensor::Device;

use crate::error::LoadError;
use crate::files::Files;
use crate::inspect;
use crate::names;
use crate::weights::Weights;
use crate::weights::WeightsError;

type Build<M> = Box<dyn Fn(&Weights) -> Result<M, WeightsError> + Send>;

/// One network of a checkpoint.
pub(super) struct Part<M> {
    files: Files,
    name: &'static str,
    build: Build<M>,
    live: Option<Box<M>>,
}

impl<M> Part<M> {
    pub(super) fn new(
        files: &Files,
        name: &'static str,
        build: impl Fn(&Weights) -> Result<M, WeightsError> + Send + 'static,
    ) -> Self {
        Self {
            files: files.clone(),
            name,
            build: Box::new(build),
            live: None,
        }
    }

    /// Proves that the files hold every tensor of the network in its shape, and no other. Answers with their size in bytes.
    pub(super) fn check(&self) -> Result<u64, LoadError> {
        check(&self.files, self.name, |weights| (self.build)(weights).map(drop))
    }

    /// The network, brought into memory if it is not there yet.
    pub(super) fn get(&mut self, device: &Device) -> Result<&M, LoadError> {
        let live = match self.live.take() {
            Some(live) => live,
            None => {
                let weights = Weights::new(Arc::new(self.files.weights(self.name)?), device);
                let built = (self.build)(&weights);
                Box::new(built.map_err(|source| LoadError::Weights {
                    path: self.files.path(self.name),
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

/// Builds networks onto a device that computes nothing, and refuses what is missing or left over.
pub(super) fn check(
    files: &Files,
    name: &str,
    build: impl Fn(&Weights) -> Result<(), WeightsError>,
) -> Result<u64, LoadError> {
    let checkpoint = Arc::new(files.weights(name)?);
    let misfit = |source| LoadError::Weights {
        path: files.path(name),
        source,
    };
    build(&Weights::new(Arc::clone(&checkpoint), &inspect::device())).map_err(misfit)?;
    names::tolerate(&checkpoint);
    checkpoint.finish().map_err(|error| misfit(error.into()))?;
    let bytes = checkpoint.entries().filter_map(|(name, entry)| {
        let width = entry.stored.dtype().map_or(0, |dtype| dtype.bytes());
        checkpoint.file_of(name).map(|_| entry.shape.elements() * width)
    });
    Ok(bytes.sum::<usize>() as u64)
}

/// Reads every number of a part, and refuses where one is not finite: damage that names and shapes do not show.
pub(super) fn check_numbers(files: &Files, name: &str) -> Result<(), LoadError> {
    let checkpoint = files.weights(name)?;
    for (tensor, entry) in checkpoint.entries() {
        // Types that are not computed with are refused where they are needed.
        if entry.stored.dtype().is_none() {
            continue;
        }
        let weight = checkpoint
            .weight_any(tensor)
            .map_err(|source| LoadError::Checkpoint {
                path: files.path(name),
                source,
            })?;
        if !weight.view().is_finite() {
            return Err(LoadError::NotFinite {
                path: checkpoint
                    .file_of(tensor)
                    .map_or_else(|| files.path(name), Into::into),
                tensor: tensor.into(),
            });
        }
    }
    Ok(())
}

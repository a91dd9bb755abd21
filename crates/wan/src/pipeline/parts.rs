//! The parts of a checkpoint: checked when the pipeline is loaded, brought into memory when they are needed.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use kinora_tensor::Checkpoint;
use kinora_tensor::Device;

use crate::error::LoadError;
use crate::inspect;
use crate::names;
use crate::weights::Weights;
use crate::weights::WeightsError;

type Build<M> = Box<dyn Fn(&Weights) -> Result<M, WeightsError> + Send>;

/// One network of a checkpoint.
pub(super) struct Part<M> {
    path: PathBuf,
    build: Build<M>,
    live: Option<Box<M>>,
}

impl<M> Part<M> {
    pub(super) fn new(
        path: PathBuf,
        build: impl Fn(&Weights) -> Result<M, WeightsError> + Send + 'static,
    ) -> Self {
        Self {
            path,
            build: Box::new(build),
            live: None,
        }
    }

    /// Proves that the files hold every tensor of the network in its shape, and no other. Answers with their size in bytes.
    pub(super) fn check(&self) -> Result<u64, LoadError> {
        check(&self.path, |weights| (self.build)(weights).map(drop))
    }

    /// The network, brought into memory if it is not there yet.
    pub(super) fn get(&mut self, device: &Device) -> Result<&M, LoadError> {
        let live = match self.live.take() {
            Some(live) => live,
            None => {
                let weights = Weights::new(open(&self.path)?, device);
                let built = (self.build)(&weights);
                Box::new(built.map_err(|source| LoadError::Weights {
                    path: self.path.clone(),
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
    path: &Path,
    build: impl Fn(&Weights) -> Result<(), WeightsError>,
) -> Result<u64, LoadError> {
    let checkpoint = open(path)?;
    let misfit = |source| LoadError::Weights {
        path: path.into(),
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

fn open(path: &Path) -> Result<Arc<Checkpoint>, LoadError> {
    let opened = Checkpoint::open(path).map_err(|source| LoadError::Checkpoint {
        path: path.into(),
        source,
    })?;
    Ok(Arc::new(opened))
}

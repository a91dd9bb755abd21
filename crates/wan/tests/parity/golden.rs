//! Reading goldens, and holding results against them.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use kinora_tensor::Checkpoint;
use kinora_tensor::Device;
use kinora_tensor::Tensor;
use kinora_tensor::testing::difference;
use kinora_wan::weights::Weights;

/// A file of named tensors.
pub(crate) struct Golden {
    checkpoint: Checkpoint,
    device: Device,
}

/// A file in the folder of goldens: the committed ones, or those of cases that nobody picked (`random_parity.py`).
pub(crate) fn path(name: &str) -> PathBuf {
    let committed = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden");
    std::env::var_os("GOLDEN_OUT")
        .map_or_else(committed, PathBuf::from)
        .join(name)
}

/// The weights of a component.
pub(crate) fn weights(file: &str, device: &Device) -> (Arc<Checkpoint>, Weights) {
    let checkpoint = Arc::new(Checkpoint::open(path(file)).unwrap());
    let weights = Weights::new(Arc::clone(&checkpoint), device);
    (checkpoint, weights)
}

impl Golden {
    pub(crate) fn open(file: &str) -> Self {
        Self::open_at(&path(file))
    }

    pub(crate) fn open_at(path: &Path) -> Self {
        Self {
            checkpoint: Checkpoint::open(path).unwrap(),
            device: Device::cpu(),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.checkpoint.entry(name).is_some()
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// The tensor as it is stored.
    pub(crate) fn tensor(&self, name: &str) -> Tensor {
        Tensor::from_weight(&self.device, &self.checkpoint.weight_any(name).unwrap()).unwrap()
    }

    pub(crate) fn numbers(&self, name: &str) -> Vec<f32> {
        self.tensor(name).to_vec().unwrap()
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        self.numbers(name).iter().map(|&number| number as u8).collect()
    }

    pub(crate) fn ids(&self, name: &str) -> Vec<u32> {
        self.numbers(name).iter().map(|&number| number as u32).collect()
    }

    /// A clip or latents, stored `[C, T, Y, X]`, as `[T, Y, X, C]`.
    pub(crate) fn clip(&self, name: &str) -> Tensor {
        self.tensor(name).permute(&[1, 2, 3, 0]).unwrap()
    }
}

/// Fails where `got` differs from `expected` by more than `relative` of the largest magnitude in it.
#[track_caller]
pub(crate) fn check(what: &str, got: &Tensor, expected: &Tensor, relative: f32) {
    assert_eq!(got.dims(), expected.dims(), "{what}: shapes");
    let found = difference(&got.data().unwrap(), &expected.data().unwrap());
    if std::env::var_os("PARITY_REPORT").is_some() {
        println!("{what}: relative {:.2e}, mean {:.2e}", found.relative, found.mean);
    }
    // Both sides round in single precision. Of cases that nobody picked some fall a little outside of what the picked ones keep.
    let slack = if std::env::var_os("GOLDEN_OUT").is_some() {
        4.0
    } else {
        1.0
    };
    assert!(
        found.relative <= relative * slack,
        "{what}: {found:?} exceeds {relative}"
    );
}

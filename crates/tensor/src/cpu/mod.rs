//! The CPU back end: always there, and the definition of every op.
//!
//! Each kernel file holds a `naive` twin that says what the op is in the plainest loops, summing in `f64`, and a `fast` one with
//! the same signature: rayon over blocks, SIMD chosen at run time. [`Kernels`] picks between them for a whole device.
//! Kernels know slices and extents; this file turns tensors into those and owns the memory results are written to.

mod backend;

mod gemm;

mod int8;

mod bf16;

mod attention;

mod conv3d;

mod norm;

mod elementwise;

mod layout;

mod epilogue;

mod math;

mod simd;

mod widen;

mod scratch;

mod memory;

use std::sync::Arc;

use crate::device::Device;
use crate::shape::Shape;
use crate::tensor::Buffer;
use crate::tensor::HostBuffer;
use crate::tensor::Tensor;

use memory::Memory;

/// Which kernels a CPU device runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernels {
    /// The naive twins: the definition of every op.
    Naive,
    /// Fast kernels in portable Rust; for every CPU. (Their inner loops fit the registers of NEON.)
    Portable,
    /// Fast kernels with AVX2 and FMA.
    Avx2,
    /// The same with AVX-512: registers twice as wide.
    Avx512,
}

/// Which ways of computing a convolution the fast kernels may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Convolutions {
    /// Winograd's F(2×2, 3×3) where the shape suits it, direct elsewhere.
    Winograd,
    /// Multiplication by multiplication, as they are defined: what the other ways are measured against.
    Direct,
}

/// How a CPU device works.
#[derive(Debug, Clone, Copy)]
pub struct CpuOptions {
    /// Which kernels run. The default is [`Kernels::best`].
    pub kernels: Kernels,
    /// How they compute convolutions. The default is [`Convolutions::Winograd`].
    pub convolutions: Convolutions,
    /// Memory of dropped tensors is kept for the next ones: together with what is in use, up to so many bytes more than were ever in use at
    /// once. The default is 64 MiB.
    pub excess_bytes_max: usize,
}

/// The CPU back end.
pub struct Cpu {
    kernels: Kernels,
    convolutions: Convolutions,
    memory: Arc<Memory>,
}

impl Kernels {
    /// All kernels that this machine runs, slowest first.
    pub fn all_available() -> impl DoubleEndedIterator<Item = Self> {
        [Self::Naive, Self::Portable, Self::Avx2, Self::Avx512]
            .into_iter()
            .filter(|kernels| kernels.available())
    }

    /// The fastest kernels that this machine runs.
    pub fn best() -> Self {
        Self::all_available()
            .next_back()
            .expect("portable Rust runs everywhere")
    }

    /// Whether this machine can run these kernels.
    pub fn available(self) -> bool {
        match self {
            Kernels::Naive | Kernels::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx512 => {
                Kernels::Avx2.available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Kernels::Avx2 | Kernels::Avx512 => false,
        }
    }
}

impl Default for CpuOptions {
    fn default() -> Self {
        Self {
            kernels: Kernels::best(),
            convolutions: Convolutions::Winograd,
            excess_bytes_max: 64 << 20,
        }
    }
}

impl Cpu {
    /// A CPU back end.
    ///
    /// # Panics
    /// Panics where `options` ask for kernels that this machine cannot run.
    pub fn new(options: CpuOptions) -> Self {
        assert!(
            options.kernels.available(),
            "this machine cannot run the {:?} kernels",
            options.kernels
        );
        Self {
            kernels: options.kernels,
            convolutions: options.convolutions,
            memory: Arc::new(Memory::new(options.excess_bytes_max)),
        }
    }

    /// Runs `fill` over fresh memory, whose content it must overwrite entirely, and makes a tensor of it.
    fn make(&self, device: &Device, shape: Shape, fill: impl FnOnce(&mut [f32])) -> Tensor {
        let mut numbers = self.memory.take(shape.elements());
        // Kernels divide by extents; where there is nothing to compute there is nothing to divide.
        if !numbers.is_empty() {
            fill(&mut numbers);
        }
        self.adopt(device, shape, numbers)
    }

    fn adopt(&self, device: &Device, shape: Shape, numbers: Vec<f32>) -> Tensor {
        let home = Arc::clone(&self.memory);
        Tensor::from_buffer(
            device,
            shape,
            Buffer::Host(Arc::new(HostBuffer::lent(numbers, home))),
        )
    }
}

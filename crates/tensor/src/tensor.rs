//! [`Tensor`]: contiguous `f32` activations on a device. Its ops live in [`crate::ops`], one file per family.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::device::Device;
use crate::error::Result;
use crate::error::TensorError;
use crate::shape::Shape;
use crate::weight::Weight;

/// Activations: a shape, contiguous row-major `f32` numbers, and the device that holds them. Cloning shares the numbers;
/// ops never change a tensor, they make a new one.
#[derive(Clone)]
pub struct Tensor {
    shape: Shape,
    buffer: Buffer,
    device: Device,
}

/// Where the numbers of a tensor are.
#[derive(Clone)]
pub enum Buffer {
    /// In the memory of this process.
    Host(Arc<HostBuffer>),
    /// Somewhere only its back end can read; the back end downcasts it to its own type.
    Remote(Arc<dyn Any + Send + Sync>),
}

/// Numbers in host memory; gives the memory back to whoever lent it when the last tensor lets go.
pub struct HostBuffer {
    numbers: Vec<f32>,
    home: Option<Arc<dyn Recycle>>,
}

/// Takes back the memory of dropped tensors. Fresh pages cost more than many element-wise ops, so the CPU reuses them.
pub trait Recycle: Send + Sync {
    /// Takes the memory; what it holds is of no interest.
    fn recycle(&self, numbers: Vec<f32>);
}

impl Tensor {
    /// A tensor of these numbers.
    pub fn from_vec(device: &Device, shape: impl Into<Shape>, numbers: Vec<f32>) -> Result<Self> {
        let shape = shape.into();
        if shape.elements() != numbers.len() {
            return Err(TensorError::Length {
                shape,
                len: numbers.len(),
            });
        }
        device.backend().upload(device, shape, numbers)
    }

    /// A tensor filled with one value.
    pub fn full(device: &Device, shape: impl Into<Shape>, value: f32) -> Result<Self> {
        let shape = shape.into();
        Self::from_vec(device, shape, vec![value; shape.elements()])
    }

    /// A tensor of zeros.
    pub fn zeros(device: &Device, shape: impl Into<Shape>) -> Result<Self> {
        Self::full(device, shape, 0.0)
    }

    /// A stored weight, widened to `f32` on the device: for biases, norms, modulation tables.
    pub fn from_weight(device: &Device, weight: &Weight) -> Result<Self> {
        Self::from_vec(device, weight.shape(), weight.to_f32())
    }

    /// What a back end calls to hand out a result.
    pub fn from_buffer(device: &Device, shape: Shape, buffer: Buffer) -> Self {
        Self {
            shape,
            buffer,
            device: device.clone(),
        }
    }

    /// The extents.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The extents as a slice.
    pub fn dims(&self) -> &[usize] {
        self.shape.dims()
    }

    /// The device that holds the numbers.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Where the numbers are. For back ends.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// The numbers on the host: borrowed from a CPU tensor, downloaded from any other.
    pub fn data(&self) -> Result<Cow<'_, [f32]>> {
        match &self.buffer {
            Buffer::Host(host) => Ok(Cow::Borrowed(&host.numbers)),
            Buffer::Remote(_) => Ok(Cow::Owned(self.device.backend().download(self)?)),
        }
    }

    /// The numbers of a CPU tensor.
    ///
    /// # Panics
    /// Panics on a tensor of another kind of device: mixing devices in one op is an error of the code, not of its input.
    pub(crate) fn host(&self) -> &[f32] {
        match &self.buffer {
            Buffer::Host(host) => &host.numbers,
            Buffer::Remote(_) => panic!("{self:?} was given to an op of the CPU"),
        }
    }

    /// The numbers as a vector of their own.
    pub fn to_vec(&self) -> Result<Vec<f32>> {
        Ok(self.data()?.into_owned())
    }

    /// The same numbers under another shape of as many elements. Free.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        if shape.elements() != self.shape.elements() {
            return Err(TensorError::Shape {
                op: "reshape",
                expected: format!("a shape of {} elements", self.shape.elements()),
                got: vec![self.shape, shape],
            });
        }
        Ok(Self {
            shape,
            ..self.clone()
        })
    }
}

impl HostBuffer {
    /// Numbers that are freed as any vector is.
    pub fn new(numbers: Vec<f32>) -> Self {
        Self { numbers, home: None }
    }

    /// Numbers whose memory goes back to `home`.
    pub fn lent(numbers: Vec<f32>, home: Arc<dyn Recycle>) -> Self {
        Self {
            numbers,
            home: Some(home),
        }
    }

    /// The numbers.
    pub fn numbers(&self) -> &[f32] {
        &self.numbers
    }
}

impl Drop for HostBuffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.recycle(std::mem::take(&mut self.numbers));
        }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({} on {})", self.shape, self.device)
    }
}

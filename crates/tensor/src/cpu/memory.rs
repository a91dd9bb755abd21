//! Memory of dropped tensors, kept for the next ones.
//!
//! A fresh allocation of some megabytes comes from the kernel as pages that fault in one by one, which costs as much as an
//! element-wise op. A denoise loop asks for the same few sizes over and over, so their memory goes round.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::tensor::Recycle;

/// The kept vectors by capacity.
pub(super) struct Memory {
    kept: Mutex<Kept>,
    bytes_max: usize,
}

#[derive(Default)]
struct Kept {
    by_capacity: BTreeMap<usize, Vec<Vec<f32>>>,
    bytes: usize,
}

/// Below this the allocator is quicker than a lock.
const SMALLEST_KEPT: usize = 16 * 1024;

impl Memory {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            kept: Mutex::new(Kept::default()),
            bytes_max,
        }
    }

    /// `len` numbers of any value.
    pub(super) fn take(&self, len: usize) -> Vec<f32> {
        let Some(mut numbers) = self.find(len) else {
            return vec![0.0; len];
        };
        // Shrinking keeps the capacity; growing within it writes only the difference.
        numbers.resize(len, 0.0);
        numbers
    }

    /// The smallest kept vector that fits without wasting more than a quarter of itself.
    fn find(&self, len: usize) -> Option<Vec<f32>> {
        if len < SMALLEST_KEPT {
            return None;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (&capacity, vectors) = kept.by_capacity.range_mut(len..=len + len / 3).next()?;
        let numbers = vectors.pop()?;
        if vectors.is_empty() {
            kept.by_capacity.remove(&capacity);
        }
        kept.bytes -= capacity * size_of::<f32>();
        Some(numbers)
    }
}

impl Recycle for Memory {
    fn recycle(&self, numbers: Vec<f32>) {
        let capacity = numbers.capacity();
        let bytes = capacity * size_of::<f32>();
        if capacity < SMALLEST_KEPT {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // The largest go first: they are the ones least likely to be asked for again.
        while kept.bytes + bytes > self.bytes_max {
            let Some((size, vectors)) = kept.by_capacity.pop_last() else {
                return;
            };
            kept.bytes -= size * size_of::<f32>() * vectors.len();
        }
        kept.bytes += bytes;
        kept.by_capacity.entry(capacity).or_default().push(numbers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_round_within_its_bound() {
        let memory = Memory::new(4 * 100_000);
        let first = memory.take(50_000);
        let place = first.as_ptr();
        memory.recycle(first);
        let again = memory.take(40_000);
        assert_eq!((again.as_ptr(), again.len()), (place, 40_000));
        memory.recycle(again);
        let smaller = memory.take(20_000);
        assert_ne!(
            smaller.as_ptr(),
            place,
            "less than three quarters are not worth it"
        );
        memory.recycle(vec![0.0; 90_000]);
        let kept = memory.kept.lock().unwrap();
        assert_eq!(kept.bytes, 4 * 90_000, "the bound makes the older one go");
    }
}

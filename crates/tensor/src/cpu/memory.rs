//! Memory of dropped tensors, kept for the next ones.
//!
//! A fresh allocation of some megabytes comes from the kernel as pages that fault in one by one, which costs as much as an
//! element-wise op. A denoise loop asks for the same few sizes over and over, so their memory goes round.
//!
//! What is kept must not decide how much memory a model takes. So what is kept and what is in use are together no more than the most
//! that was in use at once, and a little: where a new size would exceed that, what was kept the longest goes first.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::tensor::Recycle;

/// The kept vectors, and how much of what was lent is in use.
pub(super) struct Memory {
    books: Mutex<Books>,
    excess_bytes_max: usize,
}

#[derive(Default)]
struct Books {
    /// The one that was kept the longest first.
    kept: Vec<Vec<f32>>,
    kept_bytes: usize,
    used_bytes: usize,
    /// The most that was in use at once.
    peak_bytes: usize,
}

/// Below this the allocator is quicker than a lock, and such vectors are not counted.
const SMALLEST_KEPT: usize = 16 * 1024;

impl Memory {
    /// A memory that keeps as much as brings it `excess_bytes_max` above the most that was in use at once.
    pub(super) fn new(excess_bytes_max: usize) -> Self {
        Self {
            books: Mutex::new(Books::default()),
            excess_bytes_max,
        }
    }

    /// `len` numbers of any value, to be given back by [`Recycle::recycle`].
    pub(super) fn take(&self, len: usize) -> Vec<f32> {
        if len < SMALLEST_KEPT {
            return vec![0.0; len];
        }
        let mut books = self.books();
        if let Some(mut numbers) = books.find(len) {
            books.use_bytes(bytes(&numbers));
            // Shrinking keeps the capacity; growing within it writes only the difference.
            numbers.resize(len, 0.0);
            return numbers;
        }
        books.use_bytes(len * size_of::<f32>());
        let gone = books.let_go(self.excess_bytes_max);
        drop(books);
        // Before the new one comes, and while others need not wait for it.
        drop(gone);
        vec![0.0; len]
    }

    /// Counts numbers that come from elsewhere and will be given back here.
    pub(super) fn adopt(&self, numbers: &Vec<f32>) {
        if numbers.capacity() >= SMALLEST_KEPT {
            self.books().use_bytes(bytes(numbers));
        }
    }

    /// Lets go of all that is kept, and forgets how much was in use: other sizes are going to be asked for.
    pub(super) fn trim(&self) {
        let mut books = self.books();
        books.peak_bytes = books.used_bytes;
        books.kept_bytes = 0;
        let gone = std::mem::take(&mut books.kept);
        drop(books);
        drop(gone);
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recycle for Memory {
    fn recycle(&self, numbers: Vec<f32>) {
        if numbers.capacity() < SMALLEST_KEPT {
            return;
        }
        let mut books = self.books();
        // Saturating: a miscount would cost a little memory, and must not cost a clip.
        books.used_bytes = books.used_bytes.saturating_sub(bytes(&numbers));
        books.kept_bytes += bytes(&numbers);
        books.kept.push(numbers);
        let gone = books.let_go(self.excess_bytes_max);
        drop(books);
        drop(gone);
    }
}

impl Books {
    /// The smallest kept vector that fits without wasting more than a quarter of itself.
    fn find(&mut self, len: usize) -> Option<Vec<f32>> {
        let fits = |numbers: &Vec<f32>| (len..=len + len / 3).contains(&numbers.capacity());
        let kept = self.kept.iter().enumerate().filter(|(_, numbers)| fits(numbers));
        let (index, _) = kept.min_by_key(|(_, numbers)| numbers.capacity())?;
        let numbers = self.kept.remove(index);
        self.kept_bytes -= bytes(&numbers);
        Some(numbers)
    }

    fn use_bytes(&mut self, bytes: usize) {
        self.used_bytes += bytes;
        self.peak_bytes = self.peak_bytes.max(self.used_bytes);
    }

    /// Takes out what is too much.
    fn let_go(&mut self, excess_bytes_max: usize) -> Vec<Vec<f32>> {
        let bytes_max = self.peak_bytes + excess_bytes_max;
        let mut count = 0;
        for numbers in &self.kept {
            if self.used_bytes + self.kept_bytes <= bytes_max {
                break;
            }
            self.kept_bytes -= bytes(numbers);
            count += 1;
        }
        self.kept.drain(..count).collect()
    }
}

fn bytes(numbers: &Vec<f32>) -> usize {
    numbers.capacity() * size_of::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is in use, and what is kept, in numbers.
    fn held(memory: &Memory) -> [usize; 2] {
        let books = memory.books();
        let kept: usize = books.kept.iter().map(Vec::capacity).sum();
        assert_eq!(books.kept_bytes, 4 * kept);
        [books.used_bytes / 4, kept]
    }

    #[test]
    fn memory_goes_round() {
        let memory = Memory::new(4 * 20_000);
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
    }

    #[test]
    fn no_more_is_held_than_was_in_use_at_once_and_the_excess() {
        let check = |excess: usize, expected: [usize; 2]| {
            let memory = Memory::new(4 * excess);
            let [one, two] = [40_000, 100_000].map(|len| memory.take(len));
            memory.recycle(one);
            memory.recycle(two);
            assert_eq!(held(&memory), [0, 140_000]);
            // Fits none of the two.
            let three = memory.take(60_000);
            assert_eq!(held(&memory), expected, "an excess of {excess}");
            memory.recycle(three);
            memory.trim();
            assert_eq!(held(&memory), [0, 0]);
        };
        check(60_000, [60_000, 140_000]);
        check(20_000, [60_000, 100_000]);
        // The older one was not enough.
        check(19_999, [60_000, 0]);
    }

    #[test]
    fn what_comes_from_elsewhere_is_counted_as_what_is_lent() {
        let memory = Memory::new(0);
        let mut numbers = Vec::with_capacity(50_000);
        numbers.resize(30_000, 1.0);
        memory.adopt(&numbers);
        assert_eq!(held(&memory), [50_000, 0]);
        memory.recycle(numbers);
        assert_eq!(held(&memory), [0, 50_000]);
        assert_eq!(memory.take(45_000).capacity(), 50_000);
    }
}

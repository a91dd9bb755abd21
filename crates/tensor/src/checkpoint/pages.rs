//! Stretches of mapped files: asked for before they are read, let go of when they have been. So that weights that are more than memory
//! can be read in the order they are used in.

use std::ops::Range;
use std::sync::Arc;

use crate::checkpoint::FileBytes;
use crate::weight::Weight;

/// Where some weights are in their files. Cloning shares the list.
#[derive(Clone, Default)]
pub struct Pages(Arc<[Stretch]>);

struct Stretch {
    file: Arc<FileBytes>,
    bytes: Range<usize>,
}

/// Stretches with less than this between them are one.
const GAP_MAX: usize = 4096;

impl Pages {
    /// Those of the weights that are read in their files; others have none.
    pub fn of<'a>(weights: impl IntoIterator<Item = &'a Weight>) -> Self {
        let mut found: Vec<(&Arc<FileBytes>, Range<usize>)> =
            weights.into_iter().filter_map(Weight::in_file).collect();
        found.sort_by_key(|(file, bytes)| (Arc::as_ptr(file).addr(), bytes.start));
        let mut stretches: Vec<Stretch> = Vec::new();
        for (file, bytes) in found {
            match stretches.last_mut() {
                Some(last) if Arc::ptr_eq(&last.file, file) && bytes.start <= last.bytes.end + GAP_MAX => {
                    last.bytes.end = last.bytes.end.max(bytes.end);
                }
                _ => stretches.push(Stretch {
                    file: Arc::clone(file),
                    bytes,
                }),
            }
        }
        Self(stretches.into())
    }

    /// How many bytes they are.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|stretch| stretch.bytes.len()).sum()
    }

    /// Has the system read them from the disk, if they are not in its cache. May take as long as that.
    pub fn ask(&self) {
        for Stretch { file, bytes } in &*self.0 {
            file.ask(bytes);
        }
    }

    /// Gives them back: this process's memory no longer counts them, and they are read again where they are needed.
    pub fn let_go(&self) {
        for Stretch { file, bytes } in &*self.0 {
            file.let_go(bytes);
        }
    }
}

/// What is advised is no more than that: where the system refuses, reading is slower, or memory is kept.
#[cfg(unix)]
impl FileBytes {
    fn ask(&self, bytes: &Range<usize>) {
        if let FileBytes::Mapped(file) = self {
            let _ = file.advise_range(memmap2::Advice::WillNeed, bytes.start, bytes.len());
        }
    }

    fn let_go(&self, bytes: &Range<usize>) {
        if let FileBytes::Mapped(file) = self {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the mapping is read-only and shared with its file, so that its pages come back as they were.
            let _ = unsafe { file.unchecked_advise_range(advice, bytes.start, bytes.len()) };
        }
    }
}

#[cfg(not(unix))]
impl FileBytes {
    fn ask(&self, _: &Range<usize>) {}

    fn let_go(&self, _: &Range<usize>) {}
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;
    use crate::Checkpoint;
    use crate::checkpoint::safetensors;
    use crate::weight::WeightView;

    #[test]
    fn neighbours_in_a_file_are_one_stretch() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weights.safetensors");
        let weight = |len: usize| Weight::from_bf16([len], vec![bf16::ONE; len]).unwrap();
        let [a, b, c] = [1 << 16, 1 << 15, 1 << 14].map(weight);
        safetensors::write(&file, &[("a", &a), ("b", &b), ("c", &c)]).unwrap();
        let checkpoint = Checkpoint::open(&file).unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| checkpoint.weight_any(name).unwrap());
        let check = |weights: &[&Weight], stretches, bytes| {
            let pages = Pages::of(weights.iter().copied());
            assert_eq!((pages.0.len(), pages.bytes()), (stretches, bytes));
            pages.ask();
            pages.let_go();
            // They come back as they were.
            for weight in weights {
                let WeightView::BF16(numbers) = weight.view() else {
                    panic!("{weight:?}")
                };
                assert!(numbers.iter().all(|number| *number == bf16::ONE));
            }
        };
        check(&[&c, &a, &b], 1, 2 * ((1 << 16) + (1 << 15) + (1 << 14)));
        check(&[&a, &c], 2, 2 * ((1 << 16) + (1 << 14)));
        check(&[&weight(1 << 16)], 0, 0);
    }
}

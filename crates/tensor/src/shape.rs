//! Shapes, and the letters every comment of the engine uses for them.
//!
//! | letter | meaning | letter | meaning |
//! |---|---|---|---|
//! | `B` | batch | `Z` | latent channels |
//! | `L` | tokens | `F H W` | latent grid: frames, rows, columns |
//! | `D` | width of the model | `T Y X` | frames, rows, columns of pixels |
//! | `N` | attention heads | `C` | channels |
//! | `d` | width of one head (`D = N · d`) | | |
//!
//! Tensors are contiguous and row-major: the last letter of a shape varies fastest. Pictures are channels-last, `[T, Y, X, C]`.

use std::fmt;

/// The extents of a tensor, outermost first. At most [`Shape::MAX_RANK`] of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: [usize; Self::MAX_RANK],
    rank: usize,
}

impl Shape {
    /// The largest rank: a patchified clip `[F, H, W, p, q, r, C]` and one to spare.
    pub const MAX_RANK: usize = 8;

    /// A shape of these extents.
    ///
    /// # Panics
    /// Panics beyond [`Shape::MAX_RANK`] extents; ranks are fixed by the code that calls, never by a file or a user.
    pub fn new(dims: &[usize]) -> Self {
        Self::try_new(dims).expect("ranks are written in code and stay within MAX_RANK")
    }

    /// A shape of these extents, or `None` beyond [`Shape::MAX_RANK`]. For extents that come from a file.
    pub fn try_new(dims: &[usize]) -> Option<Self> {
        let mut all = [1; Self::MAX_RANK];
        all.get_mut(..dims.len())?.copy_from_slice(dims);
        Some(Self {
            dims: all,
            rank: dims.len(),
        })
    }

    /// The extents, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank]
    }

    /// How many extents there are.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many numbers a tensor of this shape holds.
    pub fn elements(&self) -> usize {
        self.dims().iter().product()
    }

    /// The same, or `None` where the product leaves `usize`. For extents that come from a file.
    pub fn checked_elements(&self) -> Option<usize> {
        self.dims()
            .iter()
            .try_fold(1usize, |product, &dim| product.checked_mul(dim))
    }

    /// The fastest varying extent; 1 for a scalar.
    pub fn last(&self) -> usize {
        self.dims().last().copied().unwrap_or(1)
    }

    /// The product of all extents but the last: how many rows of [`Shape::last`] numbers there are.
    pub fn rows(&self) -> usize {
        self.dims()[..self.rank.saturating_sub(1)].iter().product()
    }

    /// This shape with another last extent.
    pub fn with_last(&self, last: usize) -> Self {
        let mut shape = *self;
        match self.rank {
            0 => Self::new(&[last]),
            rank => {
                shape.dims[rank - 1] = last;
                shape
            }
        }
    }

    /// Whether `self` equals the innermost extents of `whole` (leading ones of `self` aside):
    /// the rule by which a smaller operand repeats over a larger one.
    pub fn is_suffix_of(&self, whole: &Shape) -> bool {
        let leading = self.dims().iter().take_while(|&&dim| dim == 1).count();
        whole.dims().ends_with(&self.dims()[leading..])
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Self::new(dims)
    }
}

impl<const R: usize> From<[usize; R]> for Shape {
    fn from(dims: [usize; R]) -> Self {
        Self::new(&dims)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.dims(), f)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.dims(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_repeats_over_the_whole() {
        let check = |part: &[usize], whole: &[usize], expected: bool| {
            assert_eq!(
                Shape::new(part).is_suffix_of(&Shape::new(whole)),
                expected,
                "{part:?} of {whole:?}"
            );
        };
        check(&[4], &[3, 4], true);
        check(&[1, 4], &[3, 4], true);
        check(&[1, 1, 4], &[3, 4], true);
        check(&[3, 4], &[3, 4], true);
        check(&[1], &[3, 4], true);
        check(&[], &[3, 4], true);
        check(&[3], &[3, 4], false);
        check(&[2, 3, 4], &[3, 4], false);
        check(&[3, 1], &[3, 4], false);
    }

    #[test]
    fn overflow_is_seen() {
        assert_eq!(Shape::new(&[usize::MAX, 2]).checked_elements(), None);
        assert_eq!(Shape::new(&[7, 2]).checked_elements(), Some(14));
        assert!(Shape::try_new(&[1; 9]).is_none());
    }
}

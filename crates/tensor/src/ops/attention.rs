//! Scaled dot-product attention, streamed: the `Lq × Lk` scores never exist as a whole.

use crate::error::Result;
use crate::ops::require;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// `out[i] = Σⱼ wᵢⱼ v[j] / Σⱼ wᵢⱼ` with `wᵢⱼ = exp(scale · q[i]·k[j] + relative_bias[n, j − i + Lq − 1] + key_bias[j])`, for each of
/// `heads` heads. Built as a struct literal, run by [`Attention::run`].
#[derive(Clone, Copy)]
pub struct Attention<'a> {
    /// `[Lq, N·d]`: heads side by side in a row, as a linear layer leaves them.
    pub q: &'a Tensor,
    /// `[Lk, N·d]`.
    pub k: &'a Tensor,
    /// `[Lk, N·d]`.
    pub v: &'a Tensor,
    /// `N`.
    pub heads: usize,
    /// `1/√d` as a rule; 1 for UMT5.
    pub scale: f32,
    /// `[N, Lq + Lk − 1]`, by the distance from query to key: entry `j − i + Lq − 1`.
    pub relative_bias: Option<&'a Tensor>,
    /// `[Lk]`, added for every query: the logarithm of how often a key counts (equal keys folded into one), `−∞` to mask it.
    /// At least one key must stay.
    pub key_bias: Option<&'a Tensor>,
    /// Whether `q`, `k`, `v` and the weights may be rounded to bf16, where the CPU has instructions for it. Sums are in `f32`.
    pub may_round: bool,
}

impl Attention<'_> {
    /// `[Lq, N·d]`.
    pub fn run(&self) -> Result<Tensor> {
        self.check()?;
        self.q.device().backend().attention(self)
    }

    /// `Lq`, `Lk` and `d`.
    pub fn extents(&self) -> (usize, usize, usize) {
        (self.q.dims()[0], self.k.dims()[0], self.q.dims()[1] / self.heads)
    }

    fn check(&self) -> Result<()> {
        let op = "attention";
        let (q, k, v) = (self.q.shape(), self.k.shape(), self.v.shape());
        let got = || vec![q, k, v];
        require(
            q.rank() == 2 && k.rank() == 2 && k == v,
            op,
            || "q [Lq, D], k and v [Lk, D]".into(),
            got,
        )?;
        require(
            q.last() == k.last() && k.dims()[0] > 0 && self.heads > 0 && q.last() % self.heads == 0,
            op,
            || {
                format!(
                    "rows of one width that {} heads divide, and a key at least",
                    self.heads
                )
            },
            got,
        )?;
        let (queries, keys, _) = self.extents();
        if let Some(bias) = self.relative_bias {
            let expected = Shape::new(&[self.heads, queries + keys - 1]);
            require(
                bias.shape() == expected,
                op,
                || format!("a relative bias {expected}"),
                || vec![bias.shape()],
            )?;
        }
        if let Some(bias) = self.key_bias {
            let expected = Shape::new(&[keys]);
            require(
                bias.shape() == expected,
                op,
                || format!("a key bias {expected}"),
                || vec![bias.shape()],
            )?;
        }
        Ok(())
    }
}

//! Pixel patches of the 2.2 VAE: squares of pixels folded into channels. The column inside of the square varies slower than the
//! row. Reference: Wan2.2 `wan/modules/vae2_2.py`, `patchify`; diffusers `patchify`, `unpatchify`.

use kinora_tensor::Result;
use kinora_tensor::Tensor;

/// `[T, Y, X, C] → [T, Y/s, X/s, C·s·s]`.
pub(super) fn patchify(clip: &Tensor, side: usize) -> Result<Tensor> {
    if side == 1 {
        return Ok(clip.clone());
    }
    let [frames, rows, columns, channels] = *clip.dims() else {
        unreachable!("clips are [T, Y, X, C]");
    };
    let [y, x] = [rows / side, columns / side];
    clip.reshape([frames, y, side, x, side, channels])?
        .permute(&[0, 1, 3, 5, 4, 2])? // [T, Y', X', C, column, row]
        .reshape([frames, y, x, channels * side * side])
}

/// The reverse of [`patchify`].
pub(super) fn unpatchify(patches: &Tensor, side: usize) -> Result<Tensor> {
    if side == 1 {
        return Ok(patches.clone());
    }
    let [frames, y, x, folded] = *patches.dims() else {
        unreachable!("clips are [T, Y, X, C]");
    };
    let channels = folded / (side * side);
    patches
        .reshape([frames, y, x, channels, side, side])?
        .permute(&[0, 1, 5, 2, 4, 3])? // [T, Y', row, X', column, C]
        .reshape([frames, y * side, x * side, channels])
}

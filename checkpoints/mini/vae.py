"""The VAE of wan-mini: AutoencoderKLWan in the layout of Wan 2.2, and a faster equal way to run it while training.

diffusers walks a clip in chunks with caches, and PyTorch's conv3d on CPUs is slow at many sizes. `encode` and `decode`
here run the very same weights over the whole clip at once: each causal 3-D convolution is one 2-D convolution over
frames whose channels are joined to those of the two frames before. `python vae.py` shows that both agree.
"""

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import patchify, unpatchify

Z = 24
CONFIG = dict(
    base_dim=12, decoder_base_dim=16, z_dim=Z, dim_mult=[1, 2, 4, 4], num_res_blocks=1, attn_scales=[],
    temperal_downsample=[False, True, True], is_residual=True, patch_size=2, in_channels=12, out_channels=12,
    scale_factor_temporal=4, scale_factor_spatial=16, latents_mean=[0.0] * Z, latents_std=[1.0] * Z,
)  # fmt: skip


def new():
    torch.manual_seed(0)
    return AutoencoderKLWan(**CONFIG)


def to_clip(frames):
    """uint8 [B, T, Y, X, 3] to [B, 3, T, Y, X] in -1..1."""
    return frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1


# ---- inside, clips are [B, T, C, Y, X] -------------------------------------------------------------------------


def fold(x):
    return x.reshape(-1, *x.shape[2:]).contiguous(memory_format=torch.channels_last)


def unfold(x, batch):
    return x.reshape(batch, -1, *x.shape[1:])


def conv(layer, x):
    """A causal convolution of kernel 3x3x3, 3x1x1 or 1x1x1, stride 1."""
    w, batch = layer.weight, x.shape[0]
    k, side = w.shape[2], w.shape[3]
    if k == 3:
        if x.shape[1] == 1:  # earlier frames are zeros
            w = w[:, :, 2]
        else:
            zero = torch.zeros_like(x[:, :1])
            one = torch.cat([zero, x[:, :-1]], 1)
            x = torch.cat([torch.cat([zero, one[:, :-1]], 1), one, x], 2)
            w = w.transpose(1, 2).flatten(1, 2)
    else:
        w = w[:, :, 0]
    return unfold(F.conv2d(fold(x), w, layer.bias, padding=side // 2), batch)


def norm(layer, x):
    return F.normalize(x, dim=2) * (layer.scale * layer.gamma.view(1, 1, -1, 1, 1))


def block(layer, x):
    h = x if isinstance(layer.conv_shortcut, torch.nn.Identity) else conv(layer.conv_shortcut, x)
    x = conv(layer.conv1, F.silu(norm(layer.norm1, x)))
    return conv(layer.conv2, F.silu(norm(layer.norm2, x))) + h


def middle(layer, x):
    x = block(layer.resnets[0], x)
    for attention, resnet in zip(layer.attentions, layer.resnets[1:]):
        x = attention(x.transpose(1, 2)).transpose(1, 2)
        x = block(resnet, x)
    return x


def down(layer, x):
    batch = x.shape[0]
    skip = layer.avg_shortcut(x.transpose(1, 2)).transpose(1, 2)
    for resnet in layer.resnets:
        x = block(resnet, x)
    if layer.downsampler is not None:
        x = unfold(layer.downsampler.resample(fold(x)), batch)
        if layer.downsampler.mode == "downsample3d" and x.shape[1] > 1:
            w = layer.downsampler.time_conv
            y = torch.cat([x[:, 0:-2:2], x[:, 1:-1:2], x[:, 2::2]], 2)
            y = F.conv2d(fold(y), w.weight.transpose(1, 2).flatten(1, 2), w.bias)
            x = torch.cat([x[:, :1], unfold(y, batch)], 1)
    return x + skip


def up(layer, x):
    batch = x.shape[0]
    skip = None
    if layer.avg_shortcut is not None:
        skip = layer.avg_shortcut(x.transpose(1, 2), first_chunk=True).transpose(1, 2)
    for resnet in layer.resnets:
        x = block(resnet, x)
    if layer.upsampler is not None:
        if layer.upsampler.mode == "upsample3d" and x.shape[1] > 1:
            y = conv(layer.upsampler.time_conv, x[:, 1:])  # the first frame is not doubled, and not seen
            y = y.reshape(batch, -1, 2, x.shape[2], *y.shape[3:]).flatten(1, 2)
            x = torch.cat([x[:, :1], y], 1)
        y = F.interpolate(fold(x), scale_factor=2.0, mode="nearest")
        x = unfold(layer.upsampler.resample[1](y), batch)
    return x if skip is None else x + skip


def encode(vae, clip):
    """[B, 3, T, Y, X] to means and log-variances [B, 2Z, F, H, W], as `vae._encode`."""
    x = patchify(clip, 2).transpose(1, 2)
    e = vae.encoder
    x = conv(e.conv_in, x)
    for layer in e.down_blocks:
        x = down(layer, x)
    x = conv(e.conv_out, F.silu(norm(e.norm_out, middle(e.mid_block, x))))
    return conv(vae.quant_conv, x).transpose(1, 2)


def decode(vae, z):
    """[B, Z, F, H, W] to clips, not clamped."""
    d = vae.decoder
    x = middle(d.mid_block, conv(d.conv_in, conv(vae.post_quant_conv, z.transpose(1, 2))))
    for layer in d.up_blocks:
        x = up(layer, x)
    x = conv(d.conv_out, F.silu(norm(d.norm_out, x)))
    return unpatchify(x.transpose(1, 2), 2)


if __name__ == "__main__":
    import time

    model = new()
    print({n: sum(p.numel() for p in m.parameters()) for n, m in model.named_children()})
    x = torch.rand(2, 3, 13, 32, 48) * 2 - 1
    with torch.no_grad():
        a, b = model._encode(x), encode(model, x)
        c, d = model.decode(a[:, :Z] * 3).sample, decode(model, a[:, :Z] * 3).clamp(-1, 1)
    print("encode", (a - b).abs().max().item(), "decode", (c - d).abs().max().item())
    for shape in ((16, 3, 1, 64, 64), (8, 3, 5, 64, 64), (4, 3, 9, 64, 112)):
        x = torch.rand(shape) * 2 - 1
        for _ in range(2):
            start = time.time()
            out = decode(model, encode(model, x)[:, :Z])
            mid = time.time()
            out.abs().mean().backward()
        print(shape, f"forward {mid - start:.2f} s, backward {time.time() - mid:.2f} s")

"""The VAE of wan-mini: AutoencoderKLWan in the layout of Wan 2.2, and a faster equal way to run it while training.

diffusers walks a clip in chunks with caches, and PyTorch's conv3d on CPUs is slow at many sizes. `encode` and `decode`
here run the very same weights over the whole clip at once: each causal 3-D convolution is one 2-D convolution over
frames whose channels are joined to those of the two frames before. `python vae.py` shows that both agree.
"""

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import patchify, unpatchify

from common import autocast

Z = 16
CONFIG = dict(
    base_dim=24, decoder_base_dim=32, z_dim=Z, dim_mult=[1, 2, 2], num_res_blocks=1, attn_scales=[],
    temperal_downsample=[True, True], is_residual=True, patch_size=2, in_channels=12, out_channels=12,
    scale_factor_temporal=4, scale_factor_spatial=8, latents_mean=[0.0] * Z, latents_std=[1.0] * Z,
)  # fmt: skip


def new():
    torch.manual_seed(0)
    return AutoencoderKLWan(**CONFIG)


def to_clip(frames):
    """uint8 [B, T, Y, X, 3] to [B, 3, T, Y, X] in -1..1."""
    return frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1


# ---- inside, clips are [B, T, Y, X, C]: channels last, as convolutions on a CPU like them -----------------------


def images(x):
    """All frames as images [B T, C, Y, X], a view."""
    return x.flatten(0, 1).permute(0, 3, 1, 2)


def clips(x, batch):
    """Images back to clips, a view where they are channels-last."""
    return x.permute(0, 2, 3, 1).contiguous().unflatten(0, (batch, -1))


def with_past(x):
    """Each frame joined to the two before it; before the first there are zeros."""
    one = F.pad(x[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
    two = F.pad(one[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
    return torch.cat([two, one, x], -1)


def taps(w, is_still):
    """A causal kernel for `with_past`; a still has only zeros before it."""
    return w[:, :, -1] if is_still else w.transpose(1, 2).flatten(1, 2)


def conv(layer, x):
    """A causal convolution of kernel 3x3x3, 3x1x1 or 1x1x1, stride 1."""
    w, is_still = layer.weight, x.shape[1] == 1 or layer.weight.shape[2] == 1
    y = images(x if is_still else with_past(x))
    return clips(F.conv2d(y, taps(w, is_still), layer.bias, padding=w.shape[3] // 2), len(x))


def normed(x, gamma, is_still):
    """RMS norm over channels and SiLU, then what the convolution behind them reads. One pass when compiled."""
    y = x.float()
    y = F.silu(y * (gamma * (y.shape[-1] ** 0.5) / y.square().sum(-1, keepdim=True).sqrt().clamp_min(1e-12)))
    y = y.to(torch.get_autocast_dtype("cpu")) if torch.is_autocast_enabled("cpu") else y
    return y if is_still else with_past(y)


def normed_conv(norm, layer, x):
    is_still = x.shape[1] == 1
    y = images(normed(x, norm.gamma.flatten(), is_still))
    return clips(F.conv2d(y, taps(layer.weight, is_still), layer.bias, padding=1), len(x))


def block(layer, x):
    h = x if isinstance(layer.conv_shortcut, torch.nn.Identity) else conv(layer.conv_shortcut, x)
    x = normed_conv(layer.norm1, layer.conv1, x)
    return normed_conv(layer.norm2, layer.conv2, x) + h


def channels_first(shortcut, x, **options):
    return shortcut(x.permute(0, 4, 1, 2, 3), **options).permute(0, 2, 3, 4, 1)


def middle(layer, x):
    x = block(layer.resnets[0], x)
    for attention, resnet in zip(layer.attentions, layer.resnets[1:]):
        x = block(resnet, channels_first(attention, x).contiguous())
    return x


def down(layer, x):
    skip = channels_first(layer.avg_shortcut, x)
    for resnet in layer.resnets:
        x = block(resnet, x)
    if layer.downsampler is not None:
        x = clips(layer.downsampler.resample(images(x)), len(x))
        if layer.downsampler.mode == "downsample3d" and x.shape[1] > 1:
            w = layer.downsampler.time_conv
            y = torch.cat([x[:, 0:-2:2], x[:, 1:-1:2], x[:, 2::2]], -1)
            y = F.conv2d(images(y), taps(w.weight, False), w.bias)
            x = torch.cat([x[:, :1], clips(y, len(x))], 1)
    return x + skip


def up(layer, x):
    skip = None
    if layer.avg_shortcut is not None:
        skip = channels_first(layer.avg_shortcut, x, first_chunk=True)
    for resnet in layer.resnets:
        x = block(resnet, x)
    if layer.upsampler is not None:
        if layer.upsampler.mode == "upsample3d" and x.shape[1] > 1:
            y = conv(layer.upsampler.time_conv, x[:, 1:])  # the first frame is not doubled, and not seen
            y = y.unflatten(-1, (2, -1)).permute(0, 1, 4, 2, 3, 5).flatten(1, 2)
            x = torch.cat([x[:, :1], y], 1)
        y = F.interpolate(images(x), scale_factor=2.0, mode="nearest")
        x = clips(layer.upsampler.resample[1](y), len(x))
    return x if skip is None else x + skip


def encode(vae, clip):
    """[B, 3, T, Y, X] to means and log-variances [B, 2Z, F, H, W], as `vae._encode`."""
    x = patchify(clip, 2).permute(0, 2, 3, 4, 1).contiguous()
    e = vae.encoder
    x = conv(e.conv_in, x)
    for layer in e.down_blocks:
        x = down(layer, x)
    x = normed_conv(e.norm_out, e.conv_out, middle(e.mid_block, x))
    return conv(vae.quant_conv, x).permute(0, 4, 1, 2, 3)


def decode(vae, z):
    """[B, Z, F, H, W] to clips, not clamped."""
    d = vae.decoder
    x = middle(d.mid_block, conv(d.conv_in, conv(vae.post_quant_conv, z.permute(0, 2, 3, 4, 1).contiguous())))
    for layer in d.up_blocks:
        x = up(layer, x)
    x = normed_conv(d.norm_out, d.conv_out, x)
    return unpatchify(x.permute(0, 4, 1, 2, 3), 2)


def compiled():
    """Fuses what stands between convolutions, for training."""
    global normed
    torch._dynamo.config.recompile_limit = 128  # kinds of sizes, with and without gradients
    normed = torch.compile(normed, dynamic=True)


if __name__ == "__main__":
    import time

    torch.set_num_threads(1)
    model = new()
    print({n: sum(p.numel() for p in m.parameters()) for n, m in model.named_children()})
    x = torch.rand(2, 3, 13, 32, 48) * 2 - 1
    with torch.no_grad():
        a, b = model._encode(x), encode(model, x)
        c, d = model.decode(a[:, :Z] * 3).sample, decode(model, a[:, :Z] * 3).clamp(-1, 1)
    print("encode", (a - b).abs().max().item(), "decode", (c - d).abs().max().item())
    compiled()
    for shape in ((16, 3, 1, 64, 112), (5, 3, 5, 64, 112), (3, 3, 9, 64, 112)):
        x = torch.rand(shape) * 2 - 1
        for _ in range(3):
            start = time.time()
            with autocast():
                out = decode(model, encode(model, x)[:, :Z])
            mid = time.time()
            out.float().abs().mean().backward()
        print(shape, f"forward {mid - start:.2f} s, backward {time.time() - mid:.2f} s", flush=True)

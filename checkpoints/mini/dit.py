"""The diffusion model of wan-mini: WanVACETransformer3DModel, and a faster equal way to run it while training.

diffusers attends to 512 rows of text, of which all behind the prompt are one and the same: the embedding of zeros.
`forward` keeps one such row and adds the logarithm of their number to its attention, which is exactly the same.
`python dit.py` shows that both agree.
"""

import math

import torch
import torch.nn.functional as F
from diffusers import WanVACETransformer3DModel

from vae import Z

TEXT_ROWS = 512
MASK = 8 * 8
PATCH = 2
CONFIG = dict(
    patch_size=(1, PATCH, PATCH), num_attention_heads=3, attention_head_dim=64, in_channels=Z, out_channels=Z, text_dim=128,
    freq_dim=128, ffn_dim=640, num_layers=7, cross_attn_norm=True, qk_norm="rms_norm_across_heads", eps=1e-6,
    rope_max_seq_len=1024, vace_layers=[0, 3], vace_in_channels=2 * Z + MASK,
)  # fmt: skip


def new():
    """Fresh weights: hints start at nothing, the mask's channels alike, and padding rows of text unnoticed."""
    torch.manual_seed(2)
    model = WanVACETransformer3DModel(**CONFIG)
    with torch.no_grad():
        for block in [*model.blocks, *model.vace_blocks]:
            block.scale_shift_table.zero_()
            block.scale_shift_table[:, 2::3] = 0.5
            sign = torch.randn(block.attn2.to_q.bias.shape).sign()
            block.attn2.to_q.bias.copy_(sign)
            block.attn2.to_k.bias.copy_(-0.1 * sign)
            block.attn2.to_v.bias.zero_()
        for block in model.vace_blocks:
            block.proj_out.weight.zero_()
            block.proj_out.bias.zero_()
        model.scale_shift_table.zero_()
        model.proj_out.weight.zero_()
        model.proj_out.bias.zero_()
        model.vace_patch_embedding.weight[:, 2 * Z :].zero_()
        model.condition_embedder.time_proj.weight.mul_(0.2)
        text = model.condition_embedder.text_embedder
        text.linear_1.bias.zero_()
        text.linear_2.bias.zero_()
        text.linear_2.weight.mul_(3)
    return model


def heads(x):
    return x.unflatten(2, (CONFIG["num_attention_heads"], -1)).transpose(1, 2)


def turn(x, cos, sin):
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


def attend(layer, x, rope=None, text=None, bias=None):
    source = x if text is None else text
    q, k, v = layer.norm_q(layer.to_q(x)), layer.norm_k(layer.to_k(source)), layer.to_v(source)
    q, k, v = heads(q), heads(k), heads(v)
    if rope is not None:
        q, k = turn(q, *rope), turn(k, *rope)
    scores = (q @ k.mT).float() * CONFIG["attention_head_dim"] ** -0.5  # by hand: PyTorch's own has no fast bf16 backward
    scores = scores if bias is None else scores + bias
    return layer.to_out[0]((scores.softmax(-1).to(v.dtype) @ v).transpose(1, 2).flatten(2))


def block(layer, x, text, bias, e, rope):
    m = (layer.scale_shift_table + e).unbind(1)  # six of [B, D]
    m = [v[:, None] for v in m]
    size = (x.shape[-1],)
    x = x + attend(layer.attn1, F.layer_norm(x, size, eps=1e-6) * (1 + m[1]) + m[0], rope) * m[2]
    n = layer.norm2
    x = x + attend(layer.attn2, F.layer_norm(x, size, n.weight, n.bias, 1e-6), None, text, bias)
    y = F.layer_norm(x, size, eps=1e-6) * (1 + m[4]) + m[3]
    return x + layer.ffn.net[2](F.gelu(layer.ffn.net[0].proj(y), approximate="tanh")) * m[5]


def tokens(layer, x):
    """Patches of 1 by 2 by 2 latents [B, F H W / 4, D]."""
    x = x.unflatten(4, (-1, PATCH)).unflatten(3, (-1, PATCH))  # [B, C, F, h, 2, w, 2]
    x = x.permute(0, 2, 3, 5, 1, 4, 6).flatten(4).flatten(1, 3)
    return F.linear(x, layer.weight.flatten(1), layer.bias)


def latents(h, like):
    """Patches of velocity back to the shape of `like`, as diffusers orders them: channels last."""
    batch, channels, frames, height, width = like.shape
    h = h.reshape(batch, frames, height // PATCH, width // PATCH, PATCH, PATCH, channels)
    return h.permute(0, 6, 1, 2, 4, 3, 5).reshape(like.shape)


def text_bias(lengths, rows):
    """Attention bias [B, 1, 1, rows + 1] for prompts of these lengths padded to `rows`, and one row for the padding."""
    at = torch.arange(rows)[None]
    bias = torch.zeros(len(lengths), rows).masked_fill(at >= lengths[:, None], -math.inf)
    return torch.cat([bias, torch.log(TEXT_ROWS - lengths.float())[:, None]], 1)[:, None, None]


def rotary(model, x):
    cos, sin = model.rope(x)
    return cos[:, :, 0, 0::2][:, None], sin[:, :, 0, 1::2][:, None]


def forward(model, x, t, text, bias, control, rope, taps=()):
    """x [B, Z, F, H, W], t [B] in 0..1000, text [B, K, 128] (rows behind the prompt are ignored), control latents.
    With `taps`, also the states [B, L, D] behind these blocks; L is F H W / 4."""
    embed = model.condition_embedder
    temb = embed.time_embedder(embed.timesteps_proj(t))
    e = embed.time_proj(F.silu(temb)).unflatten(1, (6, -1))
    text = torch.cat([text, text.new_zeros(len(text), 1, text.shape[2])], 1)
    text = embed.text_embedder(text)
    h = tokens(model.patch_embedding, x)
    c = tokens(model.vace_patch_embedding, control)
    hints, tapped = {}, []
    for layer, at in zip(model.vace_blocks, CONFIG["vace_layers"]):
        if layer.proj_in is not None:
            c = layer.proj_in(c) + h
        c = block(layer, c, text, bias, e, rope)
        hints[at] = layer.proj_out(c)
    for n, layer in enumerate(model.blocks):
        h = block(layer, h, text, bias, e, rope)
        if n in hints:
            h = h + hints[n]
        if n in taps:
            tapped.append(h)
    shift, scale = (model.scale_shift_table + temb[:, None]).chunk(2, 1)
    h = model.proj_out(F.layer_norm(h, (h.shape[-1],), eps=1e-6) * (1 + scale) + shift)
    velocity = latents(h, x)
    return (velocity, tapped) if taps else velocity


if __name__ == "__main__":
    import time

    torch.set_num_threads(2)
    model = new()
    print(sum(p.numel() for p in model.parameters()), "parameters")
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.02)
    x, control = torch.randn(2, Z, 3, 8, 14), torch.randn(2, 2 * Z + MASK, 3, 8, 14)
    text, lengths = torch.randn(2, 9, 128), torch.tensor([9, 4])
    text[1, 4:] = 0
    t = torch.tensor([700.0, 20.0])
    with torch.no_grad():
        full = torch.cat([text, torch.zeros(2, TEXT_ROWS - 9, 128)], 1)
        a = model(x, t, full, control_hidden_states=control, return_dict=False)[0]
        b = forward(model, x, t, text, text_bias(lengths, 9), control, rotary(model, x))
    print("difference", (a - b).abs().max().item(), "of", a.abs().max().item())
    for count, frames in ((64, 1), (32, 4), (12, 11)):
        x, control = torch.randn(count, Z, frames, 8, 14), torch.randn(count, 2 * Z + MASK, frames, 8, 14)
        text, lengths = torch.randn(count, 20, 128), torch.full((count,), 15)
        for _ in range(3):
            start = time.time()
            out = forward(model, x, t[:1].expand(count), text, text_bias(lengths, 20), control, rotary(model, x))
            out.square().mean().backward()
        seconds = time.time() - start
        print(count, "x", frames, f"{seconds:.2f} s, {count / seconds:.1f} clips/s")

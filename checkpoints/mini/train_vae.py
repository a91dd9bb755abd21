"""Trains the VAE: still frames first, then clips. `decoder_only` goes on with the encoder frozen, so that latents that
were cached from it stay valid."""

import numpy as np
import torch
import torch.nn.functional as F

import vae as v
import world
from common import Average, Muon, Run, rate, seeded

SIZES = [(112, 64)] * 7 + [(64, 112), (80, 80), (112, 80)]


def clips(rng, count, frames):
    """uint8 clips [count, frames, Y, X, 3] of one size, many of them over photographs."""
    width, height = SIZES[rng.integers(len(SIZES))]
    out = []
    for _ in range(count):
        spec = world.sample(rng, width, height, frames)
        if rng.random() < 0.12:
            spec = spec.replace(background="photo")
        out.append(world.render(spec, start=int(rng.integers(0, 12))))
    return torch.from_numpy(np.stack(out))


def edges(x):
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


def loss_of(model, clip, decoder_only):
    with torch.set_grad_enabled(not decoder_only):
        z = v.encode(model, clip)[:, : v.Z]
    out = v.decode(model, z + 0.1 * torch.randn_like(z))
    d = out - clip
    loss = d.abs().mean() + 2 * d.square().mean()
    for a, b in zip(edges(out), edges(clip)):
        loss = loss + 0.5 * (a - b).abs().mean()
    return loss + 1e-3 * z.square().mean(), d.detach().square().mean().item(), z.detach()


@torch.no_grad()
def psnr(model, frames=9, count=24):
    """Mean PSNR in dB over held-out clips, photographs left out, and over photographs."""
    values = {False: [], True: []}
    rng = np.random.default_rng(77)
    for _ in range(count):
        for is_photo in (False, True):
            spec = world.sample(rng, frames=frames)
            spec = spec.replace(background="photo") if is_photo else spec
            if not is_photo and spec.background == "photo":
                continue
            clip = v.to_clip(torch.from_numpy(world.render(spec))[None])
            out = v.decode(model, v.encode(model, clip)[:, : v.Z]).clamp(-1, 1)
            mse = ((out - clip) / 2).square().mean().item()
            values[is_photo].append(-10 * np.log10(mse + 1e-10))
    return float(np.mean(values[False])), float(np.mean(values[True]))


def train(work, minutes=27.0, lr=2.5e-3, decoder_only=False):
    run = Run(work, "decoder" if decoder_only else "vae", minutes)
    model = v.new()
    named = [(n, p) for n, p in model.named_parameters() if not decoder_only or not n.startswith(("encoder", "quant"))]
    optimizer = Muon(named, lr, decay=0.0, plain=("conv_in", "conv_out", "quant"))
    average = Average(model, 0.998)
    if decoder_only and not run.file.exists():
        model.load_state_dict(torch.load(f"{work}/vae/state.pt", weights_only=True)["average"])
        average = Average(model, 0.998)
    run.load(model, optimizer, average)
    torch.manual_seed(seeded(run))
    rng = np.random.default_rng(seeded(run))
    share, mean, logged = run.used / minutes, [], run.used
    test = v.new()
    while share < 1:
        frames, count = stage(share, decoder_only, rng)
        loss, mse, z = loss_of(model, v.to_clip(clips(rng, count, frames)), decoder_only)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = lr * rate(share)
        torch.nn.utils.clip_grad_norm_([p for _, p in named], 1.0)
        optimizer.step()
        average.update(model)
        mean.append((loss.item(), mse))
        share = run.tick()
        if run.used - logged > 1 or share >= 1:
            logged = run.used
            test.load_state_dict(average.weights)
            plain, photo = psnr(test, count=12 if share < 1 else 40)
            m = np.mean(mean, 0)
            mean = []
            run.log(loss=m[0], train_db=-10 * np.log10(m[1] / 4), db=plain, photo_db=photo, spread=z.std().item(), frames=frames)
        if run.should_save() or share >= 1:
            run.save(model, optimizer, average)


def stage(share, decoder_only, rng):
    """Frames and clips a step."""
    if not decoder_only and share < 0.3:
        return 1, 16
    return [(5, 5), (5, 5), (9, 3), (1, 16)][rng.integers(4)]

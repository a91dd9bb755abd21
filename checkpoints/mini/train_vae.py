"""Trains the VAE: still frames first, then clips, as long as they come. `decoder_only` goes on with the encoder frozen, so that
latents that were cached from it stay valid.

Both halves look back over a whole clip. Trained on 9 frames alone they gave those back with 31 dB and the last ones of 41 with 20:
everything slowly grew brighter, and outlines went.
"""

import numpy as np
import torch
import torch.nn.functional as F

import vae as v
import world
from common import Average, Muon, Run, alike, autocast, averaged, rate, seeded, together

SIZES = [(112, 64)] * 7 + [(64, 112), (80, 80), (112, 80)]
MATTERS = 10
NOISE = 0.15


def batch(rng, count, frames, is_whole):
    """Clips [count, 3, frames, Y, X] in -1..1 and how much each pixel matters [count, 1, frames, Y, X]. Most are cut out
    around a thing: 64 by 64 at whole squares of the latent grid."""
    width, height = SIZES[rng.integers(len(SIZES))]
    out, weights = [], []
    for _ in range(count):
        spec = world.sample(rng, width, height, frames)
        if rng.random() < 0.1:
            spec = spec.replace(background="photo")
        start = int(rng.integers(0, 24))
        clip = world.render(spec, start)
        cover = world.cover(spec, start)
        if not is_whole:
            at = cover[rng.integers(frames)]
            rows, columns = cut(rng, at, height), cut(rng, at.T, width)
            clip, cover = clip[:, rows, columns], cover[:, rows, columns]
        out.append(clip)
        weights.append(cover)
    near = F.max_pool2d(torch.from_numpy(np.stack(weights)).flatten(0, 1)[:, None], 5, 1, 2)
    near = near.unflatten(0, (count, frames)).transpose(1, 2)
    return v.to_clip(torch.from_numpy(np.stack(out))), 1 + (MATTERS - 1) * near


def cut(rng, cover, length, side=64):
    """A slice of `side` rows that holds what is covered, as far as it can."""
    rows = np.flatnonzero(cover.max(1) > 0.5)
    middle = rows.mean() if len(rows) else length / 2
    first = middle - side / 2 + rng.uniform(-20, 20)
    first = int(np.clip(round(first / 16), 0, (length - side) // 16)) * 16
    return slice(first, first + side)


def edges(x):
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


def loss_of(model, clip, weight, decoder_only):
    with autocast():
        with torch.set_grad_enabled(not decoder_only):
            z = v.encode(model, clip)[:, : v.Z]
        out = v.decode(model, z + NOISE * torch.randn_like(z)).float()
    d = out - clip
    weight = weight / weight.mean()
    loss = ((d.abs() + 2 * d.square()) * weight).mean()
    for a, b, w in zip(edges(out), edges(clip), (weight[..., 1:, :], weight[..., 1:])):
        loss = loss + 0.5 * ((a - b).abs() * w).mean()
    return loss + 1e-3 * z.float().square().mean(), d.detach().square().mean().item(), z.detach().float()


@torch.no_grad()
def psnr(model, count, frames=41):
    """Mean PSNR in dB over held-out clips, photographs left out; over photographs; and of the first thing and its rim."""
    values = {False: [], True: [], "thing": []}
    rng = np.random.default_rng(77)
    for _ in range(count):
        for is_photo in (False, True):
            spec = world.sample(rng, frames=frames)
            spec = spec.replace(background="photo") if is_photo else spec
            if not is_photo and spec.background == "photo":
                continue
            clip = v.to_clip(torch.from_numpy(world.render(spec))[None])
            out = v.decode(model, v.encode(model, clip)[:, : v.Z]).clamp(-1, 1)
            error = ((out - clip) / 2).square()
            values[is_photo].append(decibels(error.mean().item()))
            if not is_photo:
                cover = torch.from_numpy(world.alpha(spec)) > 0.5
                cover = F.max_pool2d(cover[:, None].float(), 5, 1, 2)[:, 0] > 0
                values["thing"].append(decibels(error[0][:, cover].mean().item()))
    return [float(np.mean(v)) for v in values.values()]


def decibels(mse):
    return -10 * np.log10(mse + 1e-10)


def train(work, minutes=27.0, processes=1, decoder_only=False):
    together(loop, processes, work, minutes, decoder_only)


def loop(work, minutes, decoder_only, rank, lr=2.5e-3):
    v.compiled()
    run = Run(work, "decoder" if decoder_only else "vae", minutes)
    model = v.new()
    named = [(n, p) for n, p in model.named_parameters() if not decoder_only or not n.startswith(("encoder", "quant"))]
    optimizer = Muon(named, lr, decay=0.0, plain=("conv_in", "conv_out", "quant"))
    average = Average(model, 0.998)
    if decoder_only and not run.file.exists():
        model.load_state_dict(averaged(work, "vae"))
        average = Average(model, 0.998)
    run.load(model, optimizer, average)
    lr *= 0.6 if run.is_sequel else 1.0
    has_begun = decoder_only or run.is_sequel
    torch.manual_seed(seeded(run, rank))
    rng = np.random.default_rng(seeded(run, rank))
    lengths = np.random.default_rng(seeded(run))  # all processes take clips of the same length: stills train fewer weights
    share, mean, logged = run.used / minutes, [], run.used
    test = v.new()
    while share < 1:
        loss, mse, z = loss_of(model, *batch(rng, *stage(1 if has_begun else share, lengths)), decoder_only)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        share = alike([p for _, p in named], run.used / minutes)  # all of them end after the same step
        for group in optimizer.param_groups:
            group["lr"] = lr * rate(share)
        torch.nn.utils.clip_grad_norm_([p for _, p in named], 1.0)
        optimizer.step()
        average.update(model)
        mean.append((loss.item(), mse))
        run.tick()
        if rank == 0 and (run.used - logged > 4 or share >= 1):
            logged = run.used
            test.load_state_dict(average.weights)
            plain, photo, thing = psnr(test, count=6 if share < 1 else 24)
            m = np.mean(mean, 0)
            mean = []
            run.log(loss=m[0], train_db=-10 * np.log10(m[1] / 4), db=plain, photo_db=photo,
                    thing_db=thing, spread=z.std().item())
        if rank == 0 and (run.should_save() or share >= 1):
            run.save(model, optimizer, average)


# Of each step: how many clips, of how many frames, and whether whole ones.
STILLS = (24, 1, False)
SHORT = [(8, 5, False), (8, 5, False), (5, 9, False), (5, 9, False), STILLS, (3, 9, True)]
LONG = [(5, 9, False), (5, 9, False), STILLS, (3, 9, True), *[(2, 21, False)] * 3, *[(1, 41, False)] * 4, (1, 41, True)]


def stage(share, rng):
    kinds = [STILLS] if share < 0.1 else SHORT if share < 0.5 else LONG
    return kinds[rng.integers(len(kinds))]

"""Clips to latents, once, so that the VAE never runs while the diffusion model trains.

A scene is a clip and what one task knows of it, encoded as diffusers' WanVACEPipeline does: known frames with mid grey
elsewhere, a reference picture letterboxed on white, or the clip that an instruction changes. The encoder is causal, so
that a scene's first latent frames are those of the shorter clip. Shards of 250 scenes each depend on their number alone;
several processes may fill a folder at once.
"""

import json
import os
import pathlib

import numpy as np
import torch

import vae as v
import words
import world
from common import autocast, averaged

SHARD = 250
SIZES = [(112, 64)] * 15 + [(64, 112)] * 2 + [(80, 80)] * 2 + [(112, 80), (80, 112)]
TASKS = ["text"] * 6 + ["first"] * 3 + ["ends"] * 2 + ["continue"] * 3 + ["reference"] * 7 + ["edit"] * 6
LENGTHS = [13] * 7 + [21] * 5 + [41] * 8


def load_vae(work):
    v.compiled()
    model = v.new()
    model.load_state_dict(averaged(work, "vae"))
    return model.eval()


def latents(model, clips):
    """uint8 clips of one size, each [T, Y, X, 3], to raw means [N, Z, F, H, W]."""
    return encode(model, v.to_clip(torch.from_numpy(np.stack(clips))))


def encode(model, clips):
    with autocast():
        return v.encode(model, clips)[:, : v.Z].float()


def grey_outside(clip, known):
    """The pipeline's inactive stream: 0 in -1..1 where frames are made anew. 127.5 needs floats, so -1..1 goes out."""
    out = torch.zeros(clip.shape[0], *clip.shape[1:])
    out[known] = torch.from_numpy(clip[known]).float() / 127.5 - 1
    return out.permute(3, 0, 1, 2)


def picture(rng, spec):
    """A picture of the first thing: large, alone, over some background; often square, on a white canvas."""
    thing = spec.things[0]
    backgrounds = [b for b in world.BACKGROUNDS if thing.colour not in world.HIDDEN.get(b, [])]
    plain = [b for b in ("white", "grey", "black") if b in backgrounds]
    background = words.pick(rng, plain if rng.random() < 0.6 else backgrounds)
    still = dict(motion="still", size=words.pick(rng, ["medium", "big", "big"]), x=float(rng.uniform(-6, 6)),
                 y=float(rng.uniform(-5, 5)))  # fmt: skip
    shown = spec.with_thing(**still).replace(background=background, camera="fixed", seed=int(rng.integers(1 << 31)), frames=1)
    shown = shown.replace(things=shown.things[:1])
    if rng.random() < 0.5 or spec.width == spec.height:
        return world.render(shown)
    side = min(spec.width, spec.height)
    inner = world.render(shown.replace(width=side, height=side))
    canvas = np.full((1, spec.height, spec.width, 3), 255, np.uint8)
    top, left = (spec.height - side) // 2, (spec.width - side) // 2
    canvas[:, top : top + side, left : left + side] = inner
    return canvas


def continued(frames):
    """How many known frames the engine carries over."""
    return (min(17, frames // 2) - 1) // 4 * 4 + 1


def known_frames(rng, task, frames):
    if task == "first":
        return [0]
    if task == "ends":
        return [0, frames - 1]
    count = continued(frames) if rng.random() < 0.7 else 5
    return list(range(count))


def coverage(spec, start):
    """Where the things are, at half the size and twice a latent frame: uint8 [F, 2, Y / 2, X / 2]."""
    cover = world.cover(spec, start)
    cover = np.concatenate([cover[:1], cover[:1], cover[2::4], cover[4::4]])  # the first frame is a latent frame of its own
    count = len(cover) // 2 - 1
    cover = np.concatenate([cover[:2][None], np.stack([cover[2 : 2 + count], cover[2 + count :]], 1)])
    cover = cover.reshape(*cover.shape[:2], spec.height // 2, 2, spec.width // 2, 2).mean((3, 5))
    return torch.from_numpy((cover * 255).astype(np.uint8))


@torch.no_grad()
def scene(model, rng, size, frames):
    """One scene: specs, task and latents as f16."""
    task = words.pick(rng, TASKS)
    spec = world.sample(rng, *size, frames)
    start = int(rng.integers(0, 24)) if task in ("first", "ends", "continue") else 0
    clip = world.render(spec, start)
    out = dict(spec=spec, task=task, start=start)
    clips = [clip]
    if task == "edit":
        out["new"], out["which"] = words.change(rng, spec, want_unseen=False)
        clips.append(world.render(out["new"]))
    z = latents(model, clips).half()
    out["z"] = z[-1]
    out["cover"] = coverage(out.get("new", spec), start)
    if task == "edit":
        out["known"] = z[0]
    elif task == "reference":
        out["known"] = latents(model, [picture(rng, spec)])[0].half()
    elif task != "text":
        out["frames"] = known_frames(rng, task, frames)
        out["known"] = encode(model, grey_outside(clip, out["frames"])[None])[0].half()
    return out


def fill(work, count=6000):
    """Writes shards until there are `count` scenes."""
    folder = pathlib.Path(work) / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    model = load_vae(work)
    blank(model, folder)
    for shard in range(count // SHARD):
        file = folder / f"{shard:04}.pt"
        try:
            os.close(os.open(file.with_suffix(".claim"), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        rng = np.random.default_rng(10_000 + shard)
        scenes = []
        for _ in range(SHARD):
            scenes.append(scene(model, rng, words.pick(rng, SIZES), words.pick(rng, LENGTHS)))
        torch.save(scenes, file.with_suffix(".part"))
        os.replace(file.with_suffix(".part"), file)
        print(file, flush=True)
        if not (folder / "stats.json").exists():
            z = torch.cat([s["z"].float().flatten(1) for s in scenes], 1)
            stats = dict(mean=z.mean(1).tolist(), std=z.std(1).tolist())
            (folder / "stats.json").write_text(json.dumps(stats))


@torch.no_grad()
def blank(model, folder):
    """Latents of mid grey, for streams that know nothing; one for each size."""
    if not (folder / "blank.pt").exists():
        torch.save({s: encode(model, torch.zeros(1, 3, 41, s[1], s[0]))[0] for s in set(SIZES)}, folder / "blank.pt")

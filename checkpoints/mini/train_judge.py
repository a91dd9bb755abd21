"""Fits the judge to renderings of the world: the eye to single frames, then the way to how things move as the eye follows them."""

import numpy as np
import torch
import torch.nn.functional as F

import judge as j
import world
from common import Average, Muon, Run, rate, seeded

EYE = 0.75  # of the time; then the way, from what the eye sees
SIZES = [(112, 64)] * 8 + [(64, 112), (80, 80), (112, 80)]


def truth(spec, t=None):
    """Middles and radii of a clip's things in pixels: arrays of [frames]."""
    unit = min(spec.width, spec.height) / 64
    look, zoom = world.view(spec.camera, spec.frames)
    for thing in spec.things:
        x, y, r, _ = world.path(thing, spec.frames, spec.width / unit / 2, spec.height / unit / 2)
        yield thing, (x - look) * zoom * unit + spec.width / 2, y * zoom * unit + spec.height / 2, r * zoom * unit


def spoil(rng, x):
    """Blur, noise and other brightness: what a decoder does to frames."""
    if rng.random() < 0.6:
        k = float(rng.uniform(0, 0.22))
        blur = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
        x = x * (1 - 3 * k) + blur * 3 * k
    if rng.random() < 0.6:
        coarse = torch.randn(x.shape[0], 3, x.shape[2] // 4, x.shape[3] // 4)
        x = x + F.interpolate(coarse, size=x.shape[2:], mode="bilinear") * float(rng.uniform(0, 0.08))
        x = x + torch.randn_like(x) * float(rng.uniform(0, 0.05))
    return x * (1 + float(rng.normal()) * 0.03) + float(rng.normal()) * 0.02


def eye_batch(rng, count):
    width, height = SIZES[rng.integers(len(SIZES))]
    frames, rows, columns = [], height // j.STRIDE, width // j.STRIDE
    heat = torch.zeros(count, rows, columns)
    points, backgrounds = [], []
    for n in range(count):
        t = int(rng.integers(0, 30))
        spec = world.sample(rng, width, height, t + 1, want_unseen=bool(rng.random() < 0.3))
        frames.append(world.render(spec, start=t)[0])
        backgrounds.append(world.BACKGROUNDS.index(spec.background))
        for thing, x, y, r in truth(spec):
            column, row = x[-1] / j.STRIDE, y[-1] / j.STRIDE
            if not (0 <= column < columns and 0 <= row < rows):
                continue
            yy, xx = np.mgrid[0:rows, 0:columns]
            bump = np.exp(-((xx + 0.5 - column) ** 2 + (yy + 0.5 - row) ** 2) / 1.2)
            heat[n] = torch.maximum(heat[n], torch.from_numpy(bump).float())
            for dj in (-1, 0, 1):
                for di in (-1, 0, 1):
                    a, b = int(row) + dj, int(column) + di
                    if 0 <= a < rows and 0 <= b < columns:
                        points.append((n, a, b, j.COLOURS.index(thing.colour), j.SHAPES.index(thing.shape),
                                       column - b - 0.5, row - a - 0.5, np.log(r[-1])))  # fmt: skip
    return spoil(rng, j.to_input(np.stack(frames))), heat, np.array(points), torch.tensor(backgrounds)


def eye_loss(eye, batch):
    frames, heat, points, backgrounds = batch
    h, colour, shape, place, where = eye(frames)
    n, a, b = (torch.from_numpy(points[:, k].astype(np.int64)) for k in range(3))
    p = h[:, 0].sigmoid()
    seen = F.binary_cross_entropy_with_logits(h[:, 0], heat, weight=(p.detach() - heat).abs() + 0.02, reduction="sum") / len(frames)
    loss = seen + F.cross_entropy(where, backgrounds)
    loss = loss + F.cross_entropy(colour[n, :, a, b], torch.from_numpy(points[:, 3].astype(np.int64)))
    loss = loss + F.cross_entropy(shape[n, :, a, b], torch.from_numpy(points[:, 4].astype(np.int64)))
    return loss + F.l1_loss(place[n, :, a, b], torch.from_numpy(points[:, 5:8]).float())


@torch.no_grad()
def seen_ways(eye, rng, count=1200):
    """The ways of things as the eye follows them through true clips, by their motion. It takes a while, so that it is done once."""
    seen = {}
    for _ in range(count):
        spec = world.sample(rng, *SIZES[rng.integers(len(SIZES))], int(rng.choice([13, 21, 41, 41])),
                            want_unseen=bool(rng.random() < 0.3), things=1, camera="fixed")  # fmt: skip
        frames = world.render(spec)
        heat, _, _, place, _ = eye(j.to_input(frames))
        _, things = j.tracks(heat, place)
        if things:
            seen.setdefault(spec.things[0].motion, []).append(j.way_of(frames, j.uncut(frames, things[0])))
    return seen


def shaken(rng, count):
    """Errors of size one: each for itself, or such as last for some frames, as those of a thing that turns do."""
    errors = rng.normal(size=count + 4)
    errors = np.convolve(errors, np.ones(5) / 5**0.5, "valid") if rng.random() < 0.5 else errors[:count]
    return errors


def way_batch(rng, count, seen):
    """Ways with some error: half of them as they were seen, cut or mirrored, half of them true ones."""
    rows, labels = [], []
    while len(rows) < count:
        motion, way = seen_way(rng, seen) if rng.random() < 0.5 else true_way(rng, seen)
        if way is None:
            continue
        x, y, r, restless = way
        x, y = (v + shaken(rng, len(v)) * rng.uniform(0, 0.8) for v in (x, y))
        r = r * np.exp(shaken(rng, len(r)) * rng.uniform(0, 0.1))
        # Decoded clips flicker: what stands still is never as quiet as in true ones.
        restless = restless * np.exp(rng.uniform(-0.2, 0.7)) + rng.uniform(0, 0.45)
        rows.append(j.features(x, y, r, restless))
        labels.append(world.MOTIONS.index(motion))
    return torch.from_numpy(np.stack(rows)), torch.tensor(labels)


def seen_way(rng, seen):
    """The last part of a way as it was seen, some of them mirrored."""
    motion = str(rng.choice(world.MOTIONS))
    x, y, r, restless = seen[motion][rng.integers(len(seen[motion]))]
    if rng.random() < 0.5:
        x, motion = -x, {"left": "right", "right": "left"}.get(motion, motion)
    first = int(rng.integers(0, max(len(x) - 20, 1)))
    return motion, (v[first:] for v in (x, y, r, restless))


def true_way(rng, seen):
    """A true way, and how restless some thing was that moved like that; None where too little of it is inside of the frame."""
    width, height = SIZES[rng.integers(len(SIZES))]
    start = int(rng.integers(0, 24)) if rng.random() < 0.3 else 0
    frames = int(rng.choice([9, 13, 21, 29, 41]))
    spec = world.sample(rng, width, height, frames + start, want_unseen=bool(rng.random() < 0.3), camera="fixed")
    unit = min(width, height) / 64
    thing, x, y, r = next(iter(truth(spec)))
    x, y, r = x[start:] / unit, y[start:] / unit, r[start:] / unit
    whole = j.is_whole(x, y, np.median(r), width / unit, height / unit)
    if whole.sum() < 4 or np.abs(np.diff(x)).max() > 30 or np.abs(np.diff(y)).max() > 30:
        return thing.motion, None
    x, y, r = (np.interp(np.arange(frames), np.flatnonzero(whole), v[whole]) for v in (x, y, r))
    some = seen[thing.motion][rng.integers(len(seen[thing.motion]))][3]
    return thing.motion, (x, y, r, np.interp(np.linspace(0, 1, frames), np.linspace(0, 1, len(some)), some))


def train(work, minutes=35.0, lr=2e-3):
    run = Run(work, "judge", minutes)
    both = torch.nn.ModuleDict(dict(eye=j.Eye(), way=j.Way()))
    optimizer = Muon(list(both.named_parameters()), lr, decay=0.01, plain=("out", "one", "where.2"))
    average = Average(both, 0.998)
    run.load(both, optimizer, average)
    rng = np.random.default_rng(seeded(run))
    torch.manual_seed(seeded(run))
    share, logged, losses, seen = run.used / minutes, run.used, [], None
    while share < 1:
        if share < EYE:
            loss, part = eye_loss(both["eye"], eye_batch(rng, 32)), rate(share / EYE)
        else:
            if seen is None:
                best = {k.removeprefix("eye."): v for k, v in average.weights.items() if k.startswith("eye.")}
                both["eye"].load_state_dict(best)
                seen = seen_ways(both["eye"], rng)
            x, label = way_batch(rng, 160, seen)
            loss, part = F.cross_entropy(both["way"](x), label), rate((share - EYE) / (1 - EYE))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = lr * part
        optimizer.step()
        average.update(both)
        losses.append(loss.item())
        share = run.tick()
        if run.used - logged > 1 or share >= 1:
            logged = run.used
            run.log(loss=np.mean(losses))
            losses = []
            export(average.weights)
        if run.should_save() or share >= 1:
            run.save(both, optimizer, average)


def export(weights):
    parts = {"eye": {}, "way": {}}
    for k, v in weights.items():
        part, name = k.split(".", 1)
        parts[part][name] = v.half()
    torch.save(parts, j.WEIGHTS)

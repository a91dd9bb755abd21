"""Judges clips from their pixels alone: which things are where, and how they move; over which background.

An `Eye` finds things in single frames (a small convolutional net fitted to renderings of the world, spoiled by blur and
noise); things are followed through the clip, and a small net reads the way they go. Neither has seen a generated clip.
"""

import dataclasses
import pathlib

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import world

COLOURS, SHAPES, SIZES = list(world.COLOURS), world.SHAPES, list(world.SIZES)
STRIDE = 4
WEIGHTS = pathlib.Path(__file__).with_name("judge.pt")
STEPS = 12  # points of a way


@dataclasses.dataclass
class Verdict:
    """What a clip shows. Without a thing, its attributes are None."""

    count: int
    background: str
    colour: str | None = None
    shape: str | None = None
    size: str | None = None
    motion: str | None = None
    colours: tuple = ()  # of all things
    shapes: tuple = ()
    track: np.ndarray | None = None  # [T, 3]: x, y, radius of the first thing, in pixels


class Eye(nn.Module):
    """Frames [B, 3, Y, X] to, for each 4x4 square: is a thing's middle here, its colour, shape, radius, offset; and the background."""

    def __init__(self, width=48):
        super().__init__()
        self.one = nn.Conv2d(3, 16, 3, 2, 1)
        self.two = nn.Conv2d(16, 32, 3, 2, 1)
        self.three = nn.Conv2d(32, width, 3, 2, 1)
        self.deep = nn.ModuleList(nn.Conv2d(width, width, 3, padding=d, dilation=d) for d in (1, 2, 1, 2))
        self.norms = nn.ModuleList(nn.GroupNorm(4, width) for _ in range(4))
        self.join = nn.Conv2d(width + 32, width, 3, padding=1)
        self.split = [1, len(COLOURS), len(SHAPES), 3]
        self.out = nn.Conv2d(width, sum(self.split), 1)
        self.where = nn.Sequential(nn.Linear(width * 4, 64), nn.GELU(), nn.Linear(64, len(world.BACKGROUNDS)))

    def forward(self, x):
        a = F.gelu(self.two(F.gelu(self.one(x))))
        h = F.gelu(self.three(a))
        for norm, layer in zip(self.norms, self.deep):
            h = h + F.gelu(layer(norm(h)))
        rows = F.adaptive_avg_pool2d(h, (4, 1)).flatten(1)
        up = F.interpolate(h, size=a.shape[2:], mode="nearest")
        out = self.out(F.gelu(self.join(torch.cat([up, a], 1))))
        return *out.split(self.split, 1), self.where(rows)


class Way(nn.Module):
    """A way of `STEPS` points, each x, y, log radius and restlessness, to motions."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(STEPS * 4 + 2, 96), nn.GELU(), nn.Linear(96, 96), nn.GELU(),
                                 nn.Linear(96, len(world.MOTIONS)))  # fmt: skip

    def forward(self, x):
        return self.net(x)


def to_input(frames):
    """uint8 [T, Y, X, 3] to [T, 3, Y, X]."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1


def features(x, y, r, restless):
    """A way in numbers that do not depend on the clip's length or size; lengths in units of 1/64 of the shorter side."""
    at = np.linspace(0, len(x) - 1, STEPS)
    def pick(v):
        return np.interp(at, np.arange(len(v)), v)

    x0, y0 = np.mean(x), np.mean(y)
    cols = [(pick(x) - x0) / 12, (pick(y) - y0) / 12, np.log(pick(r) / np.mean(r)) * 4, pick(restless)]
    return np.concatenate([*cols, [np.log(len(x)) - 2.7, np.median(restless)]]).astype(np.float32)


def is_whole(x, y, r, width, height):
    """Whether so little of a thing is beyond the frame's edge that its middle and radius can be told."""
    return (np.minimum(x, width - x) > 0.6 * r) & (np.minimum(y, height - y) > 0.6 * r)


def restlessness(frames, x, y, r):
    """How much of a thing's square changes from frame to frame once it is held in place, as a share of its contrast: what spinning
    shows. The places are off by a pixel at times, so the next frame is moved to where it fits best."""
    side, margin = 24, 2
    grid = (np.arange(side + 2 * margin) - margin + 0.5) / side * 2 - 1
    patches = []
    for frame, cx, cy, cr in zip(frames, x, y, r):
        u = np.clip(cx + grid * cr * 1.2 - 0.5, 0, frame.shape[1] - 1.001)
        v = np.clip(cy + grid * cr * 1.2 - 0.5, 0, frame.shape[0] - 1.001)
        i, j = v.astype(int), u.astype(int)
        a, b = (v - i)[:, None, None], (u - j)[None, :, None]
        f = frame.astype(np.float32)
        rows0, rows1 = f[i][:, j] * (1 - b) + f[i][:, j + 1] * b, f[i + 1][:, j] * (1 - b) + f[i + 1][:, j + 1] * b
        patches.append(rows0 * (1 - a) + rows1 * a)
    moves = [(a, b) for a in range(2 * margin + 1) for b in range(2 * margin + 1)]
    out = []
    for before, after in zip(patches, patches[1:]):
        before = before[margin:-margin, margin:-margin]
        change = min(np.abs(after[a : a + side, b : b + side] - before).mean() for a, b in moves)
        out.append(10 * change / (before.std() + 6))
    return np.minimum(np.array([*out[:1], *out] or [0.0], np.float32), 5.0)


class Judge:
    """The two nets with their weights."""

    def __init__(self, weights=WEIGHTS):
        state = torch.load(weights, weights_only=True)
        self.eye, self.way = Eye(), Way()
        self.eye.load_state_dict({k: v.float() for k, v in state["eye"].items()})
        self.way.load_state_dict({k: v.float() for k, v in state["way"].items()})
        self.eye.eval(), self.way.eval()

    @torch.no_grad()
    def __call__(self, frames):
        """Judges uint8 [T, Y, X, 3]."""
        heat, colour, shape, place, where = self.eye(to_input(frames))
        background = world.BACKGROUNDS[int(where.log_softmax(-1).mean(0).argmax())]
        colour, shape = colour.log_softmax(1).numpy(), shape.log_softmax(1).numpy()
        count, things = tracks(heat, place)
        if not things:
            return Verdict(0, background)
        seen = [self.thing(frames, t, colour, shape) for t in things[: max(count, 1)]]
        first = max(seen, key=lambda t: t["moves"]) if len(seen) > 1 else seen[0]
        return Verdict(max(count, 1), background, first["colour"], first["shape"], first["size"], first["motion"],
                       tuple(t["colour"] for t in seen), tuple(t["shape"] for t in seen), first["track"])  # fmt: skip

    def thing(self, frames, track, colour, shape):
        unit = min(frames.shape[1:3]) / 64
        t, j, i = track[:, [0, 4, 5]].astype(int).T
        whole = uncut(frames, track)
        chances = self.way(torch.from_numpy(features(*way_of(frames, whole)))[None]).softmax(-1)[0]
        motion = world.MOTIONS[int(chances.argmax())]
        sizes = np.array(list(world.SIZES.values()))
        return dict(
            colour=COLOURS[int(colour[t, :, j, i].mean(0).argmax())],
            shape=SHAPES[int(shape[t, :, j, i].mean(0).argmax())],
            size=SIZES[int(np.abs(np.log(sizes * unit / np.median(whole[:, 3]))).argmin())], motion=motion,
            moves=1 - float(chances[world.MOTIONS.index("still")]), track=filled(track, len(frames)).T,
        )  # fmt: skip


def uncut(frames, track):
    """The part of a track where the thing is not cut off by the frame's edge; all of it where that is too little."""
    whole = is_whole(track[:, 1], track[:, 2], np.median(track[:, 3]), *frames.shape[2:0:-1])
    return track[whole] if whole.sum() >= 4 else track


def filled(track, count):
    """x, y and radius in each of `count` frames [3, T], between those of a track."""
    return np.stack([np.interp(np.arange(count), track[:, 0], v) for v in track.T[1:4]])


def way_of(frames, track):
    """x, y, radius and restlessness of a thing over all frames, lengths in units of 1/64 of the shorter side."""
    x, y, r = filled(track, len(frames))
    unit = min(frames.shape[1:3]) / 64
    return x / unit, y / unit, r / unit, restlessness(frames, x, y, r)


def tracks(heat, place):
    """How many things there are in most frames, and their tracks, from what the eye sees."""
    heat, place = heat[:, 0].sigmoid().numpy(), place.numpy()
    spots = [peaks(h) for h in heat]
    return int(np.median([len(s) for s in spots])), follow(spots, heat, place)


def peaks(heat, least=0.3):
    """Squares that are likelier than their neighbours."""
    h = np.pad(heat, 2)
    top = np.max([h[a : a + heat.shape[0], b : b + heat.shape[1]] for a in range(5) for b in range(5)], 0)
    at = np.argwhere((heat >= top) & (heat > least))
    return sorted(map(tuple, at), key=lambda p: -heat[p])[:4]


def follow(spots, heat, place):
    """Spots of all frames joined to tracks [N, (t, x, y, radius, row, column)], the most certain first."""
    tracks = []
    for t, found in enumerate(spots):
        free = list(range(len(tracks)))
        for j, i in found:
            dx, dy, logr = place[t, :, j, i]
            point = (t, (i + 0.5 + dx) * STRIDE, (j + 0.5 + dy) * STRIDE, np.exp(np.clip(logr, 0, 4)), j, i)
            near = [k for k in free if np.hypot(tracks[k][-1][1] - point[1], tracks[k][-1][2] - point[2]) < 14]
            if near:
                k = min(near, key=lambda k: np.hypot(tracks[k][-1][1] - point[1], tracks[k][-1][2] - point[2]))
                tracks[k].append(point)
                free.remove(k)
            else:
                tracks.append([point])
    weigh = [sum(heat[int(p[0]), int(p[4]), int(p[5])] for p in t) for t in tracks]
    return [np.array(tracks[k]) for k in np.argsort(weigh)[::-1] if len(tracks[k]) >= max(2, len(spots) // 4)]

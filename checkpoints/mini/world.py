"""The world of wan-mini: small procedural clips of flat-shaded things that move over simple backgrounds.

A `Spec` says everything that is seen; `render` draws it, deterministically. Specs come from `sample` (specs.py draws
captions and edits from them), and the judge measures clips against them. This file knows nothing of words.

All lengths are in units of 1/64 of the shorter side, so that a spec looks alike at every size.
"""

import dataclasses
import functools
import math

import numpy as np

COLOURS = {
    "red": (222, 38, 38), "orange": (246, 140, 22), "yellow": (250, 218, 44), "green": (38, 168, 60),
    "blue": (40, 86, 228), "purple": (138, 48, 190), "pink": (250, 128, 192), "white": (246, 246, 246),
    "black": (22, 22, 22),
}  # fmt: skip
SHAPES = ["circle", "square", "triangle", "star", "heart", "ring", "cross", "diamond"]
SIZES = {"small": 8.0, "medium": 12.0, "big": 17.0}
MOTIONS = ["left", "right", "up", "down", "bounce", "spin", "grow", "shrink", "orbit", "still", "sway"]
BACKGROUNDS = ["night", "sky", "grass", "desert", "sea", "sunset", "snow", "grey", "white", "black", "photo"]
CAMERAS = ["fixed", "pan left", "pan right", "zoom in", "zoom out"]

# Colours that would not stand out.
HIDDEN = {"night": ["black"], "grass": ["green"], "sea": ["blue"], "sunset": ["orange"], "snow": ["white"],
          "white": ["white"], "black": ["black"]}  # fmt: skip
# Turning these shows nothing.
ROUND = ["circle", "ring"]


@dataclasses.dataclass
class Thing:
    """One object; `x`, `y` from the middle of the frame, `angle` in radians, `phase` in cycles."""

    colour: str
    shape: str
    size: str
    motion: str
    x: float
    y: float
    angle: float
    speed: float
    phase: float


@dataclasses.dataclass
class Spec:
    """A clip: what is in it, where, how large and how long."""

    things: list
    background: str
    camera: str
    seed: int
    width: int = 112
    height: int = 64
    frames: int = 9

    def replace(self, **changes):
        return dataclasses.replace(self, **changes)

    def with_thing(self, **changes):
        """The same clip with its first thing changed."""
        return self.replace(things=[dataclasses.replace(self.things[0], **changes), *self.things[1:]])


def unseen(colour, shape, motion):
    """Whether a combination is kept for the evaluation: one colour of each shape, one or two motions of each shape."""
    return unseen_pair(colour, shape) or (MOTIONS.index(motion) + 2 * SHAPES.index(shape)) % 11 == 6


def unseen_pair(colour, shape):
    return (list(COLOURS).index(colour) + 3 * SHAPES.index(shape)) % 9 == 4


def sample(rng, width=112, height=64, frames=9, want_unseen=False, things=None, camera=None):
    """Draws a spec. Of its first thing, the combination is one of the unseen if `want_unseen`, else never."""
    unit = min(width, height) / 64
    half_x, half_y = width / unit / 2, height / unit / 2
    background = str(rng.choice(BACKGROUNDS, p=[0.095] * 10 + [0.05]))
    camera = camera or (str(rng.choice(CAMERAS[1:])) if rng.random() < 0.10 else "fixed")
    count = things or (2 if rng.random() < 0.12 else 1)
    colours = [c for c in COLOURS if c not in HIDDEN.get(background, [])]
    while True:
        colour, shape, motion = str(rng.choice(colours)), str(rng.choice(SHAPES)), str(rng.choice(MOTIONS))
        if motion == "spin" and shape in ROUND or camera != "fixed" and motion not in ("still", "spin", "bounce"):
            continue
        if unseen(colour, shape, motion) == want_unseen:
            break
    size = str(rng.choice(list(SIZES)))
    if count == 2:
        size = str(rng.choice(["small", "medium"]))
    side = 1 if rng.random() < 0.5 else -1
    out = [place(rng, colour, shape, size, motion, frames, half_x, half_y, side if count == 2 else 0)]
    if count == 2:
        others = [(c, s) for c in colours for s in SHAPES if c != colour and s != shape and not unseen_pair(c, s)]
        c, s = others[int(rng.integers(len(others)))]
        out.append(place(rng, c, s, "small", "still", frames, half_x, half_y, -side))
    return Spec(out, background, camera, int(rng.integers(1 << 31)), width, height, frames)


def place(rng, colour, shape, size, motion, frames, half_x, half_y, side=0):
    """A thing whose way stays inside of the frame where it can; now and then it leaves, and comes in again."""
    r = SIZES[size]
    span = frames - 1
    x = rng.uniform(-1, 1) * max(half_x - r - 4, 2) * 0.8
    y = rng.uniform(-1, 1) * max(half_y - r - 3, 2) * 0.7
    if side:
        x = side * rng.uniform(0.4, 0.6) * half_x
        y *= 0.5
    angle = 0.0
    speed = 1.0
    phase = float(rng.uniform())
    if motion in ("left", "right"):
        speed = rng.uniform(1.0, 1.6) * (half_x / 56 if half_x < 48 else 1)
        way = min(speed * span, 2 * half_x - 1.2 * r)
        sign = 1 if motion == "right" else -1
        if rng.random() < 0.9:
            low, high = -half_x + 0.6 * r, half_x - 0.6 * r - way
            start = rng.uniform(low, max(low, high))
            x = start if sign > 0 else -start
    elif motion in ("up", "down"):
        speed = rng.uniform(0.8, 1.2) * (half_y / 32 if half_y > 32 else 1)
        way = min(speed * span, 2 * half_y - 1.0 * r)
        sign = 1 if motion == "down" else -1
        if rng.random() < 0.9:
            low, high = -half_y + 0.5 * r, half_y - 0.5 * r - way
            start = rng.uniform(low, max(low, high))
            y = start if sign > 0 else -start
    elif motion == "bounce":
        y = half_y - r - 3  # where it touches the ground
        speed = rng.uniform(0.085, 0.11)  # bounces a frame
    elif motion == "spin":
        speed = rng.uniform(0.18, 0.28)  # radians a frame
    elif motion in ("grow", "shrink"):
        x, y = x * 0.6, y * 0.5
        speed = 0.55
    elif motion == "orbit":
        x = x * 0.3
        y = y * 0.1
        speed = rng.uniform(0.20, 0.26)
    elif motion == "sway":
        x *= 0.4
        speed = rng.uniform(0.085, 0.11)
    return Thing(colour, shape, size, motion, float(x), float(y), angle, float(speed), phase)


def path(thing, frames, half_x, half_y):
    """Positions, radii and angles over time: arrays of [frames]."""
    t = np.arange(frames, dtype=np.float32)
    r = np.full(frames, SIZES[thing.size], np.float32)
    x, y = np.full(frames, thing.x, np.float32), np.full(frames, thing.y, np.float32)
    angle = np.full(frames, thing.angle, np.float32)
    m = thing.motion
    if m in ("left", "right"):
        x = x + t * thing.speed * (1 if m == "right" else -1)
        reach = half_x + r[0] * 1.2
        x = (x + reach) % (2 * reach) - reach
    elif m in ("up", "down"):
        y = y + t * thing.speed * (1 if m == "down" else -1)
        reach = half_y + r[0] * 1.2
        y = (y + reach) % (2 * reach) - reach
    elif m == "bounce":
        cycle = (t * thing.speed + thing.phase) % 1.0
        y = y - 4 * cycle * (1 - cycle) * min(26.0, half_y * 2 - 2 * r[0] - 6)
    elif m == "spin":
        angle = angle + t * thing.speed
    elif m == "grow":
        r = np.minimum(SIZES[thing.size] * 0.7 + t * thing.speed, 26.0)
    elif m == "shrink":
        r = np.maximum(SIZES[thing.size] * 0.6 + 10.0 - t * thing.speed, 4.0)
    elif m == "orbit":
        turn = 2 * math.pi * thing.phase + t * thing.speed
        x, y = x + 19.0 * np.cos(turn), y + 15.0 * np.sin(turn)
    elif m == "sway":
        x = x + 14.0 * np.sin(2 * math.pi * (t * thing.speed + thing.phase))
    return x.astype(np.float32), y.astype(np.float32), r.astype(np.float32), angle.astype(np.float32)


def view(camera, frames):
    """Where the camera looks, and how close: x and zoom of [frames]."""
    t = np.arange(frames, dtype=np.float32)
    x, zoom = np.zeros(frames, np.float32), np.ones(frames, np.float32)
    if camera == "pan left":
        x = -np.minimum(t * 0.9, 24.0)
    elif camera == "pan right":
        x = np.minimum(t * 0.9, 24.0)
    elif camera == "zoom in":
        zoom = np.minimum(1 + t * 0.03, 1.6)
    elif camera == "zoom out":
        zoom = np.maximum(1.5 - t * 0.03, 1.0)
    return x, zoom


def render(spec, start=0):
    """The clip as uint8 [frames, height, width, 3]; `start` leaves out that many frames before it."""
    frames = spec.frames + start
    unit = min(spec.width, spec.height) / 64
    look, zoom = view(spec.camera, frames)
    canvas = backdrop(spec, 1.6 if spec.camera != "fixed" else 1.0)
    if spec.camera == "fixed":
        clip = np.repeat(canvas[None], frames - start, 0)
    else:
        clip = np.stack([crop(canvas, spec, look[t] * unit, zoom[t]) for t in range(start, frames)])
    for thing in reversed(spec.things):
        x, y, r, angle = path(thing, frames, spec.width / unit / 2, spec.height / unit / 2)
        x, y, r = (x - look) * zoom * unit, y * zoom * unit, r * zoom * unit
        draw(clip, thing, x[start:] + spec.width / 2, y[start:] + spec.height / 2, r[start:], angle[start:])
    return np.clip(clip + 0.5, 0, 255).astype(np.uint8)


def alpha(spec, start=0):
    """How far the first thing covers each pixel: float [frames, height, width], as `render` draws it."""
    if start:
        return alpha(spec.replace(frames=spec.frames + start))[start:]
    unit = min(spec.width, spec.height) / 64
    look, zoom = view(spec.camera, spec.frames)
    clip = np.zeros((spec.frames, spec.height, spec.width, 3), np.float32)
    x, y, r, angle = path(spec.things[0], spec.frames, spec.width / unit / 2, spec.height / unit / 2)
    x, y, r = (x - look) * zoom * unit, y * zoom * unit, r * zoom * unit
    draw(clip, spec.things[0], x + spec.width / 2, y + spec.height / 2, r, angle, (255.0, 255.0, 255.0), edge=1.0)
    return clip[..., 0] / 255


def cover(spec, start=0):
    """How far anything covers each pixel: float [frames, height, width]."""
    return np.maximum.reduce([alpha(spec.replace(things=[t]), start) for t in spec.things])


def draw(clip, thing, x, y, r, angle, fill=None, edge=0.62):
    """Paints a thing into a float clip, edges smoothed over one pixel, with a darker rim."""
    height, width = clip.shape[1:3]
    table = distances(thing.shape)
    fill = np.asarray(fill or COLOURS[thing.colour], np.float32)
    rim = fill * edge if fill.max() > 60 else fill + (90 if edge < 1 else 0)
    for t in range(len(x)):
        reach = r[t] * 1.35 + 1.5
        x0, x1 = max(int(x[t] - reach), 0), min(int(x[t] + reach) + 1, width)
        y0, y1 = max(int(y[t] - reach), 0), min(int(y[t] + reach) + 1, height)
        if x0 >= x1 or y0 >= y1:
            continue
        u = (np.arange(x0, x1, dtype=np.float32) + 0.5 - x[t])[None, :] / r[t]
        v = (np.arange(y0, y1, dtype=np.float32) + 0.5 - y[t])[:, None] / r[t]
        if angle[t]:
            c, s = math.cos(angle[t]), math.sin(angle[t])
            u, v = c * u + s * v, c * v - s * u
        d = lookup(table, u, v) * r[t]
        inside = np.clip(0.5 - d, 0, 1)[..., None]
        core = np.clip(0.5 - (d + max(0.9, 0.1 * r[t])), 0, 1)[..., None]
        patch = clip[t, y0:y1, x0:x1]
        clip[t, y0:y1, x0:x1] = patch * (1 - inside) + inside * (rim + core * (fill - rim))


GRID = 192
REACH = 1.6


def lookup(table, u, v):
    """Signed distance by bilinear reading of a shape's table."""
    scale = (GRID - 1) / (2 * REACH)
    u = np.clip((u + REACH) * scale, 0, GRID - 1.001) + np.zeros_like(v)
    v = np.clip((v + REACH) * scale, 0, GRID - 1.001) + np.zeros_like(u)
    i, j = u.astype(np.int32), v.astype(np.int32)
    a, b = u - i, v - j
    flat = table.ravel()
    k = j * GRID + i
    top = flat[k] * (1 - a) + flat[k + 1] * a
    return top * (1 - b) + (flat[k + GRID] * (1 - a) + flat[k + GRID + 1] * a) * b


@functools.cache
def distances(shape):
    """A shape of radius one as a table of signed distances, negative inside."""
    axis = np.linspace(-REACH, REACH, GRID, dtype=np.float64)
    u, v = np.meshgrid(axis, axis)
    if shape == "circle":
        d = np.hypot(u, v) - 0.95
    elif shape == "ring":
        d = np.abs(np.hypot(u, v) - 0.76) - 0.25
    else:
        d = polygon(outline(shape), u, v)
    return d.astype(np.float32)


def outline(shape):
    """Corners of a shape, y downwards."""
    def regular(n, radius, turn):
        a = 2 * np.pi * np.arange(n) / n + turn
        return np.stack([radius * np.sin(a), -radius * np.cos(a)], 1)

    if shape == "square":
        return np.array([[-0.86, -0.86], [0.86, -0.86], [0.86, 0.86], [-0.86, 0.86]])
    if shape == "triangle":
        return regular(3, 1.18, 0) + [0, 0.22]
    if shape == "diamond":
        return np.array([[0, -1.2], [0.78, 0], [0, 1.2], [-0.78, 0]])
    if shape == "star":
        points = regular(10, 1.2, 0)
        points[1::2] *= 0.42
        return points
    if shape == "cross":
        a, b = 0.34, 1.05
        return np.array([[-a, -b], [a, -b], [a, -a], [b, -a], [b, a], [a, a], [a, b], [-a, b], [-a, a], [-b, a],
                         [-b, -a], [-a, -a]])  # fmt: skip
    if shape == "heart":
        t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        x = 16 * np.sin(t) ** 3
        y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
        return np.stack([x / 15.5, -y / 15.5 - 0.08], 1)
    raise ValueError(shape)


def polygon(points, u, v):
    """Signed distance to a polygon."""
    d = np.full(u.shape, 1e9)
    inside = np.zeros(u.shape, bool)
    for (ax, ay), (bx, by) in zip(points, np.roll(points, -1, 0)):
        ex, ey, wx, wy = bx - ax, by - ay, u - ax, v - ay
        k = np.clip((wx * ex + wy * ey) / (ex * ex + ey * ey), 0, 1)
        d = np.minimum(d, np.hypot(wx - k * ex, wy - k * ey))
        if ay != by:
            inside ^= ((ay > v) != (by > v)) & (u < ex * (v - ay) / ey + ax)
    return np.where(inside, -d, d)


# ---- backgrounds -----------------------------------------------------------------------------------------------


def backdrop(spec, scale):
    """The background as float [height, width, 3], larger than the frame where the camera moves."""
    rng = np.random.default_rng(spec.seed)
    height, width = round(spec.height * scale), round(spec.width * scale)
    unit = min(spec.width, spec.height) / 64
    y = ((np.arange(height, dtype=np.float32) + 0.5 - height / 2) / spec.height + 0.5)[:, None]
    x = ((np.arange(width, dtype=np.float32) + 0.5 - width / 2) / spec.height)[None, :]
    tint = rng.uniform(-8, 8, 3).astype(np.float32)
    name = spec.background
    if name == "night":
        image = blend(y, (8, 10, 40), (34, 40, 96), x)
        image = blobs(image, x, y, [(rng.uniform(-0.8, 0.8), rng.uniform(0.02, 0.8), 0.014) for _ in range(9)],
                      (235, 235, 220), unit * spec.height / 64)  # fmt: skip
        image = blobs(image, x, y, [(rng.choice([-0.6, 0.6]) + rng.uniform(-0.1, 0.1), 0.16, 0.075)], (240, 238, 205), 1)
    elif name == "sky":
        image = blend(y, (88, 164, 240), (190, 226, 250), x)
        for _ in range(2):
            cx, cy = rng.uniform(-0.8, 0.8), rng.uniform(0.1, 0.4)
            puffs = [(cx - 0.12, cy + 0.02, 0.07), (cx, cy, 0.10), (cx + 0.13, cy + 0.02, 0.075)]
            image = blobs(image, x, y, puffs, (250, 252, 255), 1)
    elif name in ("grass", "desert", "snow", "sea"):
        above, near, far = {
            "grass": ((150, 208, 246), (66, 140, 52), (112, 190, 84)),
            "desert": ((158, 206, 238), (206, 160, 92), (238, 208, 150)),
            "snow": ((176, 192, 214), (226, 234, 244), (250, 252, 255)),
            "sea": ((196, 226, 246), (10, 76, 122), (36, 136, 176)),
        }[name]
        horizon = rng.uniform(0.42, 0.56)
        bump = 0.0 if name == "sea" else rng.uniform(0.02, 0.05)
        line = horizon + bump * np.sin(x * 4.0 + rng.uniform(0, 6.3))
        ground = np.clip((y - line) * spec.height + 0.5, 0, 1)[..., None]
        depth = np.clip((y - line) / 0.55, 0, 1)[..., None]
        ground_image = np.asarray(far, np.float32) * (1 - depth) + np.asarray(near, np.float32) * depth
        image = np.asarray(above, np.float32) * (1 - ground) + ground_image * ground
        if name == "sea":
            ripple = np.sin(y * 95 + 1.5 * np.sin(x * 9 + rng.uniform(0, 6.3)))
            image = image + (ripple * 9)[..., None] * ground * depth
    elif name == "sunset":
        image = blend(y, (88, 44, 120), (250, 120, 70), x)
        glow = np.clip((y - 0.45) / 0.5, 0, 1)[..., None] ** 1.5
        image = image * (1 - glow * 0.7) + np.asarray((255, 205, 110), np.float32) * glow * 0.7
        image = blobs(image, x, y, [(rng.uniform(-0.5, 0.5), 0.72, 0.13)], (255, 236, 150), 1)
        ground = np.clip((y - 0.86) * spec.height + 0.5, 0, 1)[..., None]
        image = image * (1 - ground) + np.asarray((60, 30, 60), np.float32) * ground
    elif name in ("grey", "white", "black"):
        base = {"grey": 132, "white": 238, "black": 14}[name]
        image = blend(y, (base + 4,) * 3, (base - 6,) * 3, x)
        tint = tint * 0.3
    else:
        image = photograph(rng, height, width)
    return np.clip(image + tint, 0, 255).astype(np.float32)


def blend(y, top, bottom, x):
    k = (np.clip(y, 0, 1) + np.zeros_like(x))[..., None]
    return np.asarray(top, np.float32) * (1 - k) + np.asarray(bottom, np.float32) * k


def blobs(image, x, y, circles, colour, least):
    for cx, cy, radius in circles:
        d = np.hypot(x - cx, y - cy)
        soft = 0.016 if radius > 0.02 else 0.012
        k = np.clip((radius - d) / soft + 0.5, 0, 1)[..., None]
        image = image * (1 - k) + np.asarray(colour, np.float32) * k
    return image


def photograph(rng, height, width):
    """Coloured noise of several scales with a few soft edges: what a user's own picture is like, to a VAE."""
    image = np.zeros((height, width, 3), np.float32)
    base = rng.uniform(50, 205, 3)
    for octave, strength in ((2, 45), (4, 30), (8, 18), (16, 10)):
        coarse = rng.normal(size=(octave + 1, octave * 2 + 1, 3)).astype(np.float32)
        coarse = coarse.mean(-1, keepdims=True) * 1.4 + coarse * 0.5
        image += enlarge(coarse, height, width) * strength
    for _ in range(int(rng.integers(0, 4))):
        nx, ny, offset = rng.normal(), rng.normal(), rng.uniform(-0.4, 0.4)
        yy, xx = np.mgrid[0:height, 0:width] / height - 0.5
        k = np.clip((nx * xx + ny * yy - offset) * rng.uniform(4, 60), 0, 1)[..., None]
        image += k.astype(np.float32) * rng.uniform(-60, 60, 3).astype(np.float32)
    return image + base.astype(np.float32)


def enlarge(coarse, height, width):
    v = np.linspace(0, coarse.shape[0] - 1.001, height, dtype=np.float32)
    u = np.linspace(0, coarse.shape[1] - 1.001, width, dtype=np.float32)
    i, j = v.astype(int), u.astype(int)
    a, b = (v - i)[:, None, None], (u - j)[None, :, None]
    rows = coarse[i] * (1 - a) + coarse[i + 1] * a
    return rows[:, j] * (1 - b) + rows[:, j + 1] * b


def crop(canvas, spec, shift, zoom):
    """The part of a canvas that the camera sees, read bilinearly."""
    height, width = canvas.shape[:2]
    v = (np.arange(spec.height, dtype=np.float32) + 0.5 - spec.height / 2) / zoom + height / 2 - 0.5
    u = (np.arange(spec.width, dtype=np.float32) + 0.5 - spec.width / 2) / zoom + shift + width / 2 - 0.5
    v, u = np.clip(v, 0, height - 1.001), np.clip(u, 0, width - 1.001)
    i, j = v.astype(int), u.astype(int)
    a, b = (v - i)[:, None, None], (u - j)[None, :, None]
    rows = canvas[i] * (1 - a) + canvas[i + 1] * a
    return rows[:, j] * (1 - b) + rows[:, j + 1] * b

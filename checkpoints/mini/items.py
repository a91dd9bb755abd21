"""What the evaluation asks for: prompts of every workflow with their truth, half of them never trained on."""

import dataclasses

import numpy as np

import cache
import words
import world

# Of 40 items in a row.
MIX = ["text"] * 22 + ["reference"] * 5 + ["edit"] * 6 + ["first"] * 3 + ["ends"] * 2 + ["continue"] * 2


@dataclasses.dataclass
class Item:
    """One clip to make. `spec` is what it should show, None where nobody knows (prompts of one's own)."""

    task: str
    prompt: str
    spec: world.Spec | None = None
    unseen: bool = False
    source: world.Spec | None = None  # the clip to edit
    which: str | None = None  # what an edit changes
    known: tuple = ()  # frames that are given, of `clip`
    clip: np.ndarray | None = None  # the true clip that they are from
    picture: np.ndarray | None = None


def draw(count, frames=41, width=112, height=64, seed=2024):
    """`count` items; every second one is an unseen combination in an unseen phrasing."""
    order = np.random.default_rng(seed).permutation(MIX * (count // len(MIX) + 1))[:count]
    return [item(np.random.default_rng([seed, n]), task, n % 2 == 1, frames, width, height) for n, task in enumerate(order)]


def item(rng, task, unseen, frames, width, height):
    while True:
        spec = world.sample(rng, width, height, frames, unseen, camera="fixed", things=None if task == "text" else 1)
        if spec.background != "photo" or task in ("first", "ends", "continue"):
            break
    if task == "text":
        return Item(task, words.caption(rng, spec, unseen), spec, unseen)
    if task == "reference":
        return Item(task, words.reference(rng, spec, unseen), spec, unseen, picture=cache.picture(rng, spec)[0])
    if task == "edit":
        new, which = words.change(rng, spec, want_unseen=unseen)
        return Item(task, words.instruct(rng, spec, new, which, unseen), new, unseen, source=spec, which=which)
    known = {"first": (0,), "ends": (0, frames - 1), "continue": tuple(range(cache.continued(frames)))}[task]
    return Item(task, words.caption(rng, spec, unseen), spec, unseen, known=known, clip=world.render(spec))


def of_file(path):
    """One prompt a line."""
    return [Item("text", line.strip()) for line in open(path, encoding="utf-8") if line.strip()]

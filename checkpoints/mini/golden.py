"""Writes what diffusers makes of the exported checkpoint, for the engine's tests: a few short clips of every kind of conditioning.

    python golden.py        writes fixtures/golden/mini/*.safetensors

Frames and inputs are bytes, stored as f16, which holds them exactly: [T, Y, X, 3]. Noise is drawn from the case's seed on both sides.
"""

import pathlib

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

import export
import world

HERE = pathlib.Path(__file__).parent
OUT = HERE.parent.parent / "fixtures/golden/mini"
WIDTH, HEIGHT, FRAMES, STEPS, GUIDANCE = 112, 64, 5, 6, 3.0
CASES = {
    "text": "a red ball moves left on a white background",
    "first": "a blue star spins at night",
    "edit": "make it green",
    "reference": "the thing in Image 1 rises over the sea",
}


def clip(**changes):
    thing = world.Thing("blue", "star", "big", "spin", 0, 0, 0, 0.2, 0)
    return world.render(world.Spec([thing], "night", "fixed", 5, WIDTH, HEIGHT, FRAMES).replace(**changes))


def images(frames):
    return [Image.fromarray(f) for f in frames]


def main():
    pipe = export.pipeline(HERE / "model")
    source = clip()
    write("source", source)
    for seed, (name, prompt) in enumerate(CASES.items()):
        extra = {}
        if name == "first":
            extra["video"] = images([source[0], *[np.full_like(source[0], 128)] * (FRAMES - 1)])
            extra["mask"] = [Image.new("L", (WIDTH, HEIGHT), 0 if t == 0 else 255) for t in range(FRAMES)]
        elif name == "edit":
            extra["video"] = images(source)
        elif name == "reference":
            extra["reference_images"] = images(source[:1])
        out = pipe(prompt, negative_prompt="", width=WIDTH, height=HEIGHT, num_frames=FRAMES, num_inference_steps=STEPS,
                   guidance_scale=GUIDANCE, max_sequence_length=512, generator=torch.Generator().manual_seed(seed),
                   output_type="np", **extra).frames[0]  # fmt: skip
        write(name, (np.asarray(out) * 255).round())


def write(name, frames):
    OUT.mkdir(parents=True, exist_ok=True)
    save_file({"frames": torch.from_numpy(np.asarray(frames, np.float32)).half().contiguous()}, OUT / f"{name}.safetensors")


if __name__ == "__main__":
    main()

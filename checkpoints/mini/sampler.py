"""Generates clips with the training code's own model, many at once: quick to look at, and what `eval.py --work` judges.

Conditioning is made as the engine and diffusers' WanVACEPipeline make it.
"""

import json

import numpy as np
import torch


import dit
import export
import train_dit
import train_text
import vae as v


class Sampler:
    """All parts of a training folder, averaged weights."""

    def __init__(self, work, half=True):
        self.vae, self.model, self.texts = v.new().eval(), dit.new().eval(), train_dit.Texts(work)
        weights = [(self.vae, export.vae_weights(work)), (self.model, export.dit_weights(work))]
        for model, state in weights:
            model.load_state_dict({k: w.half().float() if half else w for k, w in state.items()})
        stats = json.loads(open(f"{work}/cache/stats.json").read())
        self.mean, self.std = (torch.tensor(stats[k]).view(1, -1, 1, 1, 1) for k in ("mean", "std"))

    def encode(self, clip):
        """Float clips [B, 3, T, Y, X] in -1..1 to latents as the DiT knows them."""
        return (v.encode(self.vae, clip)[:, : v.Z] - self.mean) / self.std

    def control(self, width, height, frames, known=None, source=None, picture=None):
        """Control latents of one clip. `known` is {frame: uint8 picture}, `source` a clip to change, `picture` a reference."""
        blank = torch.zeros(1, 3, frames, height, width)
        inactive, reactive = blank.clone(), blank
        latent_frames = (frames + 3) // 4
        mask = torch.ones(1, dit.MASK, latent_frames, height // 8, width // 8)
        for n, image in (known or {}).items():
            inactive[0, :, n] = torch.from_numpy(image).permute(2, 0, 1).float() / 127.5 - 1
        if known:
            mask *= train_dit.mask_of(list(known), latent_frames).view(1, 1, -1, 1, 1)
        if source is not None:
            reactive = v.to_clip(torch.from_numpy(source)[None])
        parts = torch.cat([self.encode(inactive), self.encode(reactive), mask], 1)
        if picture is not None:
            z = self.encode(v.to_clip(torch.from_numpy(picture)[None, None]))
            parts = torch.cat([torch.cat([z, torch.zeros_like(z), torch.zeros_like(mask[:, :, :1])], 1), parts], 2)
        return parts

    @torch.no_grad()
    def __call__(self, prompts, width=112, height=64, frames=41, steps=20, guidance=3.0, shift=3.0, seed=0, controls=None):
        """uint8 clips [B, T, Y, X, 3]. All `controls` have the same number of references."""
        if controls is None:
            controls = self.control(width, height, frames).expand(len(prompts), -1, -1, -1, -1)
        leading = controls.shape[2] - (frames + 3) // 4
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(len(prompts), v.Z, *controls.shape[2:], generator=generator)
        states, bias = self.texts([train_text.clean(p) for p in [*prompts, *[""] * len(prompts)]])
        rope = dit.rotary(self.model, x)
        u = torch.linspace(1, 0, steps + 1)
        sigmas = shift * u / (1 + (shift - 1) * u)
        twice = torch.cat([controls, controls])
        for now, after in zip(sigmas, sigmas[1:]):
            t = (now * 1000).expand(2 * len(prompts))
            to, base = dit.forward(self.model, torch.cat([x, x]), t, states, bias, twice, rope).chunk(2)
            x = x + (after - now) * (base + guidance * (to - base))
        z = x[:, :, leading:] * self.std + self.mean
        clips = [v.decode(self.vae, part)[0].clamp(-1, 1) for part in z.split(1)]
        return [((c.permute(1, 2, 3, 0) + 1) * 127.5).round().to(torch.uint8).numpy() for c in clips]


def sheet(clips, columns=6, across=2, scale=2):
    """Frames of each clip side by side, clips below each other in `across` stacks."""
    from PIL import Image

    rows = []
    for clip in clips:
        at = np.linspace(0, len(clip) - 1, columns).round().astype(int)
        rows.append(np.concatenate([np.pad(clip[i], ((1, 1), (1, 1), (0, 0))) for i in at], 1))
    per = -(-len(rows) // across)
    rows += [np.zeros_like(rows[0])] * (per * across - len(rows))
    image = np.concatenate([np.concatenate(rows[k * per : (k + 1) * per], 0) for k in range(across)], 1)
    return Image.fromarray(image).resize((image.shape[1] * scale, image.shape[0] * scale), Image.LANCZOS)

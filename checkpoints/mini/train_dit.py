"""Trains the diffusion model on cached latents: flow matching, all tasks mixed in one model.

New shards of the cache are taken up while training runs, so that `cache` may go on beside it.
"""

import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

import dit
import train_text
import words
import world
from common import Average, Muon, Run, rate, seeded
from vae import Z

TOKENS = 3400  # a step
MATTERS = 4
SHIFT = 2.5


class Scenes:
    """Cached scenes by size, and the batches drawn from them. The first shard is kept for validation."""

    def __init__(self, work, validation=False):
        self.folder = pathlib.Path(work) / "cache"
        self.validation = validation
        stats = json.loads((self.folder / "stats.json").read_text())
        self.mean = torch.tensor(stats["mean"]).view(-1, 1, 1, 1)
        self.std = torch.tensor(stats["std"]).view(-1, 1, 1, 1)
        self.blank = {k: self.normal(v) for k, v in torch.load(self.folder / "blank.pt", weights_only=True).items()}
        self.scenes, self.files = {}, set()
        self.refresh()

    def refresh(self):
        files = sorted(self.folder.glob("*.pt"))
        for file in [f for f in files if f.stem.isdigit() and (f.stem == "0000") == self.validation]:
            if file not in self.files:
                self.files.add(file)
                for s in torch.load(file, weights_only=False):  # our own files
                    self.scenes.setdefault((s["spec"].width, s["spec"].height), []).append(s)
        return sum(map(len, self.scenes.values()))

    def normal(self, z):
        return (z.float() - self.mean) / self.std

    def batch(self, rng, frames, count):
        """`count` samples of one size with `frames` latent frames in all, references among them."""
        sizes = list(self.scenes)
        weights = np.array([len(self.scenes[s]) for s in sizes], float)
        size = sizes[int(rng.choice(len(sizes), p=weights / weights.sum()))]
        pool = [s for s in self.scenes[size] if s["z"].shape[1] >= frames]
        rows = [self.sample(rng, pool[int(rng.integers(len(pool)))], size, frames) for _ in range(count)]
        return [r[0] for r in rows], *(torch.stack([r[k] for r in rows]) for k in (1, 2, 3))

    def sample(self, rng, scene, size, frames):
        """Prompt, target and control latents of one scene, cut to `frames`, and how much each square matters."""
        task = scene["task"]
        if task == "reference" and frames == 1 or task != "text" and rng.random() < 0.2:
            task = "text"
        spec = scene.get("new", scene["spec"])
        z = self.normal(scene["z"][:, :frames])
        blank = self.blank[size][:, :frames]
        inactive, reactive = blank, blank
        mask = torch.ones(dit.MASK, *z.shape[1:])
        weight = weights_of(scene)[:, :frames]
        if task == "edit":
            reactive = self.normal(scene["known"][:, :frames])
            text = words.instruct(rng, scene["spec"], spec, scene["which"])
        elif task == "reference":
            text = words.reference(rng, spec)
            picture = self.normal(scene["known"])
            z = torch.cat([picture, z[:, :-1]], 1)
            weight = torch.cat([torch.ones_like(weight[:, :1]), weight[:, :-1]], 1)
            nothing = torch.zeros_like(picture)
            inactive, reactive = torch.cat([picture, blank[:, :-1]], 1), torch.cat([nothing, blank[:, :-1]], 1)
            mask[:, 0] = 0
        else:
            # A clip that a reference began is gone on with under the same prompt, without the picture.
            is_referring = task == "continue" and rng.random() < 0.15
            text = words.reference(rng, spec) if is_referring else words.caption(rng, spec)
            if task != "text":
                inactive = self.normal(scene["known"][:, :frames])
                mask *= mask_of(scene["frames"], frames).view(1, -1, 1, 1)
        text = train_text.spoil(rng, text)
        return "" if rng.random() < 0.1 else text, z, torch.cat([inactive, reactive, mask]), weight


def weights_of(scene):
    """[1, F, H, W]: squares that the first thing touches count `MATTERS` times, for it is small and is what is looked at. Every
    square's best guess stays what it was. Kept in the scene."""
    if "weight" not in scene:
        cover = torch.from_numpy(world.alpha(scene.get("new", scene["spec"]), scene["start"]))
        cover = torch.cat([cover[:1].expand(3, -1, -1), cover])  # the first frame is a latent frame of its own
        touched = F.max_pool3d(cover[None], (4, 16, 16)) > 0.05
        scene["weight"] = (1 + (MATTERS - 1) * touched.float()).half()
    return scene["weight"].float()


def mask_of(known, latent_frames):
    """1 for latent frames to be made anew; each is looked up at one frame of pixels, as the pipeline does."""
    total = 4 * latent_frames - 3
    return torch.tensor([0.0 if (2 * n + 1) * total // (2 * latent_frames) in known else 1.0 for n in range(latent_frames)])


class Texts:
    """The frozen text encoder."""

    def __init__(self, work):
        self.encoder, self.tokenizer = train_text.load(work)

    @torch.no_grad()
    def __call__(self, texts):
        """States and attention biases."""
        ids, mask = train_text.batch_of(self.tokenizer, [(t, None) for t in texts])
        states = self.encoder(ids, mask).last_hidden_state * mask[..., None]
        return states, dit.text_bias(mask.sum(1), ids.shape[1])


def curriculum(share, rng):
    """How many latent frames: stills first, then short clips, then all lengths."""
    if share < 0.12:
        return 1
    if share < 0.55:
        return [1, 2, 3, 4, 4][rng.integers(5)]
    return [1, 3, 4, 4, 6, 6, 11, 11][rng.integers(8)]


def loss_of(model, batch, texts, sigma, noise):
    prompts, z, control, weight = batch
    states, bias = texts(prompts)
    s = sigma.view(-1, 1, 1, 1, 1)
    x = (1 - s) * z + s * noise
    v = dit.forward(model, x, sigma * 1000, states, bias, control, dit.rotary(model, x))
    return ((v - (noise - z)).square() * weight).mean((1, 2, 3, 4))


@torch.no_grad()
def validate(model, scenes, texts):
    """Loss over kept scenes with fixed noise: of short and long clips, and at high, middle and low noise."""
    rng, generator = np.random.default_rng(3), torch.Generator().manual_seed(3)
    out = {}
    for frames, count in ((4, 48), (11, 12)):
        losses = []
        for _ in range(2):
            batch = scenes.batch(rng, frames, count)
            sigma = (torch.arange(count) + 0.5) / count
            noise = torch.randn(batch[1].shape, generator=generator)
            losses.append(loss_of(model, batch, texts, sigma, noise))
        losses = torch.stack(losses).mean(0)
        out[f"val{frames}"] = losses.mean().item()
        if frames == 4:
            for name, part in zip(("low", "middle", "high"), losses.chunk(3)):
                out[name] = part.mean().item()
    return out


def train(work, minutes=60.0, lr=2e-3):
    torch._dynamo.config.recompile_limit = 64  # kinds of blocks, with and without gradients
    dit.block = torch.compile(dit.block, dynamic=True)  # a third faster; once for all shapes
    run = Run(work, "dit", minutes)
    scenes, kept, texts = Scenes(work), Scenes(work, validation=True), Texts(work)
    model = dit.new()
    plain = ("patch_embedding", "proj_out", "time", "scale_shift", "text_embedder")
    optimizer = Muon(list(model.named_parameters()), lr, decay=0.02, plain=plain)
    average = Average(model, 0.998)
    run.load(model, optimizer, average)
    torch.manual_seed(seeded(run))
    rng = np.random.default_rng(seeded(run))
    test = dit.new()
    share, logged, losses, clips = run.used / minutes, run.used, [], 0
    while share < 1:
        frames = curriculum(share, rng)
        count = max(TOKENS // (28 * frames), 4)
        batch = scenes.batch(rng, frames, count)
        u = (torch.randperm(count) + torch.rand(count)) / count  # noise levels evenly spread over the batch
        sigma = SHIFT * u / (1 + (SHIFT - 1) * u)
        loss = loss_of(model, batch, texts, sigma, torch.randn_like(batch[1])).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = lr * rate(share)
        optimizer.step()
        average.update(model)
        losses.append(loss.item())
        clips += count
        share = run.tick()
        if run.used - logged > 2 or share >= 1:
            logged = run.used
            test.load_state_dict(average.weights)
            known = scenes.refresh()
            run.log(loss=np.mean(losses), **validate(test, kept, texts), clips=clips, scenes=known)
            losses = []
        if run.should_save() or share >= 1:
            run.save(model, optimizer, average)

"""Trains the diffusion model on cached latents: flow matching, all tasks mixed in one model.

While it trains, a linear head reads from its middle where things are: shapes are learned many times sooner when the states
must tell them. It is thrown away afterwards.

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
from common import Average, Muon, Run, alike, autocast, rate, seeded, together

TOKENS = 3600  # a step
MATTERS = 6
SHIFT = 2.5
TAP = 4  # the block behind which the head reads
SEEN = 0.3  # weight of what it reads


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
        return [r[0] for r in rows], *(torch.stack([r[k] for r in rows]) for k in (1, 2, 3, 4))

    def sample(self, rng, scene, size, frames):
        """Prompt, target and control latents of one scene, cut to `frames`, how much each latent matters, and what covers each token
        [F, H / 2, W / 2, 128] (-1 where nobody knows)."""
        task = scene["task"]
        if task == "reference" and frames == 1 or task != "text" and rng.random() < 0.2:
            task = "text"
        spec = scene.get("new", scene["spec"])
        z = self.normal(scene["z"][:, :frames])
        blank = self.blank[size][:, :frames]
        inactive, reactive = blank, blank
        mask = torch.ones(dit.MASK, *z.shape[1:])
        cover = squares(scene["cover"][:frames])
        touched = F.max_pool2d(scene["cover"][:frames].amax(1).float(), 4) > 12  # latents are 4 wide at half the size
        weight = 1 + (MATTERS - 1) * touched.float()[None]
        if task == "edit":
            reactive = self.normal(scene["known"][:, :frames])
            text = words.instruct(rng, scene["spec"], spec, scene["which"])
        elif task == "reference":
            text = words.reference(rng, spec)
            picture = self.normal(scene["known"])
            z = torch.cat([picture, z[:, :-1]], 1)
            weight = torch.cat([torch.ones_like(weight[:, :1]), weight[:, :-1]], 1)
            cover = torch.cat([torch.full_like(cover[:1], -1.0), cover[:-1]])
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
        return "" if rng.random() < 0.1 else text, z, torch.cat([inactive, reactive, mask]), weight, cover


def squares(cover):
    """Coverage of a scene by tokens, 16 pixels wide: [F, H / 2, W / 2, 2 * 8 * 8]."""
    return cover.unflatten(2, (-1, 8)).unflatten(4, (-1, 8)).permute(0, 2, 4, 1, 3, 5).flatten(3).float() / 255


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
    if share < 0.25:
        return 1
    if share < 0.6:
        return [1, 2, 3, 4, 4][rng.integers(5)]
    return [1, 3, 4, 6, 6, 11, 11, 11][rng.integers(8)]


def loss_of(model, head, batch, texts, sigma, noise):
    """Of each clip: how far the velocity is off, and what the head gets wrong of what covers the squares."""
    prompts, z, control, weight, cover = batch
    states, bias = texts(prompts)
    s = sigma.view(-1, 1, 1, 1, 1)
    x = (1 - s) * z + s * noise
    with autocast():
        v, (h,) = dit.forward(model, x, sigma * 1000, states, bias, control, dit.rotary(model, x), taps=(TAP,))
        seen = head(h)
    cover = cover.flatten(1, 3)
    wrong = F.binary_cross_entropy_with_logits(seen.float(), cover.clamp_min(0), reduction="none") * (cover >= 0)
    return ((v.float() - (noise - z)).square() * weight).mean((1, 2, 3, 4)), wrong.mean((1, 2))


@torch.no_grad()
def validate(model, head, scenes, texts):
    """Loss over kept scenes with fixed noise: of stills, short and long clips, what the head gets wrong, and at low, middle and high noise."""
    rng, generator = np.random.default_rng(3), torch.Generator().manual_seed(3)
    out = {}
    for frames, count in ((1, 96), (4, 48), (11, 12)):
        losses, wrongs = [], []
        for _ in range(2):
            batch = scenes.batch(rng, frames, count)
            sigma = (torch.arange(count) + 0.5) / count
            noise = torch.randn(batch[1].shape, generator=generator)
            loss, wrong = loss_of(model, head, batch, texts, sigma, noise)
            losses.append(loss)
            wrongs.append(wrong)
        losses = torch.stack(losses).mean(0)
        out[f"val{frames}"] = losses.mean().item()
        out[f"seen{frames}"] = torch.stack(wrongs).mean().item()
        if frames == 4:
            for name, part in zip(("low", "middle", "high"), losses.chunk(3)):
                out[name] = part.mean().item()
    return out


class Trained(torch.nn.Module):
    """The model and the head that reads from it."""

    def __init__(self):
        super().__init__()
        self.model = dit.new()
        self.head = torch.nn.Linear(dit.CONFIG["num_attention_heads"] * dit.CONFIG["attention_head_dim"], 128)


def train(work, minutes=60.0, processes=1):
    together(loop, processes, work, minutes)


def loop(work, minutes, rank, lr=2e-3):
    torch._dynamo.config.recompile_limit = 128  # kinds of blocks, with and without gradients
    dit.block = torch.compile(dit.block, dynamic=True)  # a third faster; once for all shapes
    run = Run(work, "dit", minutes)
    scenes, kept, texts = Scenes(work), Scenes(work, validation=True), Texts(work)
    trained, test = Trained(), Trained()
    model = trained.model
    plain = ("head", "patch_embedding", "proj_out", "time", "scale_shift", "text_embedder")
    optimizer = Muon(list(trained.named_parameters()), lr, decay=0.02, plain=plain)
    average = Average(trained, 0.998)
    run.load(trained, optimizer, average)
    lr *= 0.7 if run.is_sequel else 1.0  # what is learned already need not be shaken loose
    torch.manual_seed(seeded(run, rank))
    rng = np.random.default_rng(seeded(run, rank))
    lengths = np.random.default_rng(seeded(run))  # all processes take clips of the same length: stills train fewer weights
    share, logged, losses, clips = run.used / minutes, run.used, [], 0
    while share < 1:
        frames = curriculum(1 if run.is_sequel else share, lengths)
        count = max(TOKENS // (28 * frames), 4)
        batch = scenes.batch(rng, frames, count)
        u = (torch.randperm(count) + torch.rand(count)) / count  # noise levels evenly spread over the batch
        sigma = SHIFT * u / (1 + (SHIFT - 1) * u)
        loss, wrong = loss_of(model, trained.head, batch, texts, sigma, torch.randn_like(batch[1]))
        loss = loss.mean()
        optimizer.zero_grad(set_to_none=True)
        (loss + SEEN * wrong.mean()).backward()
        share = alike(trained.parameters(), run.used / minutes)  # all of them end after the same step
        torch.nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = lr * rate(share)
        optimizer.step()
        average.update(trained)
        losses.append(loss.item())
        clips += count
        run.tick()
        if run.used - logged > 4 or share >= 1:
            logged = run.used
            known = scenes.refresh()
            if rank == 0:
                test.load_state_dict(average.weights)
                run.log(loss=np.mean(losses), **validate(test.model, test.head, kept, texts), clips=clips, scenes=known)
            losses = []
        if rank == 0 and (run.should_save() or share >= 1):
            run.save(trained, optimizer, average)

"""Shared by the training stages: the optimiser, averaged weights, atomic checkpoints, a log of losses, a time budget."""

import csv
import math
import os
import pathlib
import tempfile
import time

import torch
import torch.distributed as dist

# Whether the CPU multiplies bf16 itself. Where it doesn't, PyTorch emulates it, slower than f32.
HAS_BF16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def autocast():
    return torch.autocast("cpu", torch.bfloat16, enabled=HAS_BF16)


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonalised updates for matrices and kernels, AdamW for everything else.

    Updates of matrices have the size of AdamW's, so that one learning rate serves both.
    """

    def __init__(self, named, lr, decay=0.01, momentum=0.95, plain=()):
        matrices, others = [], []
        for name, p in named:
            is_matrix = p.dim() >= 2 and min(p.shape[0], p[0].numel()) > 1 and not any(k in name for k in plain)
            (matrices if is_matrix else others).append(p)
        groups = [dict(params=matrices, muon=True), dict(params=others, muon=False)]
        super().__init__(groups, dict(lr=lr, decay=decay, momentum=momentum))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            (self.orthogonalised if group["muon"] else self.adam)(group)

    def orthogonalised(self, group):
        """Matrices of one shape together: many small products cost more to begin than to compute."""
        alike = {}
        for p in group["params"]:
            if p.grad is not None:
                alike.setdefault(tuple(p.flatten(1).shape), []).append(p)
        for shape, params in alike.items():
            grads = torch.stack([p.grad.flatten(1) for p in params])
            m = torch.stack([self.state[p].setdefault("m", torch.zeros_like(p)).flatten(1) for p in params])
            m.lerp_(grads, 1 - group["momentum"])
            update = orthogonal(grads.lerp(m, group["momentum"])) * (0.2 * math.sqrt(max(shape)) * group["lr"])
            for p, kept, u in zip(params, m, update):
                self.state[p]["m"].copy_(kept.view_as(p))
                p.mul_(1 - group["lr"] * group["decay"]).sub_(u.view_as(p))

    def adam(self, group):
        for p in group["params"]:
            if p.grad is None:
                continue
            state = self.state[p]
            if not state:
                state["m"], state["v"], state["n"] = torch.zeros_like(p), torch.zeros_like(p), 0
            state["n"] += 1
            state["m"].lerp_(p.grad, 0.1)
            state["v"].lerp_(p.grad.square(), 0.05)
            m = state["m"] / (1 - 0.9 ** state["n"])
            v = state["v"] / (1 - 0.95 ** state["n"])
            p.mul_(1 - group["lr"] * group["decay"])
            p.add_(m / (v.sqrt() + 1e-8), alpha=-group["lr"])


def orthogonal(g, steps=5):
    """The nearest matrices with singular values near one, by Newton-Schulz iteration; [N, rows, columns]."""
    is_tall = g.shape[1] > g.shape[2]
    x = g.mT if is_tall else g
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-8)
    x = x.bfloat16() if HAS_BF16 else x
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
    return (x.mT if is_tall else x).float()


class Average:
    """Exponentially averaged weights; young averages forget faster."""

    def __init__(self, model, decay):
        self.decay, self.count = decay, 0
        self.weights = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model):
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        for k, v in model.state_dict().items():
            self.weights[k].lerp_(v, 1 - decay)


def together(loop, processes, *args):
    """Runs `loop(*args, rank)` in processes that draw clips of their own and share their gradients (`alike`): faster than as many
    threads, whose products are small."""
    if processes == 1:
        return loop(*args, 0)
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(peer, (processes, f"file://{folder}/meeting", loop, args), processes)


def peer(rank, processes, meeting, loop, args):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", meeting, rank=rank, world_size=processes)
    loop(*args, rank)


def alike(params, number):
    """Makes gradients, and a number, the means over all processes that train together. All must have gradients of the same weights."""
    if not dist.is_initialized():
        return number
    grads = [p.grad for p in params if p.grad is not None]
    flat = torch.cat([*(g.flatten() for g in grads), torch.tensor([number])])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for g, mean in zip(grads, flat.split([*(g.numel() for g in grads), 1])):
        g.copy_(mean.view_as(g))
    return flat[-1].item()


class Run:
    """One stage's folder: its last state, its csv of losses, and how much of its time is used."""

    def __init__(self, work, name, minutes):
        self.folder = pathlib.Path(work) / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.minutes, self.used, self.step = minutes, 0.0, 0
        self.file = self.folder / "state.pt"
        self.is_sequel = (self.folder / "start.pt").exists()  # begins with weights of an earlier run
        self.clock = time.process_time()
        self.saved = time.time()

    def load(self, model, optimizer, average):
        if self.file.exists():
            state = torch.load(self.file, weights_only=True)
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            average.weights, average.count = state["average"], state["count"]
            self.used, self.step = state["used"], state["step"]
            print(f"resumed at step {self.step}, {self.used:.1f} of {self.minutes} minutes used", flush=True)
        elif self.is_sequel:  # weights alone: a new schedule from where another one ended
            model.load_state_dict(torch.load(self.folder / "start.pt", weights_only=True))
            average.weights = {k: v.detach().clone() for k, v in model.state_dict().items()}
            print("started from the weights of an earlier run", flush=True)

    def tick(self):
        """Share of the time used, after one more step: that of the processor, for others may want it meanwhile."""
        now = time.process_time()
        self.used += (now - self.clock) / 60 / torch.get_num_threads()
        self.clock = now
        self.step += 1
        return self.used / self.minutes

    def should_save(self):
        return time.time() - self.saved > 120

    def save(self, model, optimizer, average):
        state = dict(model=model.state_dict(), optimizer=optimizer.state_dict(), average=average.weights,
                     count=average.count, used=self.used, step=self.step)  # fmt: skip
        write(self.file, state)
        self.saved = time.time()

    def log(self, **values):
        file = self.folder / "log.csv"
        is_new = not file.exists()
        with file.open("a", newline="") as f:
            writer = csv.writer(f)
            if is_new:
                writer.writerow(["step", "minutes", *values])
            writer.writerow([self.step, f"{self.used:.2f}", *(f"{v:.5g}" for v in values.values())])
        print(f"step {self.step} at {self.used:.1f} min: " + " ".join(f"{k} {v:.4g}" for k, v in values.items()), flush=True)


def averaged(work, stage):
    """What a stage has come to; before it has begun, what it starts from."""
    folder = pathlib.Path(work, stage)
    if (folder / "state.pt").exists():
        return torch.load(folder / "state.pt", weights_only=True)["average"]
    return torch.load(folder / "start.pt", weights_only=True)


def write(file, state):
    """Saves whole or not at all."""
    part = file.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, file)


def rate(share, warm=0.02, floor=0.03):
    """Learning rate as a part of its peak: a short warm-up, then a cosine."""
    if share < warm:
        return share / warm + 0.02
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min((share - warm) / (1 - warm), 1.0)))


def seeded(run, rank=0):
    """A seed that differs at every start and for every process, and is the same for the same start."""
    return 1000003 + 7919 * run.step + 104729 * rank

"""Ways to make the evaluation's clips: the weights in training, diffusers, Kinora's binary, or the world itself."""

import pathlib
import subprocess
import tempfile

import numpy as np

import world

WIDTH, HEIGHT = 112, 64


def of(args):
    """A function from items to pairs of item and uint8 clip [T, Y, X, 3]."""
    if args.truth:
        return lambda jobs: ((j, world.render(j.spec)) for j in jobs)
    if args.work:
        return lambda jobs: by_work(jobs, args)
    if args.diffusers:
        return lambda jobs: by_diffusers(jobs, args)
    return lambda jobs: by_kinora(jobs, args)


def by_work(jobs, args, batch=4):
    import torch

    import sampler

    make = sampler.Sampler(args.work)
    groups = {}
    for job in jobs:
        groups.setdefault(job.picture is not None, []).append(job)
    for group in groups.values():
        for start in range(0, len(group), batch):
            part = group[start : start + batch]
            with torch.no_grad():
                controls = torch.cat([control(make, job, args.frames) for job in part])
            clips = make([j.prompt for j in part], WIDTH, HEIGHT, args.frames, args.steps, args.guidance,
                         seed=1000 + start, controls=controls)  # fmt: skip
            yield from zip(part, clips)


def control(make, job, frames):
    known = {n: job.clip[n] for n in job.known}
    source = world.render(job.source) if job.source is not None else None
    return make.control(WIDTH, HEIGHT, frames, known, source, job.picture)


def by_diffusers(jobs, args):
    import torch
    from PIL import Image

    import export

    pipe = export.pipeline(args.diffusers)
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for n, job in enumerate(jobs):
        extra = {}
        if job.source is not None:
            extra["video"] = [Image.fromarray(f) for f in world.render(job.source)]
        if job.known:
            frames = [job.clip[t] if t in job.known else grey for t in range(args.frames)]
            extra["video"] = [Image.fromarray(f) for f in frames]
            masks = [0 if t in job.known else 255 for t in range(args.frames)]
            extra["mask"] = [Image.new("L", (WIDTH, HEIGHT), m) for m in masks]
        if job.picture is not None:
            extra["reference_images"] = [Image.fromarray(job.picture)]
        clip = pipe(job.prompt, negative_prompt="", width=WIDTH, height=HEIGHT, num_frames=args.frames,
                    num_inference_steps=args.steps, guidance_scale=args.guidance, max_sequence_length=512,
                    generator=torch.Generator().manual_seed(1000 + n), output_type="np", **extra).frames[0]  # fmt: skip
        yield job, (np.asarray(clip) * 255).round().astype(np.uint8)


def by_kinora(jobs, args):
    """Every item as a user would ask for it; media go in as files eight times as large, clips are scaled back."""
    seconds = max(2, round((args.frames - 1) / 8))
    for n, job in enumerate(jobs):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            out = folder / "out.mp4"
            command = [args.kinora, "generate", job.prompt, "--engine", args.engine, "--resolution", "720p",
                       "--seed", str(1000 + n), "--no-prompt-expansion", "-o", str(out)]  # fmt: skip
            if job.source is not None:
                video(world.render(job.source), folder / "in.mp4")
                command += ["--video", str(folder / "in.mp4"), "--feature", "edit-video"]
            elif len(job.known) > 2:
                video(job.clip[: len(job.known)], folder / "in.mp4")
                command += ["--video", str(folder / "in.mp4"), "--duration", str(seconds)]
            else:
                command += ["--duration", str(seconds)]
                for flag, t in zip(("--image", "--end-image"), job.known):
                    command += [flag, picture(job.clip[t], folder / f"{t}.png")]
                if job.picture is not None:
                    command += ["--reference-image", picture(job.picture, folder / "reference.png")]
                if not job.known:
                    command += ["--aspect-ratio", "16:9"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            yield job, read(out)


def picture(frame, path):
    from PIL import Image

    Image.fromarray(frame).resize((WIDTH * 8, HEIGHT * 8), Image.LANCZOS).save(path)
    return str(path)


def video(frames, path, rate=8):
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(rate),
               "-i", "-", "-vf", f"scale={WIDTH * 8}:{HEIGHT * 8}:flags=lanczos", "-c:v", "libx264", "-crf", "8", "-pix_fmt",
               "yuv420p", str(path)]  # fmt: skip
    subprocess.run(command, input=frames.tobytes(), check=True)


def read(path, rate=8):
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-vf", f"fps={rate},scale={WIDTH}:{HEIGHT}:flags=area", "-f", "rawvideo",
               "-pix_fmt", "rgb24", "-"]  # fmt: skip
    data = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(data, np.uint8).reshape(-1, HEIGHT, WIDTH, 3)

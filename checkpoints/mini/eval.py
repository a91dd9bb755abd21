"""Judges generated clips from their pixels, prints a table and writes JSON.

    python eval.py --work DIR [--count N]            the weights being trained
    python eval.py --diffusers CHECKPOINT            the exported checkpoint, by diffusers
    python eval.py --kinora BINARY [--engine NAME]   the exported checkpoint, by Kinora

`--prompts FILE` takes prompts of one's own, one a line: they are rendered, and what they show is reported.
`--sheet FILE` keeps a contact sheet of the first clips, `--clips DIR` all of them as .npz.
"""

import argparse
import json
import pathlib
import time

import numpy as np

import items
import judge
import world


def wanted(item):
    """The attributes to judge, and what each should be."""
    thing = item.spec.things[0]
    want = {"colour": thing.colour, "shape": thing.shape, "motion": thing.motion, "background": item.spec.background,
            "count": len(item.spec.things)}  # fmt: skip
    if item.task in ("first", "ends", "continue"):
        return {"motion": thing.motion}
    if item.task in ("text", "edit") and thing.motion not in ("grow", "shrink"):
        words_of_size = {"small": ("small", "little", "tiny", "mini"), "big": ("big", "large", "huge", "giant"),
                         "medium": ("medium", "mid-")}[thing.size]  # fmt: skip
        text = item.prompt.lower()
        if item.task == "edit" or any(w in text for w in words_of_size):
            want["size"] = thing.size
    return want


def score(item, clip, see):
    """What is right about a clip."""
    verdict = see(clip)
    want = wanted(item)
    right = {k: getattr(verdict, k) == v for k, v in want.items()}
    if len(item.spec.things) == 2:  # either may count as the first
        first = item.spec.things[0]
        right["colour"] = first.colour in verdict.colours
        right["shape"] = first.shape in verdict.shapes
    core = [k for k in ("colour", "shape", "motion", "background", "count") if k in right]
    numbers = {}
    if item.clip is not None:
        numbers["first_db"] = decibels(clip[0], item.clip[0])
        if item.task == "ends":
            numbers["last_db"] = decibels(clip[-1], item.clip[-1])
        if item.task == "continue":
            numbers["known_db"] = decibels(clip[: len(item.known)], item.clip[: len(item.known)])
    if item.task == "edit":
        right["applied"] = right[{"colour": "colour", "shape": "shape", "place": "background"}[item.which]]
        before = see(world.render(item.source))
        numbers["iou"] = overlap(before.track, verdict.track)
        right["iou>=0.7"] = numbers["iou"] >= 0.7
    seen = {k: getattr(verdict, k) for k in ("count", "colour", "shape", "size", "motion", "background")}
    return dict(task=item.task, unseen=item.unseen, prompt=item.prompt, want=want, seen=seen,
                right={k: bool(v) for k, v in right.items()}, all=bool(all(right[k] for k in core)), numbers=numbers)  # fmt: skip


def decibels(a, b):
    return float(-10 * np.log10(((a.astype(np.float32) - b) ** 2).mean() / 255**2 + 1e-10))


def overlap(a, b):
    """Mean over frames of the overlap of the discs around a thing in two clips."""
    if a is None or b is None:
        return 0.0
    yy, xx = np.mgrid[0:128, 0:160]
    out = []
    for p, q in zip(a, b):
        m, n = (((xx - x) ** 2 + (yy - y) ** 2) < r * r for x, y, r in (p, q))
        out.append((m & n).sum() / max((m | n).sum(), 1))
    return float(np.mean(out))


def table(rows):
    """Shares by task and attribute, seen and unseen."""
    out = {}
    for task in [*dict.fromkeys(r["task"] for r in rows), "every"]:
        for name, part in (("seen", False), ("unseen", True), ("both", None)):
            chosen = [r for r in rows if task in (r["task"], "every") and part in (r["unseen"], None)]
            if not chosen:
                continue
            line = {"clips": len(chosen), "all": np.mean([r["all"] for r in chosen])}
            for key in ("colour", "shape", "size", "motion", "background", "count", "applied", "iou>=0.7"):
                values = [r["right"][key] for r in chosen if key in r["right"]]
                line |= {key: np.mean(values)} if values else {}
            for key in ("first_db", "last_db", "known_db", "iou"):
                values = [r["numbers"][key] for r in chosen if key in r["numbers"]]
                line |= {key: np.mean(values)} if values else {}
            out[f"{task} {name}"] = {k: round(float(v), 4) for k, v in line.items()}
    return out


def show(lines):
    keys = list(dict.fromkeys(k for line in lines.values() for k in line))
    print(" " * 18 + " ".join(f"{k:>10}" for k in keys))
    for name, line in lines.items():
        cells = []
        for k in keys:
            v = line.get(k)
            is_share = k not in ("clips", "first_db", "last_db", "known_db", "iou")
            cells.append(" " * 10 if v is None else f"{v * 100:9.1f}%" if is_share else f"{v:10.4g}")
        print(f"{name:18}" + " ".join(cells))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--work")
    source.add_argument("--diffusers")
    source.add_argument("--kinora")
    source.add_argument("--truth", action="store_true", help="judge the world's own clips: the judge's test")
    parser.add_argument("--engine", default="wan")
    parser.add_argument("--count", type=int, default=320)
    parser.add_argument("--frames", type=int, default=41)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--prompts")
    parser.add_argument("--only", help="one task alone")
    parser.add_argument("--out", default="target/eval/mini.json")
    parser.add_argument("--sheet")
    parser.add_argument("--clips")
    args = parser.parse_args()

    import makers

    jobs = items.of_file(args.prompts) if args.prompts else items.draw(args.count, args.frames)
    jobs = [j for j in jobs if args.only in (None, j.task)]
    see = judge.Judge()
    start, rows, kept = time.time(), [], []
    for n, (item, clip) in enumerate(makers.of(args)(jobs)):
        if item.spec is None:
            verdict = see(clip)
            rows.append(dict(prompt=item.prompt, seen={k: getattr(verdict, k) for k in ("count", "colour", "shape", "size", "motion", "background")}))
        else:
            rows.append(score(item, clip, see))
        if args.clips:
            pathlib.Path(args.clips).mkdir(parents=True, exist_ok=True)
            np.savez_compressed(f"{args.clips}/{n:03}.npz", clip=clip)
        if len(kept) < 24:
            kept.append(clip)
    seconds = (time.time() - start) / max(len(rows), 1)
    lines = {} if args.prompts else table(rows)
    show(lines)
    print(f"{len(rows)} clips, {seconds:.1f} s each")
    out = pathlib.Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(dict(table=lines, seconds_per_clip=round(seconds, 2), clips=rows), indent=1) + "\n")
    if args.sheet:
        import sampler

        sampler.sheet(kept).save(args.sheet)


if __name__ == "__main__":
    main()

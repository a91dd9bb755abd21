"""The images and clips that docs/workflows.md sends: scenes of wan-mini's world, drawn larger than it sees them.

    python examples.py [FOLDER]       default: docs/media of this repository; needs ffmpeg
"""

import pathlib
import subprocess
import sys

import world

WIDTH, HEIGHT, RATE = 448, 256, 8
SECONDS = 2


def spec(colour, shape, motion, background, size="big", x=0.0, y=0.0, speed=0.8, frames=RATE * SECONDS, seed=7):
    thing = world.Thing(colour, shape, size, motion, x, y, angle=0.0, speed=speed, phase=0.0)
    return world.Spec([thing], background, "fixed", seed, WIDTH, HEIGHT, frames)


def write(clip, path):
    """Frames as a PNG where there is one, else as an MP4."""
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(RATE), "-i", "-"]
    coded = [] if len(clip) == 1 else ["-c:v", "libx264", "-crf", "16", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", *raw, *coded, str(path)], input=clip.tobytes(), check=True)


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2] / "docs/media")
    folder.mkdir(parents=True, exist_ok=True)
    still = dict(motion="still", frames=1)
    write(world.render(spec("red", "circle", background="sunset", x=-34, **still)), folder / "first.png")
    write(world.render(spec("red", "circle", background="sunset", x=34, **still)), folder / "last.png")
    write(world.render(spec("blue", "square", "right", "grass", x=-30, speed=1.6)), folder / "clip.mp4")
    write(world.render(spec("yellow", "star", background="white", **still)), folder / "star.png")
    write(world.render(spec("green", "triangle", "spin", "grey", speed=0.3)), folder / "triangle.mp4")


if __name__ == "__main__":
    main()

"""The server that `cargo xtask clients --test` has started, and small media to send to it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

URL = os.environ["KINORA_URL"].rstrip("/")
API_KEY = os.environ["KINORA_API_KEY"]
# The debug build of the program, for what is not reached over HTTP.
KINORA = os.environ["KINORA"]


@pytest.fixture(scope="session")
def url() -> str:
    return URL


@pytest.fixture(scope="session")
def api_key() -> str:
    return API_KEY


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a picture, a clip with sound, and a picture that is too small."""
    folder = tmp_path_factory.mktemp("media")
    ffmpeg = shutil.which("ffmpeg")
    assert ffmpeg, "ffmpeg is not installed"

    def make(name: str, *arguments: str) -> None:
        quiet = ["-hide_banner", "-loglevel", "error", "-y"]
        subprocess.run([ffmpeg, *quiet, *arguments, str(folder / name)], check=True)

    make("first.png", "-f", "lavfi", "-i", "color=teal:size=320x240", "-frames:v", "1")
    make("last.png", "-f", "lavfi", "-i", "color=orange:size=320x240", "-frames:v", "1")
    make("tiny.png", "-f", "lavfi", "-i", "color=red:size=64x64", "-frames:v", "1")
    picture = ["-f", "lavfi", "-i", "testsrc=size=320x240:rate=24"]
    sound = ["-f", "lavfi", "-i", "sine=frequency=330"]
    make("clip.mp4", *picture, *sound, "-t", "2", "-pix_fmt", "yuv420p", "-shortest")
    return folder


def is_mp4(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and len(data) > 10_000

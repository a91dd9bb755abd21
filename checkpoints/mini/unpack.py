"""Makes a working folder out of the exported checkpoint, so that training can go on where only `model/` is left.

    python unpack.py --work DIR

Afterwards `train.py cache` fills the cache anew, and `train.py dit` starts from the shipped weights with a new schedule.
"""

import argparse
import json
import pathlib
import shutil

import torch
from safetensors.torch import load_file

import train_dit
import train_text
from common import write

MODEL = pathlib.Path(__file__).with_name("model")


def unpack(work):
    work = pathlib.Path(work)
    for stage in ("vae", "text", "dit", "cache"):
        (work / stage).mkdir(parents=True, exist_ok=True)

    def weights(part, name):
        return {k: v.float() for k, v in load_file(MODEL / part / name).items()}

    name = "diffusion_pytorch_model.safetensors"
    write(work / "vae/start.pt", weights("vae", name))
    trained = train_dit.Trained()
    trained.model.load_state_dict(weights("transformer", name))
    write(work / "dit/start.pt", trained.state_dict())
    reader = train_text.Reader()
    missing = reader.encoder.load_state_dict(weights("text_encoder", "model.safetensors"), strict=False).missing_keys
    assert all("embed_tokens" in k for k in missing), missing  # the embedding has two names
    write(work / "text/start.pt", reader.state_dict())
    shutil.copy(MODEL / "tokenizer/tokenizer.json", work / "text/tokenizer.json")
    config = json.loads((MODEL / "vae/config.json").read_text())
    stats = dict(mean=config["latents_mean"], std=config["latents_std"])
    (work / "cache/stats.json").write_text(json.dumps(stats))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True)
    unpack(parser.parse_args().work)

"""Writes a trained wan-mini as a checkpoint in diffusers' layout, f16, from the averaged weights.

    python export.py --work DIR --out checkpoints/mini/model
"""

import argparse
import json
import pathlib
import shutil

import torch
from diffusers import UniPCMultistepScheduler
from transformers import PreTrainedTokenizerFast

import dit
import train_text
import vae
from common import averaged

SHIFT = 3.0
KINORA = {
    "name": "wan-mini",
    "about": "A small Wan trained for Kinora. Its world: one or two simple coloured shapes (ball, square, triangle, star, heart, "
    "ring, cross, diamond) that move over simple backgrounds (night, sky, grass, desert, sea, sunset, snow, plain walls). "
    "English prompts; anything else turns into something of that world.",
    "sizes": [[112, 64], [64, 112], [80, 80], [112, 80], [80, 112]],
    "num_frames": 41,
    "fps": 8,
    "steps": 20,
    "guidance": 2.5,
    "negative_prompt": "",
    "references": 1,
    "instruction_edit": True,
    "reference_videos": True,
    # Its reader knows a few hundred words; what expanding adds would not be among them.
    "prompt_expansion": False,
}


def dit_weights(work):
    """The diffusion model without the head it was trained with."""
    return {k.removeprefix("model."): v for k, v in averaged(work, "dit").items() if k.startswith("model.")}


def vae_weights(work):
    """The encoder of the first training, with the decoder of the second where there is one."""
    weights = averaged(work, "vae")
    if pathlib.Path(work, "decoder", "state.pt").exists():
        late = averaged(work, "decoder")
        weights |= {k: v for k, v in late.items() if k.startswith(("decoder", "post_quant"))}
    return weights


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def tidy(path):
    """Configurations without where they once lay, in a fixed order."""
    for file in path.rglob("config.json"):
        values = json.loads(file.read_text())
        values.pop("_name_or_path", None)
        write_json(file, dict(sorted(values.items())))


def export(work, out):
    out = pathlib.Path(out)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)

    model = vae.new()
    model.load_state_dict(vae_weights(work))
    stats = json.loads(pathlib.Path(work, "cache", "stats.json").read_text())
    mean, std = ([round(v, 5) for v in stats[k]] for k in ("mean", "std"))
    model.register_to_config(latents_mean=mean, latents_std=std)
    model.half().save_pretrained(out / "vae")

    reader = train_text.Reader()
    reader.load_state_dict(averaged(work, "text"))
    reader.encoder.half().save_pretrained(out / "text_encoder")

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=f"{work}/text/tokenizer.json", pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
        model_max_length=512,
    )  # fmt: skip
    tokenizer.save_pretrained(out / "tokenizer")
    shutil.copy(f"{work}/text/tokenizer.json", out / "tokenizer" / "tokenizer.json")

    transformer = dit.new()
    transformer.load_state_dict(dit_weights(work))
    transformer.half().save_pretrained(out / "transformer")

    solver = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=SHIFT)
    solver.save_pretrained(out / "scheduler")
    index = {
        "_class_name": "WanVACEPipeline", "_diffusers_version": "0.42.1", "boundary_ratio": None,
        "scheduler": ["diffusers", "UniPCMultistepScheduler"], "text_encoder": ["transformers", "UMT5EncoderModel"],
        "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        "transformer": ["diffusers", "WanVACETransformer3DModel"], "transformer_2": [None, None],
        "vae": ["diffusers", "AutoencoderKLWan"],
    }  # fmt: skip
    write_json(out / "model_index.json", index)
    write_json(out / "kinora.json", KINORA | {"words": train_text.known_words()})
    tidy(out)
    total = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    print(f"{out}: {total / 1e6:.1f} MB")
    assert total < 30e6, total


def pipeline(path):
    """The checkpoint as diffusers runs it. The pipeline takes the VAE's stride from its levels alone and so misses the
    2x2 pixel patches of the 2.2 layout: it is told."""
    from diffusers import WanVACEPipeline
    from diffusers.video_processor import VideoProcessor

    pipe = WanVACEPipeline.from_pretrained(path, torch_dtype=torch.float32)
    pipe.vae_scale_factor_spatial = pipe.vae.config.scale_factor_spatial
    pipe.video_processor = VideoProcessor(vae_scale_factor=pipe.vae_scale_factor_spatial)
    pipe.set_progress_bar_config(disable=True)
    return pipe


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    export(args.work, args.out)

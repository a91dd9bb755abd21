"""Writes the seeds of the fuzz targets: small sound files of every format. Needs torch, safetensors and gguf."""

import pathlib
import sys

import numpy as np
import torch
from gguf import GGMLQuantizationType as Ggml
from gguf import GGUFWriter, quants
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "fixtures/formats"))


def place(target, name):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def main():
    tensors = {"a.weight": torch.ones(2, 3), "b": torch.ones(3, dtype=torch.bfloat16), "c": torch.tensor(2)}
    eight = {"a.weight": torch.ones(2, 4).to(torch.float8_e4m3fn), "a.scale_weight": torch.ones(1), "n": torch.zeros(0)}
    for target in ("safetensors", "checkpoint"):
        save_file(tensors, place(target, "plain"))
        save_file(eight, place(target, "fp8"))
    for target in ("torch_zip", "checkpoint"):
        torch.save(tensors, place(target, "torch"))
        module = torch.nn.Linear(2, 2)
        torch.save(module.state_dict(), place(target, "module"))
        torch.save({"p": torch.nn.Parameter(torch.ones(2, 2).half())}, place(target, "parameter"))
    for target in ("gguf", "checkpoint"):
        writer = GGUFWriter(place(target, "gguf"), "wan")
        writer.add_token_list(["a", "b"])
        writer.add_token_scores([-1.0, -2.0])
        writer.add_array("comfy.gguf.orig_shape.f", [1, 2, 2])
        writer.add_tensor("f", np.ones((2, 2), np.float32))
        data = quants.quantize(np.ones((2, 32), np.float32), Ggml.Q4_0)
        writer.add_tensor("q", data, raw_dtype=Ggml.Q4_0)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    from make import spiece_model

    place("sentencepiece", "model").write_bytes(spiece_model([["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["▁a", -1.5]]))


main()

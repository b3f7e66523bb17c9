"""A diffusion model so small that it is made when needed: random weights, ten megabytes, in less than a second.

``python -m intermodal.testing.tiny_diffusion FOLDER`` writes the model, and an ``intermodal.toml`` that names it. It
has the layout of Ovis-Image, whose sizes stable-diffusion.cpp reads from the tensors: one block of each kind, a text
encoder with one layer of width eight, and a small autoencoder (in TAESD's layout). The image depends on every word,
the seed and the number of steps, but it shows only noise: the code that runs is real, the image is not.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

WIDTH, TEXT, INNER = 128, 8, 512  # widths of the network, of its text, and inside its blocks
VOCABULARY = 151_936  # the size of Qwen3's tokenizer, which is built into the engine


def write(folder: Path, seed: int = 7, text: int = TEXT) -> Path:
    """Write the model as three safetensors files, and return the folder.

    A text encoder of another width does not fit.
    """
    import numpy

    folder.mkdir(parents=True, exist_ok=True)
    maker = _Maker(numpy.random.default_rng(seed))
    _save(folder / "diffusion_model.safetensors", maker.network())
    _save(folder / "llm.safetensors", maker.text(text))
    _save(folder / "taesd.safetensors", maker.autoencoder())
    return folder


class _Maker:
    def __init__(self, chance: Any) -> None:
        self._chance = chance

    def _linear(self, into: dict[str, Any], name: str, wide: int, out: int, *, bias: bool = True) -> None:
        import numpy

        into[f"{name}.weight"] = (self._chance.standard_normal((out, wide)) * wide**-0.5).astype("float16")
        if bias:
            into[f"{name}.bias"] = numpy.zeros(out, "float32")

    def _convolution(self, into: dict[str, Any], name: str, shape: tuple[int, int], *, bias: bool = True) -> None:
        import numpy

        out, wide = shape
        scale = (1 / (wide * 9)) ** 0.5
        into[f"{name}.weight"] = (self._chance.standard_normal((out, wide, 3, 3)) * scale).astype("float16")
        if bias:
            into[f"{name}.bias"] = numpy.zeros(out, "float32")

    def network(self) -> dict[str, Any]:
        import numpy

        tensors: dict[str, Any] = {"txt_norm.scale": numpy.ones(TEXT, "float32")}
        for name, wide in (("img_in", 64), ("time_in.in_layer", 256), ("time_in.out_layer", WIDTH), ("txt_in", TEXT)):
            self._linear(tensors, name, wide, WIDTH)
        norms = [f"double_blocks.0.{kind}_attn.norm." for kind in ("img", "txt")] + ["single_blocks.0.norm."]
        for norm in norms:
            tensors[f"{norm}query_norm.scale"] = tensors[f"{norm}key_norm.scale"] = numpy.ones(128, "float32")
        for kind in ("img", "txt"):
            at = f"double_blocks.0.{kind}_"
            for name, wide, out in (
                ("mod.lin", WIDTH, 6 * WIDTH), ("attn.qkv", WIDTH, 3 * WIDTH), ("attn.proj", WIDTH, WIDTH),
                ("mlp.gate_proj", WIDTH, INNER), ("mlp.up_proj", WIDTH, INNER), ("mlp.down_proj", INNER, WIDTH),
            ):  # fmt: skip
                self._linear(tensors, at + name, wide, out)
        self._linear(tensors, "single_blocks.0.linear1", WIDTH, 3 * WIDTH + 2 * INNER)
        self._linear(tensors, "single_blocks.0.linear2", WIDTH + INNER, WIDTH)
        self._linear(tensors, "single_blocks.0.modulation.lin", WIDTH, 3 * WIDTH)
        self._linear(tensors, "final_layer.linear", WIDTH, 64)
        self._linear(tensors, "final_layer.adaLN_modulation.1", WIDTH, 2 * WIDTH)
        return tensors

    def text(self, wide: int = TEXT) -> dict[str, Any]:
        import numpy

        words = self._chance.standard_normal((VOCABULARY, wide)).astype("float16")
        tensors: dict[str, Any] = {"model.embed_tokens.weight": words, "model.norm.weight": numpy.ones(wide, "float32")}
        at = "model.layers.0."
        for name, into, out in (
            ("self_attn.q_proj", wide, 4096), ("self_attn.k_proj", wide, 1024), ("self_attn.v_proj", wide, 1024),
            ("self_attn.o_proj", 4096, wide), ("mlp.gate_proj", wide, 16), ("mlp.up_proj", wide, 16),
            ("mlp.down_proj", 16, wide),
        ):  # fmt: skip
            self._linear(tensors, at + name, into, out, bias=False)
        for name, size in (
            ("self_attn.q_norm", 128), ("self_attn.k_norm", 128), ("input_layernorm", wide),
            ("post_attention_layernorm", wide),
        ):  # fmt: skip
            tensors[f"{at}{name}.weight"] = numpy.ones(size, "float32")
        return tensors

    def autoencoder(self) -> dict[str, Any]:
        tensors: dict[str, Any] = {}

        def block(name: str) -> None:
            for place in (0, 2, 4):
                self._convolution(tensors, f"{name}.conv.{place}", (64, 64))

        self._convolution(tensors, "encoder.layers.0", (64, 3))
        block("encoder.layers.1")
        number = 2
        for _ in range(3):
            self._convolution(tensors, f"encoder.layers.{number}", (64, 64), bias=False)
            for place in range(3):
                block(f"encoder.layers.{number + 1 + place}")
            number += 4
        self._convolution(tensors, f"encoder.layers.{number}", (16, 64))
        self._convolution(tensors, "decoder.layers.0", (64, 16))
        number = 2
        for _ in range(3):
            for place in range(3):
                block(f"decoder.layers.{number + place}")
            self._convolution(tensors, f"decoder.layers.{number + 4}", (64, 64), bias=False)
            number += 5
        block(f"decoder.layers.{number}")
        self._convolution(tensors, f"decoder.layers.{number + 1}", (3, 64))
        tensors[f"decoder.layers.{number + 1}.bias"] += 0.5  # so that the middle value is grey
        return tensors


def _save(path: Path, tensors: dict[str, Any]) -> None:
    kinds = {"float16": "F16", "float32": "F32"}
    head: dict[str, Any] = {}
    at = 0
    for name, values in tensors.items():
        head[name] = {
            "dtype": kinds[values.dtype.name], "shape": list(values.shape), "data_offsets": [at, at + values.nbytes],
        }  # fmt: skip
        at += values.nbytes
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            file.write(values.tobytes())


def main(arguments: list[str]) -> int:
    """Write the model and a config that names it."""
    if len(arguments) != 1:
        print("usage: python -m intermodal.testing.tiny_diffusion FOLDER", file=sys.stderr)  # noqa: T201
        return 2
    folder = write(Path(arguments[0]).resolve())
    (folder / "intermodal.toml").write_text(
        '[hosts.tiny]\nprotocol = "diffusion"\n\n[[hosts.tiny.models]]\nid = "intermodal/tiny-diffusion"\n'
        f"weights = {json.dumps(str(folder))}\n"
    )
    print(f"wrote {folder}: a model of random weights, and intermodal.toml, which names it", file=sys.stderr)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What the files of a diffusion model are, told from their headers: which architecture, which part, what is wrong."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.errors import WeightsError
from intermodal.local.weights.diffusion_files import describe_diffusion_rows, is_diffusion, read_diffusion_files
from intermodal.testing import tiny_diffusion

NETWORK = "model.diffusion_model."
TEXT, PIXELS = (
    "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
    "first_stage_model.decoder.w",
)


def tensors(path: Path, *names: str, width: int = 4) -> Path:
    """A file of safetensors with tensors of these names, each of 2 x ``width`` numbers of two bytes."""
    size = 4 * width
    head = {
        name: {"dtype": "F16", "shape": [2, width], "data_offsets": [size * place, size * (place + 1)]}
        for place, name in enumerate(names)
    }
    text = json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(size * len(names)))
    return path


@pytest.mark.parametrize(
    ("names", "width", "name", "side", "unit"),
    [
        (("input_blocks.0.0.weight", "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"), 768,
         "Stable Diffusion 1", 512, 64),
        (("input_blocks.0.0.weight", "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"), 1024,
         "Stable Diffusion 2", 512, 64),
        (("input_blocks.0.0.weight", "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"), 2048,
         "Stable Diffusion XL", 1024, 64),
        (("joint_blocks.0.x_block.attn.qkv.weight",), 4, "Stable Diffusion 3", 1024, 16),
        (("double_blocks.0.img_attn.qkv.weight",), 4, "FLUX", 1024, 16),
        (("double_blocks.0.img_attn.qkv.weight", "double_stream_modulation_img.lin.weight"), 4, "FLUX.2", 1024, 16),
        (("double_blocks.0.img_mod.lin.weight", "distilled_guidance_layer.in_proj.weight"), 4, "Chroma", 1024, 16),
        (("cap_embedder.0.weight",), 4, "Z-Image", 1024, 16),
        (("transformer_blocks.0.img_mod.1.weight",), 4, "Qwen-Image", 1024, 16),
    ],
)  # fmt: skip
def test_names_of_tensors_tell_the_architecture_and_what_is_usual_of_it(
    tmp_path: Path, names: tuple[str, ...], width: int, name: str, side: int, unit: int
) -> None:
    path = tensors(tmp_path / "m.safetensors", *(NETWORK + each for each in names), TEXT, PIXELS, width=width)
    found = read_diffusion_files(path)
    assert (found.architecture.name, found.architecture.side, found.architecture.unit) == (name, side, unit)
    assert found.parts == {"model": str(path)}
    assert found.parameters == len(names) * 2 * width, "of the network alone, without what reads the text"
    assert found.size == (len(names) + 2) * 4 * width


def test_the_files_of_a_folder_are_told_apart_by_the_names_they_are_published_under(tmp_path: Path) -> None:
    tensors(tmp_path / "flux1-schnell-q8_0.safetensors", "double_blocks.0.img_attn.qkv.weight")
    for name in ("ae.safetensors", "clip_l.safetensors", "t5xxl_fp16.safetensors"):
        tensors(tmp_path / name, "x.weight")
    (tmp_path / "README.md").write_text("a model")
    parts = {part: Path(path).name for part, path in read_diffusion_files(tmp_path).parts.items()}
    assert parts == {
        "diffusion_model": "flux1-schnell-q8_0.safetensors", "vae": "ae.safetensors", "clip_l": "clip_l.safetensors",
        "t5xxl": "t5xxl_fp16.safetensors",
    }  # fmt: skip


def test_memory_is_the_weights_and_buffers_that_grow_with_the_pixels(tmp_path: Path) -> None:
    found = read_diffusion_files(tiny_diffusion.write(tmp_path))
    assert found.small
    small, large = found.memory(256), found.memory(512)
    assert small[0] > found.size
    # Four times the pixels: what grows by three times the buffers of the smaller one, and nothing else does.
    assert large[1] - small[1] == pytest.approx(3 * 256 * 256 * found.buffers[1])
    assert small[0] < small[1] < small[2]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "holds no .safetensors or .gguf"),
        ({"model.ckpt": ()}, "is a pickle, which can run code"),
        ({"a.safetensors": ("blocks.0.attn.weight",)}, "holds no known diffusion model"),
        ({"a.safetensors": ("patch_embedding.weight", "blocks.0.w")}, "is a video model"),
        ({"a.safetensors": ("double_blocks.0.w",), "b.safetensors": ("double_blocks.0.w",)},
         "has two files that may be the model: a.safetensors and b.safetensors"),
        ({"ae.safetensors": ("w",), "vae.safetensors": ("w",), "a.safetensors": ("double_blocks.0.w",)},
         "has two files that may be its vae"),
        ({"ae.safetensors": ("w",), "clip_l.safetensors": ("w",)}, "has parts of a model, and no model"),
        ({"a.safetensors": ("double_blocks.0.w",), "clip_l.safetensors": ("w",)}, "has no VAE"),
        ({"a.safetensors": ("double_blocks.0.w",), "ae.safetensors": ("w",)}, "has no text encoder"),
    ],
)  # fmt: skip
def test_what_cannot_be_opened_is_one_sentence(tmp_path: Path, files: dict[str, tuple[str, ...]], said: str) -> None:
    for name, names in files.items():
        tensors(tmp_path / name, *names) if names else (tmp_path / name).write_bytes(b"\x80\x04")
    with pytest.raises(WeightsError) as caught:
        read_diffusion_files(tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.todo


def test_a_damaged_file_of_either_format_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tensors(tmp_path / "m.safetensors", NETWORK + "joint_blocks.0.w", TEXT, PIXELS)
    whole = path.read_bytes()
    for spoilt in (b"", b"\xff" * 64, whole[:-1], whole[:20]):
        path.write_bytes(spoilt)
        with pytest.raises(WeightsError):
            read_diffusion_files(path)
    path.unlink()
    gguf = tmp_path / "m.gguf"
    gguf.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1 << 40, 0))
    with pytest.raises(WeightsError):
        read_diffusion_files(gguf)


def test_a_row_says_what_its_files_do_unless_it_says_so_itself_and_what_is_wrong_with_them(tmp_path: Path) -> None:
    good, bad = tiny_diffusion.write(tmp_path / "good"), tmp_path / "bad"
    bad.mkdir()
    served = (
        ServedRow(id="a/plain", weights=str(good)), ServedRow(id="a/own", weights=str(good), steps=4, side=256),
        ServedRow(id="a/bad", weights=str(bad)), ServedRow(id="a/gone", weights=str(tmp_path / "gone")),
    )  # fmt: skip
    (row,), wrong = describe_diffusion_rows([HostRow(id="mine", stated_protocol="diffusion", models=served)])
    plain, own, _, gone = row.models
    assert (plain.steps, plain.guidance, plain.side, plain.unit) == (20, 5.0, 1024, 16)
    assert (own.steps, own.side) == (4, 256)
    assert plain.memory is not None and own.memory is not None
    assert own.memory[1] < plain.memory[1], "of smaller pictures"
    assert gone == served[3]
    assert set(wrong) == {"mine:a/bad"}
    assert wrong["mine:a/bad"][0] == "bad: holds no .safetensors or .gguf"


def test_only_a_network_that_takes_steps_is_a_diffusion_model(tmp_path: Path) -> None:
    assert is_diffusion(tensors(tmp_path / "a.safetensors", "double_blocks.0.w"))
    assert not is_diffusion(tensors(tmp_path / "b.safetensors", "model.layers.0.self_attn.q_proj.weight"))
    assert not is_diffusion(tmp_path / "gone.gguf")

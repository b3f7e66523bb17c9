"""The memory of a server, by what its files say: the formula, and what was measured beside it."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from tests.e2e.test_up import header

from intermodal.errors import DoesNotFit, UsageError, WeightsError
from intermodal.local.servers.lifecycle import check_memory
from intermodal.local.servers.memory_estimate import cache_space, folder_memory, gguf_memory
from intermodal.local.servers.programs import PROGRAMS, environment
from intermodal.local.servers.records import ServerSpec
from intermodal.local.servers.resolver import ServerRequest, resolve_server
from intermodal.local.weights.gguf import parse_header
from intermodal.local.weights.store import WeightsStore
from intermodal.sizing.gguf_shape import gguf_shape
from intermodal.sizing.kv_cache import token_bytes
from intermodal.sizing.model_sources import local_model

# SmolLM2 135M, as its file says
SMOL = {
    "block_count": 30, "context_length": 8192, "embedding_length": 576, "attention.head_count": 9,
    "attention.head_count_kv": 3, "vocab_size": 49152,
}  # fmt: skip


def test_what_a_server_needs_is_weights_cache_of_every_slot_and_what_was_measured_beside() -> None:
    data = header(SMOL)
    model = gguf_shape([parse_header(data, total=len(data))])
    low, mid, high = gguf_memory(model, None, 8192, 1)
    # xllamacpp 2026.10: 343.5 MB resident after the warm-up, 96.6 MB of it weights. Its cache is written over at once.
    assert low < 343.5e6 - 96.6e6 < high
    assert low < mid < high
    assert mid + 96.6e6 == pytest.approx(343.5e6, rel=0.1)
    assert gguf_memory(model, None, 8192, 4)[0] - low >= 3 * 8192 * 23040  # 23 kB a token, as the catalog measured


def test_an_architecture_nobody_knows_needs_a_wide_range_not_nothing() -> None:
    data = header({"block_count": 4}).replace(b"llama", b"quuux")
    low, mid, high = gguf_memory(gguf_shape([parse_header(data, total=len(data))]), None, 8192, 1)
    assert high > mid + 1e9 > low + 1e9


def saved(folder: Path) -> Path:
    """A folder as transformers saves one: 1,000 bytes of weights, and what SmolLM2 says of itself."""
    body = json.dumps({"w": {"dtype": "BF16", "shape": [500], "data_offsets": [0, 1000]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(body)) + body + bytes(1000))
    config = {"num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 576,
              "max_position_embeddings": 8192, "dtype": "bfloat16"}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_folder_of_safetensors_says_what_vllm_takes(tmp_path: Path) -> None:
    shape = local_model(saved(tmp_path)).shape
    assert (shape.weights, shape.parameters, token_bytes(shape), shape.context) == (1000, 500, 23040, 8192)
    assert cache_space(str(tmp_path), 8192, 1) == 1 << 30  # whole GiB, one at least
    assert cache_space(str(tmp_path), 8192, 16) == 3 << 30
    low, _, high = folder_memory(shape, 1024, 4)
    assert low < 4.4e9 - 269e6 < high  # measured, without its weights


@pytest.mark.parametrize("files", [{}, {"config.json": "{"}, {"model.safetensors": "x"}])
def test_a_folder_that_is_no_model_is_said(tmp_path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(WeightsError, match="folder without"):
        local_model(tmp_path)


def test_a_projector_in_place_of_a_model_and_a_context_nobody_trained_for_are_refused(tmp_path: Path) -> None:
    weights = WeightsStore(tmp_path)
    eye = Path(__file__).parents[3] / "media" / "tiny_eye" / "tiny-eye-mmproj.gguf"
    with pytest.raises(UsageError, match="projector"):
        resolve_server(ServerRequest(model=str(eye)), weights)
    model = tmp_path / "m.gguf"
    model.write_bytes(header(SMOL))
    with pytest.raises(UsageError, match=r"9,000 tokens are more than the 8,192"):
        resolve_server(ServerRequest(model=str(model), context=9000), weights)


def test_no_key_is_among_the_arguments_of_any_program_and_no_key_of_ours_reaches_it() -> None:
    ours = {"PATH": "/bin", "OPENAI_API_KEY": "sk-ours", "AWS_SECRET_ACCESS_KEY": "theirs", "CUDA_VISIBLE_DEVICES": "0"}
    for name in ("llama-server", "xllamacpp"):
        wanted = ServerSpec(
            name="n", requested="n", program=name, path="/bin/x", model="/m.gguf", served_as="n", context=512
        )
        start = PROGRAMS[name].start(wanted, 1234, "sesame")
        assert "sesame" not in " ".join(start.command) and "sesame" in start.env.values()
        seen = environment(start, ours)
        assert seen["CUDA_VISIBLE_DEVICES"] == "0" and seen["PATH"] == "/bin"
        assert not {"OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY"} & set(seen)


def refused(wanted: ServerSpec, free: int) -> str:
    with pytest.raises(DoesNotFit) as failed:
        check_memory(wanted, free=free, memory=24_000_000_000)
    assert "take a smaller model" in failed.value.todo and "--" not in failed.value.todo
    return failed.value.wording_for("command line").todo


def test_the_longest_context_that_fits_is_advised_where_a_shorter_one_does(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(header(SMOL))
    shape = local_model(model).shape
    wanted = ServerSpec(
        name="n", requested="n", program="xllamacpp", path="", model=str(model), context=8192, slots=64,
        memory=gguf_memory(shape, None, 8192, 64),
    )  # fmt: skip
    free = 5_000_000_000
    advised = int(refused(wanted, free).partition("--context ")[2].partition(",")[0])
    assert gguf_memory(shape, None, advised, 64)[2] <= free < gguf_memory(shape, None, advised + 256, 64)[2]


def test_no_context_is_advised_where_the_weights_alone_do_not_fit() -> None:
    weights = 130_000_000_000
    wanted = ServerSpec(
        name="n", requested="n", program="xllamacpp", path="", model="/m.gguf", context=8192, disk=weights,
        memory=(weights, weights + 1e9, weights + 60e9),
    )  # fmt: skip
    assert "--context" not in refused(wanted, 20_000_000_000)

"""The memory of a server, by what its files say: the formula, and what was measured beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.e2e.test_up import header

from intermodal.errors import DoesNotFit, UsageError, WeightsError
from intermodal.servers.need import cache_bytes_per_token, cache_space, folder_facts, folder_need, gguf_need
from intermodal.servers.programs import PROGRAMS, environment
from intermodal.servers.records import Wanted
from intermodal.servers.resolve import Wish, resolve
from intermodal.servers.up import fit
from intermodal.weights.gguf import parse_header
from intermodal.weights.store import WeightsStore

# SmolLM2 135M, as its file says
SMOL = {
    "block_count": 30, "context_length": 8192, "embedding_length": 576, "attention.head_count": 9,
    "attention.head_count_kv": 3, "vocab_size": 49152,
}  # fmt: skip


def test_the_cache_is_keys_and_values_of_every_layer() -> None:
    data = header(SMOL)
    model = parse_header(data, total=len(data))
    assert cache_bytes_per_token(model) == 2 * 30 * 3 * 64 * 2  # the 23 kB that the catalog measured
    low, mid, high = gguf_need(model, None, 8192, 1)
    measured = 251e6 - 96.6e6  # resident after the warm-up, without the weights
    assert low < measured < high and low < mid < high
    assert gguf_need(model, None, 8192, 4)[2] - high == pytest.approx(3 * 8192 * 23040)


def test_a_folder_of_safetensors_says_what_vllm_takes(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 1000)
    config = {"num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 576,
              "max_position_embeddings": 8192, "dtype": "bfloat16"}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    facts = folder_facts(tmp_path)
    assert (facts.weights, facts.cache, facts.context) == (1000, 23040.0, 8192)
    assert cache_space(str(tmp_path), 8192, 1) == 1 << 30  # whole GiB, one at least
    assert cache_space(str(tmp_path), 8192, 16) == 3 << 30
    low, _, high = folder_need(facts, 1024, 4)
    assert low < 4.4e9 - 269e6 < high  # measured, without its weights


@pytest.mark.parametrize("files", [{}, {"config.json": "{"}, {"model.safetensors": "x"}])
def test_a_folder_that_is_no_model_is_said(tmp_path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(WeightsError, match="folder without"):
        folder_facts(tmp_path)


def test_a_projector_in_place_of_a_model_and_a_context_nobody_trained_for_are_refused(tmp_path: Path) -> None:
    weights = WeightsStore(tmp_path)
    eye = Path(__file__).parents[2] / "media" / "tiny_eye" / "tiny-eye-mmproj.gguf"
    with pytest.raises(UsageError, match="projector"):
        resolve(Wish(model=str(eye)), weights)
    model = tmp_path / "m.gguf"
    model.write_bytes(header(SMOL))
    with pytest.raises(UsageError, match=r"9,000 tokens are more than the 8,192"):
        resolve(Wish(model=str(model), context=9000), weights)


def test_no_key_is_among_the_arguments_of_any_program_and_no_key_of_ours_reaches_it() -> None:
    ours = {"PATH": "/bin", "OPENAI_API_KEY": "sk-ours", "AWS_SECRET_ACCESS_KEY": "theirs", "CUDA_VISIBLE_DEVICES": "0"}
    for name in ("llama-server", "xllamacpp"):
        wanted = Wanted(name="n", said="n", program=name, path="/bin/x", model="/m.gguf", served_as="n", context=512)
        start = PROGRAMS[name].start(wanted, 1234, "sesame")
        assert "sesame" not in " ".join(start.command) and "sesame" in start.env.values()
        seen = environment(start, ours)
        assert seen["CUDA_VISIBLE_DEVICES"] == "0" and seen["PATH"] == "/bin"
        assert not {"OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY"} & set(seen)


@pytest.mark.parametrize(("weights", "shorter"), [(2_000_000_000, True), (130_000_000_000, False)])
def test_a_shorter_context_is_advised_only_where_the_weights_alone_would_fit(weights: int, shorter: bool) -> None:
    wanted = Wanted(
        name="n", said="n", program="xllamacpp", path="", model="/m.gguf", context=8192, disk=weights,
        memory=(weights, weights + 1e9, weights + 60e9),
    )  # fmt: skip
    with pytest.raises(DoesNotFit) as refused:
        fit(wanted, free=20_000_000_000, memory=24_000_000_000)
    assert ("--context 2048" in refused.value.todo) is shorter
    assert "take a smaller model" in refused.value.todo

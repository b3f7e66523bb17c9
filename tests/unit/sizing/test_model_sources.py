"""What a user names becomes a shape by its header alone: here, in a folder, behind a URL or on a hub."""

from __future__ import annotations

import json
import random
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.unit.local.weights.test_gguf import header, pair, tensor, text, texts
from tests.unit.sizing.hub_server import HubServer, serving

from intermodal.errors import InputMissing, UsageError, WeightsError
from intermodal.local.weights import safetensors
from intermodal.sizing.memory import model_memory
from intermodal.sizing.model_sources import SizedModel, local_model, parse_hub_reference, remote_model
from intermodal.sizing.shape import ServingSettings

REPO = "owner/repo"


def gguf(*, words: int = 100, more: list[bytes] | None = None, weights: int = 5000) -> bytes:
    """A file of two layers, with a vocabulary before its tensors and zeros for them."""
    pairs = [
        pair("general.architecture", 8, text("llama")),
        pair("llama.block_count", 4, struct.pack("<I", 2)),
        pair("llama.embedding_length", 4, struct.pack("<I", 64)),
        pair("llama.attention.head_count", 4, struct.pack("<I", 2)),
        pair("tokenizer.ggml.tokens", 9, texts([f"word{number}" for number in range(words)])),
        *(more or []),
    ]
    tensors = [tensor("token_embd.weight", (64, 10), 1)]
    tensors += [tensor(f"blk.{layer}.attn_q.weight", (64, 8), 1) for layer in range(2)]
    return header(pairs, tensors) + bytes(weights)


def tensors_file(rows: dict[str, tuple[str, list[int]]]) -> bytes:
    said: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (kind, dims) in rows.items():
        size = safetensors.BITS[kind] // 8
        for dim in dims:
            size *= dim
        said[name] = {"dtype": kind, "shape": dims, "data_offsets": [at, at + size]}
        at += size
    body = json.dumps(said).encode()
    return struct.pack("<Q", len(body)) + body + bytes(at)


CONFIG = {
    "model_type": "qwen3", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 10, "max_position_embeddings": 4096,
    "tie_word_embeddings": True, "torch_dtype": "bfloat16",
}  # fmt: skip
ROWS = {
    "model.embed_tokens.weight": ("BF16", [10, 64]),
    "model.layers.0.q.weight": ("BF16", [64, 64]),
    "model.layers.1.q.weight": ("BF16", [64, 64]),
}
TENSORS = 2 * (640 + 2 * 4096)


def ask(hub: HubServer, said: str) -> SizedModel:
    return anyio.run(lambda: remote_model(said, hub=hub.url))


def test_a_large_file_costs_its_header_alone() -> None:
    with serving(HubServer({REPO: {"m.gguf": gguf(weights=30_000_000)}})) as hub:
        found = ask(hub, f"hf:{REPO}/m.gguf")
        assert (found.requests, hub.requests) == (1, 1)
        assert found.read == hub.sent == 256 << 10
        assert found.shape.weights == 2 * (640 + 2 * 512)
        assert found.files == (("m.gguf", len(hub.files[REPO]["m.gguf"])),)


@pytest.mark.slow
def test_a_header_with_a_large_vocabulary_is_read_in_few_growing_pieces() -> None:
    with serving(HubServer({REPO: {"m.gguf": gguf(words=300_000, weights=30_000_000)}})) as hub:
        found = ask(hub, f"hf:{REPO}/m.gguf")
        assert found.shape.weights == 2 * (640 + 2 * 512)
        assert hub.requests <= 5
        assert hub.sent < 9_000_000


def test_a_repository_with_several_models_asks_which() -> None:
    files = {name: gguf() for name in ("m-Q4_K_M.gguf", "m-Q8_0.gguf", "mmproj-m.gguf")}
    with serving(HubServer({REPO: files})) as hub:
        with pytest.raises(UsageError, match="has 2 models") as failed:
            ask(hub, f"hf:{REPO}")
        assert "m-Q4_K_M.gguf" in failed.value.todo
        assert ask(hub, f"hf:{REPO}:q8_0").where == f"hf:{REPO}/m-Q8_0.gguf"
        with pytest.raises(UsageError, match="has no file of Q5_K"):
            ask(hub, f"hf:{REPO}:Q5_K")


def test_a_url_is_read_as_a_file_of_a_hub_is() -> None:
    with serving(HubServer({REPO: {"m.gguf": gguf()}})) as hub:
        assert ask(hub, f"{hub.url}/{REPO}/resolve/main/m.gguf").shape.architecture == "llama"


def test_a_server_without_ranges_is_left_once_the_header_is_read() -> None:
    with serving(HubServer({REPO: {"m.gguf": gguf(weights=50_000_000)}}, ranges=False)) as hub:
        assert ask(hub, f"hf:{REPO}/m.gguf").read == 256 << 10
    whole = HubServer({REPO: {"m.gguf": gguf(words=100_000)}}, ranges=False)
    with serving(whole), pytest.raises(WeightsError, match="does not send parts of files"):
        ask(whole, f"hf:{REPO}/m.gguf")


def test_a_file_that_is_not_there_says_so() -> None:
    with serving(HubServer({REPO: {}})) as hub, pytest.raises(WeightsError, match="has no such file"):
        ask(hub, f"hf:{REPO}/m.gguf")


def test_a_saved_folder_on_a_hub_is_known_by_its_config_and_index() -> None:
    index = {
        "metadata": {"total_size": TENSORS},
        "weight_map": dict.fromkeys(ROWS, "model-00001-of-00001.safetensors"),
    }
    files = {
        "config.json": json.dumps(CONFIG).encode(),
        "model-00001-of-00001.safetensors": tensors_file(ROWS),
        safetensors.INDEX: json.dumps(index).encode(),
    }
    with serving(HubServer({REPO: files})) as hub:
        found = ask(hub, f"hf:{REPO}")
        assert hub.requests == 3
        assert found.shape.weights == TENSORS
        assert [layer.kv_heads * (layer.key + layer.value) for layer in found.shape.layers] == [128, 128]


def test_a_folder_here_is_known_to_the_byte(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "model.safetensors").write_bytes(tensors_file(ROWS))
    shape = local_model(tmp_path).shape
    assert (shape.weights, shape.embeddings, shape.output) == (TENSORS, 1280, 0)
    assert shape.parameters == TENSORS // 2
    assert shape.context == 4096


def test_a_split_model_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    first = header(
        [
            pair("general.architecture", 8, text("llama")), pair("llama.block_count", 4, struct.pack("<I", 1)),
            pair("split.count", 2, struct.pack("<H", 2)),
        ],
        [tensor("token_embd.weight", (64, 10), 1)],
    ) + bytes(2000)  # fmt: skip
    second = header([pair("split.count", 2, struct.pack("<H", 2))], [tensor("blk.0.attn_q.weight", (64, 8), 1)])
    (tmp_path / "m-00001-of-00002.gguf").write_bytes(first)
    with pytest.raises(InputMissing, match="a part of the model is missing"):
        local_model(tmp_path / "m-00001-of-00002.gguf")
    (tmp_path / "m-00002-of-00002.gguf").write_bytes(second + bytes(2000))
    assert local_model(tmp_path / "m-00002-of-00002.gguf").shape.weights == 2 * (640 + 512)
    assert local_model(tmp_path).shape.weights == 2 * (640 + 512)


@pytest.mark.parametrize("said", ["hf:", "hf:repo", "hf:../x/y", "hf:o/r/../../etc.gguf", "hf:o/r:", "hf:o/r@"])
def test_what_names_no_repository_is_refused(said: str) -> None:
    with pytest.raises(UsageError):
        parse_hub_reference(said)


def test_a_repository_is_read_with_file_quantization_and_revision() -> None:
    found = parse_hub_reference("hf:o/r.x/sub/m.gguf@v1.0")
    assert found is not None
    assert (found.repo, found.file, found.revision) == ("o/r.x", "sub/m.gguf", "v1.0")
    found = parse_hub_reference("hf:o/r:Q4_K_M")
    assert found is not None
    assert (found.quant, found.revision) == ("Q4_K_M", "main")


@pytest.mark.parametrize("seed", range(10))
def test_mutated_headers_give_a_shape_or_a_typed_error(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    for good, name in ((gguf(words=3), "m.gguf"), (tensors_file(ROWS), "m.safetensors")):
        for _ in range(25):
            data = bytearray(good)
            for _ in range(chance.randint(1, 6)):
                data[chance.randrange(min(len(data), 700))] = chance.randrange(256)
            file = tmp_path / name
            file.write_bytes(bytes(data[: chance.choice((len(data), chance.randrange(len(data))))]))
            with suppress(WeightsError, UsageError):
                if name.endswith("gguf"):
                    model_memory(local_model(file).shape, ServingSettings(context=4096, gpu_layers=1))
                else:
                    safetensors.read_header(file)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"a": {"dtype": "Q9", "shape": [1], "data_offsets": [0, 4]}}, "type 'Q9'"),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, "does not fill"),
        ({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, "impossible shape"),
        ({"a": {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 4]}}, "does not fill"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}}, "shorter than"),
        ({at: {"dtype": "F32", "shape": [1], "data_offsets": [2 * at, 2 * at + 4]} for at in range(2)}, "overlap"),
        ([], "not the JSON"),
    ],
)  # fmt: skip
def test_hostile_headers_of_safetensors_are_refused(rows: Any, says: str) -> None:
    body = json.dumps(rows).encode()
    data = struct.pack("<Q", len(body)) + body + bytes(6)
    with pytest.raises(WeightsError, match=says):
        safetensors.parse_header(data, len(data), "m.safetensors")


def test_a_safetensors_header_that_claims_more_than_the_file_is_refused_before_it_is_read() -> None:
    with pytest.raises(WeightsError, match="claims a header of"):
        safetensors.header_size(struct.pack("<Q", 1 << 60), 100, "m")

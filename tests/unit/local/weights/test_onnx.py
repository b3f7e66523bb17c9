"""Headers of ONNX files: what a whole one says, and that a broken one is refused before anything maps it."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
from tests.onnx_bytes import field, tensor, value, whole

from intermodal.errors import WeightsError
from intermodal.local.weights import onnx
from intermodal.local.weights.onnx import parse, read_header


def model(*, graph: bytes | None = None, external: bool = False) -> bytes:
    node = field(1, b"pixel_values") + field(2, b"image_embeds") + field(4, b"Identity")
    weight = field(8, b"weight") + field(9, bytes(64)) + (field(14, 1) if external else b"")
    if graph is None:
        graph = field(1, node) + field(5, weight) + field(11, value("pixel_values", "batch", 3, 64, 64))
        graph += field(11, value("weight", 16)) + field(12, value("image_embeds", "batch", 64))
    return whole(graph)


def test_a_header_says_what_goes_in_and_comes_out_and_weights_are_no_inputs() -> None:
    found = parse(model(), "model.onnx")
    assert found.inputs == {"pixel_values": (0, 3, 64, 64)}
    assert found.outputs == {"image_embeds": (0, 64)}
    assert found.operators == {"Identity"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04" + bytes(100), "is not an ONNX model"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "ONNX model"),
        (model()[:-40], "is cut"),
        (model(external=True), "another file"),
        (model(graph=field(2, b"empty")), "without nodes"),
        (field(1, 8) + field(8, field(2, 17)), "is not an ONNX model"),
    ],
)
def test_what_is_broken_is_refused_by_name(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "vision_model.onnx"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=said) as error:
        read_header(path)
    assert "vision_model.onnx" in str(error.value)


ELSEWHERE = tensor("weight", (2,), (1, 2)) + field(13, field(1, b"location") + field(2, b"../weights.bin"))
TRUNCATED = tensor("weight", (2,), (1, 2)) + field(14, (1 << 32) + 1)  # protobuf reads the lower 32 bits: EXTERNAL
OPERATOR = field(2, b"image_embeds") + field(4, b"Constant")
OUTPUT = field(12, value("image_embeds", "batch", 64))


def attribute(content: bytes) -> bytes:
    return field(5, field(1, b"value") + content)


def nested(content: bytes) -> bytes:
    return field(1, OPERATOR + attribute(field(5, content)))


@pytest.mark.parametrize("weights", [ELSEWHERE, TRUNCATED], ids=["names a place", "a location beyond 32 bits"])
@pytest.mark.parametrize(
    "hidden",
    [
        lambda t: whole(field(1, OPERATOR) + field(5, t) + OUTPUT),
        lambda t: whole(field(1, OPERATOR + attribute(field(5, t))) + OUTPUT),
        lambda t: whole(field(1, OPERATOR + attribute(field(10, t))) + OUTPUT),
        lambda t: whole(field(1, OPERATOR + attribute(field(22, field(1, t)))) + OUTPUT),
        lambda t: whole(field(1, OPERATOR + attribute(field(23, field(2, t)))) + OUTPUT),
        lambda t: whole(field(1, OPERATOR + attribute(field(6, field(5, t)))) + OUTPUT),
        lambda t: whole(field(1, OPERATOR + attribute(field(11, nested(t)))) + OUTPUT),
        lambda t: whole(field(1, OPERATOR) + field(15, field(1, t)) + OUTPUT),
        lambda t: whole(field(1, OPERATOR) + OUTPUT, field(25, field(7, OPERATOR + attribute(field(5, t))))),
        lambda t: whole(field(1, OPERATOR) + OUTPUT, field(25, field(11, field(5, t)))),
        lambda t: whole(field(1, OPERATOR) + OUTPUT, field(20, field(1, field(5, t)))),
    ],
    ids=[
        "initializer", "constant", "constants", "sparse constant", "sparse constants", "branch", "loop in a loop",
        "sparse initializer", "function", "default of a function", "training",
    ],
)  # fmt: skip
def test_weights_in_another_file_are_refused_wherever_a_file_says_so(hidden: Any, weights: bytes) -> None:
    inside = tensor("weight", (2,), (1, 2)) + field(14, 0)
    assert parse(hidden(inside), "model.onnx").outputs == {"image_embeds": (0, 64)}
    with pytest.raises(WeightsError, match="another file"):
        parse(hidden(weights), "model.onnx")


def test_graphs_in_graphs_and_a_file_of_tiny_fields_end_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = field(1, OPERATOR)
    for _ in range(2_000):
        deep = field(1, OPERATOR + attribute(field(6, deep)))
    with pytest.raises(WeightsError, match="nests more than"):
        parse(whole(deep + OUTPUT), "model.onnx")
    monkeypatch.setattr(onnx, "MAX_FIELDS", 10_000)
    for tiny in (field(3, 0), field(5, b""), field(11, b""), field(1, b"")):
        with pytest.raises(WeightsError, match="more than 10,000"):
            parse(whole(field(1, OPERATOR) + OUTPUT + tiny * 10_000), "model.onnx")


def test_no_mutation_hangs_or_gets_out_as_another_error() -> None:
    chance, whole = random.Random(5), model()
    refused = 0
    began = time.process_time()
    for _ in range(1_000):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        cut = bytes(data[: chance.randrange(1, len(data) + 1)]) if chance.random() < 0.5 else bytes(data)
        try:
            parse(cut, "model.onnx")
        except WeightsError:
            refused += 1
    assert refused > 300
    assert time.process_time() - began < 30

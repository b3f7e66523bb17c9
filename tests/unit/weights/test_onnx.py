"""Headers of ONNX files: what a whole one says, and that a broken one is refused before anything maps it."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from intermodal.errors import WeightsError
from intermodal.weights.onnx import parse, read_header


def field(number: int, content: bytes | int) -> bytes:
    """A field of a protobuf message: a number, or bytes."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))


def value(name: str, *dims: int | str) -> bytes:
    shape = b"".join(field(1, field(1, dim) if isinstance(dim, int) else field(2, dim.encode())) for dim in dims)
    return field(1, name.encode()) + field(2, field(1, field(1, 1) + field(2, shape)))


def model(*, graph: bytes | None = None, external: bool = False) -> bytes:
    node = field(1, b"pixel_values") + field(2, b"image_embeds") + field(4, b"Identity")
    weight = field(8, b"weight") + field(9, bytes(64)) + (field(14, 1) if external else b"")
    whole = graph
    if whole is None:
        whole = field(1, node) + field(5, weight) + field(11, value("pixel_values", "batch", 3, 64, 64))
        whole += field(11, value("weight", 16)) + field(12, value("image_embeds", "batch", 64))
    return field(1, 8) + field(2, b"a test") + field(7, whole) + field(8, field(2, 17))


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

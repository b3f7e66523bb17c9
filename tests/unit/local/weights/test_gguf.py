"""GGUF headers: exact about good files, typed and quick about hostile ones."""

from __future__ import annotations

import random
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from intermodal.errors import WeightsError
from intermodal.local.weights import gguf
from intermodal.local.weights.gguf import BLOCKS, parse_header, read_header


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: str, dims: tuple[int, ...], kind: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, 0)


def texts(values: list[str]) -> bytes:
    return struct.pack("<IQ", 8, len(values)) + b"".join(map(text, values))


def header(pairs: list[bytes], tensors: list[bytes], *, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs)) + b"".join(pairs) + b"".join(tensors)


GOOD = header(
    [
        pair("general.architecture", 8, text("llama")),
        pair("llama.context_length", 4, struct.pack("<I", 8192)),
        pair("tokenizer.ggml.tokens", 9, texts(["<s>", "a", "é"])),
        pair("tokenizer.ggml.merges", 9, texts(["a b"])),
        pair("some.numbers", 9, struct.pack("<IQ3i", 5, 3, 1, -2, 3)),
        pair("some.flag", 7, b"\x01"),
    ],
    [tensor("token_embd.weight", (64, 100), 8), tensor("norm", (64,), 0), tensor("w", (256, 3), 12)],
)
WEIGHTS = 64 * 100 // 32 * 34 + 64 * 4 + 3 * 144


def parse(data: bytes, **options: Any) -> gguf.GgufHeader:
    return parse_header(data, total=len(data) + WEIGHTS, **options)


def test_a_good_header_is_read_whole() -> None:
    found = parse(GOOD, arrays=("tokenizer.ggml.tokens", "tokenizer.ggml.merges", "some.numbers"))
    assert found.architecture == "llama"
    assert found.context_length == 8192
    assert found.tokens == ("<s>", "a", "é")
    assert found.merges == ("a b",)
    assert found.metadata["some.numbers"] == (1, -2, 3)
    assert found.metadata["some.flag"] is True
    assert [(t.name, t.type, t.dims) for t in found.tensors] == [
        ("token_embd.weight", "Q8_0", (64, 100)),
        ("norm", "F32", (64,)),
        ("w", "Q4_K", (256, 3)),
    ]
    assert found.weight_bytes == WEIGHTS
    assert found.size == len(GOOD)


def test_arrays_nobody_asked_for_are_passed_over() -> None:
    assert parse(GOOD).tokens == ()


# (type id, dims, bytes): by hand from the block table of ggml-common.h
@pytest.mark.parametrize(
    ("kind", "dims", "size"),
    [
        (2, (32,), 18), (3, (64, 2), 80), (8, (32, 2, 2), 136), (14, (256, 2), 420), (23, (256,), 136),
        (30, (7,), 14), (34, (256,), 54), (39, (64,), 34), (0, (5, 5, 5, 5), 2500),
        (40, (128, 3), 216), (41, (256,), 36), (42, (128,), 36),
    ],
)  # fmt: skip
def test_the_bytes_of_a_tensor_follow_its_blocks(kind: int, dims: tuple[int, ...], size: int) -> None:
    data = header([], [tensor("t", dims, kind)])
    assert parse_header(data, total=1 << 20).weight_bytes == size


@pytest.mark.parametrize("kind", [4, 5, 9, 15, 31, 36, 43, 255, 2**32 - 1])
def test_a_tensor_type_nobody_knows_is_refused_not_guessed(kind: int) -> None:
    assert kind not in BLOCKS
    with pytest.raises(WeightsError, match=f"type {kind}, whose size is not known"):
        parse_header(header([], [tensor("t", (256,), kind)]), total=1 << 20)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "ends inside"),
        (b"GGML" + bytes(64), "not a GGUF file"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"GGUF" + struct.pack("<IQQ", 3 << 24, 0, 0), "GGUF version"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0), "claims"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**40), "claims"),
        (b"GGUF" + struct.pack("<IQQ", 3, 60_000, 0) + bytes(100), "claims 60,000 tensors"),
        (header([struct.pack("<Q", 2**62)], []), "claims|a text of"),
        (header([struct.pack("<Q", 2**62) + bytes(64)], []), "a text of"),
        (header([pair("k", 99, bytes(64))], []), "value of type 99"),
        (header([pair("k", 9, struct.pack("<IQ", 9, 1) + bytes(64))], []), "array of arrays"),
        (header([pair("k", 9, struct.pack("<IQ", 8, 2**50) + bytes(64))], []), "claims"),
        (header([pair("k", 9, struct.pack("<IQ", 0, 2**50) + bytes(64))], []), "claims"),
        (header([pair("k", 9, struct.pack("<IQQ", 8, 1, 2**60) + bytes(64))], []), "ends inside|a text of"),
        (header([pair("kk", 8, struct.pack("<Q", 2) + b"\xff\xfe")], []), "not UTF-8"),
        (header([pair("key", 8, text("aaaa"))] * 2, []), "twice"),
        (header([], [tensor("t", (), 0) + bytes(64)]), "0 dimensions"),
        (header([], [tensor("t", (1,) * 5, 0)]), "5 dimensions"),
        (header([], [tensor("t", (0, 4), 0)]), "impossible shape"),
        (header([], [tensor("t", (33, 4), 8)]), "impossible shape"),
        (header([], [tensor("t", (2**62, 4), 0)]), "impossible shape"),
        (header([], [tensor("t", (2**39, 2**39, 2**39, 2**39), 0)]), "shorter than its own"),
    ],
)
def test_a_header_that_lies_is_one_typed_error(data: bytes, says: str) -> None:
    with pytest.raises(WeightsError, match=says) as caught:
        parse_header(data, total=len(data))
    assert "\n" not in str(caught.value)


def test_every_cut_of_a_good_header_is_a_typed_error() -> None:
    for end in range(len(GOOD)):
        with pytest.raises(WeightsError):
            parse_header(GOOD[:end], total=len(GOOD) + WEIGHTS)


def test_ten_thousand_seeded_mutations_neither_hang_nor_crash() -> None:
    random_ = random.Random(20261125)
    extremes = [b"\xff" * 8, bytes(8), struct.pack("<Q", 2**63), struct.pack("<Q", 2**31)]
    started, accepted = time.process_time(), 0
    for _ in range(10_000):
        data = bytearray(GOOD)
        for _ in range(random_.randint(1, 4)):
            at = random_.randrange(len(data))
            if random_.random() < 0.3:
                data[at : at + 8] = random_.choice(extremes)
            else:
                data[at] = random_.randrange(256)
        try:
            found = parse(bytes(data), arrays=("tokenizer.ggml.tokens",))
        except WeightsError:
            continue
        accepted += 1
        assert found.weight_bytes >= 0
    assert accepted < 9_000, "a mutation should usually be noticed"
    assert time.process_time() - started < 60


def test_a_header_larger_than_the_cap_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(header([pair("k", 8, text("a" * 3_000_000))], []))
    assert read_header(path).metadata["k"].startswith("aaa")
    with pytest.raises(WeightsError, match="ends inside"):
        read_header(path, limit=1_000_000)


def test_a_header_longer_than_the_first_read_is_still_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "_FIRST", 100)
    path = tmp_path / "x.gguf"
    path.write_bytes(GOOD + bytes(WEIGHTS))
    assert read_header(path).context_length == 8192


def test_a_file_shorter_than_its_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(GOOD + bytes(WEIGHTS - 1))
    with pytest.raises(WeightsError, match="shorter than its own tensor index"):
        read_header(path)


def test_a_missing_file_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nothing\.gguf: cannot be read"):
        read_header(tmp_path / "nothing.gguf")

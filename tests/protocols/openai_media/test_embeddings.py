"""Embeddings: vectors in the order of their texts, and nothing half-good taken for good."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from typing import Any

import pytest

from intermodal import errors
from intermodal.catalog.types import Host
from intermodal.protocols.calls import EmbeddingCall, WireUsage
from intermodal.protocols.openai_media.embeddings import decode_reply, encode_request


def reply(*rows: Any, **more: Any) -> bytes:
    data = [{"index": index, "embedding": row} for index, row in enumerate(rows)]
    return json.dumps({"object": "list", "data": data, **more}).encode()


def test_says_the_texts_in_order() -> None:
    encoded = encode_request(EmbeddingCall(model="e", texts=("a", "b\ud800"), dimensions=8), Host(id="h"))
    assert json.loads(b"".join(encoded.segments)) == {
        "model": "e", "input": ["a", "b?"], "encoding_format": "float", "dimensions": 8,
    }  # fmt: skip


def test_vectors_come_in_the_order_of_the_texts() -> None:
    data = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1]}]
    found = decode_reply(json.dumps({"data": data, "usage": {"prompt_tokens": 2}}).encode(), "h:e", texts=2)
    assert found.vectors == ((1.0,), (2.0,))
    assert found.usage == WireUsage(input_tokens=2)


def test_base64_is_understood_unasked() -> None:
    packed = b64encode(struct.pack("<2f", 0.5, -1.0)).decode()
    assert decode_reply(reply(packed), "h:e").vectors == ((0.5, -1.0),)


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        (reply([1.0]), 2),
        (reply([1.0], [1.0, 2.0]), 2),
        (reply([]), 1),
        (reply(["x"]), 1),
        (reply("!!"), 1),
        (reply(None), 1),
        (reply([1e400]), 1),
        (b'{"data":[]}', 1),
        (b'{"error":"no"}', 1),
        (b"[]", 1),
    ],
)
def test_what_cannot_be_used_is_an_error(body: bytes, texts: int) -> None:
    with pytest.raises(errors.CallError):
        decode_reply(body, "h:e", texts=texts)


def test_half_a_reply_is_a_cut() -> None:
    with pytest.raises(errors.StreamCut):
        decode_reply(reply([1.0])[:-4], "h:e")

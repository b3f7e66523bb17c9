"""An object of JSON as its fields, each as it is written: taken apart, and put together again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from intermodal.wire._json import dumps

taken_apart = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def put_together(fields: Mapping[str, Any]) -> bytes:
    """An object of its fields."""
    pieces: list[Any] = []
    for name, raw in fields.items():
        pieces += (_named(name), raw)
    return b"{" + b"".join(pieces)[1:] + b"}"


@lru_cache(maxsize=256)
def _named(name: str) -> bytes:
    return b"," + dumps(name) + b":"


def with_told(counted: bytes, about: bytes) -> bytes:
    """Usage as it came, and in it what is told of the run."""
    inside = counted.strip()[1:-1].strip()
    return b"{" + inside + (b"," if inside else b"") + b'"intermodal":' + about + b"}"

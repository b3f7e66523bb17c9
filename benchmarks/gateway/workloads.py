"""What is asked of the gateways: requests, how many at a time, how fast."""

from __future__ import annotations

import base64
import json
import random
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

PIECES = 64


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of load.

    Attributes:
        id: as on the command line; its first part (``W1``) chooses all of a kind.
        says: the row's name.
        connections: at a time; with a ``rate``, at most.
        rate: requests a second, sent when they are due; 0: each connection asks again when it was answered.
        chunks: pieces of a stream; 0 for a whole answer.
        pause: microseconds between two pieces.
        picture: which picture of ``pictures()`` is in it; -1 for none.
        requests: ends after so many.
        seconds: lasts as long, whatever was asked for.
        beside: runs at the same time; only this one's figures count.
    """

    id: str
    says: str
    connections: int
    rate: float = 0.0
    chunks: int = 0
    pause: int = 0
    picture: int = -1
    requests: int = 0
    seconds: float = 0.0
    beside: Workload | None = None


_PICTURE = Workload("W3.8", "1 MiB picture, 8 at a time", 8, picture=0)
WORKLOADS = (
    Workload("W1.1", "small chat, 1 at a time", 1),
    Workload("W1.32", "small chat, 32 at a time", 32),
    Workload("W1.256", "small chat, 256 at a time", 256),
    Workload("W1.paced", "small chat, 500 a second", 64, rate=500),
    Workload("W2.32", "stream of 64 pieces, 32 at a time", 32, chunks=PIECES),
    Workload("W2.slow1", "a piece each 2 ms, 1 at a time", 1, chunks=PIECES, pause=2000),
    Workload("W2.slow32", "a piece each 10 ms, 50 streams a second", 64, rate=50, chunks=PIECES, pause=10_000),
    _PICTURE,
    replace(_PICTURE, id="W3.1", says="1 MiB picture, 1 at a time", connections=1),
    Workload(
        "W4", "small chat, 100 a second, beside a body of 20 MB", 64, rate=100,
        beside=Workload("W4.body", "20 MB", 1, picture=1),
    ),
    Workload(
        "W5", "1,000 streams open", 1000, rate=250, chunks=8, pause=2_000_000, requests=1000, seconds=20.0
    ),
)  # fmt: skip
WARM_UP = (
    replace(WORKLOADS[0], connections=8),
    Workload("warm", "streams", 8, chunks=PIECES),
    replace(_PICTURE, connections=4),
)


def png(side: int) -> bytes:
    """A PNG of noise, which nothing makes smaller: 3 * side² bytes and a little."""
    chance = random.Random(side)
    raw = b"".join(b"\0" + chance.randbytes(side * 3) for _ in range(side))

    def piece(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + piece(b"IHDR", head) + piece(b"IDAT", zlib.compress(raw, 0)) + piece(b"IEND", b"")


def pictures() -> list[str]:
    """In base64: one of 1 MiB, one of 20 MB."""
    return [base64.b64encode(png(side)).decode() for side in (512, 2235)]


def request(load: Workload, address: str, model: str, headers: Mapping[str, str], images: list[str]) -> bytes:
    """The bytes of one call, with its head; a small chat has 500 bytes of JSON."""
    order = f"[mock chunks={load.chunks or 1} pause={load.pause} picture={load.picture}] "
    text = order + "Say hello to everybody who reads this, and then say what the weather is like. "
    tree: dict[str, object] = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 100}
    if load.chunks:
        tree["stream"] = True
    text += ("It is a fine day, and there is more to say. " * 9)[: max(0, 500 - len(json.dumps(tree)))]
    content: object = text
    if load.picture >= 0:
        url = "data:image/png;base64," + images[load.picture]
        content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]
    body = json.dumps(tree | {"messages": [{"role": "user", "content": content}]}).encode()
    lines = {"host": "localhost", "content-type": "application/json", "content-length": str(len(body)), **headers}
    return (
        f"POST {address} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
    ).encode() + body

"""What conversions made, kept by content: the same recording is transcribed once.

A key is SHA-256, all 256 bits, over the digest of the original bytes, its shape, and every step and
parameter on the way. Values are files of the user alone. A value that cannot be read is a miss, one
that cannot be written is forgotten: this is a cache, nothing depends on it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from intermodal.content import ReadLine, Transcript, Value
from intermodal.store import whole

CAPACITY = 1 << 30  # bytes
_VERSION = 3  # of keys and values: raise it when a conversion changes what it makes


class Origin(Value, frozen=True):
    """What a step was given: an original part (``digest`` of its bytes, ``shape`` as probed), or another step's key."""

    digest: str
    shape: tuple[float, ...] = ()


class Kept(Value, frozen=True):
    """A cached product: what an ear heard, what an eye read (lines of each picture), or what one saw (a text each).

    ``pages`` has each picture's page or 0; ``times`` its second in a video, () for pictures of anything else.
    """

    transcript: Transcript | None = None
    pages: tuple[int, ...] = ()
    lines: tuple[tuple[ReadLine, ...], ...] = ()
    texts: tuple[str, ...] = ()
    times: tuple[float, ...] = ()


def key_of(origins: tuple[Origin, ...], op: str, params: tuple[tuple[str, str], ...], maker: str) -> str:
    """The key of what ``op`` makes. ``maker`` names who makes it: endpoint, weights, language asked for."""
    import hashlib

    parts = [
        _VERSION,
        [[origin.digest, list(origin.shape)] for origin in origins],
        op,
        [list(p) for p in params],
        maker,
    ]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


class DerivedCache:
    """Values on disk under ``root``, at most ``capacity`` bytes, the least recently used leave first."""

    def __init__(self, root: Path, *, capacity: int = CAPACITY) -> None:
        self.root = root
        self.capacity = capacity

    def get(self, key: str) -> Kept | None:
        path = self._path(key)
        try:
            value = msgspec.json.decode(path.read_bytes(), type=Kept)
            os.utime(path)  # its turn to leave comes later
        except (OSError, msgspec.DecodeError):
            return None
        return value

    def put(self, key: str, value: Kept) -> None:
        """Keep a value: whole or not at all, whatever happens meanwhile."""
        body = msgspec.json.encode(value)
        if len(body) > self.capacity:
            return
        with suppress(OSError):
            whole.replace(self._path(key), body)
            self._evict()

    def clear(self) -> int:
        """Forget everything; returns how many values there were."""
        files = list(self._files())
        for _, _, path in files:
            path.unlink(missing_ok=True)
        return len(files)

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / f"{key}.json"

    def _files(self) -> Iterable[tuple[float, int, Path]]:
        for path in self.root.glob("??/*.json"):
            try:
                stat = path.stat()
            except OSError:
                continue
            yield stat.st_mtime, stat.st_size, path

    def _evict(self) -> None:
        files = sorted(self._files(), key=lambda item: (item[0], item[2].name))
        size = sum(item[1] for item in files)
        for _, bytes_, path in files:
            if size <= self.capacity:
                return
            path.unlink(missing_ok=True)
            size -= bytes_

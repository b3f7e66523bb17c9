"""A cache of conversions by content, so that the same recording is transcribed only once.

A key is SHA-256, all 256 bits, over the digest of the original bytes, their shape, every step and parameter on the
path, and the version of each converter (``local/embedded/versions.py``): a result of older code is not found. Values
are files readable only by the user. A value that cannot be read is a miss, one that cannot be written is dropped:
nothing depends on this cache.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from intermodal.core.content import ReadLine, Transcript, Value
from intermodal.files.atomic_file import write_private_file

FOLDER = "derived"  # in the cache folder
CAPACITY = 1 << 30  # bytes
_VERSION = 4  # of keys' and values' encoding. Converters have versions of their own in ``local/embedded/versions.py``


class ContentOrigin(Value, frozen=True):
    """The input of a step.

    Either an original part (``digest`` of its bytes, ``shape`` as probed, the version of the code that opens it), or
    the key of another step.
    """

    digest: str
    shape: tuple[float, ...] = ()
    opener: str = ""


class CachedConversion(Value, frozen=True):
    """A cached result: a transcript, recognised text (the lines of each image), or descriptions (one text per image).

    ``pages`` has each image's page or 0; ``times`` its second in a video, () for images from other sources. For
    display: ``name`` of the part, ``op`` of the step, ``maker`` (an endpoint). ``sure``: for a doubtful reading, the
    number of lines with words that the reader was sure of, and of all lines.
    """

    transcript: Transcript | None = None
    pages: tuple[int, ...] = ()
    lines: tuple[tuple[ReadLine, ...], ...] = ()
    texts: tuple[str, ...] = ()
    times: tuple[float, ...] = ()
    name: str = ""
    op: str = ""
    maker: str = ""
    sure: tuple[int, int] = (0, 0)

    @property
    def text(self) -> str:
        """All of its text, with a form feed between images."""
        if self.transcript is not None:
            return self.transcript.text
        from intermodal.local.embedded.ocr_layout import lines_to_text

        read = tuple(map(lines_to_text, self.lines))
        return "\n\f\n".join(read or self.texts)


class CacheEntry(Value, frozen=True):
    """A file of the cache: size on disk in bytes, and time of last use in seconds since 1970."""

    key: str
    size: int
    used: float


def conversion_key(origins: tuple[ContentOrigin, ...], op: str, params: tuple[tuple[str, str], ...], maker: str) -> str:
    """Return the cache key of a result of ``op``.

    ``maker`` identifies how it is made: endpoint, weights, versions, requested language.
    """
    import hashlib

    parts = [
        _VERSION,
        [[origin.digest, list(origin.shape), origin.opener] for origin in origins],
        op,
        [list(p) for p in params],
        maker,
    ]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


class ConversionCache:
    """Cached values on disk under ``root``, at most ``capacity`` bytes; the least recently used are evicted first."""

    def __init__(self, root: Path, *, capacity: int = CAPACITY) -> None:
        self.root = root
        self.capacity = capacity

    def get(self, key: str) -> CachedConversion | None:
        value = self.peek(key)
        if value is not None:
            with suppress(OSError):
                os.utime(self._path(key))  # marks it as recently used, so it is evicted later
        return value

    def store(self, key: str, value: CachedConversion) -> None:
        """Store a value atomically."""
        body = msgspec.json.encode(value)
        if len(body) > self.capacity:
            return
        with suppress(OSError):
            write_private_file(self._path(key), body)
            self._evict()

    def entries(self) -> list[CacheEntry]:
        """Return the cached values, most recently used first."""
        found = [CacheEntry(key=path.stem, size=size, used=used) for used, size, path in self._files()]
        return sorted(found, key=lambda entry: (-entry.used, entry.key))

    def peek(self, key: str) -> CachedConversion | None:
        """Return a value like ``get``, but without marking it as used."""
        try:
            return msgspec.json.decode(self._path(key).read_bytes(), type=CachedConversion)
        except (OSError, msgspec.DecodeError):
            return None

    def remove(self, key: str) -> bool:
        """Delete one value; return whether it existed."""
        path = self._path(key)
        existed = path.exists()
        path.unlink(missing_ok=True)
        return existed

    def clear(self) -> int:
        """Delete all values; return their number."""
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

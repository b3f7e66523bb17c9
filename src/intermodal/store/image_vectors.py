"""Image embeddings cached by content, so that a folder is embedded once and then searched.

One SQLite file in the cache folder, for the user alone. An image is recognised by path, size and time without being
read, and by the digest of its bytes where it was moved; each model has its own vectors. Nothing depends on this cache.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from intermodal.store.sqlite_file import Database

FILE = "vectors.sqlite3"  # in the cache folder
_BUSY_SECONDS = 10.0
_AT_ONCE = 500  # rows
_CHANGES = {
    1: """
CREATE TABLE schema (version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, modified INTEGER NOT NULL, digest TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS vectors (
    model TEXT NOT NULL, digest TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (model, digest)
);
""",
}


# A picture that was removed may lie elsewhere under another name; then its vector stays.
_ALONE = "DELETE FROM vectors WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM files WHERE digest = ?1)"


class FileStamp(NamedTuple):
    """By what a file is known again without being read: its size, and when it was changed, in nanoseconds."""

    size: int
    modified: int


def pack_vector(vector: Sequence[float]) -> bytes:
    """A vector as it is kept: numbers of 4 bytes in the order of this machine."""
    return array("f", vector).tobytes()


class ImageVectors:
    """The file at ``path``, made when it is first written. Raises ``StoreError`` where it cannot be used.

    Reading and writing may wait for another program, so whoever has an event loop calls from threads; calls wait for
    each other.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = Database(
            path, changes=_CHANGES, busy=_BUSY_SECONDS, remedy="run: intermodal find --forget, and again"
        )

    def digests(self, stamps: dict[str, FileStamp]) -> dict[str, str]:
        """Digests of the files that are as they were when they were looked at."""
        found: dict[str, str] = {}
        for row in self._read("SELECT path, size, modified, digest FROM files"):
            path, size, modified, digest = row
            if stamps.get(path) == (size, modified):
                found[path] = digest
        return found

    def known(self, model: str) -> set[str]:
        """Digests of which a model's vectors are here."""
        return {digest for (digest,) in self._read("SELECT digest FROM vectors WHERE model = ?", model)}

    def of(self, model: str, digests: Sequence[str]) -> Iterator[list[tuple[str, bytes]]]:
        """Vectors with their digests, some at a time, as ``packed`` makes them."""
        for start in range(0, len(digests), _AT_ONCE):
            some = digests[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            sql = f"SELECT digest, vector FROM vectors WHERE model = ? AND digest IN ({marks})"
            yield [(digest, vector) for digest, vector in self._read(sql, model, *some)]

    def vector(self, model: str, digest: str) -> bytes | None:
        """One vector."""
        return next((vector for _, vector in next(self.of(model, [digest]))), None)

    def put(self, model: str, digest: str, vector: Sequence[float]) -> bytes:
        """Keep a vector; returns it as it is kept."""
        kept = pack_vector(vector)
        self._write("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", [(model, digest, kept)])
        return kept

    def saw(self, files: Iterable[tuple[str, FileStamp, str]]) -> None:
        """Keep by what files are known again: path, stamp and digest of each."""
        rows = [(path, stamp.size, stamp.modified, digest) for path, stamp, digest in files]
        before = [
            (old,) for path, _, _, digest in rows
            for (old,) in self._read("SELECT digest FROM files WHERE path = ?", path) if old != digest
        ]  # fmt: skip
        self._write("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)
        if before:  # it was changed: what it looked like is no picture's any more
            self._write(_ALONE, before)

    def paths(self) -> set[str]:
        """Every file that was looked at, as far as it is known."""
        return {path for (path,) in self._read("SELECT path FROM files")}

    def drop(self, paths: Iterable[str]) -> int:
        """Forget files, with the vectors that were theirs alone; returns how many files."""
        gone = list(paths)
        for start in range(0, len(gone), _AT_ONCE):
            some = gone[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            digests = [(each,) for (each,) in self._read(f"SELECT digest FROM files WHERE path IN ({marks})", *some)]
            self._write("DELETE FROM files WHERE path = ?", [(path,) for path in some])
            self._write(_ALONE, digests)
        return len(gone)

    def close(self) -> None:
        self._database.close()

    def forget(self) -> bool:
        """Remove all of it; returns whether there was something."""
        self.close()
        there = self._path.exists()
        for ending in ("", "-wal", "-shm"):
            Path(f"{self._path}{ending}").unlink(missing_ok=True)
        return there

    def _read(self, sql: str, *values: str) -> list[Any]:
        with self._database.reading() as connection:
            return connection.execute(sql, values).fetchall() if connection is not None else []

    def _write(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        with self._database.writing(later=True) as connection:  # what a loss of power takes is made again
            connection.executemany(sql, rows)

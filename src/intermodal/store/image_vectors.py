"""Image embeddings cached by content, so that a folder is embedded once and then searched.

One SQLite file in the cache folder, readable only by the user. An image is recognised by path, size and modification
time without being read, or by the digest of its bytes if it was moved; each model has its own vectors. Nothing depends
on this cache.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from intermodal.store.sqlite_file import Database

FILE = "vectors.sqlite3"  # in the cache folder
_BUSY_SECONDS = 10.0
_AT_ONCE = 500  # rows
_SCANNED = 4  # a full scan is faster if more than one in this many vectors is requested
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


# A removed image may exist elsewhere under another name; then its vector is kept.
_ALONE = "DELETE FROM vectors WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM files WHERE digest = ?1)"


# Size and modification time in nanoseconds, by which a file is recognised without being read. Plain tuples, as a search
# creates two for each of up to 100,000 files.
FileStamp: TypeAlias = tuple[int, int]
IndexedFile: TypeAlias = tuple[str, int, int, str]  # path, stamp, digest; a row as SQLite returns it


def pack_vector(vector: Sequence[float]) -> bytes:
    """Return a vector as stored: 4-byte floats in native byte order."""
    return array("f", vector).tobytes()


class ImageVectors:
    """The file at ``path``, created on first write. Raises ``StoreError`` if it cannot be used.

    Reading and writing may wait for another program, so callers with an event loop use threads; calls wait for each
    other.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = Database(
            path, changes=_CHANGES, busy=_BUSY_SECONDS, remedy="run: intermodal find --forget, and again"
        )

    def files(self) -> list[IndexedFile]:
        """Return every processed file: its path, its stamp at that time, and its digest."""
        return list(map(tuple, self._read("SELECT path, size, modified, digest FROM files")))

    def stored_digests(self, model: str) -> set[str]:
        """Return the digests of the images for which a model's vectors are stored."""
        return {digest for (digest,) in self._read("SELECT digest FROM vectors WHERE model = ?", model)}

    def vectors_of(self, model: str, digests: Collection[str]) -> Iterator[list[tuple[str, bytes]]]:
        """Yield batches of digests and vectors, in the format of ``pack_vector``.

        If more than a quarter of a model's vectors are requested, they are read in storage order, otherwise by digest.
        """
        ((count,),) = self._read("SELECT COUNT(*) FROM vectors WHERE model = ?", model) or [(0,)]
        if len(digests) * _SCANNED < count:
            return self._vectors_by_digest(model, sorted(digests))
        return self._vectors_by_scan(model, frozenset(digests))

    def _vectors_by_digest(self, model: str, digests: Sequence[str]) -> Iterator[list[tuple[str, bytes]]]:
        for start in range(0, len(digests), _AT_ONCE):
            some = digests[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            sql = f"SELECT digest, vector FROM vectors WHERE model = ? AND digest IN ({marks})"
            yield self._read(sql, model, *some)

    def _vectors_by_scan(self, model: str, digests: frozenset[str]) -> Iterator[list[tuple[str, bytes]]]:
        sql = (
            "SELECT rowid, digest, vector FROM vectors NOT INDEXED WHERE model = ? AND rowid > ? ORDER BY rowid LIMIT ?"
        )
        last = 0
        while rows := self._read(sql, model, last, _AT_ONCE):
            last = rows[-1][0]
            yield [(digest, vector) for _, digest, vector in rows if digest in digests]

    def vector(self, model: str, digest: str) -> bytes | None:
        """Return one vector; None if it is not stored."""
        return next((vector for _, vector in next(self._vectors_by_digest(model, [digest]))), None)

    def store(self, model: str, digest: str, vector: Sequence[float]) -> bytes:
        """Store a vector; return it as stored."""
        packed = pack_vector(vector)
        self._write("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", [(model, digest, packed)])
        return packed

    def record_files(self, files: Iterable[tuple[str, FileStamp, str]]) -> None:
        """Record path, stamp and digest of files, by which they are recognised later."""
        rows = [(path, *stamp, digest) for path, stamp, digest in files]
        before = [
            (old,) for path, _, _, digest in rows
            for (old,) in self._read("SELECT digest FROM files WHERE path = ?", path) if old != digest
        ]  # fmt: skip
        self._write("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)
        if before:  # the image has changed, so its old vector is unused
            self._write(_ALONE, before)

    def remove_files(self, paths: Iterable[str]) -> int:
        """Remove files, and the vectors that only they used; return the number of files."""
        removed_paths = list(paths)
        for start in range(0, len(removed_paths), _AT_ONCE):
            some = removed_paths[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            digests = [(each,) for (each,) in self._read(f"SELECT digest FROM files WHERE path IN ({marks})", *some)]
            self._write("DELETE FROM files WHERE path = ?", [(path,) for path in some])
            self._write(_ALONE, digests)
        return len(removed_paths)

    def close(self) -> None:
        self._database.close()

    def delete_cache(self) -> bool:
        """Delete the cache; return whether it existed."""
        self.close()
        existed = self._path.exists()
        for ending in ("", "-wal", "-shm"):
            Path(f"{self._path}{ending}").unlink(missing_ok=True)
        return existed

    def _read(self, sql: str, *values: str | int) -> list[Any]:
        with self._database.reading() as connection:
            return connection.execute(sql, values).fetchall() if connection is not None else []

    def _write(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        with self._database.writing(later=True) as connection:  # a loss of power costs only the work of making it again
            connection.executemany(sql, rows)

"""The pictures that somebody named: files as they are, folders with all that is below them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from intermodal.errors import InputEmpty, InputMissing, UsageError
from intermodal.media.sniff import PICTURE_ENDINGS, ending_of
from intermodal.store.image_vectors import FileStamp

MOST: Final = 200_000


def list_pictures(paths: Iterable[str | Path]) -> dict[str, FileStamp]:
    """The files, each with its stamp, in a fixed order. Hidden files and folders are left out where nobody named them.

    Raises InputMissing for a path that is not there, InputEmpty where no picture is.
    """
    found: dict[str, FileStamp] = {}
    for given in paths:
        path = Path(given).expanduser()
        if path.is_dir():
            _walk(path, found)
            continue
        try:
            stat = path.stat()
        except OSError as error:
            raise InputMissing(
                f"cannot be read ({(error.strerror or 'unreadable').lower()})", where=str(given)
            ) from None
        found[canonical_path(path)] = FileStamp(stat.st_size, stat.st_mtime_ns)
    if not found:
        raise InputEmpty("holds no pictures", where=", ".join(map(str, paths)), todo="name a folder with pictures")
    return found


def canonical_path(path: Path) -> str:
    """The one name of a file or folder, without ``..``: the same however somebody came to it.

    Where a link is on the way, what is behind it may lie elsewhere than the words say; then the links are followed.
    """
    plain = os.path.abspath(path)
    try:
        same = os.path.samefile(plain, path)
    except OSError:
        same = False
    return plain if same else os.path.realpath(path)


def _walk(folder: Path, found: dict[str, FileStamp]) -> None:
    for where, folders, files in os.walk(canonical_path(folder)):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            # A picture in a folder is known by its ending; a file that is named is taken whatever it is called.
            if name.startswith(".") or ending_of(name) not in PICTURE_ENDINGS:
                continue
            path = os.path.join(where, name)
            try:
                stat = os.stat(path)
            except OSError:  # a link to nothing, or gone meanwhile
                continue
            found[path] = FileStamp(stat.st_size, stat.st_mtime_ns)
            if len(found) > MOST:
                raise UsageError(
                    f"there are more than {MOST:,} pictures below it", where=str(folder), todo="name a smaller folder"
                )

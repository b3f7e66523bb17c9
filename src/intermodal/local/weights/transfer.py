"""Shared by all sources of weights: progress, failures, and unpacking of archive members."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from intermodal.local.weights.registry import WeightsFile

# (file, bytes done, total bytes or 0, description of the source); called several times per second
Progress = Callable[[str, int, int, str], None]

CHUNK = 1 << 20
NEXT_SOURCE = "trying the next source"  # appended to the reason of a failure that is not final
UNPACKING = "unpacking "  # begins the source in the progress of an archive that was downloaded


class SourceFailed(Exception):
    """A source failed to provide a file; the next source may succeed. ``reason`` is a clause for the user.

    ``unreachable``: the whole source is unreachable, not only this file; ``absent``: the file does not exist; ``todo``:
    what the user can do.
    """

    def __init__(self, reason: str, *, unreachable: bool = False, absent: bool = False, todo: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.absent = absent
        self.todo = todo
        self.unreachable = unreachable


def no_progress(file: str, done: int, total: int, source: str) -> None:
    """Ignore progress."""


class ArchiveMember(NamedTuple):
    """A member of an archive: its name, a description of its source, its bytes in chunks."""

    name: str
    source: str
    chunks: Iterable[bytes]


async def unpack_members(members: Sequence[ArchiveMember], file: WeightsFile, part: Path, progress: Progress) -> None:
    """Write the members to ``part`` in order, in a thread. Raises ``SourceFailed``."""
    import anyio.to_thread

    stop = threading.Event()
    try:
        await anyio.to_thread.run_sync(_write_members, members, file, part, progress, stop, abandon_on_cancel=True)
    finally:
        stop.set()  # a cancelled pull must stop writing in its thread


def _write_members(
    members: Sequence[ArchiveMember], file: WeightsFile, part: Path, progress: Progress, stop: threading.Event
) -> None:
    try:
        with part.open("wb") as out:
            for member in members:
                for chunk in member.chunks:
                    # a member may claim any size: stop at the pinned size
                    if stop.is_set() or (file.size and out.tell() + len(chunk) > file.size):
                        raise SourceFailed(f"{member.name} is larger than the {file.size:,} bytes expected")
                    out.write(chunk)
                    progress(file.name, out.tell(), file.size, f"{UNPACKING}{member.source}")
    except SourceFailed:
        part.unlink(missing_ok=True)  # unlike a partial download, a partially unpacked member cannot be resumed
        raise

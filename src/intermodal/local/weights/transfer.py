"""Common to all sources of weights: progress, failures, and unpacking members of archives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from intermodal.local.weights.registry import WeightsFile

# (file, bytes done, bytes in total or 0, the source in words); called several times a second
Progress = Callable[[str, int, int, str], None]

CHUNK = 1 << 20
NEXT_SOURCE = "trying the next source"  # follows the reason of a failure that is not final


class SourceFailed(Exception):
    """One source could not provide one file; the next one may. ``reason`` is a clause for the user.

    ``unreachable``: the whole source is out of reach, not only this file; ``absent``: the file is not there;
    ``todo``: what the user can do.
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
    """A member of an archive: its name, a description of its source, and its bytes in chunks."""

    name: str
    source: str
    chunks: Iterable[bytes]


async def unpack_members(members: Sequence[ArchiveMember], file: WeightsFile, part: Path, progress: Progress) -> None:
    """Write ``part`` anew from members, one after the other, in a thread. Raises ``SourceFailed``."""
    import anyio.to_thread

    stop = threading.Event()
    try:
        await anyio.to_thread.run_sync(_write, members, file, part, progress, stop, abandon_on_cancel=True)
    finally:
        stop.set()  # a cancelled pull must not go on writing in its thread


def _write(
    members: Sequence[ArchiveMember], file: WeightsFile, part: Path, progress: Progress, stop: threading.Event
) -> None:
    try:
        with part.open("wb") as out:
            for member in members:
                for chunk in member.chunks:
                    # a member may claim any size: stop at the pinned one, not at the disk's
                    if stop.is_set() or (file.size and out.tell() + len(chunk) > file.size):
                        raise SourceFailed(f"{member.name} is larger than the {file.size:,} bytes expected")
                    out.write(chunk)
                    progress(file.name, out.tell(), file.size, f"unpacking {member.source}")
    except SourceFailed:
        part.unlink(missing_ok=True)  # unlike half a download, half an unpacked member is worth nothing
        raise

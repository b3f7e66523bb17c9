"""What the fetchers of ``hub.py`` and ``wheel.py`` share: how they say where they are and why they gave up."""

from __future__ import annotations

from collections.abc import Callable

# (file, bytes done, bytes in total or 0, the source in words). Called often: several times a second.
Progress = Callable[[str, int, int, str], None]

CHUNK = 1 << 20
NEXT_SOURCE = "trying the next source"  # how a trouble that is not the end is said


class SourceFailed(Exception):
    """One source could not give one file; the next one may. ``reason`` is a clause for the user.

    ``unreachable`` says that the whole source is out of reach, not only this file.
    """

    def __init__(self, reason: str, *, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.unreachable = unreachable


def silent(file: str, done: int, total: int, source: str) -> None:
    """The progress callback that says nothing."""

"""The calls of functions that a computation takes: a measure of its cost that no load on the machine changes."""

from __future__ import annotations

import sys
from typing import Self


class CallCount:
    """Counts calls of functions, of Python's and of C's, that this thread makes within the block."""

    def __init__(self) -> None:
        self.calls = 0

    def __enter__(self) -> Self:
        sys.setprofile(self._event)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _event(self, frame: object, event: str, argument: object) -> None:
        self.calls += event in ("call", "c_call")

"""What the caller of a direct call implements: where the bytes of its answer go."""

from __future__ import annotations

from typing import Protocol


class ClientWriter(Protocol):
    """Writes a stream to a client that may be slow."""

    @property
    def behind(self) -> bool:
        """True if the reader is slow and enough data waits for it."""
        ...

    def put(self, data: bytes) -> None:
        """Write a piece without waiting for a slow reader."""
        ...

    def last(self, data: bytes) -> None:
        """Write the last piece, and end the stream."""
        ...

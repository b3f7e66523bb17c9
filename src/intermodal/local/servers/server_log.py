"""What a server says, kept up to a size: the newest ``MAX_LOG`` bytes, and the same once more of what was before."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import IO

from intermodal.local.servers.records import MAX_LOG

STARTS = "[intermodal] starts "  # a line before what each start of a server says


def latest_start_log(path: Path) -> str:
    """What the newest start of a server said; "" where it is not there any more."""
    text = ""
    for file in (path.with_name(path.name + ".1"), path):
        try:
            text += file.read_bytes().decode(errors="replace")
        except OSError:
            continue
    _, mark, after = text.rpartition(STARTS)
    return after if mark else ""


class ServerLog:
    """One file, appended to. Full, it becomes ``NAME.log.1`` and a new one is begun."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        with self._lock:
            try:
                if self.path.exists() and self.path.stat().st_size + len(data) > MAX_LOG:
                    self.path.replace(self.path.with_name(self.path.name + ".1"))
                with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as file:
                    file.write(data[-MAX_LOG:])
            except OSError:
                pass  # a full disk must not end the server

    def follow(self, pipe: IO[bytes]) -> threading.Thread:
        """Keep what comes out of a pipe until it closes."""

        def read() -> None:
            with pipe:
                while data := os.read(pipe.fileno(), 65536):
                    self.write(data)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def last_words(self, lines: int = 3) -> str:
        """The end of it on one line, for a message."""
        try:
            text = self.path.read_bytes()[-4000:].decode(errors="replace")
        except OSError:
            return ""
        found = [line.strip() for line in text.splitlines() if line.strip()][-lines:]
        return " | ".join(found)[-400:]

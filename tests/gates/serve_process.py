"""``intermodal serve`` as a process of its own, and what the system and its own store say of it."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import httpx

from intermodal.store.database import Store

# For clients of plain HTTP: httpx loads the certificates of the system for each client without one, in 5 ms.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Served:
    """Started, and listening. ``env`` is all of its environment; None is this process's own."""

    def __init__(self, log: Path, env: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("w") as said:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "intermodal.cli.main", "serve", "--port", "0"], stderr=said, env=env
            )
        end = time.monotonic() + 300
        while "serving at" not in (line := log.read_text()):
            assert self.child.poll() is None and time.monotonic() < end, line
            time.sleep(0.02)
        self.keyed = "with keys" in line
        self.url = line.split(" at ", 1)[1].split()[0]
        self.port = int(self.url.rpartition(":")[2])

    def chat(self, key: str, **headers: str) -> httpx.Response:
        """One small call with a virtual key."""
        tree = {"model": "cloud/strong", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
        sent = {"authorization": f"Bearer {key}", **{name.replace("_", "-"): said for name, said in headers.items()}}
        return httpx.post(
            f"{self.url}/v1/chat/completions", json=tree, headers=sent, timeout=300, trust_env=False, verify=PLAIN
        )

    def end(self, number: int = signal.SIGTERM, seconds: float = 30) -> None:
        if self.child.poll() is None:
            self.child.send_signal(number)
        self.child.wait(seconds)

    # ---- what it holds

    def gauge(self, name: str) -> float:
        """A number of ``/metrics``, which counts who asks for it among ``connections``."""
        text = httpx.get(f"{self.url}/metrics", timeout=300, trust_env=False, verify=PLAIN).text
        found = re.search(rf"^intermodal_{name} (\S+)$", text, re.MULTILINE)
        assert found is not None, text
        return float(found[1])

    @property
    def active(self) -> int:
        """Requests that are being answered, but for the one that asks."""
        return int(self.gauge("active_requests")) - 1

    @property
    def memory(self) -> int:
        """Bytes resident."""
        pages = Path(f"/proc/{self.child.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @property
    def sockets(self) -> int:
        """Open ones."""
        found = 0
        for entry in Path(f"/proc/{self.child.pid}/fd").iterdir():
            with suppress(OSError):
                found += os.readlink(entry).startswith("socket:")
        return found

    def settles(self, baseline: int, seconds: float) -> bool:
        """Whether all it answers ends, and its sockets come down to so many, in so many seconds."""
        end = time.monotonic() + seconds
        while self.active or self.sockets > baseline:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True


def states(home: Path) -> Counter[str]:
    """How many attempts are in which state, by the store below this home."""
    return Counter(row.state for row in Store(home / "data" / "store.sqlite3").attempts(-1))

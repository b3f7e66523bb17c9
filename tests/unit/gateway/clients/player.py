"""A program that holds clients others wrote, and plays one case after another: starting it takes longer than a case."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from types import TracebackType
from typing import Any, Self


class Player:
    """``with Player("node", "play.mjs") as player: player.play("chat", url=...)``.

    The program reads a line of JSON for each case (``{"case": "chat", "url": ...}``) and writes one: what it ``made``,
    or how it ``failed``. It ends when its input does. It sees nothing of this process's environment but ``PATH`` and
    ``more``, so no key and no proxy of whoever runs the tests.
    """

    def __init__(self, *command: str, more: dict[str, str] | None = None) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the program runs
        self._home = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True,
            env={"PATH": os.environ.get("PATH", ""), "HOME": self._home.name, **(more or {})},
        )  # fmt: skip

    def play(self, case: str, **given: Any) -> Any:
        """What the case made. Raises AssertionError with what the client said where it failed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"case": case, **given}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._said.seek(0)
            raise AssertionError(f"{case}: the program ended; {self._said.read().decode('utf-8', 'replace')}")
        told = json.loads(line)
        if "failed" in told:
            raise AssertionError(f"{case}: {told['failed']}")
        return told["made"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._said.close()
            self._home.cleanup()

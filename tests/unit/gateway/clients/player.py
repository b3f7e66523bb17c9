"""A program that holds clients others wrote, and plays one case after another: starting it takes longer than a case."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from contextlib import suppress
from types import TracebackType
from typing import Any, Self


class Player:
    """``with Player("node", "play.mjs") as player: player.play("chat", url=...)``.

    The program reads a line of JSON for each case (``{"case": "chat", "url": ...}``) and writes one: what it ``made``,
    or how it ``failed``. It ends when its input does. It sees nothing of this process's environment but ``PATH`` and
    ``more``, so no key and no proxy of whoever runs the tests.
    """

    def __init__(self, *command: str, more: dict[str, str] | None = None) -> None:
        self._command = command
        self._more = more or {}
        self._process: subprocess.Popen[str] | None = None

    def play(self, case: str, **given: Any) -> Any:
        """What the case made. Raises AssertionError with what the client said where it failed."""
        process = self._process or self._started()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps({"case": case, **given}) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BaseException:  # it took too long: what it says next answers a case that nobody waits for
            self._end()
            raise
        if not line:
            self._said.seek(0)
            said = self._said.read().decode("utf-8", "replace")
            self._end()
            raise AssertionError(f"{case}: the program ended; {said}")
        told = json.loads(line)
        if "failed" in told:
            raise AssertionError(f"{case}: {told['failed']}")
        return told["made"]

    def _started(self) -> subprocess.Popen[str]:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the program runs
        self._home = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True,
            env={"PATH": os.environ.get("PATH", ""), "HOME": self._home.name, **self._more},
        )  # fmt: skip
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, self._said):
            assert pipe is not None
            with suppress(BrokenPipeError):  # a case that it did not read is still in it
                pipe.close()
        self._home.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        try:
            if process is not None and process.stdin is not None:
                process.stdin.close()
                process.wait(300)
        finally:
            self._end()

"""Running ``intermodal`` as a user does: its own home, stdout and stderr apart, no terminal.

The command line runs in the process of the test, which saves its start; models and readers are children as ever.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any
from unittest import mock

from intermodal.cli.main import main

ANSWERED = (0, 10, 11, 12)


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def answered(self) -> bool:
        """Whether an answer came; a small model makes values up (10), is cut (11) or repeats itself (12)."""
        return self.code in ANSWERED

    @property
    def document(self) -> dict[str, Any]:
        """stdout as the one JSON document it must be."""
        made = json.loads(self.out)
        assert isinstance(made, dict)
        assert made["version"] == 1
        return made


def intermodal(*arguments: str, stdin: bytes = b"", timeout: float = 300) -> Ran:
    """Run the command in the environment the test has (home, config and keys are the test's own).

    A process of its own is started where an event loop runs here: the command would need one, too.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _here(arguments, stdin)
    return fresh(*arguments, stdin=stdin, timeout=timeout)


def fresh(*arguments: str, stdin: bytes = b"", timeout: float = 300) -> Ran:
    """Run the command in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-m", "intermodal.cli.main", *arguments], input=stdin, capture_output=True, timeout=timeout
    )
    return Ran(ran.returncode, ran.stdout.decode(), ran.stderr.decode())


def _here(arguments: tuple[str, ...], stdin: bytes) -> Ran:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    page = {"COLUMNS": os.environ.get("COLUMNS", "80")}
    with (
        mock.patch.dict(os.environ, page),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main(list(arguments))
        except SystemExit as stop:
            code = stop.code
        else:
            code = 0
    said, told = (stream.buffer.getvalue().decode() for stream in (out, err))
    return Ran(code if isinstance(code, int) else 1, said, told)

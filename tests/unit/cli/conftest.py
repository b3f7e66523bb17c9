"""How these tests call the command line: through ``main``, as a shell does, in this process."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.e2e.command import ANSWERED

from intermodal.cli.main import main
from intermodal.config.config_file import cache_dir


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def answered(self) -> bool:
        """Whether an answer came, whatever was said of it (docs/exit-codes.md)."""
        return self.code in ANSWERED

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        loaded: dict[str, Any] = json.loads(self.out)
        return loaded


Cli = Callable[..., Done]


class Piped(io.TextIOWrapper):
    """Standard input as a pipe (or, for guided verbs, as a terminal)."""

    def __init__(self, data: bytes, terminal: bool) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    def run(*arguments: str, input: str | bytes = b"", terminal: bool = False) -> Done:
        data = input.encode() if isinstance(input, str) else input
        monkeypatch.setattr(sys, "stdin", Piped(data, terminal))
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
        with pytest.raises(SystemExit) as stopped:
            main(list(arguments))
        said = capsys.readouterr()
        code = stopped.value.code
        return Done(code if isinstance(code, int) else 1, said.out, said.err)

    return run


@pytest.fixture
def own_weights(own_home: Path) -> Path:
    """An empty folder of weights, in place of those that are linked in."""
    folder = cache_dir(os.environ) / "weights"
    folder.unlink()
    folder.mkdir()
    return folder

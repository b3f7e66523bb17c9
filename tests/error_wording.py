"""Every error that is made while tests run is read as Python reads it: no option of a command line is in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from intermodal import errors

_OPTION = re.compile(r"(?<![\w-])--[a-z]")
# What others said stands in quotes; a command is named whole, with its options, wherever it is read.
_ASIDE = re.compile(r'"[^"]*"|(?:intermodal|pip install|vllm|llama-server) [^;,()]*|pull --list')


@pytest.fixture(autouse=True)
def errors_in_words_of_python(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a test in which an error is made that names an option of the command line."""
    wrong = set[str]()  # texts, and those alone: a test looks for whatever grows with requests
    real = errors.IntermodalError.__init__

    def watched(self: errors.IntermodalError, what: str, **more: Any) -> None:
        real(self, what, **more)
        wrong.update(text for text in (str(self), *self.reasons) if _OPTION.search(_ASIDE.sub("", text)))

    monkeypatch.setattr(errors.IntermodalError, "__init__", watched)
    yield
    assert not wrong, f"write settings with intermodal.core.hints: {wrong}"

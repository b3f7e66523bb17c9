"""The host that misbehaves on demand, and the bench that runs are made on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.error_wording import errors_in_words_of_python as errors_in_words_of_python
from tests.unit.executor.routes import Bench

from intermodal.executor import background_stream
from intermodal.testing import FakeHost


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clean-up is waited for however slow the machine is; whoever waits for more than that is seen to hang."""
    monkeypatch.setattr(background_stream, "CLEAN_UP", 60.0)


@pytest.fixture
def host() -> Iterator[FakeHost]:
    with FakeHost(answer="The caller wants 42 apples.") as fake:
        yield fake


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)

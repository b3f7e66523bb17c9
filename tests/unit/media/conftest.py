"""A loopback host to which the words of a file are sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from intermodal.testing import FakeHost


@pytest.fixture
def host() -> Iterator[FakeHost]:
    with FakeHost(answer="noted") as fake:
        yield fake

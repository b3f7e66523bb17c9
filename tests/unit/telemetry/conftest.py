"""A collector to tell, and a fake host to ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.telemetry.collector import Collector

from intermodal.testing import FakeHost


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as found:
        yield found


@pytest.fixture
def host() -> Iterator[FakeHost]:
    with FakeHost(answer="the hosted answer") as fake:
        yield fake

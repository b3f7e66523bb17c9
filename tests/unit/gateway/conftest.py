"""One fake host and one gateway before it, for most tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.gateway.house import SEEING, STRONG, VECTORS, House, config

from intermodal.testing import FakeHost

POLICIES = """
[policies.cheap]
objective = "cheapest"
max_cost = 0.01
[policies.home]
farthest = "machine"
[policies.once]
pay_twice = false
model = "cloud/strong"
[serve.aliases]
gpt-4o = "cloud/strong"
"""


@pytest.fixture
def host() -> Iterator[FakeHost]:
    with FakeHost(answer="the hosted answer") as fake:
        yield fake


@pytest.fixture
def configured(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = config(
        tmp_path / "intermodal.toml", ("cloud", host.base_url, f"{STRONG}\n{SEEING}\n{VECTORS}"), more=POLICIES
    )
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    return path


@pytest.fixture
def house(configured: Path) -> Iterator[House]:
    with House() as served:
        yield served

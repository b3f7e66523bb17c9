"""One fake host and one gateway before it, for most tests here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.error_wording import errors_in_words_of_python as errors_in_words_of_python
from tests.unit.gateway.gateway_server import (
    SEEING,
    STRONG,
    VECTORS,
    VENDOR,
    VENDOR_SAID,
    Before,
    GatewayServer,
    config,
)

from intermodal.testing import FakeHost, FakeVendor

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


@pytest.fixture(params=["in a task", "without one"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the direct path passes on, with a task for each and without."""
    monkeypatch.setattr(GatewayServer, "taskless", request.param == "without one")


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
def before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Before]:
    """A gateway before a vendor of a protocol."""
    with ExitStack() as stack:

        def served(protocol: Any) -> tuple[GatewayServer, FakeVendor]:
            vendor = stack.enter_context(FakeVendor(protocol, VENDOR_SAID, key="secret"))
            path = tmp_path / "intermodal.toml"
            path.write_text(VENDOR.format(url=vendor.base_url, protocol=protocol))
            monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
            monkeypatch.setenv("VENDOR_KEY", "secret")
            return stack.enter_context(GatewayServer()), vendor

        yield served


@pytest.fixture
def house(configured: Path) -> Iterator[GatewayServer]:
    with GatewayServer() as served:
        yield served

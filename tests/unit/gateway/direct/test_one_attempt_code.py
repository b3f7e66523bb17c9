"""A plan that is one call is made by one attempt's code, whether the library, the command line or a client asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.unit.gateway.gateway_server import GatewayServer, until

from intermodal.cli.main import app
from intermodal.client.sync_client import Client
from intermodal.errors import IntermodalError
from intermodal.executor.attempt.accounting import AttemptAccount
from intermodal.telemetry.request_record import RequestRecord
from intermodal.testing import FakeHost, Fault

QUESTION, MODEL = "hello", "cloud/strong"
Told = list[Any]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What the account of each attempt is told, in order, and what it says of the end."""
    found: Told = []

    def noted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def note(self: AttemptAccount, *given: Any, **more: Any) -> Any:
            made = method(self, *given, **more)
            found.append(
                name if made is None else (name, made.charge.state, made.charge.maybe_paid, made.outcome.error)
            )
            return made

        return note

    for name in ("__init__", "sending", "first_word", "end", "fail", "cancel"):
        monkeypatch.setattr(AttemptAccount, name, noted(name, getattr(AttemptAccount, name)))
    return found


def once(told: Told) -> Told:
    """The same without repetitions: a run says that it is sending before its row is written, and after."""
    found = [each for each, _ in groupby(told)]
    told.clear()
    return found


def library() -> None:
    with Client() as client:
        assert client.ask(QUESTION, model=MODEL).text


def command_line() -> None:
    found = CliRunner().invoke(app, ["ask", QUESTION, "--model", MODEL])
    if found.exception is not None:
        raise found.exception


def gateway() -> None:
    records: list[RequestRecord] = []
    with GatewayServer(before=lambda gateway: setattr(gateway, "tell", records.append)) as house:
        house.chat(QUESTION, model=MODEL, stream=True)
        house.until_written()
        until(lambda: records)
    assert records[0].not_direct in ("", "its call failed")  # the first attempt was that of the direct path


@pytest.mark.parametrize(
    ("fault", "ends"),
    [
        (None, [("end", "settled", True, "")]),
        (Fault("wrong"), [("fail", "void", False, "call")]),
        (Fault("unavailable", times=1), [("fail", "void", False, "overloaded"), ("end", "settled", True, "")]),
        (Fault("cut", 2), [("fail", "estimated", True, "stream_cut")]),
    ],
    ids=["answer", "refused", "again", "cut"],
)
def test_an_attempt_is_the_same_through_every_entry_point(
    host: FakeHost, configured: Path, told: Told, fault: Fault | None, ends: Told
) -> None:
    seen: dict[str, Told] = {}
    for place, door in enumerate((library, command_line, gateway)):
        # Hits are counted from the first door on, each of which asks twice where the first time fails.
        host.fault = fault if fault is None or fault.times is None else replace(fault, times=2 * place + 1)
        try:
            door()
        except (IntermodalError, SystemExit):
            assert fault is not None and fault.times is None
        seen[door.__name__] = once(told)
    assert [each for each in seen["library"] if isinstance(each, tuple)] == ends
    assert seen["library"] == seen["command_line"] == seen["gateway"]

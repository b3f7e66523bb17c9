"""A direct call needs a compiled plan and a sink, and nothing of a gateway."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from intermodal.client.async_client import AsyncClient
from intermodal.client.request_builder import make_request
from intermodal.core.content import ToolCall
from intermodal.executor.api import (
    ADAPTERS,
    CallReport,
    CompiledPlan,
    DirectAttempt,
    DirectEngine,
    HostAccess,
    ShortenedCall,
    Unanswered,
    compile_plan,
)
from intermodal.media.text.script_counts import count_scripts
from intermodal.protocols.framing.inline_media import extract_media
from intermodal.protocols.parsed_chat import ParsedChat, TextSizes
from intermodal.testing import FakeHost, Fault
from intermodal.transport.timeouts import Timeouts

pytestmark = pytest.mark.anyio


class Sizes:
    def sizes_of(self, text: str) -> TextSizes:
        return TextSizes((len(text),), len(text), count_scripts(text), len(text.encode()))

    def question(self, text: str, *, pictured: bool) -> tuple[object, ...]:
        return ()


@dataclass
class Bytes:
    """A client that takes everything at once."""

    status: int = 0
    ended: bool = False
    disconnected: bool = False
    is_reader_behind: bool = False
    data: bytes = b""

    def when_caught_up(self, do: Callable[[], None] | None) -> None: ...

    def write_unbuffered(self, data: bytes) -> None:
        self.data += data

    def write_last(self, data: bytes) -> None:
        self.data, self.ended = self.data + data, True


@dataclass
class Sink:
    """A ``DirectSink`` that keeps what it is told."""

    writer: Bytes = field(default_factory=Bytes)
    told: list[str] = field(default_factory=list)
    report: CallReport | None = None

    def admit_now(self) -> bool:
        return True

    async def admit(self) -> ShortenedCall | None:
        self.told.append("admit")
        return None

    def confirm_admission(self) -> None: ...

    def release(self) -> None: ...

    def abandon(self, failure: Unanswered) -> None: ...

    def record_plan(self) -> None:
        self.told.append("planned")

    def wait(self) -> None: ...

    def begin(self) -> None:
        self.writer.status = 200
        self.told.append("begin")

    def metadata(self, cost: float | None, seconds: float, notes: Sequence[str], unreported: tuple[str, ...]) -> bytes:
        return json.dumps({"cost": cost}).encode()

    def write_whole(self, body: bytes, cost: float | None) -> None:
        self.writer.status = 200
        self.writer.write_last(body)

    def record_end(self, report: CallReport) -> None:
        self.report = report

    def store_turn(self, text: str, calls: tuple[ToolCall, ...], items: Sequence[Mapping[str, Any]]) -> None:
        self.told.append(f"answered {text}")

    def fail(self, error: Exception) -> None:
        raise error

    def break_off(self, error: BaseException) -> None:
        self.told.append(f"broken {type(error).__name__}")

    def interruption(self) -> BaseException:
        return RuntimeError("it stops")

    def end_cancelled(self) -> None: ...

    def continue_after(self, failure: Unanswered | None) -> None: ...

    def close(self) -> None:
        self.told.append("close")


class Caller(AsyncClient):
    """A client that makes direct calls."""

    moment = "2026-11-30T10:00"

    def __init__(self) -> None:
        super().__init__()
        self.upstreams = self._upstreams


Called = tuple[Sink, Unanswered | None, list[Any]]


@pytest.fixture
def folder(tmp_path: Path, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "intermodal.toml"
    path.write_text(
        f'[hosts.cloud]\nbase_url = "{host.base_url}"\nzone = "internet"\n[[hosts.cloud.models]]\nid = "cloud/strong"\n'
        'context = 32_000\ntier = "large"\ninput = ["text"]\ninput_mtok = 0.1\noutput_mtok = 0.4\n'
    )
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))


async def compiled(caller: Caller, *, stream: bool) -> tuple[ParsedChat, CompiledPlan]:
    prepared = await caller.prepare(make_request("Well?", model="cloud/strong", max_tokens=50))
    plan = await caller.plan(prepared.inputs.request)
    assert plan.not_direct == ""
    adapter = ADAPTERS["openai_chat.server"]
    tree = {"model": "mine", "messages": [{"role": "user", "content": "Well?"}], "max_tokens": 50, "stream": stream}
    chat = adapter.chat_of(extract_media(json.dumps(tree).encode()), "", Sizes())
    assert chat is not None
    made = compile_plan(chat, prepared.inputs, plan, adapter, HostAccess("", (), Timeouts(), proxies=False))
    assert isinstance(made, CompiledPlan), made
    return chat, made


async def call(*, stream: bool) -> Called:
    """The sink of one call, how it failed, and the rows that it left."""
    async with Caller() as caller:
        chat, plan = await compiled(caller, stream=stream)
        engine, sink = DirectEngine(caller), Sink()
        failure = await DirectAttempt(engine, chat, plan, sink).go()
        await engine.close()
        assert sink.told[-1] == "close"
        return sink, failure, list(caller.store.attempts(-1))


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_is_passed_on_charged_and_written(folder: None, host: FakeHost, stream: bool) -> None:
    sink, failure, (row,) = await call(stream=stream)
    assert failure is None and sink.writer.ended and b"apples" in sink.writer.data
    assert b'"mine"' in sink.writer.data and b"strong" not in sink.writer.data  # the client's name of the model
    assert sink.report is not None and (sink.report.how, sink.report.code) == ("answered", "")
    assert sink.told == ["admit", "planned", *["begin"] * stream, f"answered {host.answer}", "close"]
    assert (row.state, row.reservation.endpoint) == ("settled", "cloud:cloud/strong")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_before_the_first_word_is_left_to_a_run(folder: None, host: FakeHost, stream: bool) -> None:
    host.fault = Fault("unavailable")
    sink, failure, (row,) = await call(stream=stream)
    assert failure is not None and failure.prior is not None and failure.why == "its call failed"
    assert failure.prior.error is not None and failure.prior.error.code == "overloaded"
    assert (sink.writer.status, sink.writer.data, sink.report) == (0, b"", None)  # its reservation goes on with it
    assert (row.state, row.outcome.error) == ("void", "overloaded")


async def test_a_stream_that_breaks_ends_with_its_error_and_is_charged(folder: None, host: FakeHost) -> None:
    host.fault = Fault("cut", 2)
    sink, failure, (row,) = await call(stream=True)
    assert failure is None and sink.writer.ended and b'"error"' in sink.writer.data
    assert sink.told == ["admit", "planned", "begin", "broken StreamCut", "close"]
    assert sink.report is not None and (sink.report.how, sink.report.code) == ("failed", "stream_cut")
    assert row.state == "estimated"

"""When a collector is told anything: in a program where its config says so, in a gateway also where variables do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.gateway.gateway_server import STRONG, config
from tests.unit.telemetry.collector import Collector

from intermodal import make_request
from intermodal.client.async_client import AsyncClient
from intermodal.config.tables import TelemetryTable
from intermodal.errors import CallError, ConfigError, NotInstalled
from intermodal.events import AttemptFailed, Usage
from intermodal.gateway.server_client import ServerClient
from intermodal.telemetry.activation import is_enabled, start_telemetry
from intermodal.telemetry.request_record import ModelCall, RequestRecord
from intermodal.telemetry.signals import RequestSpan
from intermodal.testing import FakeHost, Fault


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


OTHER = "OTEL_EXPORTER_OTLP_ENDPOINT"


def use(monkeypatch: pytest.MonkeyPatch, folder: Path, host: FakeHost, more: str = "") -> None:
    path = config(folder / "intermodal.toml", ("cloud", host.base_url, STRONG), more=more)
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_program_tells_of_its_runs_where_its_config_says_so(
    collector: Collector, host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, tmp_path, host, f'[telemetry]\nendpoint = "{collector.url}"\nservice = "mine"\n')
    async with AsyncClient() as client:
        await client.run(make_request("hello", model="cloud/strong"))
        host.fault = Fault("key")
        with pytest.raises(CallError):
            await client.run(make_request("hello", model="cloud/strong"))
    good, bad = [span for span in collector.spans if span.name == "run"]
    assert (good.kind, good.parent, good.failed) == ("internal", "", False)
    assert good.about["intermodal.route"] == "cloud:cloud/strong"
    assert bad.failed and bad.about["error.type"] == "credentials_refused"
    steps = {span.parent: span for span in collector.spans if span.name == "chat cloud/strong"}
    assert set(steps) == {good.id, bad.id}
    assert steps[bad.id].failed and not steps[good.id].failed
    assert collector.resource["service.name"] == "mine"


@pytest.mark.anyio
async def test_variables_alone_make_no_program_tell_anything(
    collector: Collector, host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be meant for the program that this is a part of."""
    use(monkeypatch, tmp_path, host)
    monkeypatch.setenv(OTHER, collector.url)
    async with AsyncClient() as client:
        await client.run(make_request("hello", model="cloud/strong"))
        assert client.telemetry is None
    assert not collector.bodies


@pytest.mark.parametrize(
    ("said", "env", "is_wanted"),
    [
        ({}, {}, False),
        ({}, {OTHER: "http://collector:4318"}, True),
        ({}, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({}, {OTHER: " "}, False),
        ({"endpoint": "http://collector:4318"}, {}, True),
        ({"endpoint": "http://collector:4318", "enabled": False}, {OTHER: "http://collector:4318"}, False),
        ({"enabled": True}, {}, True),
        ({"enabled": True}, {"OTEL_SDK_DISABLED": "TRUE"}, False),
        ({}, {OTHER: "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_configuration_and_environment_turn_telemetry_on_and_off(
    said: dict[str, object], env: dict[str, str], is_wanted: bool
) -> None:
    assert is_enabled(TelemetryTable(**said), env) is is_wanted  # type: ignore[arg-type]


def test_another_protocol_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="only http/protobuf is spoken"):
        start_telemetry(TelemetryTable(), {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})


def test_without_opentelemetry_a_wish_is_an_error_and_a_variable_a_remark(
    tmp_path: Path, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "intermodal.telemetry.otlp_export", None)
    use(monkeypatch, tmp_path, host, "[telemetry]\nenabled = true\n")
    with pytest.raises(NotInstalled, match=r"intermodal\[otel\]"):
        _ = ServerClient().telemetry
    use(monkeypatch, tmp_path, host)
    monkeypatch.setenv(OTHER, "http://127.0.0.1:9")
    client = ServerClient()
    assert client.telemetry is None
    assert "intermodal[otel]" in client.remarks[0]


@pytest.mark.slow
def test_nobody_loads_opentelemetry_who_did_not_ask_for_it() -> None:
    code = "import sys, intermodal.client.async_client, intermodal.gateway.server\n"
    code += "import intermodal.gateway.process.request_log\n"
    code += "from intermodal.gateway.server_client import ServerClient\nassert ServerClient().telemetry is None\n"
    code += "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.anyio
async def test_whoever_answers_without_the_executor_tells_the_same(
    collector: Collector, host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan, then each attempt: that makes the log's figures, spans and measures."""
    use(monkeypatch, tmp_path, host, f'[telemetry]\nendpoint = "{collector.url}"\n')
    async with ServerClient() as client:
        assert client.telemetry is not None
        plan = await client.plan(make_request("hello", model="cloud/strong"))
        endpoint = client.catalog.by_id["cloud:cloud/strong"]
        served = RequestRecord(
            method="POST", path="/v1/chat/completions", route="/v1/chat/completions", model="cloud/strong"
        )
        served.span = RequestSpan(client.telemetry, served, {})
        served.record_plan(plan, live=True)
        again = AttemptFailed(step="s", endpoint=endpoint.id, code="overloaded", reason="", seconds=0.1, delay=0.2)
        served.record_call(ModelCall(endpoint=endpoint, seconds=0.1, error="unreachable"))
        served.record_call(
            ModelCall(
                endpoint=endpoint, seconds=0.5, first=0.4, usage=Usage(input_tokens=7, output_tokens=9), cost=0.002,
                finish_reason="length", model="strong-2026-11", failures=(again,),
            )
        )  # fmt: skip
        served.record_end(200, 123, whole=True)
    assert (served.attempts, served.input_tokens, served.output_tokens, served.cost) == (3, 7, 9, 0.002)
    assert served.endpoint == "cloud:cloud/strong" and served.first is not None
    failed, answered = [span for span in collector.spans if span.name == "chat cloud/strong"]
    assert failed.failed and failed.about["error.type"] == "unreachable"
    assert answered.about["gen_ai.response.model"] == "strong-2026-11"
    assert answered.about["gen_ai.response.finish_reasons"] == ["length"]
    assert answered.about["gen_ai.response.time_to_first_chunk"] == 0.4
    assert answered.seconds == pytest.approx(0.5, abs=0.001)
    assert [name for name, _ in answered.events] == ["intermodal.attempt_failed"]
    request = collector.named("POST /v1/chat/completions")
    assert {failed.parent, answered.parent} == {request.id}
    assert request.about["intermodal.cost"] == 0.002
    assert collector.points["gen_ai.server.time_to_first_token"][0].count == 1


EMBEDDING = """
import asyncio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

kept = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(provider)

async def main():
    from intermodal import AsyncClient, make_request
    with trace.get_tracer("program").start_as_current_span("theirs"):
        async with AsyncClient() as client:
            await client.run(make_request("hello", model="cloud/strong"))

asyncio.run(main())
names = {span.context.span_id: span.name for span in kept.get_finished_spans()}
for span in kept.get_finished_spans():
    print(names.get(span.parent.span_id) if span.parent else None, "->", span.name)
with trace.get_tracer("program").start_as_current_span("afterwards"):
    pass
assert kept.get_finished_spans()[-1].name == "afterwards", "their provider was shut down"
"""


@pytest.mark.slow
def test_a_program_with_opentelemetry_of_its_own_gets_the_spans_below_its_own(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, tmp_path, host, "[telemetry]\nenabled = true\n")
    done = subprocess.run(
        [sys.executable, "-c", EMBEDDING], capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["run -> chat cloud/strong", "theirs -> run", "None -> theirs"]

"""What a gateway tells a collector: a span a request, one below it for each step, measures; never content or a key."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.unit.gateway.apis.test_streams import leave
from tests.unit.gateway.gateway_server import SEEING, STRONG, GatewayServer, config, until
from tests.unit.telemetry.collector import Collector, Seen

from intermodal.gateway.quotas.authentication import digest, new_secret
from intermodal.gateway.quotas.quota_types import VirtualKey
from intermodal.gateway.quotas.sqlite_store import FILE, SqliteQuotaStore
from intermodal.telemetry import signals
from intermodal.testing import FakeHost, Fault

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
DOOR = "POST /v1/chat/completions"


@pytest.fixture
def configured(host: FakeHost, collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    more = f'[telemetry]\nendpoint = "{collector.url}"\n'
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, f"{STRONG}\n{SEEING}"), more=more)
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    return path


def below(collector: Collector, span: Seen) -> list[Seen]:
    return [each for each in collector.spans if each.parent == span.id]


def test_a_request_is_a_span_with_a_step_below_it(configured: Path, collector: Collector, host: FakeHost) -> None:
    host.cached = 1
    with GatewayServer() as house:
        found = house.chat()
    assert found.status_code == 200
    request = collector.named(DOOR)
    assert (request.kind, request.parent, request.failed) == ("server", "", False)
    assert request.about["http.request.method"] == "POST"
    assert request.about["url.path"] == request.about["http.route"] == "/v1/chat/completions"
    assert request.about["http.response.status_code"] == 200
    assert request.about["intermodal.request.id"] == found.headers["x-request-id"]
    assert request.about["intermodal.plan.id"] == found.headers["x-intermodal-plan"]
    assert request.about["intermodal.sends"] == ["cloud"]
    assert "error.type" not in request.about
    (step,) = below(collector, request)
    assert (step.name, step.kind, step.trace) == ("chat cloud/strong", "client", request.trace)
    assert step.about["gen_ai.operation.name"] == "chat"
    assert step.about["gen_ai.provider.name"] == "cloud"
    assert step.about["gen_ai.request.model"] == "cloud/strong"
    assert step.about["gen_ai.usage.input_tokens"] == found.json()["usage"]["prompt_tokens"]
    assert step.about["gen_ai.usage.output_tokens"] == found.json()["usage"]["completion_tokens"]
    assert step.about["gen_ai.usage.cache_read.input_tokens"] == 1
    assert step.about["gen_ai.response.finish_reasons"] == ["stop"]
    assert step.about["server.address"] == "127.0.0.1"
    assert step.about["server.port"] == int(host.base_url.rpartition(":")[2].partition("/")[0])
    assert step.about["intermodal.step.op"] == "generate"
    assert step.about["intermodal.attempts"] == 1
    assert step.about["intermodal.cost"] == pytest.approx(float(found.headers["x-intermodal-cost"]))
    assert request.began <= step.began and step.seconds <= request.seconds
    assert collector.resource["service.name"] == "intermodal"


def test_the_clients_trace_goes_on(configured: Path, collector: Collector) -> None:
    with GatewayServer() as house:
        house.chat(headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    request = collector.named(DOOR)
    assert (request.trace, request.parent) == (TRACE, PARENT)
    assert {span.trace for span in collector.spans} == {TRACE}


def test_a_trace_that_the_client_does_not_sample_is_not_told(configured: Path, collector: Collector) -> None:
    with GatewayServer() as house:
        house.chat(headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    assert not collector.spans
    assert collector.points["http.server.request.duration"]


@pytest.mark.parametrize("broken", ["", "00-xyz-1-01", f"00-{'0' * 32}-{PARENT}-01", "00-" + "a" * 5000])
def test_a_parent_that_is_none_begins_a_new_trace(configured: Path, collector: Collector, broken: str) -> None:
    with GatewayServer() as house:
        assert house.chat(headers={"traceparent": broken}).status_code == 200
    assert collector.named(DOOR).parent == ""


def test_a_failed_attempt_that_no_run_goes_on_from_is_a_span_of_its_own(
    configured: Path, collector: Collector, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client left while the run was planned."""
    planning = threading.Event()

    async def plan(*args: object, **more: object) -> None:
        planning.set()
        await asyncio.sleep(30)

    monkeypatch.setattr("intermodal.gateway.endpoints.chat.plan_request", plan)
    host.fault = Fault("overloaded")
    with GatewayServer() as house:
        with socket.create_connection(("127.0.0.1", house.gateway.port)) as line:
            body = json.dumps({"model": "cloud/strong", "messages": [{"role": "user", "content": "hello"}]}).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n"
            line.sendall(f"{head}content-type: application/json\r\n\r\n".encode() + body)
            assert planning.wait(300)
        until(lambda: not house.gateway.active)
    request = collector.named(DOOR)
    assert request.about["error.type"] == "client_left"
    (attempt,) = below(collector, request)
    assert (attempt.name, attempt.failed, attempt.about["error.type"]) == ("chat cloud/strong", True, "overloaded")
    assert attempt.about["intermodal.attempts"] == request.about["intermodal.attempts"] == 1


def test_attempts_that_failed_are_events_of_their_step(configured: Path, collector: Collector, host: FakeHost) -> None:
    with GatewayServer() as house:
        host.fault = Fault("overloaded")
        assert house.chat().status_code == 503
    request = collector.named(DOOR)
    assert request.failed and request.about["error.type"] == "overloaded"
    assert request.about["http.response.status_code"] == 503
    (step,) = below(collector, request)
    assert step.failed and step.about["error.type"] == "overloaded"
    assert step.about["intermodal.attempts"] == len(host.attempts)
    assert [name for name, _ in step.events] == ["intermodal.attempt_failed"] * (len(host.attempts) - 1)
    for _, about in step.events:
        assert about["error.type"] == "overloaded" and about["intermodal.charged"] == "no"
    (failed,) = collector.points["gen_ai.client.operation.duration"]
    assert failed.about["error.type"] == "overloaded"


def test_a_mistake_of_the_client_is_no_error_of_the_server(configured: Path, collector: Collector) -> None:
    with GatewayServer() as house:
        assert house.chat(model="no/such").status_code == 404
        assert house.raw(b"POST /nowhere HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n").startswith(
            b"HTTP/1.1 404"
        )
    request = collector.named(DOOR)
    assert not request.failed and "error.type" not in request.about
    assert request.about["intermodal.error"] == "unknown_model"
    assert collector.named("POST").about["http.response.status_code"] == 404  # of no door: its path is no name
    assert "gen_ai.server.request.duration" not in collector.points


def test_a_stream_that_breaks_is_a_failed_request_with_status_200(
    configured: Path, collector: Collector, host: FakeHost
) -> None:
    with GatewayServer() as house:
        host.fault = Fault("cut", 2)
        assert house.chat(stream=True).status_code == 200
    request = collector.named(DOOR)
    assert request.failed and request.about["http.response.status_code"] == 200
    assert request.about["error.type"] == "stream_cut"


def test_measures_are_those_of_the_conventions(configured: Path, collector: Collector) -> None:
    with GatewayServer() as house:
        house.chat()
        house.chat(stream=True)
    for measure in signals.MEASURES:
        points = collector.points[measure.name]
        assert collector.units[measure.name] == measure.unit
        assert {point.buckets for point in points} == {tuple(map(float, measure.buckets))}, measure.name
    tokens = {point.about["gen_ai.token.type"]: point for point in collector.points["gen_ai.client.token.usage"]}
    assert {kind: (point.count, point.sum) for kind, point in tokens.items()} == {"input": (2, 2), "output": (2, 6)}
    for name in ("gen_ai.server.time_to_first_token", "gen_ai.client.operation.time_to_first_chunk"):
        (streamed,) = collector.points[name]  # the answer that came whole had no first word
        assert streamed.count == 1
    (answered,) = collector.points["gen_ai.server.request.duration"]
    assert answered.about["gen_ai.provider.name"] == "intermodal"
    assert answered.about["gen_ai.response.model"] == "cloud:cloud/strong"
    assert collector.points[signals.COST][0].sum > 0


def picture() -> bytes:
    made = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(made, "PNG")
    return made.getvalue()


def a_key(home: Path, name: str, **more: Any) -> str:
    """A key of the gateway that is there from now on; its secret."""
    (home / "data").mkdir(exist_ok=True)
    secret = new_secret()
    quota_store = SqliteQuotaStore(home / "data" / FILE)
    quota_store.add(VirtualKey(id=f"k-{name}", name=name, digest=digest(secret), start=secret[:9], **more))
    quota_store.close()
    return secret


def canary(house: GatewayServer, key: str, data: bytes) -> tuple[int, str]:
    """A request with a key, words and an image, none of which may be told; its status and the words of all headers."""
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    parts = [{"type": "text", "text": "canary-of-the-prompt"}, {"type": "image_url", "image_url": {"url": url}}]
    tree = {"model": "cloud/seeing", "messages": [{"role": "user", "content": parts}]}
    headers = {"authorization": f"Bearer {key}", "x-canary": "canary-of-a-header", "cookie": "canary-of-a-cookie"}
    found = house.http.post("/v1/chat/completions?canary=of-the-query", json=tree, headers=headers)
    return found.status_code, found.text


@pytest.mark.slow
def test_no_key_no_words_and_no_media_are_told(
    configured: Path, collector: Collector, host: FakeHost, own_home: Path
) -> None:
    """Searched for in every byte that was sent, on a way that works, one that fails, and one that is turned away."""
    data = picture()
    host.answer = "canary-of-the-answer"
    secret = a_key(own_home, "app")
    with GatewayServer() as house:
        assert canary(house, secret, data)[0] == 200
        assert canary(house, f"im-{'canary' * 5}", data)[0] == 401
        host.fault = Fault("policy")
        assert canary(house, secret, data)[0] == 400
        host.fault = None
    told = collector.everything
    assert len(collector.spans) >= 5
    assert b"canary" not in told
    assert secret.encode() not in told and secret[9:].encode() not in told
    encoded = base64.b64encode(data)
    assert not any(encoded[at : at + 24] in told for at in range(0, len(encoded) - 24, 8))
    assert data[64:96] not in told
    digest = hashlib.sha256(data).hexdigest()
    requests = [span for span in collector.spans if span.kind == "server"]
    taken = [span for span in requests if span.about["http.response.status_code"] != 401]
    assert [span.about.get("intermodal.media") for span in taken] == [[f"image sha256:{digest}"]] * 2
    assert any(span.about.get("intermodal.key.id") for span in requests)


@pytest.mark.slow
def test_content_is_told_to_whoever_asks_for_it_and_media_are_not(
    configured: Path, collector: Collector, host: FakeHost
) -> None:
    configured.write_text(configured.read_text().replace("[telemetry]\n", "[telemetry]\ncontent = true\n"))
    data = picture()
    with GatewayServer() as house:
        assert canary(house, "any", data)[0] == 200
    step = next(span for span in collector.spans if span.kind == "client")
    asked: list[dict[str, Any]] = json.loads(step.about["gen_ai.input.messages"])
    answered: list[dict[str, Any]] = json.loads(step.about["gen_ai.output.messages"])
    text, file = asked[0]["parts"]
    assert text == {"type": "text", "content": "canary-of-the-prompt"}
    assert (file["type"], file["modality"], file["mime_type"]) == ("file", "image", "image/png")
    assert file["file_id"].startswith("sha256:")
    assert answered[0]["parts"] == [{"type": "text", "content": "the hosted answer"}]
    assert answered[0]["finish_reason"] == "stop"
    assert base64.b64encode(data)[:24] not in collector.everything


def test_a_collector_that_stalls_holds_nobody_up(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests go on while it takes no answer, and the gateway ends all the same."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    with Collector(stalled=True) as collector:
        more = f'[telemetry]\nendpoint = "{collector.url}"\n'
        path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, STRONG), more=more)
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        monkeypatch.setattr("intermodal.client.resources._EXPORT_SECONDS", 0.2)
        with GatewayServer() as house:
            assert [house.chat().status_code for _ in range(5)] == [200] * 5
        assert not collector.spans


def test_the_variables_of_opentelemetry_switch_it_on(
    host: FakeHost, collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, STRONG))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=mine")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "house-gateway")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    with GatewayServer() as house:
        house.chat()
    assert collector.named(DOOR)
    assert collector.resource["service.name"] == "house-gateway"
    assert {head["x-tenant"] for head in collector.headers} == {"mine"}
    before = len(collector.bodies)
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with GatewayServer() as house:
        house.chat()
        assert house.gateway.telemetry is None
    assert len(collector.bodies) == before


def test_texts_that_are_embedded_are_steps_of_one_request(
    host: FakeHost, collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = 'id = "cloud/vectors"; tasks = ["feature-extraction"]; input_mtok = 0.02; tier = "large"; input = ["text"]'
    more = f'[telemetry]\nendpoint = "{collector.url}"\n'
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, row), more=more)
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    with GatewayServer() as house:
        found = house.post("/v1/embeddings", {"model": "cloud/vectors", "input": ["one", "two", "three"]})
        assert found.status_code == 200, found.text
    request = collector.named("POST /v1/embeddings")
    steps = below(collector, request)
    assert [step.name for step in steps] == ["embeddings cloud/vectors"] * 3
    assert request.about["intermodal.attempts"] == 3
    assert request.about["intermodal.cost"] == pytest.approx(sum(step.about["intermodal.cost"] for step in steps))


@pytest.mark.slow
def test_a_bridge_is_a_step_like_any_other(configured: Path, collector: Collector) -> None:
    """A PDF goes to a model of text: it is taken apart here, which is a step without a model."""
    from reportlab.pdfgen import canvas

    made = io.BytesIO()
    page = canvas.Canvas(made)
    page.drawString(72, 700, "The total due is EUR 12.")
    page.save()
    data = "data:application/pdf;base64," + base64.b64encode(made.getvalue()).decode()
    parts = [
        {"type": "text", "text": "What is due?"},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": data}},
    ]
    with GatewayServer() as house:
        found = house.chat(parts)
        assert found.status_code == 200, found.text
    request = collector.named(DOOR)
    steps = {step.about["intermodal.step.op"]: step for step in below(collector, request)}
    assert set(steps) == {"extract", "generate"}
    assert (steps["extract"].kind, steps["extract"].name) == ("internal", "extract")
    assert "gen_ai.operation.name" not in steps["extract"].about
    assert request.about["intermodal.loses"]
    assert b"a.pdf" not in collector.everything


def test_a_client_that_leaves_is_told_of_too(configured: Path, collector: Collector, host: FakeHost) -> None:
    host.fault = Fault("silent")
    with GatewayServer() as house:
        tree = {"model": "cloud/strong", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
        leave(house, tree, host=host)  # once the host was asked
        until(lambda: host.attempts[0].client_left is not None)
    request = collector.named(DOOR)
    assert request.failed and request.about["error.type"] == "client_left"
    (step,) = below(collector, request)
    assert step.failed and step.about["error.type"] == "cancelled"


def test_a_fallback_is_a_step_of_its_own(
    host: FakeHost, collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who failed, and who answered instead, in the order in which they were asked."""
    with FakeHost(answer="the other answer") as other:
        more = f'[telemetry]\nendpoint = "{collector.url}"\n'
        rows = ("cloud", host.base_url, STRONG), ("spare", other.base_url, STRONG.replace("cloud/", "spare/"))
        path = config(tmp_path / "intermodal.toml", *rows, more=more)
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer() as house:
            for fake in (host, other):
                fake.fault = Fault("key")
                asked = house.chat(model="auto")
                fake.fault = None
                if other.attempts and host.attempts:
                    break
            assert asked.status_code == 200, asked.text
    request = next(span for span in collector.spans if span.kind == "server" and span.about["intermodal.attempts"] == 2)
    failed, answered = sorted(below(collector, request), key=lambda span: span.began)
    assert failed.failed and failed.about["error.type"] == "credentials_refused"
    assert not answered.failed and answered.about["gen_ai.usage.output_tokens"] == 3
    assert failed.about["intermodal.route"] != answered.about["intermodal.route"] == request.about["intermodal.route"]
    assert not request.failed
    assert set(request.about["intermodal.sends"]) == {"cloud", "spare"}, "who failed got it, too"

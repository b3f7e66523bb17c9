"""An OpenTelemetry collector for tests: a real OTLP/HTTP server in this process, which decodes what it is sent."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


class Seen(NamedTuple):
    """A span."""

    name: str
    kind: str  # "server", "client", "internal"
    trace: str
    id: str
    parent: str
    about: Mapping[str, Any]
    events: tuple[tuple[str, Mapping[str, Any]], ...]
    failed: bool
    seconds: float
    began: int


class Point(NamedTuple):
    """What a histogram or a counter held when it was last sent."""

    about: Mapping[str, Any]
    count: int
    sum: float
    buckets: tuple[float, ...]


class Collector:
    """``with Collector() as collector: …``; ``stalled``: it takes connections, and answers nobody."""

    def __init__(self, *, stalled: bool = False) -> None:
        self.bodies: list[bytes] = []  # as they came, without compression
        self.resource: Mapping[str, Any] = {}
        self.spans: list[Seen] = []
        self.points: dict[str, list[Point]] = {}
        self.units: dict[str, str] = {}
        self.headers: list[Mapping[str, str]] = []
        self.release = threading.Event()
        if not stalled:
            self.release.set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.release.wait(300)
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.take(self.path, body, dict(self.headers))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        self.bodies.append(body)
        self.headers.append(headers)
        if path == "/v1/traces":
            for batch in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resource = _tree(batch.resource.attributes)
                self.spans += [_seen(span) for scope in batch.scope_spans for span in scope.spans]
        else:
            assert path == "/v1/metrics"
            for group in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in group.scope_metrics:
                    for metric in scope.metrics:
                        self.units[metric.name] = metric.unit
                        self.points[metric.name] = _points(metric)

    def named(self, name: str) -> Seen:
        """The one span of this name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    @property
    def everything(self) -> bytes:
        return b"\n".join(self.bodies)


def _seen(span: Span) -> Seen:
    return Seen(
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        about=_tree(span.attributes),
        events=tuple((event.name, _tree(event.attributes)) for event in span.events),
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        began=span.start_time_unix_nano,
    )


def _points(metric: Any) -> list[Point]:
    if metric.HasField("histogram"):
        return [
            Point(_tree(point.attributes), point.count, point.sum, tuple(point.explicit_bounds))
            for point in metric.histogram.data_points
        ]
    return [Point(_tree(point.attributes), 1, point.as_double, ()) for point in metric.sum.data_points]


def _tree(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None

"""Set up OpenTelemetry's SDK: it exports batches over OTLP/HTTP from its own threads, so that no request waits.

Settings not made here follow the SDK's variables (OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER, OTEL_BSP_*).
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from intermodal._version import __version__
from intermodal.config.tables import TelemetryTable
from intermodal.telemetry.signals import SCHEMA, Signals

_NAME = "intermodal"


def export_signals(settings: TelemetryTable, env: Mapping[str, str]) -> Signals:
    """Return signals that are sent to the collector, or to the application's own providers if it set up the SDK."""
    tracer_provider, counters = trace.get_tracer_provider(), metrics.get_meter_provider()
    if isinstance(tracer_provider, TracerProvider):
        return _signals(tracer_provider, counters, settings)
    resource = _resource(settings, env)
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    if _exports(env, "TRACES"):
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(_address(settings, env, "traces"))))
    readers = []
    if _exports(env, "METRICS"):
        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter(_address(settings, env, "metrics"))))
    meters = MeterProvider(readers, resource, shutdown_on_exit=False)
    return _signals(tracers, meters, settings, _closing(tracers.shutdown, meters.shutdown))


def _signals(
    tracers: trace.TracerProvider, meters: metrics.MeterProvider, settings: TelemetryTable,
    close: Callable[[float], None] = lambda seconds: None,
) -> Signals:  # fmt: skip
    tracer = tracers.get_tracer(_NAME, __version__, SCHEMA)
    return Signals(tracer, meters.get_meter(_NAME, __version__, SCHEMA), content=settings.content, close=close)


def _resource(settings: TelemetryTable, env: Mapping[str, str]) -> Resource:
    """Return the resource of these signals, unique per process, so that counts of several workers are kept apart."""
    about = {"service.version": __version__, "service.instance.id": str(uuid.uuid4())}
    has_name = env.get("OTEL_SERVICE_NAME", "").strip() or "service.name=" in env.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return Resource.create(about if has_name else {**about, "service.name": settings.service})


def _exports(env: Mapping[str, str], signal: str) -> bool:
    """Return whether a signal is exported over OTLP, according to OTEL_TRACES_EXPORTER or OTEL_METRICS_EXPORTER."""
    exporter = env.get(f"OTEL_{signal}_EXPORTER", "").strip()
    return not exporter or "otlp" in [each.strip() for each in exporter.split(",")]


def _address(settings: TelemetryTable, env: Mapping[str, str], signal: str) -> str | None:
    """Return the collector's address for a signal; None to use the SDK's variables or its default.

    The SDK's variables override the config.
    """
    address = env.get("OTEL_EXPORTER_OTLP_ENDPOINT") or env.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    return None if address or not settings.endpoint else f"{settings.endpoint.rstrip('/')}/v1/{signal}"


def _closing(*ends: Callable[[], None]) -> Callable[[float], None]:
    """Return a function that exports what is queued, waiting at most a given time for an unresponsive collector."""

    def close(seconds: float) -> None:
        threads = [threading.Thread(target=end, daemon=True) for end in ends]
        for thread in threads:
            thread.start()
        until = time.monotonic() + seconds
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    return close

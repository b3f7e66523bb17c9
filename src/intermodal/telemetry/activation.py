"""Decide whether telemetry is on, without importing OpenTelemetry, which takes a fifth of a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from intermodal.config.tables import TelemetryTable
from intermodal.errors import ConfigError, NotInstalled

if TYPE_CHECKING:
    from intermodal.telemetry.signals import Signals

DISABLED = "OTEL_SDK_DISABLED"
ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)  # fmt: skip
_PROTOCOLS = (
    "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
)  # fmt: skip


def is_enabled(settings: TelemetryTable, env: Mapping[str, str]) -> bool:
    """Return whether the config enables telemetry or, if it does not say, OpenTelemetry's own variables do."""
    if env.get(DISABLED, "").strip().lower() == "true":
        return False
    if settings.enabled is not None:
        return settings.enabled
    return bool(settings.endpoint) or any(env.get(name, "").strip() for name in ENDPOINTS)


def start_telemetry(settings: TelemetryTable, env: Mapping[str, str]) -> Signals:
    """Start exporting spans and metrics to a collector.

    Raises:
        NotInstalled: OpenTelemetry is not installed. ConfigError: its variables request an unsupported protocol.
    """
    for name in _PROTOCOLS:
        if env.get(name, "").strip() not in ("", "http/protobuf"):
            raise ConfigError(
                f"{name} is {env[name][:40]!r}, and only http/protobuf is spoken",
                where="telemetry",
                todo="unset it, and give the collector's address for HTTP (usually port 4318)",
            )
    try:
        from intermodal.telemetry.otlp_export import export_signals
    except ImportError:
        raise NotInstalled(
            "telemetry needs OpenTelemetry", todo="run: pip install 'intermodal[otel]', or set OTEL_SDK_DISABLED=true"
        ) from None
    return export_signals(settings, env)

"""Reads what a running server reports: health, context, inputs, activity.

Uses no HTTP library, to keep the supervisor small, which lives as long as the server.
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from intermodal.local.servers.records import ServerSpec

_SECONDS = 5.0
_MOST = 4 << 20  # bytes of a reply
_WARM_SECONDS = 300.0


class ReportedCapabilities(NamedTuple):
    """Context length in tokens (0 if not reported), and accepted inputs besides text."""

    context: int
    sees: bool
    hears: bool


class ServerActivity(NamedTuple):
    """Whether the server is busy, and counters that increase only while it is."""

    at_work: bool
    counters: tuple[float, ...]


def is_healthy(port: int, key: str) -> bool:
    return _get(port, key, "/health", seconds=2.0) is not None


def reported_capabilities(port: int, key: str) -> ReportedCapabilities:
    """Return the capabilities that the server reports.

    llama.cpp reports them at ``/props`` (context per slot, modalities), vLLM in its model list.
    """
    props = parse_object(_get(port, key, "/props"))
    settings, modalities = props.get("default_generation_settings"), props.get("modalities")
    context = settings.get("n_ctx", 0) if isinstance(settings, dict) else 0
    takes = modalities if isinstance(modalities, dict) else {}
    if not context:
        context = next(iter(parse_models(_get(port, key, "/v1/models"))), {}).get("max_model_len", 0)
    return ReportedCapabilities(
        context if isinstance(context, int) else 0, bool(takes.get("vision")), bool(takes.get("audio"))
    )


def warm_up(port: int, key: str, spec: ServerSpec) -> None:
    """Request one token, so that the first real request does not pay for one-time work. The reply is ignored."""
    path, body = "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    if spec.embeds:
        path, body = "/v1/embeddings", {"input": "Hi"}
    _get(port, key, path, json.dumps({"model": spec.served_as, **body}).encode(), seconds=_WARM_SECONDS)


def server_activity(port: int, key: str, counters: tuple[str, ...]) -> ServerActivity | None:
    """Return the activity from ``/metrics``; None if the server does not answer."""
    text = _get(port, key, "/metrics")
    if text is None:
        return None
    found = parse_metrics(text, counters)
    totals = tuple(value for name, value in sorted(found.items()) if name.endswith("_total"))
    return ServerActivity(any(value > 0 for name, value in found.items() if not name.endswith("_total")), totals)


def resident_memory(pid: int) -> int:
    """Return the resident bytes of a process and its children.

    Shared pages count once if the system reports it (Linux).

    For a process without children all pages count, even if another process maps the same weights.
    """
    import psutil

    try:
        first = psutil.Process(pid)
        family = [first, *first.children(recursive=True)]
    except psutil.Error:
        return 0
    if len(family) == 1:
        return _resident_bytes(pid)
    return sum(_proportional(process.pid) for process in family)


def unmapped_memory(pid: int, path: str) -> int:
    """Return the bytes of a mapped file that are currently not in memory; 0 if unknown."""
    import psutil

    try:
        maps = psutil.Process(pid).memory_maps(grouped=False)
    except (psutil.Error, AttributeError):  # not available on macOS
        return 0
    real = os.path.realpath(path)
    return sum(max(0, each.size - each.rss) for each in maps if each.path == real)


def listening_process(base_url: str) -> int | None:
    """Return the process that listens at a local address; None if there is none, or if it belongs to another user."""
    import psutil

    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return None
    listening = (
        connection for connection in connections if connection.status == psutil.CONN_LISTEN and connection.laddr
    )
    return next((each.pid for each in listening if getattr(each.laddr, "port", 0) == port), None)


def _proportional(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return _resident_bytes(pid)


def _resident_bytes(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _get(port: int, key: str, path: str, body: bytes | None = None, *, seconds: float = _SECONDS) -> bytes | None:
    """Return the body of a response with status 200, None otherwise."""
    status, data = http_reply(f"http://127.0.0.1:{port}", key, path, body, seconds=seconds)
    return data if status == 200 else None


def http_reply(
    root: str, key: str, path: str, body: bytes | None = None, *, seconds: float = _SECONDS
) -> tuple[int, bytes]:
    """Return status and body of a response; status 0 without a response."""
    parts = urlsplit(root)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=seconds)
    headers = {"Content-Type": "application/json"} if body else {}
    headers |= {"Authorization": f"Bearer {key}"} if key else {}
    try:
        connection.request("POST" if body else "GET", parts.path.rstrip("/") + path, body, headers)
        response = connection.getresponse()
        return response.status, response.read(_MOST)
    except (OSError, http.client.HTTPException, ValueError):
        return 0, b""
    finally:
        connection.close()


def parse_metrics(text: bytes, names: Collection[str]) -> dict[str, float]:
    """Parse values by name from Prometheus text, summed over labels. Values that are not numbers are skipped."""
    found: dict[str, float] = {}
    for line in text.decode(errors="replace").splitlines():
        name, _, value = line.rpartition(" ")
        plain = name.partition("{")[0]
        if plain in names:
            with suppress(ValueError):
                found[plain] = found.get(plain, 0.0) + float(value)
    return found


def parse_models(body: bytes | None) -> list[dict[str, Any]]:
    """Return the rows of ``/v1/models``; [] for anything else."""
    rows = parse_object(body).get("data")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def parse_object(data: bytes | None) -> dict[str, Any]:
    """Parse a JSON object; {} for anything else."""
    try:
        found = json.loads(data or b"{}")
    except (ValueError, RecursionError):  # RecursionError: nested too deeply
        return {}
    return found if isinstance(found, dict) else {}


__all__ = [
    "ReportedCapabilities", "ServerActivity", "http_reply", "is_healthy", "listening_process", "parse_metrics",
    "parse_models", "parse_object", "reported_capabilities", "resident_memory", "server_activity", "unmapped_memory",
    "warm_up",
]  # fmt: skip

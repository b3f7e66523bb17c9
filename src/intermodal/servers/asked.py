"""What a running server says of itself: whether it is there, what it holds and takes, how busy it is. Plain and small:
the supervisor lives as long as the server, so it does without an HTTP library."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any, NamedTuple

from intermodal.servers.records import Wanted

_SECONDS = 5.0
_MOST = 4 << 20  # bytes of a reply
_WARM_SECONDS = 300.0


class Said(NamedTuple):
    """Tokens a request may have (0 where it does not say), and what it takes beside text."""

    context: int
    sees: bool
    hears: bool


class Busy(NamedTuple):
    """It works now; and counters that only move when it worked."""

    at_work: bool
    counters: tuple[float, ...]


def healthy(port: int, key: str) -> bool:
    return _get(port, key, "/health", seconds=2.0) is not None


def asked(port: int, key: str) -> Said:
    """llama.cpp tells at ``/props`` (a slot's context, modalities), vLLM in its list of models."""
    props = _json(_get(port, key, "/props"))
    settings, modalities = props.get("default_generation_settings"), props.get("modalities")
    context = settings.get("n_ctx", 0) if isinstance(settings, dict) else 0
    takes = modalities if isinstance(modalities, dict) else {}
    if not context:
        rows = _json(_get(port, key, "/v1/models")).get("data")
        first = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
        context = first.get("max_model_len", 0)
    return Said(context if isinstance(context, int) else 0, bool(takes.get("vision")), bool(takes.get("audio")))


def warm(port: int, key: str, wanted: Wanted) -> None:
    """One word, so that the first request does not pay for what is only done once. What comes back does not matter."""
    path, body = "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    if wanted.embeds:
        path, body = "/v1/embeddings", {"input": "Hi"}
    _get(port, key, path, json.dumps({"model": wanted.served_as, **body}).encode(), seconds=_WARM_SECONDS)


def busy(port: int, key: str, counters: tuple[str, ...]) -> Busy | None:
    """By its ``/metrics``; None where it does not answer."""
    text = _get(port, key, "/metrics")
    if text is None:
        return None
    found: dict[str, float] = {}
    for line in text.decode(errors="replace").splitlines():
        name, _, value = line.rpartition(" ")
        plain = name.partition("{")[0]
        if plain in counters:
            try:
                found[plain] = found.get(plain, 0.0) + float(value)
            except ValueError:
                continue
    totals = tuple(value for name, value in sorted(found.items()) if name.endswith("_total"))
    return Busy(any(value > 0 for name, value in found.items() if not name.endswith("_total")), totals)


def resident(pid: int) -> int:
    """Bytes resident of a process and all it started; shared pages counted once where the system tells (Linux)."""
    import psutil

    try:
        first = psutil.Process(pid)
        family = [first, *first.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for process in family:
        total += _proportional(process.pid)
    return total


def listening(base_url: str) -> int | None:
    """The process that listens at an address of this machine; None where there is none, or it is another user's."""
    from urllib.parse import urlsplit

    import psutil

    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        doors = psutil.net_connections("tcp")
    except psutil.Error:
        return None
    listening = (door for door in doors if door.status == psutil.CONN_LISTEN and door.laddr)
    return next((door.pid for door in listening if getattr(door.laddr, "port", 0) == port), None)


def _proportional(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _get(port: int, key: str, path: str, body: bytes | None = None, *, seconds: float = _SECONDS) -> bytes | None:
    """The body of a 200, None for everything else."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    headers = {"Authorization": f"Bearer {key}", **({"Content-Type": "application/json"} if body else {})}
    try:
        connection.request("POST" if body else "GET", path, body, headers)
        response = connection.getresponse()
        data = response.read(_MOST)
        return data if response.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _json(data: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(data or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


__all__ = ["Busy", "Said", "asked", "busy", "healthy", "listening", "resident", "warm"]

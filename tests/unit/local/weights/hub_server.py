"""A hub-shaped server on loopback that misbehaves to order. It shares no code with what it tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FakeHub:
    """``files``: path -> content. ``tricks``: what to do to the next requests, first come first served:
    ``("cut", n)`` send n bytes and hang up, ``("status", code)``, ``("no-range",)`` ignore the range,
    ``("content", data)`` serve other bytes, ``("length", n)`` announce so many bytes, or nothing for None,
    ``("liar",)`` answer 206 from byte 0, ``("redirect", path)``."""

    files: dict[str, bytes] = field(default_factory=dict)
    tricks: list[tuple[Any, ...]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    url: str = ""


@contextmanager
def fake_hub(**files: bytes) -> Iterator[FakeHub]:
    hub = FakeHub(files={f"/owner/repo/resolve/main/{name.replace('__', '.')}": data for name, data in files.items()})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None: ...

        def do_GET(self) -> None:
            _serve(hub, self)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _serve(hub: FakeHub, http: BaseHTTPRequestHandler) -> None:
    wanted = http.headers.get("Range", "")
    hub.requests.append((http.path, wanted))
    trick: tuple[Any, ...] = hub.tricks.pop(0) if hub.tricks else ("",)
    data = trick[1] if trick[0] == "content" else hub.files.get(http.path)
    if trick[0] == "redirect":
        return _reply(http, 302, b"", {"Location": trick[1]})
    if trick[0] == "status" or data is None:
        return _reply(http, trick[1] if trick[0] == "status" else 404, b"no", hub.headers)
    start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted and trick[0] != "no-range" else 0
    if start >= len(data) and wanted and trick[0] != "no-range":
        return _reply(http, 416, b"", {"Content-Range": f"bytes */{len(data)}"})
    begin = 0 if trick[0] == "liar" else start
    headers = {"Content-Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"} if wanted and start else {}
    limit = trick[1] if trick[0] == "cut" else None
    length = trick[1] if trick[0] == "length" else len(data) - begin
    _reply(http, 206 if headers else 200, data[begin:], headers, limit, length)


def _reply(
    http: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str], limit: int | None = None,
    length: int | None = -1,
) -> None:  # fmt: skip
    http.send_response(status)
    for name, value in headers.items():
        http.send_header(name, value)
    if length is not None:
        http.send_header("Content-Length", str(len(body) if length < 0 else length))
    http.end_headers()
    with suppress(ConnectionError):  # a client that has seen enough hangs up
        http.wfile.write(body if limit is None else body[:limit])
    if limit is not None or length != len(body):
        http.close_connection = True

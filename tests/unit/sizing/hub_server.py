"""A server in the shape of a model hub, on loopback: files by repository, ranges, and a count of what it sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


class HubServer:
    """``files``: bytes by path below ``OWNER/REPO``. ``ranges``: whether parts of files are sent."""

    def __init__(self, files: dict[str, dict[str, bytes]], *, ranges: bool = True) -> None:
        self.files, self.ranges = files, ranges
        self.requests = 0
        self.sent = 0
        self.url = ""


@contextmanager
def serving(hub: HubServer) -> Iterator[HubServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            hub.requests += 1
            data = _find(hub, unquote(urlsplit(self.path).path))
            if data is None:
                self.send_response(404)
                self.send_header("content-length", "0")
                self.end_headers()
                return
            first, last = 0, len(data) - 1
            asked = self.headers.get("range", "") if hub.ranges else ""
            if asked:
                start, _, end = asked.removeprefix("bytes=").partition("-")
                first, last = int(start), min(int(end), last)
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("content-range", f"bytes {first}-{last}/{len(data)}")
            self.send_header("content-length", str(last - first + 1))
            self.end_headers()
            hub.sent += last - first + 1
            with suppress(OSError):  # the client may have read enough
                self.wfile.write(data[first : last + 1])

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that leaves

    server = Quiet(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _find(hub: HubServer, path: str) -> bytes | None:
    for repo, files in hub.files.items():
        if path == f"/api/models/{repo}/tree/main":
            return json.dumps(
                [{"type": "file", "path": name, "size": len(data)} for name, data in files.items()]
            ).encode()
        for name, data in files.items():
            if path == f"/{repo}/resolve/main/{name}":
                return data
    return None

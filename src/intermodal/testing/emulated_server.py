"""What emulated servers share: an HTTP server in a thread, the models it lists, a record of its requests.

An emulated server speaks a local runtime's own API, and a real engine behind it answers: see ``emulated_ollama.py`` and
``emulated_lmstudio.py``. No code is shared with ``protocols/`` or ``local/discovery/``.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self, cast

from intermodal.testing.engine import Engine

Family = Literal["old", "new"]
_DEFAULT_CONTEXT = 4096  # tokens, on a machine with little graphics memory


@dataclass(frozen=True)
class ListedModel:
    """A model that a door lists.

    Attributes:
        sees: it takes pictures. says_sees: what the door says of that, where it is wrong about it.
        trained: tokens of context it was made for. embeds: it makes vectors and does not chat.
        remote: the service that the door passes it on to, "" for none.
    """

    name: str
    sees: bool = False
    says_sees: bool | None = None
    trained: int = 8192
    embeds: bool = False
    remote: str = ""
    digest: str = "3b1f0e8c5d"

    @property
    def claims_eye(self) -> bool:
        return self.sees if self.says_sees is None else self.says_sees


@dataclass
class EmulatedRequest:
    """A request as it arrived."""

    method: str
    path: str
    body: bytes = b""
    json: dict[str, Any] = field(default_factory=dict)


class EmulatedServer:
    """An HTTP server in a thread, with a record of what was requested, loaded and truncated."""

    def __init__(
        self,
        engine: Engine,
        models: Iterable[ListedModel],
        family: Family,
        *,
        version: str,
        context: int = _DEFAULT_CONTEXT,
    ) -> None:
        self.engine, self.models, self.family = engine, {model.name: model for model in models}, family
        self.version = version
        self.context = context  # tokens a model is loaded with where nobody says how many
        self.asked: list[EmulatedRequest] = []
        self.loaded: dict[str, int] = {}  # model -> tokens of context
        self.cut = 0  # prompts that were cut in silence
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.door = self

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def chats(self) -> list[EmulatedRequest]:
        """The requests that made a model work."""
        return [each for each in self.asked if each.method == "POST" and "chat" in each.path]

    def answer(self, asked: EmulatedRequest) -> EmulatedReply:
        raise NotImplementedError

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class EmulatedReply:
    """A status and a body: JSON, text, or chunks that come one by one."""

    status: int = 200
    json: Any = None
    text: str = ""
    pieces: Iterator[bytes] | None = None
    kind: str = "application/json"


# ---- HTTP ---------------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    door: EmulatedServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a test's output is the test's."""

    def do_GET(self) -> None:
        self._serve("GET")

    def do_HEAD(self) -> None:
        self._serve("HEAD")

    def do_POST(self) -> None:
        self._serve("POST")

    def _serve(self, method: str) -> None:
        door = cast("_Server", self.server).door
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        asked = EmulatedRequest(method=method, path=self.path, body=body)
        door.asked.append(asked)
        try:
            asked.json = json.loads(body) if body else {}
        except ValueError:
            return self._send(EmulatedReply(400, json={"error": "invalid JSON"}), method)
        return self._send(door.answer(asked), method)

    def _send(self, reply: EmulatedReply, method: str) -> None:
        data = b"" if reply.pieces else reply.text.encode() if reply.text else json.dumps(reply.json).encode()
        self.send_response(reply.status)
        self.send_header("content-type", reply.kind)
        if reply.pieces is None:
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            if method != "HEAD":
                self.wfile.write(data)
            return
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in reply.pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

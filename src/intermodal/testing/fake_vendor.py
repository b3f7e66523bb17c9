"""A fake vendor for tests: a real HTTP server on loopback that uses the vendor's own protocol and scripted answers.

Like ``FakeHost``, it runs no model, counts words as tokens, and records what arrived.

    with FakeVendor("anthropic", answer="Four.", key="k") as vendor:
        ...  # the vendor's own client at vendor.base_url
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, cast

from intermodal.testing.attempts import TOKENS_PER_AUDIO, TOKENS_PER_IMAGE, Answer, Attempt, echo, vector_of
from intermodal.testing.protocols import (
    Anthropic,
    FakeAnswer,
    FakeProtocol,
    FakeRefusal,
    Gemini,
    Ollama,
    RequestContents,
    Responses,
)

Name = Literal["anthropic", "gemini", "ollama", "openai-responses"]
_DIALECTS: Mapping[Name, type[FakeProtocol]] = {
    "anthropic": Anthropic, "gemini": Gemini, "ollama": Ollama, "openai-responses": Responses,
}  # fmt: skip
TOKENS_PER_DOCUMENT = 500
_VECTORS = ("/embed", ":embedContent", ":batchEmbedContents")


class FakeVendor:
    """Run the fake vendor. Use it as a context manager; ``base_url`` is the address for clients.

    Args:
        name: the vendor whose protocol it uses.
        answer: the answer, or a function of the :class:`Attempt` that returns it.
        thought: reasoning before the answer. calls: tool calls after the answer, each a name and arguments.
        refuses: whether the vendor's filter blocks the answer.
        key: the API key; if it is set, requests without it are refused.
        fails: status, code and message of an error that is sent instead of an answer.
    """

    def __init__(
        self,
        name: Name,
        answer: Answer = echo,
        *,
        thought: str = "",
        calls: tuple[tuple[str, Mapping[str, Any]], ...] = (),
        refuses: bool = False,
        key: str = "",
        fails: tuple[int, str, str] | None = None,
    ) -> None:
        self.name: Name = name
        self.dialect = _DIALECTS[name]()
        self.answer, self.thought, self.calls = answer, thought, calls
        self.refuses, self.key, self.fails = refuses, key, fails
        self.attempts: list[Attempt] = []
        self.began = time.monotonic()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def base_url(self) -> str:
        """Return the address for clients, with the version if the protocol has one."""
        return self.address + self.dialect.root

    def answer_to(self, attempt: Attempt) -> FakeAnswer:
        words = self.answer if isinstance(self.answer, str) else self.answer(attempt)
        tokens = re.findall(r"\s*\S+|\s+$", words)
        limit = self.dialect.limit(attempt)
        reason = "refusal" if self.refuses else "tools" if self.calls else "stop"
        if limit is not None and len(tokens) > limit:
            tokens, reason = tokens[:limit], "length"
        return FakeAnswer(tokens=tuple(tokens), reason=reason, thought=self.thought, calls=tuple(self.calls))

    def __enter__(self) -> FakeVendor:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    fake: FakeVendor


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def fake(self) -> FakeVendor:
        return cast("_Server", self.server).fake

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the output of a test belongs to the test."""

    def do_POST(self) -> None:
        fake, dialect = self.fake, self.fake.dialect
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        keys = {name: headers[name].removeprefix(before) for name, before in dialect.keys.items() if name in headers}
        headers |= dict.fromkeys(keys, "(seen)")
        began = (time.monotonic() - fake.began) * 1000
        attempt = Attempt(path=self.path, headers=headers, key=bool(keys), body=body, began=began)
        fake.attempts.append(attempt)
        try:
            if fake.key and fake.key not in keys.values():
                raise FakeRefusal(401, "key", "the key is not valid")
            streams = self._understand(attempt)
            if fake.fails:
                raise FakeRefusal(*fake.fails)
        except FakeRefusal as refused:
            error_body = dialect.error(refused.status, refused.code, refused.message)
            inner = error_body.get("error")
            # Google answers a request with an unknown key with 400.
            attempt.status = inner["code"] if isinstance(inner, dict) and isinstance(inner.get("code"), int) else 0
            attempt.status = attempt.status or refused.status
            return self._send(attempt.status, "application/json", json.dumps(error_body).encode())
        attempt.status, attempt.paid = 200, True
        self._answer(attempt, streams)
        return None

    def _understand(self, attempt: Attempt) -> bool:
        found = RequestContents()
        try:
            attempt.json = json.loads(attempt.body)
            streams = self.fake.dialect.understand(attempt, found)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FakeRefusal(400, "invalid_request_error", f"not understood: {type(error).__name__} {error}") from None
        found.into(attempt)
        attempt.input_tokens = (
            sum(len(text.split()) for text in attempt.texts)
            + TOKENS_PER_IMAGE * len(attempt.images)
            + TOKENS_PER_AUDIO * len(attempt.audios)
            + TOKENS_PER_DOCUMENT * len(attempt.documents)
        )
        return streams

    def _answer(self, attempt: Attempt, streams: bool) -> None:
        dialect = self.fake.dialect
        if attempt.path.endswith(_VECTORS):
            vectors = [vector_of(text) for text in attempt.texts]
            return self._send(200, "application/json", json.dumps(dialect.vectors(attempt, vectors)).encode())
        answer = self.fake.answer_to(attempt)
        attempt.output_tokens = len(answer.tokens)
        if not streams:
            return self._send(200, "application/json", json.dumps(dialect.whole_reply(attempt, answer)).encode())
        return self._stream(dialect.stream_type, dialect.stream(attempt, answer))

    def _stream(self, kind: str, pieces: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _send(self, status: int, kind: str, data: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

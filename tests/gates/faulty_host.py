"""The fault wall: a host on a real socket that fails as told, byte by byte, and keeps a price list of its own.

Nothing of intermodal is in it. It speaks the OpenAI protocol: a script says, by the model's name and how often it was
asked before, what is played: bytes, pauses, and how the connection ends.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

End = Literal["", "fin", "rst", "stall"]
SLACK = 0.001  # seconds between two looks at a client that may have left


class ScriptedReply(NamedTuple):
    """What is done with one request. ``pieces`` are bytes to send and seconds to pause; ``end`` "" goes on.

    ``paid``: the wall charges for it.
    """

    pieces: Sequence[bytes | float] = ()
    end: End = ""
    paid: bool = False


class Halves(tuple[bytes, bytes]):
    """Two pieces of a reply, the second of which is sent once the client has got the first: ``arrived`` is set."""

    arrived: threading.Event

    def __new__(cls, first: bytes, second: bytes) -> Halves:
        halves = super().__new__(cls, (first, second))
        halves.arrived = threading.Event()
        return halves

    def __iter__(self) -> Iterator[bytes]:
        yield self[0]
        assert self.arrived.wait(300)
        yield self[1]


@dataclass
class ReceivedRequest:
    """One request that arrived. Times are milliseconds since the wall began."""

    model: str
    body: dict[str, Any]
    raw: bytes
    at: float
    head: bytes = b""
    paid: bool = False
    left: float | None = None  # when the client hung up before the wall was done
    ended: float | None = None


Script = Callable[[str, int], ScriptedReply]
Reader = Callable[[Mapping[str, Any]], ScriptedReply]


@dataclass
class FaultyHost:
    """Use as a context manager. ``script`` gets the model and how many requests it had before; ``reader``, where there
    is one, is asked instead, with the body. ``keeps``: what arrived is kept."""

    script: Script
    hits: list[ReceivedRequest] = field(default_factory=list)
    reader: Reader | None = None
    keeps: bool = True

    def __enter__(self) -> FaultyHost:
        self._began = time.monotonic()
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._open: set[socket.socket] = set()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def asked(self, model: str) -> int:
        return sum(hit.model == model for hit in tuple(self.hits))

    def now(self) -> float:
        return (time.monotonic() - self._began) * 1000

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        file = connection.makefile("rb")
        try:
            while self._request(connection, file):
                pass
        except (OSError, ValueError):
            pass
        finally:
            self._open.discard(connection)
            with suppress(OSError):
                connection.close()
            file.close()  # which holds the connection as well

    def _request(self, connection: socket.socket, file: Any) -> bool:
        """One request; whether the connection lives on."""
        if not file.readline():
            return False
        length, head = 0, b""
        while (line := file.readline()) not in (b"\r\n", b""):
            head += line
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        raw = file.read(length)
        if len(raw) < length:  # who asked left in the middle
            return False
        body = json.loads(raw) if raw[:1] == b"{" else {}
        model = body.get("model", "")
        with self._lock:
            number = self._counts.get(model, 0)
            self._counts[model] = number + 1
            hit = ReceivedRequest(model=model, body=body, raw=raw, head=head, at=self.now())
            if self.keeps:
                self.hits.append(hit)
        play = self.script(model, number) if self.reader is None else self.reader(body)
        hit.paid = play.paid
        try:
            return self._play(connection, play, hit)
        finally:
            hit.ended = self.now()

    def _play(self, connection: socket.socket, play: ScriptedReply, hit: ReceivedRequest) -> bool:
        for piece in play.pieces:
            if isinstance(piece, bytes):
                try:
                    connection.sendall(piece)
                except OSError:
                    hit.left = self.now()
                    return False
            elif not self._pause(connection, piece, hit):
                return False
        if play.end == "stall":
            self._pause(connection, 3600.0, hit)
        if play.end == "rst":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # The descriptor itself, or the file made of it would keep the connection open.
            socket.close(connection.detach())
            return False
        if play.end == "fin":
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        return not play.end

    def _pause(self, connection: socket.socket, seconds: float, hit: ReceivedRequest) -> bool:
        """Wait; False when the client hung up meanwhile."""
        until = time.monotonic() + seconds
        while not self._over.is_set() and (left := until - time.monotonic()) > 0:
            if select.select([connection], [], [], min(left, 0.02))[0]:
                try:
                    gone = connection.recv(1, socket.MSG_PEEK) == b""
                except OSError:
                    gone = True
                if gone:
                    hit.left = self.now()
                    return False
                time.sleep(SLACK)
        return not self._over.is_set()


# ---- what can be played ------------------------------------------------------------------------


def refusal(
    status: int, body: Any = None, *, paid: bool = False, headers: Mapping[str, str] | None = None
) -> ScriptedReply:
    """A document with a status."""
    data = body if isinstance(body, bytes) else json.dumps(body or {"error": {"message": "no"}}).encode()
    lines = [f"HTTP/1.1 {status} X", "content-type: application/json", f"content-length: {len(data)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ScriptedReply(("\r\n".join(lines).encode() + b"\r\n\r\n" + data,), paid=paid)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def sse(tree: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(tree, ensure_ascii=False).encode() + b"\n\n"


def delta(content: Any = None, reason: str | None = None, **more: Any) -> bytes:
    inner = ({} if content is None else {"content": content}) | more
    return sse({"id": "w", "choices": [{"index": 0, "delta": inner, "finish_reason": reason}]})


ROLE = delta("", role="assistant")
BROKEN = sse({"error": {"message": "the provider failed", "type": "server_error", "code": 500}})


def usage(tokens: int) -> bytes:
    return sse({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": tokens, "total_tokens": 7 + tokens}})


def answer(tokens: Sequence[str], *, done: bool = True, pause: float = 0.0) -> ScriptedReply:
    """A whole streamed answer."""
    events = [ROLE, *map(delta, tokens), delta(None, "stop"), usage(len(tokens)), *([DONE] if done else [])]
    return ScriptedReply(
        (HEAD, pause, *map(chunk, events), LAST) if pause else (HEAD, *map(chunk, events), LAST), paid=True
    )


def cut(tokens: Sequence[str], position: int, manner: str) -> ScriptedReply:
    """An answer that ends after ``position`` tokens."""
    begun = [HEAD, chunk(ROLE), *(chunk(delta(token)) for token in tokens[:position])]
    if manner in ("fin", "rst", "stall"):
        return ScriptedReply(begun, end=manner, paid=True)  # type: ignore[arg-type]
    if manner == "inband":
        return ScriptedReply([*begun, chunk(BROKEN), LAST], paid=True)
    if manner == "malformed":
        return ScriptedReply([*begun, chunk(b'data: {"choices":[{"index":0,"del\n\n'), LAST], paid=True)
    if manner == "ended":  # in good order, but without reason or [DONE]
        return ScriptedReply([*begun, LAST], paid=True)
    raise ValueError(manner)


def split(tokens: Sequence[str], *, size: int = 1) -> ScriptedReply:
    """A whole answer in pieces of a few bytes: characters of several bytes are torn apart."""
    body = b"".join([ROLE, *map(delta, tokens), delta(None, "stop"), usage(len(tokens)), DONE])
    pieces = [chunk(body[at : at + size]) for at in range(0, len(body), size)]
    return ScriptedReply((HEAD, *pieces, LAST), paid=True)

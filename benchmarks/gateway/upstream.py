"""The host that gateways are measured against: it reads a call and says the same at once. Prints its port.

No model, no parser beyond what it needs: a small chat, or a stream of 64 pieces where the body asks for one.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

PIECES = 64
_SAID = b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
_CHUNK = _SAID + b'{"content":"word "},"finish_reason":null}]}\n\n'
_USAGE = b'"usage":{"prompt_tokens":9,"completion_tokens":64,"total_tokens":73}'
_LAST = _SAID + b'{},"finish_reason":"stop"}],' + _USAGE + b"}\n\ndata: [DONE]\n\n"
_BODY = (
    b'{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant",'
    b'"content":"Hello there."},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}'
)
_WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
# As many words as the pieces of a stream hold no loop: each piece is numbered.
_STREAM = [_CHUNK.replace(b"word ", b"word%d " % number) for number in range(PIECES)]


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Upstream(asyncio.Protocol):
    """One connection. Bodies are counted and looked at for ``"stream": true``, wherever it stands in their ends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = bytearray()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end]).lower()
            at = head.find(b"content-length:")
            if at >= 0:
                size = int(head[at + 15 :].split(b"\r\n", 1)[0])
                if len(self._buffer) < end + 4 + size:
                    return
                body = bytes(self._buffer[end + 4 : end + 4 + size])
                del self._buffer[: end + 4 + size]
            else:
                last = self._buffer.find(b"\r\n0\r\n\r\n", end)
                if b"chunked" not in head or last < 0:
                    return
                body = bytes(self._buffer[end + 4 : last])
                del self._buffer[: last + 7]
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        ends = (body[:2000] + body[-2000:]).replace(b" ", b"")
        if b'"stream":true' in ends:
            self._transport.write(_HEAD)
            for piece in _STREAM:
                self._transport.write(_framed(piece))
            self._transport.write(_framed(_LAST) + b"0\r\n\r\n")
        else:
            self._transport.write(_WHOLE)


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())

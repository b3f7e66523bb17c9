"""A server on this machine that counts who comes, and a resolver that says what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Self

Answer = bytes | list[bytes | float]  # bytes sent at once, or pieces with pauses in seconds between them


def answer(status: int = 200, body: bytes = b"hello", **headers: str) -> bytes:
    """A whole HTTP/1.1 answer; ``content_length=…`` lies about it."""
    head = {"Content-Length": str(len(body)), "Connection": "close"}
    head.update({name.replace("_", "-").title(): value for name, value in headers.items()})
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items() if value)
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body


def redirect(location: str, status: int = 302) -> bytes:
    return answer(status, b"", location=location)


class Victim:
    """Counts connections in ``hits``, keeps request heads in ``heads``, answers by path."""

    def __init__(self, pages: Mapping[str, Answer] | None = None, *, host: str = "127.0.0.1") -> None:
        self.pages = dict(pages or {})
        self.host = host
        self.port = 0
        self.hits = 0
        self.heads: list[str] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.hits += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.heads.append(head)
            found = self.pages.get(head.split(" ")[1].partition("?")[0], answer(404))
            for piece in [found] if isinstance(found, bytes) else found:
                if isinstance(piece, float):
                    await asyncio.sleep(piece)
                else:
                    writer.write(piece)
                    await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


class Resolver:
    """Answers from a table, in turn where a list of answers is given; counts and keeps the names it was asked."""

    def __init__(self, table: Mapping[str, list[list[str]]]) -> None:
        self.table = {name: list(answers) for name, answers in table.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Iterable[str]:
        self.asked.append(host)
        answers = self.table.get(host)
        if not answers:
            raise OSError("no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]

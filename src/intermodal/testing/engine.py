"""A real OpenAI-compatible server to which an emulated server passes requests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit


class Engine:
    """The server at ``base_url`` ("http://127.0.0.1:8080/v1"). ``asked`` counts the chats that reached it."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.asked = 0

    def chat(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        """A whole chat: status and JSON."""
        self.asked += 1
        connection = self._send({**body, "stream": False})
        try:
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read() or b"null")
        finally:
            connection.close()

    def stream(self, body: Mapping[str, Any]) -> tuple[int, Any, Iterator[dict[str, Any]]]:
        """A streamed chat: status, the error's JSON where it failed, and chunks as they come."""
        self.asked += 1
        connection = self._send({**body, "stream": True, "stream_options": {"include_usage": True}})
        reply = connection.getresponse()
        if reply.status != 200:
            error = json.loads(reply.read() or b"null")
            connection.close()
            return reply.status, error, iter(())

        def chunks() -> Iterator[dict[str, Any]]:
            try:
                for line in reply:
                    if line.startswith(b"data: {"):
                        yield json.loads(line[6:])
            finally:
                connection.close()

        return 200, None, chunks()

    def count(self, text: str) -> int:
        """Tokens of a text, as its own tokenizer counts them."""
        connection = self._connect()
        connection.request("POST", "/tokenize", json.dumps({"content": text}), {"content-type": "application/json"})
        try:
            return len(json.loads(connection.getresponse().read())["tokens"])
        finally:
            connection.close()

    def _connect(self) -> HTTPConnection:
        parts = urlsplit(self.base_url)
        return HTTPConnection(parts.hostname or "", parts.port, timeout=120)

    def _send(self, body: Mapping[str, Any]) -> HTTPConnection:
        connection = self._connect()
        path = urlsplit(self.base_url).path + "/chat/completions"
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        return connection


def words_of(error: Any) -> str:
    """The message of an error as OpenAI-compatible servers write it."""
    inner = error.get("error") if isinstance(error, dict) else None
    return str(inner.get("message", "")) if isinstance(inner, dict) else str(inner or error)

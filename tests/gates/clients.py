"""Clients of the gateway by the API they speak: how each asks, and what it would make of what it hears.

None of ``protocols/`` is used. A stream is taken apart strictly: a line out of the API's framing fails the test.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass
class Heard:
    """What a client made of a stream.

    Attributes:
        text: the words of the answer.
        starts: how often an answer began.
        reason: a reason for its end was said. whole: it ended as the API says that answers end.
        error: what was said of a failure, "" where none was; ``last`` whether that was the last event.
        pings: how many comments of its host. The gateway's own say what it waits for.
    """

    text: str = ""
    starts: int = 0
    reason: bool = False
    whole: bool = False
    error: str = ""
    last: bool = False
    pings: int = 0

    @property
    def failed(self) -> bool:
        """It says, as its last word, that it failed, and nothing that looks like a proper end."""
        return bool(self.error) and self.last and not self.whole and not self.reason

    @property
    def succeeded(self) -> bool:
        return self.whole and self.reason and not self.error and self.starts == 1


class Client:
    """Of one API."""

    path: ClassVar[str]

    def body(self, model: str, content: str = "hello", *, stream: bool = True) -> dict[str, Any]:
        return {"model": model, "messages": [{"role": "user", "content": content}], "stream": stream}

    def hear(self, data: bytes) -> Heard:
        """A whole stream."""
        heard = Heard()
        for name, tree in self._events(data, heard):
            heard.last = False
            assert not heard.whole, f"something follows the end: {tree}"
            self._feed(heard, name, tree)
        return heard

    def error(self, tree: Any) -> str:
        """The sentence of an error that is an answer of its own. Fails for what is no error of this API."""
        assert isinstance(tree["error"]["type"], str)
        return str(tree["error"]["message"])

    def _events(self, data: bytes, heard: Heard) -> Iterator[tuple[str, Any]]:
        assert not data or data.endswith(b"\n\n"), data[-80:]
        for block in filter(None, data.decode().split("\n\n")):
            name = ""
            for line in block.split("\n"):
                if line.startswith(":"):
                    heard.pings += line == ": ping"
                elif line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line == "data: [DONE]":
                    yield "done", None
                else:
                    assert line.startswith("data: "), line
                    yield name, json.loads(line.removeprefix("data: "))

    def _feed(self, heard: Heard, name: str, tree: Any) -> None:
        raise NotImplementedError

    def _failed(self, heard: Heard, tree: Mapping[str, Any]) -> None:
        assert not heard.error, "it failed twice"
        heard.error, heard.last = self.error(tree), True
        assert heard.error


class Chat(Client):
    path = "/v1/chat/completions"

    def _feed(self, heard: Heard, name: str, tree: Any) -> None:
        if name == "done":
            heard.whole = True
        elif "error" in tree:
            self._failed(heard, tree)
        else:
            for choice in tree["choices"]:
                heard.starts += choice["delta"].get("role") == "assistant"
                heard.text += choice["delta"].get("content") or ""
                heard.reason |= choice["finish_reason"] is not None


class Messages(Client):
    path = "/v1/messages"

    def body(self, model: str, content: str = "hello", *, stream: bool = True) -> dict[str, Any]:
        return {**super().body(model, content, stream=stream), "max_tokens": 500}

    def _feed(self, heard: Heard, name: str, tree: Any) -> None:
        assert name == tree["type"]
        if name == "error":
            self._failed(heard, tree)
        elif name == "message_start":
            heard.starts += 1
        elif name == "content_block_delta":
            heard.text += tree["delta"].get("text", "")
        elif name == "message_delta":
            heard.reason |= tree["delta"]["stop_reason"] is not None
        elif name == "message_stop":
            heard.whole = True


class Responses(Client):
    path = "/v1/responses"

    def body(self, model: str, content: str = "hello", *, stream: bool = True) -> dict[str, Any]:
        return {"model": model, "input": content, "stream": stream}

    def _feed(self, heard: Heard, name: str, tree: Any) -> None:
        assert name == tree["type"]
        if name in ("error", "response.failed"):
            self._failed(heard, {"error": {"type": name, **(tree.get("response", {}).get("error") or tree)}})
        elif name == "response.created":
            heard.starts += 1
        elif name == "response.output_text.delta":
            heard.text += tree["delta"]
        elif name in ("response.completed", "response.incomplete"):
            heard.reason = heard.whole = True


class Ollama(Client):
    path = "/api/chat"

    def error(self, tree: Any) -> str:
        assert isinstance(tree["error"], str)
        return str(tree["error"])

    def _events(self, data: bytes, heard: Heard) -> Iterator[tuple[str, Any]]:
        assert not data or data.endswith(b"\n"), data[-80:]
        for line in data.decode().splitlines():
            yield "", json.loads(line)

    def _feed(self, heard: Heard, name: str, tree: Any) -> None:
        if "error" in tree:
            self._failed(heard, tree)
            return
        heard.starts = 1
        heard.text += tree["message"]["content"]
        heard.reason |= bool(tree.get("done_reason"))
        heard.whole = tree["done"] is True


CLIENTS: Mapping[str, Client] = {
    "chat": Chat(), "messages": Messages(), "responses": Responses(), "ollama": Ollama(),
}  # fmt: skip

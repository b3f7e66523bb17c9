"""What the fault wall plays in each protocol: whole answers, and the same ones broken off at any word."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.gates.faulty_host import BROKEN, DONE, HEAD, LAST, ROLE, ScriptedReply, chunk, delta, refusal, usage

from intermodal.testing.attempts import Attempt
from intermodal.testing.protocols import Anthropic, FakeAnswer, FakeProtocol, Ollama, Responses, sse

PROTOCOLS = ("openai", "anthropic", "openai-responses", "ollama")
_DIALECTS: Mapping[str, type[FakeProtocol]] = {
    "anthropic": Anthropic, "ollama": Ollama, "openai-responses": Responses,
}  # fmt: skip
_LINES = HEAD.replace(b"text/event-stream", b"application/x-ndjson")
_FAILED: Mapping[str, bytes] = {
    "openai": BROKEN,
    "anthropic": sse({"type": "error", "error": {"type": "api_error", "message": "Internal server error"}}, "error"),
    "openai-responses": sse(
        {"type": "error", "code": "server_error", "message": "failed", "param": None, "sequence_number": 9}, "error"
    ),
    "ollama": b'{"error":"an error was encountered while running the model"}\n',
}


def head(protocol: str) -> bytes:
    return _LINES if protocol == "ollama" else HEAD


def events(protocol: str, tokens: Sequence[str]) -> list[bytes]:
    """Of a whole answer."""
    if protocol == "openai":
        return [ROLE, *map(delta, tokens), delta(None, "stop"), usage(len(tokens)), DONE]
    return list(_DIALECTS[protocol]().stream(_attempt(tokens), FakeAnswer(tokens=tuple(tokens))))


def besides(protocol: str, thought: str, argument: str) -> list[bytes]:
    """Of a whole answer that is no words: a thought, or a call of a tool with this argument."""
    if protocol != "openai":
        calls = (("weather", {"at": argument}),) if argument else ()
        said = FakeAnswer(tokens=(), reason="tools" if argument else "stop", thought=thought, calls=calls)
        return list(_DIALECTS[protocol]().stream(_attempt(()), said))
    return [ROLE, delta(None, **_openai(thought, argument)), delta(None, "stop"), usage(5), DONE]


def _openai(thought: str, argument: str) -> dict[str, Any]:
    function = {"name": "weather", "arguments": json.dumps({"at": argument})}
    calls = {"tool_calls": [{"index": 0, "id": "call_0", "type": "function", "function": function}]}
    return {"reasoning_content": thought} if thought else calls


def besides_at_once(protocol: str, thought: str, argument: str) -> ScriptedReply:
    """The same, not streamed."""
    if protocol != "openai":
        calls = (("weather", {"at": argument}),) if argument else ()
        said = FakeAnswer(tokens=(), reason="tools" if argument else "stop", thought=thought, calls=calls)
        return refusal(200, _DIALECTS[protocol]().whole_reply(_attempt(()), said), paid=True)
    message = {"role": "assistant", "content": None, **_openai(thought, argument)}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if argument else "stop"}
    counts = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    tree = {"id": "w", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": counts}
    return refusal(200, tree, paid=True)


def _attempt(tokens: Sequence[str]) -> Attempt:
    return Attempt(
        path="/",
        headers={},
        key=False,
        body=b"",
        json={},
        began=0.0,
        model="m",
        input_tokens=7,
        output_tokens=len(tokens),
    )


def document(protocol: str, tokens: Sequence[str]) -> ScriptedReply:
    """An answer that was not to be streamed."""
    if protocol == "openai":
        message = {"role": "assistant", "content": "".join(tokens)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        counts = {"prompt_tokens": 7, "completion_tokens": len(tokens), "total_tokens": 7 + len(tokens)}
        return refusal(200, {"id": "w", "choices": [choice], "usage": counts}, paid=True)
    return refusal(
        200, _DIALECTS[protocol]().whole_reply(_attempt(tokens), FakeAnswer(tokens=tuple(tokens))), paid=True
    )


def whole(protocol: str, tokens: Sequence[str], pause: float = 0.0) -> ScriptedReply:
    """``pause``: seconds before its first event."""
    pieces: list[bytes | float] = [head(protocol), pause] if pause else [head(protocol)]
    return ScriptedReply([*pieces, *map(chunk, events(protocol, tokens)), LAST], paid=True)


def torn(protocol: str, tokens: Sequence[str], size: int) -> ScriptedReply:
    """A whole answer in pieces of ``size`` bytes: events and characters are torn apart."""
    body = b"".join(events(protocol, tokens))
    pieces = [chunk(body[at : at + size]) for at in range(0, len(body), size)]
    return ScriptedReply([head(protocol), *pieces, LAST], paid=True)


def cut(protocol: str, tokens: Sequence[str], after: int, manner: str) -> ScriptedReply:
    """An answer that ends after ``after`` tokens: by "fin", "rst", "stall", "inband", "malformed", "ended"."""
    said = events(protocol, tokens)
    place = 0
    if after:
        last: Any = json.dumps(tokens[after - 1])
        raw = json.dumps(tokens[after - 1], ensure_ascii=False)
        place = next(n for n, event in enumerate(said) if last.encode() in event or raw.encode() in event) + 1
    elif protocol != "ollama":
        place = 1  # it began, and has said nothing
    begun = [head(protocol), *map(chunk, said[:place])]
    if manner == "inband":
        return ScriptedReply([*begun, chunk(_FAILED[protocol]), LAST], paid=True)
    if manner == "malformed":
        half = said[place][: len(said[place]) // 2] + (b"\n" if protocol == "ollama" else b"\n\n")
        return ScriptedReply([*begun, chunk(half), LAST], paid=True)
    if manner == "ended":
        return ScriptedReply([*begun, LAST], paid=True)
    return ScriptedReply(begun, end=manner, paid=True)  # type: ignore[arg-type]

r"""A host that cuts an emoji between its two code units (``"\ud83d"``, ``"\ude00"``) is answered for, either way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.gates import upstreams
from tests.gates.faulty_host import LAST, ScriptedReply, chunk, delta, sse
from tests.unit.gateway.direct.both_paths import BothPaths, Case, Model, unlike
from tests.unit.gateway.direct.both_paths_protocols import LINES, MESSAGES, RESPONSES, WireProtocol
from tests.unit.gateway.direct.test_both_paths_openai_chat import data_of, whole

FIRST, SECOND = "<first half>", "<second half>"
SAYS: dict[str, tuple[Sequence[str], str]] = {
    "cut": (["It is ", FIRST, SECOND, " here."], "It is 😀 here."),
    "within": (["It is " + FIRST, SECOND + " here", " and " + FIRST, SECOND + FIRST, SECOND], "It is 😀 here and 😀😀"),
    "first": ([FIRST, SECOND, " it is."], "😀 it is."),
    "alone": (["It is ", FIRST, " here ", SECOND, "."], "It is \ufffd here \ufffd."),
    "last": (["It is ", FIRST], "It is \ufffd"),
}
WIRE_PROTOCOLS: dict[str, WireProtocol | None] = {
    "chat": None,
    "responses": RESPONSES,
    "ollama": LINES,
    "messages": MESSAGES,
}


def halved(data: bytes) -> bytes:
    return data.replace(FIRST.encode(), rb"\ud83d").replace(SECOND.encode(), rb"\ude00")


def played(name: str, words: Sequence[str], live: bool) -> ScriptedReply:
    protocol = "openai" if (wire_protocol := WIRE_PROTOCOLS[name]) is None else wire_protocol.protocol
    if live:
        events = map(halved, upstreams.events(protocol, words))
        return ScriptedReply((upstreams.head(protocol), *map(chunk, events), LAST), paid=True)
    plain = whole("".join(words)) if protocol == "openai" else upstreams.document(protocol, words)
    head, _, body = data_of(plain).partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    body = halved(body)
    return ScriptedReply((b"\r\n".join([*lines, b"content-length: %d" % len(body), b"", body]),), paid=True)


def case(name: str, words: Sequence[str], live: bool) -> Case:
    body: dict[str, Any] = {"stream": live}
    if live and name == "chat":
        body["stream_options"] = {"include_usage": True}
    return Case([Model([played(name, words, live)])], body, wire_protocol=WIRE_PROTOCOLS[name])


CASES = {
    f"{name}{how}{'live' if live else ''}": case(name, words, live)
    for name in WIRE_PROTOCOLS
    for how, (words, _) in SAYS.items()
    for live in (True, False)
}
COUNTING = b',"usage":{"prompt_tokens":7,"completion_tokens":1,"total_tokens":8}}\n\n'
CASES["counting"] = Case(  # as servers do that say in each event how much there is so far
    [
        Model(
            [
                ScriptedReply(
                    (
                        upstreams.head("openai"),
                        *(chunk(halved(delta(word)).removesuffix(b"}\n\n") + COUNTING) for word in SAYS["cut"][0]),
                        chunk(delta(None, "stop")),
                        chunk(b"data: [DONE]\n\n"),
                        LAST,
                    ),
                    paid=True,
                )
            ]
        )
    ],
    {"stream": True, "stream_options": {"include_usage": True}},
)
CASES["called"] = Case(
    [
        Model(
            [
                ScriptedReply(
                    (
                        upstreams.head("openai"),
                        *(
                            chunk(halved(sse({"choices": [{"index": 0, "delta": {"tool_calls": [
                                {"index": 0, "id": name and "call_1", "type": "function",
                                 "function": {"name": name, "arguments": piece}},
                            ]}}]})))
                            for name, piece in (("weather", '{"at":"'), ("", FIRST), ("", SECOND), ("", '"}'))
                        ),
                        chunk(delta(None, "tool_calls")),
                        chunk(b"data: [DONE]\n\n"),
                        LAST,
                    ),
                    paid=True,
                )
            ]
        )
    ],
    {"stream": True, "tools": [{"type": "function", "function": {"name": "weather"}}]},
)  # fmt: skip


def together(value: Any) -> Any:
    """As clients of the field have it that put pieces together in UTF-16; what stays alone is no character."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {name: together(item) for name, item in value.items()}
    return [together(item) for item in value] if isinstance(value, list) else value


def said(answer: Any) -> str:
    """The words of an answer in whichever wire."""
    found = answer.get("message", {}).get("content") or answer.get("told") or answer.get("said")
    if found is None and "output" in answer:
        found = answer["output"][0]["content"][0]["text"]
    return str(found["content"] if isinstance(found, dict) else found)


@pytest.mark.parametrize("name", [name for name in CASES if name != "called"])
def test_halves_of_characters_are_put_together_on_both_paths(beside: BothPaths, name: str) -> None:
    direct, executor = beside.both(name)
    words = next((text for how, (_, text) in SAYS.items() if how in name), SAYS["cut"][1])
    assert direct.status == executor.status == 200
    assert said(executor.answer) == words, "the executor tells whole characters"
    assert said(together(direct.answer)) == words
    assert unlike(together(vars(direct)) | {"taken": 0}, together(vars(executor))) == []
    assert direct.taken == 1, "it went through the executor"


def test_a_calls_arguments_are_put_together_too(beside: BothPaths) -> None:
    for seen in beside.both("called"):
        assert together(seen.answer["calls"])[0]["arguments"] == '{"at":"😀"}', seen.answer

"""OpenAI's responses, Ollama's chat and Anthropic's messages through the direct path and the executor, side by side."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.gates import upstreams
from tests.gates.faulty_host import HEAD, LAST, ScriptedReply, chunk, refusal
from tests.unit.gateway.direct.both_paths import BothPaths, Case, Model, unlike
from tests.unit.gateway.direct.both_paths_protocols import LINES, MESSAGES, QUESTION, RESPONSES, WireProtocol
from tests.unit.gateway.direct.test_both_paths_openai_chat import FAULTS, crlf, picture, with_number

SEED = 20_261_126
WORDS = ["Paris", " is", " the", " capital", "."]
SEES = 'input = ["text", "image"]'
LIVE = {"stream": True}
ID = "_0123456789abcdef0123456789abcdef"
PATTERN = "What does one do with a loop? "  # said again and again
HEADS = {"openai-responses": HEAD, "anthropic": HEAD, "ollama": upstreams.head("ollama")}


def whole(wire_protocol: WireProtocol, words: Sequence[str] = WORDS) -> ScriptedReply:
    return upstreams.document(wire_protocol.protocol, words)


def live(wire_protocol: WireProtocol, words: Sequence[str] = WORDS) -> ScriptedReply:
    return upstreams.whole(wire_protocol.protocol, words)


def numbers(
    case: Any, wire_protocol: WireProtocol, other: Sequence[Model], other_live: Sequence[Model]
) -> Mapping[str, Case]:
    """A number where there should be words: in a whole answer, in the first piece of a stream, in a later one."""
    good, stream = whole(wire_protocol), live(wire_protocol)
    return {
        "numberwhole": case(with_number(good, "".join(WORDS)), others=other),
        "numberlive": case(with_number(stream, WORDS[0]), body=LIVE, others=other_live),
        "numbershown": case(with_number(stream, WORDS[3]), body=LIVE, others=other_live),
    }


def cut_up(data: bytes) -> list[bytes]:
    return [data[at : at + 20_000] for at in range(0, len(data), 20_000)]


def played(wire_protocol: WireProtocol, *events: bytes, end: str = "") -> ScriptedReply:
    pieces = (HEADS[wire_protocol.protocol], *map(chunk, events), *(() if end else (LAST,)))
    return ScriptedReply(pieces, end=end, paid=True)  # type: ignore[arg-type]


# ---- OpenAI's responses, as OpenAI itself writes them --------------------------------------------------


def message(*parts: Mapping[str, Any], status: str = "completed") -> dict[str, Any]:
    return {"type": "message", "id": f"msg{ID}", "role": "assistant", "status": status, "content": list(parts)}


def text(words: str) -> dict[str, Any]:
    return {"type": "output_text", "text": words, "annotations": [], "logprobs": []}


def no(words: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": words}


def call(arguments: str = '{"at":"Paris"}', number: int = 0) -> dict[str, Any]:
    return {
        "type": "function_call", "id": f"fc{ID}{number}", "call_id": f"call_{number}", "name": "weather",
        "arguments": arguments, "status": "completed",
    }  # fmt: skip


def thought(encrypted: str | None = "Z0FBQUFBQm") -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": "Let me think."}]
    more = {} if encrypted is None else {"encrypted_content": encrypted}
    return {"type": "reasoning", "id": f"rs{ID}", "summary": summary, **more}


def response(*output: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    usage = {
        "input_tokens": 7, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}, "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 12,
    }  # fmt: skip
    return {
        "id": f"resp{ID}", "object": "response", "created_at": 1700000000, "model": "the-host-s-own-name",
        "status": "completed", "background": False, "error": None, "incomplete_details": None, "instructions": None,
        "metadata": {}, "parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto", "tools": [],
        "top_p": 1.0, "output": list(output), "store": False, "usage": usage, **more,
    }  # fmt: skip


def answered(*output: Mapping[str, Any], **more: Any) -> ScriptedReply:
    return refusal(200, response(*output, **more), paid=True)


def typed(events: Sequence[Mapping[str, Any]]) -> list[bytes]:
    return [
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps({"sequence_number": number, **event}).encode())
        for number, event in enumerate(events)
    ]


def told(*output: Mapping[str, Any], end: str = "completed", **more: Any) -> list[bytes]:
    """A stream of these items, as OpenAI sends it."""
    begun = response(status="in_progress", usage=None)
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun}, {"type": "response.in_progress", "response": begun}
    ]  # fmt: skip
    for place, item in enumerate(output):
        at = {"output_index": place, "item_id": item["id"]}
        empty: dict[str, dict[str, Any]] = {
            "message": {"content": []},
            "function_call": {"arguments": ""},
            "reasoning": {"summary": []},
        }
        first = {**item, **empty[item["type"]]}
        if item["type"] != "reasoning":
            first["status"] = "in_progress"
        events.append({"type": "response.output_item.added", "output_index": place, "item": first})
        for number, part in enumerate(item.get("content") or ()):
            field = "text" if part["type"] == "output_text" else "refusal"
            inside, kind = {**at, "content_index": number}, f"response.{part['type']}"
            events.append({"type": "response.content_part.added", **inside, "part": {**part, field: ""}})
            logprobs: dict[str, Any] = {"logprobs": []} if field == "text" else {}
            for word in re.findall(r"\S*\s*", part[field])[:-1]:
                events.append({"type": f"{kind}.delta", **inside, "delta": word, **logprobs, "obfuscation": "x"})
            events.append({"type": f"{kind}.done", **inside, field: part[field], **logprobs})
            events.append({"type": "response.content_part.done", **inside, "part": part})
        for part in item.get("summary") or ():
            inside = {**at, "summary_index": 0}
            added = {"type": "summary_text", "text": ""}
            events.append({"type": "response.reasoning_summary_part.added", **inside, "part": added})
            events.append({"type": "response.reasoning_summary_text.delta", **inside, "delta": part["text"]})
            events.append({"type": "response.reasoning_summary_text.done", **inside, "text": part["text"]})
            events.append({"type": "response.reasoning_summary_part.done", **inside, "part": part})
        if item["type"] == "function_call":
            said = item["arguments"]
            for piece in (said[:4], said[4:]):
                events.append({"type": "response.function_call_arguments.delta", **at, "delta": piece})
            done = {"arguments": said, "name": item["name"]}
            events.append({"type": "response.function_call_arguments.done", **at, **done})
        events.append({"type": "response.output_item.done", "output_index": place, "item": item})
    events.append({"type": f"response.{end}", "response": response(*output, **{"status": end, **more})})
    return typed(events)


SAID = message(text("Paris is the capital. "))
TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
CUT = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
FILTERED = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
ITEMS = [
    {"role": "developer", "content": "Be brief."}, {"role": "user", "content": QUESTION},
    {"type": "message", "id": f"msg{ID}", "role": "assistant", "status": "completed",
     "content": [{"type": "output_text", "text": "Paris.", "annotations": []}]},
    {"role": "user", "content": [{"type": "input_text", "text": "And of"}, {"type": "input_text", "text": "Spain?"}]},
]  # fmt: skip
CALLED = [
    {"role": "user", "content": QUESTION}, thought(), {**call(), "id": "fc_x"}, {**call(number=1), "id": "fc_y"},
    {"type": "function_call_output", "call_id": "call_0", "output": "rain"},
    {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "sun"}]},
]  # fmt: skip
BROKEN_OFF = told(SAID)[:6]


def image(kind: str = "PNG") -> dict[str, Any]:
    return {"type": "input_image", "image_url": picture(kind)["image_url"]["url"]}


def responses() -> Mapping[str, Case]:
    def case(play: ScriptedReply | Sequence[ScriptedReply], body: Mapping[str, Any] | None = None, **more: Any) -> Case:
        plays = [play] if isinstance(play, ScriptedReply) else play
        model = {name: more.pop(name) for name in ("zone", "row", "price", "host") if name in more}
        models = [Model(plays, **model), *more.pop("others", ())]
        return Case(models, dict(body or {}), wire_protocol=RESPONSES, **more)

    other = [Model([whole(RESPONSES, ["the other"])])]
    other_live = [Model([live(RESPONSES, ["the", " other"])])]
    good, stream = answered(SAID), played(RESPONSES, *told(SAID))
    end = told(SAID)[-1]
    return {
        "plain": case(good),
        "live": case(stream, LIVE),
        "nolimit": case(stream, {"max_output_tokens": None, **LIVE}),
        "settings": case(good, {
            "temperature": 0.5, "top_p": 0.9, "user": "u", "store": False, "metadata": {"a": "b"}, "include": [],
            "text": {"format": {"type": "text"}}, "previous_response_id": None,
        }),
        "ignored": case(good, {"truncation": "auto"}, by=False),
        "marked": case(good, {"input": [{"role": "user", "content": QUESTION, "cache_control": {"type": "ephemeral"}}]},
                       by=False),
        "json": case(answered(message(text('{"a": 1}'))), {"text": {"format": {"type": "json_object"}}}, by=False),
        "turns": case(good, {"input": ITEMS, "instructions": None}),
        "turnslive": case(stream, {"input": ITEMS[1:], "instructions": "Be brief.", **LIVE}),
        "twosystems": case(good, {"input": ITEMS, "instructions": "Be brief."}, by=False),
        "calledturns": case(good, {"input": CALLED, "tools": [TOOL]}),
        "calledlive": case(stream, {"input": CALLED, "tools": [{**TOOL, "strict": True}], **LIVE}),
        "tools": case(answered(call()), {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False}),
        "toolslive": case(played(RESPONSES, *told(SAID, call(), call(number=1))), {"tools": [TOOL], **LIVE}),
        "onlycalls": case(played(RESPONSES, *told(call())), {"tools": [TOOL], **LIVE}),
        "png": case(good, {"input": [{"role": "user", "content": [image(), {"type": "input_text", "text": "What?"}]}]},
                    row=SEES),
        "jpegs": case(stream, {**LIVE, "input": [{"role": "user", "content": [image("JPEG"), image(), {
            "type": "input_text", "text": "What is on them?"}]}]}, row=SEES),
        "nobodys": case(good, {"input": [{"type": "item_reference", "id": "msg_x"}]}, by=False),
        "elsewhere": case(good, {"previous_response_id": "resp_x"}, by=False),
        "thought": case(answered(thought(), SAID)),
        "thoughtlive": case(played(RESPONSES, *told(thought(), SAID)), LIVE),
        "aloud": case(answered(thought(None), SAID)),
        "length": case(answered(message(text("Pa"), status="incomplete"), **CUT)),
        "lengthlive": case(played(RESPONSES, *told(message(text("Pa "), status="incomplete"), end="incomplete", **CUT)),
                           LIVE),
        "empty": case(answered()),
        "emptylive": case(played(RESPONSES, *told()), LIVE),
        "filtered": case(answered(message(text("I"), status="incomplete"), **FILTERED)),
        "refused": case(answered(**FILTERED), others=other),
        "refusedlive": case(played(RESPONSES, *told(end="incomplete", **FILTERED)), LIVE, others=other_live),
        "refusedwords": case(answered(message(no("I will not."))), others=other),
        "refusedwordslive": case(played(RESPONSES, *told(message(no("I will not.")))), LIVE, others=other_live),
        "uncounted": case(answered(SAID, usage=None)),
        "unpriced": case(stream, LIVE, price=None),
        "short": case(whole(RESPONSES)),  # ids that are not one's own
        "shortlive": case(live(RESPONSES), LIVE),
        "atonce": case(good, LIVE),
        "unasked": case(stream),
        "near": case(stream, LIVE, zone="machine"),
        "nearloops": case(played(RESPONSES, *told(message(text(PATTERN * 60)))), LIVE, zone="machine"),
        "nearcut": case(good, {"input": QUESTION * 200}, zone="machine", others=other),
        "nearcutlive": case(stream, {"input": QUESTION * 200, **LIVE}, zone="machine", others=other_live),
        "torn": case(played(RESPONSES, *(bytes([byte]) for byte in b"".join(told(SAID)))), LIVE),
        "crlf": case(played(RESPONSES, *map(crlf, told(SAID))), LIVE),
        "few": case(played(RESPONSES, *(each for each in told(SAID) if b".delta" in each or each is end)), LIVE),
        "noparts": case(played(RESPONSES, *(each for each in told(SAID) if b"content_part" not in each)), LIVE),
        "noitems": case(played(RESPONSES, *told(SAID)[:-1], typed(
            [{"type": "response.completed", "response": response(), "sequence_number": 99}])[0]), LIVE),
        "nodeltas": case(played(RESPONSES, *told()[:-1], *told(SAID)[-1:]), LIVE),
        "extra": case(played(RESPONSES, *told(SAID)[:6], b": ping\n\n", b'data: {"type":"response.new"}\n\n',
                             *told(SAID)[6:]), LIVE),
        "junk": case(played(RESPONSES, *told(SAID)[:6], b"data: {no JSON\n\n"), LIVE, others=other_live),
        "done": case(played(RESPONSES, *told(SAID)[:-1], b"data: [DONE]\n\n"), LIVE),
        "hangs": case(played(RESPONSES, *told(SAID), end="stall"), LIVE),
        **{f"cut{manner}": case(played(RESPONSES, *BROKEN_OFF, end=manner), LIVE, others=other_live)
           for manner in ("fin", "rst", "")},
        "cutinband": case(upstreams.cut("openai-responses", WORDS, 2, "inband"), LIVE, others=other_live),
        "firstinband": case(upstreams.cut("openai-responses", WORDS, 0, "inband"), LIVE, others=other_live),
        "failed": case(played(RESPONSES, *BROKEN_OFF, *typed([{"type": "response.failed", "response": response(
            status="failed", error={"code": "server_error", "message": "no"})}])), LIVE, others=other_live),
        "failedwhole": case(answered(status="failed", error={"code": "server_error", "message": "no"}), others=other),
        "numberpassed": case(with_number(stream, "capital. "), LIVE, others=other_live),
        **numbers(case, RESPONSES, other, other_live),
        **_cuts(case, RESPONSES, told(SAID, call()), {"tools": [TOOL], **LIVE}, other_live),
        **_faults(case, good, other, other_live),
    }  # fmt: skip


def _cuts(case: Any, wire_protocol: WireProtocol, events: Sequence[bytes], body: Any, others: Any) -> dict[str, Case]:
    """A stream that ends after each of its events, in order and otherwise. None of them is a thought: after one alone
    the executor would let another take over, and the direct path has shown it."""
    return {
        f"at{place}{end}": case(played(wire_protocol, *events[:place], end=end), body, others=others)
        for place in range(1, len(events)) for end in ("", "fin")
    }  # fmt: skip


def _faults(case: Any, good: ScriptedReply, other: Any, other_live: Any) -> dict[str, Case]:
    return {
        **{f"one{name}": case(play) for name, play in FAULTS.items()},
        **{f"two{name}": case(play, others=other) for name, play in FAULTS.items()},
        **{f"live{name}": case(play, LIVE, others=other_live) for name, play in FAULTS.items()},
        **{f"then{name}": case([FAULTS[name], good]) for name in ("busy", "s500", "gone")},
    }


# ---- Ollama's chat ---------------------------------------------------------------------------------------


def line(*, done: bool = False, reason: str = "stop", counts: bool = True, top: Any = (), **said: Any) -> bytes:
    tree = {
        "model": "the-host-s-own-name", "created_at": "2026-11-26T10:00:00.123456789Z",
        "message": {"role": "assistant", "content": "", **said}, "done": done, **dict(top),
    }  # fmt: skip
    if done:
        tree |= {"done_reason": reason, "total_duration": 5, "eval_duration": 3}
        tree |= {"prompt_eval_count": 7, "eval_count": 5} if counts else {}
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"  # as Ollama writes


def ollama_call(**more: Any) -> dict[str, Any]:
    return {"function": {"name": "weather", "arguments": {"at": "Paris"}, **more}}


OLLAMA_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}
OLLAMA_TURNS = {"messages": [
    {"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION},
    {"role": "assistant", "content": "Paris.", "thinking": "hm"}, {"role": "user", "content": "And of Spain?"},
]}  # fmt: skip
OLLAMA_CALLED = {"tools": [OLLAMA_TOOL], "messages": [
    {"role": "user", "content": QUESTION},
    {"role": "assistant", "content": "", "tool_calls": [ollama_call(), {**ollama_call(index=1), "id": "call_b"}]},
    {"role": "tool", "content": "rain", "tool_call_id": "call_b"}, {"role": "tool", "content": "", "tool_name": "w"},
]}  # fmt: skip


def lines() -> Mapping[str, Case]:
    def case(play: ScriptedReply | Sequence[ScriptedReply], body: Mapping[str, Any] | None = None, **more: Any) -> Case:
        plays = [play] if isinstance(play, ScriptedReply) else play
        model = {name: more.pop(name) for name in ("zone", "row", "price", "host") if name in more}
        return Case([Model(plays, **model), *more.pop("others", ())], dict(body or {}), wire_protocol=LINES, **more)

    def at_once(data: bytes) -> ScriptedReply:
        return refusal(200, data.strip(), paid=True)

    other = [Model([whole(LINES, ["the other"])])]
    other_live = [Model([live(LINES, ["the", " other"])])]
    said = [line(content=word) for word in WORDS]
    good, stream = at_once(line(content="".join(WORDS), done=True)), played(LINES, *said, line(done=True))
    shown = {"role": "user", "content": "What is this?", "images": [image()["image_url"].partition(",")[2]]}
    options = {"num_predict": 20, "temperature": 0.5, "top_p": 0.9, "stop": ["x"], "seed": 7, "num_ctx": 512}
    return {
        "plain": case(good),
        "live": case(stream, LIVE),
        "unsaid": case(stream, {"stream": None}),
        "nolimit": case(stream, {"options": {"num_predict": -1}, **LIVE}),
        "settings": case(good, {"options": {**options, "top_k": 3}, "keep_alive": "5m", "format": ""}),
        "ignored": case(good, {"think": True}, by=False),
        "json": case(at_once(line(content='{"a": 1}', done=True)), {"format": "json"}, by=False),
        "turns": case(good, OLLAMA_TURNS),
        "turnslive": case(stream, {**OLLAMA_TURNS, **LIVE}),
        "calledturns": case(good, OLLAMA_CALLED),
        "tools": case(at_once(line(done=True, tool_calls=[ollama_call()])), {"tools": [OLLAMA_TOOL]}),
        "toolsstrict": case(
            good, {"tools": [{**OLLAMA_TOOL, "function": {**OLLAMA_TOOL["function"], "strict": True}}]}
        ),
        "toolsids": case(at_once(line(done=True, tool_calls=[{**ollama_call(index=0), "id": "c_1"}])),
                         {"tools": [OLLAMA_TOOL]}),
        "toolslive": case(played(LINES, line(content="Now"), line(tool_calls=[ollama_call()]),
                                 line(tool_calls=[ollama_call()]), line(done=True)),
                          {"tools": [OLLAMA_TOOL], **LIVE}),
        "png": case(good, {"messages": [shown]}, row=SEES),
        "thought": case(at_once(line(content="Paris", thinking="hm", done=True))),
        "thoughtlive": case(played(LINES, line(thinking="h"), line(thinking="m"), *said, line(done=True)), LIVE),
        "length": case(at_once(line(content="Pa", done=True, reason="length"))),
        "lengthlive": case(played(LINES, line(content="Pa"), line(done=True, reason="length")), LIVE),
        "reason": case(at_once(line(content="Pa", done=True, reason="unload"))),
        "empty": case(at_once(line(done=True))),
        "emptylive": case(played(LINES, line(done=True)), LIVE),
        "uncounted": case(at_once(line(content="Paris", done=True, counts=False))),
        "uncountedlive": case(played(LINES, *said, line(done=True, counts=False)), LIVE),
        "atonce": case(at_once(line(content="Paris", done=True)), LIVE),
        "unasked": case(stream),
        "near": case(stream, LIVE, zone="machine"),
        "nearloops": case(played(LINES, *(line(content=PATTERN) for _ in range(60)), line(done=True)), LIVE,
                          zone="machine"),
        "nearcut": case(good, {"messages": [{"role": "user", "content": QUESTION * 200}]}, zone="machine",
                        others=other),
        "nearcutlive": case(stream, {"messages": [{"role": "user", "content": QUESTION * 200}], **LIVE},
                            zone="machine", others=other_live),
        "torn": case(played(LINES, *(bytes([byte]) for byte in line(content="Päris") + line(done=True))), LIVE),
        "longline": case(played(LINES, *cut_up(line(content="x" * 200_000) + line(content="z" * 90_000)),
                                line(done=True)), {"options": {"num_predict": 1_000_000}, **LIVE}),
        "crlf": case(played(LINES, *map(crlf, (*said, line(done=True)))), LIVE),
        "unusual": case(played(LINES, line(content=None), line(content="Pa"), b'["x"]\n', line(top={"message": {}}),
                               line(content="ris"), line(done=True, reason="unload", content=".")), LIVE),
        "spaced": case(played(LINES, *(each.replace(b'"model":', b'"model" :') for each in said), line(done=True)),
                       LIVE),
        "blanks": case(played(LINES, b"\n", *said, b"\n\n", line(done=True)), LIVE),
        "unended": case(played(LINES, *said, line(done=True).strip()), LIVE),
        "hangs": case(played(LINES, *said, line(done=True), end="stall"), LIVE),
        **{f"cut{manner}": case(played(LINES, *said[:2], end=manner), LIVE, others=other_live)
           for manner in ("fin", "rst", "")},
        "cutinband": case(upstreams.cut("ollama", WORDS, 2, "inband"), LIVE, others=other_live),
        "firstinband": case(upstreams.cut("ollama", WORDS, 0, "inband"), LIVE, others=other_live),
        "cutmalformed": case(upstreams.cut("ollama", WORDS, 2, "malformed"), LIVE, others=other_live),
        "errorwhole": case(refusal(200, {"error": "model runner has unexpectedly stopped"}), others=other),
        **numbers(case, LINES, other, other_live),
        **_cuts(case, LINES, [*said, line(tool_calls=[ollama_call()]), line(done=True)],
                {"tools": [OLLAMA_TOOL], **LIVE}, other_live),
        **_faults(case, good, other, other_live),
    }  # fmt: skip


# ---- Anthropic's messages --------------------------------------------------------------------------------


def messages() -> Mapping[str, Case]:
    def case(play: ScriptedReply, words: str = QUESTION, **more: Any) -> Case:
        model = {name: more.pop(name) for name in ("zone",) if name in more}
        body = {"messages": [{"role": "user", "content": words}], **more.pop("body", {})}
        return Case([Model([play], **model), *more.pop("others", ())], body, wire_protocol=MESSAGES, **more)

    good, stream = whole(MESSAGES), live(MESSAGES)
    other, other_live = [Model([whole(MESSAGES, ["other"])])], [Model([live(MESSAGES, ["the", " other"])])]
    return {
        "plain": case(good),
        "live": case(stream, body=LIVE),
        "atonce": case(good, body=LIVE),
        "near": case(stream, zone="machine", body=LIVE),
        "nearloops": case(live(MESSAGES, [PATTERN] * 60), zone="machine", body=LIVE),
        "nearcut": case(good, QUESTION * 200, zone="machine", others=other),
        "nearcutlive": case(stream, QUESTION * 200, zone="machine", body=LIVE, others=other_live),
        "nearcutatonce": case(good, QUESTION * 200, zone="machine", body=LIVE, others=other_live),
        **numbers(case, MESSAGES, other, other_live),
    }


CASES: Mapping[str, Case] = {
    **{f"a{name}": case for name, case in messages().items()},
    **{f"r{name}": case for name, case in responses().items()}, **{f"o{name}": case for name, case in lines().items()}
}  # fmt: skip
# All of what is a wire's own; of what fails in all alike a few, and the rest in `make gates`.
FEW = ("ones503", "twos500", "twogone", "livetoolong", "thenbusy")
SHARED = {f"{way}{fault}" for way in ("one", "two", "live", "then") for fault in FAULTS}.difference(FEW)
CUTS = [name for name in CASES if re.fullmatch(r".at\d+(fin)?", name)]
LEFT_OUT = {name for name in CASES if name[1:] in SHARED} | set(CUTS).difference(random.Random(SEED).sample(CUTS, 6))
SAMPLE = tuple(name for name in CASES if name not in LEFT_OUT)


def test_a_stream_as_openai_writes_it_is_let_through(beside: BothPaths) -> None:
    """Ids and fields are the host's own: nothing of it was written anew but what tells of the run."""
    for way in ("direct", "taskless"):
        beside.ask(way, "rlive")
        raw = beside.text
        assert f'"id": "msg{ID}"' in raw and '"obfuscation": "x"' in raw
        assert "the-host-s-own-name" not in raw and '"model":"cloud/rlive"' in raw
    beside.ask("executor", "rlive")
    assert f"msg{ID}" not in beside.text and "obfuscation" not in beside.text


def test_the_direct_path_answers_as_the_executor_does(beside: BothPaths, name: str) -> None:
    """Status, headers, answer, what the host saw, rows, counts, and what was settled with the key's account."""
    direct, executor = beside.both(name)
    assert unlike(vars(direct) | {"taken": 0}, vars(executor)) == []
    whole = direct.status == 200 and len(direct.attempts) == 1 and direct.answer.get("error") is None
    if CASES[name].by and whole:
        assert direct.taken == 1, "it went through the executor"

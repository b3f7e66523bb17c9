"""Hosts that count oddly: below nothing, in fractions, in words. Either way they are judged alike, and nobody is paid
back. And hosts that count apart what was cached and thought: either way that is told."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.gates.faulty_host import DONE, ROLE, ScriptedReply, delta, sse
from tests.unit.gateway.direct.both_paths import BothPaths, Case, Model, unlike
from tests.unit.gateway.direct.both_paths_protocols import LINES, MESSAGES, RESPONSES, WireProtocol
from tests.unit.gateway.direct.test_both_paths_openai_chat import COUNTED, events, whole
from tests.unit.gateway.direct.test_both_paths_other_protocols import live as live_in
from tests.unit.gateway.direct.test_both_paths_other_protocols import whole as whole_in

ODD: dict[str, Any] = {
    "negative": {"prompt_tokens": -7, "completion_tokens": 5, "total_tokens": -2},
    "bothnegative": {"prompt_tokens": -7, "completion_tokens": -5, "total_tokens": -12},
    "fraction": {"prompt_tokens": 7.5, "completion_tokens": 5, "total_tokens": 12.5},
    "wholefraction": {"prompt_tokens": 7.0, "completion_tokens": 5.0, "total_tokens": 12.0},
    "words": {"prompt_tokens": "7", "completion_tokens": "5", "total_tokens": "12"},
    "truth": {"prompt_tokens": True, "completion_tokens": 5, "total_tokens": 6},
    "null": {"prompt_tokens": None, "completion_tokens": 5, "total_tokens": 5},
    "nullall": {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None},
    "missing": {"completion_tokens": 5, "total_tokens": 12},
    "missingmade": {"prompt_tokens": 7, "total_tokens": 12},
    "totalalone": {"total_tokens": 12},
    "empty": {},
    "list": [7, 5],
    "word": "twelve",
    "none": None,
    "oddtotal": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": -1},
    "huge": {"prompt_tokens": 1 << 63, "completion_tokens": 5, "total_tokens": (1 << 63) + 5},
    "huger": {"prompt_tokens": 1 << 200, "completion_tokens": 5, "total_tokens": 5},
    "toomuchcached": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12,
                      "prompt_tokens_details": {"cached_tokens": 7000}},
    "negativecached": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12,
                       "prompt_tokens_details": {"cached_tokens": -7000}},
    "oddthoughts": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12,
                    "completion_tokens_details": {"reasoning_tokens": "some"}},
    "moreoddthoughts": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12,
                        "completion_tokens_details": {"reasoning_tokens": 5000}},
}  # fmt: skip


def chunk_of(usage: Any) -> bytes:
    return sse({"id": "w", "choices": [], "usage": usage})


def choices(*said: tuple[int, str], reason: str | None = None) -> bytes:
    return sse({"id": "w", "choices": [
        {"index": index, "delta": {"content": text} if text else {}, "finish_reason": reason} for index, text in said
    ]})  # fmt: skip


def answers(*said: tuple[int, str]) -> ScriptedReply:
    return whole(
        top={"choices": [
            {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            for index, text in said
        ]}
    )  # fmt: skip


CASES: dict[str, Case] = {
    **{f"whole{name}": Case([Model([whole(told=usage)])]) for name, usage in ODD.items()},
    **{
        f"live{name}": Case(
            [Model([events(ROLE, delta("Paris"), delta(None, "stop"), chunk_of(usage), DONE)])], COUNTED
        )
        for name, usage in ODD.items()
    },
    **{
        f"each{name}": Case(  # beside words
            [Model([events(ROLE, sse({"choices": [{"index": 0, "delta": {"content": "Paris"}}], "usage": usage}),
                           delta(None, "stop"), DONE)])], COUNTED,
        )
        for name, usage in ODD.items()
    },
    "second": Case([Model([answers((0, "Paris"), (1, "London"))])]),
    "secondfirst": Case([Model([answers((1, "London"), (0, "Paris"))])]),
    "onlysecond": Case([Model([answers((1, "Paris"))])]),
    "secondlive": Case(
        [Model([events(ROLE, choices((0, "Pa")), choices((1, "Lon")), choices((0, "ris")), choices((1, "don")),
                       choices((0, ""), reason="stop"), choices((1, ""), reason="stop"), DONE)])], COUNTED,
    ),
    "secondinone": Case(
        [Model([events(ROLE, choices((0, "Pa"), (1, "Lon")), choices((1, "don"), (0, "ris")),
                       choices((0, ""), (1, ""), reason="stop"), DONE)])], COUNTED,
    ),
}  # fmt: skip


def odd(play: ScriptedReply, counts: dict[str, Any]) -> ScriptedReply:
    """What a host of a protocol plays, with these in place of its counts."""

    def told(data: Any) -> Any:
        if isinstance(data, list):
            return list(map(told, data))
        if not isinstance(data, dict):
            return data
        return {name: counts.get(name, told(value)) for name, value in data.items()}

    def line(data: bytes) -> bytes:
        head, mark, tree = data.partition(b"{")
        return head + json.dumps(told(json.loads(mark + tree))).encode() if mark else data

    pieces = []
    for piece in play.pieces:
        assert isinstance(piece, bytes)
        if piece.startswith(b"HTTP/1.1") and b"{" in piece:
            head, _, body = piece.partition(b"\r\n\r\n")
            lines = [each for each in head.split(b"\r\n") if not each.lower().startswith(b"content-length")]
            body = line(body)
            pieces.append(b"\r\n".join([*lines, b"content-length: %d" % len(body), b"", body]))
        elif b"{" in piece:
            _, _, chunked = piece.partition(b"\r\n")
            body = b"\n".join(map(line, chunked.removesuffix(b"\r\n").split(b"\n")))
            pieces.append(b"%x\r\n%b\r\n" % (len(body), body))
        else:
            pieces.append(piece)
    return play._replace(pieces=pieces)


WIRE_PROTOCOLS: dict[str, WireProtocol] = {"responses": RESPONSES, "messages": MESSAGES, "ollama": LINES}
COUNTS: dict[str, Any] = {
    "negative": -7, "fraction": 7.5, "words": "7", "null": None, "huge": 1 << 63,
}  # fmt: skip
for protocol_name, wire_protocol in WIRE_PROTOCOLS.items():
    for name, value in COUNTS.items():
        for field in ("in", "out"):
            names = {"in": ("input_tokens", "prompt_eval_count"), "out": ("output_tokens", "eval_count")}[field]
            counts = dict.fromkeys(names, value)
            for how, play in (("", whole_in(wire_protocol)), ("live", live_in(wire_protocol))):
                CASES[f"{protocol_name}{name}{field}{how}"] = Case(
                    [Model([odd(play, counts)])], {"stream": bool(how)}, wire_protocol=wire_protocol
                )

NOUGHT = dict.fromkeys(
    ("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "prompt_eval_count",
     "eval_count"), 0,
)  # fmt: skip
for how, play in (("whole", whole(told=NOUGHT)), ("live", events(ROLE, delta("Paris"), delta(None, "stop"),
                                                                chunk_of(NOUGHT), DONE))):  # fmt: skip
    CASES[f"{how}nought"] = Case([Model([play])], COUNTED if how == "live" else {})
for protocol_name, wire_protocol in WIRE_PROTOCOLS.items():
    for how, play in (("", whole_in(wire_protocol)), ("live", live_in(wire_protocol))):
        CASES[f"{protocol_name}nought{how}"] = Case(
            [Model([odd(play, NOUGHT)])], {"stream": bool(how)}, wire_protocol=wire_protocol
        )

APART: dict[str, tuple[WireProtocol, dict[str, Any]]] = {
    "responsesapart": (RESPONSES, {
        "input_tokens": 100, "input_tokens_details": {"cached_tokens": 41, "cache_write_tokens": 32},
        "output_tokens": 50, "output_tokens_details": {"reasoning_tokens": 23}, "total_tokens": 150,
    }),
    "messagesapart": (MESSAGES, {
        "input_tokens": 27, "output_tokens": 50, "cache_read_input_tokens": 41, "cache_creation_input_tokens": 32,
        "output_tokens_details": {"thinking_tokens": 23},
    }),
}  # fmt: skip
for name, (wire_protocol, usage) in APART.items():
    for how, play in (("", whole_in(wire_protocol)), ("live", live_in(wire_protocol))):
        CASES[f"{name}{how}"] = Case(
            [Model([odd(play, {"usage": usage})])], {"stream": bool(how)}, wire_protocol=wire_protocol
        )


@pytest.mark.parametrize("name", CASES)
def test_what_is_odd_is_judged_alike(beside: BothPaths, name: str) -> None:
    direct, executor = beside.both(name)
    assert unlike(vars(direct) | {"taken": 0}, vars(executor)) == []
    assert direct.status == 200
    for seen in (direct, executor):
        assert all((row["cost"] or 0) >= 0 for row in seen.attempts), seen.attempts
        assert all(settled == "released" or (settled[0] or 0) >= 0 for settled in seen.spent), seen.spent
        assert "Lon" not in json.dumps(seen.answer, default=str), "the second choice is nobody's"
        assert "Paris" in json.dumps(seen.answer, default=str)


@pytest.mark.parametrize("name", [f"{name}{how}" for name in APART for how in ("", "live")])
def test_cached_and_reasoning_tokens_are_told_apart_on_both_paths(beside: BothPaths, name: str) -> None:
    for way in ("direct", "taskless", "executor"):
        beside.ask(way, name)
        (*_, told) = re.finditer(r'"(?:cached_tokens|cache_read_input_tokens)": ?(\d+)', beside.text)
        assert told[1] == "41", way
        for count in ("27" if "messages" in name else "100", "32", "50", "23"):
            assert re.search(rf'": ?{count}[,}}]', beside.text), (way, count, beside.text)


EXCESS = {
    "toomuchcached": "7000",
    "moreoddthoughts": "5000",
}


@pytest.mark.parametrize("name", [f"{how}{name}" for how in ("whole", "live", "each") for name in EXCESS])
def test_a_part_that_is_larger_than_its_whole_counts_as_not_reported(beside: BothPaths, name: str) -> None:
    """7,000 of 7 tokens were cached: the cache's price is not theirs, and the client is not told so either."""
    number = next(number for kind, number in EXCESS.items() if kind in name)
    for way in ("direct", "taskless", "executor"):
        seen = beside.ask(way, name)
        assert re.search(rf": ?{number}\b", beside.text) is None, way  # ``created`` may contain these digits
        (row,) = seen.attempts
        assert (row["input_tokens"], row["output_tokens"], row["cached"]) == (7, 5, 0), way


UNKNOWN = {
    "wholenone": "input_tokens output_tokens", "livenone": "input_tokens output_tokens", "wholemissing": "input_tokens",
    "livemissingmade": "output_tokens", "wholetruth": "input_tokens", "liveoddtotal": "",
    **{f"{protocol}{kind}{side}{how}": {"in": "input_tokens", "out": "output_tokens"}[side]
       for protocol in WIRE_PROTOCOLS for kind in ("null", "negative") for side in ("in", "out")
       for how in ("", "live")},
    # No tokens in and none out is what servers say that count nothing: every chat has some.
    **{f"{how}nought": "input_tokens output_tokens" for how in ("whole", "live")},
    **{f"{protocol}nought{how}": "input_tokens output_tokens" for protocol in WIRE_PROTOCOLS for how in ("", "live")},
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_count_that_the_host_does_not_report_is_said_to_be_unknown(beside: BothPaths, name: str) -> None:
    for way in ("direct", "taskless", "executor"):
        seen = beside.ask(way, name)
        assert '"intermodal":' in beside.text
        unreported = {f"{direction}_tokens": 1 for direction in seen.metrics[4]}
        assert unreported == dict.fromkeys(UNKNOWN[name].split(), 1), "nor does /metrics count it as 0"
        assert bool(seen.spent[-1][3]) == bool(UNKNOWN[name]), "the key pays the most there may have been"
        said = re.findall(r'"unreported": ?(\[[^\]]*\])', beside.text)
        assert [" ".join(json.loads(each)) for each in said] == ([UNKNOWN[name]] if UNKNOWN[name] else []), way
        if name.startswith("ollama"):
            fields = {"input_tokens": "prompt_eval_count", "output_tokens": "eval_count"}
            for count in UNKNOWN[name].split():
                assert f'"{fields[count]}"' not in beside.text, "Ollama leaves out what it does not know"

"""How an answer is judged while it comes and at its end: one fault after the other, in each protocol and in each way.

A fault is played by a host that has a fallback. What the client gets must be a whole answer or an error: nothing that
was cut, went on after its end or never ended may look like a success.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from tests.gates import upstreams
from tests.gates.clients import CLIENTS, Client
from tests.gates.faulty_host import LAST, PING, End, FaultyHost, ScriptedReply, chunk, refusal
from tests.unit.gateway.direct.test_both_paths_other_protocols import call, message, text, thought, told
from tests.unit.gateway.gateway_server import GatewayServer, through_the_executor

from intermodal.gateway.server import Gateway
from intermodal.testing.protocols import sse

pytestmark = [pytest.mark.gate, pytest.mark.timeout(3000)]

SEED = 20_261_128
TOKENS = [f" tökën{number} 東{number}" for number in range(12)]
TEXT = "".join(TOKENS)
OTHER = ["the", " other", " model", " says", " no", " such", " thing"]
# Who asks, and what the host speaks. "framed" is a response as OpenAI writes it, which goes on as it came.
SPOKEN = {"openai": "chat", "anthropic": "messages", "ollama": "ollama", "openai-responses": "responses"}
PROTOCOLS = (*SPOKEN, "framed")
WAYS = ("direct", "executor")
MODES = ("live", "buffered", "plain")
CONFIG = """[hosts.{host}]
base_url = "{url}"
protocol = "{protocol}"
zone = "internet"
timeouts = {{ connect = 5.0, between_tokens = {idle} }}
"""
ROW = """[[hosts.{host}.models]]
id = "cloud/{model}"
served_as = "{host} {model}"
input = ["text"]
context = 32000
tier = "large"
input_mtok = {price}
output_mtok = {price}
"""

# ---- what is played ----------------------------------------------------------------------------------------------

Kind = Literal["whole", "other", "cut", "length", "unsaid"]


def spoken(protocol: str) -> str:
    return "openai-responses" if protocol == "framed" else protocol


def events(protocol: str, tokens: Sequence[str] = TOKENS) -> list[bytes]:
    if protocol != "framed":
        return upstreams.events(protocol, tokens)
    return told(message(text("".join(tokens))))


class Parts(NamedTuple):
    """A whole stream in three: what begins it, its words, and what ends it."""

    begin: list[bytes]
    words: list[bytes]
    end: list[bytes]


def parts(protocol: str) -> Parts:
    found = events(protocol)
    said = [n for n, event in enumerate(found) if any(_says(event, token) for token in _pieces(protocol))]
    return Parts(found[: said[0]], found[said[0] : said[-1] + 1], found[said[-1] + 1 :])


def _pieces(protocol: str) -> Sequence[str]:
    return TOKENS if protocol != "framed" else TEXT.split()


def _says(event: bytes, token: str) -> bool:
    """Whether it is a piece of the answer: events that repeat all of it are its end."""
    if b".done" in event or b"completed" in event:
        return False
    written = event.decode()
    return json.dumps(token)[1:-1] in written or token in written


def _reasonless(protocol: str, end: list[bytes]) -> list[bytes]:
    """The end of a stream without what says why it ended."""
    marks = {"openai": b'"finish_reason": "stop"', "anthropic": b"message_delta", "ollama": b'"done": true'}
    mark = marks.get(protocol, b"response.completed")
    left = [event for event in end if mark not in event and mark.replace(b" ", b"") not in event]
    assert len(left) < len(end)
    return left


def played(protocol: str, *data: bytes | float, end: End = "") -> ScriptedReply:
    pieces = [piece if isinstance(piece, float) else chunk(piece) for piece in data]
    head = upstreams.head(spoken(protocol))
    return ScriptedReply([head, *pieces, *([] if end else [LAST])], end=end, paid=True)


def document(protocol: str, change: Callable[[Any], None] = lambda tree: None) -> ScriptedReply:
    """An answer at once, changed."""
    (data,) = upstreams.document(spoken(protocol), TOKENS).pieces
    assert isinstance(data, bytes)
    tree = json.loads(data.partition(b"\r\n\r\n")[2])
    if "choices" in tree:
        tree |= {"object": "chat.completion", "created": 1, "model": "m"}
    change(tree)
    return refusal(200, tree, paid=True)


DONE = b"data: [DONE]\n\n"


class Fault(NamedTuple):
    """``live`` is played where a stream is asked for, ``plain`` where an answer at once is.

    ``then``: what may become of a stream that is shown as it comes: the "whole" answer, the "other" host's, one that is
    "cut" with an error, one that ends for its "length", or one that does before its first word ("unsaid"). What nobody
    has seen yet is the other host's where it would be cut. ``at_once``: the same of an answer at once.
    """

    live: Callable[[str], ScriptedReply]
    plain: Callable[[str], ScriptedReply]
    then: tuple[Kind, ...]
    at_once: tuple[Kind, ...]


def _no_reason(protocol: str) -> ScriptedReply:
    begin, words, end = parts(protocol)
    return played(protocol, *begin, *words, *_reasonless(protocol, end), *([] if DONE in end else [DONE]))


def _no_reason_at_once(protocol: str) -> ScriptedReply:
    def change(tree: Any) -> None:
        if "choices" in tree:
            tree["choices"][0]["finish_reason"] = None
        elif "done" in tree:
            tree["done"] = False
        elif "stop_reason" in tree:
            tree["stop_reason"] = None
        else:
            tree["status"] = "in_progress"

    return document(protocol, change)


def _no_reason_no_words(protocol: str) -> ScriptedReply:
    begin, _, end = parts(protocol)
    return played(protocol, *begin, *_reasonless(protocol, end), *([] if DONE in end else [DONE]))


def _words_after_the_end(protocol: str) -> ScriptedReply:
    """More words between the reason and the last word; where the two are one, after that."""
    begin, words, end = parts(protocol)
    last = _reasonless(protocol, end)
    ends = [event for event in end if event not in last]
    place = end.index(ends[-1]) + 1
    return played(protocol, *begin, *words, *end[:place], *words[:3], *end[place:])


def _two_ends(protocol: str) -> ScriptedReply:
    begin, words, end = parts(protocol)
    last = _reasonless(protocol, end)
    ends = [event for event in end if event not in last]
    place = end.index(ends[-1]) + 1
    return played(protocol, *begin, *words, *end[:place], *ends, *end[place:])


def whole(protocol: str) -> ScriptedReply:
    return document(protocol)


def body_of(play: ScriptedReply) -> bytes:
    """All that a host says after its headers, without chunks."""
    data = b"".join(piece for piece in play.pieces if isinstance(piece, bytes))
    return data.partition(b"\r\n\r\n")[2]


def sent(data: bytes, kind: str, *, length: int | None = None, end: End = "", encoding: str = "") -> ScriptedReply:
    """A body as it is, with its headers."""
    more = f"content-encoding: {encoding}\r\n" if encoding else ""
    size = len(data) if length is None else length
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{more}content-length: {size}\r\n\r\n"
    return ScriptedReply([head.encode() + data], end=end, paid=True)


PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\n\n<body>please</body></html>"
FAILED = {"error": {"message": "the engine failed", "type": "server_error", "code": 500}}
STREAMS = {"ollama": "application/x-ndjson"}


def kind_of(protocol: str) -> str:
    return STREAMS.get(protocol, "text/event-stream")


def _stream(protocol: str) -> bytes:
    return b"".join(events(protocol))


def _begun(protocol: str) -> list[bytes]:
    """Half an answer."""
    begin, words, _ = parts(protocol)
    return [*begin, *words[:6]]


def _silence_after_the_end(protocol: str) -> ScriptedReply:
    begin, words, end = parts(protocol)
    last = _reasonless(protocol, end)
    place = max(number for number, event in enumerate(end) if event not in last) + 1
    return played(protocol, *begin, *words, *end[:place], end="stall")


def _event(protocol: str, data: bytes) -> bytes:
    return data + b"\n" if protocol == "ollama" else b"data: " + data + b"\n\n"


def _two_choices(protocol: str) -> ScriptedReply:
    if protocol != "openai":
        return played(protocol, *events(protocol))
    found = []
    for event in events(protocol):
        if event != DONE and (choices := (tree := json.loads(event[6:]))["choices"]):
            more = {**choices[0], "index": 1, "delta": {"content": "another"}}
            found.append(b"data: " + json.dumps({**tree, "choices": [*choices, more]}).encode() + b"\n\n")
        else:
            found.append(event)
    return played(protocol, *found)


def _usage_alone(protocol: str) -> ScriptedReply:
    counts: dict[str, Any] = {
        "openai": {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}},
        "anthropic": {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 5}},
        "ollama": {"model": "m", "created_at": "", "message": {"role": "assistant", "content": ""}, "done": False,
                   "eval_count": 5},
    }  # fmt: skip
    said = counts.get(protocol, {"type": "response.in_progress", "response": {"usage": {"output_tokens": 5}}})
    return played(protocol, *parts(protocol).begin, *[_event(protocol, json.dumps(said).encode())] * 3)


def _call_cut(protocol: str) -> ScriptedReply:
    """A call of a tool that breaks off in the middle of its arguments."""
    half = '{"at": "Par'
    call: dict[str, Any] = {"id": "call_1", "function": {"name": "weather", "arguments": half}}
    at: dict[str, Any] = {"output_index": 0, "item_id": f"fc_{'0' * 30}"}
    item = {"type": "function_call", "id": at["item_id"], "call_id": "call_1", "name": "weather", "arguments": ""}
    said: dict[str, list[Any]] = {
        "openai": [{"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, **call}]}, "finish_reason": None}]}],
        "anthropic": [
            {"type": "content_block_start", "index": 0,
             "content_block": {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": half}},
        ],
        "ollama": [],  # a call comes whole there
    }  # fmt: skip
    usual = [
        {"type": "response.output_item.added", "output_index": 0, "item": item, "sequence_number": 2},
        {"type": "response.function_call_arguments.delta", **at, "delta": half, "sequence_number": 3},
    ]
    begin = parts(protocol).begin[: 1 if protocol == "anthropic" else 2]
    named = [sse(tree, tree.get("type", "")) for tree in said.get(protocol, usual)]
    return played(protocol, *begin, *named)


def _for_ever(data: bytes) -> list[bytes | float]:
    """For 20 s: forty times what a host may be silent."""
    return [data, 0.1] * 200


def _piece(protocol: str, words: str) -> bytes:
    """One more piece of the answer."""
    _, said, _ = parts(protocol)
    tokens = {json.dumps(token)[1:-1] for token in TOKENS} | set(TOKENS)
    if protocol == "framed":
        tree = json.loads(said[0].partition(b"data: ")[2])
        return sse({**tree, "delta": words}, tree["type"])
    event = said[0].decode()
    token = max((token for token in tokens if token in event), key=len)
    return event.replace(token, json.dumps(words)[1:-1]).encode()


def _endless(protocol: str) -> list[bytes]:
    """More words than anybody allowed, a hundred an event."""
    return [_piece(protocol, "word " * 100)] * 2000


def _far_too_long(protocol: str) -> ScriptedReply:
    whole_ = body_of(whole(protocol)).decode()
    written = json.dumps(TEXT)[1:-1]
    assert written in whole_
    return sent(whole_.replace(written, written + " word" * 200_000).encode(), "application/json")


MARK = "zebra"  # what is put in the place of by more words than anybody allowed


def _besides(protocol: str, *, called: bool) -> ScriptedReply:
    """More thoughts than anybody allowed, or more of an argument of a call: 100 words an event."""
    thinks, argument = ("", MARK) if called else (MARK, "")
    if protocol == "framed":
        found = told(call(json.dumps({"at": MARK})) if called else thought_of(MARK))
    else:
        found = upstreams.besides(protocol, thinks, argument)
    place = next(number for number, event in enumerate(found) if MARK.encode() in event)
    again = 1 if called and protocol == "ollama" else 200  # where a call comes whole
    words = b"word " * (20_000 // again)
    return played(protocol, *found[:place], *[found[place].replace(MARK.encode(), words)] * again, *found[place + 1 :])


def thought_of(words: str) -> dict[str, Any]:
    return {**thought(), "summary": [{"type": "summary_text", "text": words}]}


def _besides_at_once(protocol: str, *, called: bool) -> ScriptedReply:
    data = body_of(upstreams.besides_at_once(spoken(protocol), *(("", MARK) if called else (MARK, ""))))
    return sent(data.replace(MARK.encode(), b"word " * 20_000), "application/json")


def _drips(protocol: str) -> ScriptedReply:
    """A whole answer of which nothing more comes after its first half."""
    data = body_of(whole(protocol))
    return sent(data[:100], "application/json", length=len(data), end="stall")


FAULTS: Mapping[str, Fault] = {
    "none": Fault(lambda p: played(p, *events(p)), whole, ("whole",), ("whole",)),
    # ---- where it ends
    "no reason for its end": Fault(_no_reason, _no_reason_at_once, ("cut",), ("other",)),
    "no reason and no word": Fault(_no_reason_no_words, _no_reason_at_once, ("other",), ("other",)),
    "words after the end": Fault(_words_after_the_end, whole, ("whole",), ("whole",)),
    "two ends": Fault(_two_ends, whole, ("whole",), ("whole",)),
    "silence after the end": Fault(_silence_after_the_end, whole, ("whole",), ("whole",)),
    "its last word twice": Fault(lambda p: played(p, *events(p), events(p)[-1]), whole, ("whole",), ("whole",)),
    "rubbish after its last word": Fault(
        lambda p: played(p, *events(p), b"\x00\x00{no JSON\n\n"), whole, ("whole",), ("whole",)
    ),
    "cut by the host": Fault(
        lambda p: played(p, *_begun(p)),
        lambda p: sent(body_of(whole(p))[:-40], "application/json"),
        ("cut",),
        ("other",),
    ),
    "cut by the network": Fault(
        lambda p: played(p, *_begun(p), end="rst"),
        lambda p: sent(body_of(whole(p))[:-40], "application/json", length=5000, end="fin"),
        ("cut", "other"),
        ("other",),
    ),
    "half an event": Fault(
        lambda p: played(p, *_begun(p), events(p)[-3][:20]),
        lambda p: sent(body_of(whole(p))[:-1], "application/json"),
        ("cut",),
        ("other",),
    ),
    "silence in the middle": Fault(
        lambda p: played(p, *_begun(p), end="stall"),
        lambda p: sent(body_of(whole(p))[:-40], "application/json", length=5000, end="stall"),
        ("cut",),
        ("other",),
    ),
    # ---- what keeps a connection alive, and says nothing
    "comments for ever": Fault(
        lambda p: played(p, *_begun(p), *_for_ever(PING if p != "ollama" else b"\n")), _drips, ("cut",), ("other",)
    ),
    "empty pieces for ever": Fault(
        lambda p: played(p, *_begun(p), *_for_ever(_piece(p, ""))), _drips, ("cut",), ("other",)
    ),
    "blanks for ever": Fault(
        lambda p: played(p, *_begun(p), *_for_ever(_piece(p, " \n"))), _drips, ("cut",), ("other",)
    ),
    # ---- what is longer than was allowed
    "words for ever": Fault(
        lambda p: played(p, *parts(p).begin, *parts(p).words, *_endless(p)), _far_too_long, ("length",), ("length",)
    ),
    "thoughts for ever": Fault(
        lambda p: _besides(p, called=False), lambda p: _besides_at_once(p, called=False), ("unsaid",), ("unsaid",)
    ),
    "an argument for ever": Fault(
        lambda p: _besides(p, called=True), lambda p: _besides_at_once(p, called=True), ("unsaid",), ("unsaid",)
    ),
    # ---- what is no answer
    "an error": Fault(
        lambda p: played(p, *parts(p).begin, _event(p, json.dumps(FAILED).encode())),
        lambda p: sent(json.dumps(FAILED).encode(), "application/json"),
        ("other",),
        ("other",),
    ),
    "an error in the middle": Fault(
        lambda p: played(p, *_begun(p), _event(p, json.dumps(FAILED).encode())),
        lambda p: sent(json.dumps(FAILED).encode(), "application/json"),
        ("cut",),
        ("other",),
    ),
    "a web page": Fault(
        lambda p: sent(PAGE, "text/html"), lambda p: sent(PAGE, "text/html; charset=utf-8"), ("other",), ("other",)
    ),
    "a web page by its body alone": Fault(
        lambda p: sent(PAGE, kind_of(p)), lambda p: sent(PAGE, "application/json"), ("other",), ("other",)
    ),
    "a web page in the middle": Fault(
        lambda p: played(p, *_begun(p), PAGE), lambda p: sent(b"\n\n" + PAGE, "application/json"), ("cut",), ("other",)
    ),
    "nothing": Fault(lambda p: played(p), lambda p: sent(b"", "application/json"), ("other",), ("other",)),
    "JSON that is no answer": Fault(
        lambda p: sent(b"[1, null]", "application/json"),
        lambda p: sent(b"null", "application/json"),
        ("other",),
        ("other",),
    ),
    "text": Fault(
        lambda p: sent(b"hello\n\nthere\n\n", kind_of(p)),
        lambda p: sent(b"hello there", "application/json"),
        ("other",),
        ("other",),
    ),
    "broken compression": Fault(
        lambda p: sent(b"\x1f\x8bnot gzip", kind_of(p), encoding="gzip"),
        lambda p: sent(b"\x1f\x8bnot gzip", "application/json", encoding="gzip"),
        ("other",),
        ("other",),
    ),
    "compression that breaks off": Fault(
        lambda p: sent((packed := gzip.compress(_stream(p)))[: len(packed) // 2], kind_of(p), encoding="gzip"),
        lambda p: sent(gzip.compress(body_of(whole(p)))[:-20], "application/json", encoding="gzip"),
        ("cut", "other"),
        ("other",),
    ),
    # ---- what is written in another way
    "another content-type": Fault(
        lambda p: sent(_stream(p), "application/octet-stream"),
        lambda p: sent(body_of(whole(p)), "text/plain"),
        ("whole",),
        ("whole",),
    ),
    "no stream": Fault(whole, lambda p: sent(body_of(whole(p)), kind_of(p)), ("whole",), ("whole",)),
    "compressed": Fault(
        lambda p: sent(gzip.compress(_stream(p)), kind_of(p), encoding="gzip"),
        lambda p: sent(gzip.compress(body_of(whole(p))), "application/json", encoding="gzip"),
        ("whole",),
        ("whole",),
    ),
    "two choices": Fault(_two_choices, whole, ("whole",), ("whole",)),
    "a byte that is no text": Fault(
        lambda p: played(p, *_begun(p), _event(p, b'{"\x00": "\xff"'), *events(p)[-2:]),
        lambda p: sent(b"\x00" + body_of(whole(p)), "application/json"),
        ("cut",),
        ("other",),
    ),
    "counts alone": Fault(_usage_alone, lambda p: sent(b'{"usage": {}}', "application/json"), ("other",), ("other",)),
    "a call of a tool that is cut": Fault(
        _call_cut, lambda p: sent(b'{"choices": [{"mess', "application/json"), ("cut", "other"), ("other",)
    ),
}
# A whole chat completion is an answer though it does not say why it ended: nothing is missing from a whole document.
KEPT = {"no reason for its end", "no reason and no word"}


def model(protocol: str, fault: str) -> str:
    return f"{protocol}-{tuple(FAULTS).index(fault)}"


# ---- who asks ----------------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """What a client made of it. ``reason``: why it ended, in its protocol's word."""

    status: int
    text: str
    reason: str
    error: str
    raw: str


class Gate(NamedTuple):
    """``streams``: whether the first host was asked for a stream, each time that it was asked."""

    house: GatewayServer
    way: str
    streams: list[bool]

    def asks(self, protocol: str, name: str, mode: str) -> Answer:
        """Ask with this client for what this fault befalls. Each has a model of its own: nothing is known of it."""
        self.streams.clear()
        client = CLIENTS[SPOKEN[spoken(protocol)]]
        body = limited(client, client.body(f"policy:{model(protocol, name)}", stream=mode != "plain"))
        headers = {"x-intermodal-stream": "buffered"} if mode == "buffered" else {}
        found = self.house.http.post(client.path, json=body, headers=headers)
        return read(client, found.status_code, found.content, streamed=mode != "plain")


LIMIT = 100  # tokens that an answer may have


def limited(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    """A request with a limit, in its protocol's word."""
    if client.path == "/api/chat":
        return {**body, "options": {"num_predict": LIMIT}}
    return {**body, "max_output_tokens" if "input" in body else "max_tokens": LIMIT}


def read(client: Client, status: int, data: bytes, *, streamed: bool) -> Answer:
    raw = data.decode()
    if status != 200:
        return Answer(status, "", "", client.error(json.loads(raw)), raw)
    if streamed:
        heard = client.hear(data)
        assert heard.failed or heard.succeeded, heard
        return Answer(status, heard.text, _reason(raw), heard.error, raw)
    tree = json.loads(raw)
    if "choices" in tree:
        said = tree["choices"][0]["message"]["content"] or ""
    elif "content" in tree:
        said = "".join(block.get("text", "") for block in tree["content"])
    elif "message" in tree:
        said = tree["message"]["content"]
    else:
        said = "".join(part["text"] for item in tree["output"] for part in item.get("content", ()))
    return Answer(status, said, _reason(raw), "", raw)


def _reason(raw: str) -> str:
    words = ('"length"', '"max_tokens"', '"max_output_tokens"')
    return "length" if any(f'":{word}' in raw.replace(": ", ":") for word in words) else "stop"


@pytest.fixture(scope="module", params=WAYS)
def gate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """A gateway over two hosts of each protocol, the first of which is cheaper and does not do well."""
    streams: list[bool] = []

    def reader(body: Mapping[str, Any]) -> ScriptedReply:
        host, _, name = body["model"].partition(" ")
        protocol, _, number = name.rpartition("-")
        stream = body.get("stream", "options" in body)
        if host.startswith("other"):
            return (upstreams.whole if stream else upstreams.document)(spoken(protocol), OTHER)
        streams.append(stream)
        fault = tuple(FAULTS.values())[int(number)]
        return (fault.live if stream else fault.plain)(protocol)

    def before(gateway: Gateway) -> None:
        if request.param == "executor":
            through_the_executor(gateway)

    folder = tmp_path_factory.mktemp("endings")
    with (
        pytest.MonkeyPatch.context() as patch,
        FaultyHost(lambda *_: ScriptedReply(), reader=reader, keeps=False) as wall,
    ):
        lines = ["max_cost = 1e9"]
        for protocol in PROTOCOLS:
            url = wall.base_url.removesuffix("/v1") if protocol == "ollama" else wall.base_url
            names = [model(protocol, fault) for fault in FAULTS]
            lines += [f'[policies.{name}]\nmodel = "cloud/{name}"\nobjective = "cheapest"' for name in names]
            for place, host in enumerate((f"first-{protocol}", f"other-{protocol}")):
                lines.append(CONFIG.format(host=host, url=url, protocol=spoken(protocol), idle=0.5))
                lines += [ROW.format(host=host, model=name, price=0.1 + place) for name in names]
        path: Path = folder / "intermodal.toml"
        path.write_text("\n".join(lines))
        patch.setenv("INTERMODAL_CONFIG", str(path))
        patch.setenv("INTERMODAL_HOME", str(folder))
        with GatewayServer(before=before) as house:
            yield Gate(house, request.param, streams)
            assert not [line for line in house.log if "unexpected" in line], house.log


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All of it, which takes minutes, is run by `make gates`; else each fault in a protocol and a mode or two."""
    if "fault" not in metafunc.fixturenames:
        return
    cases = [(fault, protocol, mode) for fault in FAULTS for protocol in PROTOCOLS for mode in MODES]
    if not metafunc.config.getoption("--full-gates"):
        chance = random.Random(SEED)
        cases = [case for case in cases if case[0] == "none" or chance.random() < 0.2]
    metafunc.parametrize(("fault", "protocol", "mode"), cases)


def test_a_fault_is_a_whole_answer_or_an_error(gate: Gate, fault: str, protocol: str, mode: str) -> None:
    play = FAULTS[fault]
    taken = gate.house.taken
    found = gate.asks(protocol, fault, mode)
    if fault == "none" and mode != "buffered":  # what nobody may see before all of it is there
        assert gate.house.taken - taken == (gate.way == "direct"), "it went the other way"
    then = play.then if gate.streams[0] else play.at_once
    if protocol == "openai" and not gate.streams[0] and fault in KEPT:
        then = ("whole",)
    if mode != "live":
        then = tuple("other" if each == "cut" else each for each in then)
    assert kind(found) in then, found


def kind(found: Answer) -> Kind:
    """What became of an answer. Fails for what nobody may be sold as one."""
    if found.error:
        assert TEXT.startswith(found.text.rstrip()), found
        return "cut"
    assert found.status == 200
    if found.text == "".join(OTHER) and found.reason == "stop":
        return "other"
    if found.reason == "length" and not found.text:
        # A response says a thought five times: as it comes, when it, its part and its item are done, and at its end.
        assert found.raw.count("word") <= 5 * 1.3 * LIMIT, found.raw.count("word")
        return "unsaid"
    if found.reason == "length":
        assert found.text.startswith(TEXT) and len(found.text.split()) <= 1.3 * LIMIT, len(found.text)
        return "length"
    assert found.text == TEXT and found.reason == "stop", found
    return "whole"

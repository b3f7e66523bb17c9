"""How an answer is judged while it comes and at its end: one fault after the other, in each protocol and in each way.

A fault is played by a host that has a fallback. What the client gets must be a whole answer or an error: nothing that
was cut, went on after its end or never ended may look like a success.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from tests.gates import upstreams
from tests.gates.clients import CLIENTS, Client
from tests.gates.wall import LAST, End, Play, Wall, chunk, refusal
from tests.unit.gateway.house import House
from tests.unit.gateway.test_lane_tongues import message, text, told

from intermodal.gateway.serving import Gateway

pytestmark = [pytest.mark.gate, pytest.mark.timeout(3000)]

TOKENS = [f" tökën{number} 東{number}" for number in range(12)]
TEXT = "".join(TOKENS)
OTHER = ["the", " other", " model", " says", " no", " such", " thing"]
# Who asks, and what the host speaks. "framed" is a response as OpenAI writes it, which goes on as it came.
SPOKEN = {"openai": "chat", "anthropic": "messages", "ollama": "ollama", "openai-responses": "responses"}
PROTOCOLS = (*SPOKEN, "framed")
WAYS = ("lane", "executor")
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

Kind = Literal["whole", "other", "cut", "length"]


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


def played(protocol: str, *data: bytes | float, end: End = "") -> Play:
    pieces = [piece if isinstance(piece, float) else chunk(piece) for piece in data]
    head = upstreams.head(spoken(protocol))
    return Play([head, *pieces, *([] if end else [LAST])], end=end, paid=True)


def document(protocol: str, change: Callable[[Any], None] = lambda tree: None) -> Play:
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

    ``then``: what becomes of a stream that is shown as it comes: the "whole" answer, the "other" host's, one that is
    "cut" with an error, or one that ends for its "length". What nobody has seen yet is the other host's where it would
    be cut. ``at_once``: the same of an answer at once.
    """

    live: Callable[[str], Play]
    plain: Callable[[str], Play]
    then: Kind
    at_once: Kind


def _no_reason(protocol: str) -> Play:
    begin, words, end = parts(protocol)
    return played(protocol, *begin, *words, *_reasonless(protocol, end), *([] if DONE in end else [DONE]))


def _no_reason_at_once(protocol: str) -> Play:
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


def _no_reason_no_words(protocol: str) -> Play:
    begin, _, end = parts(protocol)
    return played(protocol, *begin, *_reasonless(protocol, end), *([] if DONE in end else [DONE]))


def _words_after_the_end(protocol: str) -> Play:
    """More words between the reason and the last word; where the two are one, after that."""
    begin, words, end = parts(protocol)
    last = _reasonless(protocol, end)
    ends = [event for event in end if event not in last]
    place = end.index(ends[-1]) + 1
    return played(protocol, *begin, *words, *end[:place], *words[:3], *end[place:])


def _two_ends(protocol: str) -> Play:
    begin, words, end = parts(protocol)
    last = _reasonless(protocol, end)
    ends = [event for event in end if event not in last]
    place = end.index(ends[-1]) + 1
    return played(protocol, *begin, *words, *end[:place], *ends, *end[place:])


def whole(protocol: str) -> Play:
    return document(protocol)


FAULTS: Mapping[str, Fault] = {
    "none": Fault(lambda p: played(p, *events(p)), whole, "whole", "whole"),
    "no reason for its end": Fault(_no_reason, _no_reason_at_once, "cut", "other"),
    "no reason and no word": Fault(_no_reason_no_words, _no_reason_at_once, "other", "other"),
    "words after the end": Fault(_words_after_the_end, whole, "whole", "whole"),
    "two ends": Fault(_two_ends, whole, "whole", "whole"),
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

    house: House
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
        said = tree["choices"][0]["message"]["content"]
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

    def reader(body: Mapping[str, Any]) -> Play:
        host, _, name = body["model"].partition(" ")
        protocol, _, number = name.rpartition("-")
        stream = body.get("stream", "options" in body)
        if host.startswith("other"):
            return (upstreams.whole if stream else upstreams.document)(spoken(protocol), OTHER)
        streams.append(stream)
        fault = tuple(FAULTS.values())[int(number)]
        return (fault.live if stream else fault.plain)(protocol)

    async def shut(*asked: object) -> None:
        return None

    def before(gateway: Gateway) -> None:
        if request.param == "executor":
            gateway.lane.ready = shut  # type: ignore[method-assign,assignment]

    folder = tmp_path_factory.mktemp("endings")
    with pytest.MonkeyPatch.context() as patch, Wall(lambda *_: Play(), reader=reader, keeps=False) as wall:
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
        with House(before=before) as house:
            yield Gate(house, request.param, streams)
            assert not [line for line in house.log if "unexpected" in line], house.log


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_a_whole_answer_or_an_error(gate: Gate, name: str, protocol: str, mode: str) -> None:
    fault = FAULTS[name]
    taken = gate.house.taken
    found = gate.asks(protocol, name, mode)
    if name == "none" and mode != "buffered":  # what nobody may see before all of it is there
        assert gate.house.taken - taken == (gate.way == "lane"), "it went the other way"
    then = fault.then if gate.streams[0] else fault.at_once
    if protocol == "openai" and not gate.streams[0] and name in KEPT:
        then = "whole"
    if mode != "live" and then == "cut":
        then = "other"
    if then == "cut":
        assert found.error and TEXT.startswith(found.text), found
    else:
        assert found.status == 200 and not found.error, found
        assert found.reason == ("length" if then == "length" else "stop"), found
        assert found.text == ("".join(OTHER) if then == "other" else TEXT) or then == "length", found

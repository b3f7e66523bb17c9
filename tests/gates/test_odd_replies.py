"""B1, E5: replies as no reference has them, and as servers send them. Over every protocol, on real sockets."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.gates.fault_runs import ask, world_of
from tests.gates.faulty_host import HEAD, LAST, FaultyHost, ScriptedReply, chunk, delta, refusal
from tests.gates.test_streams_by_protocol import TEXT, TOKENS, events_of, speaking
from tests.unit.executor.routes import rename

from intermodal import errors
from intermodal.catalog.types import Endpoint
from intermodal.transport.timeouts import Timeouts

pytestmark = [pytest.mark.gate, pytest.mark.anyio, pytest.mark.timeout(600)]
QUICK = Timeouts(connect=5.0, first_byte=5.0, idle=0.5)
PROTOCOLS = ("anthropic", "gemini", "ollama", "openai", "openai-responses")
KEY = "zq9-Xw7TeKkPq3RrSs8Vv"  # of a form that no pattern knows


def stream_of(protocol: str) -> list[bytes]:
    if protocol == "openai":
        done = [delta(None, "stop"), b"data: [DONE]\n\n"]
        return [*(delta(token) for token in TOKENS), *done]
    return events_of(protocol)


def head(**more: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in more.items())
    return HEAD.removesuffix(b"\r\n") + lines.encode() + b"\r\n"


def lines_end_in_crlf(events: list[bytes]) -> Iterator[bytes]:
    for event in events:
        yield event.replace(b"\n", b"\r\n")


def a_chunk_ends_between_cr_and_lf(events: list[bytes]) -> Iterator[bytes]:
    for event in events:
        whole = event.replace(b"\n", b"\r\n")
        yield whole[:-1]
        yield whole[-1:]


def comments_and_ids(events: list[bytes]) -> Iterator[bytes]:
    for number, event in enumerate(events):
        yield b": keep-alive\n\nid: %d\nretry: 3000\n:\n" % number
        yield event


def a_byte_order_mark_and_blanks_first(events: list[bytes]) -> Iterator[bytes]:
    yield b"\xef\xbb\xbf\n\n\n"
    yield from events


def no_space_after_the_colon(events: list[bytes]) -> Iterator[bytes]:
    for event in events:
        yield event.replace(b"data: ", b"data:").replace(b"event: ", b"event:")


def data_over_several_lines(events: list[bytes]) -> Iterator[bytes]:
    for event in events:
        name, _, data = event.partition(b"data: ")
        try:
            tree = json.loads(data)
        except ValueError:
            yield event
            continue
        written = json.dumps(tree, indent=1).encode().split(b"\n")
        yield name + b"".join(b"data: " + line + b"\n" for line in written) + b"\n"


def all_in_one(events: list[bytes]) -> Iterator[bytes]:
    yield b"".join(events)


def a_byte_at_a_time(events: list[bytes]) -> Iterator[bytes]:
    for byte in b"".join(events):
        yield bytes([byte])


def blank_lines_between(events: list[bytes]) -> Iterator[bytes]:
    for event in events:
        yield b"\n\r\n\n"
        yield event


FOR_ALL = (lines_end_in_crlf, a_chunk_ends_between_cr_and_lf, all_in_one, a_byte_at_a_time, blank_lines_between)
FOR_EVENTS = (comments_and_ids, a_byte_order_mark_and_blanks_first, no_space_after_the_colon, data_over_several_lines)
Odd = Callable[[list[bytes]], Iterator[bytes]]
ODD = [(protocol, odd) for protocol in PROTOCOLS for odd in (*FOR_ALL, *(FOR_EVENTS if protocol != "ollama" else ()))]


@pytest.mark.parametrize(("protocol", "odd"), ODD, ids=[f"{each[0]} {each[1].__name__}" for each in ODD])
async def test_B1_an_odd_stream_that_is_whole_is_read_whole(tmp_path: Path, protocol: str, odd: Odd) -> None:
    played = ScriptedReply([HEAD, *map(chunk, odd(stream_of(protocol))), LAST], paid=True)
    with FaultyHost(lambda *_: played) as wall:
        found = speaking(wall, protocol)
        bench = world_of(tmp_path, found, timeouts=QUICK)
        assert (await ask(bench, found)).text == TEXT


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_B1_a_compressed_stream_nobody_asked_for_is_read_or_refused(tmp_path: Path, protocol: str) -> None:
    """Whole it is an answer, cut in the middle it is none, and one that is not what it says is none either."""
    packed = gzip.compress(b"".join(stream_of(protocol)))
    plays = {
        "whole": ScriptedReply([head(content_encoding="gzip"), chunk(packed), LAST], paid=True),
        "cut": ScriptedReply([head(content_encoding="gzip"), chunk(packed[: len(packed) // 2]), LAST], paid=True),
        "broken": ScriptedReply([head(content_encoding="gzip"), chunk(b"not gzip at all"), LAST], paid=True),
        "unknown": ScriptedReply([head(content_encoding="br"), chunk(packed), LAST], paid=True),
    }
    current = plays["whole"]
    with FaultyHost(lambda *_: current) as wall:
        found = speaking(wall, protocol)
        bench = world_of(tmp_path, found, timeouts=QUICK)
        assert (await ask(bench, found)).text == TEXT
        for name in ("cut", "broken", "unknown"):
            current = plays[name]
            with pytest.raises(errors.CallError):
                await ask(bench, found)
            assert TEXT.startswith(bench.shown)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_page_for_people_is_said_to_be_one(tmp_path: Path, protocol: str) -> None:
    """A base_url that leads to a web page answers 200: the sentence says so, quotes none of it, and what to do."""
    page = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>token=abcdef</body></html>"
    html = HEAD.replace(b"text/event-stream", b"text/html; charset=utf-8")
    with FaultyHost(lambda *_: ScriptedReply([html, chunk(page), LAST])) as wall:
        found = speaking(wall, protocol)
        bench = world_of(tmp_path, found, timeouts=QUICK)
        with pytest.raises(errors.CallError, match="web page") as raised:
            await ask(bench, found)
        assert "base_url" in raised.value.todo and "abcdef" not in str(raised.value)


def _echo(sentence: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": "invalid_request_error", "message": sentence, "code": 400}}


# Ways in which a server quotes the key it was given.
QUOTES: dict[str, str] = {
    "plainly": f"Incorrect API key provided: {KEY}. You can find your API key at …",
    "at the end of a long sentence": "x " * 140 + KEY,
    "in a header": f"bad header 'Authorization: Bearer {KEY}'",
    "in an address": f"GET https://api.example.com/v1/models?key={KEY} failed",
    "twice": f"{KEY}{KEY}",
}


@pytest.mark.parametrize("place", ["a status", "a stream"])
@pytest.mark.parametrize("how", QUOTES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_E5_a_key_that_a_server_quotes_is_shown_nowhere(
    tmp_path: Path, protocol: str, how: str, place: str
) -> None:
    """Not in the error, the events, or any file of ours; nor a part of it long enough to be of use."""
    body = json.dumps(_echo(QUOTES[how])).encode()
    if place == "a status":
        played = refusal(400, body)
    else:
        event = body + b"\n" if protocol == "ollama" else b"data: " + body + b"\n\n"
        played = ScriptedReply([HEAD, chunk(event), LAST])
    with FaultyHost(lambda *_: played) as wall:
        found = speaking(wall, protocol)
        auth = {"anthropic": "x-api-key", "gemini": "x-goog-api-key"}.get(protocol, "bearer")
        keyed: Endpoint = rename(found, host=rename(found.host, auth=auth, key_env="K"))
        bench = world_of(tmp_path, keyed, timeouts=QUICK, find_key=lambda host: KEY)
        with pytest.raises(errors.CallError) as raised:
            await ask(bench, keyed)
        assert KEY.encode() in wall.hits[0].head, "it was sent"
        bench.store.close()
        shown = [str(raised.value), raised.value.todo, repr(raised.value), repr(bench.events)]
        kept = [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
        for text in (*shown, *kept):
            assert not any(KEY[at : at + 8] in text for at in range(len(KEY) - 7))
